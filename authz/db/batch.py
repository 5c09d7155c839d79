"""The token lane's runner: many requests, one transaction.

The runner owns the queue, the transaction, the isolation of failures and back-pressure. What is read and written is
a *program*: a generator that yields `Phase`s of statements, is sent their rows, and returns one result per job. The
same program runs on PostgreSQL, where a task on the event loop sends each phase in one round trip (pipeline mode),
and on SQLite, where a thread executes it; the program cannot tell.

Decisions:
- A batch waits for nobody: it takes what is there when the previous commit returns. Under load batches grow by
  themselves, alone a request is not delayed.
- Where a lane has a second worker, another batch begins while the first waits for the database, as soon as as many
  wait as are under way: so the process has work meanwhile, and batches stay large. To the database the two are what
  two processes are. Refreshes a second by 64 connections: 2,367 instead of 1,787, 31 a batch in both cases.
- A statement that fails re-runs its batch one job at a time, so a bad request never fails its neighbours.
- Serialization failures and deadlocks (40001, 40P01) re-run the batch, so the same code is right on
  PostgreSQL-compatible distributed databases.
- A connection lost before COMMIT was sent undoes the batch: it is run again, for as long as a restart or a failover
  takes. When that was too short all of it fails at once: one by one the jobs would only wait one after the other.
- A connection lost after COMMIT was sent leaves the fate of the batch unknown: it is not run again, because what it
  spent may be spent, and the second run would take its own work for a replay. The program gets `FateUnknown` where it
  had committed, and may look, by one more phase in a transaction of its own, whether its work is there; if it cannot
  tell, `FateUnknown` becomes 503.
- A cancelled request's outcome is still decided and recorded: the client may have seen nothing, but the code was spent.
- The queue is bounded; `LaneFull` becomes 503 with Retry-After.
- A task rather than a thread on PostgreSQL: handing work to a thread costs up to 5 ms each for the interpreter lock.
"""

import asyncio
import contextlib
import sqlite3
import threading
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

import psycopg
import structlog
from psycopg.conninfo import make_conninfo

from authz.db.availability import RETRY_STATES as RETRY_STATES
from authz.db.availability import FateUnknown as FateUnknown
from authz.db.availability import LaneFull as LaneFull
from authz.db.availability import is_conflict, is_lost
from authz.db.engine import (
    PATIENCE_SECONDS,
    Database,
    Password,
    configure_sqlite,
    word_of,
)
from authz.db.pipeline import Pipeline
from authz.db.statements import Call, Query, Row
from authz.telemetry import tracing

J = TypeVar("J")
R = TypeVar("R")
P_contra = TypeVar("P_contra", contravariant=True)

MAX_QUEUED = 2048
MAX_BATCH = 128
_ATTEMPTS = 5
_LONGEST_PAUSE_SECONDS = 0.25
_EXCHANGE_SECONDS = 20
"""More than the server lets a statement take."""

log = structlog.get_logger()


@dataclass(frozen=True)
class Phase:
    """Statements sent together. The last phase of a program says `commit`."""

    calls: Sequence[Call]
    commit: bool = False
    is_reading: bool = False
    """Nothing was written: whether the commit arrived makes no difference."""


Program = Callable[[Sequence[J]], Generator[Phase, list[list[Row]], list[R]]]


@dataclass
class LaneStatistics:
    """What `scripts/bench` and the metrics report."""

    batches: int = 0
    jobs: int = 0
    statements: int = 0
    round_trips: int = 0
    reruns: int = 0

    def add(self, other: "LaneStatistics") -> None:
        """Count what those of one batch say."""
        for name, count in vars(other).items():
            setattr(self, name, getattr(self, name) + count)


PhaseProgram = Generator[Phase, list[list[Row]], list[Any]]


class Runner(Protocol[P_contra]):
    """One way to run a kind of program in a transaction."""

    async def run(self, program: P_contra, statistics: LaneStatistics) -> list[Any]:
        """Run to the end and commit; raises what the database raised after rolling back."""

    def is_retryable(self, error: Exception) -> bool:
        """Whether the same batch may succeed when run again."""

    async def close(self) -> None:
        """Give the connection back."""


@dataclass(frozen=True)
class Worker(Generic[J]):
    """One batch at a time."""

    runner: Runner[Any]
    program: Callable[[Sequence[J]], Any]
    """What the runner runs, made from the jobs of a batch; it answers one result per job."""


@dataclass
class Lane(Generic[J, R]):
    """The queue in front of its workers. One per process and kind of work."""

    workers: Sequence[Worker[J]]
    max_batch: int = MAX_BATCH
    statistics: LaneStatistics = field(default_factory=LaneStatistics)
    _waiting: list[tuple[J, asyncio.Future[R], Any]] = field(default_factory=list)
    """With the span of the request, if that is traced."""
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _under_way: int = 0
    """How many are with a worker."""
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)
    _closing: bool = False

    @property
    def waiting(self) -> int:
        """How many wait for their turn."""
        return len(self._waiting)

    async def start(self) -> None:
        """Begin to take jobs, on the running loop."""
        self._tasks = [asyncio.create_task(self._work(it), name="lane") for it in self.workers]

    async def close(self) -> None:
        """Finish what waits, then stop."""
        self._closing = True
        self._wake.set()
        await asyncio.gather(*self._tasks)
        for worker in self.workers:
            await worker.runner.close()

    async def submit(self, job: J) -> R:
        """The job's result, once its transaction is durable. Raises LaneFull, or what the database raised."""
        if len(self._waiting) >= MAX_QUEUED or self._closing:
            raise LaneFull
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((job, future, tracing.present()))
        self._wake.set()
        # The caller may go away and take the future along; the job stays in the queue, so its outcome is recorded.
        return await future

    async def _work(self, worker: Worker[J]) -> None:
        while True:
            # Nobody waits for more to come: with nothing under way, one is enough.
            if not self._waiting or len(self._waiting) < self._under_way:
                if self._closing and not self._waiting:
                    return
                self._wake.clear()
                await self._wake.wait()
                continue
            taken, self._waiting = self._waiting[: self.max_batch], self._waiting[self.max_batch :]
            self._under_way += len(taken)
            with tracing.joined("database batch", [span for _, _, span in taken]) as span:
                it = LaneStatistics()
                await self._decide(
                    worker, [job for job, _, _ in taken], [future for _, future, _ in taken], it
                )
                span.set(
                    authz__jobs=len(taken),
                    authz__statements=it.statements,
                    authz__round_trips=it.round_trips,
                )
            self.statistics.add(it)
            self._under_way -= len(taken)
            self._wake.set()  # another worker may have waited for this

    async def _decide(
        self,
        worker: Worker[J],
        jobs: list[J],
        futures: list[asyncio.Future[R]],
        statistics: LaneStatistics,
    ) -> None:
        try:
            results = await self._run(worker, jobs, statistics)
        except Exception as error:  # noqa: BLE001 -- any failure must reach the callers, never kill the lane
            if len(jobs) == 1 or isinstance(error, FateUnknown) or is_lost(error):
                log.warning("lane.job_failed", error=type(error).__name__, jobs=len(jobs))
                for future in futures:
                    if not future.done():
                        future.set_exception(error)
                        future.exception()
                return
            statistics.reruns += 1
            for job, future in zip(jobs, futures, strict=True):
                await self._decide(worker, [job], [future], statistics)
            return
        for future, result in zip(futures, results, strict=True):
            if not future.done():
                future.set_result(result)

    async def _run(self, worker: Worker[J], jobs: list[J], statistics: LaneStatistics) -> list[R]:
        until = asyncio.get_running_loop().time() + PATIENCE_SECONDS
        attempt = 0
        while True:
            attempt += 1
            statistics.batches += 1
            statistics.jobs += len(jobs)
            try:
                return await worker.runner.run(worker.program(jobs), statistics)
            except Exception as error:
                is_over = attempt >= _ATTEMPTS
                if is_lost(error):
                    is_over = asyncio.get_running_loop().time() > until
                if is_over or not worker.runner.is_retryable(error):
                    raise
                statistics.reruns += 1
                await asyncio.sleep(_pause(attempt))


def open_runner(database: Database) -> Runner[PhaseProgram]:
    """The runner for this database."""
    if database.is_sqlite:
        return SqliteRunner(database)
    # As SQLAlchemy understands the URL: several hosts, of which one may be written to, are written in its own way.
    arguments = database.engine.dialect.create_connect_args(database.url)[1]
    arguments.pop("context", None)  # of psycopg, not of the server
    dsn = make_conninfo(**arguments)
    return PostgresqlRunner(dsn, database.password, has_pooler=database.has_pooler)


def _pause(attempt: int) -> float:
    return min(0.005 * 2.0 ** (attempt - 1), _LONGEST_PAUSE_SECONDS)


class PostgresqlRunner:
    """A task on the event loop with a connection of its own."""

    def __init__(
        self, dsn: str, password: Password | None = None, *, has_pooler: bool = False
    ) -> None:
        self.dsn = dsn
        self._password = password
        self._has_pooler = has_pooler
        self._pipeline: Pipeline | None = None

    async def run(self, program: PhaseProgram, statistics: LaneStatistics) -> list[Any]:
        """BEGIN travels with the first phase and COMMIT with the last: a batch is two round trips."""
        committing = False
        try:
            pipeline = await self._opened()
            pipeline.begin()
            phase = next(program)
            while True:
                committing = phase.commit and not phase.is_reading
                rows = await self._exchange(pipeline, phase, statistics)
                try:
                    phase = program.send(rows)
                except StopIteration as end:
                    return end.value  # type: ignore[no-any-return]
        except BaseException as error:
            await self._rolled_back(keeping=not is_lost(error))
            if committing and is_lost(error):
                return await self._settle(program, statistics, error)
            program.close()
            raise

    @staticmethod
    async def _exchange(
        pipeline: Pipeline, phase: Phase, statistics: LaneStatistics
    ) -> list[list[Row]]:
        statistics.round_trips += 1
        statistics.statements += len(phase.calls)
        for call in phase.calls:
            pipeline.send(call)
        if phase.commit:
            pipeline.command(b"COMMIT")
        try:
            async with asyncio.timeout(_EXCHANGE_SECONDS):
                return await pipeline.exchange()
        except TimeoutError:
            raise psycopg.OperationalError("the database did not answer in time") from None

    async def _settle(
        self, program: PhaseProgram, statistics: LaneStatistics, cause: BaseException
    ) -> list[Any]:
        """COMMIT was sent and never answered: let the program look for its work."""
        try:
            look = program.throw(FateUnknown())
        except FateUnknown:
            raise FateUnknown from cause
        loop = asyncio.get_running_loop()
        until, attempt = loop.time() + PATIENCE_SECONDS, 0
        while True:
            attempt += 1
            try:
                pipeline = await self._opened()
                pipeline.begin()
                rows = await self._exchange(pipeline, look, statistics)
                break
            except psycopg.Error as error:
                await self._rolled_back(keeping=not is_lost(error))
                if not self.is_retryable(error) or loop.time() > until:
                    program.close()
                    raise FateUnknown from cause
                await asyncio.sleep(_pause(attempt))
        try:
            program.send(rows)
        except StopIteration as end:
            log.info("lane.fate_settled")
            return end.value  # type: ignore[no-any-return]
        raise AssertionError("a program that looked for its work has nothing more to do")

    async def _opened(self) -> Pipeline:
        if self._pipeline is None or not self._pipeline.is_open:
            self._pipeline = await self._connected()
        return self._pipeline

    async def _connected(self) -> Pipeline:
        password, has_pooler = self._password, self._has_pooler
        if password is None:
            return await Pipeline.connect(self.dsn, has_pooler=has_pooler)
        tried = word_of(password.current)
        try:
            return await Pipeline.connect(self.dsn, tried, has_pooler=has_pooler)
        except psycopg.OperationalError:
            new = await asyncio.to_thread(word_of, password.renewed)
            if new == tried:
                raise
        return await Pipeline.connect(self.dsn, new, has_pooler=has_pooler)

    async def _rolled_back(self, *, keeping: bool) -> None:
        pipeline, self._pipeline = self._pipeline, None
        if pipeline is None:
            return
        try:
            if keeping and pipeline.is_open:
                async with asyncio.timeout(_EXCHANGE_SECONDS):
                    await pipeline.roll_back()
                self._pipeline = pipeline
                return
        except (psycopg.Error, TimeoutError) as error:
            log.warning("lane.roll_back_failed", error=type(error).__name__)
        with contextlib.suppress(psycopg.Error):
            await pipeline.close()

    def is_retryable(self, error: Exception) -> bool:
        """A serialization failure, a deadlock, or a connection lost before COMMIT was sent."""
        return is_conflict(error) or is_lost(error)

    async def close(self) -> None:
        """Close the connection."""
        if self._pipeline is not None:
            await self._pipeline.close()


class SqliteRunner:
    """A thread of its own; SQLite executes in-process, so phases cost nothing."""

    def __init__(self, database: Database) -> None:
        if database.writer is None or database.url.database is None:
            raise ValueError("a SQLite database in a file is needed")
        self._path = database.url.database
        self._writer: threading.Lock = database.writer
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="token-lane")
        self._connection: sqlite3.Connection | None = None

    async def run(self, program: PhaseProgram, statistics: LaneStatistics) -> list[Any]:
        """Hand the batch to the thread."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._run, program, statistics)

    def _run(self, program: PhaseProgram, statistics: LaneStatistics) -> list[Any]:
        if self._connection is None:
            self._connection = sqlite3.connect(
                self._path, isolation_level=None, check_same_thread=False
            )
            configure_sqlite(self._connection)
        connection = self._connection
        with self._writer:
            connection.execute("BEGIN IMMEDIATE")
            try:
                phase = next(program)
                while True:
                    statistics.round_trips += 1
                    statistics.statements += len(phase.calls)
                    rows = [self._send(connection, call) for call in phase.calls]
                    if phase.commit:
                        connection.execute("COMMIT")
                    phase = program.send(rows)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]
            except BaseException:
                program.close()
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    @staticmethod
    def _send(connection: sqlite3.Connection, call: Call) -> list[Row]:
        statement = call.statement
        text = statement.text("sqlite")
        if isinstance(statement, Query):
            parameters = statement.parameters("sqlite", call.values)
            return statement.rows("sqlite", connection.execute(text, parameters))
        rows = statement.bound(call.values)
        if "RETURNING" in text:
            return [row for one in rows for row in connection.execute(text, one).fetchall()]
        connection.executemany(text, rows)
        return []

    def is_retryable(self, error: Exception) -> bool:
        """Another process held the lock for longer than the timeout."""
        return is_conflict(error)

    async def close(self) -> None:
        """Close the connection on its thread."""
        loop = asyncio.get_running_loop()
        if self._connection is not None:
            await loop.run_in_executor(self._thread, self._connection.close)
        self._thread.shutdown()
