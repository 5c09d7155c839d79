"""Every mistake that can be seen from outside is seeded once, and named: code, clients, value.

features.md section 2 and section 3 item 7; mcp.md sections 8 and 9. Real sockets, TLS, one fault at a time.
"""

import base64
import json

import pytest

from authz.doctor.findings import FINDINGS, Severity
from authz.doctor.profiles import CLIENTS
from authz.doctor.walk import UNSIGNED
from tests.doctor.world import AS, AUTH, CORS, MCP, OIDC, PRM, World, reply
from tests.support.web import FakeWeb, Reply

EVERYBODY = set(CLIENTS)
PAGES = {"inspector"}
TS = {"inspector", "typescript-sdk"}
SDKS = {"inspector", "typescript-sdk", "python-sdk"}
HTML = Reply(200, b"<html>", {"Content-Type": "text/html", **CORS})
CLOSED = {"Content-Type": "application/json"}


def test_nothing_is_found_where_nothing_is_wrong(world):
    report = world.examine()
    assert [f.code for f in report.findings] == []
    assert report.is_well
    ways = {verdict.client: verdict.registration for verdict in report.verdicts}
    assert ways.pop("cursor") == ways.pop("gemini-cli") == "registers"
    assert set(ways.values()) == {"document"}


def test_only_what_clients_ask_is_asked(world):
    """No token that means anything, no registration, bounded: the client that is named cannot exist."""
    before = len(world.web.requests)
    world.examine()
    asked = world.web.requests[before:]
    assert len(asked) <= 15
    assert {seen.headers.get("authorization") for seen in asked} == {None, f"Bearer {UNSIGNED}"}
    header, claims, signature = (
        base64.urlsafe_b64decode(part + "==") for part in UNSIGNED.split(".")
    )
    assert (json.loads(header)["alg"], signature) == ("none", b"")
    assert json.loads(claims)["iss"] == "https://nobody.example"
    posts = {seen.target: seen.body for seen in asked if seen.method == "POST"}
    assert set(posts) == {"/mcp", "/t/a/token"}
    assert b"authz-doctor" in posts["/t/a/token"]


def test_a_server_that_refuses_strange_origins_is_closed_to_pages_alone(world):
    """MCP wants servers to check `Origin`; clients that are no pages send none."""
    for host, path in ((MCP, "/mcp"), (AUTH, "/t/a/token")):
        world.refuses_pages.add((host, path))
    report = world.examine()
    assert {finding.code for finding in report.findings} == {"cors_server", "cors_token"}
    assert {v.client for v in report.verdicts if not v.connects} == PAGES
    assert "from a page answered 403" in report.findings[0].sentence


def test_an_origin_may_be_allowed_by_name(world):
    """Servers that answer CORS only to pages are as good as those that always do."""
    world.echoes_origin = True
    assert world.examine().findings == ()


def resource(**members):
    def seed(world):
        world.resource.update(members)
        world.resource = {k: v for k, v in world.resource.items() if v is not None}

    return seed


def server(**members):
    def seed(world):
        world.server.update(members)
        world.server = {k: v for k, v in world.server.items() if v is not None}

    return seed


def at(host, path, answer, method="GET"):
    return lambda world: world.at(host, path, answer, method)


def both(*seeds):
    def seed(world):
        for one in seeds:
            one(world)

    return seed


def challenge(text):
    def seed(world):
        world.challenge = text.format(prm=world.web.url(MCP, f"{PRM}/mcp")) if text else None

    return seed


def issuer_with_slash(world):
    world.resource["authorization_servers"] = [f"{world.issuer}/"]
    world.server["issuer"] = f"{world.issuer}/"


def other_issuer(spelling):
    def seed(world):
        world.server["issuer"] = spelling.format(issuer=world.issuer)

    return seed


def second_issuer(world):
    world.resource["authorization_servers"].append(world.web.url(AUTH, "/gone"))


def first_issuer_dead(world):
    world.resource["authorization_servers"].insert(0, world.web.url(AUTH, "/gone"))


def only_appended(world):
    gone(AS, OIDC)(world)
    world.at(AUTH, f"/t/a{AS}", reply(world.server))


def gone(*suffixes):
    def seed(world):
        for suffix in suffixes:
            world.at(AUTH, f"{suffix}/t/a", reply({}, 404))
        if OIDC in suffixes:
            world.at(AUTH, f"/t/a{OIDC}", reply({}, 404))

    return seed


def spelled(text):
    def seed(world):
        world.resource["resource"] = text.format(
            url=world.url, origin=world.web.url(MCP, ""), other=world.web.url("other.example", "/")
        )

    return seed


def with_bad_token(status):
    return lambda world: setattr(world, "bad_token", reply({}, status))


METHODS = "token_endpoint_auth_methods_supported"
ALGORITHMS = "token_endpoint_auth_signing_alg_values_supported"
# What is wrong -> how it is seeded, whom it concerns, what the sentence has to say.
MISTAKES = [
    # the MCP server (features.md 2: 3, 12, 13, 15, 16; mcp.md 2, 9.6)
    ("server_open", at(MCP, "/mcp", reply({}), "POST"), EVERYBODY, "answered 200"),
    ("server_no_401", at(MCP, "/mcp", reply({}, 403), "POST"), EVERYBODY, "answered 403"),
    ("server_no_401", at(MCP, "/mcp", reply({}, 404), "POST"), EVERYBODY, "answered 404"),
    (
        "server_redirects",
        at(MCP, "/mcp", reply({}, 307, Location="/mcp/"), "POST"),
        EVERYBODY,
        "307 to '/mcp/'",
    ),
    (
        "challenge_missing",
        both(challenge(None), at(MCP, f"{PRM}/mcp", reply({}, 404))),
        EVERYBODY,
        "None",
    ),
    (
        "challenge_without_metadata",
        challenge("Bearer scope=logs.read"),
        EVERYBODY,
        "scope=logs.read",
    ),
    ("challenge_without_metadata", challenge("Basic realm=x"), EVERYBODY, "'Basic realm=x'"),
    ("challenge_without_scope", challenge('Bearer resource_metadata="{prm}"'), {"chatgpt"}, ""),
    ("prm_missing", at(MCP, f"{PRM}/mcp", reply({}, 404)), EVERYBODY, "answered 404"),
    ("prm_missing", at(MCP, f"{PRM}/mcp", HTML), EVERYBODY, "is not JSON"),
    ("prm_missing", at(MCP, f"{PRM}/mcp", reply([])), EVERYBODY, "is not a JSON object"),
    (
        "prm_challenge_dead",
        challenge('Bearer resource_metadata="{prm}/gone", scope="a"'),
        EVERYBODY,
        "/gone",
    ),
    (
        "prm_challenge_dead",
        challenge('Bearer resource_metadata="http://mcp.example/x", scope="a"'),
        EVERYBODY,
        "not_https",
    ),
    (
        "prm_not_inserted",
        both(
            at(MCP, f"{PRM}/mcp", reply({}, 404)),
            lambda world: world.at(MCP, PRM, reply(world.resource)),
            challenge(None),
        ),
        EVERYBODY,
        f"{PRM}/mcp",
    ),
    ("prm_resource_foreign", spelled("{other}"), EVERYBODY, "other.example"),
    ("prm_resource_foreign", spelled("{url}-other"), EVERYBODY, "/mcp-other"),
    ("prm_resource_foreign", resource(resource=None), EVERYBODY, "None"),
    ("prm_resource_spelling", spelled("{url}/"), {*TS, "vscode"}, "/mcp/'"),
    ("prm_resource_spelling", spelled("{origin}"), {*TS, "vscode"}, MCP),
    ("prm_servers_missing", resource(authorization_servers=None), EVERYBODY, "None"),
    ("prm_servers_missing", resource(authorization_servers="x"), EVERYBODY, "'x'"),
    (
        "prm_scopes_missing",
        both(resource(scopes_supported=None), challenge('Bearer resource_metadata="{prm}"')),
        EVERYBODY,
        "scopes_supported",
    ),
    ("prm_scope_wildcard", resource(scopes_supported=["logs.*"]), EVERYBODY, "logs.*"),
    (
        "prm_offline_access",
        resource(scopes_supported=["logs.read", "offline_access"]),
        EVERYBODY,
        "offline_access",
    ),
    ("prm_no_header", resource(bearer_methods_supported=["query"]), EVERYBODY, "query"),
    ("token_unchecked", with_bad_token(200), EVERYBODY, "answered 200 for an unsigned token"),
    ("token_not_401", with_bad_token(500), EVERYBODY, "answered 500"),
    ("token_not_401", with_bad_token(403), EVERYBODY, "answered 403"),
    # the issuer (features.md 2: 14; mcp.md 9.1)
    (
        "issuer_not_https",
        resource(authorization_servers=["http://auth.example"]),
        EVERYBODY,
        "http://auth.example",
    ),
    ("issuer_malformed", resource(authorization_servers=["auth"]), EVERYBODY, "'auth'"),
    ("issuer_malformed", resource(authorization_servers=["http://["]), EVERYBODY, "http://["),
    ("issuer_trailing_slash", issuer_with_slash, {*SDKS, "opencode"}, "/t/a/'"),
    ("issuer_mismatch", other_issuer("{issuer}/"), EVERYBODY, "a slash at the end"),
    ("issuer_mismatch", other_issuer("https://internal.example"), EVERYBODY, "internal.example"),
    ("issuer_mismatch", server(issuer=None), EVERYBODY, "None"),
    ("issuer_second", second_issuer, EVERYBODY, "/gone"),
    ("metadata_missing", first_issuer_dead, EVERYBODY - {"chatgpt"}, "/gone"),
    ("metadata_missing", gone(AS, OIDC), EVERYBODY, "answered 404"),
    ("metadata_misplaced", only_appended, EVERYBODY, f"/t/a{AS}"),
    (
        "metadata_redirect",
        at(AUTH, f"{AS}/t/a", reply({}, 301, Location="/x")),
        EVERYBODY,
        "301 to '/x'",
    ),
    ("metadata_stops", at(AUTH, f"{AS}/t/a", reply({}, 500)), SDKS, "answered 500"),
    ("metadata_stops", at(AUTH, f"{AS}/t/a", reply({}, 502)), {"python-sdk"}, "answered 502"),
    ("metadata_stops", at(AUTH, f"{AS}/t/a", HTML), TS, "is not JSON"),
    (
        "metadata_differs",
        lambda world: world.at(AUTH, f"{OIDC}/t/a", reply({**world.server, METHODS: ["none"]})),
        EVERYBODY,
        METHODS,
    ),
    (
        "metadata_openid",
        both(gone(AS), server(subject_types_supported=None)),
        TS,
        "subject_types_supported",
    ),
    # what it offers (features.md 2: 1, 4, 6, 7, 11, 13, 16, 20, 22; mcp.md 9.3, 9.5)
    ("endpoint_missing", server(authorization_endpoint=None), EVERYBODY, "authorization_endpoint"),
    ("endpoint_missing", server(token_endpoint="/token"), EVERYBODY, "'/token'"),
    (
        "endpoint_not_https",
        server(authorization_endpoint="http://auth.example/authorize"),
        EVERYBODY,
        "http://",
    ),
    (
        "endpoint_unreachable",
        server(token_endpoint="https://127.0.0.1:1/token"),
        EVERYBODY,
        "127.0.0.1:1",
    ),
    (
        "endpoint_other_origin",
        lambda world: world.server.update(token_endpoint=world.web.url(MCP, "/token")),
        EVERYBODY,
        "mcp.example",
    ),
    (
        "endpoint_query",
        server(authorization_endpoint="https://auth.example/a?resource=x"),
        EVERYBODY,
        "?resource=x",
    ),
    ("code_unsupported", server(response_types_supported=["token"]), EVERYBODY, "token"),
    ("code_unsupported", server(response_types_supported=None), EVERYBODY, "None"),
    (
        "code_unsupported",
        server(grant_types_supported=["refresh_token", "client_credentials"]),
        EVERYBODY,
        "client_credentials",
    ),
    ("pkce_unadvertised", server(code_challenge_methods_supported=None), EVERYBODY - SDKS, "no"),
    (
        "pkce_without_s256",
        server(code_challenge_methods_supported=["plain"]),
        EVERYBODY - {"python-sdk"},
        "plain",
    ),
    (
        "registration_impossible",
        server(registration_endpoint=None, client_id_metadata_document_supported=None),
        {"codex", "goose"},
        "does not offer metadata documents and has no",
    ),
    (
        "registration_by_hand",
        server(registration_endpoint=None),
        {"cursor", "gemini-cli"},
        "offers metadata documents and has no",
    ),
    (
        "document_needs_none",
        server(**{METHODS: ["client_secret_basic", "private_key_jwt"]}),
        {"claude-web", "claude-code"},
        "private_key_jwt",
    ),
    ("document_needs_key", server(**{METHODS: ["none"]}), {"chatgpt"}, "['none']"),
    ("document_needs_key", server(**{ALGORITHMS: ["ES256"]}), {"chatgpt"}, "['ES256']"),
    ("methods_unlisted", server(**{METHODS: None}), EVERYBODY, "None"),
    ("algorithms_unsafe", server(**{ALGORITHMS: ["RS256", "HS256"]}), EVERYBODY, "HS256"),
    ("algorithms_unsafe", server(dpop_signing_alg_values_supported=["none"]), EVERYBODY, "dpop"),
    (
        "algorithms_unsafe",
        server(id_token_signing_alg_values_supported=["RS256", "none"]),
        EVERYBODY,
        "none",
    ),
    (
        "refresh_unsupported",
        server(grant_types_supported=["authorization_code", "client_credentials"]),
        EVERYBODY,
        "authorization_code",
    ),
    ("offline_access_unlisted", server(scopes_supported=["openid"]), EVERYBODY, "openid"),
    ("scopes_everything", server(scopes_supported=["logs.read"]), {"codex"}, "logs.read"),
    (
        "iss_unadvertised",
        server(authorization_response_iss_parameter_supported=None),
        EVERYBODY,
        "authorization_response_iss",
    ),
    (
        "headless_unsupported",
        server(grant_types_supported=["authorization_code", "refresh_token"]),
        EVERYBODY,
        "refresh_token",
    ),
    (
        "enterprise_unadvertised",
        lambda world: world.server["grant_types_supported"].append(
            "urn:ietf:params:oauth:grant-type:jwt-bearer"
        ),
        {"claude-web", "vscode", *SDKS},
        "jwt-bearer",
    ),
    ("revocation_unsupported", server(revocation_endpoint=None), EVERYBODY, "revocation_endpoint"),
    # keys, errors, pages (features.md 2: 3; mcp.md 8.2, 9.6)
    ("keys_unreadable", at(AUTH, "/t/a/jwks", reply({}, 404)), EVERYBODY, "answered 404"),
    ("keys_unreadable", at(AUTH, "/t/a/jwks", reply({"keys": []})), EVERYBODY, "without keys"),
    ("keys_unpublished", server(jwks_uri=None), EVERYBODY, "None"),
    (
        "keys_without_id",
        at(AUTH, "/t/a/jwks", reply({"keys": [{"kty": "EC"}]})),
        EVERYBODY,
        "/jwks has none",
    ),
    (
        "keys_secret",
        at(AUTH, "/t/a/jwks", reply({"keys": [{"kty": "oct", "k": "c2VjcmV0"}]})),
        EVERYBODY,
        "private or symmetric",
    ),
    (
        "error_code",
        at(AUTH, "/t/a/token", reply({"error": "invalid_grant"}, 400), "POST"),
        EVERYBODY,
        "invalid_grant",
    ),
    (
        "error_format",
        at(AUTH, "/t/a/token", reply({"error": "x"}, 500), "POST"),
        EVERYBODY,
        "answered 500",
    ),
    ("error_format", at(AUTH, "/t/a/token", HTML, "POST"), EVERYBODY, "answered 200"),
    ("cors_server", at(MCP, "/mcp", Reply(405), "OPTIONS"), PAGES, "answered 405"),
    (
        "cors_server",
        at(
            MCP,
            "/mcp",
            Reply(204, headers={**CORS, "Access-Control-Allow-Headers": "*"}),
            "OPTIONS",
        ),
        PAGES,
        "does not allow authorization;",
    ),
    (
        "cors_challenge",
        lambda world: world.at(
            MCP,
            "/mcp",
            Reply(
                401,
                headers={"Access-Control-Allow-Origin": "*", "WWW-Authenticate": world.challenge},
            ),
            "POST",
        ),
        PAGES,
        "''",
    ),
    (
        "cors_metadata",
        lambda world: world.at(AUTH, f"{AS}/t/a", Reply.json(world.server)),
        PAGES,
        AS,
    ),
    (
        "cors_token",
        at(AUTH, "/t/a/token", Reply.json({"error": "invalid_client"}, 401), "POST"),
        PAGES,
        "/token",
    ),
    (
        "cors_version_header",
        at(AUTH, f"{AS}/t/a", Reply(204, headers=CORS), "OPTIONS"),
        PAGES,
        "''",
    ),
]

# What the same fault is seen by as well.
COMPANIONS = {
    "challenge_missing": {"prm_missing"},
    "endpoint_other_origin": {"error_format"},
    "endpoint_unreachable": {"endpoint_other_origin"},
    "prm_not_inserted": {"challenge_without_metadata"},
    "prm_scopes_missing": {"challenge_without_scope"},
    "registration_impossible": {"registration_by_hand"},
}


@pytest.mark.parametrize(
    ("code", "seed", "concerned", "said"),
    MISTAKES,
    ids=[f"{n}-{code}" for n, (code, *_) in enumerate(MISTAKES)],
)
def test_a_mistake_is_named(world, code, seed, concerned, said):
    """features.md section 3 item 7."""
    seed(world)
    report = world.examine()
    found = [finding for finding in report.findings if finding.code == code]
    assert len(found) == 1, [finding.code for finding in report.findings]
    assert set(found[0].clients) == concerned
    assert said in found[0].sentence
    assert (found[0].severity, found[0].mend) == (FINDINGS[code].severity, FINDINGS[code].mend)
    stopped = {verdict.client for verdict in report.verdicts if not verdict.connects}
    if found[0].severity is Severity.BREAKS:
        assert concerned <= stopped
    assert report.is_well is (not stopped)
    assert {finding.code for finding in report.findings} == {code} | COMPANIONS.get(code, set())


@pytest.mark.parametrize(
    ("url", "code", "said"),
    [
        ("https://nowhere.example/mcp", "server_unreachable", "could not be read (dns)"),
        ("http://mcp.example/mcp", "server_not_https", "http://mcp.example/mcp"),
    ],
)
def test_where_nothing_can_be_asked_that_is_all(web, url, code, said):
    world = World(web, url=url)
    network = web.network(resolve=lambda host, port: [])
    from authz.doctor.checks import judge
    from authz.doctor.walk import walk

    report = judge(network.run_blocking(walk(network, world.url)), CLIENTS)
    network.close()
    assert [finding.code for finding in report.findings] == [code]
    assert said in report.findings[0].sentence
    assert not any(verdict.connects for verdict in report.verdicts)


def test_a_server_on_this_machine_is_not_for_those_who_call_from_outside():
    with FakeWeb(tls=False) as web:
        world = World(web)
        world.url = web.url("127.0.0.1", "/mcp")
        web.serve("127.0.0.1", lambda seen: reply({}, 401))
        report = world.examine()
    (found,) = [f for f in report.findings if f.code == "server_local"]
    assert set(found.clients) == {"claude-web", "chatgpt"}


def test_every_line_of_the_table_has_a_mistake():
    seeded = {code for code, *_ in MISTAKES} | {
        "server_unreachable",
        "server_not_https",
        "server_local",
    }
    assert seeded == set(FINDINGS)


@pytest.mark.parametrize("client", CLIENTS)
def test_a_client_alone_is_judged_alone(world, client):
    """`--client`: what breaks others is not said."""
    server(code_challenge_methods_supported=None)(world)
    at(AUTH, f"{AS}/t/a", HTML)(world)
    report = world.examine(client)
    assert [verdict.client for verdict in report.verdicts] == [client]
    expected = set()
    if client not in SDKS:
        expected.add("pkce_unadvertised")
    if client in TS:
        expected.add("metadata_stops")
    assert {finding.code for finding in report.findings} == expected
    assert report.is_well is (not expected)
