"""Authlib, an OAuth client in Python that knows nothing of MCP.

It has no DPoP (RFC 9449) and no client for the device grant (RFC 8628): the proof is added to its requests as they
leave, and the device grant is its generic grant after a plain request. Its assertions name the token endpoint as their
audience unless told otherwise; here they are told the issuer, as 7523bis demands (JB-20).
"""

import secrets
import time
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

import pytest
from authlib.integrations.base_client.errors import OAuthError
from authlib.integrations.httpx_client import OAuth2Client
from authlib.oauth2.rfc7523 import PrivateKeyJWT
from joserfc import jwt
from joserfc.jwk import ECKey

from scripts.demo_parts.browser import Browser
from tests.interop.scene import (
    CONFIDENTIAL,
    DEV,
    DEVICE_GRANT,
    HEADLESS,
    PUBLIC,
    SERVICE,
    SRE,
    callback,
    plain_http,
)

pytestmark = [pytest.mark.interop, pytest.mark.slow]


def authlib_client(tenant, redirect_uri=None, **identity):
    """A client and the server's metadata."""
    with plain_http() as http:
        metadata = http.get(f"{tenant.issuer}/.well-known/openid-configuration").json()
    client = OAuth2Client(
        redirect_uri=redirect_uri,
        scope="logs.read incidents.trigger",
        code_challenge_method="S256",
        trust_env=False,
        **identity,
    )
    return client, metadata


@pytest.mark.parametrize("issuer", ["root", "path"])
@pytest.mark.parametrize("kind", ["public", "basic", "post"])
def test_authlib(scene, issuer, kind):
    tenant = getattr(scene, issuer)
    verifier = "a" * 64
    identity = {"client_id": CONFIDENTIAL, "client_secret": tenant.secret}
    if kind == "public":
        identity = {"client_id": PUBLIC, "token_endpoint_auth_method": "none"}
    if kind == "post":
        identity["token_endpoint_auth_method"] = "client_secret_post"
    with callback() as listening, Browser() as browser:
        client, metadata = authlib_client(tenant, listening.redirect_uri, **identity)
        with client:
            url, state = client.create_authorization_url(
                metadata["authorization_endpoint"],
                code_verifier=verifier,
                resource=tenant.mcp_url,
            )
            scene.person(SRE).visit(browser, url)
            token = client.fetch_token(
                metadata["token_endpoint"],
                authorization_response=listening.answer(),
                state=state,
                code_verifier=verifier,
            )
            assert set(token["scope"].split()) == {"logs.read", "incidents.trigger"}
            refreshed = client.refresh_token(metadata["token_endpoint"], token["refresh_token"])
            assert refreshed["access_token"] != token["access_token"]
            assert refreshed["scope"] == token["scope"]


@pytest.mark.parametrize("issuer", ["root", "path"])
def test_a_pushed_request(scene, issuer):
    """PAR-01: Authlib spells the request; pushing it is a plain POST, for it has no client for that."""
    tenant = getattr(scene, issuer)
    verifier = "c" * 64
    with callback() as listening, Browser() as browser:
        client, metadata = authlib_client(tenant, listening.redirect_uri, client_id=PUBLIC)
        with client:
            url, state = client.create_authorization_url(
                metadata["authorization_endpoint"],
                code_verifier=verifier,
                resource=tenant.mcp_url,
            )
            pushed = dict(parse_qsl(urlsplit(url).query))
            endpoint = metadata["pushed_authorization_request_endpoint"]
            with plain_http() as http:
                reference = http.post(endpoint, data=pushed).json()
            short = {"client_id": PUBLIC, "request_uri": reference["request_uri"]}
            scene.person(SRE).visit(
                browser, f"{metadata['authorization_endpoint']}?{urlencode(short)}"
            )
            token = client.fetch_token(
                metadata["token_endpoint"],
                authorization_response=listening.answer(),
                state=state,
                code_verifier=verifier,
            )
    assert set(token["scope"].split()) == {"logs.read", "incidents.trigger"}


@pytest.mark.parametrize("issuer", ["root", "path"])
def test_dpop(scene, issuer):
    """DPOP-02, DPOP-03: the code and the refresh token are of one key, and of no other."""
    tenant = getattr(scene, issuer)
    verifier, key = "d" * 64, ECKey.generate_key("P-256")
    with callback() as listening, Browser() as browser:
        client, metadata = authlib_client(
            tenant,
            listening.redirect_uri,
            client_id=PUBLIC,
            event_hooks={"request": [lambda request: _prove(request, key)]},
        )
        with client:
            url, state = client.create_authorization_url(
                metadata["authorization_endpoint"],
                code_verifier=verifier,
                resource=tenant.mcp_url,
                dpop_jkt=key.thumbprint(),
            )
            scene.person(SRE).visit(browser, url)
            token = client.fetch_token(
                metadata["token_endpoint"],
                authorization_response=listening.answer(),
                state=state,
                code_verifier=verifier,
            )
            refreshed = client.refresh_token(metadata["token_endpoint"], token["refresh_token"])
            assert token["token_type"] == refreshed["token_type"] == "DPoP"
            assert refreshed["scope"] == token["scope"]
            key = ECKey.generate_key("P-256")
            with pytest.raises(OAuthError, match="invalid_grant"):
                client.refresh_token(metadata["token_endpoint"], refreshed["refresh_token"])


def _prove(request, key):
    """RFC 9449 §4.2."""
    claims = {
        "jti": secrets.token_urlsafe(16),
        "htm": request.method,
        "htu": str(request.url.copy_with(query=None)),
        "iat": int(time.time()),
    }
    header = {"typ": "dpop+jwt", "alg": "ES256", "jwk": key.as_dict(private=False)}
    request.headers["DPoP"] = jwt.encode(header, claims, key)


def test_device(scene):
    """DEV-01: the request is a plain POST, the poll Authlib's generic grant."""
    tenant = scene.root
    identity = {"client_id": HEADLESS, "token_endpoint_auth_method": "none"}
    client, metadata = authlib_client(tenant, **identity)
    sent = {"client_id": HEADLESS, "resource": tenant.mcp_url, "scope": "logs.read"}
    with client, Browser() as browser, plain_http() as http:
        asked = http.post(metadata["device_authorization_endpoint"], data=sent).json()

        def poll():
            return client.fetch_token(
                metadata["token_endpoint"],
                grant_type=DEVICE_GRANT,
                device_code=asked["device_code"],
            )

        with pytest.raises(OAuthError, match="authorization_pending"):
            poll()
        scene.person().visit(browser, asked["verification_uri_complete"])
        # As a device has to: the clock of a process of its own is not ours to move.
        time.sleep(asked["interval"])
        assert poll()["scope"] == "logs.read"


def test_a_person_who_denies(scene):
    with callback() as listening, Browser() as browser:
        client, metadata = authlib_client(scene.root, listening.redirect_uri, client_id=PUBLIC)
        with client:
            url, state = client.create_authorization_url(
                metadata["authorization_endpoint"],
                code_verifier="b" * 64,
                resource=scene.root.mcp_url,
                prompt="consent",
            )
        page = browser.open(url)
        page = browser.sign_in(page, DEV, scene.person().password)
        browser.decide(page, "deny")
        sent = parse_qs(urlsplit(listening.answer()).query)
        assert sent["error"] == ["access_denied"]
        assert sent["state"] == [state]
        assert sent["iss"] == [scene.root.issuer]
        assert "code" not in sent


def service(scene, tenant, audience=None):
    """A client that proves itself with its key, to the issuer unless an `audience` is given."""
    client, metadata = authlib_client(
        tenant,
        client_id=SERVICE,
        client_secret=scene.service_key,
        token_endpoint_auth_method="private_key_jwt",
        revocation_endpoint_auth_method="private_key_jwt",
    )
    kid = {"kid": scene.service_key.kid}
    # An assertion of Authlib's own lives an hour; more than ten minutes are not accepted (JB-22).
    lifetime = {"exp": int(time.time()) + 300}
    client.register_client_auth_method(
        PrivateKeyJWT(audience or tenant.issuer, claims=lifetime, headers=kid, alg="ES256")
    )
    return client, metadata


def own_token(client, metadata, tenant):
    return client.fetch_token(
        metadata["token_endpoint"],
        grant_type="client_credentials",
        resource=tenant.mcp_url,
        scope="logs.read",
    )


@pytest.mark.parametrize("issuer", ["root", "path"])
def test_client_credentials_with_a_signed_assertion(scene, issuer):
    """JB-20, JB-22."""
    tenant = getattr(scene, issuer)
    client, metadata = service(scene, tenant)
    with client:
        token = own_token(client, metadata, tenant)
    assert (token["scope"], token["token_type"]) == ("logs.read", "Bearer")


def test_an_assertion_as_authlib_makes_them_by_default_is_refused(scene):
    """JB-20, ATK-51: the token endpoint is no audience."""
    client, metadata = service(scene, scene.root, audience=f"{scene.root.issuer}/token")
    with client, pytest.raises(OAuthError, match="invalid_client"):
        own_token(client, metadata, scene.root)


@pytest.mark.parametrize("issuer", ["root", "path"])
def test_introspection_and_revocation(scene, issuer):
    """INT-05, REV-03, JB-25: the same proof at each endpoint."""
    tenant = getattr(scene, issuer)

    def act(call):
        # An assertion works once, and Authlib remembers the `jti` of its first.
        client, metadata = service(scene, tenant)
        with client:
            return call(client, metadata)

    def is_active():
        answer = act(
            lambda client, metadata: client.introspect_token(
                metadata["introspection_endpoint"], token["access_token"]
            )
        )
        return answer.json()["active"]

    token = act(lambda client, metadata: own_token(client, metadata, tenant))
    assert is_active()
    revoked = act(
        lambda client, metadata: client.revoke_token(
            metadata["revocation_endpoint"], token["access_token"]
        )
    )
    assert revoked.status_code == 200
    assert not is_active()
