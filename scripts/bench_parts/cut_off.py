"""How long servers that verify by themselves go on accepting a token after it was revoked.

    scripts/cut-off                        20 servers, 200 revocations, PostgreSQL
    scripts/cut-off --servers 50 --revocations 50 --engine sqlite

Each server is a verifier of its own with a connection of its own to the revocation feed, and is called with the token
every few milliseconds. The time of one revocation at one server runs from the moment the request to revoke is sent to
the last call that was still let in. Every second revocation is a client's (`/revoke`, at the server process that is
asked), the others are an operator's, who ends the access of a person from another process.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx2

from authz.admin import clients, leaving, resources
from authz.admin.client_metadata import Registration
from authz.admin.operator import Operator
from authz.clock import system_clock
from authz.resource_server import InvalidToken, RemoteKeys, Revocations, TokenVerifier
from scripts.bench_parts.machine import BenchError, describe
from tests.support.postgres import ThrowAwayPostgres, free_port
from tests.support.processes import RESOURCE, Installation, ServerProcess, installation

_PATIENCE_SECONDS = 30.0
_TARGET_MS = 2_000
"""Features item 5."""
_PEOPLE = "dev@example.com"


@dataclass(frozen=True)
class Issued:
    """What a client holds."""

    access_token: str
    refresh_token: str


def _share(values: list[float], share: float) -> float:
    return values[min(len(values) - 1, int(share * len(values)))]


def _add_reader(installed: Installation) -> Revocations:
    operator = _operator(installed)
    registration = Registration(
        name="Logs",
        redirect_uris=(),
        grant_types=("client_credentials",),
        auth_method="client_secret_basic",
    )
    with installed.services.database.write() as tx:
        made = clients.add(tx, operator, installed.tenant_id, registration)
        resources.set_client(
            tx, operator, installed.tenant_id, installed.resource_id, made.client.id
        )
    if made.secret is None:
        raise BenchError("the client has no secret")
    return Revocations(made.client.id, made.secret)


def _operator(installed: Installation) -> Operator:
    return Operator.local("bench", system_clock(), installed.services.envelope)


def _end_access(installed: Installation) -> None:
    with installed.services.database.write() as tx:
        leaving.end_access(tx, _operator(installed), installed.tenant_id, _PEOPLE)


class Measuring:
    """One installation and its servers."""

    def __init__(self, installed: Installation, issuer: str, options: argparse.Namespace) -> None:
        self._installed, self._issuer, self._options = installed, issuer, options
        settings = _add_reader(installed)
        self._servers = [
            TokenVerifier(RemoteKeys(issuer), resource=RESOURCE, revocations=settings)
            for _ in range(options.servers)
        ]

    async def run(self) -> list[float]:
        """Of each revocation at each server, sorted."""
        found: list[float] = []
        async with httpx2.AsyncClient(trust_env=False, timeout=_PATIENCE_SECONDS) as http:
            for number in range(self._options.revocations):
                issued = await self._issue(http)
                for server in self._servers:
                    await server.verify(issued.access_token)
                began = time.perf_counter()
                last, _ = await asyncio.gather(
                    asyncio.gather(*(self._call(it, issued, began) for it in self._servers)),
                    self._revoke(http, issued)
                    if number % 2
                    else asyncio.to_thread(_end_access, self._installed),
                )
                found += [it - began for it in last]
        for server in self._servers:
            if server.feed is not None:
                await server.feed.stop()
        return sorted(found)

    async def _issue(self, http: httpx2.AsyncClient) -> Issued:
        code = await asyncio.to_thread(self._installed.code)
        answer = await http.post(f"{self._issuer}/token", data=self._installed.redemption(code))
        if answer.status_code != 200:
            raise BenchError(answer.text)
        body = answer.json()
        return Issued(body["access_token"], body["refresh_token"])

    async def _revoke(self, http: httpx2.AsyncClient, issued: Issued) -> None:
        fields = {"token": issued.refresh_token, "client_id": self._installed.client_id}
        answer = await http.post(f"{self._issuer}/revoke", data=fields)
        if answer.status_code != 200:
            raise BenchError(answer.text)

    async def _call(self, server: TokenVerifier, issued: Issued, began: float) -> float:
        """When the last call was let in."""
        last = began
        while time.perf_counter() - began < _PATIENCE_SECONDS:
            try:
                await server.verify(issued.access_token)
            except InvalidToken:
                return last
            last = time.perf_counter()
            await asyncio.sleep(self._options.every)
        raise BenchError("a server goes on accepting the token")


def run(options: argparse.Namespace) -> list[float]:
    """Set up, measure, clean up."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="authz-cut-off-")))
        url = f"sqlite:///{folder / 'authz.db'}"
        if options.engine == "postgresql":
            url = stack.enter_context(ThrowAwayPostgres({"synchronous_commit": "on"})).url
        port = free_port()
        issuer = f"http://127.0.0.1:{port}"
        installed = stack.enter_context(installation(folder, url, issuer=issuer))
        process = ServerProcess(installed.config, port)
        stack.callback(process.kill)
        return asyncio.run(Measuring(installed, issuer, options).run())


def main() -> int:
    """From the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--servers", type=int, default=20)
    parser.add_argument("--revocations", type=int, default=200)
    parser.add_argument(
        "--every", type=float, default=0.01, help="seconds between two calls of one server"
    )
    parser.add_argument("--engine", choices=("postgresql", "sqlite"), default="postgresql")
    parser.add_argument(
        "--check", action="store_true", help=f"fail unless p99 is below {_TARGET_MS:,} ms"
    )
    options = parser.parse_args()
    try:
        found = run(options)
    except BenchError as error:
        print(error, file=sys.stderr)
        return 1
    p50, p99 = (1000 * _share(found, it) for it in (0.5, 0.99))
    print(describe())
    print(
        f"{options.engine}, {options.servers} servers, {options.revocations} revocations: revocation to last accepted "
        f"call p50 {p50:,.0f} ms, p99 {p99:,.0f} ms, worst {1000 * found[-1]:,.0f} ms"
    )
    if options.check and p99 >= _TARGET_MS:
        print(f"p99 is not below {_TARGET_MS:,} ms", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
