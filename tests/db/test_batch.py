"""The runner of the token lane: many jobs, one transaction, and what happens when something fails."""

import asyncio
import threading
import time
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import psycopg
import pytest
from sqlalchemy import select

from authz.db import batch
from authz.db.batch import Lane, LaneFull, Phase, Worker, open_runner
from authz.db.models import Lease
from authz.db.statements import AnyOf, Insert, Query, Update
from tests.support.databases import connected

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
ALL = Query(select(Lease.name, Lease.holder).where(AnyOf(Lease.name, "names")).with_for_update())
INSERT = Insert(Lease.__table__)
UPDATE = Update(Lease.__table__, keys=["name"], assign=["holder"])


def adding(jobs):
    """A job is (name, holder): a new lease; its result says how many were there before."""
    rows = yield Phase([ALL(names=[name for name, _ in jobs])])
    if any(holder == "confused" for _, holder in jobs):
        raise ArithmeticError
    yield Phase([INSERT([(name, holder, NOW) for name, holder in jobs])], commit=True)
    return [len(rows[0])] * len(jobs)


def changing(jobs):
    """A job is (name, holder): an existing lease gets another holder; its result is the holder before."""
    rows = yield Phase([ALL(names=[name for name, _ in jobs])])
    before = dict(rows[0])
    yield Phase([UPDATE(list(jobs))], commit=True)
    return [before[name] for name, _ in jobs]


@asynccontextmanager
async def lane_of(database, program=adding, *, started=True):
    lane = Lane([Worker(open_runner(database), program)])
    if started:
        await lane.start()
    yield lane
    await lane.close()


def stored(database):
    with database.read() as tx:
        return dict(tx.execute(select(Lease.name, Lease.holder)).all())


async def queued(lane, jobs):
    """Tasks of jobs that wait for a lane that does not run yet."""
    tasks = [asyncio.create_task(lane.submit(job)) for job in jobs]
    await asyncio.sleep(0)  # each runs until it waits
    assert len(lane._waiting) == len(jobs)
    return tasks


def failing_results(results):
    return [type(r).__name__ if isinstance(r, Exception) else r for r in results]


# -- the ordinary way -------------------------------------------------------------------------------------


def test_a_job_is_durable_when_it_is_answered(database):
    async def main():
        async with lane_of(database) as lane:
            assert await lane.submit(("a", "x")) == 0
            assert stored(database) == {"a": "x"}

    asyncio.run(main())


@pytest.mark.parametrize("count", [1, 60, batch.MAX_BATCH])
def test_a_batch_costs_the_same_for_one_and_for_many(database, count):
    """The number of statements and of round trips does not grow with the number of jobs."""

    async def main():
        async with lane_of(database, started=False) as lane:
            tasks = await queued(lane, [(f"n{i:03}", "x") for i in range(count)])
            await lane.start()
            await asyncio.gather(*tasks)
            it = lane.statistics
            assert (it.batches, it.jobs, it.statements, it.round_trips, it.reruns) == (
                1,
                count,
                2,
                2,
                0,
            )

    asyncio.run(main())
    assert len(stored(database)) == count


def test_more_than_a_batch_takes_goes_into_the_next(database):
    async def main():
        async with lane_of(database, started=False) as lane:
            tasks = await queued(lane, [(f"n{i}", "x") for i in range(batch.MAX_BATCH + 1)])
            await lane.start()
            await asyncio.gather(*tasks)
            assert lane.statistics.batches == 2

    asyncio.run(main())


class Held:
    """A runner that waits for the database until it is let go."""

    def __init__(self):
        self.batches, self._open = [], asyncio.Event()

    async def run(self, program, statistics):
        self.batches.append(program)
        await self._open.wait()
        return list(program)

    def let_go(self):
        self._open.set()

    def is_retryable(self, error):
        return False

    async def close(self):
        pass


def test_a_second_batch_begins_when_as_many_wait_as_are_under_way():
    """Earlier, batches would be small; later, the process would wait for the database with work at hand."""

    async def main():
        first, second = Held(), Held()
        lane = Lane([Worker(first, list), Worker(second, list)])
        tasks = await queued(lane, ["a", "b", "c"])
        await lane.start()
        await asyncio.sleep(0.01)
        assert (first.batches, second.batches) == ([["a", "b", "c"]], [])
        tasks += [asyncio.create_task(lane.submit(job)) for job in "de"]
        await asyncio.sleep(0.01)
        assert second.batches == []
        tasks += [asyncio.create_task(lane.submit("f"))]
        await asyncio.sleep(0.01)
        assert second.batches == [["d", "e", "f"]]
        second.let_go()
        assert [await it for it in tasks[3:]] == ["d", "e", "f"]
        assert not any(it.done() for it in tasks[:3])
        first.let_go()
        assert [await it for it in tasks[:3]] == ["a", "b", "c"]
        assert (lane.statistics.batches, lane.statistics.jobs) == (2, 6)
        await lane.close()

    asyncio.run(main())


def test_what_waits_when_a_lane_closes_is_done_by_whoever_is_free_first():
    """The second worker has nothing to begin yet; it must not leave, and not keep the lane from closing."""

    async def main():
        first, second = Held(), Held()
        lane = Lane([Worker(first, list), Worker(second, list)])
        tasks = await queued(lane, ["a", "b"])
        await lane.start()
        await asyncio.sleep(0.01)
        tasks += [asyncio.create_task(lane.submit("c"))]
        await asyncio.sleep(0.01)
        closing = asyncio.create_task(lane.close())
        await asyncio.sleep(0.01)
        first.let_go()
        second.let_go()
        await closing
        assert [it.result() for it in tasks] == ["a", "b", "c"]

    asyncio.run(main())


# -- failures stay where they are -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "poison",
    [
        ("taken", "x"),
        ("p", "confused"),
        pytest.param(("p", "nul\x00"), marks=pytest.mark.only("postgresql")),
    ],
)
def test_a_job_that_fails_does_not_fail_its_neighbours(database, poison):
    """A statement the database refuses, a program that raises, a value the driver refuses."""

    async def main():
        async with lane_of(database) as lane:
            await lane.submit(("taken", "first"))
        async with lane_of(database, started=False) as lane:
            tasks = await queued(lane, [("a", "1"), poison, ("b", "2"), ("c", "3")])
            await lane.start()
            results = await asyncio.gather(*tasks, return_exceptions=True)
            assert isinstance(results[1], Exception)
            assert [results[0], *results[2:]] == [0, 0, 0]
            assert lane.statistics.reruns == 1
            # And the lane goes on.
            assert await lane.submit(("d", "4")) == 0

    asyncio.run(main())
    expected = {"taken": "first", "a": "1", "b": "2", "c": "3", "d": "4"}
    assert stored(database) == expected


def test_a_failed_batch_leaves_nothing_behind(database):
    async def main():
        async with lane_of(database) as lane:
            with pytest.raises(ArithmeticError):
                await lane.submit(("a", "confused"))

    asyncio.run(main())
    assert stored(database) == {}


def test_a_result_that_is_an_exception_is_a_result(database):
    """Refusals are values: raising one would be mistaken for a failure of the database."""

    def refusing(jobs):
        yield Phase([ALL(names=[])], commit=True)
        return [LookupError(job) for job in jobs]

    async def main():
        async with lane_of(database, refusing) as lane:
            assert isinstance(await lane.submit("a"), LookupError)

    asyncio.run(main())


# -- back-pressure, cancellation, the end -----------------------------------------------------------------


def test_a_full_queue_refuses_and_forgets_nobody(database):
    async def main():
        async with lane_of(database, started=False) as lane:
            jobs = [(f"n{i:05}", "x") for i in range(batch.MAX_QUEUED)]
            tasks = await queued(lane, jobs)
            with pytest.raises(LaneFull):
                await lane.submit(("one-more", "x"))
            await lane.start()
            await asyncio.gather(*tasks)
            assert await lane.submit(("one-more", "x")) == 0

    asyncio.run(main())
    assert len(stored(database)) == batch.MAX_QUEUED + 1


def test_a_cancelled_job_is_done_all_the_same(database):
    """Its caller may have gone, but what it asked for was under way."""

    async def main():
        async with lane_of(database, started=False) as lane:
            gone, stayed = await queued(lane, [("gone", "x"), ("stayed", "x")])
            gone.cancel()
            await lane.start()
            assert await stayed == 0
            with pytest.raises(asyncio.CancelledError):
                await gone

    asyncio.run(main())
    assert stored(database) == {"gone": "x", "stayed": "x"}


def test_close_drains_what_waits_and_takes_no_more(database):
    async def main():
        lane = Lane([Worker(open_runner(database), adding)])
        tasks = await queued(lane, [(f"n{i}", "x") for i in range(300)])
        await lane.start()
        await lane.close()
        assert await asyncio.gather(*tasks) == [0] * 300
        with pytest.raises(LaneFull):
            await lane.submit(("late", "x"))

    asyncio.run(main())
    assert len(stored(database)) == 300


# -- PostgreSQL: what only a second connection can do -----------------------------------------------------


@pytest.fixture
def postgresql(database):
    with database.write() as tx:
        for name in ("a", "b"):
            tx.add(Lease(name=name, holder="before", expires_at=NOW))
    return database


@pytest.mark.slow
@pytest.mark.only("postgresql")
def test_a_deadlock_runs_the_batch_again(postgresql):
    """40P01, provoked: the other side waits longer before it looks for deadlocks, so the lane is the victim."""

    async def main():
        async with lane_of(postgresql, changing) as lane:
            with connected(postgresql) as other:
                other.execute("SET deadlock_timeout = '20s'")
                other.execute("SELECT 1 FROM leases WHERE name = 'b' FOR UPDATE")
                task = asyncio.create_task(_both(lane))
                await _until(lambda: waits_for_lock(postgresql))
                crossing = threading.Thread(
                    target=other.execute, args=("UPDATE leases SET holder = 'other'",)
                )
                crossing.start()
                await asyncio.to_thread(crossing.join)
                other.commit()
                assert await task == ["other", "other"]
            assert lane.statistics.reruns >= 1

    asyncio.run(main())
    assert stored(postgresql) == {"a": "lane", "b": "lane"}


async def _both(lane):
    return await asyncio.gather(lane.submit(("a", "lane")), lane.submit(("b", "lane")))


async def _until(condition):
    for _ in range(500):
        if await asyncio.to_thread(condition):
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it never happened")


def waits_for_lock(database):
    with database.read() as tx:
        return bool(
            tx.connection()
            .exec_driver_sql(
                "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' "
                "AND datname = current_database()"
            )
            .scalar()
        )


@pytest.mark.slow
@pytest.mark.only("postgresql")
def test_a_serialization_failure_runs_the_batch_again(postgresql):
    """40001, provoked: the database isolates as distributed ones do."""
    with connected(postgresql) as admin:
        name = postgresql.url.database
        admin.execute(
            f"ALTER DATABASE {name} SET default_transaction_isolation = 'repeatable read'"
        )

    async def main():
        async with lane_of(postgresql, changing) as lane:
            with connected(postgresql) as other:
                other.execute("UPDATE leases SET holder = 'other' WHERE name = 'a'")
                task = asyncio.create_task(lane.submit(("a", "lane")))
                await _until(lambda: waits_for_lock(postgresql))
                other.commit()
            assert await task == "other"
            assert lane.statistics.reruns == 1

    asyncio.run(main())


def kill_lane(database):
    with database.read() as tx:
        return (
            tx.connection()
            .exec_driver_sql(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            .scalar()
        )


@pytest.mark.slow
@pytest.mark.only("postgresql")
def test_a_connection_lost_between_batches_is_opened_again(postgresql):
    async def main():
        async with lane_of(postgresql, changing) as lane:
            assert await lane.submit(("a", "one")) == "before"
            for holder in ("two", "three"):
                await asyncio.to_thread(kill_lane, postgresql)
                assert await lane.submit(("a", holder))

    asyncio.run(main())
    assert stored(postgresql)["a"] == "three"


@pytest.mark.slow
@pytest.mark.only("postgresql")
def test_a_connection_lost_within_a_batch_runs_it_again(postgresql):
    async def main():
        async with lane_of(postgresql, changing) as lane:
            with connected(postgresql) as other:
                other.execute("SELECT 1 FROM leases WHERE name = 'a' FOR UPDATE")
                task = asyncio.create_task(lane.submit(("a", "lane")))
                await _until(lambda: waits_for_lock(postgresql))
                other.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE wait_event_type = 'Lock' AND datname = current_database()"
                )
                other.rollback()
            assert await task == "before"

    asyncio.run(main())


@pytest.mark.slow
@pytest.mark.only("postgresql")
def test_a_server_that_is_away_fails_jobs_and_not_the_lane(postgresql):
    """Nobody can connect for a while; afterwards the same lane works."""
    name = postgresql.url.database
    admin_url = postgresql.url.set(drivername="postgresql", database="postgres")

    def allow(yes):
        dsn = admin_url.render_as_string(hide_password=False)
        with psycopg.connect(dsn, autocommit=True) as admin:
            admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS {yes}")
            admin.execute(
                f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
            )

    async def main():
        async with lane_of(postgresql, changing) as lane:
            assert await lane.submit(("a", "one")) == "before"
            await asyncio.to_thread(allow, False)
            with pytest.raises(psycopg.OperationalError):
                await lane.submit(("a", "two"))
            await asyncio.to_thread(allow, True)
            assert await lane.submit(("a", "three")) == "one"

    asyncio.run(main())


# -- SQLite: another process holds the lock ---------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.only("sqlite")
def test_a_lock_of_another_process_is_waited_for(database, tmp_path):
    """`busy_timeout`; the other process is another connection that does not share our lock."""
    import sqlite3

    other = sqlite3.connect(database.url.database, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")

    async def main():
        async with lane_of(database) as lane:
            task = asyncio.create_task(lane.submit(("a", "x")))
            await asyncio.sleep(0.2)
            assert not task.done()
            began = time.monotonic()
            other.execute("COMMIT")
            assert await task == 0
            assert time.monotonic() - began < 5

    asyncio.run(main())
    other.close()
