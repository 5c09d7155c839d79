"""Authorization details of type `mcp_tool` (RFC 9396), from the request to the claim (RAR-01 to RAR-04)."""

import json

import pytest

from authz.admin import resources, roles, scopes
from authz.admin.scopes import NewScope, ScopeChange
from tests.support.harness import RESOURCE

AT = "https://ops.example/mcp"
SCOPES = (
    NewScope(name="logs.read", description="Read logs", is_default=True, tools=("search_logs",)),
    NewScope(
        name="incidents.trigger",
        description="Trigger incidents",
        risk="destructive",
        tools=("trigger_incident", "page_team"),
    ),
)
LIMIT = {
    "type": "mcp_tool",
    "locations": [AT],
    "tool": "trigger_incident",
    "arguments": {"service": ["payments", "search"]},
}
NARROWER = {**LIMIT, "arguments": {"service": ["search"]}}
UNLIMITED = {"type": "mcp_tool", "locations": [AT], "tool": "trigger_incident"}


@pytest.fixture
def ops(harness):
    """A second server, whose scopes name tools."""
    harness.add_resource(AT, scopes=SCOPES)
    return harness


def asking(*details, scope="logs.read incidents.trigger", **more):
    return {"resource": AT, "scope": scope, "authorization_details": json.dumps(details), **more}


def tokens(harness, *details, **more):
    page = harness.browser("sre@example.com").authorize(**asking(*details, **more))
    return harness.redeem(page.code)


def test_the_limits_go_all_the_way_to_the_server(ops):
    """RAR-02: the answer, the token and every refresh carry them, in the shape they were asked in."""
    answer = tokens(ops, LIMIT)
    assert answer.scopes == {"logs.read", "incidents.trigger"}
    assert answer.json["authorization_details"] == [LIMIT]
    assert ops.claims(answer.access_token)["authorization_details"] == [LIMIT]
    again = ops.refresh(answer.refresh_token)
    assert again.json["authorization_details"] == [LIMIT]
    assert ops.claims(again.access_token)["authorization_details"] == [LIMIT]


def test_introspection_tells_them(ops):
    """RAR-02: of an access token and of a refresh token."""
    made = ops.add_client(auth_method="client_secret_post")
    client = {"client_id": made.client.id, "client_secret": made.secret}
    page = ops.browser("sre@example.com").authorize(**asking(LIMIT), client_id=made.client.id)
    answer = ops.redeem(page.code, **client)
    for token in (answer.access_token, answer.refresh_token):
        told = ops.http.post(f"{ops.issuer}/introspect", data={"token": token, **client}).json()
        assert told["authorization_details"] == [LIMIT]


def test_without_details_nothing_says_details(ops):
    answer = ops.redeem(
        ops.browser("sre@example.com").authorize(resource=AT, scope="logs.read").code
    )
    assert "authorization_details" not in answer.json
    assert "authorization_details" not in ops.claims(answer.access_token)


def test_without_scope_the_tools_say_which_scopes(ops):
    """RAR-02: the scopes whose tools are named, not the defaults."""
    answer = tokens(ops, LIMIT, scope=None)
    assert answer.scopes == {"incidents.trigger"}


def test_details_add_no_right(ops):
    """RAR-02: a scope that the role does not hold is not granted because a tool was named."""
    browser = ops.browser("dev@example.com")
    page = browser.sign_in(browser.start(**asking(LIMIT, scope=None)))
    assert (page.error, page.reason) == ("access_denied", "nothing_granted")
    answer = ops.redeem(browser.authorize(**asking(LIMIT)).code)
    assert answer.scopes == {"logs.read"}
    assert "authorization_details" not in answer.json


def test_a_detail_falls_with_the_scope_that_was_unticked(ops):
    """RAR-02."""
    page = ops.browser("sre@example.com").authorize(**asking(LIMIT), scopes=["logs.read"])
    answer = ops.redeem(page.code)
    assert answer.scopes == {"logs.read"}
    assert "authorization_details" not in answer.json


def test_a_detail_falls_with_the_role(ops):
    """RAR-02, MCP-AS-74: at the next refresh."""
    answer = tokens(ops, LIMIT)
    ops.change(roles.unbind, role="sre", kind="user", holder="sre@example.com")
    ops.change(roles.bind, role="developer", kind="user", holder="sre@example.com")
    again = ops.refresh(answer.refresh_token)
    assert again.scopes == {"logs.read"}
    assert "authorization_details" not in again.json


def test_consent_says_each_limit_in_words(ops):
    """RAR-04, O21-25."""
    browser = ops.browser("sre@example.com")
    page = browser.sign_in(browser.start(**asking(LIMIT, UNLIMITED)))
    words = " ".join(page.text.split())
    assert "trigger_incident</code>, only with" in words
    assert "payments or search" in words
    assert "trigger_incident</code>, with any arguments" in words


def test_what_is_hostile_in_a_detail_is_shown_as_text(ops):
    """ATK-12."""
    browser = ops.browser("sre@example.com")
    hostile = {**LIMIT, "arguments": {"<script>": ["<b>all</b>"]}}
    page = browser.sign_in(browser.start(**asking(hostile)))
    assert "&lt;b&gt;all&lt;/b&gt;" in page.text
    assert "<b>all</b>" not in page.text


def test_a_request_with_details_is_always_asked(ops):
    """RAR-04: the record of a consent cannot tell a narrower request from a wider one."""
    browser = ops.browser("sre@example.com")
    assert browser.authorize(**asking(LIMIT)).code
    assert browser.start(**asking(LIMIT)).is_consent
    assert browser.start(**asking(LIMIT), prompt="none").error == "consent_required"


def test_a_limited_yes_is_no_yes_without_limits(ops):
    """RAR-04, MCP-AS-72: the way round the limit would be to leave it out."""
    browser = ops.browser("sre@example.com")
    first = ops.redeem(browser.authorize(**asking(LIMIT)).code)
    free = {"resource": AT, "scope": "logs.read incidents.trigger"}
    assert browser.start(resource=AT, scope="logs.read").code
    page = browser.start(**free)
    assert page.offered == ["incidents.trigger"]
    assert browser.start(**free, prompt="none").error == "consent_required"
    # Another consent about something else does not change that.
    page = browser.start(resource=AT, scope="logs.read", prompt="consent")
    assert browser.decide(page).code
    page = browser.start(**free)
    assert page.is_consent
    # The limited grant lives on, and a yes without limits is one.
    assert ops.refresh(first.refresh_token).json["authorization_details"] == [LIMIT]
    assert browser.decide(page).code
    assert browser.start(**free).code
    # And a limited request after it takes nothing back.
    assert browser.authorize(**asking(LIMIT)).code
    assert browser.start(**free).code


def test_a_limited_yes_to_new_words_is_no_yes_to_them_without_limits(ops):
    """RAR-04, EMA-07: what was free stays free in the version that was, and is asked about in the new one."""
    browser = ops.browser("sre@example.com")
    plain = {"resource": AT, "scope": "logs.read incidents.trigger"}
    assert browser.authorize(**plain).code
    place = ops.ask(resources.show, AT, issuer=ops.issuer).id
    change = ScopeChange(description="Trigger and close incidents")
    ops.change(scopes.edit_scope, place, "incidents.trigger", change)
    assert browser.authorize(**asking(LIMIT)).code
    page = browser.start(**plain)
    assert page.is_consent
    assert page.offered == ["incidents.trigger"]
    assert browser.decide(page).code
    assert browser.authorize(**asking(LIMIT)).code
    assert browser.start(**plain).code, "what is free stays free"


def test_a_refresh_may_narrow(ops):
    """RAR-02: for this token; the grant keeps what it held."""
    answer = tokens(ops, LIMIT)
    narrowed = ops.refresh(answer.refresh_token, authorization_details=json.dumps([NARROWER]))
    assert narrowed.json["authorization_details"] == [NARROWER]
    assert ops.claims(narrowed.access_token)["authorization_details"] == [NARROWER]
    again = ops.refresh(narrowed.refresh_token)
    assert again.json["authorization_details"] == [LIMIT]


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ([UNLIMITED], "details_widened"),
        ([{**LIMIT, "arguments": {"service": ["billing"]}}], "details_widened"),
        ([LIMIT, {**LIMIT, "tool": "page_team"}], "details_widened"),
        ([], "details_count"),
        ([{**LIMIT, "locations": [RESOURCE]}], "details_location"),
    ],
    ids=str,
)
def test_a_refresh_never_widens(ops, asked, reason):
    """RAR-02, O21-16: and the refresh token stays good."""
    answer = tokens(ops, LIMIT)
    refused = ops.refresh(answer.refresh_token, authorization_details=json.dumps(asked))
    assert (refused.error, refused.reason) == ("invalid_authorization_details", reason)
    assert ops.refresh(answer.refresh_token).ok


def test_a_limit_is_dropped_only_with_its_scope(ops):
    """RAR-02: leaving a detail out would be the widest of all."""
    search = {"type": "mcp_tool", "locations": [AT], "tool": "search_logs"}
    answer = tokens(ops, LIMIT, search)
    only = {"authorization_details": json.dumps([search])}
    refused = ops.refresh(answer.refresh_token, **only)
    assert (refused.error, refused.reason) == ("invalid_authorization_details", "details_dropped")
    narrowed = ops.refresh(answer.refresh_token, **only, scope="logs.read")
    assert (narrowed.scopes, narrowed.json["authorization_details"]) == ({"logs.read"}, [search])


@pytest.mark.parametrize(
    ("details", "reason"),
    [
        ("[", "details_not_json"),
        ('[{"type":"mcp_tool","type":"mcp_tool"}]', "details_not_json"),
        (json.dumps([{**LIMIT, "type": "openid_credential"}]), "details_type"),
        (json.dumps([{**LIMIT, "actions": ["call"]}]), "details_members"),
        (json.dumps([{**LIMIT, "locations": [RESOURCE]}]), "details_location"),
        (json.dumps([{**LIMIT, "tool": "drop_tables"}]), "details_tool"),
        (json.dumps([LIMIT] * 21), "details_count"),
        (json.dumps([{**LIMIT, "arguments": {"service": ["x" * 5000]}}]), "details_too_long"),
    ],
    ids=lambda it: it[:24],
)
def test_what_is_not_understood_is_refused(ops, details, reason):
    """RAR-01, RFC 9396 section 5: the client learns which, and nobody is asked."""
    browser = ops.browser("sre@example.com")
    page = browser.start(**{**asking(), "authorization_details": details})
    assert (page.error, page.reason) == ("invalid_authorization_details", reason)


def test_details_name_a_server_even_beside_openid(ops):
    """OIDC-03: a request that limits tools is not about the person alone."""
    browser = ops.browser("sre@example.com")
    page = browser.start(**asking(LIMIT, scope="openid", resource=None))
    assert (page.error, page.reason) == ("invalid_target", "resource_missing")
    answer = tokens(ops, LIMIT, scope="openid")
    assert answer.scopes == {"incidents.trigger"}
    assert "id_token" in answer.json


@pytest.fixture
def worker_client(ops):
    """A client that acts on its own behalf."""
    made = ops.add_client(
        auth_method="client_secret_post", grant_types=("client_credentials",), redirect_uris=()
    )
    ops.change(roles.bind, role="sre", kind="client", holder=made.client.id)
    return {
        "grant_type": "client_credentials",
        "client_id": made.client.id,
        "client_secret": made.secret,
        "resource": AT,
    }


def test_a_client_may_limit_itself(ops, worker_client):
    """RAR-01, RAR-02: client_credentials."""
    answer = ops.token({**worker_client, "authorization_details": json.dumps([LIMIT])})
    assert answer.scopes == {"incidents.trigger"}
    assert answer.json["authorization_details"] == [LIMIT]
    assert ops.claims(answer.access_token)["authorization_details"] == [LIMIT]


def test_a_client_gets_no_right_by_a_detail(ops, worker_client):
    """RAR-01, RAR-02."""
    asked = {**worker_client, "authorization_details": json.dumps([LIMIT])}
    narrow = ops.token({**asked, "scope": "logs.read"})
    assert narrow.scopes == {"logs.read"}
    assert "authorization_details" not in narrow.json
    refused = ops.token({**worker_client, "authorization_details": "[{}]"})
    assert (refused.error, refused.reason) == ("invalid_authorization_details", "details_type")


def test_the_type_is_advertised(ops):
    """RAR-03."""
    found = ops.http.get(
        f"{ops.server.base}/.well-known/oauth-authorization-server/t/{ops.slug}"
    ).json()
    assert found["authorization_details_types_supported"] == ["mcp_tool"]
