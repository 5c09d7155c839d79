"""The whole of it as people meet it: a button, their company's sign-in, consent, and a call of a tool."""

import os
from urllib.parse import urlsplit

import httpx2
import pytest

from authz.admin import connections, mappings
from tests.interop.scene import JAVASCRIPT, node
from tests.support.chromium import drive
from tests.support.fake_idp import signing_key
from tests.support.harness import REDIRECT
from tests.support.identity_provider import identity_provider
from tests.support.mcp_server import Server
from tests.support.postgres import free_port

pytestmark = [pytest.mark.browser, pytest.mark.slow]

SECRET = "s3cret/with:signs&and=more-than-enough-of-them"
PEOPLE = {"dev": {"email": "dev@corp.example", "email_verified": True, "groups": ["mcp-dev"]}}


@pytest.fixture
def company(harness, monkeypatch):
    """A real provider, and the connection to it."""
    monkeypatch.setitem(os.environ, "COMPANY_SECRET", SECRET)
    port = free_port()
    details = harness.change(
        connections.add,
        harness.server.edge.connectors,
        slug="company",
        kind="oidc",
        preset="generic",
        name="Company",
        settings={
            "issuer": f"http://127.0.0.1:{port}",
            "client_id": "mcp",
            "client_secret": "env:COMPANY_SECRET",
            "scopes": ["openid", "email", "profile", "groups"],
        },
        provisions=True,
        issuer=harness.issuer,
    )
    harness.change(
        mappings.add, connection="company", claim="groups", value="mcp-dev", role="developer"
    )
    client = {
        "client_id": "mcp",
        "client_secret": SECRET,
        "redirect_uris": [details.addresses["redirect_uri"]],
        "grant_types": ["authorization_code"],
        "response_types": ["code"],
    }
    command = [node(), str(JAVASCRIPT / "identity_provider.mjs")]
    key = signing_key("RS256", "k1")
    with identity_provider(command, key=key, clients=[client], people=PEOPLE, port=port) as made:
        yield made


def test_from_a_button_to_a_tool(harness, company, chromium):
    """Cookies, redirects and headers as a browser has them; nothing is loaded from anywhere else."""
    met = drive(
        "federated.mjs",
        chromium,
        start=f"{harness.issuer}/authorize?{httpx2.QueryParams(harness.request)}",
        button="Continue with Company",
        redirectUri=REDIRECT,
    )
    assert met["headings"] == ["Sign in", "Allow access to Operations?"]
    assert (met["faults"], met["axe"]) == ([], [])
    ours, theirs = urlsplit(harness.issuer).netloc, urlsplit(company.issuer).netloc
    assert set(met["hosts"]) == {ours, theirs, urlsplit(REDIRECT).netloc}

    answer = harness.redeem(met["answer"]["code"])
    assert answer.ok, (answer.json, answer.reason)
    claims = harness.claims(answer.access_token)
    assert claims["connection"] == "company"
    called = Server(harness).call(answer.access_token)
    assert (called.status_code, called.text) == (200, claims["sub"])
