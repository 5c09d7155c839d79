"""One PostgreSQL connection that sends many statements before it reads the first answer.

libpq's pipeline mode by way of psycopg's own binding (`psycopg.pq`). Every statement of the token lane is known
beforehand, so it is prepared once per connection and executed by name; what psycopg's cursors do for a statement
they see for the first time cost more than the statement itself. Knows nothing of batches or tokens.

Such a plan is made anew every few seconds: one that was made while a table was empty reads all of it, and the database
looks again on its own only when it has counted the rows, a minute later.

Behind a pooler in transaction mode the next transaction may meet another session: there nothing is prepared by name,
and what a session would be told once, each transaction is told as it begins. That costs planning each time.
"""

import asyncio
import contextlib
import time
from collections.abc import Sequence

import psycopg
from psycopg import pq
from psycopg.adapt import Transformer
from psycopg.conninfo import make_conninfo
from psycopg.errors import error_from_result

from authz.db.engine import KEPT_ALIVE, TIME_LIMITS
from authz.db.statements import Call, Row

# The lane reads and writes by key and nothing else. So its plans need no statistics, which a young table does not
# have yet: an index, always, planned once. Compiling a plan of this size never pays.
_SETTINGS = {
    **TIME_LIMITS,
    "TimeZone": "UTC",
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "jit": "off",
}
_OPTIONS = " ".join(f"-c {name}={value}" for name, value in _SETTINGS.items())
_SET_LOCAL = "SELECT " + ", ".join(
    f"set_config('{name}', '{value}', true)" for name, value in _SETTINGS.items()
)
_BINARY = pq.Format.BINARY
_PLANS_LAST_SECONDS = 5.0
"""Planning all statements of a batch takes the database a few milliseconds."""
_FAILED = (pq.ExecStatus.FATAL_ERROR, pq.ExecStatus.BAD_RESPONSE)


class Pipeline:
    """Queue statements with `send` and `command`, then `exchange` once. Not for two tasks at a time."""

    def __init__(
        self, connection: psycopg.AsyncConnection[Row], *, has_pooler: bool = False
    ) -> None:
        self._connection = connection
        self._has_pooler = has_pooler
        self._libpq = connection.pgconn
        self._transformer = Transformer(connection)
        self._names: dict[bytes, bytes] = {}
        self._prepared_now: list[bytes] = []
        self._prepared_ever = 0
        self._planned_at = time.monotonic()
        self._expected: list[Call | None] = []
        self._is_in_step = True
        """No answer is outstanding that a later exchange would take for its own."""

    @classmethod
    async def connect(
        cls, dsn: str, password: str | None = None, *, has_pooler: bool = False
    ) -> "Pipeline":
        """A connection of its own; with a password where the dsn has none."""
        # A pooler refuses options, or takes them for the session of whoever comes next.
        options = {} if has_pooler else {"options": _OPTIONS}
        if password is not None:
            options["password"] = password
        conninfo = make_conninfo(dsn, **KEPT_ALIVE, **options)
        connection = await psycopg.AsyncConnection.connect(conninfo, autocommit=True)
        connection.pgconn.nonblocking = 1
        connection.pgconn.enter_pipeline_mode()
        return cls(connection, has_pooler=has_pooler)

    @property
    def is_open(self) -> bool:
        """Whether it can still be used."""
        return self._is_in_step and not self._connection.closed

    def send(self, call: Call) -> None:
        """Queue a statement whose rows are wanted."""
        self._execute(call.statement.wire_text, call.encoded())
        self._expected.append(call)

    def begin(self) -> None:
        """Queue the beginning of a transaction."""
        self.command(b"BEGIN")
        now = time.monotonic()
        if self._has_pooler:
            self.command(_SET_LOCAL.encode())
        elif now > self._planned_at + _PLANS_LAST_SECONDS:
            self._planned_at = now
            self.command(b"DISCARD PLANS")

    def command(self, text: bytes) -> None:
        """Queue COMMIT, ROLLBACK or another statement without parameters whose rows nobody wants."""
        self._execute(text, ())
        self._expected.append(None)

    def _execute(self, text: bytes, values: Sequence[bytes]) -> None:
        if self._has_pooler:
            self._libpq.send_query_params(text, values, result_format=_BINARY)
            return
        name = self._names.get(text)
        if name is None:
            # Never a name twice, also when the preparation before was answered with an error.
            self._prepared_ever += 1
            name = b"lane%d" % self._prepared_ever
            self._libpq.send_prepare(name, text)
            self._expected.append(None)
            self._names[text] = name
            self._prepared_now.append(text)
        self._libpq.send_query_prepared(name, values, result_format=_BINARY)

    async def exchange(self) -> list[list[Row]]:
        """One round trip: the rows of every `send` since the last one. Raises what the database raised."""
        expected, self._expected = self._expected, []
        prepared, self._prepared_now = self._prepared_now, []
        self._is_in_step = False
        self._libpq.pipeline_sync()
        results = await self._results()
        self._is_in_step = True
        error = next((result for result in results if result.status in _FAILED), None)
        if error is not None:
            for text in prepared:
                del self._names[text]
            raise error_from_result(error)
        return [
            self._rows(call, result)
            for call, result in zip(expected, results, strict=True)
            if call is not None
        ]

    def _rows(self, call: Call, result: pq.abc.PGresult) -> list[Row]:
        if not result.nfields:
            return []
        self._transformer.set_pgresult(result)
        raw: list[Row] = self._transformer.load_rows(0, result.ntuples, tuple)
        return call.statement.wire_rows(raw)

    async def _results(self) -> list[pq.abc.PGresult]:
        """One result per queued message, in order, up to the synchronisation point."""
        libpq = self._libpq
        results: list[pq.abc.PGresult] = []
        is_unsent = libpq.flush()
        while True:
            while not libpq.is_busy():
                result = libpq.get_result()
                if result is None:  # the end of one statement
                    if libpq.status == pq.ConnStatus.BAD:
                        raise psycopg.OperationalError("the connection is lost")
                elif result.status == pq.ExecStatus.PIPELINE_SYNC:
                    return results
                else:
                    results.append(result)
            await self._movement(for_writing=bool(is_unsent))
            libpq.consume_input()
            is_unsent = libpq.flush()

    async def _movement(self, *, for_writing: bool) -> None:
        """Until the socket has something to read, or takes what could not be written yet."""
        loop, socket = asyncio.get_running_loop(), self._libpq.socket
        moved: asyncio.Future[None] = loop.create_future()

        def done() -> None:
            if not moved.done():
                moved.set_result(None)

        loop.add_reader(socket, done)
        if for_writing:
            loop.add_writer(socket, done)
        try:
            await moved
        finally:
            loop.remove_reader(socket)
            if for_writing:
                loop.remove_writer(socket)

    async def roll_back(self) -> None:
        """Undo the open transaction; the connection can be used again."""
        if self._expected:
            # Queued when the batch failed in this process. A failure here would skip the ROLLBACK beside it.
            with contextlib.suppress(psycopg.DatabaseError):
                await self.exchange()
        self.command(b"ROLLBACK")
        await self.exchange()

    async def close(self) -> None:
        """Close the connection."""
        await self._connection.close()
