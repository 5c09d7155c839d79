"""Batches of the plain lane: what waits is one transaction, a bad job fails alone, a deadlock is run again."""

import asyncio
import threading
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest
from sqlalchemy import select, update

from authz.db.availability import is_conflict
from authz.db.batch import Lane, Worker
from authz.db.models import Lease
from authz.db.plain_batch import PlainRunner

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def adding(names):
    """A job is the name of a new lease; its result says how many came with it."""

    def work(tx):
        for name in names:
            if name == "bad":
                raise ArithmeticError
            tx.add(Lease(name=name, holder="", expires_at=NOW))
        tx.flush()
        return [len(names)] * len(names)

    return work


@asynccontextmanager
async def lane_of(database, program=adding, **settings):
    lane = Lane([Worker(PlainRunner(database, name="test"), program)], **settings)
    yield lane
    await lane.close()


def stored(database):
    with database.read() as tx:
        return set(tx.scalars(select(Lease.name)))


def test_what_waits_is_one_transaction(database):
    async def main():
        async with lane_of(database) as lane:
            tasks = [asyncio.create_task(lane.submit(f"l{n}")) for n in range(10)]
            await asyncio.sleep(0)
            await lane.start()
            assert await asyncio.gather(*tasks) == [10] * 10
            assert lane.statistics.batches == 1

    asyncio.run(main())
    assert len(stored(database)) == 10


def test_a_batch_has_a_bound(database):
    async def main():
        async with lane_of(database, max_batch=4) as lane:
            tasks = [asyncio.create_task(lane.submit(f"l{n}")) for n in range(10)]
            await asyncio.sleep(0)
            await lane.start()
            assert sorted(await asyncio.gather(*tasks)) == [2, 2, *[4] * 8]

    asyncio.run(main())


def test_a_bad_one_fails_alone(database):
    async def main():
        async with lane_of(database) as lane:
            tasks = [asyncio.create_task(lane.submit(name)) for name in ("a", "bad", "b")]
            await asyncio.sleep(0)
            await lane.start()
            results = await asyncio.gather(*tasks, return_exceptions=True)
            assert [type(it) for it in results] == [int, ArithmeticError, int]

    asyncio.run(main())
    assert stored(database) == {"a", "b"}


@pytest.mark.only("postgresql")
def test_a_deadlock_is_run_again(database):
    """Whoever is chosen to give way, the work is done."""
    with database.write() as tx:
        tx.add_all([Lease(name=name, holder="", expires_at=NOW) for name in ("a", "b")])
    is_first, has_one = threading.Event(), threading.Event()

    def crossing(jobs):
        def work(tx):
            tx.execute(update(Lease).where(Lease.name == "a").values(holder="lane"))
            is_first.set()
            has_one.wait(10)
            tx.execute(update(Lease).where(Lease.name == "b").values(holder="lane"))
            return jobs

        return work

    def other():
        is_first.wait(10)
        with database.write() as tx:
            tx.execute(update(Lease).where(Lease.name == "b").values(holder="other"))
            has_one.set()
            tx.execute(update(Lease).where(Lease.name == "a").values(holder="other"))

    outcome = []

    def run_other():
        try:
            other()
        except Exception as error:  # one of the two is always the victim
            outcome.append(is_conflict(error))

    async def main():
        thread = threading.Thread(target=run_other)
        thread.start()
        async with lane_of(database, crossing) as lane:
            await lane.start()
            assert await lane.submit("job") == "job"
        thread.join(30)

    asyncio.run(main())
    assert outcome in ([], [True])


def test_what_is_a_mistake_is_not_run_again():
    assert not is_conflict(ValueError())
