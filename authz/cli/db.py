"""`authz db`: bring the database to what this version needs, or check that it is there."""

from authz.admin import keys, tenants
from authz.cli.run import Result, Run, command, group
from authz.db import migrate, partitions
from authz.tenants import DEFAULT_SLUG

app = group("Upgrade or check the database.")


@command(app, "upgrade", tenant=False)
def upgrade(run: Run) -> Result:
    """Bring the tables to this version, and make the default tenant if there is no tenant at all."""
    before, after = migrate.upgrade(run.services.database, watch=run.watch)
    created = create_default_tenant(run)
    add_missing_keys(run)
    done = (
        f"The database is at revision {after} already."
        if before == after
        else f"Upgraded the database from revision {before or 'none (empty)'} to {after}."
    )
    if created:
        done += (
            f"\nCreated the tenant {DEFAULT_SLUG!r} with its signing keys; issuer {run.settings.server.issuer}"
            "\nNext: authz resources add URL, authz roles import FILE, authz users add LOGIN, authz serve"
        )
    return Result({"before": before, "after": after, "created_default_tenant": created}, done)


@command(app, "check", tenant=False)
def check(run: Run) -> Result:
    """Whether the database is at the revision that this version needs (exit code 3 when not)."""
    database, wanted = run.services.database, migrate.head()
    migrate.check(database)
    revision = migrate.current(database)
    said = f"The database is at revision {revision}, "
    said += (
        f"ahead of {wanted}: good enough." if migrate.is_ahead(revision, wanted) else "as needed."
    )
    return Result({"revision": revision}, said)


@command(app, "partition", tenant=False)
def partition(run: Run) -> Result:
    """Keep the audit trail by month (PostgreSQL): quick when it is empty, and online when it is not."""
    database, now = run.services.database, run.services.clock()
    done = partitions.convert(database, now)
    made = partitions.make_ahead(database, now) if partitions.is_partitioned(database) else []
    if database.is_sqlite:
        return Result({"partitioned": False}, "SQLite has no partitions; nothing to do.")
    told = "The audit trail is kept by month now." if done else "It is kept by month already."
    return Result({"partitioned": True, "changed": done, "made": made}, told)


def create_default_tenant(run: Run) -> bool:
    """Make the tenant at the base URL when there is no tenant; answers whether it did."""
    with run.services.database.read() as tx:
        if tenants.exist(tx):
            return False
    first = keys.generate_first(run.services.custody)
    with run.services.database.write() as tx:
        if tenants.exist(tx):  # another node was quicker
            return False
        tenants.create(
            tx,
            run.operator,
            slug=DEFAULT_SLUG,
            name="Default",
            client_trust=tenants.default_trust(development=run.settings.server.development),
            keys=first,
        )
    return True


def add_missing_keys(run: Run) -> list[str]:
    """Give every tenant the keys that this version uses and an earlier one did not know; answers a line for each."""
    notes = []
    with run.services.database.read() as tx:
        missing = {
            line.id: (line.slug, keys.find_missing(tx, line.id))
            for line in tenants.list_(tx, run.settings.server.issuer)
        }
    for tenant_id, (slug, pairs) in missing.items():
        made = [
            keys.generate_one(purpose, algorithm, run.services.custody)
            for purpose, algorithm in pairs
        ]
        if not made:
            continue
        with run.services.database.write() as tx:
            added = keys.add_missing(tx, run.operator, tenant_id, made)
        notes += [f"Made a {it.algorithm} key for {it.purpose} of tenant {slug!r}." for it in added]
    return notes
