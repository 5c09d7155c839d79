"""What whoever helps from outside needs to know of an installation, as a few JSON documents.

Decisions:
- Each document is gathered for itself. What fails says so in its place: a bundle is wanted most where something is
  down.
- No log and no row of a tenant is in it: settings by `installation.shown`, of keys what is public, of tenants their
  slugs, of tables how large they are.
- Every text goes through what blanks secrets in logs, and loses the user information of its URLs (ATK-66).
"""

import io
import json
import platform
import re
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib import metadata
from typing import Any

from sqlalchemy import func, inspect, literal, select, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from authz import __version__
from authz.admin import audit_sinks, keys
from authz.admin.rendering import as_json_value
from authz.audit import cursors
from authz.db import migrate
from authz.db.models import Base, Lease, Tenant
from authz.errors import AuthzError
from authz.installation.checks import examine
from authz.installation.shown import database_address, shown_settings
from authz.services import Services
from authz.settings import Settings
from authz.telemetry.logging import without_secrets

PACKAGE = "mcp-authz"
COUNTED = 100_000
"""Rows beyond that are not counted: a table of millions would take minutes."""
WITHIN = {
    "versions.json": "versions of the server, Python, the system, the packages and the database; extras; migrations",
    "settings.json": "settings in force: of secrets the references, of addresses the host, of free text that it is set",
    "doctor.json": "what `authz doctor` says",
    "tables.json": f"rows (counted up to {COUNTED:,}) and bytes of each table",
    "jobs.json": "periodic work: how often, who holds the lease until when (then it is due again), the last turn",
    "audit.json": "sinks and other readers of the audit trail, and how many events they are behind",
    "keys.json": "signing keys by tenant: id, purpose, algorithm, state, moments, where they are kept",
}
WITHOUT = (
    "secrets and what is sealed; the log; people, clients, MCP servers, policy; events of the audit trail; names of "
    "tenants (their slugs are in it, and ids of clients and slugs of connections where `authz doctor` names them)"
)
_REQUIREMENT = re.compile(r"([\w.-]+)[^;]*(?:;.*extra == ['\"]([\w-]+)['\"])?")
_USER_IN_URL = re.compile(r"(?<=://)[^/?#\s@]*@")


@dataclass(frozen=True)
class Installation:
    """What is known of it."""

    settings: Settings
    services: Services | None
    problem: str
    """Why there are no services: a secret is missing, say."""
    now: datetime
    turns: Mapping[str, timedelta]
    """Jobs, and how often each has its turn."""


def gather(it: Installation) -> Mapping[str, Any]:
    """Every document of `WITHIN`, as JSON values."""
    parts: dict[str, Callable[[Services], Any]] = {
        "tables.json": lambda services: list(_tables(services)),
        "jobs.json": lambda services: list(_jobs(services, it.turns)),
        "audit.json": _readers,
        "keys.json": _keys,
    }
    database = _tried(it, _database)
    found: dict[str, Any] = {
        "versions.json": {**_versions(it.settings), "made_at": it.now, "database": database},
        "settings.json": shown_settings(it.settings),
        "doctor.json": _tried(it, examine),
    }
    # A database that is down is not waited for again and again.
    is_down = "missing" in database
    found |= {name: database if is_down else _tried(it, part) for name, part in parts.items()}
    return {name: _plain(as_json_value(found[name])) for name in WITHIN}


def pack(documents: Mapping[str, Any]) -> bytes:
    """The file."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("README.txt", _readme())
        for name, document in documents.items():
            file.writestr(name, json.dumps(document, indent=1, ensure_ascii=False) + "\n")
    return buffer.getvalue()


def _readme() -> str:
    lines = ["A support bundle of authz. In it:", ""]
    lines += [f"  {name.ljust(14)} {said}" for name, said in WITHIN.items()]
    lines += ["", f"Not in it: {WITHOUT}.", ""]
    lines += ["Hosts, paths and names of secrets are in it: read it before you give it away.", ""]
    return "\n".join(lines)


def _tried(it: Installation, part: Callable[[Services], Any]) -> Any:
    if it.services is None:
        return {"missing": it.problem}
    try:
        return part(it.services)
    except (AuthzError, SQLAlchemyError, OSError) as error:
        # The text of a database's error has the statement, with values of rows.
        said = str(error) if isinstance(error, AuthzError) else type(error).__name__
        return {"missing": said}


def _plain(value: Any) -> Any:
    match value:
        case str():
            return _USER_IN_URL.sub("", without_secrets(value))
        case list():
            return [_plain(it) for it in value]
        case dict():
            return {name: _plain(it) for name, it in value.items()}
    return value


def _versions(settings: Settings) -> dict[str, Any]:
    packages: dict[str, str | None] = {}
    extras: dict[str, bool] = {}
    for requirement in _requirements():
        named = _REQUIREMENT.match(requirement)
        if named is None:
            continue
        name, extra = named.groups()
        packages[name] = _version_of(name)
        if extra is not None:
            extras[extra] = extras.get(extra, True) and packages[name] is not None
    return {
        "authz": __version__,
        "issuer": settings.server.issuer,
        "python": platform.python_version(),
        "system": platform.platform(),
        "packages": packages,
        "extras": extras,
    }


def _requirements() -> list[str]:
    """None where the server runs out of a folder of its source."""
    try:
        return metadata.requires(PACKAGE) or []
    except metadata.PackageNotFoundError:
        return []


def _version_of(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _database(services: Services) -> Mapping[str, Any]:
    database = services.database
    version = (
        func.sqlite_version() if database.is_sqlite else func.current_setting("server_version")
    )
    with database.read() as tx:
        told = tx.execute(select(version)).scalar_one()
    found, wanted = migrate.current(database), migrate.head()
    return {
        "engine": "sqlite" if database.is_sqlite else "postgresql",
        "version": told,
        "address": database_address(services.settings),
        "revision": found,
        "expected": wanted,
        "fits": migrate.is_fit(found, wanted),
    }


def _tables(services: Services) -> Iterator[Mapping[str, Any]]:
    database = services.database
    with database.read() as tx:
        there = set(inspect(tx.connection()).get_table_names())
        for table in sorted(Base.metadata.tables.values(), key=lambda it: it.name):
            if table.name not in there:
                yield {"table": table.name, "rows": None, "missing": "no such table"}
                continue
            some = select(literal(1)).select_from(table).limit(COUNTED + 1).subquery()
            rows = tx.execute(select(func.count()).select_from(some)).scalar_one()
            counted = {"table": table.name, "rows": min(rows, COUNTED), "more": rows > COUNTED}
            # SQLite only knows how large all of them are together.
            yield counted if database.is_sqlite else {**counted, "bytes": _size(tx, table.name)}
        if database.is_sqlite:
            pages = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size"
            yield {"table": None, "bytes": tx.execute(text(pages)).scalar_one()}


def _size(tx: Session, table: str) -> int:
    """With its indexes and its partitions."""
    query = text(
        "SELECT coalesce(sum(pg_total_relation_size(oid)), 0)::bigint FROM pg_class WHERE oid = to_regclass(:name) "
        "OR oid IN (SELECT inhrelid FROM pg_inherits WHERE inhparent = to_regclass(:name))"
    )
    return int(tx.execute(query, {"name": table}).scalar_one())


def _jobs(services: Services, turns: Mapping[str, timedelta]) -> Iterator[Mapping[str, Any]]:
    with services.database.read() as tx:
        leases = {it.name: it for it in tx.scalars(select(Lease))}
    for name in sorted({*turns, *leases}):
        lease, every = leases.get(name), turns.get(name)
        until = None if lease is None else lease.expires_at
        yield {
            "job": name,
            "every_seconds": None if every is None else every.total_seconds(),
            "holder": None if lease is None else lease.holder,
            "lease_ends": until,
            "last_turn": None if until is None or every is None else until - every,
        }


def _readers(services: Services) -> Mapping[str, Any]:
    with services.database.read() as tx:
        sinks = audit_sinks.list_(tx, services.settings.audit)
        others = {
            name: sum(cursors.lag(tx, name).values())
            for name in (cursors.ALERTS, cursors.CHECKPOINTS)
        }
    # Where a sink is can be a credential, as with the webhooks of chats.
    shown = [{name: value for name, value in vars(it).items() if name != "to"} for it in sinks]
    return {"sinks": shown, "events_behind": others}


def _keys(services: Services) -> Mapping[str, Any]:
    now = services.clock()
    with services.database.read() as tx:
        tenants = tx.execute(select(Tenant.id, Tenant.slug, Tenant.status).order_by(Tenant.slug))
        return {
            slug: {
                "tenant": tenant_id,
                "status": status,
                "keys": [
                    {name: value for name, value in vars(it).items() if name != "reference"}
                    for it in keys.list_(tx, tenant_id, now)
                ],
            }
            for tenant_id, slug, status in tenants.all()
        }
