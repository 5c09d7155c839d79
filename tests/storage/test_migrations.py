"""Migrations: from nothing to head, models equal to head, and two that start at once."""

import threading

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import inspect, text

from authz.db import Database, migrate
from authz.db.models import Base
from authz.errors import ConfigurationError
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


def test_another_revision_is_refused_by_name(database):
    migrate.upgrade(database)
    with database.write() as tx:
        tx.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(ConfigurationError, match="revision 9999"):
        migrate.check(database)


def test_the_models_are_what_the_migrations_make(database):
    """A forgotten migration is a difference here."""
    migrate.upgrade(database)
    with database.engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "compare_server_default": True}
        )
        assert compare_metadata(context, Base.metadata) == []


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


def test_every_row_belongs_to_a_tenant():
    """M1: except what is the installation's own."""
    without = {name for name, table in Base.metadata.tables.items() if "tenant_id" not in table.c}
    assert without == {"tenants", "leases"}


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
