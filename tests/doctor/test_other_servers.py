"""What doctor says of authorization servers that are not ours, as their metadata is shaped today.

features.md 2 (1, 13, 14): why MCP clients cannot connect to a company's identity provider.
"""

from tests.doctor.world import AS, AUTH, OIDC, World, reply


def of_company(world, issuer_path, **members):
    """The usual members of an OpenID provider, at the place it serves; answers the codes that are found."""
    issuer = world.web.url(AUTH, issuer_path)
    world.resource["authorization_servers"] = [issuer]
    document = {
        "issuer": issuer,
        "authorization_endpoint": f"{issuer}/authorize",
        "token_endpoint": world.server["token_endpoint"],
        "jwks_uri": world.server["jwks_uri"],
        "response_types_supported": ["code", "id_token", "code id_token"],
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "scopes_supported": ["openid", "profile", "email", "offline_access"],
        **members,
    }
    world.at(AUTH, f"{issuer_path}{OIDC}", reply(document))
    return world.examine()


def codes(report):
    return {finding.code for finding in report.findings}


def test_a_cloud_directory_without_registration_and_without_pkce_in_its_metadata(world):
    """It answers at the appended address alone, says nothing of PKCE, `none` or grants, and registers nobody."""
    report = of_company(
        world,
        "/0f1e/v2.0",
        token_endpoint_auth_methods_supported=["client_secret_post", "private_key_jwt"],
    )
    assert codes(report) == {
        "pkce_unadvertised",
        "registration_impossible",
        "registration_by_hand",
        "refresh_unsupported",
        "iss_unadvertised",
        "headless_unsupported",
        "revocation_unsupported",
    }
    connecting = {verdict.client for verdict in report.verdicts if verdict.connects}
    assert connecting == {"python-sdk", "typescript-sdk", "inspector"}


def test_a_realm_that_registers_clients_but_reads_no_documents(world):
    """A self-hosted identity provider: everybody connects by registering, and its scopes are asked for by one."""
    report = of_company(
        world,
        "/realms/corp",
        registration_endpoint=world.server["registration_endpoint"],
        revocation_endpoint=world.server["revocation_endpoint"],
        grant_types_supported=["authorization_code", "refresh_token", "client_credentials"],
        code_challenge_methods_supported=["plain", "S256"],
        token_endpoint_auth_methods_supported=["none", "client_secret_basic"],
        authorization_response_iss_parameter_supported=True,
        scopes_supported=["openid", "offline_access", "roles"],
    )
    assert codes(report) == {"scopes_everything"}
    assert {verdict.registration for verdict in report.verdicts} == {"registers"}


def test_a_server_that_is_its_own_issuer_and_says_so_nowhere(web):
    """MCP 2025-03-26: no metadata of the server, that of the authorization server at the same origin."""
    world = World(web)
    world.at("mcp.example", "/.well-known/oauth-protected-resource/mcp", reply({}, 404))
    origin = world.web.url("mcp.example", "")
    world.at("mcp.example", AS, reply({**world.server, "issuer": origin}))
    report = world.examine()
    assert "prm_missing" in codes(report)
    assert not any(verdict.connects for verdict in report.verdicts)
    assert report.walk.server.assumed
