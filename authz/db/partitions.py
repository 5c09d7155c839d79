"""The audit trail's table by month on PostgreSQL: made ahead, dropped whole, and made of a table that has none.

Owns the names and bounds of partitions. Never decides what may be removed (`admin.audit_removal`).

Decisions:
- Whatever is of no month lands in `audit_events_default`: an event is never refused because a job did not run.
- Locks that everybody waits for are waited for shortly, and tried again at the next turn: no request stands still
  behind a partition.
- A table that is in use becomes a partition, the first, and is not copied. It is checked and indexed beforehand while
  it is read and written; what is left takes milliseconds. Servers of the version before do not notice.
"""

import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import structlog
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from authz.db.engine import Database
from authz.errors import Conflict

log = structlog.get_logger()

TABLE = "audit_events"
DEFAULT, BEFORE = f"{TABLE}_default", f"{TABLE}_before"
AHEAD = 2
"""Months that are there before they begin."""
_LOCKED = "55P03"
_NO_CHECK = f"ALTER TABLE {TABLE} DROP CONSTRAINT IF EXISTS ck_{BEFORE}"
_CHECK = f"ALTER TABLE {TABLE} ADD CONSTRAINT ck_{BEFORE} CHECK"
_ATTEMPTS, _PAUSE_SECONDS = 10, 0.5
"""For locks that a conversion takes, each waited for as `_short` says."""
_SEARCHED = ("subject", "actor", "reason")


def is_partitioned(database: Database) -> bool:
    """Whether the trail is kept by month."""
    if database.is_sqlite:
        return False
    with database.engine.connect() as connection:
        query = "SELECT relkind = 'p' FROM pg_class WHERE oid = to_regclass(:name)"
        return bool(connection.scalar(text(query), {"name": TABLE}))


def make_ahead(database: Database, now: datetime) -> list[str]:
    """The partitions of this month and the next ones, as far as they are missing."""
    with database.engine.connect() as connection:
        there = set(_partitions(connection))
    made = []
    begin = _month(now)
    for _ in range(AHEAD + 1):
        end = _next(begin)
        name = f"{TABLE}_{begin:%Y_%m}"
        if (
            name not in there
            and not _is_before(database, begin)
            and _make(database, name, begin, end)
        ):
            made.append(name)
        begin = end
    return made


def convert(database: Database, now: datetime) -> bool:
    """Make a partitioned table of one that is not, while it is used; False when it is one already."""
    if database.is_sqlite or is_partitioned(database):
        return False
    # Two days in advance: until the check is there, nothing may be written that it would refuse.
    bound = _next(_month(now + timedelta(days=2)))
    with database.unhurried() as connection:
        connection.exec_driver_sql(f"DROP INDEX CONCURRENTLY IF EXISTS pk_{BEFORE}")
        connection.exec_driver_sql(
            f"CREATE UNIQUE INDEX CONCURRENTLY pk_{BEFORE} ON {TABLE} (tenant_id, strand, position, at)"
        )
        try:
            _patiently(database, [_NO_CHECK, f"{_CHECK} (at < '{bound.isoformat()}') NOT VALID"])
            connection.exec_driver_sql(f"ALTER TABLE {TABLE} VALIDATE CONSTRAINT ck_{BEFORE}")
            _patiently(database, list(_conversion(bound)))
        except BaseException:
            # Left there, it would refuse every event from that month on, and with it every request.
            _patiently(database, [_NO_CHECK])
            raise
    return True


def refuses_from(database: Database) -> datetime | None:
    """From when on a table that is not partitioned takes no event: a conversion was ended before it could clean up."""
    if database.is_sqlite or is_partitioned(database):
        return None
    query = (
        "SELECT pg_get_constraintdef(oid) FROM pg_constraint "
        f"WHERE conrelid = to_regclass('{TABLE}') AND conname = 'ck_{BEFORE}'"
    )
    with database.engine.connect() as connection:
        told = connection.scalar(text(query))
    found = re.search(r"'([^']+)'", told or "")
    return None if found is None else datetime.fromisoformat(found[1]).astimezone(UTC)


def _patiently(database: Database, statements: Sequence[str]) -> None:
    """In one transaction that waits shortly for its lock, so that nobody queues behind it; again for some time."""
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            with _short(database) as connection:
                for statement in statements:
                    connection.exec_driver_sql(statement)
        except DBAPIError as error:
            if not _is_locked(error):
                raise
        else:
            return
        if attempt < _ATTEMPTS:
            time.sleep(_PAUSE_SECONDS)
    raise Conflict(f"something holds {TABLE} all the time; nothing has changed, so run this again")


def _conversion(bound: datetime) -> Iterator[str]:
    yield f"LOCK TABLE {TABLE} IN ACCESS EXCLUSIVE MODE"
    yield f"ALTER TABLE {TABLE} DROP CONSTRAINT pk_{TABLE}"
    yield f"ALTER TABLE {TABLE} RENAME TO {BEFORE}"
    yield f"ALTER TABLE {BEFORE} ADD CONSTRAINT pk_{BEFORE} PRIMARY KEY USING INDEX pk_{BEFORE}"
    indexes = ["tenant_id_at", *(f"tenant_id_{name}_at" for name in _SEARCHED)]
    for name in indexes:
        yield f"ALTER INDEX ix_{TABLE}_{name} RENAME TO ix_{BEFORE}_{name}"
    yield f"CREATE TABLE {TABLE} (LIKE {BEFORE} INCLUDING DEFAULTS) PARTITION BY RANGE (at)"
    yield (
        f"ALTER TABLE {TABLE} ADD CONSTRAINT pk_{TABLE} PRIMARY KEY (tenant_id, strand, position, at)"
    )
    yield f"CREATE INDEX ix_{TABLE}_tenant_id_at ON {TABLE} (tenant_id, at)"
    for name in _SEARCHED:
        yield (
            f"CREATE INDEX ix_{TABLE}_tenant_id_{name}_at ON {TABLE} (tenant_id, {name}, at) "
            f"WHERE {name} IS NOT NULL"
        )
    yield (
        f"ALTER TABLE {TABLE} ATTACH PARTITION {BEFORE} "
        f"FOR VALUES FROM (MINVALUE) TO ('{bound.isoformat()}')"
    )
    yield f"CREATE TABLE {DEFAULT} PARTITION OF {TABLE} DEFAULT"


def drop_covered(database: Database, before: datetime) -> list[str]:
    """Drop partitions that end by then and hold nothing but what counts as removed (`audit_removals`).

    One that cannot be dropped stays until the next turn: its rows are deleted meanwhile, as those of any other.
    """
    with database.engine.connect() as connection:
        ends = {name: _end(connection, name) for name in sorted(_partitions(connection))}
    dropped = []
    for name, end in ends.items():
        if end is None or end > before:
            continue
        try:
            if _drop(database, name):
                dropped.append(name)
        except DBAPIError as error:
            if not _is_locked(error):
                log.exception("audit.partition_kept", partition=name)
    return dropped


def _drop(database: Database, name: str) -> bool:
    kept = (
        f"SELECT 1 FROM {name} e WHERE NOT EXISTS (SELECT 1 FROM audit_removals r "
        "WHERE r.tenant_id = e.tenant_id AND r.strand = e.strand "
        "AND e.position BETWEEN r.first AND r.last) LIMIT 1"
    )
    with _short(database) as connection:
        # Nobody waits for this, and a month has many rows.
        connection.exec_driver_sql("SET LOCAL statement_timeout = '300s'")
        if connection.execute(text(kept)).first() is not None:
            return False
    with _short(database) as connection:
        connection.exec_driver_sql(f"ALTER TABLE {TABLE} DETACH PARTITION {name}")
        connection.exec_driver_sql(f"DROP TABLE {name}")
    return True


def _make(database: Database, name: str, begin: datetime, end: datetime) -> bool:
    bounds = f"at >= '{begin.isoformat()}' AND at < '{end.isoformat()}'"
    try:
        with _short(database) as connection:
            some = text(f"SELECT EXISTS (SELECT 1 FROM {DEFAULT} WHERE {bounds})")
            if connection.scalar(some):
                # Whoever reads meanwhile would wait for the default with a plan that does not know the new partition,
                # and find what is moved in neither of them: a sink would step over it for ever.
                connection.exec_driver_sql(f"LOCK TABLE {TABLE} IN ACCESS EXCLUSIVE MODE")
            connection.exec_driver_sql(f"CREATE TABLE {name} (LIKE {TABLE} INCLUDING DEFAULTS)")
            # Then attaching reads nothing.
            connection.exec_driver_sql(
                f"ALTER TABLE {name} ADD CONSTRAINT ck_{name} CHECK ({bounds})"
            )
            # Else somebody writes one more between moving and attaching, which fails then: always, in a busy month.
            connection.exec_driver_sql(f"LOCK TABLE {DEFAULT} IN ACCESS EXCLUSIVE MODE")
            connection.exec_driver_sql("SET LOCAL statement_timeout = '5s'")
            connection.exec_driver_sql(
                f"WITH moved AS (DELETE FROM {DEFAULT} WHERE {bounds} RETURNING *) "
                f"INSERT INTO {name} SELECT * FROM moved"
            )
            connection.exec_driver_sql(
                f"ALTER TABLE {TABLE} ATTACH PARTITION {name} "
                f"FOR VALUES FROM ('{begin.isoformat()}') TO ('{end.isoformat()}')"
            )
    except DBAPIError as error:
        if not _is_locked(error):
            raise
        return False
    return True


def _is_locked(error: DBAPIError) -> bool:
    """A lock that was not to be had: there is another turn. Anything else is an error."""
    return getattr(error.orig, "sqlstate", None) == _LOCKED


def _is_before(database: Database, begin: datetime) -> bool:
    """Whether the table from before goes on beyond that moment."""
    with database.engine.connect() as connection:
        end = _end(connection, BEFORE)
    return end is not None and end > begin


def _partitions(connection: Connection) -> list[str]:
    query = (
        "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid "
        "WHERE i.inhparent = to_regclass(:name)"
    )
    return list(connection.scalars(text(query), {"name": TABLE}))


def _end(connection: Connection, name: str) -> datetime | None:
    """Where a partition ends, by what the database says of it."""
    query = "SELECT pg_get_expr(relpartbound, oid) FROM pg_class WHERE oid = to_regclass(:name)"
    bound = connection.scalar(text(query), {"name": name})
    found = re.search(r"TO \('([^']+)'\)", bound or "")
    return None if found is None else datetime.fromisoformat(found[1]).astimezone(UTC)


def _month(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def _next(month: datetime) -> datetime:
    return _month(month + timedelta(days=32))


@contextmanager
def _short(database: Database) -> Iterator[Connection]:
    """A transaction that does not make others wait for long."""
    with database.engine.connect() as connection, connection.begin():
        connection.exec_driver_sql("SET LOCAL lock_timeout = '2s'")
        yield connection
