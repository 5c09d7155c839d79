"""Dynamic client registration over real sockets: RFC 7591, RFC 7592, and what a stranger cannot do with them."""

import contextlib
import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import httpx2
import pytest
from sqlalchemy import select

from authz import jobs
from authz.admin import clients, initial_tokens, registration, tenants
from authz.clients.metadata import Rules
from authz.clients.registration import registered_metadata
from authz.db.models import Client, Consent, InitialAccessToken, TokenFamily
from authz.errors import TooManyRequests
from authz.limits import Limits
from authz.settings import LimitSettings, Registration
from tests.support.client_keys import ClientKey
from tests.support.harness import LOG, Answer
from tests.support.plain_http import NO_TLS
from tests.support.web import Reply

DEVICE = "urn:ietf:params:oauth:grant-type:device_code"
BOTH = ["authorization_code", "refresh_token"]
CALLBACK = "https://app.example/cb"
PUBLIC = {
    "client_name": "App",
    "redirect_uris": [CALLBACK],
    "grant_types": BOTH,
    "response_types": ["code"],
    "token_endpoint_auth_method": "none",
}
SECRET = {**PUBLIC, "token_endpoint_auth_method": "client_secret_post"}


def set_mode(harness, mode):
    with harness.server.database.write() as tx:
        tenants.set_registration(tx, harness.server.operator(), slug=harness.slug, mode=mode)


@pytest.fixture
def open_(harness):
    """A tenant where anybody may register."""
    set_mode(harness, "open")
    return harness


def ask(harness, method, path, body=None, *, token=None, http=None, **headers):
    """One request to the registration endpoint, with the private reason of a refusal."""
    if body is not None and not isinstance(body, bytes):
        body = json.dumps(body).encode()
    if body is not None:
        headers = {"Content-Type": "application/json", **headers}
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    mark = len(LOG.events)
    response = (http or harness.http).request(
        method, f"{harness.issuer}{path}", content=body, headers=headers
    )
    reasons = [event["reason"] for event in LOG.events[mark:] if "reason" in event]
    return Answer(response, reasons[-1] if reasons else None)


def register(harness, body=PUBLIC, **values):
    return ask(harness, "POST", "/register", body, **values)


def own(harness, method, made, body=None, **values):
    values.setdefault("token", made["registration_access_token"])
    return ask(harness, method, f"/register/{made['client_id']}", body, **values)


@contextlib.contextmanager
def elsewhere(address):
    """A client at another address."""
    transport = httpx2.HTTPTransport(local_address=address)
    with httpx2.Client(transport=transport, trust_env=False, timeout=30) as http:
        yield http


def stored(harness, client_id):
    with harness.server.database.read() as tx:
        return tx.get(Client, (harness.tenant_id, client_id))


def dynamic(harness):
    with harness.server.database.read() as tx:
        return tx.scalars(
            select(Client).where(Client.tenant_id == harness.tenant_id, Client.kind == "dynamic")
        ).all()


def metadata(**members):
    return registered_metadata({**PUBLIC, **members}, Rules(), is_invited=False)


# -- the answer ----------------------------------------------------------------------------------------------


def test_a_registration_is_answered_in_full(open_):
    """DCR-01, MCP-AS-93: 201, never cached, readable from any origin, no null."""
    answer = register(open_)
    assert answer.status == 201
    made = answer.json
    assert made == {
        **PUBLIC,
        "application_type": "web",
        "client_id": made["client_id"],
        "client_id_issued_at": int(open_.clock().timestamp()),
        "registration_client_uri": f"{open_.issuer}/register/{made['client_id']}",
        "registration_access_token": made["registration_access_token"],
    }
    headers = answer.response.headers
    assert headers["cache-control"] == "no-store"
    assert headers["access-control-allow-origin"] == "*"
    assert headers["content-type"] == "application/json"


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
def test_a_secret_is_told_once_and_not_kept(open_, method):
    """DCR-01, DCR-05: digests alone are stored, and the trail has neither secret nor token."""
    answer = register(open_, {**PUBLIC, "token_endpoint_auth_method": method})
    made = answer.json
    assert made["client_secret_expires_at"] == 0
    assert len(made["client_secret"]) >= 43
    again = own(open_, "GET", made)
    assert "client_secret" not in again.json
    row = stored(open_, made["client_id"])
    [event] = open_.events("client.registered")
    kept = repr(vars(row)) + json.dumps(event)
    assert made["client_secret"] not in kept
    assert made["registration_access_token"] not in kept


def test_an_identifier_of_ours_is_no_url_and_its_kind_is_recorded(open_):
    """CIMD-30."""
    made = register(open_).json
    assert made["client_id"].startswith("dcr_")
    row = stored(open_, made["client_id"])
    assert (row.kind, row.status) == ("dynamic", "known")


def test_the_trail_says_who_registered(open_):
    """M8: and only what was checked."""
    made = register(open_).json
    [event] = open_.events("client.registered")
    assert event["client"] == made["client_id"]
    assert event["detail"] == {
        "auth_method": "none",
        "redirect_hosts": ["app.example"],
        "initial_token": None,
    }


def test_a_browser_may_ask_from_any_origin(open_):
    """MCP-AS-27, MCP-AS-28."""
    for path, methods in (
        ("/register", "POST, OPTIONS"),
        ("/register/x", "GET, PUT, DELETE, OPTIONS"),
    ):
        answer = ask(open_, "OPTIONS", path, Origin="https://web.example")
        assert answer.status == 204
        assert answer.response.headers["access-control-allow-methods"] == methods
        assert "Authorization" in answer.response.headers["access-control-allow-headers"]


# -- bad requests --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "content_type", "status", "reason"),
    [
        (b"redirect_uris=x", "application/x-www-form-urlencoded", 400, "content_type"),
        (json.dumps(PUBLIC).encode(), "text/plain", 400, "content_type"),
        (json.dumps(PUBLIC).encode(), "", 400, "content_type"),
        (b"", "application/json", 400, "body_not_json"),
        (b"[]", "application/json", 400, "body_not_json"),
        (b'{"a": 1, "a": 2}', "application/json", 400, "body_not_json"),
        (b'{"a": NaN}', "application/json", 400, "body_not_json"),
        (b'{"client_name": "a\\u0000b"}', "application/json", 400, "body_not_json"),
        (b'{"client_name": "\\ud800"}', "application/json", 400, "body_not_json"),
        (b'{"a": ' + b"[" * 500 + b"]" * 500 + b"}", "application/json", 400, "body_not_json"),
        (b"\xff\xfe{}", "application/json", 400, "body_not_json"),
        (b'{"x": "' + b"y" * 66_000 + b'"}', "application/json", 413, "body_too_large"),
        (b"{}", "application/json; charset=utf-8", 400, "no_redirect"),
    ],
)
def test_only_one_strict_json_object(open_, body, content_type, status, reason):
    """ATK-14, ATK-62, ATK-63: a form that another site can post registers nothing."""
    answer = register(open_, body, **{"Content-Type": content_type})
    assert (answer.status, answer.reason) == (status, reason)
    assert not dynamic(open_)


@pytest.mark.parametrize(
    ("members", "error", "named"),
    [
        ({"redirect_uris": ["javascript:alert(1)"]}, "invalid_redirect_uri", "javascript:"),
        ({"redirect_uris": ["http://evil.example/"]}, "invalid_redirect_uri", "http://evil"),
        ({"response_types": ["token"]}, "invalid_client_metadata", "response_types"),
        ({"grant_types": ["client_credentials"]}, "invalid_client_metadata", "grant_types"),
        ({"jwks_uri": "https://a.example/", "jwks": {}}, "invalid_client_metadata", "jwks"),
        ({"software_statement": "x.y.z"}, "invalid_software_statement", "software_statement"),
    ],
)
def test_a_refusal_says_what_to_change(open_, members, error, named):
    """DCR-02, DCR-03, DCR-04, MCP-AS-91."""
    answer = register(open_, {**PUBLIC, **members})
    assert (answer.status, answer.error) == (400, error)
    assert named in answer.json["error_description"]
    assert not dynamic(open_)


# -- modes ---------------------------------------------------------------------------------------------------


def test_registration_is_advertised_exactly_where_it_works(harness):
    """MCP-AS-88, META-02: a change is seen at once by who asks anew."""
    url = f"{harness.server.base}/.well-known/oauth-authorization-server/t/{harness.slug}"
    for mode, endpoint in (
        ("open", f"{harness.issuer}/register"),
        ("off", None),
        ("token", f"{harness.issuer}/register"),
    ):
        set_mode(harness, mode)
        harness.clock.advance(seconds=1)
        assert harness.http.get(url).json().get("registration_endpoint") == endpoint


def test_a_new_tenant_lets_nobody_register(harness):
    """DCR-04, MCP-AS-88: and the refusal says what to do instead."""
    answer = register(harness)
    assert (answer.status, answer.error, answer.reason) == (
        403,
        "access_denied",
        "registration_off",
    )
    assert "administrator" in answer.json["error_description"]


def test_there_is_no_endpoint_without_a_tenant(open_):
    answer = register(open_)
    assert answer.status == 201
    open_.disable()
    assert register(open_).status == 404
    assert own(open_, "GET", answer.json).status == 404


def test_switching_off_ends_changes_and_keeps_what_there_is(open_):
    """DCR-04."""
    made = register(open_).json
    set_mode(open_, "off")
    assert own(open_, "GET", made).status == 200
    changed = own(open_, "PUT", made, {**PUBLIC, "client_id": made["client_id"], "scope": "a"})
    assert changed.reason == "registration_off"
    assert open_.tokens(client_id=made["client_id"], redirect_uri=CALLBACK).ok
    assert own(open_, "DELETE", made).status == 204


@pytest.fixture
def invited(harness):
    """A tenant where a token lets in."""
    set_mode(harness, "token")
    return harness


def invitation(harness, uses=None, lifetime=None):
    return harness.change(initial_tokens.add, name="Team", uses=uses, lifetime=lifetime)


def test_an_initial_token_lets_in_as_often_as_it_says(invited):
    """DCR-04."""
    made = invitation(invited, uses=2)
    answers = [
        register(invited, {**SECRET, "client_name": str(n)}, token=made.token) for n in range(3)
    ]
    assert [a.status for a in answers] == [201, 201, 401]
    assert answers[2].reason == "initial_token_refused"
    events = invited.events("client.registered")
    assert {e["detail"]["initial_token"] for e in events} == {made.line.id}


@pytest.mark.parametrize("defect", ["none", "unknown", "expired", "revoked", "of other tenant"])
def test_without_a_good_initial_token_nobody_gets_in(invited, server, defect):
    """DCR-04: before a word about the metadata."""
    made = invitation(invited, lifetime=timedelta(hours=1))
    token = {"none": None, "unknown": "iat_x"}.get(defect, made.token)
    if defect == "expired":
        invited.clock.advance(hours=1)
    if defect == "revoked":
        invited.change(initial_tokens.revoke, made.line.id)
    if defect == "of other tenant":
        with server.database.write() as tx:
            tx.get_one(InitialAccessToken, made.line.id).tenant_id = "ten_other"
    for body in (PUBLIC, {"redirect_uris": ["javascript:x"]}):
        answer = register(invited, body, token=token)
        assert (answer.status, answer.error) == (401, "invalid_token")
        challenge = answer.response.headers["www-authenticate"]
        assert ("error=" in challenge) is (token is not None)
    assert not dynamic(invited)


@pytest.mark.parametrize("header", ["Basic eDp5", "Bearer", "Bearer a b", "x"])
def test_a_header_that_is_no_bearer_token_is_refused(invited, header):
    answer = register(invited, Authorization=header)
    assert (answer.status, answer.reason) == (401, "bearer_malformed")


def test_a_refused_registration_spends_no_use(invited):
    """DCR-04."""
    made = invitation(invited, uses=1)
    assert register(invited, {**PUBLIC, "jwks": 1}, token=made.token).status == 400
    assert register(invited, token=made.token).status == 201


def test_a_token_opens_no_door_that_is_open(open_):
    """Where anybody may register, a token is neither asked for nor spent."""
    made = invitation(open_, uses=1)
    assert register(open_, token=made.token).status == 201
    assert register(open_, token="iat_wrong").status == 201
    [line] = open_.change(lambda tx, _, tenant: initial_tokens.list_(tx, tenant))
    assert line.remaining == 1


def test_only_the_invited_have_their_keys_fetched(invited):
    """ATK-47, ATK-48: nobody else makes this server ask another one."""
    key = ClientKey()
    url = invited.web.url(invited.host, "/jwks")
    invited.web.serve(invited.host, Reply.json(key.jwks))
    body = {**PUBLIC, "token_endpoint_auth_method": "private_key_jwt", "jwks_uri": url}
    client_id = register(invited, body, token=invitation(invited).token).json["client_id"]
    page = invited.browser().authorize(client_id=client_id, redirect_uri=CALLBACK)
    proof = key.fields(client_id, invited.issuer, invited.clock())
    assert invited.redeem(page.code, client_id=client_id, redirect_uri=CALLBACK, **proof).ok
    set_mode(invited, "open")
    assert register(invited, body).reason == "jwks_uri_uninvited"


def test_the_last_use_of_a_token_is_one_registration(invited):
    """DCR-04: two at once, and many."""
    made = invitation(invited, uses=1)

    def attempt(number):
        with httpx2.Client(trust_env=False, verify=NO_TLS, timeout=60) as http:
            body = {**SECRET, "client_name": str(number)}
            return register(invited, body, token=made.token, http=http).status

    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(attempt, range(16)))
    assert sorted(statuses) == [201] + [401] * 15
    assert len(dynamic(invited)) == 1


# -- the same software again -----------------------------------------------------------------------------


def test_the_same_software_gets_its_client_again(open_):
    """features.md 2, row 2; MCP-AS-34: also when it listens on another port, and with a fresh token."""
    body = {**PUBLIC, "redirect_uris": ["http://localhost:1234/cb"]}
    first = register(open_, body).json
    open_.clock.advance(hours=1)
    body = {**PUBLIC, "redirect_uris": ["http://localhost:4321/cb"]}
    second = register(open_, body).json
    assert second["client_id"] == first["client_id"]
    assert second["redirect_uris"] == ["http://localhost:4321/cb"]
    assert second["client_id_issued_at"] == first["client_id_issued_at"]
    assert second["registration_access_token"] != first["registration_access_token"]
    assert len(dynamic(open_)) == len(open_.events("client.registered")) == 1
    redirect = "http://localhost:4321/cb"
    assert open_.tokens(client_id=first["client_id"], redirect_uri=redirect).ok


@pytest.mark.parametrize(
    "body",
    [
        {**PUBLIC, "client_name": "App 2"},
        {**PUBLIC, "redirect_uris": [CALLBACK, "https://evil.example/cb"]},
        {**PUBLIC, "redirect_uris": ["https://evil.example/cb"]},
        {**PUBLIC, "grant_types": ["authorization_code"]},
    ],
)
def test_other_software_gets_a_client_of_its_own(open_, body):
    """features.md 2, row 2: never a client with another list of redirect URIs."""
    assert register(open_, body).json["client_id"] != register(open_).json["client_id"]


def test_software_on_another_network_gets_a_client_of_its_own(open_):
    with elsewhere("127.0.0.2") as http:
        other = register(open_, http=http).json
    assert register(open_).json["client_id"] != other["client_id"]
    assert {row.registered_from for row in dynamic(open_)} == {"127.0.0.1", "127.0.0.2"}


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post", "private_key_jwt"])
def test_a_client_with_a_secret_or_keys_is_handed_to_nobody(open_, method):
    """features.md 2, row 2: the same request makes another client."""
    jwks = ClientKey().jwks if method == "private_key_jwt" else None
    body = {**PUBLIC, "token_endpoint_auth_method": method, "jwks": jwks}
    first, second = register(open_, body).json, register(open_, body).json
    assert first["client_id"] != second["client_id"]


def test_who_asks_second_can_neither_change_nor_remove_what_the_first_uses(open_):
    """features.md 2, row 2; ATK-61: nor can who asked first, once it is not theirs alone."""
    first = register(open_).json
    tokens = open_.tokens(client_id=first["client_id"], redirect_uri=CALLBACK)
    second = register(open_).json
    assert second["client_id"] == first["client_id"]
    evil = {**PUBLIC, "client_id": first["client_id"], "redirect_uris": ["https://evil.example/"]}
    for made, status, reason in (
        (first, 401, "registration_token_wrong"),
        (second, 403, "client_shared"),
    ):
        for answer in (own(open_, "PUT", made, evil), own(open_, "DELETE", made)):
            assert (answer.status, answer.reason) == (status, reason)
    assert own(open_, "GET", second).json["redirect_uris"] == [CALLBACK]
    unchanged = {**PUBLIC, "client_id": first["client_id"]}
    assert own(open_, "PUT", second, unchanged).status == 200
    assert open_.refresh(tokens.refresh_token, client_id=first["client_id"]).ok


def test_a_token_cannot_be_passed_off_as_the_owners(open_):
    """The kind of a token is under its digest."""
    register(open_)
    shared = register(open_).json
    kind, _, rest = shared["registration_access_token"].partition("_")
    assert kind == "ras"
    answer = own(open_, "DELETE", shared, token=f"rat_{rest}")
    assert (answer.status, answer.reason) == (401, "registration_token_wrong")


def test_a_client_that_was_changed_is_given_to_nobody_else(open_):
    first = register(open_).json
    other = {**PUBLIC, "client_name": "Other"}
    assert own(open_, "PUT", first, {**other, "client_id": first["client_id"]}).status == 200
    for body in (PUBLIC, other):
        assert register(open_, body).json["client_id"] != first["client_id"]


def test_many_at_once_are_one_client(open_):
    """features.md 2, row 2: races make no second row."""

    def attempt(_):
        with httpx2.Client(trust_env=False, verify=NO_TLS, timeout=60) as http:
            return register(open_, http=http).json["client_id"]

    with ThreadPoolExecutor(8) as pool:
        made = set(pool.map(attempt, range(16)))
    assert len(made) == len(dynamic(open_)) == 1


# -- RFC 7592 ------------------------------------------------------------------------------------------------


def test_an_update_replaces_everything(open_):
    """DCR-05: members left out are gone; the token stays; consents are asked for anew (CIMD-28)."""
    made = register(open_, {**SECRET, "client_uri": "https://app.example/"}).json
    changed = {
        "client_id": made["client_id"],
        "client_secret": made["client_secret"],
        "client_name": "Renamed",
        "redirect_uris": ["https://app.example/new"],
        "token_endpoint_auth_method": "client_secret_basic",
    }
    answer = own(open_, "PUT", made, changed)
    assert answer.status == 200
    assert answer.json == {
        "client_id": made["client_id"],
        "client_id_issued_at": made["client_id_issued_at"],
        "client_name": "Renamed",
        "redirect_uris": ["https://app.example/new"],
        "grant_types": ["authorization_code"],
        "response_types": ["code"],
        "token_endpoint_auth_method": "client_secret_basic",
        "application_type": "web",
        "registration_client_uri": made["registration_client_uri"],
        "registration_access_token": made["registration_access_token"],
    }
    [event] = open_.events("client.updated")
    assert "redirect_uris" in event["detail"]["changed"]
    row = stored(open_, made["client_id"])
    assert (row.name, len(row.secrets)) == ("Renamed", 1)
    assert own(open_, "GET", made).json == answer.json


def test_a_secret_is_made_when_one_is_needed_and_dropped_when_not(open_):
    """DCR-05: nothing is rotated otherwise."""
    made = register(open_).json
    body = {**SECRET, "client_id": made["client_id"]}
    secret = own(open_, "PUT", made, body).json["client_secret"]
    assert "client_secret" not in own(open_, "PUT", made, {**body, "client_name": "B"}).json
    attempt = {"grant_type": "authorization_code", "code": "azc_x", "code_verifier": "v" * 43}
    named = {"client_id": made["client_id"], "client_secret": secret}
    assert open_.token({**attempt, **named}).reason == "code_unknown"
    own(open_, "PUT", made, {**PUBLIC, "client_id": made["client_id"]})
    assert open_.token({**attempt, **named}).reason == "secret_wrong"
    assert stored(open_, made["client_id"]).secrets == []


@pytest.mark.parametrize(
    ("members", "error"),
    [
        ({"client_id": "dcr_other"}, "invalid_client_metadata"),
        ({"client_id": None}, "invalid_client_metadata"),
        ({"client_secret": "wrong"}, "invalid_client_metadata"),
        ({"registration_access_token": "x"}, "invalid_client_metadata"),
        ({"redirect_uris": ["http://evil.example/"]}, "invalid_redirect_uri"),
    ],
)
def test_an_update_is_judged_like_a_registration(open_, members, error):
    """DCR-05."""
    made = register(open_, SECRET).json
    body = {**SECRET, "client_id": made["client_id"], **members}
    assert own(open_, "PUT", made, body).error == error
    assert stored(open_, made["client_id"]).metadata_["redirect_uris"] == [CALLBACK]


def test_an_update_that_changes_nothing_is_no_event(open_):
    made = register(open_, SECRET).json
    before = open_.tenant().config_version
    body = {**SECRET, "client_id": made["client_id"]}
    assert own(open_, "PUT", made, body).status == 200
    assert not open_.events("client.updated")
    assert open_.tenant().config_version == before


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
@pytest.mark.parametrize("whose", ["nobody's", "another client's", "of no client", "none"])
def test_only_its_own_token_manages_a_client(open_, method, whose):
    """DCR-05: one answer, whether the client is there or not."""
    made, other = register(open_, SECRET).json, register(open_, SECRET).json
    token = {
        "nobody's": "rat_x",
        "another client's": other["registration_access_token"],
        "of no client": made["registration_access_token"],
        "none": None,
    }[whose]
    client_id = open_.client_id if whose == "of no client" else made["client_id"]
    body = {**SECRET, "client_id": client_id} if method == "PUT" else None
    answer = ask(open_, method, f"/register/{client_id}", body, token=token)
    assert (answer.status, answer.error) == (401, "invalid_token")
    assert answer.response.headers["www-authenticate"].startswith("Bearer ")
    assert stored(open_, client_id) is not None


def test_a_client_can_leave_and_takes_everything_along(open_):
    """DCR-05: tokens are revoked, consents are gone, the token manages nothing any more."""
    made = register(open_).json
    client_id = made["client_id"]
    tokens = open_.tokens(client_id=client_id, redirect_uri=CALLBACK)
    answer = own(open_, "DELETE", made)
    assert (answer.status, answer.response.content) == (204, b"")
    assert answer.response.headers["cache-control"] == "no-store"
    assert stored(open_, client_id) is None
    assert open_.count(Consent) == 0
    with open_.server.database.read() as tx:
        [family] = tx.scalars(
            select(TokenFamily).where(TokenFamily.tenant_id == open_.tenant_id)
        ).all()
    assert family.revoked_because == "client_removed"
    refreshed = open_.refresh(tokens.refresh_token, client_id=client_id)
    assert (refreshed.status, refreshed.error) == (401, "invalid_client")
    assert own(open_, "GET", made).status == 401
    [event] = open_.events("client.removed")
    assert event["detail"] == {"because": "asked", "revoked_grants": 1}


# -- clients in use ------------------------------------------------------------------------------------------

RECORDED = {
    "cursor": {
        "client_name": "Cursor",
        "redirect_uris": [
            "cursor://anysphere.cursor-mcp/oauth/callback",
            "https://www.cursor.com/agents/mcp/oauth/callback",
            "http://localhost:8787/callback",
        ],
        "grant_types": BOTH,
        "response_types": ["code"],
        "token_endpoint_auth_method": "none",
    },
    "vscode": {
        "client_name": "Visual Studio Code",
        "client_uri": "https://code.visualstudio.com",
        "application_type": "native",
        "grant_types": [*BOTH, DEVICE],
        "response_types": ["code"],
        "redirect_uris": [
            "https://insiders.vscode.dev/redirect",
            "https://vscode.dev/redirect",
            "http://127.0.0.1/",
            "http://127.0.0.1:33418/",
        ],
        "token_endpoint_auth_method": "none",
    },
    "claude": {
        "client_name": "Claude",
        "client_uri": "https://claude.ai",
        "redirect_uris": ["https://claude.ai/api/mcp/auth_callback"],
        "grant_types": BOTH,
        "response_types": ["code"],
        "scope": "logs.read",
        "token_endpoint_auth_method": "none",
    },
    "claude-code": {
        "client_name": "Claude Code (operations)",
        "redirect_uris": ["http://localhost:54212/callback"],
        "grant_types": BOTH,
        "response_types": ["code"],
        "token_endpoint_auth_method": "none",
    },
    "gemini-cli": {
        "client_name": "Gemini CLI MCP Client",
        "redirect_uris": ["http://localhost:7777/oauth/callback"],
        "grant_types": BOTH,
        "response_types": ["code"],
        "token_endpoint_auth_method": "none",
        "scope": "",
    },
    "opencode": {
        "client_name": "OpenCode",
        "client_uri": "https://opencode.ai",
        "redirect_uris": ["http://127.0.0.1:19876/mcp/oauth/callback"],
        "grant_types": BOTH,
        "response_types": ["code"],
        "token_endpoint_auth_method": "none",
    },
    "inspector": {
        "client_name": "MCP Inspector",
        "client_uri": "https://github.com/modelcontextprotocol/inspector",
        "redirect_uris": [
            "http://localhost:6274/oauth/callback",
            "http://localhost:6274/oauth/callback/debug",
        ],
        "grant_types": BOTH,
        "response_types": ["code"],
        "token_endpoint_auth_method": "none",
        "application_type": "native",
        "logo_uri": None,
    },
    "n8n": {
        "client_name": "n8n",
        "redirect_uris": ["https://oauth.n8n.cloud/oauth2/callback"],
        "grant_types": BOTH,
        "response_types": ["code"],
        "token_endpoint_auth_method": "client_secret_post",
        "client_uri": "https://n8n.io/",
    },
}


@pytest.mark.parametrize("name", RECORDED)
def test_what_clients_send_is_registered_and_works(open_, name):
    """DCR-01, MCP-AS-88 to -93, CIMD-30: from the recorded request to a token and its refresh."""
    body = RECORDED[name]
    answer = register(open_, body)
    assert answer.status == 201, answer.json
    made = answer.json
    assert made["redirect_uris"] == body["redirect_uris"]
    assert made["grant_types"] == BOTH
    assert made["token_endpoint_auth_method"] == body["token_endpoint_auth_method"]
    local = any(not uri.startswith("https:") for uri in body["redirect_uris"])
    assert made["application_type"] == ("native" if local else "web")
    assert None not in made.values()
    secret = {"client_secret": made["client_secret"]} if "client_secret" in made else {}
    for redirect_uri in body["redirect_uris"]:
        client = {"client_id": made["client_id"]}
        page = open_.browser().authorize(**client, redirect_uri=redirect_uri)
        answer = open_.redeem(page.code, **client, **secret, redirect_uri=redirect_uri)
        assert answer.ok, answer.reason
        assert open_.claims(answer.access_token)["client_id"] == made["client_id"]
        assert open_.refresh(answer.refresh_token, **client, **secret).ok


def test_a_client_with_keys_proves_itself_by_them(open_):
    """DCR-01."""
    key = ClientKey()
    body = {**PUBLIC, "token_endpoint_auth_method": "private_key_jwt", "jwks": key.jwks}
    client_id = register(open_, body).json["client_id"]
    page = open_.browser().authorize(client_id=client_id, redirect_uri=CALLBACK)
    refused = open_.redeem(page.code, client_id=client_id, redirect_uri=CALLBACK)
    assert (refused.error, refused.reason) == ("invalid_client", "client_unauthenticated")
    proof = key.fields(client_id, open_.issuer, open_.clock())
    assert open_.redeem(page.code, client_id=client_id, redirect_uri=CALLBACK, **proof).ok


def test_people_see_that_nobody_reviewed_it(open_):
    """MCP-AS-54, MCP-AS-58: its name is its own claim, before and after the sign-in."""
    client_id = register(open_, {**PUBLIC, "client_name": "Payroll"}).json["client_id"]
    browser = open_.browser()
    login = browser.start(client_id=client_id, redirect_uri=CALLBACK)
    assert login.is_login
    assert "calls itself" in login.text
    consent = browser.sign_in(login)
    assert consent.is_consent
    for words in ("Calls itself", "It registered itself", "Not reviewed", client_id, "app.example"):
        assert words in consent.text


def test_nothing_is_sent_where_nobody_vouched_for_the_client(open_):
    """O21-24, ATK-07: an error is a page with a link, until the person allowed the client once."""
    client_id = register(open_).json["client_id"]
    asked = {"client_id": client_id, "redirect_uri": CALLBACK, "response_type": "token"}
    browser = open_.browser()
    page = browser.start(**asked)
    assert page.status == 400
    assert CALLBACK in page.text
    browser.authorize(client_id=client_id, redirect_uri=CALLBACK)
    assert browser.start(**asked).error == "unsupported_response_type"


def test_an_approved_client_is_shown_as_reviewed_until_it_changes(open_):
    """DCR-07, CIMD-28: approval was for what was registered then."""
    made = register(open_, SECRET).json
    asked = {"client_id": made["client_id"], "redirect_uri": CALLBACK}
    open_.change(clients.approve, made["client_id"])
    browser = open_.browser()
    assert "Approved by an administrator" in browser.sign_in(browser.start(**asked)).text
    body = {**SECRET, "client_id": made["client_id"], "client_name": "Payroll"}
    assert own(open_, "PUT", made, body).status == 200
    page = browser.start(**asked)
    assert page.is_consent
    assert "Not reviewed by an administrator" in page.text


def test_a_blocked_client_can_do_nothing_at_all(open_):
    """DCR-04: not even become another one by asking again."""
    made = register(open_).json
    asked = {"client_id": made["client_id"], "redirect_uri": CALLBACK}
    tokens = open_.tokens(**asked)
    open_.change(clients.block, made["client_id"])
    assert register(open_).reason == "client_blocked"
    for method, body in (("GET", None), ("PUT", {**PUBLIC, **asked}), ("DELETE", None)):
        answer = own(open_, method, made, body)
        assert (answer.status, answer.reason) == (403, "client_blocked")
    assert open_.browser().start(**asked).reason == "client_blocked"
    refreshed = open_.refresh(tokens.refresh_token, client_id=made["client_id"])
    assert refreshed.reason == "client_blocked"
    open_.change(clients.unblock, made["client_id"])
    assert stored(open_, made["client_id"]).status == "known"
    assert open_.tokens(**asked).ok


@pytest.mark.parametrize(
    "grant_type",
    [
        "client_credentials",
        "urn:ietf:params:oauth:grant-type:jwt-bearer",
        "urn:ietf:params:oauth:grant-type:token-exchange",
        DEVICE,
    ],
)
def test_no_client_gives_itself_a_grant_without_a_person(open_, grant_type):
    """DCR-07: neither asked for at registration nor tried at the token endpoint."""
    made = register(open_, {**SECRET, "grant_types": [*BOTH, grant_type]}).json
    assert grant_type not in made["grant_types"]
    answer = open_.token(
        {
            "grant_type": grant_type,
            "client_id": made["client_id"],
            "client_secret": made["client_secret"],
            "assertion": "x.y.z",
            "subject_token": "x",
            "device_code": "x",
        }
    )
    assert answer.status == 400
    assert answer.error in {"unauthorized_client", "unsupported_grant_type"}


def test_a_ceiling_bounds_what_self_registered_clients_get(open_):
    """DCR-04: whatever the role of the person says."""
    limits = Registration(scope_ceiling=frozenset({"logs.read"}))
    made = open_.change(
        registration.register, metadata(), network="192.0.2.1", limits=limits, initial_token=None
    )
    asked = {"client_id": made.client_id, "redirect_uri": CALLBACK}
    answer = open_.tokens(**asked, scope="logs.read analytics.query")
    assert answer.scopes == {"logs.read"}


# -- limits --------------------------------------------------------------------------------------------------


def test_a_network_has_a_share_and_the_answer_says_when_to_come_back(open_):
    """DCR-04, MCP-AS-94: other networks are not touched by it."""
    share = open_.server.settings.registration.per_network
    for number in range(share):
        assert register(open_, {**PUBLIC, "client_name": str(number)}).status == 201
    refused = register(open_)
    assert (refused.status, refused.reason) == (429, "network_full")
    assert 0 < int(refused.response.headers["retry-after"]) <= timedelta(days=7).total_seconds()
    assert register(open_, {**PUBLIC, "client_name": "0"}).status == 201, "known software"
    with elsewhere("127.0.0.2") as http:
        assert register(open_, http=http).status == 201


def test_requests_that_are_refused_are_counted_too(open_):
    """DCR-04, ATK-61: the network's budget is spent by every request and comes back with time."""
    answers = [register(open_, b"x") for _ in range(61)]
    assert [a.status for a in answers] == [400] * 60 + [429]
    assert answers[-1].reason == "registrations_per_address"
    assert int(answers[-1].response.headers["retry-after"]) == 10
    assert ask(open_, "GET", "/register/x", token="rat_x").status == 429
    open_.clock.advance(seconds=10)
    assert register(open_).status == 201


def test_a_flood_leaves_bounded_rows(open_):
    """ATK-61, DCR-04, MCP-AS-94: ten thousand registrations from ten networks, all different, through both gates."""
    limits = Registration(per_network=7, per_tenant=50)
    budget = Limits(LimitSettings(), open_.clock)
    networks = [f"2001:db8:0:{number}::/64" for number in range(10)]
    through = []
    for number in range(10_000):
        with contextlib.suppress(TooManyRequests):
            budget.registering(open_.slug, networks[number % 10])
            through.append(number)
    assert len(through) == 600
    admitted = 0
    with open_.server.database.write() as tx:
        for number in through:
            with contextlib.suppress(TooManyRequests):
                registration.register(
                    tx,
                    open_.server.operator(),
                    open_.tenant_id,
                    metadata(client_name=str(number)),
                    network=networks[number % 10],
                    limits=limits,
                )
                admitted += 1
    assert admitted == len(dynamic(open_)) == limits.per_tenant
    assert len(open_.events("client.registered")) == limits.per_tenant
    before = open_.tenant().config_version
    jobs.remove_unused_clients(open_.server.services, open_.clock() + timedelta(days=8))
    assert not dynamic(open_)
    assert open_.tenant().config_version == before + 1


@pytest.mark.parametrize("state", ["unused", "consented", "in use", "approved", "blocked", "fresh"])
def test_a_client_nobody_used_is_forgotten(open_, state):
    """DCR-04, MCP-AS-34, MCP-AS-94: and may register again."""
    made = register(open_, SECRET).json
    client_id = made["client_id"]
    later = open_.clock() + timedelta(days=8)
    if state in {"consented", "in use"}:
        page = open_.browser().authorize(client_id=client_id, redirect_uri=CALLBACK)
        assert page.code
    if state == "in use":
        secret = made["client_secret"]
        client = {"client_id": client_id, "client_secret": secret, "redirect_uri": CALLBACK}
        assert open_.redeem(page.code, **client).ok
        with open_.server.database.write() as tx:
            tx.query(Consent).filter(Consent.tenant_id == open_.tenant_id).delete()
    if state == "approved":
        open_.change(clients.approve, client_id)
    if state == "blocked":
        open_.change(clients.block, client_id)
    if state == "fresh":
        later = open_.clock() + timedelta(days=6)
    jobs.remove_unused_clients(open_.server.services, later)
    assert (stored(open_, client_id) is None) is (state == "unused")
    removed = [e["detail"]["because"] for e in open_.events("client.removed")]
    assert removed == (["unused"] if state == "unused" else [])
    assert register(open_, SECRET).status == 201
