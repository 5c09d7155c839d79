"""How long it takes until people who leave have nothing left, when a directory says so of very many at once.

    scripts/offboarding                    10,000 people with three grants each, one PATCH a person, PostgreSQL
    scripts/offboarding --way bulk         the same in bulk requests of 1,000
    scripts/offboarding --people 500 --engine sqlite --connections 4

Each person has a refresh token family with an access token per grant, and some a browser session. The time of a person
is what the server's own offboarding clock says: from the arrival of the request about them to the end of the last
credential.
"""

import argparse
import json
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from queue import Empty, SimpleQueue

from sqlalchemy import func, select

from authz.db import Database
from authz.db.models import Departure, IssuedToken, Session, TokenFamily, User
from authz.settings import load
from scripts.bench_parts.machine import BenchError, describe, start
from scripts.bench_parts.seed import seed
from scripts.bench_parts.supplies import Supplies, new_signing_key
from scripts.bench_parts.targets import Place, environment_of
from tests.support.postgres import ThrowAwayPostgres, free_port

_PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
_LEAVE = {"schemas": [_PATCH], "Operations": [{"op": "replace", "value": {"active": False}}]}
_BULK = 1000
_PATIENCE_SECONDS = 600.0


@dataclass(frozen=True)
class Measured:
    """What came of it."""

    people: int
    seconds: float
    """From the first request to the last answer."""
    signal_to_dead: list[float]
    """Of each person, sorted."""
    answers: list[float]
    """Seconds until a request was answered, sorted."""


def _share(values: list[float], share: float) -> float:
    return values[min(len(values) - 1, int(share * len(values)))]


def _requests(people: list[str], way: str) -> Iterator[tuple[str, str, bytes]]:
    if way == "patch":
        body = json.dumps(_LEAVE).encode()
        for id_ in people:
            yield "PATCH", f"/scim/v2/Users/{id_}", body
        return
    for first in range(0, len(people), _BULK):
        operations = [
            {"method": "PATCH", "path": f"/Users/{id_}", "data": _LEAVE}
            for id_ in people[first : first + _BULK]
        ]
        yield "POST", "/scim/v2/Bulk", json.dumps({"Operations": operations}).encode()


def _send(port: int, token: str, waiting: "SimpleQueue[tuple[str, str, bytes]]") -> list[float]:
    """Send what is waiting, one after the other; answers how long each took."""
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/scim+json"}
    http = HTTPConnection("127.0.0.1", port, timeout=_PATIENCE_SECONDS)
    took = []
    try:
        while True:
            try:
                method, path, body = waiting.get_nowait()
            except Empty:
                return took
            began = time.perf_counter()
            http.request(method, path, body, headers)
            answer = http.getresponse()
            text = answer.read()
            took.append(time.perf_counter() - began)
            statuses = {"200"}
            if path.endswith("/Bulk"):
                statuses = {it["status"] for it in json.loads(text)["Operations"]}
            if answer.status != 200 or statuses != {"200"}:
                raise BenchError(f"{method} {path}: {answer.status} {text[:300]!r}")
    finally:
        http.close()


def _measure(
    port: int, token: str, people: list[str], database: Database, options: argparse.Namespace
) -> Measured:
    waiting: SimpleQueue[tuple[str, str, bytes]] = SimpleQueue()
    for request in _requests(people, options.way):
        waiting.put(request)
    barrier = threading.Barrier(options.connections)

    def run() -> list[float]:
        barrier.wait()
        return _send(port, token, waiting)

    began = time.perf_counter()
    with ThreadPoolExecutor(options.connections) as pool:
        sent = [pool.submit(run) for _ in range(options.connections)]
        answers = sorted(it for one in sent for it in one.result())
    seconds = time.perf_counter() - began
    with database.read() as tx:
        rows = tx.execute(select(Departure.signalled_at, Departure.ended_at)).all()
        left = {
            "accounts": tx.scalar(_count(User.id).where(User.status == "active")),
            "sessions": tx.scalar(_count(Session.digest).where(Session.ended_at.is_(None))),
            "families": tx.scalar(_count(TokenFamily.id).where(TokenFamily.revoked_at.is_(None))),
            "tokens": tx.scalar(_count(IssuedToken.jti).where(IssuedToken.revoked_at.is_(None))),
        }
    if len(rows) != len(people) or any(left.values()):
        raise BenchError(f"{len(rows)} departures of {len(people)} people, and left are {left}")
    times = sorted((ended - signalled).total_seconds() for signalled, ended in rows)
    return Measured(len(people), seconds, times, answers)


def _count(column: object) -> object:
    return select(func.count()).select_from(column.class_)  # type: ignore[attr-defined]


@contextmanager
def _place(engine: str, folder: Path) -> Iterator[Place]:
    if engine == "sqlite":
        yield Place(f"sqlite:///{folder / 'authz.db'}")
        return
    with ThrowAwayPostgres({"synchronous_commit": "on"}) as postgres:
        yield Place(postgres.url)


def run(options: argparse.Namespace) -> Measured:
    """Set up, measure, clean up."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="authz-offboarding-")))
        place = stack.enter_context(_place(options.engine, folder))
        port = free_port()
        environment = environment_of(folder, f"http://127.0.0.1:{port}", place)
        supplies = Supplies(folder, f"http://127.0.0.1:{port}", new_signing_key())
        settings = load(None, environment=environment)
        people = seed(
            settings,
            supplies,
            stored=options.people * options.grants,
            used=1,
            introspected=1,
            people_count=options.people,
        )
        database = Database(place.url)
        stack.callback(database.close)
        with database.write() as tx:  # those the seed made besides
            tx.execute(User.__table__.delete().where(User.id.not_in(select(TokenFamily.user_id))))
        process = start(
            [sys.executable, "-m", "authz.cli", "serve"],
            port,
            environment=_served(environment, port, options.workers),
            folder=folder,
            cpu=None,
            log=folder / "log",
            path="/health/ready",
        )
        stack.callback(process.stop)
        return _measure(port, supplies.scim_token or "", people, database, options)


def _served(environment: Mapping[str, str], port: int, workers: int) -> dict[str, str]:
    served = {"AUTHZ__SERVER__PORT": str(port), "AUTHZ__SERVER__WORKERS": str(workers)}
    return {**environment, **served}


def main() -> int:
    """From the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--people", type=int, default=10_000)
    parser.add_argument("--grants", type=int, default=3)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--engine", choices=("postgresql", "sqlite"), default="postgresql")
    parser.add_argument("--way", choices=("patch", "bulk"), default="patch")
    options = parser.parse_args()
    try:
        found = run(options)
    except BenchError as error:
        print(error, file=sys.stderr)
        return 1
    print(describe())
    print(
        f"{options.engine}, {options.workers} process(es), {options.way} over {options.connections} "
        f"connections: {found.people:,} people with {options.grants} grants each in {found.seconds:.1f} s "
        f"({found.people / found.seconds:,.0f} a second)"
    )
    for title, values in (("signal to dead", found.signal_to_dead), ("answered", found.answers)):
        p50, p99 = (1000 * _share(values, it) for it in (0.5, 0.99))
        print(f"{title}: p50 {p50:,.1f} ms, p99 {p99:,.1f} ms, worst {1000 * values[-1]:,.1f} ms")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
