"""An ID-JAG of this server at an authorization server that somebody else wrote (features item 14, E12)."""

import asyncio
from pathlib import Path

import httpx2
import pytest

from authz.admin import targets
from authz.admin.scopes import NewScope
from tests.interop.authlib_server import AuthlibServer, Client
from tests.support.exchanges import ID_JAG, ID_TOKEN, TOKEN_EXCHANGE
from tests.support.harness import Harness, RealClock, running
from tests.support.id_jags import JWT_BEARER

pytestmark = [pytest.mark.interop, pytest.mark.slow]

THERE = "https://auth.vendor.example"
DOCS = "https://docs.vendor.example/mcp"
SCOPES = (NewScope(name="docs.read", description="Read", risk="read", is_default=True),)
ROLES = """
roles: {developer: [logs.read, docs.read]}
bindings: [{role: developer, users: [dev@example.com]}]
"""


@pytest.fixture
def harness(tmp_path: Path):
    """On the real clock: the peer has no other."""
    with running(tmp_path, f"sqlite:///{tmp_path / 'authz.db'}", RealClock()) as server:
        made = Harness(server)
        try:
            yield made
        finally:
            made.close()


def assertion(harness, made):
    """From a sign-in here to an ID-JAG for the peer."""
    own = {"client_id": made.client.id, "client_secret": made.secret}
    code = harness.code(client_id=made.client.id, openid=frozenset({"openid"}))
    answer = harness.token(
        {
            **own,
            "grant_type": TOKEN_EXCHANGE,
            "requested_token_type": ID_JAG,
            "subject_token": harness.redeem(code, **own).json["id_token"],
            "subject_token_type": ID_TOKEN,
            "audience": THERE,
            "resource": DOCS,
        }
    )
    assert answer.ok, answer.reason
    return answer.access_token


def test_authlibs_own_grant_redeems_it_once(harness):
    """Its signature, type, audience, client, scope and times, by a verifier that is not ours."""
    harness.change(targets.add, slug="vendor", issuer=THERE, own_issuer=harness.issuer, settings={})
    harness.add_resource(DOCS, name="Docs", scopes=SCOPES, issued_by="vendor")
    harness.import_roles(ROLES)
    made = harness.add_client(
        auth_method="client_secret_post", grant_types=("authorization_code", TOKEN_EXCHANGE)
    )
    harness.change(targets.map_client, "vendor", made.client.id, "vendor-client")
    granted = frozenset({JWT_BEARER})
    peer = AuthlibServer(
        issuer=THERE,
        jwks_uri=f"{harness.issuer}/jwks",
        trusted=(harness.issuer,),
        clients={it: Client(it, it, granted) for it in ("vendor-client", "other-client")},
        resources=(DOCS,),
        allowed=frozenset({"docs.read"}),
    )
    text = assertion(harness, made)

    async def redeem(client_id):
        transport = httpx2.ASGITransport(app=peer)
        fields = {"grant_type": JWT_BEARER, "assertion": text}
        async with httpx2.AsyncClient(transport=transport, base_url=THERE) as http:
            return await http.post("/token", data=fields, auth=(client_id, client_id))

    refused = asyncio.run(redeem("other-client"))
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_grant")
    good = asyncio.run(redeem("vendor-client"))
    assert (good.status_code, good.json()["scope"]) == (200, "docs.read")
    assert peer.request.id_jag_claims["sub"] == harness.users["dev"]
    again = asyncio.run(redeem("vendor-client"))
    assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")
