"""Old events go, what is held stays, and the rest can still be checked."""

import json
import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from sqlalchemy import delete, event, func, select, text, update
from sqlalchemy.exc import IntegrityError, ProgrammingError

from authz import jobs
from authz.admin import audit, audit_export, audit_holds, audit_removal, groups, users
from authz.admin.audit_upkeep import Upkeep
from authz.audit import record, verify
from authz.audit.events import SessionEnded
from authz.audit.reading import removed_spans
from authz.db import Database, partitions
from authz.db.engine import TIME_LIMITS
from authz.db.models import AuditEvent, AuditHold, AuditRemoval
from authz.errors import ConfigurationError, Conflict, Invalid, NotFound
from authz.installation.checks import check_trail
from authz.progress import Watch
from authz.settings import AuditSettings, AuditSink
from tests.admin.conftest import desk, make_desk, services
from tests.support.databases import connected, migrated_url

__all__ = ["desk", "make_desk", "services"]


def upkeep(desk, **settings):
    services = desk.services
    return Upkeep(
        services.database, services.configurations, services.network, AuditSettings(**settings)
    )


@pytest.fixture
def old(desk):
    """Events of 40 days ago, some about Ada; a young one; and a retention of 30 days."""
    for name in ("a", "b"):
        desk.do(groups.add, name=name)
    desk.do(users.add, login="ada@corp.example", name="Ada", password_hash=None)
    desk.do(groups.add_member, group="a", user="ada@corp.example")
    desk.do(groups.add, name="c")
    upkeep(desk).write_checkpoint(desk.slug, desk.now)
    desk.wait(days=40)
    desk.do(audit_holds.set_retention, days=30)
    upkeep(desk).write_checkpoint(desk.slug, desk.now)
    return desk


def positions(desk):
    query = select(AuditEvent.position).where(AuditEvent.tenant_id == desk.tenant_id)
    return list(desk.sql(lambda tx: tx.scalars(query.order_by(AuditEvent.position))))


def fault(desk):
    with desk.services.database.snapshot() as tx:
        return audit.verify(tx, desk.operator, desk.tenant_id).fault


def prepared_by(desk):
    with desk.services.database.snapshot() as tx:
        prepared = audit_export.prepare(tx, desk.tenant_id, issuer=desk.issuer, now=desk.now)
    return prepared, audit_export.sign(desk.configuration().keys, prepared, desk.now)


def export(desk, *, is_whole=True):
    prepared, statement = prepared_by(desk)
    with desk.services.database.snapshot() as tx:
        lines = list(audit_export.lines(tx, prepared, statement))
    assert not is_whole or prepared.events == sum("event" in json.loads(it) for it in lines)
    return lines


def test_what_is_old_goes_and_the_rest_can_be_checked(old):
    before = positions(old)
    upkeep(old).remove(old.now)
    assert positions(old) == [before[-1], before[-1] + 1]  # the second tells of the removal
    assert fault(old) is None
    assert "6 events removed by retention" in verify.check(export(old)).told()
    upkeep(old).remove(old.now)
    assert len(positions(old)) == 2
    # And again, later: what counts as removed grows.
    old.wait(days=40)
    upkeep(old).write_checkpoint(old.slug, old.now)
    upkeep(old).remove(old.now)
    assert len(positions(old)) == 1
    assert fault(old) is None
    assert "8 events removed by retention" in verify.check(export(old)).told()


def test_what_is_old_goes_also_when_a_month_cannot_be_made(old):
    if old.services.database.is_sqlite:
        jobs.trim_trail(old.services, old.now)
    else:
        table = f"audit_events_{old.now:%Y_%m}"
        old.sql(lambda tx: tx.execute(text(f"CREATE TABLE {table} (at int)")))
        try:
            with pytest.raises(ProgrammingError, match=f'"{table}" already exists'):
                jobs.trim_trail(old.services, old.now)
        finally:
            old.sql(lambda tx: tx.execute(text(f"DROP TABLE {table}")))
    assert len(positions(old)) == 2


def test_what_is_about_somebody_held_stays_between_what_goes(old):
    held = old.do(audit_holds.place, reason="case 7", person="ada@corp.example")
    upkeep(old).write_checkpoint(old.slug, old.now)
    upkeep(old).remove(old.now)
    kept = positions(old)
    about = [4, 5]  # she was added, and became a member
    assert kept[:2] == about
    assert fault(old) is None
    assert verify.check(export(old)).events == len(kept)
    change = update(AuditEvent).where(
        AuditEvent.tenant_id == old.tenant_id, AuditEvent.position == 4
    )
    (body,) = old.sql(
        lambda tx: tx.scalars(
            select(AuditEvent.body).where(
                AuditEvent.tenant_id == old.tenant_id, AuditEvent.position == 4
            )
        ).all()
    )
    old.sql(lambda tx: tx.execute(change.values(body=body + " ")))
    assert (fault(old).position, fault(old).what) == (4, "altered")
    with pytest.raises(verify.Fault, match="event 4 of strand main was changed"):
        verify.check(export(old))
    old.sql(lambda tx: tx.execute(change.values(body=body)))
    released = old.do(audit_holds.release, held.id)
    assert not released.is_active
    upkeep(old).remove(old.now)
    assert not set(about) & set(positions(old))
    assert fault(old) is None
    verify.check(export(old))


@contextmanager
def statements(database):
    """What is sent to the database meanwhile."""
    sent = []

    def note(connection, cursor, statement, *_):
        sent.append(statement)

    event.listen(database.engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        event.remove(database.engine, "before_cursor_execute", note)


def test_what_a_hold_leaves_costs_no_statement_for_each(desk):
    """A hold of somebody who is everywhere leaves as many spans as they have events."""
    database = desk.services.database
    desk.do(users.add, login="ada@corp.example", name="Ada", password_hash=None)
    desk.do(audit_holds.set_retention, days=30)
    desk.do(audit_holds.place, reason="case 7", person="ada@corp.example")
    (held,) = desk.sql(lambda tx: audit_holds.active(tx, desk.tenant_id, desk.now))
    with database.write() as tx:
        key = desk.operator.audit_key(tx, desk.tenant_id)
        events = [SessionEnded(subject=it) for it in (held, "usr_other") * 60]
        record(tx, desk.tenant_id, *events, key=key, now=desk.now)
    upkeep(desk).write_checkpoint(desk.slug, desk.now)
    desk.wait(days=40)
    with statements(database) as sent, database.read() as tx:
        planned = audit_removal.plan(tx, desk.tenant_id, ["checkpoints"], desk.now)
    assert len(planned.spans) >= 60
    assert len(sent) < 15
    with statements(database) as sent:
        desk.sql(lambda tx: audit_removal.store(tx, planned))
        assert len(sent) < 5
        # What is there already is not written again, and what is gone is not looked for.
        sent.clear()
        desk.sql(lambda tx: audit_removal.store(tx, planned))
        assert len(sent) < 3
    assert audit_removal.purge(database, desk.tenant_id) == planned.added
    with statements(database) as sent:
        assert audit_removal.purge(database, desk.tenant_id) == 0
        assert len(sent) < 3
    assert desk.ask(removed_spans) == list(planned.spans)


@pytest.mark.parametrize("why", ["tenant held", "sink behind", "no checkpoint", "for ever"])
def test_nothing_goes_that_must_not(old, why):
    settings = {}
    if why == "tenant held":
        old.do(audit_holds.place, reason="case 7", until=old.now + timedelta(days=1))
    if why == "for ever":
        old.do(audit_holds.set_retention, days=None)
    if why == "sink behind":
        sink = AuditSink(name=f"s-{old.slug}", kind="file", path="x", tenants=(old.slug,))
        settings = {"sink": (sink,)}
    if why == "no checkpoint":
        from authz.db.models import AuditCursor

        gone = delete(AuditCursor).where(AuditCursor.tenant_id == old.tenant_id)
        old.sql(lambda tx: tx.execute(gone))
    before = positions(old)
    upkeep(old, **settings).remove(old.now)
    assert positions(old) == before
    if why == "tenant held":
        old.wait(days=2)
        upkeep(old).remove(old.now)
        assert positions(old) != before


def test_whoever_says_that_events_were_removed_needs_the_key(old):
    """An intruder deletes events and writes what retention would have left of them."""
    old.do(audit_holds.set_retention, days=None)
    (hash_,) = old.sql(
        lambda tx: tx.scalars(
            select(AuditEvent.hash).where(
                AuditEvent.tenant_id == old.tenant_id, AuditEvent.position == 3
            )
        ).all()
    )

    def intrude(tx):
        tx.execute(
            delete(AuditEvent).where(
                AuditEvent.tenant_id == old.tenant_id, AuditEvent.position <= 3
            )
        )
        tx.add(
            AuditRemoval(
                tenant_id=old.tenant_id, strand="main", first=1, before="0" * 64, last=3, hash=hash_
            )
        )

    old.sql(intrude)
    assert fault(old).what == "events count as removed that it does not name"
    with pytest.raises(verify.Fault, match="not the one that was signed when they were removed"):
        verify.check(export(old))


def test_what_counts_as_removed_is_something(old):
    """A row that ends before it begins would be stepped over for ever: by the verifier, the export, `verify.py`."""
    (hash_,) = old.sql(
        lambda tx: tx.scalars(
            select(AuditEvent.hash).where(
                AuditEvent.tenant_id == old.tenant_id, AuditEvent.position == 3
            )
        ).all()
    )
    row = {"tenant_id": old.tenant_id, "strand": "main", "before": hash_, "hash": hash_}
    forge = lambda tx: tx.add(AuditRemoval(**row, first=4, last=3))  # noqa: E731
    if not old.services.database.is_sqlite:
        with pytest.raises(IntegrityError, match="ck_audit_removals_is_some"):
            old.sql(forge)
        return
    old.sql(forge)
    assert (fault(old).position, fault(old).what) == (3, "what was removed behind it is nothing")
    with pytest.raises(verify.Fault, match="of strand main from event 4 on is nothing"):
        verify.check(export(old, is_whole=False))


def test_what_is_written_meanwhile_is_no_fault(old):
    """Heads are read first and events afterwards: an honest server writes in between."""

    class Writer(Watch):
        def counting(self, label, length):
            old.do(groups.add, name="meanwhile")
            upkeep(old).write_checkpoint(old.slug, old.now)
            return super().counting(label, length)

    with old.services.database.snapshot() as tx:
        found = audit.verify(tx, old.operator, old.tenant_id, watch=Writer())
    assert found.fault is None
    assert found.events == len(positions(old)) - 1


def test_an_export_is_of_one_moment_whatever_is_removed_meanwhile(old):
    prepared, statement = prepared_by(old)
    with old.services.database.snapshot() as tx:
        lines = audit_export.lines(tx, prepared, statement)
        begun = [next(lines)]
        upkeep(old).remove(old.now)
        assert len(positions(old)) == 2
        assert verify.check([*begun, *lines]).events == prepared.events
    with (
        old.services.database.snapshot() as tx,
        pytest.raises(Conflict, match="export again"),
    ):
        audit_export.lines(tx, prepared, statement)


def test_holds_say_who_why_and_until_when(old):
    until = old.now + timedelta(days=3)
    made = old.do(audit_holds.place, reason="case 7", person="ada@corp.example", until=until)
    with old.services.database.read() as tx:
        (line,) = audit_holds.list_(tx, old.tenant_id, old.now)
    assert (line.login, line.placed_by, line.until, line.is_active) == (
        "ada@corp.example",
        "test:operator",
        until,
        True,
    )
    old.do(audit_holds.release, made.id)
    with pytest.raises(Conflict, match="released already"):
        old.do(audit_holds.release, made.id)
    with pytest.raises(NotFound):
        old.do(audit_holds.release, "hold_x")
    for wrong in ({"reason": " "}, {"reason": "x", "until": old.now}):
        with pytest.raises(Invalid):
            old.do(audit_holds.place, **wrong)
    with pytest.raises(Invalid, match="7 to 36500 days"):
        old.do(audit_holds.set_retention, days=1)
    with old.services.database.read() as tx:
        found = audit.search(tx, old.tenant_id, kind="admin.changed", limit=3).entries
    assert [it.detail["what"] for it in found[:2]] == ["audit.release_hold", "audit.hold"]
    assert found[1].detail["values"]["reason"] == "case 7"
    assert old.sql(lambda tx: tx.scalar(select(func.count()).select_from(AuditHold))) >= 1


# -- partitions -------------------------------------------------------------------------------------------


@pytest.fixture
def database(tmp_path, worker):
    with migrated_url("postgresql", tmp_path, f"authz_months_{worker}") as url:
        made = Database(url)
        yield made
        made.close()


def names(database):
    with database.engine.connect() as connection:
        return sorted(partitions._partitions(connection))


def insert(database, at, position=1):
    query = (
        "INSERT INTO audit_events (tenant_id, strand, position, at, kind, body, hash, subject) "
        "VALUES ('ten_1', 'main', :position, :at, 'k', '{}', 'h', 'usr_1')"
    )
    with database.write() as tx:
        tx.execute(text(query), {"at": at, "position": position})


def wait_for_locks(database, count):
    """Until so many statements wait for a lock."""
    query = "SELECT count(*) FROM pg_locks WHERE NOT granted AND database = "
    query += "(SELECT oid FROM pg_database WHERE datname = current_database())"
    until = time.monotonic() + 1.5
    while time.monotonic() < until:
        with database.read() as tx:
            if tx.scalar(text(query)) == count:
                return
    raise AssertionError(f"{count} statements should wait")


@pytest.mark.only("postgresql")
def test_who_reads_while_a_month_is_made_sees_what_is_moved(engine, database):
    """A sink that found nothing between its place and the head would step over it."""
    now = datetime(2026, 11, 26, tzinfo=UTC)
    insert(database, now)
    seen = []

    def read():
        with database.read() as tx:
            seen.append(tx.scalar(select(func.count()).select_from(AuditEvent)))

    making = threading.Thread(target=partitions.make_ahead, args=(database, now))
    reading = threading.Thread(target=read)
    with database.write() as tx:
        tx.execute(text("LOCK TABLE audit_events_default IN ACCESS SHARE MODE"))
        making.start()
        wait_for_locks(database, 1)
        reading.start()
        wait_for_locks(database, 2)
    making.join(20)
    reading.join(20)
    assert seen == [1]
    assert "audit_events_2026_11" in names(database)


@pytest.mark.only("postgresql")
def test_months_are_made_ahead_and_dropped_whole(engine, database):
    now = datetime(2026, 11, 26, tzinfo=UTC)
    # Nobody made the month of this event: it is kept all the same, and moves.
    insert(database, now)
    months = ["audit_events_2026_11", "audit_events_2026_12", "audit_events_2027_01"]
    assert partitions.make_ahead(database, now) == months
    assert partitions.make_ahead(database, now) == []
    assert names(database) == [*months, "audit_events_default"]
    with database.read() as tx:
        place = "SELECT tableoid::regclass::text FROM audit_events"
        assert tx.scalars(text(place)).all() == ["audit_events_2026_11"]
    later = datetime(2026, 12, 2, tzinfo=UTC)
    assert partitions.drop_covered(database, later) == []
    with database.write() as tx:
        tx.add(
            AuditRemoval(
                tenant_id="ten_1", strand="main", first=1, before="0" * 64, last=1, hash="h"
            )
        )
    assert partitions.drop_covered(database, later) == ["audit_events_2026_11"]
    # Search by person is an index of each partition, and one month is read for a moment in it.
    with database.read() as tx:
        tx.execute(text("SET LOCAL enable_seqscan = off"))
        plan = "\n".join(
            tx.scalars(
                text(
                    "EXPLAIN SELECT body FROM audit_events WHERE tenant_id = 'ten_1' "
                    "AND subject = 'usr_1' AND at >= '2026-12-01' AND at < '2026-12-31' "
                    "ORDER BY at DESC LIMIT 50"
                )
            )
        )
    assert "audit_events_2026_12_tenant_id_subject_at_idx" in plan
    assert "2027_01" not in plan


@pytest.mark.only("postgresql")
def test_a_month_that_has_begun_is_made_under_load(engine, database):
    """An event that somebody is writing just then is waited for, and moves with the others."""
    now = datetime(2026, 11, 26, tzinfo=UTC)
    insert(database, now, 1)
    with connected(database) as writer:
        writer.execute(
            "INSERT INTO audit_events (tenant_id, strand, position, at, kind, body, hash) "
            "VALUES ('ten_1', 'main', 2, %s, 'k', '{}', 'h')",
            (now,),
        )
        ended = threading.Timer(0.5, writer.commit)
        ended.start()
        assert "audit_events_2026_11" in partitions.make_ahead(database, now)
        ended.join()
    with database.read() as tx:
        place = "SELECT tableoid::regclass::text FROM audit_events"
        assert tx.scalars(text(place)).all() == ["audit_events_2026_11"] * 2


@pytest.mark.only("postgresql")
def test_a_month_that_cannot_be_dropped_keeps_no_other_up(engine, database):
    first, second, _ = partitions.make_ahead(database, datetime(2026, 11, 26, tzinfo=UTC))
    with database.write() as tx:
        tx.execute(text(f"CREATE VIEW somebodys AS SELECT * FROM {first}"))
    assert partitions.drop_covered(database, datetime(2027, 1, 2, tzinfo=UTC)) == [second]
    assert first in names(database)


@pytest.mark.only("postgresql")
def test_a_month_that_is_long_to_look_through_is_dropped(engine, database, monkeypatch):
    """What limits a request is no limit for it."""
    now = datetime(2026, 11, 26, tzinfo=UTC)
    first, *_ = partitions.make_ahead(database, now)
    insert(database, now)
    row = {"strand": "main", "first": 1, "before": "0" * 64, "last": 1, "hash": "h"}
    with database.write() as tx:
        tx.add(AuditRemoval(tenant_id="ten_1", **row))
        tx.flush()
        tx.execute(text("ALTER TABLE audit_removals RENAME TO kept"))
        slowly = "SELECT kept.* FROM kept, pg_sleep(1.5)"
        tx.execute(text(f"CREATE VIEW audit_removals AS {slowly}"))
    monkeypatch.setitem(TIME_LIMITS, "statement_timeout", "1000")
    hurried = Database(database.url.render_as_string(hide_password=False))
    try:
        assert partitions.drop_covered(hurried, datetime(2026, 12, 2, tzinfo=UTC)) == [first]
    finally:
        hurried.close()


@pytest.mark.only("postgresql")
def test_what_counts_as_removed_has_one_order_in_every_database(engine, database):
    """Its digest is signed in the order of Python; a collation of people sorts `B` behind `a`."""
    with database.write() as tx:
        column = "ALTER TABLE audit_removals ALTER COLUMN strand TYPE varchar(64)"
        tx.execute(text(f'{column} COLLATE "en-x-icu"'))
        for strand in ("a", "B"):
            row = {"strand": strand, "first": 1, "before": "0" * 64, "last": 1, "hash": "h"}
            tx.add(AuditRemoval(tenant_id="ten_1", **row))
    with database.read() as tx:
        assert [it.strand for it in removed_spans(tx, "ten_1")] == ["B", "a"]


def as_before(database):
    """The table of an installation that had events before there were partitions."""
    with database.engine.begin() as connection:
        for statement in (
            "CREATE TABLE plain (LIKE audit_events INCLUDING DEFAULTS)",
            "DROP TABLE audit_events",
            "ALTER TABLE plain RENAME TO audit_events",
            "ALTER TABLE audit_events ADD CONSTRAINT pk_audit_events PRIMARY KEY (tenant_id, strand, position)",
            "CREATE INDEX ix_audit_events_tenant_id_at ON audit_events (tenant_id, at)",
            *(
                f"CREATE INDEX ix_audit_events_tenant_id_{it}_at ON audit_events (tenant_id, {it}, at) "
                f"WHERE {it} IS NOT NULL"
                for it in partitions._SEARCHED
            ),
        ):
            connection.exec_driver_sql(statement)


@pytest.mark.only("postgresql")
def test_an_abandoned_conversion_leaves_nothing_that_refuses_events(engine, database):
    """What it adds for the time being would refuse every event of the next month."""
    now, later = datetime(2026, 11, 26, tzinfo=UTC), datetime(2027, 2, 1, tzinfo=UTC)
    as_before(database)
    insert(database, later, 1)
    with pytest.raises(IntegrityError, match="ck_audit_events_before"):
        partitions.convert(database, now)
    assert partitions.refuses_from(database) is None
    insert(database, later, 2)
    # Killed, it cannot clean up: then the doctor says from when on nothing goes.
    with database.write() as tx:
        tx.execute(text("DELETE FROM audit_events"))
        tx.execute(
            text(
                "ALTER TABLE audit_events ADD CONSTRAINT ck_audit_events_before "
                "CHECK (at < '2026-12-01T00:00:00+00:00') NOT VALID"
            )
        )
    assert partitions.refuses_from(database) == datetime(2026, 12, 1, tzinfo=UTC)
    [found] = check_trail(SimpleNamespace(database=database))
    assert (found.state, "2026-12-01" in found.said) == ("bad", True)
    # A reader that has the table is waited for, and not once.
    with connected(database) as reader:
        reader.execute("SELECT 1 FROM audit_events")
        ended = threading.Timer(2.2, reader.rollback)
        ended.start()
        assert partitions.convert(database, now) is True
        ended.join()
    assert partitions.refuses_from(database) is None
    insert(database, later, 3)


@pytest.mark.only("postgresql")
def test_a_conversion_refuses_a_pooler(engine, database):
    """What a session is told would reach somebody else's transactions."""
    as_before(database)
    url = database.url.render_as_string(hide_password=False)
    pooled = Database(url, pooler=True)
    try:
        with pytest.raises(ConfigurationError, match="through a pooler"):
            partitions.convert(pooled, datetime(2026, 11, 26, tzinfo=UTC))
    finally:
        pooled.close()


@pytest.mark.only("postgresql")
def test_a_table_in_use_is_partitioned_without_a_stop(engine, database):
    """Expand and contract: servers of the version before write on while it happens, and go on afterwards."""
    now = datetime(2026, 11, 26, tzinfo=UTC)
    as_before(database)
    insert(database, now, 1)
    written, failures, done = [1], [], threading.Event()

    def write():
        while not done.is_set():
            try:
                insert(database, now, written[-1] + 1)
            except Exception as error:
                failures.append(error)
                return
            written.append(written[-1] + 1)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert partitions.convert(database, now) is True
    finally:
        done.set()
        writer.join(30)
    assert not failures
    insert(database, datetime(2026, 12, 15, tzinfo=UTC), 10_000)
    assert partitions.convert(database, now) is False
    assert partitions.make_ahead(database, now) == ["audit_events_2026_12", "audit_events_2027_01"]
    with database.read() as tx:
        count = tx.scalar(select(func.count()).select_from(AuditEvent))
    assert count == len(written) + 1
    assert "audit_events_before" in names(database)
