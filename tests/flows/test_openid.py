"""OpenID Connect for this server's own people: ID tokens and the userinfo endpoint (OIDC-01 to OIDC-05)."""

import base64
import hashlib
import json

import pytest

from authz.admin import clients, resources, users
from authz.db.models import Client
from authz.db.versions import bump
from authz.policy.scopes import OPENID_SCOPES
from tests.support.dpop_keys import DpopKey
from tests.support.harness import RESOURCE

ALONE = {"resource": None, "scope": "openid profile email"}
"""A request about the person that names no MCP server."""


def header(token):
    head = token.split(".")[0]
    return json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))


def userinfo(harness, token, *, method="GET", scheme="Bearer", **headers):
    return harness.http.request(
        method,
        f"{harness.issuer}/userinfo",
        headers={"Authorization": f"{scheme} {token}", **headers},
    )


def set_metadata(harness, **members):
    with harness.server.database.write() as tx:
        row = tx.get(Client, (harness.tenant_id, harness.client_id))
        row.metadata_ = {**row.metadata_, **members}
        bump(tx, harness.tenant_id)


# -- the ID token -----------------------------------------------------------------------------------------


def test_the_id_token_says_who_signed_in_when_and_how(harness):
    """OIDC-01, OIDC-05: one audience, the client; the nonce as it came; nothing of the MCP server."""
    began = int(harness.clock().timestamp())
    answer = harness.tokens(scope="openid logs.read", nonce="n-0S6_WzA2Mj")
    claims = harness.claims(answer.json["id_token"], typ="JWT")
    auth_time = claims.pop("auth_time")
    assert began < auth_time <= claims["iat"]
    assert claims == {
        "iss": harness.issuer,
        "sub": harness.users["dev"],
        "aud": harness.client_id,
        "iat": int(harness.clock().timestamp()),
        "exp": int(harness.clock().timestamp()) + answer.json["expires_in"],
        "nonce": "n-0S6_WzA2Mj",
        "acr": "urn:authz:acr:password",
        "amr": ["pwd"],
        "grant_id": harness.claims(answer.access_token)["grant_id"],
    }
    access = harness.claims(answer.access_token)
    assert (access["aud"], access["scope"]) == (RESOURCE, "logs.read")
    assert "nonce" not in access


def test_a_key_of_its_own_signs_id_tokens(harness):
    """OIDC-04: nobody can take one for an access token, or the other way round."""
    answer = harness.tokens(scope="openid logs.read")
    own, access = header(answer.json["id_token"]), header(answer.access_token)
    assert own["kid"] != access["kid"]
    assert (own["typ"], access["typ"]) == ("JWT", "at+jwt")
    refused = userinfo(harness, answer.json["id_token"])
    assert refused.status_code == 401


@pytest.mark.parametrize("scope", ["logs.read", "profile email logs.read", None])
def test_without_openid_there_is_no_id_token(harness, scope):
    """OIDC-01."""
    answer = harness.tokens(scope=scope, nonce="n")
    assert answer.ok
    assert "id_token" not in answer.json


def test_beside_an_mcp_server_the_id_token_tells_what_was_agreed(harness):
    """OIDC-01, OIDC-03: the access token cannot ask for it."""
    answer = harness.tokens(scope="openid profile email logs.read")
    claims = harness.claims(answer.json["id_token"], typ="JWT")
    assert (claims["name"], claims["preferred_username"]) == ("Dev", "dev@example.com")
    assert (claims["email"], claims["email_verified"]) == ("dev@example.com", False)


def test_the_consent_page_says_in_words_what_is_told_and_each_can_be_refused(harness):
    """OIDC-01, O21-25."""
    browser = harness.browser()
    page = browser.sign_in(browser.start(scope="openid profile email logs.read"))
    assert "Recognise you each time you sign in" in page.text
    assert "See your email address" in page.text
    assert page.offered == ["logs.read", "openid", "profile", "email"]
    code = browser.decide(page, scopes=["logs.read", "openid", "profile"]).code
    claims = harness.claims(harness.redeem(code).json["id_token"], typ="JWT")
    assert "name" in claims
    assert "email" not in claims


@pytest.mark.parametrize("chosen", [["logs.read"], ["logs.read", "profile", "email"]])
def test_without_the_tick_at_openid_nothing_is_told(harness, chosen):
    """OIDC-01: the rest of the request is answered."""
    browser = harness.browser()
    page = browser.sign_in(browser.start(scope="openid profile email logs.read"))
    answer = harness.redeem(browser.decide(page, scopes=chosen).code)
    assert answer.scopes == {"logs.read"}
    assert "id_token" not in answer.json


def test_openid_alone_is_no_way_round_a_refusal(harness):
    """MCP-AS-74: who gives no scope of the MCP server gives no code."""
    browser = harness.browser()
    page = browser.sign_in(browser.start(scope="openid logs.read"))
    assert browser.decide(page, scopes=["openid"]).error == "access_denied"


def test_a_consent_from_before_does_not_cover_openid(harness):
    """MCP-AS-72, OIDC-01: on either way through /authorize."""
    browser = harness.browser()
    assert browser.authorize(scope="logs.read").code
    page = browser.start(scope="openid logs.read")
    assert page.is_consent
    assert page.offered == ["openid"]
    assert browser.start(scope="openid logs.read", prompt="none").error == "consent_required"
    assert "id_token" in harness.redeem(browser.decide(page).code).json
    silent = harness.redeem(browser.start(scope="openid logs.read", nonce="second").code)
    assert harness.claims(silent.json["id_token"], typ="JWT")["nonce"] == "second"
    assert [e["detail"]["by"] for e in harness.events("code.issued")].count("remembered") == 1


def test_a_refresh_brings_no_second_id_token(harness):
    answer = harness.tokens(scope="openid logs.read")
    again = harness.refresh(answer.refresh_token)
    assert again.ok
    assert "id_token" not in again.json


@pytest.mark.parametrize("algorithm", ["ES256", "RS256"])
def test_the_client_chooses_the_algorithm(harness, algorithm):
    """OIDC-04: `id_token_signed_response_alg`."""
    harness.add_rsa_keys()
    set_metadata(harness, id_token_signed_response_alg=algorithm)
    answer = harness.tokens(scope="openid logs.read")
    assert header(answer.json["id_token"])["alg"] == algorithm
    assert harness.claims(answer.json["id_token"], typ="JWT")["aud"] == harness.client_id


@pytest.mark.parametrize("algorithm", ["none", "HS256", ["ES256"], 5, ""])
def test_an_algorithm_we_do_not_have_is_refused_before_anybody_is_asked(harness, algorithm):
    """OIDC-04: never unsigned."""
    set_metadata(harness, id_token_signed_response_alg=algorithm)
    browser = harness.browser()
    browser.sign_in()
    page = browser.start(scope="openid logs.read")
    assert (page.error, page.reason) == ("invalid_request", "id_token_algorithm")
    assert browser.start(scope="logs.read").is_consent


@pytest.mark.parametrize("nonce", ["x" * 513, "a\x7fb", "a\nb"])
def test_a_nonce_that_cannot_be_echoed_is_refused(harness, nonce):
    browser = harness.browser()
    browser.sign_in()
    page = browser.start(scope="openid logs.read", nonce=nonce)
    assert (page.error, page.reason) == ("invalid_request", "nonce")


def test_a_request_with_openid_that_names_a_default_server_by_scope_is_for_that_server(harness):
    """OIDC-03: `openid` does not take a request away from the MCP server it means."""
    answer = harness.tokens(resource=None, scope="openid logs.read")
    assert harness.claims(answer.access_token)["aud"] == RESOURCE


# -- userinfo ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_userinfo_tells_what_the_scopes_say(harness, method):
    """OIDC-03: same `sub`, never a verified address that nobody verified."""
    answer = harness.tokens(**ALONE)
    access = harness.claims(answer.access_token)
    assert access["aud"] == f"{harness.issuer}/userinfo"
    told = userinfo(harness, answer.access_token, method=method)
    assert told.status_code == 200
    assert told.headers["cache-control"] == "no-store"
    assert told.json() == {
        "sub": harness.claims(answer.json["id_token"], typ="JWT")["sub"],
        "name": "Dev",
        "preferred_username": "dev@example.com",
        "email": "dev@example.com",
        "email_verified": False,
    }


@pytest.mark.parametrize(
    ("scope", "members"),
    [
        ("openid", {"sub"}),
        ("openid email", {"sub", "email", "email_verified"}),
        ("openid profile offline_access phone", {"sub", "name", "preferred_username"}),
    ],
)
def test_no_scope_tells_more_than_its_own(harness, scope, members):
    answer = harness.tokens(resource=None, scope=scope)
    assert userinfo(harness, answer.access_token).json().keys() == members
    assert answer.scopes <= OPENID_SCOPES


def test_a_login_that_is_no_address_is_no_email(harness):
    harness.users["ops"] = harness.add_user("ops")
    answer = harness.tokens("ops", **ALONE)
    assert userinfo(harness, answer.access_token).json().keys() == {
        "sub",
        "name",
        "preferred_username",
    }


def test_the_page_for_userinfo_names_no_server(harness):
    """OIDC-03: no role is needed, and each line can be refused."""
    harness.add_user("guest@example.com")
    browser = harness.browser("guest@example.com")
    page = browser.sign_in(browser.start(**ALONE))
    assert page.offered == ["openid", "profile", "email"]
    assert "Your account" in page.text
    assert browser.decide(page, scopes=["profile"]).error == "access_denied"
    page = browser.start(**ALONE)
    answer = harness.redeem(browser.decide(page, scopes=["openid"]).code)
    assert userinfo(harness, answer.access_token).json().keys() == {"sub"}


def test_a_token_for_an_mcp_server_does_not_open_userinfo(harness):
    """OIDC-03: whoever was handed it must not be able to ask who its callers are."""
    answer = harness.tokens(scope="openid profile logs.read")
    refused = userinfo(harness, answer.access_token)
    assert refused.status_code == 401
    assert refused.json()["error"] == "invalid_token"
    assert 'Bearer realm="authz", error="invalid_token"' in refused.headers["www-authenticate"]


def test_an_mcp_server_named_like_the_endpoint_does_not_open_it(harness):
    """OIDC-03: the record counts, not the audience alone."""
    identifier = f"{harness.issuer}/userinfo"
    harness.add_resource(identifier)
    answer = harness.tokens(resource=identifier, scope="openid logs.read")
    assert harness.claims(answer.access_token)["aud"] == identifier
    assert userinfo(harness, answer.access_token).status_code == 401


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer"},
        {"Authorization": "Basic dXNlcjpwYXNz"},
        {"Authorization": "Bearer not.a.token"},
        {"Authorization": "Bearer " + "x" * 5000},
        {"Authorization": "DPoP not.a.token"},
    ],
    ids=str,
)
def test_no_token_is_challenged(harness, headers):
    """RFC 6750 section 3: without a token there is no error code in the challenge."""
    refused = harness.http.get(f"{harness.issuer}/userinfo", headers=headers)
    assert refused.status_code == 401
    challenge = refused.headers["www-authenticate"]
    assert challenge.startswith("Bearer ")
    assert ("error=" in challenge) is ("not.a.token" in str(headers) or "xxx" in str(headers))


def test_a_token_in_the_form_or_the_query_is_not_read(harness):
    """O21-31: URLs and bodies end in logs."""
    token = harness.tokens(**ALONE).access_token
    url = f"{harness.issuer}/userinfo"
    assert harness.http.get(url, params={"access_token": token}).status_code == 401
    assert harness.http.post(url, data={"access_token": token}).status_code == 401


def test_two_tokens_are_refused(harness):
    token = harness.tokens(**ALONE).access_token
    headers = [("Authorization", f"Bearer {token}"), ("Authorization", f"Bearer {token}")]
    refused = harness.http.get(f"{harness.issuer}/userinfo", headers=headers)
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_request")


@pytest.mark.parametrize("end", ["time", "person", "client", "tenant"])
def test_a_token_is_good_for_as_long_as_what_it_stands_on(harness, end):
    """ATK-59, OIDC-03."""
    token = harness.tokens(**ALONE).access_token
    assert userinfo(harness, token).status_code == 200
    if end == "time":
        harness.clock.advance(minutes=11)
    elif end == "person":
        harness.change(users.disable, "dev@example.com")
    elif end == "client":
        harness.change(clients.block, harness.client_id)
    else:
        harness.disable()
    refused = userinfo(harness, token)
    assert refused.status_code == 401
    assert "sub" not in refused.json()


def test_another_tenants_token_is_unknown(harness, server):
    """M1."""
    from tests.support.harness import Harness

    other = Harness(server)
    token = other.tokens(**ALONE).access_token
    assert userinfo(harness, token).status_code == 401
    other.close()


def test_a_refresh_without_openid_asks_for_nothing(harness):
    """RFC 6750 section 3.1."""
    answer = harness.tokens(resource=None, scope="openid profile offline_access")
    narrowed = harness.refresh(answer.refresh_token, scope="profile")
    assert narrowed.scopes == {"profile"}
    refused = userinfo(harness, narrowed.access_token)
    assert (refused.status_code, refused.json()["error"]) == (403, "insufficient_scope")
    whole = harness.refresh(narrowed.refresh_token)
    assert userinfo(harness, whole.access_token).json()["name"] == "Dev"


def bound(harness, key):
    page = harness.browser().authorize(**ALONE)
    proof = key.proof(f"{harness.issuer}/token", harness.clock())
    answer = harness.token(
        {
            "grant_type": "authorization_code",
            "client_id": harness.client_id,
            "code": page.code,
            "code_verifier": "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
        },
        DPoP=proof,
    )
    assert answer.json["token_type"] == "DPoP"
    return answer.access_token


def ath(token):
    digest = hashlib.sha256(token.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def test_a_bound_token_needs_a_proof_of_its_key_each_time(harness):
    """OIDC-03, DPOP-01: `ath` names the token, and each proof is good once."""
    key = DpopKey()
    token = bound(harness, key)
    url = f"{harness.issuer}/userinfo"
    proof = key.proof(url, harness.clock(), method="GET", ath=ath(token))
    assert userinfo(harness, token, scheme="DPoP", DPoP=proof).status_code == 200
    replayed = userinfo(harness, token, scheme="DPoP", DPoP=proof)
    assert (replayed.status_code, replayed.json()["error"]) == (401, "invalid_dpop_proof")
    assert replayed.headers["www-authenticate"].startswith("DPoP ")


@pytest.mark.parametrize(
    "wrong", ["no proof", "as bearer", "no ath", "other ath", "other key", "other method"]
)
def test_a_bound_token_without_the_right_proof_is_refused(harness, wrong):
    """OIDC-03, ATK-73."""
    key = DpopKey()
    token = bound(harness, key)
    made = (DpopKey() if wrong == "other key" else key).proof(
        f"{harness.issuer}/userinfo",
        harness.clock(),
        method="POST" if wrong == "other method" else "GET",
        ath={"no ath": None, "other ath": ath("another")}.get(wrong, ath(token)),
    )
    headers = {} if wrong == "no proof" else {"DPoP": made}
    scheme = "Bearer" if wrong == "as bearer" else "DPoP"
    refused = userinfo(harness, token, scheme=scheme, **headers)
    assert refused.status_code == 401
    assert "sub" not in refused.json()


def test_userinfo_is_never_the_default_of_an_mcp_request(harness):
    """RI-04, MCP-AS-68: and no request can name it as its resource."""
    browser = harness.browser()
    browser.sign_in()
    named = browser.start(resource=f"{harness.issuer}/userinfo", scope="openid")
    assert (named.error, named.reason) == ("invalid_target", "resource_unknown")
    harness.change(resources.set_status, RESOURCE, "disabled")
    page = browser.start(resource=None, scope=None)
    assert (page.error, page.reason) == ("invalid_target", "resource_missing")


def test_a_web_client_may_ask(harness):
    """MCP-AS-27."""
    answer = harness.http.options(f"{harness.issuer}/userinfo")
    assert answer.headers["access-control-allow-methods"] == "GET, POST, OPTIONS"
    assert "Authorization" in answer.headers["access-control-allow-headers"]
