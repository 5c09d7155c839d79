"""Migrations: from nothing to head, models equal to head, and two that start at once."""

import json
import threading
import time

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import create_engine, inspect, text

from authz.db import Database, migrate, upgrading
from authz.db.models import Base, Consent, Scope
from authz.errors import ConfigurationError, Conflict
from authz.oauth.consents import unchanged
from authz.policy import snapshot
from tests.support.databases import fresh_url


@pytest.fixture
def url(engine, worker, tmp_path):
    with fresh_url(engine, tmp_path, f"authz_migrate_{worker}") as made:
        yield made


@pytest.fixture
def database(url):
    made = Database(url)
    yield made
    made.close()


def test_from_nothing_to_head(database):
    with pytest.raises(ConfigurationError, match=r"none \(empty\).*authz db upgrade"):
        migrate.check(database)
    assert migrate.upgrade(database) == (None, migrate.head())
    migrate.check(database)
    assert set(Base.metadata.tables) <= set(inspect(database.engine).get_table_names())


def test_a_second_upgrade_does_nothing(database):
    migrate.upgrade(database)
    assert migrate.upgrade(database) == (migrate.head(), migrate.head())


def at_revision(database, revision):
    with database.write() as tx:
        tx.execute(text("UPDATE alembic_version SET version_num = :it"), {"it": revision})


@pytest.mark.parametrize("revision", ["0001", "x", "9999.9998"])
def test_another_revision_is_refused_by_name(database, revision):
    migrate.upgrade(database)
    at_revision(database, revision)
    with pytest.raises(ConfigurationError, match=f"revision {revision}"):
        migrate.check(database)


def test_a_version_starts_on_the_tables_of_the_next_one(database):
    """A node that ends while another version is rolled out comes up again, and a version can be gone back to."""
    migrate.upgrade(database)
    at_revision(database, "9999")
    migrate.check(database)
    assert not migrate.is_behind(database)
    assert migrate.upgrade(database) == ("9999", "9999")
    at_revision(database, f"9999.{migrate.head()}")
    migrate.check(database)
    at_revision(database, "9999.9998")
    with pytest.raises(ConfigurationError, match="start that version"):
        migrate.upgrade(database)


@pytest.mark.parametrize(
    ("found", "wanted", "fits"),
    [
        (None, "0025", False),
        ("", "0025", False),
        ("0024", "0025", False),
        ("0025", "0025", True),
        ("0026", "0025", True),
        ("0031.0029", "0028", False),
        ("0031.0029", "0029", True),
        ("0031.0029", "0031.0029", True),
        ("0032.0029", "0031.0029", True),
        ("0030", "0031.0029", False),
        ("0031.", "0025", False),
        ("31", "0025", False),
        ("0026; DROP", "0025", False),
    ],
)
def test_what_a_version_works_on(found, wanted, fits):
    assert migrate.is_fit(found, wanted) is fits


def test_the_models_are_what_the_migrations_make(database):
    """A forgotten migration is a difference here."""
    migrate.upgrade(database)
    with database.engine.connect() as connection:
        # Partitions are no models.
        options = {"include_name": lambda name, kind, _: kind != "table" or name in known}
        known = {*Base.metadata.tables, "alembic_version"}
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "compare_server_default": True, **options}
        )
        assert compare_metadata(context, Base.metadata) == []


def test_events_from_before_can_be_searched(database):
    """0012, in more than one step; what somebody wrote over an event stops no upgrade."""
    migrate.upgrade(database, revision="0011")
    said = {"subject": "usr_1", "client": "cli_1", "actor": None, "detail": {"reason": "x"}}
    bodies = {number: json.dumps(said) for number in range(1, 5003)}
    bodies |= {1: "{", 2: '"text"', 3: '{"subject": 1, "detail": []}'}
    bodies[5001] = json.dumps({**said, "actor": "cli:root", "detail": {"resource": "https://mcp"}})
    place = {"tenant_id": "ten_1", "strand": "main", "kind": "k", "hash": "h"}
    rows = [{**place, "position": number, "body": body} for number, body in bodies.items()]
    insert = (
        "INSERT INTO audit_events (tenant_id, strand, position, at, kind, body, hash) "
        "VALUES (:tenant_id, :strand, :position, '2026-01-01 00:00:00+00:00', :kind, :body, :hash)"
    )
    with database.write() as tx:
        tx.execute(text(insert), rows)
    migrate.upgrade(database)
    with database.read() as tx:
        columns = "position, subject, actor, client, resource, reason"
        found = tx.execute(text(f"SELECT {columns} FROM audit_events ORDER BY position")).all()
    told = ("usr_1", None, "cli_1", None, "x")
    changed = dict.fromkeys((1, 2, 3), (None,) * 5)
    changed[5001] = ("usr_1", "cli:root", "cli_1", "https://mcp", None)
    assert [tuple(row) for row in found] == [
        (number, *changed.get(number, told)) for number in range(1, 5003)
    ]


def test_consents_from_before_count_for_what_scopes_mean_now(database):
    """0029: nobody is asked again by the upgrade."""
    migrate.upgrade(database, revision="0028")
    moment = "2026-01-01 00:00:00+00:00"
    with database.write() as tx:
        resource = (
            "INSERT INTO resources (id, tenant_id, identifier, canonical, name, owner, status, is_default, identity, "
            "status_list, created_at) VALUES ('res_1', 'ten_1', 'https://m', 'https://m', '', '', 'active', :no, "
            "'service_allowed', :no, :at)"
        )
        tx.execute(text(resource), {"no": False, "at": moment})
        scope = (
            "INSERT INTO scopes (resource_id, name, tenant_id, description, risk, is_default, tools) "
            "VALUES ('res_1', 'logs.read', 'ten_1', '', 'read', :no, '[]')"
        )
        tx.execute(text(scope), {"no": False})
        consent = (
            "INSERT INTO consents (tenant_id, user_id, client_id, resource_id, scopes, limited, redirect_uris, "
            "client_digest, remembered, created_at, updated_at) VALUES ('ten_1', 'usr_1', 'cli_1', 'res_1', "
            "'logs.read', '', '[]', '', :yes, :at, :at)"
        )
        tx.execute(text(consent), {"yes": True, "at": moment})
    migrate.upgrade(database)
    with database.read() as tx:
        stored = tx.get_one(Consent, ("ten_1", "usr_1", "cli_1", "res_1"))
        version = tx.get_one(Scope, ("res_1", "logs.read")).version
        scopes = {"logs.read": snapshot.Scope("logs.read", version=version)}
        resource = snapshot.Resource("res_1", "https://m", "https://m", "", scopes=scopes)
        assert (stored.versions, version) == ({}, snapshot.FIRST_VERSION)
        assert unchanged(stored.versions, resource, stored.scopes) == {"logs.read"}


def test_every_constraint_has_a_name(database):
    """What has no name cannot be changed by a migration on every engine."""
    migrate.upgrade(database)
    inspector = inspect(database.engine)
    for table in Base.metadata.tables:
        constraints = [
            *inspector.get_foreign_keys(table),
            *inspector.get_unique_constraints(table),
            *inspector.get_indexes(table),
        ]
        assert all(it["name"] for it in constraints), table


def test_two_upgrades_at_once(url):
    """Two nodes that start together: one works, the other waits and finds nothing to do."""
    databases = [Database(url) for _ in range(2)]
    barrier, results = threading.Barrier(2), []

    def upgrade(database):
        barrier.wait()
        try:
            results.append(migrate.upgrade(database)[1])
        except Exception as error:
            results.append(error)

    threads = [threading.Thread(target=upgrade, args=(it,)) for it in databases]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert results == [migrate.head()] * 2
    for database in databases:
        migrate.check(database)
        database.close()


def test_an_upgrade_takes_as_long_as_it_takes(url, engine):
    """What limits a request does not limit it: a second node waits for the first, whatever that one has to do."""
    database = Database(url)
    if engine == "sqlite":
        # It has no such limits; the writer that waits for another one is `test_two_upgrades_at_once`.
        assert migrate.upgrade(database)[1] == migrate.head()
        database.close()
        return
    limits = {"options": "-c statement_timeout=200 -c idle_in_transaction_session_timeout=200"}
    strict = create_engine(database.engine.url, connect_args=limits)
    database.engine.dispose()
    database.engine = strict
    other = create_engine(strict.url)
    released = threading.Event()

    def hold():
        with other.connect() as connection, connection.begin():
            connection.exec_driver_sql("SELECT pg_advisory_xact_lock(4720160909)")
            held.set()
            released.wait(1)

    held = threading.Event()
    holder = threading.Thread(target=hold)
    holder.start()
    assert held.wait(30)
    assert migrate.upgrade(database)[1] == migrate.head()
    holder.join(30)
    for it in (strict, other):
        it.dispose()


@pytest.fixture
def before_0020(database):
    migrate.upgrade(database, revision="0019")
    return database


def in_background(database):
    results = []

    def upgrade():
        try:
            results.append(migrate.upgrade(database))
        except Exception as error:
            results.append(error)

    thread = threading.Thread(target=upgrade, daemon=True)
    thread.start()
    return thread, results


def ask(database, statement):
    """As a request does that waits for nobody."""
    with database.engine.connect() as connection, connection.begin():
        connection.exec_driver_sql("SET LOCAL lock_timeout = '200ms'")
        found = connection.execute(text(statement))
        return found.first() if found.returns_rows else None


def wait_until(database, statement):
    until = time.monotonic() + 20
    while ask(database, statement) is None:
        assert time.monotonic() < until
        time.sleep(0.05)


@pytest.mark.only("postgresql")
def test_nobody_waits_behind_an_upgrade(before_0020):
    """docs/upgrade.md, D10: while a revision waits, or builds an index, requests are answered and people change.

    Nor does the upgrade wait for another one, which waits for it.
    """
    database = before_0020
    waits = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'CREATE INDEX CONC%'"
    with database.engine.connect() as busy, busy.begin():
        busy.exec_driver_sql("LOCK TABLE users IN ROW EXCLUSIVE MODE")
        thread, results = in_background(database)

        wait_until(database, waits)
        assert migrate.current(database) == "0020"
        second, results_of_second = in_background(database)
        ask(database, "SELECT audit_days FROM tenants")
        ask(database, "LOCK TABLE users IN ROW EXCLUSIVE MODE")
        ask(database, "LOCK TABLE audit_events IN ROW EXCLUSIVE MODE")
        second.join(0.3)
        assert not results
        assert not results_of_second
    thread.join(30)
    second.join(30)
    assert results == [("0019", migrate.head())]
    assert results_of_second == [("0020", migrate.head())]


@pytest.mark.only("postgresql")
def test_an_upgrade_that_failed_half_way_goes_on_where_it_was(before_0020, monkeypatch):
    database = before_0020
    for name, value in (("LOCK_SECONDS", 0.1), ("PAUSE_SECONDS", 0.05), ("ATTEMPTS", 3)):
        monkeypatch.setattr(upgrading, name, value)
    with database.engine.connect() as reader, reader.begin():
        reader.exec_driver_sql("SELECT 1 FROM scopes")
        with pytest.raises(Conflict, match="run `authz db upgrade` again"):
            migrate.upgrade(database)
        assert migrate.current(database) == "0023"
        monkeypatch.setattr(upgrading, "ATTEMPTS", 100)
        thread, results = in_background(database)
        thread.join(0.3)
        assert not results
    thread.join(60)
    assert results == [("0023", migrate.head())]


@pytest.mark.only("postgresql")
@pytest.mark.parametrize("patience", [0.3, 20], ids=["gives-up-first", "is-the-victim"])
def test_an_upgrade_that_was_in_a_deadlock_is_tried_again(before_0020, monkeypatch, patience):
    """0024 takes `scopes`, then `tenants`; requests that have the one and want the other are answered, not broken."""
    database = before_0020
    monkeypatch.setattr(upgrading, "LOCK_SECONDS", patience)
    waits = "SELECT 1 FROM pg_locks WHERE relation = 'tenants'::regclass AND NOT granted"
    with database.engine.connect() as request, request.begin():
        request.exec_driver_sql("SET LOCAL deadlock_timeout = '1min'")
        migrate.upgrade(database, revision="0023")
        request.exec_driver_sql("SELECT 1 FROM tenants")
        thread, results = in_background(database)
        wait_until(database, waits)
        request.exec_driver_sql("SELECT 1 FROM scopes")
    thread.join(60)
    assert results == [("0023", migrate.head())]


def test_every_row_belongs_to_a_tenant():
    """M1: except what is the installation's own."""
    without = {name for name, table in Base.metadata.tables.items() if "tenant_id" not in table.c}
    assert without == {"tenants", "leases", "audit_sinks"}


def test_no_column_has_room_for_a_token():
    """O21-15, V1: what proves something is kept as a digest, or sealed."""
    names = {
        f"{table.name}.{column.name}"
        for table in Base.metadata.tables.values()
        for column in table.c
    }
    suspicious = {
        name
        for name in names
        if any(word in name for word in ("token", "secret", "password", "private"))
        and not name.startswith(
            ("issued_tokens.", "token_families.", "initial_access_tokens.", "scim_tokens.")
        )
    }
    assert suspicious == {
        "clients.secrets",  # digests
        "departures.tokens",  # how many
        "signal_streams.poll_token",  # a reference
        "signal_streams.secret_digest",
        "signing_keys.private_key",  # sealed
        "tenants.token_secret",  # sealed
        "users.password_hash",
    }
