"""The device grant (RFC 8628): a terminal that asks, a person who answers elsewhere, and those who abuse both."""

import re

import pytest
from sqlalchemy import select, update

from authz import jobs
from authz.admin import clients, resources, roles, scopes, users
from authz.db.models import Consent, DeviceCode, TokenFamily
from authz.oauth.devices import DEVICE_GRANT
from tests.support.client_keys import ClientKey
from tests.support.devices import add_device_client, allow, answer, ask, open_page, type_code
from tests.support.dpop_keys import DpopKey
from tests.support.harness import RESOURCE, Harness

NOT_GOOD = "There is no such code, or it is no longer good."
EVERYTHING = "logs.read analytics.query logs.debug.write incidents.trigger"


@pytest.fixture
def device(harness):
    """A device that waits."""
    return ask(harness)


@pytest.fixture
def neighbour(server):
    """Another tenant of the same server."""
    made = Harness(server)
    yield made
    made.close()


def row_of(device):
    with device.harness.server.database.read() as tx:
        found = select(DeviceCode).where(DeviceCode.tenant_id == device.harness.tenant_id)
        return tx.scalars(found).one()


def spend_guesses(browser, count, code="BBBB-BBBB"):
    page = None
    for _ in range(count):
        page = browser.post(f"{browser.harness.issuer}/device", {"user_code": code})
    return page


# -- asking for the codes ---------------------------------------------------------------------------------


def test_a_device_gets_its_codes(harness, device):
    """DEV-01, DEV-02: RFC 8628 §3.2; nothing that was handed out is stored."""
    body = device.answer.json
    assert device.answer.status == 200
    assert device.answer.response.headers["cache-control"] == "no-store"
    assert body.keys() == {
        "device_code",
        "user_code",
        "verification_uri",
        "verification_uri_complete",
        "expires_in",
        "interval",
    }
    assert re.fullmatch(r"[BCDFGHJKLMNPQRSTVWXZ]{4}-[BCDFGHJKLMNPQRSTVWXZ]{4}", body["user_code"])
    assert body["verification_uri"] == f"{harness.issuer}/device"
    assert body["verification_uri_complete"] == (
        f"{harness.issuer}/device?user_code={body['user_code']}"
    )
    assert (body["expires_in"], body["interval"]) == (600, 5)
    stored = {str(value) for value in vars(row_of(device)).values()}
    assert not stored & {body["device_code"], body["user_code"]}
    assert harness.events("device.approved") == harness.events("token.refused") == []


def test_every_device_gets_its_own(harness):
    client_id = add_device_client(harness)
    asked = [ask(harness, client_id) for _ in range(5)]
    assert len({a.user_code for a in asked}) == len({a.device_code for a in asked}) == 5


def test_metadata_names_the_endpoint_and_the_grant(harness):
    """META-02."""
    url = harness.issuer.replace("/t/", "/.well-known/oauth-authorization-server/t/")
    document = harness.http.get(url).json()
    assert document["device_authorization_endpoint"] == f"{harness.issuer}/device_authorization"
    assert DEVICE_GRANT in document["grant_types_supported"]


def test_a_client_without_the_grant_is_refused(harness):
    """DEV-03: off by default, per client."""
    refused = ask(harness, harness.client_id).answer
    assert (refused.error, refused.reason) == ("unauthorized_client", "device_grant_not_allowed")
    polled = harness.token(
        {"grant_type": DEVICE_GRANT, "client_id": harness.client_id, "device_code": "azd_x"}
    )
    assert (polled.error, polled.reason) == ("unauthorized_client", "grant_type_not_allowed")


def test_a_metadata_document_does_not_give_itself_the_grant(harness):
    """DEV-03: only what an operator registered."""
    url = harness.serve_document(
        grant_types=["authorization_code", DEVICE_GRANT, "refresh_token"],
    )
    assert harness.tokens(client_id=url).ok
    refused = ask(harness, url).answer
    assert (refused.error, refused.reason) == ("unauthorized_client", "device_grant_not_allowed")
    polled = harness.token({"grant_type": DEVICE_GRANT, "client_id": url, "device_code": "azd_x"})
    assert (polled.error, polled.reason) == ("unauthorized_client", "device_grant_not_allowed")
    assert harness.count(DeviceCode) == 0


@pytest.mark.parametrize(
    ("fields", "error", "reason"),
    [
        ({"resource": "https://other.example/mcp"}, "invalid_target", "resource_unknown"),
        ({"resource": "not a url"}, "invalid_target", "resource_malformed"),
        ({"scope": "nothing.known"}, "invalid_scope", "scope_unknown"),
        ({"scope": 'a"b'}, "invalid_scope", "scope_malformed"),
        ({"client_id": "nobody"}, "invalid_client", "client_unknown"),
        ({"client_id": None}, "invalid_client", "client_missing"),
        ({"authorization_details": "[]"}, "invalid_request", "details_not_supported"),
    ],
)
def test_a_request_that_cannot_be_granted_is_refused_at_once(harness, fields, error, reason):
    """DEV-01, RI-03."""
    sent = {"client_id": add_device_client(harness), "scope": "logs.read", **fields}
    present = {name: value for name, value in sent.items() if value is not None}
    refused = harness.post("/device_authorization", present)
    assert (refused.error, refused.reason) == (error, reason)
    assert harness.count(DeviceCode) == 0


def test_a_repeated_parameter_is_refused(harness):
    """ATK-10."""
    client_id = add_device_client(harness)
    pairs = [("client_id", client_id), ("scope", "logs.read"), ("scope", "analytics.query")]
    refused = harness.post("/device_authorization", pairs)
    assert (refused.error, refused.reason) == ("invalid_request", "parameter_repeated")


def test_without_a_resource_it_is_the_tenants_default(harness):
    """DEV-03, RI-04."""
    device = ask(harness, resource=None)
    assert row_of(device).resource_id == harness.resource.id
    harness.add_resource("https://second.example/mcp")
    refused = ask(harness, device.client_id, resource=None).answer
    assert (refused.error, refused.reason) == ("invalid_target", "resource_missing")


def test_a_confidential_client_has_to_prove_itself(harness):
    """DEV-01: client authentication as at the token endpoint, replay included."""
    key = ClientKey()
    client_id = add_device_client(harness, auth_method="private_key_jwt", jwks=key.jwks)
    bare = ask(harness, client_id).answer
    assert (bare.status, bare.error) == (401, "invalid_client")
    proof = key.fields(client_id, harness.issuer, harness.clock())
    assert ask(harness, client_id, **proof).answer.status == 200
    again = ask(harness, client_id, **proof).answer
    assert (again.error, again.reason) == ("invalid_client", "assertion_replayed")


def test_any_origin_may_ask(harness):
    """MCP-AS-27: no cookie is read."""
    client_id = add_device_client(harness)
    answered = harness.post("/device_authorization", {"client_id": client_id})
    assert answered.response.headers["access-control-allow-origin"] == "*"
    assert harness.http.options(f"{harness.issuer}/device_authorization").status_code == 204


# -- polling ----------------------------------------------------------------------------------------------


def test_a_person_allows_and_the_device_gets_its_tokens(harness, device):
    """DEV-01, DEV-04, L1: the whole way, and what the trail tells of it."""
    assert device.poll().error == "authorization_pending"
    page = allow(device)
    assert page.status == 200
    assert "The device is allowed" in page.text
    answered = device.poll()
    assert answered.ok
    claims = harness.claims(answered.access_token)
    assert claims["sub"] == harness.users["dev"]
    assert claims["client_id"] == device.client_id
    assert claims["aud"] == RESOURCE
    assert answered.scopes == {"logs.read"}
    [approved] = harness.events("device.approved")
    assert approved["subject"] == harness.users["dev"]
    assert approved["client"] == device.client_id
    assert approved["detail"] == {
        "resource": RESOURCE,
        "scopes": ["logs.read"],
        "withheld": [],
        "removed": {},
        "asked_from": "127.0.0.1",
    }
    [issued] = harness.events("token.issued")
    assert issued["detail"]["grant_type"] == DEVICE_GRANT


def test_waiting_is_not_recorded(harness, device):
    """A device that polls for minutes must not drown the trail."""
    for _ in range(3):
        assert device.poll().reason in ("device_pending", "polled_too_soon")
    assert harness.events("token.refused") == []


def test_who_polls_too_soon_has_to_wait_longer_each_time(harness, device):
    """DEV-01: RFC 8628 §3.5, plus five seconds for this and all later requests."""
    assert device.poll().error == "authorization_pending"
    harness.clock.advance(seconds=5)
    assert device.poll().error == "authorization_pending"
    harness.clock.advance(seconds=3)
    assert device.poll().error == "slow_down"
    assert row_of(device).poll_interval == 10
    harness.clock.advance(seconds=8)
    assert device.poll().error == "slow_down"
    assert row_of(device).poll_interval == 15
    harness.clock.advance(seconds=15)
    assert device.poll().error == "authorization_pending"
    harness.clock.advance(seconds=14)  # what lies between their clock and ours
    assert device.poll().error == "authorization_pending"
    assert row_of(device).poll_interval == 15


def test_an_answer_is_told_at_once_however_soon_it_is_asked_for(harness, device):
    device.poll()
    assert device.poll().error == "slow_down"
    allow(device)
    assert device.poll().ok


def test_a_refusal_is_told(harness, device):
    """DEV-01: `access_denied`, for good."""
    page = allow(device, allow=False)
    assert "The device was refused" in page.text
    for _ in range(2):
        refused = device.poll()
        assert (refused.error, refused.reason) == ("access_denied", "device_denied")
    [denied] = harness.events("device.denied")
    assert denied["subject"] == harness.users["dev"]
    assert denied["detail"]["reason"] == "consent_refused"
    assert harness.count(Consent) == 0


def test_allowing_nothing_is_a_refusal(harness, device):
    page = allow(device, scopes=[])
    assert "The device was refused" in page.text
    assert device.poll().error == "access_denied"
    assert harness.events("device.denied")[0]["detail"]["reason"] == "consent_withheld"


@pytest.mark.parametrize("answered", [False, True])
def test_a_code_expires(harness, device, answered):
    """DEV-01, DEV-02: ten minutes, whether or not it was allowed meanwhile."""
    if answered:
        allow(device)
    harness.clock.advance(minutes=10)
    refused = device.poll()
    assert (refused.error, refused.reason) == ("expired_token", "device_code_expired")


def test_a_code_works_once_and_a_replay_ends_what_it_made(harness, device):
    """DEV-04, O21-08."""
    allow(device)
    first = device.poll()
    again = device.poll()
    assert (again.error, again.reason) == ("invalid_grant", "device_code_spent")
    refreshed = harness.refresh(first.refresh_token, client_id=device.client_id)
    assert refreshed.reason == "family_revoked:device_code_replayed"
    assert device.poll().reason == "device_code_spent"
    assert len(harness.events("grant.revoked")) == 1


def test_another_client_cannot_poll_or_disturb(harness, device):
    """DEV-04: bound to the client."""
    other = add_device_client(harness)
    for expected in ("before", "after"):
        refused = device.poll(client_id=other)
        assert refused.error == "invalid_grant", expected
        assert refused.reason == "device_code_of_other_client"
        if expected == "before":
            allow(device)
    first = device.poll()
    assert device.poll(client_id=other).reason == "device_code_of_other_client"
    assert harness.refresh(first.refresh_token, client_id=device.client_id).ok


def test_a_code_of_another_tenant_is_unknown(harness, neighbour, device):
    """M1: to its polls as to its people."""
    allow(device)
    add_device_client(neighbour, client_id="agent")
    refused = neighbour.token(
        {"grant_type": DEVICE_GRANT, "client_id": "agent", "device_code": device.device_code}
    )
    assert (refused.error, refused.reason) == ("invalid_grant", "device_code_unknown")
    waiting = ask(harness, device.client_id)
    page = type_code(neighbour.browser(), waiting.user_code)
    assert (page.status, page.reason) == (400, "user_code_not_pending")


@pytest.mark.parametrize("code", ["azd_unknown", "BCDF-GHJK"])
def test_an_unknown_code_is_refused(harness, code):
    client_id = add_device_client(harness)
    refused = harness.token(
        {"grant_type": DEVICE_GRANT, "client_id": client_id, "device_code": code}
    )
    assert (refused.error, refused.reason) == ("invalid_grant", "device_code_unknown")


def test_the_resource_may_only_be_repeated(harness, device):
    """MCP-AS-65."""
    harness.add_resource("https://second.example/mcp")
    allow(device)
    refused = device.poll(resource="https://second.example/mcp")
    assert (refused.error, refused.reason) == ("invalid_target", "resource_not_authorized")
    assert device.poll(resource=RESOURCE).ok


# -- tokens bound to a key ----------------------------------------------------------------------------------


def test_a_proof_binds_the_tokens(harness, device):
    """DPOP-02, RFC 8628 §3.4: as in the code grant, refresh token of a public client included."""
    key, other = DpopKey(), DpopKey()

    def proof(by):
        return {"DPoP": by.proof(f"{harness.issuer}/token", harness.clock())}

    allow(device)
    answered = device.poll(headers=proof(key))
    assert answered.json["token_type"] == "DPoP"
    assert harness.claims(answered.access_token)["cnf"] == {"jkt": key.jkt}
    refresh = {
        "grant_type": "refresh_token",
        "client_id": device.client_id,
        "refresh_token": answered.refresh_token,
    }
    assert harness.token(refresh).reason == "binding_proof_missing"
    assert harness.token(refresh, **proof(other)).reason == "binding_other_key"
    assert harness.token(refresh, **proof(key)).ok


# -- what must still stand when the tokens are fetched -------------------------------------------------------


def revoke_consent(harness, _):
    with harness.server.database.write() as tx:
        tx.execute(
            update(Consent)
            .where(Consent.tenant_id == harness.tenant_id)
            .values(revoked_at=harness.clock())
        )


@pytest.mark.parametrize(
    ("happens", "error", "reason"),
    [
        (
            lambda h, _: h.change(users.disable, "dev@example.com"),
            "invalid_grant",
            "access_ended",
        ),
        (revoke_consent, "invalid_grant", "consent_revoked"),
        (
            lambda h, _: h.change(resources.set_status, RESOURCE, "disabled"),
            "invalid_target",
            "resource_gone",
        ),
        (lambda h, d: h.change(clients.block, d.client_id), "invalid_client", "client_blocked"),
        (
            lambda h, _: h.change(
                roles.unbind, role="developer", kind="user", holder="dev@example.com"
            ),
            "access_denied",
            "nothing_granted",
        ),
    ],
)
def test_what_changed_after_the_answer_counts(harness, device, happens, error, reason):
    """ATK-59: "still enabled?" is asked when the tokens are fetched."""
    allow(device)
    happens(harness, device)
    refused = device.poll()
    assert (refused.error, refused.reason) == (error, reason)
    assert harness.count(TokenFamily) == 0


def test_a_code_from_which_policy_left_nothing_is_spent(harness, device):
    allow(device)
    harness.change(roles.unbind, role="developer", kind="user", holder="dev@example.com")
    assert device.poll().error == "access_denied"
    harness.change(roles.bind, role="developer", kind="user", holder="dev@example.com")
    assert device.poll().reason == "device_code_spent"


def test_policy_is_asked_again_with_the_roles_of_now(harness):
    device = ask(harness, scope="logs.read analytics.query")
    allow(device)
    harness.change(clients.set_ceiling, device.client_id, frozenset({"analytics.query"}))
    assert device.poll().scopes == {"analytics.query"}


def test_a_scope_that_became_destructive_does_not_leave(harness):
    """DEV-03."""
    device = ask(harness, scope="logs.read analytics.query")
    allow(device)
    change = scopes.ScopeChange(risk="destructive")
    harness.change(scopes.edit_scope, harness.resource.id, "analytics.query", change)
    assert device.poll().scopes == {"logs.read"}
    [issued] = harness.events("token.issued")
    assert issued["detail"]["removed"] == {"analytics.query": "device_ceiling"}


# -- refresh tokens -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("grants", "scope", "refreshable"),
    [
        ((DEVICE_GRANT,), "logs.read", False),
        ((DEVICE_GRANT,), "logs.read offline_access", True),
        ((DEVICE_GRANT, "refresh_token"), "logs.read", True),
    ],
)
def test_refresh_tokens_follow_the_rules_of_the_code_grant(harness, grants, scope, refreshable):
    """MCP-AS-80."""
    client_id = add_device_client(harness, grant_types=grants)
    device = ask(harness, client_id, scope=scope)
    page = type_code(harness.browser(), device.user_code)
    assert ("while you are away" in page.text) is refreshable
    allow(device)
    answered = device.poll()
    assert ("refresh_token" in answered.json) is refreshable
    if refreshable:
        assert harness.refresh(answered.refresh_token, client_id=client_id).ok


def test_taking_the_consent_back_ends_it(harness, device):
    allow(device)
    answered = device.poll()
    revoke_consent(harness, device)
    refused = harness.refresh(answered.refresh_token, client_id=device.client_id)
    assert refused.reason == "consent_revoked"


# -- the pages ------------------------------------------------------------------------------------------------


def test_a_link_asks_to_sign_in_and_says_nothing_of_the_code(harness, device):
    """DEV-02: a stranger learns nothing, whether the code is good or not."""
    pages = [
        harness.browser().get(f"{harness.issuer}/device?user_code={code}")
        for code in (device.user_code, "BBBB-BBBB")
    ]
    assert all(page.is_login for page in pages)
    texts = [re.sub(r"[A-Z]{4}-[A-Z]{4}", "CODE", page.text) for page in pages]
    assert texts[0] == texts[1]
    assert "Build agent" not in texts[0]


def test_a_complete_link_fills_in_the_code_and_answers_nothing(harness, device):
    """DEV-02, ATK-21: RFC 8628 §5.4, an explicit confirmation even then."""
    browser = harness.browser()
    page = open_page(browser, device.user_code)
    assert page.field("user_code") == device.user_code
    assert "confirm_id" not in page.text
    assert row_of(device).status == "pending"
    page = browser.post(f"{harness.issuer}/device", {"user_code": page.field("user_code")})
    assert row_of(device).status == "pending"
    assert answer(browser, page).status == 200
    assert row_of(device).status == "approved"


def test_the_page_shows_who_asks_for_what_and_from_where(harness):
    """DEV-02, DEV-03, ATK-21."""
    device = ask(harness, scope=EVERYTHING)
    harness.clock.advance(minutes=2)
    page = type_code(harness.browser("sre@example.com"), device.user_code)
    assert page.offered == ["logs.read", "logs.debug.write"]
    for words in (
        "Build agent",
        device.client_id,
        "Operations",
        RESOURCE,
        device.user_code,
        "sre@example.com",
        "Asked 2 minutes ago",
        "127.0.0.1",
        "Did somebody send you this code or this link?",
        "Change log levels",
    ):
        assert words in page.text, words


def test_a_destructive_scope_never_leaves_through_it(harness):
    """DEV-03: shown with its reason, whatever the person ticks, and told by explain."""
    device = ask(harness, scope=EVERYTHING)
    browser = harness.browser("sre@example.com")
    page = type_code(browser, device.user_code)
    assert "incidents.trigger" not in page.offered
    assert "it is destructive, and another device never gets that" in page.text
    answer(browser, page, scopes=["logs.read", "incidents.trigger"])
    answered = device.poll()
    assert answered.scopes == {"logs.read"}
    [approved] = harness.events("device.approved")
    assert approved["detail"]["removed"]["incidents.trigger"] == "device_ceiling"
    assert approved["detail"]["withheld"] == ["logs.debug.write"]
    [issued] = harness.events("token.issued")
    assert issued["detail"]["removed"]["incidents.trigger"] == "device_ceiling"


def test_reading_alone_is_one_answer(harness):
    """Of what is ticked, what changes nothing: in the tokens, after a refresh, and in the trail."""
    device = ask(harness, scope=EVERYTHING)
    browser = harness.browser("sre@example.com")
    page = type_code(browser, device.user_code)
    assert page.offered == ["logs.read", "logs.debug.write"]
    assert "Only let it read" in page.text
    told = answer(browser, page, decision="read")
    assert "The device is allowed" in told.text
    answered = device.poll()
    assert answered.scopes == {"logs.read"}
    refreshed = harness.refresh(answered.refresh_token, client_id=device.client_id)
    assert refreshed.scopes == {"logs.read"}
    [approved] = harness.events("device.approved")
    assert approved["detail"]["scopes"] == ["logs.read"]
    assert approved["detail"]["withheld"] == ["logs.debug.write"]


def test_reading_alone_takes_nothing_that_was_unticked(harness):
    """ATK-55: it only ever takes away; of a choice without reading nothing is left."""
    device = ask(harness, scope=EVERYTHING)
    browser = harness.browser("sre@example.com")
    page = type_code(browser, device.user_code)
    told = answer(browser, page, scopes=["logs.debug.write", "incidents.trigger"], decision="read")
    assert "The device was refused" in told.text
    assert device.poll().error == "access_denied"
    assert harness.events("device.denied")[0]["detail"]["reason"] == "consent_withheld"


def test_reading_alone_is_judged_by_what_a_scope_is_at_the_answer(harness):
    """What only read when the page was shown is not given once it changes something."""
    device = ask(harness, scope="logs.read analytics.query logs.debug.write")
    browser = harness.browser("sre@example.com")
    harness.change(
        scopes.edit_scope, harness.resource.id, "logs.debug.write", scopes.ScopeChange(risk="read")
    )
    page = type_code(browser, device.user_code)
    harness.change(
        scopes.edit_scope, harness.resource.id, "logs.debug.write", scopes.ScopeChange(risk="write")
    )
    answer(browser, page, decision="read")
    assert device.poll().scopes == {"logs.read"}


@pytest.mark.parametrize("scope", ["logs.read", "logs.debug.write", "logs.debug.write made.up"])
def test_reading_alone_is_not_offered_where_it_would_make_no_difference(harness, scope):
    device = ask(harness, scope=scope)
    page = type_code(harness.browser("sre@example.com"), device.user_code)
    assert 'value="allow"' in page.text
    assert 'value="read"' not in page.text


def test_who_has_no_role_for_it_can_only_refuse(harness):
    device = ask(harness, scope="logs.debug.write")
    browser = harness.browser()
    page = type_code(browser, device.user_code)
    assert page.offered == []
    assert 'value="allow"' not in page.text
    assert 'value="read"' not in page.text
    assert "no role of this person holds it" in page.text
    answer(browser, page)
    assert device.poll().error == "access_denied"


@pytest.mark.parametrize(
    "spell",
    [str.lower, lambda c: c.replace("-", ""), lambda c: f" {c[:4]} {c[5:]} ", str.swapcase],
)
def test_a_code_is_taken_as_people_type_it(harness, device, spell):
    """RFC 8628 §6.1."""
    page = type_code(harness.browser(), spell(device.user_code))
    assert page.field("confirm_id")
    assert device.user_code in page.text


@pytest.mark.parametrize("when", ["unknown", "expired", "allowed", "denied", "client blocked"])
def test_a_code_that_is_no_longer_good_looks_like_one_that_never_was(harness, device, when):
    """DEV-02: one answer for all."""
    code = device.user_code
    browser = harness.browser("sre@example.com")
    open_page(browser)
    if when == "unknown":
        code = "BBBB-BBBB"
    elif when == "expired":
        harness.clock.advance(minutes=10)
    elif when == "client blocked":
        harness.change(clients.block, device.client_id)
    else:
        allow(device, allow=when == "allowed")
    page = type_code(browser, code)
    assert (page.status, page.reason) == (400, "user_code_not_pending")
    assert NOT_GOOD in page.text
    assert "confirm_id" not in page.text


@pytest.mark.parametrize("typed", ["", "A", "<script>", "BCDF-GHJA", "B" * 4000, "ÄÖÜß-BCDF"])
def test_what_cannot_be_a_code_is_not_looked_up(harness, typed):
    page = type_code(harness.browser(), typed)
    assert (page.status, page.reason) == (400, "user_code_malformed")
    assert NOT_GOOD in page.text
    assert "<script>" not in page.text


def test_guessing_is_slow(harness, device):
    """DEV-02, ATK-65: a person has ten codes at once, then one a minute; nobody else waits for them."""
    browser = harness.browser()
    open_page(browser)
    assert spend_guesses(browser, 10).status == 400
    limited = spend_guesses(browser, 1, device.user_code)
    assert (limited.status, limited.reason) == (429, "user_codes_per_user_and_address")
    assert int(limited.response.headers["retry-after"]) > 0
    assert "confirm_id" not in limited.text
    assert type_code(harness.browser("sre@example.com"), device.user_code).field("confirm_id")
    harness.clock.advance(seconds=int(limited.response.headers["retry-after"]))
    assert spend_guesses(browser, 1, device.user_code).field("confirm_id")


def test_a_code_of_ones_own_buys_no_guesses(harness):
    """DEV-02: right ones count as well."""
    client_id = add_device_client(harness)
    browser = harness.browser()
    open_page(browser)
    for _ in range(2):
        spend_guesses(browser, 4)
        own = spend_guesses(browser, 1, ask(harness, client_id).user_code)
        assert own.field("confirm_id")
    assert spend_guesses(browser, 1).status == 429


# -- forms of others, and answers at the wrong time ------------------------------------------------------------


@pytest.mark.parametrize("path", ["/device", "/device/confirm", "/device/switch"])
@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_a_form_of_another_site_changes_nothing(harness, device, path, headers):
    """DEV-02, ATK-14, ATK-20: CSRF on confirm."""
    browser = harness.browser()
    page = type_code(browser, device.user_code)
    fields = {
        "user_code": device.user_code,
        "confirm_id": page.field("confirm_id"),
        "scope": "logs.read",
        "decision": "allow",
    }
    refused = browser.post(f"{harness.issuer}{path}", fields, **headers)
    assert (refused.status, refused.reason) == (403, "foreign_form")
    assert row_of(device).status == "pending"
    assert answer(browser, page).status == 200


def test_a_form_answers_once(harness, device):
    """ATK-14."""
    browser = harness.browser()
    page = type_code(browser, device.user_code)
    assert answer(browser, page, allow=False).status == 200
    again = answer(browser, page)
    assert (again.status, again.reason) == (400, "consent_not_pending")
    assert device.poll().error == "access_denied"


def test_a_form_is_of_one_session(harness, device):
    """ATK-16: another sign-in, even of the same person, cannot use it; nor can nobody."""
    page = type_code(harness.browser(), device.user_code)
    other = harness.browser()
    open_page(other)
    for browser in (other, harness.browser()):
        refused = answer(browser, page)
        assert (refused.status, refused.reason) == (400, "consent_not_pending")
    assert row_of(device).status == "pending"


def test_a_form_is_good_for_the_device_it_showed(harness, device):
    """Two pages open: each answers its own."""
    other = ask(harness, device.client_id)
    browser = harness.browser()
    first, second = (type_code(browser, d.user_code) for d in (device, other))
    answer(browser, first, allow=False)
    answer(browser, second)
    assert device.poll().error == "access_denied"
    assert other.poll().ok


def test_the_ids_of_the_two_kinds_of_forms_are_not_exchanged(harness, device):
    """A device's form answers no authorization request, and the other way round."""
    browser = harness.browser()
    device_page = type_code(browser, device.user_code)
    consent_page = browser.start(prompt="consent")
    ids = [("consent_id", device_page.field("confirm_id")), ("decision", "allow")]
    refused = browser.post(f"{harness.issuer}/consent", ids)
    assert refused.reason == "consent_not_pending"
    ids = [("confirm_id", consent_page.field("consent_id")), ("decision", "allow")]
    refused = browser.post(f"{harness.issuer}/device/confirm", ids)
    assert refused.reason == "consent_not_pending"
    assert answer(browser, device_page).status == 200
    assert browser.decide(consent_page).code


@pytest.mark.parametrize("decision", [[], ["maybe"], ["allow", "deny"], ["read", "allow"]])
def test_an_answer_is_yes_or_no(harness, device, decision):
    browser = harness.browser()
    page = type_code(browser, device.user_code)
    fields = [("confirm_id", page.field("confirm_id")), ("scope", "logs.read")]
    refused = browser.post(
        f"{harness.issuer}/device/confirm", fields + [("decision", d) for d in decision]
    )
    assert refused.reason == "consent_not_pending"
    assert row_of(device).status == "pending"


def test_the_first_of_two_people_answers(harness, device):
    """One conditional update: the later one is told that it came too late."""
    first, second = harness.browser(), harness.browser("sre@example.com")
    pages = [type_code(browser, device.user_code) for browser in (first, second)]
    assert answer(first, pages[0], allow=False).status == 200
    late = answer(second, pages[1])
    assert (late.status, late.reason) == (400, "consent_not_pending")
    assert harness.count(Consent) == 0
    assert harness.events("device.approved") == []


@pytest.mark.parametrize(
    "meanwhile",
    [
        lambda h, _: h.clock.advance(minutes=10),
        lambda h, d: h.change(clients.block, d.client_id),
        lambda h, _: h.change(resources.set_status, RESOURCE, "disabled"),
    ],
)
def test_an_answer_may_come_too_late(harness, device, meanwhile):
    browser = harness.browser()
    page = type_code(browser, device.user_code)
    meanwhile(harness, device)
    late = answer(browser, page)
    assert (late.status, late.reason) == (400, "consent_not_pending")
    assert row_of(device).status == "pending"


def test_the_login_continues_to_the_device_page_and_nowhere_else(harness, device):
    """ATK-07: no open redirector; what names the page is compared with a list."""
    browser = harness.browser()
    page = browser.get(f"{harness.issuer}/device?user_code={device.user_code}&next=//evil.example")
    assert (page.field("then"), page.field("continue")) == (
        "device",
        f"user_code={device.user_code}",
    )

    def sign_in(then, query):
        harness.clock.advance(seconds=3)
        fields = {
            "login": "dev@example.com",
            "password": "correct horse battery staple",
            "then": then,
            "continue": query,
        }
        return harness.browser().post(f"{harness.issuer}/login", fields)

    path = harness.issuer.removeprefix(harness.server.base)
    good = sign_in("device", f"user_code={device.user_code.lower()}&next=//evil.example")
    assert good.location == f"{path}/device?user_code={device.user_code}"
    assert sign_in("device", "user_code=%2F%2Fevil.example").location == f"{path}/device"
    for then in ("//evil.example", "device/../x", "DEVICE"):
        refused = sign_in(then, "")
        assert (refused.status, refused.reason) == (400, "continuation_unknown")
        assert "authz-session" not in refused.response.headers.get("set-cookie", "")


def test_a_wrong_password_keeps_the_way(harness, device):
    browser = harness.browser()
    page = browser.get(f"{harness.issuer}/device?user_code={device.user_code}")
    again = browser.sign_in(page, password="not the password")
    assert again.field("then") == "device"
    assert browser.sign_in(again).field("user_code") == device.user_code


def test_another_account_can_be_used(harness, device):
    browser = harness.browser()
    page = type_code(browser, device.user_code)
    away = browser.post(f"{harness.issuer}/device/switch", {"user_code": page.field("user_code")})
    browser.login = "sre@example.com"
    page = open_page(browser, device.user_code)
    assert away.location.endswith(f"/device?user_code={device.user_code}")
    assert "sre@example.com" in page.text
    page = browser.post(f"{harness.issuer}/device", {"user_code": page.field("user_code")})
    answer(browser, page)
    assert harness.claims(device.poll().access_token)["sub"] == harness.users["sre"]


def test_nothing_is_remembered(harness):
    """DEV-03: the next device asks again, and so does the browser flow of the same client."""
    client_id = add_device_client(harness)
    allow(ask(harness, client_id))
    page = type_code(harness.browser(), ask(harness, client_id).user_code)
    assert page.offered == ["logs.read"]
    with harness.server.database.read() as tx:
        consent = tx.scalars(select(Consent).where(Consent.tenant_id == harness.tenant_id)).one()
    assert (consent.remembered, consent.redirect_uris) == (False, [])


@pytest.mark.parametrize("path", ["/device", "/device?user_code=BCDF-GHJK"])
def test_the_pages_cannot_be_framed_or_kept(harness, path):
    browser = harness.browser()
    for page in (browser.get(f"{harness.issuer}{path}"), open_page(browser)):
        headers = page.response.headers
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["cache-control"] == "no-store"
        assert headers["referrer-policy"] == "no-referrer"
        assert "access-control-allow-origin" not in headers


def test_expired_devices_are_deleted(harness, device):
    """A day later, so that a replay is recognised until then."""
    jobs.remove_expired(harness.server.services, harness.clock())
    assert harness.count(DeviceCode) == 1
    harness.clock.advance(days=2)
    jobs.remove_expired(harness.server.services, harness.clock())
    assert harness.count(DeviceCode) == 0
