"""What is told about a person, and how: claims, nonces and algorithms by table (OIDC-01, OIDC-03, OIDC-04)."""

from dataclasses import replace
from datetime import timedelta

import pytest

from authz.errors import InvalidRequest
from authz.jose import read_unverified
from authz.keys import ACCESS_TOKEN, ID_TOKEN, KeyRing
from authz.oauth import issuing, openid
from authz.oauth.authorization import Authorization, IdTokenRequest
from tests.support.configured import CLIENT, ISSUER, NOW, RESOURCE, configuration

PROFILE = {"name": "Dev", "preferred_username": "dev@example.com"}
EMAIL = {"email": "dev@example.com", "email_verified": False}


@pytest.mark.parametrize(
    ("scopes", "told"),
    [
        (set(), {}),
        ({"openid"}, {}),
        ({"profile"}, PROFILE),
        ({"email"}, EMAIL),
        ({"openid", "profile", "email"}, PROFILE | EMAIL),
    ],
)
def test_a_scope_tells_what_it_says(scopes, told):
    """Core §5.4."""
    assert openid.person_claims(scopes, login="dev@example.com", name="Dev") == told


@pytest.mark.parametrize(
    "login", ["", "dev", "@example.com", "dev@", "a@b@example.com", "de v@example.com", "@"]
)
def test_a_login_that_is_no_address_is_none(login):
    assert openid.person_claims(frozenset({"email"}), login=login, name="Dev") == {}


@pytest.mark.parametrize(
    ("registered", "algorithm"),
    [(None, "ES256"), ("ES256", "ES256"), ("RS256", "RS256"), ("none", None), ("HS256", None)],
)
def test_an_id_token_is_signed_as_registered(registered, algorithm):
    """OIDC-04."""
    client = replace(CLIENT, metadata={"id_token_signed_response_alg": registered})
    if algorithm is None:
        with pytest.raises(InvalidRequest, match=r": the client .* \[id_token_algorithm\]"):
            openid.algorithm_of(client)
    else:
        assert openid.algorithm_of(client) == algorithm
    assert openid.algorithm_of(CLIENT) == "ES256"


@pytest.mark.parametrize("nonce", [None, "", "n", "n" * 512])
def test_a_nonce_is_echoed_as_it_is(nonce):
    """OIDC-01."""
    assert openid.check_nonce(nonce) == nonce


@pytest.mark.parametrize("nonce", ["n" * 513, "a\0b"])
def test_a_nonce_that_cannot_be_stored_is_refused(nonce):
    with pytest.raises(InvalidRequest, match=r": nonce is malformed \[nonce\]"):
        openid.check_nonce(nonce)


AUTHORIZATION = Authorization(
    client_id=CLIENT.id,
    subject="usr_1",
    audience=RESOURCE.identifier,
    scopes=frozenset({"logs.read"}),
    jti="at_1",
    grant_id="grt_1",
    issued_at=NOW,
    expires_at=NOW + timedelta(minutes=5),
)


def test_an_id_token_says_who_signed_in_and_how():
    """OIDC-01: one audience, the client; and nothing that is not known."""
    bare = {
        "iss": ISSUER,
        "sub": "usr_1",
        "aud": CLIENT.id,
        "iat": int(NOW.timestamp()),
        "exp": int(NOW.timestamp()) + 300,
        "grant_id": "grt_1",
    }
    asked = IdTokenRequest("ES256", None)
    assert openid.id_token_claims(AUTHORIZATION, asked, issuer=ISSUER) == bare
    signed_in = replace(
        AUTHORIZATION, auth_time=NOW - timedelta(minutes=1), acr="1", amr=("pwd", "otp")
    )
    told = openid.id_token_claims(signed_in, IdTokenRequest("ES256", "n", PROFILE), issuer=ISSUER)
    assert told == {
        **bare,
        "auth_time": int(NOW.timestamp()) - 60,
        "nonce": "n",
        "acr": "1",
        "amr": ["pwd", "otp"],
        **PROFILE,
    }


def test_an_id_token_comes_beside_the_access_token_and_from_another_key():
    """OIDC-01, OIDC-04: `typ` is JWT, and the key that signs access tokens signs no ID token."""
    [access] = configuration().keys.keys
    own = replace(access, life=replace(access.life, key_id="id", purpose=ID_TOKEN))
    configured = configuration(keys=KeyRing((access, own)))
    asking = replace(AUTHORIZATION, id_token=IdTokenRequest("ES256", "n", PROFILE))
    body = issuing.response(asking, configured, algorithm="ES256")
    header, claims = read_unverified(body["id_token"])
    assert header == {"alg": "ES256", "kid": "id", "typ": "JWT"}
    assert claims == openid.id_token_claims(
        AUTHORIZATION, IdTokenRequest("ES256", "n", PROFILE), issuer=ISSUER
    )
    assert access.life.purpose == ACCESS_TOKEN
    assert "id_token" not in issuing.response(AUTHORIZATION, configured, algorithm="ES256")
