"""The main job from nothing, with nothing left out: run by `scripts/demo`.

scripts/demo                show it, then stay up for your own client until Ctrl-C
scripts/demo --once         show it and end; the exit code tells whether all went as it should
scripts/demo --three-hops   a call that goes on through three MCP servers, each with a token of its own
"""

import argparse
import asyncio
import base64
import contextlib
import json
import os
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

import httpx2
from mcp import MCPError

from scripts.demo_parts import setting, three_hops
from scripts.demo_parts.certificates import write_authority
from scripts.demo_parts.client_host import ClientHost, client_host
from scripts.demo_parts.installation import DemoError, Installation, Process, free_port
from scripts.demo_parts.mcp_client import Connection, Person, connected
from scripts.demo_parts.terminal import Terminal

_MAX_SECONDS = 60
_PORTS = {"authz": 9400, "mcp": 9401, "client": 9402}


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/demo", description=__doc__)
    parser.add_argument("--once", action="store_true", help="end after the run")
    parser.add_argument("--three-hops", action="store_true", help="through three MCP servers")
    arguments = parser.parse_args()
    terminal = Terminal(before=float(os.environ.get("AUTHZ_DEMO_SETUP_SECONDS", "0")))
    # Either ends the processes we started; a shell that starts us in the background ignores SIGINT.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with contextlib.suppress(KeyboardInterrupt), tempfile.TemporaryDirectory() as folder:
        try:
            if arguments.three_hops:
                three_hops.run(terminal, Path(folder))
            else:
                _run(terminal, Path(folder), once=arguments.once)
        # One door for every failure, because task groups wrap what failed inside of them.
        except Exception as failed:
            for log in sorted(Path(folder).glob("*.log")):
                print(f"-- {log.name}\n{log.read_text(errors='replace')[-3000:]}", file=sys.stderr)
            for error in _leaves(failed):
                print(f"The demo failed: {type(error).__name__}: {error}", file=sys.stderr)
            sys.exit(1)
    if not arguments.once and not arguments.three_hops:
        print("\nStopped; everything of it is removed.")


def _run(terminal: Terminal, folder: Path, *, once: bool) -> None:
    ports = {name: free_port(0 if once else port) for name, port in _PORTS.items()}
    with contextlib.ExitStack() as stack:
        terminal.chapter("Setting up")
        ca_file = write_authority(folder)
        host = stack.enter_context(client_host(folder, ports["client"]))
        terminal.step("A client publishes its metadata document, over TLS of a throw-away CA")
        terminal.says(f"{host.client_id}\n{json.dumps(host.document, indent=2)}")
        installation = Installation(folder, ports["authz"], ca_file, settings=setting.passwords())
        terminal.step("authz init --development")
        terminal.says(installation.init())
        terminal.step("authz db upgrade")
        terminal.says(installation.run("db", "upgrade"))
        mcp_url = stack.enter_context(
            setting.sample_server(folder, installation.issuer, ports["mcp"])
        )
        terminal.step(f"The sample MCP server, on the official SDK, is ready at {mcp_url}")
        terminal.step("authz resources add: its metadata is read, its scopes get words and risk")
        terminal.says(installation.run(*setting.add_resource(mcp_url)))
        for login in setting.PASSWORDS:
            terminal.step(f"authz users add {login}")
            terminal.says(installation.run(*setting.add_person(login)))
        terminal.step("authz roles import roles.yaml")
        terminal.says(setting.ROLES + setting.BINDINGS)
        terminal.says(installation.run(*setting.import_roles(folder)))
        terminal.step("authz clients add: the MCP Inspector, which registers nowhere by itself")
        inspector = ("MCP Inspector", setting.INSPECTOR, *setting.INSPECTOR_REDIRECTS)
        terminal.says(installation.run(*setting.add_client(*inspector)))
        server = stack.enter_context(installation.serving())
        terminal.step(
            f"authz serve: ready after {server.ready_after:.2f} s at {installation.issuer}"
        )
        story = _Story(terminal, installation, host, mcp_url, server)
        asyncio.run(story.tell())
        if not once:
            story.invite()
            while True:
                signal.pause()


class _Story:
    """What happens once everything runs."""

    def __init__(
        self,
        terminal: Terminal,
        installation: Installation,
        host: ClientHost,
        mcp_url: str,
        server: Process,
    ) -> None:
        self.terminal = terminal
        self.installation = installation
        self.host = host
        self.mcp_url = mcp_url
        self.server = server
        self.statuses: list[int] = []
        """Of every answer of the MCP server."""
        self.first_call: float | None = None

    async def tell(self) -> None:
        """Both people."""
        self.terminal.chapter(f"A developer connects: {setting.DEV}")
        seen = await self._developer()
        self.terminal.chapter(f"An engineer on call connects: {setting.SRE}")
        more = await self._engineer()
        _expect(seen == ["query_analytics", "read_logs"], f"the developer saw {seen}")
        _expect(
            more == ["read_logs", "set_debug_level", "trigger_incident"], f"the engineer saw {more}"
        )
        self._figures()

    async def _developer(self) -> list[str]:
        async with self._connected(setting.DEV) as (connection, person):
            self._shown(person)
            self.terminal.step("tools/list shows what the role opens, nothing else")
            tools = await connection.tools()
            self.terminal.good(", ".join(tools))
            self.terminal.step("tools/call read_logs")
            self.terminal.good(await connection.call("read_logs"))
            self.first_call = self.terminal.elapsed
            claims = self._token(connection)
            self.terminal.step("tools/call set_debug_level, which the role does not open")
            pages = len(person.pages)
            await self._refused(connection, "set_debug_level")
            shown = len(person.pages) - pages
            self.terminal.says(
                f"the SDK asked for more in {shown} page{'' if shown == 1 else 's'}; the role is the same, "
                "so the scope was not granted, and the second call was refused like the first"
            )
            self._step_up(person)
            self.terminal.step("The access token runs out; the SDK refreshes, and goes on")
            before = connection.access_token
            connection.expire()
            self.terminal.good(await connection.call("query_analytics"))
            after = _claims(connection.access_token)
            _expect(connection.access_token != before, "the refresh brought no new token")
            self.terminal.says(f"a new jti, {after['jti']}, with the scope: {after['scope']}")
            _expect(after["scope"] == claims["scope"], "the refresh changed the scope")
            return tools

    async def _engineer(self) -> list[str]:
        async with self._connected(setting.SRE) as (connection, person):
            self._shown(person)
            self.terminal.step("tools/list shows other tools to another role")
            tools = await connection.tools()
            self.terminal.good(", ".join(tools))
            self.terminal.step("tools/call set_debug_level, which the developer could not")
            self.terminal.good(await connection.call("set_debug_level"))
            self._token(connection)
            self.terminal.step("tools/call query_analytics, which is not for this role")
            await self._refused(connection, "query_analytics")
            return tools

    @contextlib.asynccontextmanager
    async def _connected(self, login: str) -> Any:
        person = Person(login, setting.PASSWORDS[login])
        self.terminal.step("The official MCP SDK connects; every request it makes:")
        async with connected(
            self.mcp_url, client_id=self.host.client_id, person=person, trace=self._trace
        ) as connection:
            yield connection, person

    async def _trace(self, response: httpx2.Response) -> None:
        request = response.request
        line = f"{request.method} {request.url.copy_with(query=None)}  {response.status_code}"
        if str(request.url) == self.mcp_url:
            self.statuses.append(response.status_code)
            body = json.loads(request.content or b"{}")
            line = f"{line}  {body.get('method', '')}"
        challenge = response.headers.get("www-authenticate")
        self.terminal.says(line)
        if challenge:
            self.terminal.refused(f"  {challenge}")
        if "/.well-known/" in request.url.path and response.status_code == 200:
            await response.aread()
            found = response.json()
            told = {name: found[name] for name in _TELLING if name in found}
            self.terminal.says("".join(f"  {k}: {_one_line(v)}\n" for k, v in told.items()))

    def _shown(self, person: Person) -> None:
        self.terminal.step("Meanwhile, in the browser, on the real pages:")
        for page in person.pages:
            self.terminal.says(f"{page.status} {page.heading!r}")
            if page.asks_for_password:
                self.terminal.says(f"  signs in as {person.login}")
            if page.asks_for_consent:
                for scope in page.offered:
                    self.terminal.says(f"  [x] {page.words[scope]} ({scope})")
                self.terminal.says("  Allow")

    def _step_up(self, person: Person) -> None:
        page = person.pages[-1]
        self.terminal.says(f"in the browser: {page.heading!r}, offered: {', '.join(page.offered)}")

    def _token(self, connection: Connection) -> dict[str, Any]:
        claims = _claims(connection.access_token)
        self.terminal.step("The access token, decoded")
        self.terminal.says(json.dumps(claims, indent=2))
        _expect(claims["aud"] == self.mcp_url, f"the token is for {claims['aud']}")
        self.terminal.step(f"authz explain {claims['jti']}")
        self.terminal.says(self.installation.run("explain", claims["jti"]))
        return claims

    async def _refused(self, connection: Connection, tool: str) -> None:
        try:
            answer = await connection.call(tool)
        except MCPError as refusal:
            self.terminal.refused(f"refused: {refusal}")
        else:
            raise DemoError(f"{tool} was not refused but answered {answer!r}")
        _expect(self.statuses[-1] == 403, f"the refusal was a {self.statuses[-1]}")

    def _figures(self) -> None:
        first = self.first_call or 0
        self.terminal.chapter("Measured")
        self.terminal.plain(
            f"  from the start of the script to the first tool call   {first:6.1f} s\n"
            f"  server start to ready                                 {self.server.ready_after:6.2f} s\n"
            f"  resident memory of the server process                 "
            f"{self.server.resident_megabytes:6.0f} MiB"
        )
        if first > _MAX_SECONDS:
            self.terminal.plain(f"  (more than {_MAX_SECONDS} s: packages were being downloaded)")

    def invite(self) -> None:
        """How to connect one's own client."""
        people = "\n".join(
            f"  {login:18} {setting.PASSWORDS[login]}" for login in (setting.DEV, setting.SRE)
        )
        vscode = json.dumps({"servers": {"operations": {"type": "http", "url": self.mcp_url}}})
        self.terminal.chapter("Now yours: it stays up until Ctrl-C")
        self.terminal.plain(
            f"""\
MCP server            {self.mcp_url}
Authorization server  {self.installation.issuer}

People (user name, password)
{people}

Claude Code
  claude mcp add --transport http operations {self.mcp_url}
  claude            then /mcp, operations, Authenticate

VS Code, .vscode/mcp.json
  {vscode}

MCP Inspector
  npx @modelcontextprotocol/inspector --server-url {self.mcp_url} \\
      --transport http --client-id {setting.INSPECTOR}

Claude Code and VS Code publish a metadata document, which this server reads from the internet. Without
internet, use a registered client instead: see docs/connect-a-client.md.

The command line of this installation
  cd {self.installation.folder} && {sys.executable} -m authz.cli audit verify"""
        )


_TELLING = (
    "resource",
    "authorization_servers",
    "issuer",
    "client_id_metadata_document_supported",
    "grant_types_supported",
)


def _claims(token: str) -> dict[str, Any]:
    """What a token says; whether it is true is the MCP server's business, and it has judged."""
    payload = token.split(".")[1]
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(payload + "=" * 3))
    return claims


def _expect(true: bool, otherwise: str) -> None:
    if not true:
        raise DemoError(otherwise)


def _one_line(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _leaves(error: BaseException) -> list[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        return [leaf for inner in error.exceptions for leaf in _leaves(inner)]
    return [error]


if __name__ == "__main__":
    main()
