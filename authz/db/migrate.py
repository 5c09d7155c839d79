"""Migrations from code: for the command line, the start-up check and the tests. There is no alembic.ini.

Alembic is imported where something is upgraded. A server that starts only compares two names, and does not pay 0.2
seconds and 10 MB for a library it will not call.
"""

from typing import Any

from sqlalchemy import Connection, inspect, text

from authz import data_dir
from authz.db.engine import Database
from authz.errors import ConfigurationError
from authz.progress import UNWATCHED, Watch

_TABLE = "alembic_version"


def head() -> str:
    """The revision this version of the code expects: revisions are numbered, and each file begins with its number."""
    files = (data_dir("alembic") / "versions").glob("[0-9]*_*.py")
    revisions = [file.name.partition("_")[0] for file in files]
    if not revisions:
        raise ConfigurationError(f"no migrations in {data_dir('alembic')}")
    return max(revisions)


def current(database: Database) -> str | None:
    """The revision the database is at; None when it is empty."""
    with database.engine.connect() as connection:
        if not inspect(connection).has_table(_TABLE):
            return None
        revision: str | None = connection.scalar(text(f"SELECT version_num FROM {_TABLE}"))  # noqa: S608
        return revision


def upgrade(database: Database, *, watch: Watch = UNWATCHED) -> tuple[str | None, str]:
    """Bring the database to `head()`; answers the revision before and after."""
    from alembic import command

    before = current(database)
    options: dict[str, Any] = {"authz_begin": "IMMEDIATE"} if database.is_sqlite else {}
    with database.engine.connect().execution_options(**options) as connection, connection.begin():
        if not database.is_sqlite:
            # The time limits of requests: an index over millions of rows takes longer, and so does waiting for it.
            connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
            connection.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = 0")
            # Two nodes that start at once: the second waits, then finds nothing to do.
            connection.exec_driver_sql("SELECT pg_advisory_xact_lock(4720160909)")
        command.upgrade(_config(connection, watch), "head")
    return before, head()


def _config(connection: Connection, watch: Watch) -> Any:
    from alembic.config import Config

    def applied(**named: Any) -> None:
        watch.at(f"revision {named['step'].up_revision_id} of {head()} is there")

    config = Config()
    config.set_main_option("script_location", str(data_dir("alembic")).replace("%", "%%"))
    config.attributes["connection"] = connection
    config.attributes["applied"] = applied
    return config


def check(database: Database) -> None:
    """Raise ConfigurationError when the database is not at the revision this code expects."""
    found, wanted = current(database), head()
    if found != wanted:
        raise ConfigurationError(
            f"the database is at revision {found or 'none (empty)'}, this version needs {wanted}; "
            "run `authz db upgrade`"
        )
