"""Clients held to the FAPI 2.0 Security Profile: what they may no longer do, and that the whole way still works."""

from datetime import timedelta
from urllib.parse import urlencode

import pytest
from sqlalchemy import select

from authz.admin.client_metadata import Registration, checked_metadata
from authz.db.models import AuthorizationCode, TokenFamily
from authz.errors import Invalid
from tests.support.arrange import VERIFIER
from tests.support.client_keys import ClientKey
from tests.support.dpop_keys import DpopKey
from tests.support.harness import REDIRECT, RESOURCE, Harness, running

KEY = ClientKey()
HOLDER = DpopKey()


def fapi_client(harness, key=KEY, **values):
    values = {"auth_method": "private_key_jwt", "jwks": key.jwks, "fapi": True, **values}
    return harness.add_client(**values).client.id


def proof(harness, path="/token", key=HOLDER, **changes):
    return {"DPoP": key.proof(f"{harness.issuer}{path}", harness.clock(), **changes)}


def signed(harness, client_id, key=KEY, audience=None, **changes):
    return key.fields(client_id, audience or harness.issuer, harness.clock(), **changes)


def push(harness, client_id, *, headers=None, **changes):
    fields = {**harness.request, "client_id": client_id, **signed(harness, client_id), **changes}
    return harness.post("/par", {n: v for n, v in fields.items() if v is not None}, **headers or {})


def redeem(harness, client_id, code=None, *, headers=None, **changes):
    fields = {"grant_type": "authorization_code", "code_verifier": VERIFIER}
    fields |= {"code": code or harness.code(client_id=client_id)}
    fields |= {**signed(harness, client_id), **changes}
    return harness.token(fields, **proof(harness) if headers is None else headers)


def refresh(harness, client_id, token, *, headers=None, **changes):
    fields = {"grant_type": "refresh_token", "refresh_token": token}
    fields |= {**signed(harness, client_id), **changes}
    return harness.token(fields, **proof(harness) if headers is None else headers)


@pytest.fixture(scope="module")
def shared(server):
    made = Harness(server)
    made.strict = fapi_client(made)
    yield made
    made.close()


def test_the_whole_way(harness):
    """FAPI-01 to FAPI-04, FAPI-07: pushed, bound, 303 with `iss`, and a refresh token that stays."""
    client_id = fapi_client(harness)
    request_uri = push(harness, client_id, headers=proof(harness, "/par")).json["request_uri"]
    query = urlencode({"client_id": client_id, "request_uri": request_uri})
    browser = harness.browser()
    page = browser.sign_in(browser.get(f"{harness.issuer}/authorize?{query}"))
    page = browser.decide(page)
    assert page.status == 303
    assert page.sent["iss"] == harness.issuer
    assert redeem(harness, client_id, page.code, headers={}).status == 400
    answer = redeem(harness, client_id, page.code)
    assert answer.json["token_type"] == "DPoP"
    assert harness.claims(answer.access_token)["cnf"] == {"jkt": HOLDER.jkt}
    again = refresh(harness, client_id, answer.refresh_token)
    assert again.refresh_token == answer.refresh_token
    assert again.json["token_type"] == "DPoP"


@pytest.mark.parametrize("audience", ["{issuer}", "{list}", "{token}", "{list-of-two}"])
def test_an_assertion_names_the_issuer_as_text(shared, audience):
    """FAPI-01: a list, even of one, is refused in this mode, at every endpoint."""
    named = {
        "{issuer}": shared.issuer,
        "{list}": [shared.issuer],
        "{token}": f"{shared.issuer}/token",
        "{list-of-two}": [shared.issuer, f"{shared.issuer}/token"],
    }[audience]
    for path in ("/token", "/introspect", "/revoke", "/par"):
        fields = {**shared.request, "token": "x", "grant_type": "refresh_token"}
        fields |= {"refresh_token": "x", "client_id": shared.strict}
        fields |= signed(shared, shared.strict, audience=named)
        headers = proof(shared, path) if path in ("/token", "/par") else {}
        answer = shared.post(path, fields, **headers)
        if audience == "{issuer}":
            assert answer.status != 401
        else:
            assert (answer.status, answer.reason) == (401, "jwt_aud")


@pytest.mark.parametrize(
    ("algorithm", "is_good"),
    [
        ("PS256", True),
        ("ES256", True),
        ("Ed25519", True),
        ("RS256", False),
        ("ES384", False),
    ],
)
def test_the_algorithms_are_few(harness, algorithm, is_good):
    """FAPI-06: of assertions and of proofs; RS256 opens nothing, though others may use it."""
    holder = DpopKey(algorithm)
    client_id = fapi_client(harness)
    answer = redeem(harness, client_id, headers=proof(harness, key=holder))
    assert answer.ok if is_good else answer.reason == "dpop_jwt_alg"
    fields = {"grant_type": "authorization_code", "code_verifier": VERIFIER}
    fields |= {"client_id": harness.client_id, "code": harness.code()}
    assert harness.token(fields, **proof(harness, key=holder)).ok
    key = ClientKey(algorithm)
    values = {"name": "App", "redirect_uris": (REDIRECT,), "auth_method": "private_key_jwt"}
    registration = Registration(**values, jwks=key.jwks, fapi=True)
    if not is_good:
        with pytest.raises(Invalid, match="jwks_without_usable_key"):
            checked_metadata(registration)
        return
    client_id = fapi_client(harness, key)
    assert redeem(harness, client_id, **signed(harness, client_id, key)).ok


def test_a_key_behind_an_address_is_held_to_the_same_algorithms(harness):
    """FAPI-06: the key set may change after the registration."""
    from tests.support.web import Reply

    key = ClientKey("RS256")
    harness.web.serve(harness.host, Reply.json(key.jwks))
    url = harness.web.url(harness.host, "/jwks.json")
    client_id = fapi_client(harness, jwks=None, jwks_uri=url)
    answer = redeem(harness, client_id, **signed(harness, client_id, key))
    assert (answer.status, answer.reason) == (401, "jwt_alg")


def test_requests_come_pushed_and_say_where_to_return(shared):
    """FAPI-02."""
    page = shared.browser().start(client_id=shared.strict)
    assert (page.error, page.reason) == ("invalid_request", "push_required")
    answer = push(shared, shared.strict, redirect_uri=None)
    assert (answer.error, answer.reason) == ("invalid_request", "redirect_uri_missing")
    answer = push(shared, shared.strict, code_challenge_method="plain")
    assert answer.reason == "code_challenge_method"
    assert push(shared, shared.strict, client_assertion=None).status == 401
    answer = push(shared, shared.strict)
    assert answer.status == 201
    assert answer.json["expires_in"] < 600


def test_every_token_is_bound(harness):
    """FAPI-03, ATK-72: at each grant, with a sentence that says what is missing."""
    grants = ("authorization_code", "refresh_token", "client_credentials")
    client_id = fapi_client(harness, grant_types=grants)
    harness.import_roles(
        f"roles: {{ops: [logs.read]}}\nbindings:\n"
        f"  - {{role: ops, clients: [{client_id}], users: [dev@example.com]}}\n"
    )
    answer = redeem(harness, client_id, headers={})
    assert (answer.error, answer.reason) == ("invalid_request", "binding_missing")
    fields = {"grant_type": "client_credentials", "resource": RESOURCE}
    answer = harness.token({**fields, **signed(harness, client_id)})
    assert (answer.error, answer.reason) == ("invalid_request", "binding_missing")
    answer = harness.token({**fields, **signed(harness, client_id)}, **proof(harness))
    assert answer.json["token_type"] == "DPoP"
    refresh_token = redeem(harness, client_id).refresh_token
    answer = refresh(harness, client_id, refresh_token, headers={})
    assert (answer.error, answer.reason) == ("invalid_request", "binding_missing")


def test_a_refresh_token_stays_and_everything_is_still_asked(harness):
    """FAPI-04, CONF-09: used as often as one likes, until something it stands on falls."""
    client_id = fapi_client(harness)
    token = redeem(harness, client_id).refresh_token
    for _ in range(3):
        harness.clock.advance(minutes=10)
        answer = refresh(harness, client_id, token)
        assert answer.refresh_token == token
    with harness.server.database.read() as tx:
        [family] = tx.scalars(select(TokenFamily).where(TokenFamily.client_id == client_id))
    assert (family.generation, family.revoked_at) == (1, None)
    lifetimes = harness.server.settings.tokens
    assert family.idle_expires_at == harness.clock() + lifetimes.refresh_idle
    # Another client's proof of itself does not do, nor does a wider scope.
    other = fapi_client(harness, ClientKey())
    wrong = refresh(harness, client_id, token, client_assertion="x.y.z")
    assert wrong.status == 401
    assert other != client_id
    assert refresh(harness, client_id, token, scope="incidents.trigger").error == "invalid_scope"
    harness.clock.advance(seconds=lifetimes.refresh_idle.total_seconds())
    assert refresh(harness, client_id, token).reason == "refresh_expired"


def test_a_token_of_before_fapi_is_still_old(harness):
    """CONF-09: putting a client under FAPI forgives no reuse."""
    from authz.db.models import Client

    client_id = fapi_client(harness, fapi=False)
    first = redeem(harness, client_id).refresh_token
    second = refresh(harness, client_id, first).refresh_token
    assert second != first

    def harden(tx, operator, tenant_id):
        row = tx.get_one(Client, (tenant_id, client_id))
        row.metadata_ = {**row.metadata_, "fapi": True}
        operator.changed(tx, tenant_id, "client.configure", client_id, {})

    harness.change(harden)
    assert refresh(harness, client_id, second).refresh_token == second
    harness.clock.advance(minutes=5)
    assert refresh(harness, client_id, first).reason == "refresh_reused"


def test_codes_live_a_minute(tmp_path):
    """FAPI-04: whatever the installation allows others."""
    url = f"sqlite:///{tmp_path / 'authz.db'}"
    with running(tmp_path, url, sections={"tokens": {"code": 600}}) as server:
        harness = Harness(server)
        client_id = fapi_client(harness)
        request_uri = push(harness, client_id).json["request_uri"]
        query = urlencode({"client_id": client_id, "request_uri": request_uri})
        browser = harness.browser()
        page = browser.sign_in(browser.get(f"{harness.issuer}/authorize?{query}"))
        browser.decide(page)
        browser.authorize()
        with harness.server.database.read() as tx:
            codes = tx.scalars(select(AuthorizationCode)).all()
        lifetimes = {code.client_id: code.expires_at - code.created_at for code in codes}
        assert lifetimes[client_id] == timedelta(seconds=60)
        assert lifetimes[harness.client_id] == timedelta(seconds=600)
        harness.close()


@pytest.mark.parametrize(("ahead", "is_good"), [(10, True), (61, False)])
def test_clocks_may_differ_a_little(shared, ahead, is_good):
    """FAPI-05: ten seconds ahead are taken, more than a minute is not."""
    later = int(shared.clock().timestamp()) + ahead
    for claims in ({"iat": later}, {"nbf": later}):
        fields = signed(shared, shared.strict, **claims)
        answer = redeem(shared, shared.strict, "azc_x", **fields)
        assert answer.reason == ("code_unknown" if is_good else "jwt_from_the_future")
    answer = redeem(shared, shared.strict, "azc_x", headers=proof(shared, iat=later))
    assert answer.reason == ("code_unknown" if is_good else "dpop_iat")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"auth_method": "none", "jwks": None}, "authenticates with one of"),
        ({"auth_method": "client_secret_basic", "jwks": None}, "authenticates with one of"),
        ({"redirect_uris": ("cursor://callback",)}, "returns to https"),
        ({"redirect_uris": ("http://app.example/callback",)}, "http"),
        ({"token_endpoint_audience": True}, "name the issuer"),
        ({"redirect_uris": ("https://app.example/callback", "http://127.0.0.1/callback")}, None),
        ({"redirect_uris": ("http://localhost/callback",)}, None),
    ],
    ids=str,
)
def test_what_the_profile_excludes_is_not_registered(values, message):
    """FAPI-01, FAPI-07."""
    made = {"name": "App", "redirect_uris": (REDIRECT,), "auth_method": "private_key_jwt"}
    made |= {"jwks": KEY.jwks, "fapi": True, "private_schemes": frozenset({"cursor"}), **values}
    if message is None:
        assert checked_metadata(Registration(**made))["fapi"] is True
        return
    with pytest.raises(Invalid, match=message):
        checked_metadata(Registration(**made))


def test_a_document_does_not_put_itself_under_fapi(harness):
    """CONF-09: static refresh tokens are an operator's decision, not a client's."""
    client_id = harness.serve_document(fapi=True)
    first = harness.tokens(client_id=client_id)
    second = harness.refresh(first.refresh_token, client_id=client_id)
    assert second.refresh_token != first.refresh_token
