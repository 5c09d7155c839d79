"""How the installation itself stands: database, migrations, address. Of a tenant: `admin.readiness` (pure)."""

from collections.abc import Sequence
from dataclasses import dataclass

from authz.db import migrate

GOOD, LOOK, BAD = "good", "look", "bad"


@dataclass(frozen=True)
class Check:
    """One question, its answer, and what to do about it."""

    name: str
    state: str
    said: str
    do: str = ""


def judge(
    *, engine: str, revision: str | None, expected: str, issuer: str, development: bool
) -> Sequence[Check]:
    """Of the database and the settings."""
    fits, is_https = migrate.is_fit(revision, expected), issuer.startswith("https://")
    is_shared = engine == "postgresql"
    return [
        Check(
            "Database",
            GOOD if is_shared else LOOK,
            f"it answers: {engine}",
            "" if is_shared else "SQLite is for one machine; use PostgreSQL for more",
        ),
        Check(
            "Migrations",
            GOOD if fits else BAD,
            f"the database is at {revision or 'nothing'}, this version expects {expected}",
            "" if fits else migrate.way_out(revision, expected),
        ),
        Check(
            "Address",
            GOOD if is_https else LOOK,
            f"people and clients reach it at {issuer}",
            "" if is_https else "anything but this machine needs https",
        ),
        Check(
            "Mode",
            LOOK if development else GOOD,
            "development" if development else "production",
            "switch server.development off before others use it" if development else "",
        ),
    ]
