"""Migrations from code: for the command line, the start-up check and the tests. There is no alembic.ini.

A revision is a number, `0031`. Migrations expand before they contract, so a version works on tables that are ahead of
it: it may start while the next version is rolled out, and may be gone back to. A migration that takes something away
says in its name which versions still work, `0031.0029`: those that expect 0029 or later. All after it say so too.

On PostgreSQL each revision is a transaction of its own (`db.upgrading`), on SQLite all are one.

Alembic is imported where something is upgraded. A server that starts only compares two names, and does not pay 0.2
seconds and 10 MB for a library it will not call.
"""

import re
from functools import partial
from typing import Any

from sqlalchemy import Connection, inspect, text

from authz import data_dir
from authz.db import upgrading
from authz.db.engine import Database
from authz.errors import ConfigurationError
from authz.progress import UNWATCHED, Watch

_TABLE = "alembic_version"
_REVISION = re.compile(r"(\d{4})(?:\.(\d{4}))?")


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


def upgrade(
    database: Database, *, watch: Watch = UNWATCHED, revision: str = "head"
) -> tuple[str | None, str]:
    """Bring the database to `head()`, unless it is ahead of that; answers the revision before and after.

    Raises Conflict when somebody keeps a lock that a revision needs; those before it stay.
    """
    before = current(database)
    if is_ahead(before, head()):
        # Alembic would not know it. What this version needs is there, or `check` says that it is not.
        check(database)
        return before, str(before)
    if before == head():
        return before, before
    if database.is_sqlite:
        options: dict[str, Any] = {"authz_begin": "IMMEDIATE"}
        with (
            database.engine.connect().execution_options(**options) as connection,
            connection.begin(),
        ):
            _run(connection, watch, revision)
    else:
        with upgrading.alone(database), upgrading.unhurried(database) as connection:
            upgrading.run(connection, partial(_run, connection, watch, revision), watch)
    return before, str(current(database))


def _run(connection: Connection, watch: Watch, revision: str) -> None:
    from alembic import command

    command.upgrade(_config(connection, watch), revision)


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
    """Raise ConfigurationError when this code cannot work on the database as it is."""
    found, wanted = current(database), head()
    if not is_fit(found, wanted):
        raise ConfigurationError(f"{misfit(found, wanted)}; {way_out(found, wanted)}")


def is_fit(found: str | None, wanted: str) -> bool:
    """Whether code that expects the revision `wanted` works on tables that are at `found`. Pure."""
    there, here = _REVISION.fullmatch(found or ""), _REVISION.fullmatch(wanted)
    if there is None or here is None:
        return False
    return there[1] >= here[1] >= (there[2] or "")


def is_ahead(found: str | None, wanted: str) -> bool:
    """Whether a later version than this one has upgraded the database. Pure."""
    return found is not None and found[:4] > wanted[:4]


def is_behind(database: Database) -> bool:
    """Whether there is something to upgrade."""
    found = current(database)
    return found != head() and not is_ahead(found, head())


def misfit(found: str | None, wanted: str) -> str:
    """What is, and what should be."""
    return f"the database is at revision {found or 'none (empty)'}, this version needs {wanted}"


def way_out(found: str | None, wanted: str) -> str:
    """What to do about it."""
    if is_ahead(found, wanted):
        return (
            "a later version has upgraded it and took away what this one needs: start that version"
        )
    return "run `authz db upgrade`"
