"""A company closes: many people leave at once, and how long until the last of them has nothing any more.

    python tests/support/leaving_crowd.py 10000                            # PostgreSQL, pushed events
    python tests/support/leaving_crowd.py 10000 --way poll --engine sqlite

Everybody has one session, three grants of three clients with a live access token each, and one authorization code that
nobody redeemed. The server is one process; the crowd, its identity provider and PostgreSQL are on the same machine.
"""

import argparse
import asyncio
import json
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from sqlalchemy import func, insert, select

from authz import entropy
from authz.admin import signal_streams
from authz.admin.leaving import percentile
from authz.admin.operator import Operator
from authz.admin.signal_streams import NewStream
from authz.clock import system_clock
from authz.db.models import (
    AuthorizationCode,
    Departure,
    Identity,
    IssuedToken,
    Session,
    TokenFamily,
    User,
)
from authz.federation.security_events import CAEP
from tests.support.client_keys import ClientKey
from tests.support.connections import connection
from tests.support.postgres import ThrowAwayPostgres
from tests.support.processes import RESOURCE, Installation, ServerProcess, installation

GRANTS = 3
_ISSUER = "http://127.0.0.1:8080"
_AT_ONCE = 2000


@dataclass
class Crowd:
    """What there is before, and what says that it ends."""

    made: Installation
    provider: "Transmitter"
    subjects: list[str]
    push_token: str

    @property
    def tokens(self) -> list[tuple[str, str]]:
        """An event about each of them, with its name; signed before the clock starts."""
        at = int(system_clock().timestamp())
        return [
            (name, self.provider.event(f"{CAEP}session-revoked", name, at))
            for name in self.subjects
        ]


class Transmitter:
    """Keys, and pages of events for whoever polls."""

    def __init__(self, algorithm: str) -> None:
        self.key = ClientKey(algorithm, kid="ssf-1")
        self.waiting: deque[tuple[str, str]] = deque()
        self.acknowledged = 0
        self.first_page_at: datetime | None = None
        transmitter = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self._answer({"keys": [transmitter.key.public]})

            def do_POST(self) -> None:
                asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
                self._answer(transmitter.page(asked))

            def _answer(self, value: object) -> None:
                body = json.dumps(value).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.base = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def page(self, asked: dict[str, Any]) -> dict[str, Any]:
        """The answer to a poll (RFC 8936)."""
        self.acknowledged += len(asked.get("ack", ()))
        count = min(asked["maxEvents"], len(self.waiting))
        if count and self.first_page_at is None:
            self.first_page_at = system_clock()
        sets = dict(self.waiting.popleft() for _ in range(count))
        return {"sets": sets, "moreAvailable": bool(self.waiting)}

    def event(self, kind: str, subject: str, at: int) -> str:
        """A security event token."""
        return self.key.sign(
            self.base,
            _ISSUER,
            system_clock(),
            header={"typ": "secevent+jwt"},
            sub=None,
            exp=None,
            iat=at,
            jti=subject,
            sub_id={"format": "opaque", "id": subject},
            events={kind: {"event_timestamp": at}},
        )

    def close(self) -> None:
        """Stop."""
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def crowd(
    folder: Path, url: str, count: int, *, algorithm: str = "RS256", way: str = "push"
) -> Iterator[Crowd]:
    """An installation with `count` people of one connection, and a stream about them."""
    provider = Transmitter(algorithm)
    try:
        with installation(folder, url) as made:
            database, now = made.services.database, system_clock()
            operator = Operator.local("crowd", now, made.services.envelope)
            row = connection(made.tenant_id, "corp", now)
            (folder / "poll-token").write_text("x")
            polled = {
                "poll_url": f"{provider.base}/poll",
                "poll_token": f"file:{folder / 'poll-token'}",
            }
            with database.write() as tx:
                tx.add(row)
                tx.flush()
                stream = NewStream(
                    slug="crowd",
                    connection="corp",
                    issuer=provider.base,
                    jwks_uri=f"{provider.base}/jwks",
                    audience=_ISSUER,
                    **(polled if way == "poll" else {}),
                )
                added = signal_streams.add(tx, operator, made.tenant_id, stream, development=True)
            subjects = [f"person-{number}" for number in range(count)]
            for start in range(0, count, _AT_ONCE):
                with database.write() as tx:
                    for model, rows in _rows(made, row.id, subjects[start : start + _AT_ONCE]):
                        tx.execute(insert(model), rows)
            yield Crowd(made, provider, subjects, added.token or "")
    finally:
        provider.close()


def _rows(
    made: Installation, connection_id: str, subjects: Sequence[str]
) -> list[tuple[Any, list[dict[str, Any]]]]:
    now = system_clock() - timedelta(minutes=1)
    later = now + timedelta(days=1)
    users, identities, sessions, families, tokens, codes = [], [], [], [], [], []
    signed_in = {"auth_time": now, "amr": ["pwd"], "connection_id": connection_id}
    for subject in subjects:
        user, session = entropy.new_id("usr"), entropy.digest(entropy.new_token("ses"))
        of = {"tenant_id": made.tenant_id, "user_id": user}
        users.append(
            {
                "id": user,
                "tenant_id": made.tenant_id,
                "login": f"{subject}@corp.example",
                "email": f"{subject}@corp.example",
                "name": subject,
                "status": "active",
                "is_break_glass": False,
                "created_at": now,
                "updated_at": now,
            }
        )
        identities.append(
            {
                **of,
                "connection_id": connection_id,
                "subject": subject,
                "linked_by": "scim",
                "linked_at": now,
            }
        )
        sessions.append(
            {
                **of,
                **signed_in,
                "digest": session,
                "upstream_session": f"s-{subject}",
                "created_at": now,
                "expires_at": later,
            }
        )
        stands = {**of, **signed_in, "session_digest": session, "signed_in_at": now}
        for number in range(GRANTS):
            family = entropy.new_id("fam")
            families.append(
                {
                    **stands,
                    "id": family,
                    "client_id": f"{made.client_id}-{number}",
                    "resource_id": made.resource_id,
                    "scopes": frozenset({"logs.read"}),
                    "refreshable": True,
                    "salt": "s",
                    "generation": 1,
                    "rotated_at": now,
                    "created_at": now,
                    "idle_expires_at": later,
                    "expires_at": later,
                }
            )
            tokens.append(
                {
                    "jti": entropy.new_id("at"),
                    "tenant_id": made.tenant_id,
                    "family_id": family,
                    "client_id": f"{made.client_id}-{number}",
                    "subject": user,
                    "resource_id": made.resource_id,
                    "scopes": frozenset({"logs.read"}),
                    "decision": "{}",
                    "issued_at": now,
                    "expires_at": later,
                }
            )
        codes.append(
            {
                **stands,
                "digest": entropy.digest(entropy.new_token("azc")),
                "client_id": made.client_id,
                "resource_id": made.resource_id,
                "redirect_uri": RESOURCE,
                "code_challenge": "c" * 43,
                "scopes": frozenset({"logs.read"}),
                "offline_access": False,
                "created_at": now,
                "expires_at": later,
            }
        )
    return [
        (User, users),
        (Identity, identities),
        (Session, sessions),
        (TokenFamily, families),
        (IssuedToken, tokens),
        (AuthorizationCode, codes),
    ]


def left(made: Installation) -> dict[str, int]:
    """How much of all that is good."""
    alive = {
        "sessions": (Session, Session.ended_at.is_(None)),
        "grants": (TokenFamily, TokenFamily.revoked_at.is_(None)),
        "access tokens": (IssuedToken, IssuedToken.revoked_at.is_(None)),
        "codes": (AuthorizationCode, AuthorizationCode.spent_at.is_(None)),
    }
    with made.services.database.read() as tx:
        return {
            name: tx.scalar(select(func.count()).select_from(model).where(condition)) or 0
            for name, (model, condition) in alive.items()
        }


def push(
    crowd: Crowd, port: int, tokens: Sequence[tuple[str, str]], connections: int
) -> list[float]:
    """All of them at once over some connections; seconds from the start to the answer of each."""
    return asyncio.run(_push(crowd, port, iter(tokens), connections))


async def _push(
    crowd: Crowd, port: int, tokens: Iterator[tuple[str, str]], connections: int
) -> list[float]:
    answered: list[float] = []
    began = time.monotonic()

    async def worker() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _, token in tokens:
            writer.write(
                f"POST /signals/crowd HTTP/1.1\r\nHost: x\r\nContent-Length: {len(token)}\r\n"
                f"Authorization: Bearer {crowd.push_token}\r\n"
                f"Content-Type: application/secevent+jwt\r\n\r\n{token}".encode()
            )
            head = await reader.readuntil(b"\r\n\r\n")
            if head[9:12] != b"202":
                raise RuntimeError(head.decode())
            answered.append(time.monotonic() - began)
        writer.close()

    await asyncio.gather(*(worker() for _ in range(connections)))
    return answered


def departures(made: Installation) -> tuple[list[float], datetime, datetime]:
    """From signal to end, in order; the first signal and the last end."""
    with made.services.database.read() as tx:
        rows = tx.execute(select(Departure.signalled_at, Departure.ended_at)).all()
    seconds = sorted((ended - signalled).total_seconds() for signalled, ended in rows)
    return seconds, min(row[0] for row in rows), max(row[1] for row in rows)


def main(count: int, *, engine: str, way: str, connections: int, algorithm: str) -> None:
    """Run it and print what it took."""
    durable = {"synchronous_commit": "on", "fsync": "on"}
    cluster = ThrowAwayPostgres(durable) if engine == "postgresql" else nullcontext()
    with tempfile.TemporaryDirectory() as name, cluster as running:
        folder = Path(name)
        url = f"sqlite:///{folder / 'authz.db'}" if running is None else running.url
        with crowd(folder, url, count, algorithm=algorithm, way=way) as made:
            tokens = made.tokens
            print(f"{count:,} people, before: {left(made.made)}", flush=True)
            server = ServerProcess(made.made.config)
            try:
                before = server.cpu_seconds()
                answered = tell(made, server.port, tokens, way=way, connections=connections)
                used = server.cpu_seconds() - before
            finally:
                server.stop()
            seconds, first, last = departures(made.made)
            print(f"after: {left(made.made)}, {len(seconds):,} departures")
            if answered:
                _print("start to answer", sorted(answered))
            _print("signal to end", seconds)
            total = (last - first).total_seconds()
            print(f"CPU of the server's process {used / count * 1e6:,.0f} us a person")
            print(f"first signal to last end {total:.2f} s, {count / total:,.0f} people/s")


def tell(
    crowd: Crowd, port: int, tokens: Sequence[tuple[str, str]], *, way: str, connections: int
) -> list[float]:
    """About all of them; seconds to each answer, where there are answers."""
    if way == "push":
        return push(crowd, port, tokens, connections)
    crowd.provider.waiting.extend(tokens)
    until = time.monotonic() + 300
    while crowd.provider.acknowledged < len(tokens):
        if time.monotonic() > until:
            raise RuntimeError(f"{crowd.provider.acknowledged} of {len(tokens)} acknowledged")
        time.sleep(0.2)
    return []


def _print(what: str, ordered: Sequence[float]) -> None:
    values = list(ordered)
    p50, p99 = percentile(values, 0.5), percentile(values, 0.99)
    print(f"{what}: p50 {p50:.3f} s, p99 {p99:.3f} s, worst {values[-1]:.3f} s")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("count", type=int)
    parser.add_argument("--engine", choices=("postgresql", "sqlite"), default="postgresql")
    parser.add_argument("--way", choices=("push", "poll"), default="push")
    parser.add_argument("--connections", type=int, default=256)
    parser.add_argument("--algorithm", default="RS256")
    given = parser.parse_args()
    main(
        given.count,
        engine=given.engine,
        way=given.way,
        connections=given.connections,
        algorithm=given.algorithm,
    )
