"""The lab at peers (features item 13): servers that others wrote, with what it finds there.

What is listed is the state of the locked version: an entry that disappears is a peer that became better.
"""

import asyncio
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

import pytest
from fastmcp import FastMCP
from fastmcp.server.auth import IdentityAssertion, OAuthProxy, StaticTokenVerifier
from key_value.aio.stores.memory import MemoryStore
from mcp.shared.auth import OAuthClientInformationFull

from authz.lab.applications import READ, WITHHELD, WRITE
from authz.lab.examination import choose, examine
from authz.lab.judgement import Outcome
from authz.lab.laboratory import Laboratory, bench_at, way_home
from authz.lab.serving import listening, serving
from authz.lab.target import Credentials, Target
from tests.interop.authlib_server import JWT_BEARER, AuthlibServer, Client
from tests.lab.world import ended, faults_of

pytestmark = [pytest.mark.interop, pytest.mark.slow]

AUTHLIB = {
    # One spelling of `typ`; of several audiences one has to match; times have no upper end.
    *("typ-prefix", "typ-case", "aud-two", "aud-twice", "exp-infinite", "exp-day"),
    # Claims that are not read: whoever uses the grant has to.
    *("tenant", "aud-tenant", "details-object", "details-unknown", "jti-huge"),
    # The first of two credentials, and of two parameters, is taken.
    *("client-two-methods", "request-two", "request-good-and-bad"),
    *("request-two-types", "request-two-scopes"),
    # What is said of refusals, and of what was granted.
    *("no-oracle", "resource-told"),
    # The peer's own code, as simple as the documentation's: one server per assertion.
    *("resource-one", "target-chosen"),
}


# FastMCP is authorization server and MCP server in one, for public clients.
FASTMCP = {
    # One spelling of `typ`; of several audiences one has to match; `iat` is optional.
    *("typ-prefix", "typ-case", "aud-two", "aud-twice", "iat-absent"),
    # Resources are compared without query and fragment; one server per assertion.
    *("resource-query", "resource-fragment", "resource-one", "resource-told"),
    # Claims that are not read, among them every binding to a key.
    *("tenant", "aud-tenant", "details-object", "details-unknown", "jti-huge"),
    *("cnf-unknown", "cnf-kid", "cnf-text", "cnf-number", "cnf-certificate", "bound-no-proof"),
    # Scopes are as asserted, whatever they are, and a token may hold none.
    *("scope-list", "scope-quote", "scope-unknown", "scope-unknown-beside", "scope-other"),
    # The last of two parameters is taken.
    *("request-two", "request-good-and-bad", "request-two-types", "request-two-scopes"),
    *("request-other-grant", "token-type"),
}


@asynccontextmanager
async def peer(folder, make):
    """The lab at whatever `make` serves; `make` is handed the lab and the peer's URL, and answers app and target."""
    with ExitStack() as stack:
        idp, mcp, own = (stack.enter_context(listening()) for _ in range(3))
        home = stack.enter_context(way_home())
        lab = Laboratory.at(folder, idp.url, mcp.url)
        app, target, has_lifespan = await make(lab, own.url)
        async with serving(app, own, lifespan=has_lifespan), lab.on(idp, mcp, own.url):
            yield stack.enter_context(bench_at(target, lab.idp, home))


def examined(folder, make):
    async def main():
        async with peer(folder, make) as bench:
            return await examine(bench, choose(()))

    return asyncio.run(main())


async def on_authlib(lab, issuer):
    granted = frozenset({JWT_BEARER})
    secrets = {"lab-client": "one", "lab-other": "two", "lab-public": None}
    clients = {name: Client(name, secret, granted) for name, secret in secrets.items()}
    clients["lab-ungranted"] = Client("lab-ungranted", "three", frozenset())
    server = AuthlibServer(
        issuer=issuer,
        jwks_uri=lab.idp.jwks_uri,
        trusted=(lab.idp.issuer(),),
        clients=clients,
        resources=(lab.resource, lab.other_resource),
        allowed=frozenset({READ, WRITE}),
    )

    def credentials(name):
        return Credentials(name, "client_secret_basic", clients[name].secret)

    target = Target(
        issuer=issuer,
        resource=lab.resource,
        is_labs_server=True,
        client=credentials("lab-client"),
        scopes=(READ, WRITE),
        withheld=WITHHELD,
        other_resource=lab.other_resource,
        other_client=credentials("lab-other"),
        ungranted_client=credentials("lab-ungranted"),
        public_client=Credentials("lab-public"),
    )
    return server, target, False


def test_authlibs_own_grant(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("AUTHLIB_INSECURE_TRANSPORT", "1")
    report = examined(tmp_path, on_authlib)
    assert faults_of(report) == AUTHLIB, ended(report, Outcome.FAILED, Outcome.SHORT)
    assert report.count(Outcome.PASSED) > 125
    assert "tool-called" in ended(report, Outcome.PASSED)


async def on_fastmcp(lab, issuer):
    main = lab.idp.issuer()
    proxy = OAuthProxy(
        upstream_authorization_endpoint="https://upstream.example/authorize",
        upstream_token_endpoint="https://upstream.example/token",
        upstream_client_id="unused",
        upstream_client_secret="never asked for anything",
        token_verifier=StaticTokenVerifier({}),
        base_url=issuer,
        jwt_signing_key="a key of the peer and of nobody else",
        client_storage=MemoryStore(),
        valid_scopes=[READ, WRITE, WITHHELD],
        identity_assertion=IdentityAssertion(
            trusted_issuers=[main], jwks_uris={main: lab.idp.jwks_uri}, algorithm="ES256"
        ),
    )
    app = FastMCP("Peer", auth=proxy).http_app(path="/mcp")
    for name in ("lab-client", "lab-other"):
        await proxy.register_client(
            OAuthClientInformationFull(
                client_id=name,
                redirect_uris=["http://127.0.0.1/callback"],
                grant_types=["authorization_code", "refresh_token", JWT_BEARER],
                token_endpoint_auth_method="none",
            )
        )
    target = Target(
        issuer=f"{issuer}/",
        resource=f"{issuer}/mcp",
        client=Credentials("lab-client"),
        scopes=(READ, WRITE),
        other_client=Credentials("lab-other"),
    )
    return app, target, True


def test_fastmcps_own_grant(tmp_path: Path):
    report = examined(tmp_path, on_fastmcp)
    assert faults_of(report) == FASTMCP, ended(report, Outcome.FAILED, Outcome.SHORT)
    assert report.count(Outcome.PASSED) > 110
    assert "tool-opened" in ended(report, Outcome.PASSED)
