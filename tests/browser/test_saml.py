"""Real SAML providers, and a browser that sends cookies as browsers do: a button, a sign-in there, a call of a tool."""

from urllib.parse import urlsplit

import httpx2
import pytest

from authz.admin import connections, mappings
from authz.clock import system_clock
from authz.federation.connector import Upstream
from authz.federation.saml import read_idp_metadata, sp_metadata
from tests.support import plain_http, samlp
from tests.support.chromium import drive
from tests.support.harness import REDIRECT
from tests.support.mcp_server import Server
from tests.support.simplesamlphp import PASSWORD, SimpleSamlPhp

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def connect(harness, metadata, preset, group):
    """A connection made of the provider's metadata; ours, for the provider."""
    made = harness.change(
        connections.add,
        harness.server.edge.connectors,
        slug="company",
        kind="saml",
        preset=preset,
        name="Company",
        settings=read_idp_metadata(metadata, system_clock()).members,
        provisions=True,
        issuer=harness.issuer,
    )
    harness.change(mappings.add, connection="company", claim=group, value="r&d", role="developer")
    base = made.addresses["acs_url"].removesuffix("/acs")
    return sp_metadata(Upstream("", "", "company", preset, made.settings, base))


def visit(harness, chromium, credentials):
    """What somebody met on the way."""
    return drive(
        "federated.mjs",
        chromium,
        start=f"{harness.issuer}/authorize?{httpx2.QueryParams(harness.request)}",
        button="Continue with Company",
        credentials=credentials,
        redirectUri=REDIRECT,
    )


def ends_at_a_tool(harness, met, provider):
    """SAML-04: the response is posted from another site, without our cookie; the ticket is fetched with it."""
    assert met["headings"] == ["Sign in", "Allow access to Operations?"]
    assert (met["faults"], met["axe"]) == ([], [])
    ours, theirs = urlsplit(harness.issuer).netloc, urlsplit(provider.base).netloc
    assert set(met["hosts"]) == {ours, theirs, urlsplit(REDIRECT).netloc}
    cookies = dict(met["cookies"])
    place = f"{ours}{urlsplit(harness.issuer).path}/federation/company"
    assert cookies[f"POST {place}/acs"] is False
    assert cookies[f"GET {place}/finish"] is True

    answer = harness.redeem(met["answer"]["code"])
    assert answer.ok, (answer.json, answer.reason)
    claims = harness.claims(answer.access_token)
    assert claims["connection"] == "company"
    called = Server(harness).call(answer.access_token)
    assert (called.status_code, called.text) == (200, claims["sub"])


def test_by_a_password_at_simplesamlphp(harness, chromium, tmp_path):
    with SimpleSamlPhp(tmp_path) as provider:
        metadata = plain_http.get(provider.entity_id).content
        provider.know(connect(harness, metadata, "generic", "groups"))
        met = visit(harness, chromium, {"username": "ada", "password": PASSWORD})
        ends_at_a_tool(harness, met, provider)


def test_by_a_session_at_samlp(harness, chromium):
    with samlp.running() as provider:
        metadata = plain_http.get(f"{provider.base}/metadata").content
        connect(harness, metadata, "adfs", samlp.GROUPS)
        ends_at_a_tool(harness, visit(harness, chromium, {}), provider)
