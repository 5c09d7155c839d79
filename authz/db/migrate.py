"""Migrations from code: for the command line, the start-up check and the tests. There is no alembic.ini."""

from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from authz import data_dir
from authz.db.engine import Database
from authz.errors import ConfigurationError


def _config(connection: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(data_dir("alembic")).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def head() -> str:
    """The revision this version of the code expects."""
    revision = ScriptDirectory.from_config(_config()).get_current_head()
    if revision is None:
        raise ConfigurationError(f"no migrations in {data_dir('alembic')}")
    return revision


def current(database: Database) -> str | None:
    """The revision the database is at; None when it is empty."""
    with database.engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def upgrade(database: Database) -> tuple[str | None, str]:
    """Bring the database to `head()`; answers the revision before and after."""
    before = current(database)
    options: dict[str, Any] = {"authz_begin": "IMMEDIATE"} if database.is_sqlite else {}
    with database.engine.connect().execution_options(**options) as connection, connection.begin():
        if not database.is_sqlite:
            # Two nodes that start at once: the second waits, then finds nothing to do.
            connection.exec_driver_sql("SELECT pg_advisory_xact_lock(4720160909)")
        command.upgrade(_config(connection), "head")
    return before, head()


def check(database: Database) -> None:
    """Raise ConfigurationError when the database is not at the revision this code expects."""
    found, wanted = current(database), head()
    if found != wanted:
        raise ConfigurationError(
            f"the database is at revision {found or 'none (empty)'}, this version needs {wanted}; "
            "run `authz db upgrade`"
        )
