"""Health for orchestrators: bounded in time whatever the database does, and one word for strangers."""

import asyncio
import socket
import threading
import time
from contextlib import contextmanager
from datetime import timedelta

import pytest

from authz.db import Database, migrate
from authz.web.readiness import Readiness
from tests.support.postgres import free_port


@contextmanager
def silent_server():
    """Takes connections, says nothing: a database host whose disk hangs. Yields its port and who came."""
    came: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.05)
        over = threading.Event()

        def take() -> None:
            while not over.is_set():
                try:
                    came.append(listener.accept()[0])
                except TimeoutError:
                    continue

        thread = threading.Thread(target=take)
        thread.start()
        try:
            yield listener.getsockname()[1], came
        finally:
            over.set()
            thread.join()
            for connection in came:
                connection.close()


def asked(readiness: Readiness, times: int = 1) -> tuple[set[str | None], float]:
    async def together() -> list[str | None]:
        return await asyncio.gather(*(readiness.problem() for _ in range(times)))

    began = time.monotonic()
    found = asyncio.run(together())
    return set(found), time.monotonic() - began


def test_a_database_that_hangs_is_told_in_time_and_asked_once():
    """Probes of several seconds apart must not each take a thread and a connection."""
    with silent_server() as (port, came):
        database = Database(f"postgresql+psycopg://authz@127.0.0.1:{port}/authz")
        readiness = Readiness(database, deadline=timedelta(milliseconds=300))
        readiness.was_ready = True  # nothing but the question itself
        found, seconds = asked(readiness, times=25)
        assert found == {"database_timeout"}
        assert seconds < 2
        assert len(came) == 1
        readiness.close()
        for connection in came:
            connection.close()
        database.close()


def test_a_database_that_is_not_there_is_one_word():
    """No host, no port, no name of a person in what anybody may read."""
    database = Database(f"postgresql+psycopg://somebody@127.0.0.1:{free_port()}/authz")
    readiness = Readiness(database)
    (word,) = asked(readiness)[0]
    assert word in {"database_unreachable", "database_timeout"}
    assert not readiness.was_ready
    readiness.close()


def test_it_is_ready_after_the_migrations_and_stays_started(tmp_path):
    database = Database(f"sqlite:///{tmp_path / 'authz.db'}")
    readiness = Readiness(database, deadline=timedelta(seconds=30))
    assert asked(readiness)[0] == {"migrations"}
    migrate.upgrade(database)
    readiness._ended = float("-inf")  # what was found a moment ago is good for a second
    assert asked(readiness)[0] == {None}
    assert readiness.was_ready
    readiness.close()
    database.close()


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("live", {"status": "live"}),
        ("ready", {"status": "ready"}),
        ("startup", {"status": "started"}),
    ],
)
def test_a_server_that_runs_says_so(harness, path, told):
    answer = harness.http.get(f"{harness.server.base}/health/{path}")
    assert (answer.status_code, answer.json()) == (200, told)
    assert answer.headers["cache-control"] == "no-store"
