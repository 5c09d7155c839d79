"""Redeeming an authorization code: bound, single-use, judged anew at redemption (O21-03, O21-07, O21-08, ATK-71)."""

import json

import pytest
from sqlalchemy import delete, update

from authz.admin import clients, resources, roles, tenants, users
from authz.db.models import AuthorizationCode, Consent, IssuedToken, TokenFamily
from tests.support.arrange import REDIRECT, VERIFIER
from tests.support.harness import RESOURCE, SCOPES

OTHER_VERIFIER = "z" * 43


def families(harness):
    with harness.server.database.read() as tx:
        return list(tx.query(TokenFamily).filter(TokenFamily.tenant_id == harness.tenant_id).all())


def redemption(harness, code):
    return {
        "grant_type": "authorization_code",
        "client_id": harness.client_id,
        "code": code,
        "code_verifier": VERIFIER,
    }


def revoke_consent(harness):
    with harness.server.database.write() as tx:
        tx.execute(
            update(Consent)
            .where(Consent.tenant_id == harness.tenant_id)
            .values(revoked_at=harness.clock())
        )


def forget_consent(harness):
    with harness.server.database.write() as tx:
        tx.execute(delete(Consent).where(Consent.tenant_id == harness.tenant_id))


# -- what is right ----------------------------------------------------------------------------------------


def test_a_code_from_the_browser_is_redeemed_once(harness):
    """O21-07, MCP-AS-57."""
    code = harness.browser().authorize().code
    first, second = harness.redeem(code), harness.redeem(code)
    assert first.ok, (first.json, first.reason)
    assert (second.status, second.error, second.reason) == (400, "invalid_grant", "code_spent")


def test_the_answer_says_everything_and_nothing_twice(harness):
    """O21-11, MCP-AS-82, MCP-AS-83."""
    answer = harness.redeem(harness.code())
    assert answer.response.headers["content-type"] == "application/json"
    assert answer.response.headers["cache-control"] == "no-store"
    assert answer.response.headers["pragma"] == "no-cache"
    assert answer.response.headers["access-control-allow-origin"] == "*"
    assert set(answer.json) == {
        "access_token",
        "token_type",
        "expires_in",
        "scope",
        "refresh_token",
    }
    assert None not in answer.json.values()
    assert answer.json["token_type"] == "Bearer"
    assert answer.json["expires_in"] == 600
    assert answer.json["scope"] == "analytics.query logs.read"


def test_the_access_token_is_an_rfc_9068_token(harness):
    """ATJ-01, ATJ-02, ATJ-03, ATJ-05, MCP-AS-64, MCP-AS-77, S9, O21-31."""
    answer = harness.redeem(harness.code())
    claims = harness.claims(answer.access_token)
    now = int(harness.clock().timestamp())
    [family] = families(harness)
    assert claims == {
        "iss": harness.issuer,
        "sub": harness.users["dev"],
        "aud": RESOURCE,
        "client_id": harness.client_id,
        "iat": now,
        "exp": now + 600,
        "jti": claims["jti"],
        "scope": "analytics.query logs.read",
        "grant_id": family.id,
        "tenant": harness.slug,
        "policy_version": harness.tenant().config_version,
        "auth_time": now,
        "amr": ["pwd"],
    }


@pytest.mark.parametrize("registered", ["https://mcp.example", "https://mcp.example/"])
def test_the_audience_is_the_registered_spelling(harness, registered):
    """MCP-AS-66, MCP-AS-67: an origin with and without a slash is one resource."""
    resource = harness.add_resource(registered)
    code = harness.code(resource_id=resource.id)
    other = registered.rstrip("/") if registered.endswith("/") else registered + "/"
    answer = harness.redeem(code, resource=other.replace("https", "HTTPS"))
    assert harness.claims(answer.access_token)["aud"] == registered


def test_a_second_server_has_the_same_roles_and_people(harness):
    """M4: it declares the scopes that roles hold already, and nobody is set up anew."""
    second = harness.add_resource("https://second.example/mcp")
    for login, held in (
        ("dev@example.com", {"logs.read", "analytics.query"}),
        ("sre@example.com", {"logs.read", "logs.debug.write", "incidents.trigger"}),
    ):
        wanted = "logs.read analytics.query logs.debug.write incidents.trigger"
        answer = harness.tokens(login, resource=second.identifier, scope=wanted)
        claims = harness.claims(answer.access_token)
        assert (claims["aud"], set(claims["scope"].split())) == (second.identifier, held)


@pytest.mark.parametrize("redirect_uri", [REDIRECT, None, ""])
def test_the_redirect_uri_may_be_absent_or_the_same(harness, redirect_uri):
    """CONF-14, STK-13: OAuth 2.1 dropped the parameter; empty is absent (O21-06)."""
    assert harness.redeem(harness.code(), redirect_uri=redirect_uri).ok


def test_an_unknown_parameter_is_ignored(harness):
    """O21-06, MCP-AS-63; `scope` is not a parameter of this grant, so it cannot widen anything (ATK-55)."""
    answer = harness.redeem(
        harness.code(), shoe_size="44", scope="incidents.trigger", resource=RESOURCE
    )
    assert answer.scopes == {"logs.read", "analytics.query"}


def test_parameters_in_the_query_are_ignored(harness):
    """O21-13, ATK-10: secrets never travel in the URL, so nothing there is read."""
    code = harness.code()
    response = harness.http.post(
        f"{harness.issuer}/token?grant_type=authorization_code&client_id={harness.client_id}"
        f"&code={code}&code_verifier={VERIFIER}",
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    )
    assert response.status_code == 401
    assert response.json()["error"] == "invalid_client"
    assert harness.redeem(code).ok


# -- what is wrong ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "error", "reason"),
    [
        ({"code": "azc_never_issued"}, "invalid_grant", "code_unknown"),
        ({"code": ""}, "invalid_request", "code_missing"),
        ({"code_verifier": ""}, "invalid_request", "code_verifier_missing"),
        ({"code_verifier": "z" * 42}, "invalid_request", "verifier_malformed"),
        ({"code_verifier": "z" * 129}, "invalid_request", "verifier_malformed"),
        ({"code_verifier": "z" * 42 + "+"}, "invalid_request", "verifier_malformed"),
        ({"code_verifier": "z" * 42 + "é"}, "invalid_request", "verifier_malformed"),
        ({"code_verifier": VERIFIER + "\n"}, "invalid_request", "verifier_malformed"),
        ({"code_verifier": OTHER_VERIFIER}, "invalid_grant", "pkce_mismatch"),
        ({"redirect_uri": REDIRECT + "/"}, "invalid_grant", "redirect_uri_mismatch"),
        ({"redirect_uri": REDIRECT.upper()}, "invalid_grant", "redirect_uri_mismatch"),
        ({"resource": "https://other.example/mcp"}, "invalid_target", "resource_not_authorized"),
        ({"resource": RESOURCE + "/deeper"}, "invalid_target", "resource_not_authorized"),
        ({"resource": RESOURCE + "#part"}, "invalid_target", "resource_malformed"),
        ({"resource": "mcp.example/mcp"}, "invalid_target", "resource_malformed"),
        ({"resource": "http://mcp.example/mcp"}, "invalid_target", "resource_malformed"),
    ],
)
def test_a_wrong_parameter_is_refused_and_the_code_stays_good(harness, fields, error, reason):
    """O21-03, O21-07, RI-01, RI-02, MCP-AS-65, ATK-04, ATK-05: a mistake does not spend the code."""
    code = harness.code()
    wrong = harness.token(redemption(harness, code) | fields)
    assert (wrong.status, wrong.error, wrong.reason) == (400, error, reason)
    assert harness.redeem(code).ok


@pytest.mark.parametrize("missing", ["code", "code_verifier"])
def test_a_missing_parameter_is_named(harness, missing):
    """O21-03: a verifier is never optional, because a challenge never is."""
    fields = redemption(harness, harness.code())
    del fields[missing]
    answer = harness.token(fields)
    assert (answer.status, answer.error, answer.reason) == (
        400,
        "invalid_request",
        f"{missing}_missing",
    )


def test_the_challenge_is_not_a_verifier(harness):
    """ATK-05: `plain` would accept it."""
    from tests.support.arrange import challenge

    answer = harness.redeem(harness.code(), code_verifier=challenge())
    assert answer.reason == "pkce_mismatch"


def test_a_code_of_another_client_is_refused_and_stays_good(harness):
    """ATK-04, O21-07."""
    other = harness.add_client(name="Other").client.id
    code = harness.code()
    stolen = harness.redeem(code, client_id=other)
    assert (stolen.error, stolen.reason) == ("invalid_grant", "code_of_other_client")
    assert harness.redeem(code).ok


def test_every_defect_of_a_code_has_one_public_sentence(harness):
    """A prober learns nothing from the description."""
    other = harness.add_client(name="Other").client.id
    spent = harness.code()
    assert harness.redeem(spent).ok
    answers = [
        harness.redeem("azc_unknown"),
        harness.redeem(harness.code(), client_id=other),
        harness.redeem(harness.code(), code_verifier=OTHER_VERIFIER),
        harness.redeem(harness.code(), redirect_uri="https://evil.example/"),
        harness.redeem(spent),
    ]
    assert len({a.response.text for a in answers}) == 1
    assert len({a.reason for a in answers}) == len(answers)


@pytest.mark.parametrize(
    ("seconds", "reason"), [(59, None), (60, "code_expired"), (61, "code_expired")]
)
def test_a_code_lives_sixty_seconds(harness, seconds, reason):
    """O21-07."""
    code = harness.code()
    harness.clock.advance(seconds=seconds)
    assert harness.redeem(code).reason == reason


def test_a_code_of_another_tenant_is_unknown(harness, server):
    """M1, O21-35."""
    from tests.support.harness import Harness

    other = Harness(server)
    code = other.code()
    with server.database.write() as tx:
        clients.add(
            tx,
            server.operator(),
            harness.tenant_id,
            clients.Registration(name="Same id", redirect_uris=(REDIRECT,)),
            client_id="same-id",
        )
    assert harness.redeem(code, client_id="same-id").reason == "code_unknown"
    assert harness.redeem(code).reason == "code_unknown"
    assert other.redeem(code).ok
    other.close()


# -- replay -----------------------------------------------------------------------------------------------


def test_a_valid_replay_ends_what_the_code_made(harness):
    """O21-08, MCP-AS-57, STK-11: the tombstone remembers which family."""
    code = harness.code()
    first = harness.redeem(code)
    assert harness.redeem(code).reason == "code_spent"
    after = harness.refresh(first.refresh_token)
    assert (after.error, after.reason) == ("invalid_grant", "family_revoked:code_replayed")
    [revoked] = harness.events("grant.revoked")
    assert revoked["detail"]["reason"] == "code_replayed"
    assert revoked["subject"] == harness.users["dev"]


def test_a_replay_after_the_code_expired_still_ends_the_family(harness):
    """O21-08: the tombstone outlives the code."""
    code = harness.code()
    first = harness.redeem(code)
    harness.clock.advance(minutes=5)
    assert harness.redeem(code).reason == "code_spent"
    assert harness.refresh(first.refresh_token).reason == "family_revoked:code_replayed"


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"code_verifier": OTHER_VERIFIER}, "pkce_mismatch"),
        ({"code_verifier": "short"}, "verifier_malformed"),
        ({"redirect_uri": "https://evil.example/"}, "redirect_uri_mismatch"),
        ({"client_id": "other-client"}, "code_of_other_client"),
    ],
)
def test_a_replay_that_is_wrong_otherwise_ends_nothing(harness, fields, reason):
    """O21-08, ATK-06: who only saw the code cannot end the session of its owner."""
    harness.add_client(name="Other", client_id="other-client")
    code = harness.code()
    first = harness.redeem(code)
    assert harness.redeem(code, **fields).reason == reason
    assert harness.refresh(first.refresh_token).ok


def test_a_second_replay_changes_nothing_more(harness):
    code = harness.code()
    harness.redeem(code)
    assert [harness.redeem(code).reason for _ in range(2)] == ["code_spent", "code_spent"]
    assert len(harness.events("grant.revoked")) == 1


# -- what changed between authorize and token (ATK-71) ----------------------------------------------------


@pytest.mark.parametrize(
    ("change", "status", "error", "reason"),
    [
        (
            lambda h: h.change(users.disable, "dev@example.com"),
            400,
            "invalid_grant",
            "code_spent",
        ),
        (
            lambda h: h.change(clients.block, h.client_id),
            401,
            "invalid_client",
            "client_blocked",
        ),
        (
            lambda h: h.change(clients.remove, h.client_id),
            401,
            "invalid_client",
            "client_unknown",
        ),
        (revoke_consent, 400, "invalid_grant", "consent_revoked"),
        (forget_consent, 400, "invalid_grant", "consent_revoked"),
        (
            lambda h: h.change(
                roles.unbind, role="developer", kind="user", holder="dev@example.com"
            ),
            400,
            "access_denied",
            "nothing_granted",
        ),
        (
            lambda h: h.change(resources.set_status, RESOURCE, "disabled"),
            400,
            "invalid_target",
            "resource_gone",
        ),
        (
            lambda h: h.change(clients.set_ceiling, h.client_id, frozenset({"incidents.trigger"})),
            400,
            "access_denied",
            "nothing_granted",
        ),
    ],
    ids=[
        "user-disabled",
        "client-blocked",
        "client-removed",
        "consent-revoked",
        "consent-gone",
        "role-removed",
        "resource-disabled",
        "ceiling-narrowed",
    ],
)
def test_what_changed_since_authorize_counts(harness, change, status, error, reason):
    """ATK-71, O21-20, CONF-03: judged at redemption, not at consent."""
    code = harness.code()
    change(harness)
    answer = harness.redeem(code)
    assert (answer.status, answer.error, answer.reason) == (status, error, reason)
    assert not families(harness)


def test_a_disabled_tenant_answers_nobody(harness):
    """ATK-71: the first request finds out inside its batch, later ones find no issuer."""
    code = harness.code()
    assert harness.redeem("azc_warm_up").reason == "code_unknown"
    with harness.server.database.write() as tx:
        tenants.set_status(tx, harness.server.operator(), slug=harness.slug, status="disabled")
    first = harness.redeem(code)
    assert (first.status, first.error, first.reason) == (401, "invalid_client", "tenant_disabled")
    assert harness.redeem(code).status == 404
    assert not families(harness)


def test_a_narrower_role_narrows_the_token(harness):
    """L6, ATK-71: less than consented, and `scope` says so (MCP-AS-74)."""
    code = harness.code()
    harness.import_roles(
        "roles: {developer: [logs.read]}\nbindings: [{role: developer, users: [dev@example.com]}]"
    )
    answer = harness.redeem(code)
    assert answer.scopes == {"logs.read"}
    assert harness.events("token.issued")[-1]["detail"]["removed"] == {
        "analytics.query": "role_missing"
    }


def test_a_code_that_gives_nothing_is_spent(harness):
    """The answer to it has been given: a role that comes back later does not revive it."""
    code = harness.code()
    harness.change(roles.unbind, role="developer", kind="user", holder="dev@example.com")
    assert harness.redeem(code).reason == "nothing_granted"
    harness.change(roles.bind, role="developer", kind="user", holder="dev@example.com")
    assert harness.redeem(code).reason == "code_spent"


def test_no_scope_means_the_defaults_of_the_server(harness):
    """S10, MCP-AS-70, O21-32: never everything."""
    code = harness.code("sre", requested=None, scopes=[s.name for s in SCOPES])
    assert harness.redeem(code).scopes == {"logs.read"}


def test_the_yaml_of_the_article_gives_two_and_three_scopes(harness):
    """S3, L4: asking for all of them."""
    everything = [s.name for s in SCOPES]
    dev = harness.redeem(harness.code("dev", requested=everything, scopes=everything))
    sre = harness.redeem(harness.code("sre", requested=everything, scopes=everything))
    assert dev.scopes == {"logs.read", "analytics.query"}
    assert sre.scopes == {"logs.read", "logs.debug.write", "incidents.trigger"}


def test_what_the_person_withheld_stays_withheld(harness):
    """MCP-AS-74."""
    code = harness.code(scopes=["logs.read"], requested=["logs.read", "analytics.query"])
    answer = harness.redeem(code)
    assert answer.scopes == {"logs.read"}
    assert harness.events("token.issued")[-1]["detail"]["removed"] == {
        "analytics.query": "consent_withheld"
    }


# -- refresh tokens: who gets one -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("grant_types", "offline_access", "gets_one"),
    [
        (("authorization_code", "refresh_token"), False, True),
        (("authorization_code", "refresh_token"), True, True),
        (("authorization_code",), True, True),
        (("authorization_code",), False, False),
    ],
)
def test_who_gets_a_refresh_token(harness, grant_types, offline_access, gets_one):
    """MCP-AS-80, MCP-AS-81, MCP-07: registered for it, or consented to; absent rather than null otherwise."""
    client_id = harness.add_client(name="Some", grant_types=grant_types).client.id
    code = harness.code(client_id=client_id, offline_access=offline_access)
    answer = harness.redeem(code, client_id=client_id)
    assert answer.ok
    assert ("refresh_token" in answer.json) is gets_one
    assert harness.events("token.issued")[-1]["detail"]["refresh_token"] is gets_one
    assert "offline_access" not in answer.scopes
    if gets_one:
        assert harness.refresh(answer.refresh_token, client_id=client_id).ok


def test_offline_access_through_the_browser(harness):
    """MCP-AS-81: accepted, never a scope of the token."""
    client_id = harness.add_client(name="Some", grant_types=("authorization_code",)).client.id
    with_it = harness.tokens(client_id=client_id, scope="logs.read offline_access")
    without = harness.tokens(client_id=client_id, scope="logs.read")
    assert "refresh_token" in with_it.json
    assert with_it.scopes == {"logs.read"}
    assert "refresh_token" not in without.json


# -- records ----------------------------------------------------------------------------------------------


def test_a_redemption_leaves_exactly_its_rows(harness):
    """L12, O21-15: the code by digest, one family, one token record with its decision."""
    code = harness.code()
    answer = harness.redeem(code)
    claims = harness.claims(answer.access_token)
    with harness.server.database.read() as tx:
        [row] = tx.query(AuthorizationCode).filter_by(tenant_id=harness.tenant_id).all()
        [token] = tx.query(IssuedToken).filter_by(tenant_id=harness.tenant_id).all()
    [family] = families(harness)
    assert row.digest != code
    assert (row.spent_at, row.family_id) == (harness.clock(), family.id)
    assert (token.jti, token.family_id) == (claims["jti"], family.id)
    assert (family.generation, family.revoked_at) == (1, None)
    assert family.scopes == {"logs.read", "analytics.query"}
    assert json.loads(token.decision)["policy_version"] == harness.tenant().config_version


def test_a_refused_redemption_leaves_only_its_event(harness):
    code = harness.code()
    harness.redeem(code, code_verifier=OTHER_VERIFIER)
    [event] = harness.events("token.refused")
    assert event["detail"]["reason"] == "pkce_mismatch"
    assert not families(harness)
    assert harness.count(IssuedToken) == 0
