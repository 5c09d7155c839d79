"""MCP servers on both adapters report to a real server that goes away and comes back (S5, E8, M8)."""

import asyncio
import contextlib
import json
import threading
import time

import httpx2
import pytest
import uvicorn
from fastmcp import FastMCP
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.server.mcpserver import MCPServer
from mcp.shared.exceptions import MCPError
from sqlalchemy import select

from authz.admin import outcomes, resources
from authz.admin.trace import tell
from authz.db.models import OutcomeBatch
from authz.resource_server import Reports, protect
from authz.resource_server.report_key import make_key
from tests.support.databases import migrated_url
from tests.support.gate import gate
from tests.support.harness import Harness, RealClock, running
from tests.support.outcomes import outcomes_of
from tests.support.postgres import free_port

pytestmark = pytest.mark.slow
TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACEPARENT = f"00-{TRACE_ID}-00f067aa0ba902b7-01"
TOOLS = {"read_logs": "logs.read", "fail": "logs.read", "purge_logs": "incidents.trigger"}


def sdk_server():
    server = MCPServer("logs", log_level="CRITICAL")

    @server.tool()
    def read_logs(q: str = "") -> str:
        return "lines"

    @server.tool()
    def fail() -> str:
        raise ValueError("canary of an error")

    @server.tool()
    def purge_logs() -> str:
        return "gone"

    return server


def fastmcp_server():
    server = FastMCP("logs")

    @server.tool
    async def read_logs(q: str = "") -> str:
        return "lines"

    @server.tool
    async def fail() -> str:
        raise ValueError("canary of an error")

    @server.tool
    async def purge_logs() -> str:
        return "gone"

    return server


KINDS = {"sdk": sdk_server, "fastmcp": fastmcp_server}


@pytest.fixture(scope="module")
def world(engine, worker, tmp_path_factory):
    """An authorization server by the real time, behind an address that can be taken away."""
    folder = tmp_path_factory.mktemp("reporting")
    with (
        migrated_url(engine, folder, f"authz_reporting_{worker}") as url,
        gate() as door,
        running(folder, url, RealClock(), sections={"server": {"issuer": door.base}}) as server,
    ):
        door.target, server.base = server.port, door.base
        yield server, door


@contextlib.contextmanager
def served(app, port):
    """An MCP server under uvicorn; stopped as a supervisor stops it."""
    config = uvicorn.Config(app, port=port, log_level="critical", ws="none", lifespan="on")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    try:
        yield
    finally:
        server.should_exit = True
        thread.join(20)


class Scene:
    """One tenant, and one MCP server with a reporter."""

    def __init__(self, world, kind, folder):
        server, self.door = world
        self.harness = Harness(server)
        self.kind, self.port = kind, free_port()
        self.resource = f"http://127.0.0.1:{self.port}/mcp"
        self.harness.add_resource(self.resource)
        self.spool = folder / "spool"
        self.key = folder / "reports.jwk"
        made = self.harness.add_client(
            name="Logs MCP",
            auth_method="private_key_jwt",
            jwks=make_key(self.key),
            grant_types=("client_credentials",),
            redirect_uris=(),
        )
        self.client_id = made.client.id
        self.harness.change(resources.set_client, self.resource, self.client_id)

    @contextlib.contextmanager
    def running(self):
        """The MCP server, from start to stop; answers the app."""
        reports = Reports(self.client_id, key=self.key, spool=self.spool, every=0.1)
        app = protect(
            KINDS[self.kind](),
            issuer=self.harness.issuer,
            resource=self.resource,
            tools=TOOLS,
            reports=reports,
        )
        with served(app, self.port):
            yield app

    def token(self):
        return self.harness.tokens(resource=self.resource).access_token

    def call(self, token, *tools, meta=None):
        """Call tools as a client of the SDK does; how each ended."""
        return asyncio.run(self._call(token, tools, meta))

    async def _call(self, token, tools, meta):
        ended = []
        headers = {"authorization": f"Bearer {token}"}
        async with (
            httpx2.AsyncClient(headers=headers, timeout=20) as http,
            Client(streamable_http_client(self.resource, http_client=http), cache=None) as client,
        ):
            for tool in tools:
                try:
                    result = await client.call_tool(tool, {}, meta=meta)
                    ended.append("error" if result.is_error else "ok")
                except MCPError:
                    ended.append("denied")
        return ended

    def told(self, count):
        """The outcomes, once so many have come."""
        deadline = time.monotonic() + 60
        while len(rows := outcomes_of(self.harness)) < count:
            assert time.monotonic() < deadline, [row.tool for row in rows]
            time.sleep(0.05)
        return rows


@pytest.fixture(params=KINDS)
def scene(request, world, tmp_path):
    made = Scene(world, request.param, tmp_path)
    yield made
    made.door.close()
    made.door.open()
    made.harness.close()


def test_from_login_to_tool_call_in_one_query(scene):
    """S5, S14: what the person did, what was issued, what was called, and what was refused."""
    with scene.running():
        token = scene.token()
        claims = scene.harness.claims(token)
        ended = scene.call(
            token, "read_logs", "fail", "purge_logs", meta={"traceparent": TRACEPARENT}
        )
        assert ended == ["ok", "error", "denied"]
        scene.told(3)
    rows = scene.told(3)
    assert [(row.tool, row.outcome, row.reason) for row in rows] == [
        ("read_logs", "ok", None),
        ("fail", "error", "tool_error"),
        ("purge_logs", "denied", "scope_missing"),
    ]
    assert all(row.verified for row in rows)
    assert {row.jti for row in rows} == {claims["jti"]}
    harness = scene.harness
    with harness.server.database.read() as tx:
        story = tell(tx, harness.tenant_id, claims["grant_id"], harness.clock())
        statements = tx.scalars(
            select(OutcomeBatch.statement).where(OutcomeBatch.tenant_id == harness.tenant_id)
        ).all()
    kinds = [entry.kind for entry in story.entries]
    assert kinds == [
        *("login.succeeded", "consent.granted", "code.issued", "token.issued"),
        *("tool.ok", "tool.error", "tool.denied"),
    ]
    traces = {entry.trace.partition("-")[0] for entry in story.entries if entry.trace}
    assert traces == {TRACE_ID}
    assert "canary" not in json.dumps([entry.detail for entry in story.entries])
    assert len(statements) >= 1


def test_a_server_that_goes_away_and_comes_back_misses_nothing(scene):
    """Spooled meanwhile, sent in order, once each; and no call waits for it."""
    with scene.running() as app:
        token = scene.token()
        assert scene.call(token, "read_logs") == ["ok"]
        scene.told(1)
        scene.door.close()
        began = time.monotonic()
        assert scene.call(token, *["read_logs", "fail"] * 10) == ["ok", "error"] * 10
        assert time.monotonic() - began < 60  # one that waited for an answer would take ten seconds
        assert len(outcomes_of(scene.harness)) == 1
        time.sleep(1)
        scene.door.open()
        rows = scene.told(21)
        assert app.reporter.lost == 0
    assert [row.tool for row in rows] == ["read_logs", *["read_logs", "fail"] * 10]
    assert all(row.verified for row in rows)
    with scene.harness.server.database.read() as tx:
        [line] = outcomes.reporters(tx, scene.harness.tenant_id)
    assert (line.missing, line.lost, line.outcomes, line.unverified) == (0, 0, 21, 0)


def test_what_waits_survives_a_restart_of_the_mcp_server(scene):
    """The authorization server is away, the MCP server is restarted, and then it is back."""
    with scene.running():
        token = scene.token()
        assert scene.call(token, "read_logs") == ["ok"]
        scene.told(1)
        scene.door.close()
        assert scene.call(token, "fail", "purge_logs") == ["error", "denied"]
    assert len(outcomes_of(scene.harness)) == 1
    spooled = b"".join(path.read_bytes() for path in scene.spool.iterdir())
    assert b"purge_logs" in spooled
    for secret in (token.encode(), b"canary", json.loads(scene.key.read_text())["d"].encode()):
        assert secret not in spooled
    scene.door.open()
    with scene.running():
        rows = scene.told(3)
    assert [row.tool for row in rows] == ["read_logs", "fail", "purge_logs"]
    with scene.harness.server.database.read() as tx:
        [line] = outcomes.reporters(tx, scene.harness.tenant_id)
    assert (line.missing, line.lost) == (0, 0)


def test_a_reporter_that_is_not_admitted_yet_keeps_what_it_has(scene):
    """The operator names the server's client an hour too late: nothing of that hour is lost."""
    scene.harness.change(resources.set_client, scene.resource, None)
    with scene.running():
        assert scene.call(scene.token(), "read_logs") == ["ok"]
        time.sleep(1)
        assert len(outcomes_of(scene.harness)) == 0
        scene.harness.change(resources.set_client, scene.resource, scene.client_id)
        assert [row.verified for row in scene.told(1)] == [True]
