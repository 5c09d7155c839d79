"""A crowd of hostile client identifiers, and what is left of it afterwards.

    python tests/support/flood.py 1000000        # one server in a process of its own, SQLite; prints what grew

Every identifier is a URL of a host nobody knows: half of them are asked for at /authorize, half at /token.
"""

import asyncio
import itertools
import multiprocessing
import sys
import tempfile
import time
from collections import Counter, deque
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any
from urllib.parse import quote

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from sqlalchemy import func, select

from authz.db import Database
from authz.db.models.base import Base
from tests.support.harness import LOG, RunningServer, running

_CONNECTIONS = 16


def rows(database: Database) -> dict[str, int]:
    """How many rows each table has."""
    with database.read() as tx:
        return {
            table.name: tx.scalar(select(func.count()).select_from(table)) or 0
            for table in Base.metadata.sorted_tables
        }


def remembered(server: RunningServer) -> int:
    """How many keys all budgets, caches and shelves of the process hold."""
    edge, shelves = server.edge, server.services.documents._shelves.values()
    clients = len(edge.channel.clients._cache)
    return len(edge.limits) + clients + sum(len(s.entries) + len(s.failures) for s in shelves)


def identifiers(label: str) -> Iterator[str]:
    """URLs that nobody has used before, some of them long."""
    for n in itertools.count():
        yield f"https://h{n}.{label}.example/{'x' * (1000 if n % 10 == 0 else 10)}/{n}.json"


def authorizations(path: str, label: str, cookie: str = "") -> Iterator[bytes]:
    """GET /authorize for one identifier after another."""
    rest = (
        "&response_type=code&redirect_uri=https%3A%2F%2Fx.example%2Fcb&code_challenge=" + "a" * 43
    )
    for client_id in identifiers(label):
        target = f"{path}/authorize?client_id={quote(client_id, safe='')}{rest}"
        yield f"GET {target} HTTP/1.1\r\nHost: x\r\nCookie: {cookie}\r\n\r\n".encode()


def token_requests(path: str, label: str) -> Iterator[bytes]:
    """POST /token in the name of one identifier after another."""
    for client_id in identifiers(label):
        body = f"grant_type=authorization_code&code=azc_x&client_id={quote(client_id, safe='')}"
        yield (
            f"POST {path}/token HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n"
            f"Content-Type: application/x-www-form-urlencoded\r\n\r\n{body}"
        ).encode()


def flood(port: int, requests: Iterator[bytes], count: int) -> Counter[int]:
    """Send `count` of them over a few connections; answers how often each status came."""
    return asyncio.run(_flood(port, itertools.islice(requests, count)))


async def _flood(port: int, requests: Iterator[bytes]) -> Counter[int]:
    statuses: Counter[int] = Counter()

    async def worker() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for request in requests:
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
            await reader.readexactly(int(length))
            statuses[int(head[9:12])] += 1
        writer.close()

    await asyncio.gather(*(worker() for _ in range(_CONNECTIONS)))
    return statuses


def _serve(pipe: Connection, limits: dict[str, int]) -> None:
    """The server's process: answers each message with what there is."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with running(folder, f"sqlite:///{folder / 'authz.db'}", limits=limits) as server:
            LOG.events = deque(maxlen=1)  # type: ignore[assignment]  # what tests remember is not the server's
            while True:
                memory = Path("/proc/self/status").read_text().partition("VmRSS:")[2].split()[0]
                pipe.send(
                    {
                        "port": server.port,
                        "rows": rows(server.database),
                        "remembered": remembered(server),
                        "lookups": len(server.web.resolutions),
                        "resident": int(memory),
                        "cpu": time.process_time(),
                    }
                )
                if pipe.recv() == "stop":
                    return


def main(count: int, *, limits: dict[str, int]) -> None:
    """Run the crowd against a fresh server and print what it left behind."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=(theirs, limits))
    process.start()
    before: dict[str, Any] = ours.recv()
    began = time.monotonic()
    statuses: Counter[int] = Counter()
    for label in (f"round{n}" for n in range(10)):
        for make in (authorizations, token_requests):
            statuses += flood(before["port"], make("", label), count // 20)
        ours.send("next")
        after = ours.recv()
        print(
            f"{sum(statuses.values()):>9,} requests, {after['resident'] / 1024:.0f} MB", flush=True
        )
    seconds = time.monotonic() - began
    grown = {n: c - before["rows"][n] for n, c in after["rows"].items() if c != before["rows"][n]}
    print(
        f"distinct identifiers   {sum(statuses.values()):,} in {seconds:.0f} s, by status {dict(statuses)}"
    )
    print(f"new rows               {grown or 0}")
    print(f"outbound look-ups      {after['lookups'] - before['lookups']}")
    print(f"keys remembered        {after['remembered']:,}")
    print(
        f"resident memory        {before['resident'] / 1024:.0f} -> {after['resident'] / 1024:.0f} MB"
    )
    print(
        f"server CPU a request   {(after['cpu'] - before['cpu']) / sum(statuses.values()) * 1e6:.0f} us"
    )
    ours.send("stop")
    process.join(20)


if __name__ == "__main__":
    off = {
        "failures_per_address": 0,
        "failures_per_client_and_address": 0,
        "failures_per_client": 0,
        "requests_per_address": 0,
        "pages_per_address": 0,
    }
    main(int(sys.argv[1]), limits=off if "--without-limits" in sys.argv else {})
