"""Outcomes on their way, in a file that survives restarts: bounded, and honest about what it had to drop.

One process owns a file at a time; a folder holds one for each that ran at once. What is in it is what is reported:
names of tokens and tools, never a token, an argument, a result or a key.

Decisions
- SQLite, because a file that survives a crash in the middle of a write is what it is. The exclusive lock that it holds
  while the file is open is also what tells processes apart.
- A batch that was formed stays as it is until it is settled, so that the authorization server knows it again when
  only its answer was lost. It is signed when it is sent: a key may change meanwhile.
"""

import contextlib
import json
import logging
import secrets  # noqa: TID251 - this package stands alone
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MAX_SPOOLED = 50_000
MAX_BATCH = 256
# Of a batch; signed and in base64 it is a third longer.
MAX_BATCH_BYTES = 72 * 1024
_MAX_FILES = 64
_TABLES = """
CREATE TABLE IF NOT EXISTS waiting (number INTEGER PRIMARY KEY AUTOINCREMENT, body TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS state (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""

log = logging.getLogger(__name__)  # noqa: TID251 - structlog belongs to the server, not to this layer


class SpoolInUseError(Exception):
    """Another process has the file."""


@dataclass(frozen=True)
class Contents:
    """What a batch is made of."""

    reporter: str
    sequence: int
    lost: int
    outcomes: Sequence[Any]


class Spool:
    """One file. Safe to use from several threads; after `close` it does nothing."""

    def __init__(self, path: Path, *, limit: int = MAX_SPOOLED) -> None:
        """Open and lock the file; raises SpoolInUseError, or sqlite3.Error when there is no way to keep anything."""
        self.path = path
        self._limit = limit
        self._lock = threading.Lock()
        try:
            self._connection: sqlite3.Connection | None = _open(path)
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError as error:
            # Not a database any more: kept for whoever wants to look, and begun anew.
            log.error("the spool %s cannot be read and is set aside: %s", path, error)  # noqa: TRY400
            path.replace(path.with_suffix(".broken"))
            self._connection = _open(path)
        self.reporter = self._find("reporter") or f"rep_{secrets.token_urlsafe(16)}"
        self._set("reporter", self.reporter)
        self._count = int(self._execute("SELECT count(*) FROM waiting").fetchone()[0])

    def append(self, bodies: Sequence[str], lost: int = 0) -> int:
        """Keep outcomes, and that `lost` more never got here; return how many old ones had to go for them."""
        with self._lock:
            if self._connection is None:
                return 0
            with self._transaction() as connection:
                connection.executemany(
                    "INSERT INTO waiting (body) VALUES (?)", [(body,) for body in bodies]
                )
                dropped = max(0, self._count + len(bodies) - self._limit)
                if dropped:
                    self._execute(
                        "DELETE FROM waiting WHERE number IN "
                        "(SELECT number FROM waiting ORDER BY number LIMIT ?)",
                        dropped,
                    )
                self._add_lost(dropped + lost)
            self._count += len(bodies) - dropped
            return dropped

    def next_batch(self, write: Callable[[Contents], str]) -> str | None:
        """The batch that is to be sent: the one that is not settled, or a new one as `write` spells it."""
        with self._lock:
            if self._connection is None:
                return None
            pending = self._find("batch")
            if pending is not None:
                return pending
            rows: list[tuple[int, str]] = []
            size = 0
            for row in self._execute(
                "SELECT number, body FROM waiting ORDER BY number LIMIT ?", MAX_BATCH
            ):
                size += len(row[1])
                if rows and size > MAX_BATCH_BYTES:
                    break
                rows.append(row)
            if not rows:
                return None
            sequence = int(self._find("sequence") or 0) + 1
            contents = Contents(
                reporter=self.reporter,
                sequence=sequence,
                lost=int(self._find("lost") or 0),
                outcomes=[json.loads(body) for _, body in rows],
            )
            batch = write(contents)
            with self._transaction():
                self._execute("DELETE FROM waiting WHERE number <= ?", rows[-1][0])
                self._set("batch", batch)
                self._set("sequence", str(sequence))
                self._set("lost", "0")
            self._count -= len(rows)
            return batch

    def settle(self, *, lost: int = 0) -> None:
        """Forget the batch that was sent; with `lost`, it was of no use and takes that many outcomes along."""
        with self._lock:
            if self._connection is None:
                return
            with self._transaction():
                self._execute("DELETE FROM state WHERE name = 'batch'")
                self._add_lost(lost)

    @property
    def waiting(self) -> int:
        """How many outcomes wait to become part of a batch."""
        return self._count

    @property
    def is_empty(self) -> bool:
        """Whether nothing is left to be sent."""
        with self._lock:
            if self._connection is None:
                return True
            return self._count == 0 and self._find("batch") is None

    def close(self) -> None:
        """Let another process have the file."""
        with self._lock:
            connection, self._connection = self._connection, None
            if connection is not None:
                connection.close()

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        connection = self._opened()
        connection.execute("BEGIN IMMEDIATE")
        with connection:  # commits, or rolls back
            yield connection

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            raise sqlite3.ProgrammingError("the spool is closed")
        return self._connection

    def _add_lost(self, count: int) -> None:
        if count:
            self._set("lost", str(int(self._find("lost") or 0) + count))

    def _find(self, name: str) -> str | None:
        row = self._execute("SELECT value FROM state WHERE name = ?", name).fetchone()
        return None if row is None else str(row[0])

    def _set(self, name: str, value: str) -> None:
        self._execute("INSERT OR REPLACE INTO state (name, value) VALUES (?, ?)", name, value)

    def _execute(self, statement: str, *values: Any) -> sqlite3.Cursor:
        return self._opened().execute(statement, values)


def claim(folder: Path, *, limit: int = MAX_SPOOLED) -> Spool:
    """The first file of the folder that no other process has; raises sqlite3.Error or OSError."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for number in range(1, _MAX_FILES + 1):
        with contextlib.suppress(SpoolInUseError):
            return Spool(folder / f"{number}.db", limit=limit)
    raise sqlite3.OperationalError(f"{folder} has {_MAX_FILES} files and all of them are in use")


def abandoned(folder: Path) -> Sequence[Spool]:
    """The files that were left by processes that are no more, and still hold something."""
    found = []
    for path in sorted(folder.glob("*.db")):
        with contextlib.suppress(SpoolInUseError, sqlite3.Error):
            spool = Spool(path)
            if spool.is_empty:
                spool.close()
            else:
                found.append(spool)
    return found


def _open(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)
    try:
        # Before anything is read: from then on nobody else gets in.
        connection.execute("PRAGMA locking_mode=EXCLUSIVE")
        connection.execute("PRAGMA journal_mode=TRUNCATE")
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute("BEGIN EXCLUSIVE")
        connection.execute("COMMIT")
        connection.executescript(_TABLES)
    except sqlite3.OperationalError as error:
        connection.close()
        if "locked" in str(error):
            raise SpoolInUseError(str(path)) from None
        raise
    except sqlite3.Error:
        connection.close()
        raise
    return connection
