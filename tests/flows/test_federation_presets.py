"""L1, S7: a provider of each product, with what is odd about it, and a token whose scopes are those of their groups."""

import os

import pytest

from tests.support.corporate import Corporate
from tests.support.corporate_saml import CorporateSaml
from tests.support.fake_idp import SECRET
from tests.support.oidc_scene import DIRECTORY, OBJECT

ALL = "logs.read analytics.query logs.debug.write incidents.trigger"
OURS = {"logs.read", "analytics.query"}
"""What a developer may."""

OIDC = {
    "generic": ("", {}, "groups", "dev"),
    "okta": ("", {}, "groups", "dev"),
    "entra": (f"/{DIRECTORY}/v2.0", {"tid": DIRECTORY, "oid": OBJECT}, "groups", OBJECT),
    "google": ("", {"hd": "corp.example"}, "hd", "corp.example"),
    "jumpcloud": ("/", {}, "groups", "dev"),
    "keycloak": ("/realms/corp", {"typ": "ID"}, "groups", "/engineering/dev"),
    "ping": ("/environment/as", {}, "groups", "dev"),
    "auth0": ("/", {}, "https://mcp-authz/groups", "dev"),
}
"""The path of its issuer, its own claims, and the claim that says who is a developer."""
_WS = "http://schemas.xmlsoap.org"
_MICROSOFT = "http://schemas.microsoft.com"
_OBJECT = f"{_MICROSOFT}/identity/claims/objectidentifier"
SAML = {
    "generic": ("groups", {}),
    "okta": ("groups", {}),
    "adfs": (f"{_WS}/claims/Group", {}),
    "entra": (f"{_MICROSOFT}/ws/2008/06/identity/claims/groups", {_OBJECT: [OBJECT]}),
}


@pytest.mark.parametrize("preset", OIDC)
def test_an_openid_provider_of_each_product(harness, monkeypatch, preset):
    monkeypatch.setitem(os.environ, "IDP_SECRET", SECRET)
    path, claims, claim, value = OIDC[preset]
    settings = {"tenant": "corp.example"} if preset == "google" else {}
    corp = Corporate(harness, preset, preset=preset, path=path, settings=settings)
    corp.map(claim, value, "developer")
    corp.map(claim, "oncall", "sre")
    corp.idp.person |= claims
    if claim not in claims:
        corp.idp.person[claim] = ["everybody", value]
    answer = harness.redeem(corp.authorize(harness.browser(), scope=ALL).code)
    assert answer.scopes == OURS
    assert harness.claims(answer.access_token)["connection"] == preset


@pytest.mark.parametrize("preset", SAML)
def test_a_saml_provider_of_each_product(harness, preset):
    claim, more = SAML[preset]
    corp = CorporateSaml(harness, f"{preset}-saml", preset=preset)
    corp.map(claim, "dev", "developer")
    corp.map(claim, "oncall", "sre")
    corp.said["attributes"] = {claim: ["everybody", "dev"], **more}
    answer = harness.redeem(corp.authorize(harness.browser(), scope=ALL).code)
    assert answer.scopes == OURS
    assert harness.claims(answer.access_token)["connection"] == f"{preset}-saml"
