"""OAuth clients that know nothing of MCP: `openid-client` and Authlib, code and refresh."""

from urllib.parse import parse_qs, urlsplit

import pytest
from authlib.integrations.httpx_client import OAuth2Client

from scripts.demo_parts.browser import Browser
from tests.interop.scene import (
    CONFIDENTIAL,
    DEV,
    JAVASCRIPT,
    PUBLIC,
    SRE,
    callback,
    drive,
    node,
    plain_http,
)

pytestmark = [pytest.mark.interop, pytest.mark.slow]


@pytest.mark.parametrize("issuer", ["root", "path"])
def test_openid_client(scene, issuer):
    tenant = getattr(scene, issuer)
    script = str(JAVASCRIPT / "openid_client.mjs")
    arguments = [tenant.issuer, PUBLIC, tenant.mcp_url, "logs.read"]
    result = drive([node(), script, *arguments], scene.person()).result
    assert result["found"] == {"oauth2": tenant.issuer, "oidc": tenant.issuer}
    assert result["iss"] == tenant.issuer
    assert result["tokens"]["scope"] == result["refreshed"]["scope"] == "logs.read"
    assert result["tokens"]["refresh_token"] != result["refreshed"]["refresh_token"]


def authlib_client(scene, tenant, redirect_uri, **identity):
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
        client, metadata = authlib_client(scene, tenant, listening.redirect_uri, **identity)
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


def test_a_person_who_denies(scene):
    with callback() as listening, Browser() as browser:
        client, metadata = authlib_client(
            scene, scene.root, listening.redirect_uri, client_id=PUBLIC
        )
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
