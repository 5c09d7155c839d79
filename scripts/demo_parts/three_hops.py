"""A call that goes on through three MCP servers, each with a token of its own: run by `scripts/demo --three-hops`."""

import asyncio
import contextlib
import itertools
import json
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from scripts.demo_parts import setting
from scripts.demo_parts.certificates import write_authority
from scripts.demo_parts.chain import actors
from scripts.demo_parts.client_host import client_host
from scripts.demo_parts.installation import (
    DemoError,
    Installation,
    free_port,
    python_environment,
    running,
)
from scripts.demo_parts.mcp_client import Person, connected
from scripts.demo_parts.terminal import Terminal

ROLES = f"""\
roles:
  developer: [logs.read, metrics.read, deploys.read, tickets.read, changes.read, rota.read]
bindings:
  - {{role: developer, users: [{setting.DEV}]}}
"""
_PATIENCE = 20


@dataclass(frozen=True)
class Hop:
    """One MCP server."""

    name: str
    tool: str
    scopes: tuple[str, ...]
    """All of them open the tool."""
    url: str

    @property
    def client_id(self) -> str:
        """With which it exchanges tokens and reports."""
        return f"{self.name}-mcp"


def run(terminal: Terminal, folder: Path) -> None:
    """Set it up, call the first server, and show what the authorization server knows of it. Raises DemoError."""
    hops = [
        Hop("ops", "investigate", ("logs.read", "metrics.read", "deploys.read"), _url()),
        Hop("tickets", "find_tickets", ("tickets.read", "changes.read"), _url()),
        Hop("pager", "who_is_on_call", ("rota.read",), _url()),
    ]
    with contextlib.ExitStack() as stack:
        terminal.chapter("Three MCP servers in a row, and who may go from one to the next")
        ca_file = write_authority(folder)
        host = stack.enter_context(client_host(folder, free_port()))
        installation = Installation(folder, free_port(), ca_file, settings=setting.passwords())
        installation.init()
        installation.run("db", "upgrade")
        installation.run(*setting.add_person(setting.DEV))
        for hop in hops:
            _register(terminal, installation, folder, hop)
        (folder / "roles.yaml").write_text(ROLES)
        terminal.step("authz roles import roles.yaml")
        terminal.says(ROLES + installation.run("roles", "import", "roles.yaml"))
        for here, there in itertools.pairwise(hops):
            rule = [
                *("delegations", "add", here.client_id, "--from", here.url, "--to", there.url),
                # Each scope there stands on one here, and the last one here leads nowhere: fewer at every hop.
                *(
                    part
                    for behind, ahead in zip(here.scopes, there.scopes, strict=False)
                    for part in ("--scope", f"{ahead}={behind}")
                ),
            ]
            terminal.step(f"authz {' '.join(rule)}")
            terminal.says(installation.run(*rule))
        stack.enter_context(installation.serving())
        for n, hop in enumerate(hops):
            stack.enter_context(
                _serving(folder, installation.issuer, hop, hops[n + 1] if hops[n + 1 :] else None)
            )
        told = asyncio.run(_call(terminal, host.client_id, hops[0]))
        _check(terminal, hops, told)
        terminal.step(f"authz audit trace {told[0]['grant_id']}")
        terminal.says(_story(installation, told[0]["grant_id"], len(hops)))


def _register(terminal: Terminal, installation: Installation, folder: Path, hop: Hop) -> None:
    place = folder / hop.name
    place.mkdir()
    made = subprocess.run(
        [sys.executable, "-m", "authz.resource_server.report_key", str(place / "report.jwk")],
        capture_output=True,
        text=True,
        env=python_environment(),
        check=True,
    )
    (place / "report.jwks").write_text(made.stdout)
    scopes = [part for it in hop.scopes for part in ("--scope", f"{it},default")]
    installation.run("resources", "add", hop.url, *scopes, "--name", hop.name)
    installation.run(
        *("clients", "add", hop.name, "--id", hop.client_id, "--auth", "private_key_jwt"),
        *("--jwks", str(place / "report.jwks")),
        *("--grant-type", "urn:ietf:params:oauth:grant-type:token-exchange"),
    )
    terminal.step(f"authz resources client {hop.url} {hop.client_id}")
    terminal.says(installation.run("resources", "client", hop.url, hop.client_id))


@contextmanager
def _serving(folder: Path, issuer: str, hop: Hop, onward: Hop | None) -> Iterator[None]:
    command = [
        *(sys.executable, "-m", "scripts.demo_parts.hop_server", issuer, hop.url, hop.tool),
        *(" ".join(hop.scopes), hop.client_id, str(folder / hop.name)),
        *(() if onward is None else (onward.url, onward.tool)),
    ]
    ready = hop.url.replace("/mcp", "/.well-known/oauth-protected-resource/mcp")
    with running(command, folder, hop.name, ready):
        yield


async def _call(terminal: Terminal, client_id: str, first: Hop) -> list[dict[str, Any]]:
    terminal.chapter(f"{setting.DEV} calls {first.tool}, and the call goes on")
    person = Person(setting.DEV, setting.PASSWORDS[setting.DEV])
    trace = f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"

    async def with_trace(request: httpx2.Request) -> None:
        request.headers["traceparent"] = trace

    async with connected(
        first.url, client_id=client_id, person=person, before=with_trace
    ) as connection:
        answer = await connection.call(first.tool)
    return [json.loads(line) for line in answer.splitlines()]


def _check(terminal: Terminal, hops: list[Hop], told: list[dict[str, Any]]) -> None:
    for n, (hop, claims) in enumerate(zip(hops, told, strict=True)):
        terminal.step(f"The token that {hop.name} was called with")
        terminal.says(json.dumps(claims, indent=2))
        wanted = [it.client_id for it in reversed(hops[:n])]
        if claims["aud"] != hop.url or actors(claims) != wanted:
            raise DemoError(f"{hop.name} got a token for {claims['aud']} by {actors(claims)}")
        if set(claims["scope"].split()) != set(hop.scopes):
            raise DemoError(f"{hop.name} got {claims['scope']}, not {' '.join(hop.scopes)}")
    if len({(claims["sub"], claims["grant_id"]) for claims in told}) != 1:
        raise DemoError("the tokens are not of one person and grant")


def _story(installation: Installation, grant_id: str, calls: int) -> str:
    """Once all servers have reported: they do it a moment after the call."""
    until = time.monotonic() + _PATIENCE
    while True:
        story = installation.run("audit", "trace", grant_id)
        reported = sum(name in story for name in ("investigate", "find_tickets", "who_is_on_call"))
        if reported == calls:
            return story
        if time.monotonic() > until:
            raise DemoError(f"{reported} of {calls} servers reported their call:\n{story}")
        time.sleep(0.2)


def _url() -> str:
    return f"http://127.0.0.1:{free_port()}/mcp"
