"""Every check of an installation, in the order in which one depends on the other."""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial

from sqlalchemy import func, literal, select
from sqlalchemy.exc import SQLAlchemyError

from authz.admin.installation import BAD, GOOD, LOOK, Check
from authz.admin.keys import find_missing
from authz.db import migrate, partitions
from authz.db.models import Lease, Tenant
from authz.errors import AuthzError
from authz.installation import clocks, itself
from authz.installation.stored import check_stored
from authz.installation.weaknesses import NAME as SETTINGS
from authz.installation.weaknesses import find_weaknesses
from authz.keys import PURPOSES
from authz.services import Services

_JOBS_REST = timedelta(minutes=10)
_QUICK_JOB = "policy-versions"
"""Of the periodic work what runs most often."""


def examine(services: Services) -> Sequence[Check]:
    """All of them. Never raises for what it looks for."""
    checks = [*check_settings(services), *check_database(services)]
    if all(check.state != BAD for check in checks if check.name in ("Database", "Migrations")):
        checks += [*check_trail(services), *check_tenants(services), *check_stored(services)]
        checks += _jobs(services)
    issuer = services.settings.server.issuer
    checks += services.network.run_blocking(itself.reach(services.network, issuer, services.clock))
    return checks


def check_settings(services: Services) -> Iterator[Check]:
    """Mode, secrets and weaknesses."""
    settings = services.settings
    is_development = settings.server.development
    yield Check(
        "Mode",
        LOOK if is_development else GOOD,
        "development: http on loopback is allowed" if is_development else "production",
        "switch server.development off before others use it" if is_development else "",
    )
    for name, reference in settings.references():
        ask = partial(services.secrets.require, name, reference)
        yield _asked("Secrets", f"{name}: {reference} is there", ask)
    found = find_weaknesses(settings, services.secrets.resolve)
    yield from found or [Check(SETTINGS, GOOD, "nothing weak is set")]


def check_database(services: Services) -> Iterator[Check]:
    """That it answers, its schema, and its clock."""
    database = services.database
    shown = services.settings.redacted()["database"]["url"]
    began = services.clock()
    try:
        with database.read() as tx:
            if database.is_sqlite:
                tx.execute(select(literal(1)))
                told = None
            else:
                told = tx.execute(select(func.clock_timestamp())).scalar_one()
        answered = services.clock()
        found, wanted = migrate.current(database), migrate.head()
    except SQLAlchemyError as error:
        cause = str(getattr(error, "orig", None) or error).strip().splitlines()
        yield Check(
            "Database",
            BAD,
            f"{shown} does not answer: {cause[0] if cause else type(error).__name__}",
            "check database.url, and that the database runs and lets this machine in",
        )
        return
    took = (answered - began).total_seconds() * 1000
    yield Check("Database", GOOD, f"{shown} answers within {max(took, 0):.0f} ms")
    fits = migrate.is_fit(found, wanted)
    yield Check(
        "Migrations",
        GOOD if fits else BAD,
        migrate.misfit(found, wanted),
        "" if fits else migrate.way_out(found, wanted),
    )
    if told is not None:
        yield clocks.compare("the database's", _aware(told), began, answered)


def check_trail(services: Services) -> Iterator[Check]:
    """What an `authz db partition` that was killed leaves behind; nothing to tell otherwise."""
    until = partitions.refuses_from(services.database)
    if until is not None:
        yield Check(
            "Audit trail",
            BAD,
            f"an unfinished conversion lets no event in from {until:%Y-%m-%d} UTC on, so nothing will be served then",
            "run `authz db partition` again, to its end",
        )


def check_tenants(services: Services) -> Iterator[Check]:
    """Keys, and everything that is sealed."""
    now = services.clock()
    with services.database.read() as tx:
        tenants = tx.execute(select(Tenant.id, Tenant.slug).order_by(Tenant.slug)).all()
        if not tenants:
            yield Check("Keys", BAD, "there is no tenant yet", "run `authz db upgrade`")
        for tenant_id, slug in tenants:
            try:
                # Opens every sealed secret of the tenant.
                configuration = services.configurations.load(tx, tenant_id)
                missing = find_missing(tx, tenant_id)
                for purpose, algorithms in PURPOSES.items():
                    for algorithm in algorithms:
                        if (purpose, algorithm) not in missing:
                            configuration.keys.signer(purpose, algorithm, now)
            except AuthzError as error:
                yield Check("Keys", BAD, f"tenant {slug}: {error}", _KEYS_WAY_OUT)
                continue
            if missing:
                named = ", ".join(f"{algorithm} for {purpose}" for purpose, algorithm in missing)
                yield Check(
                    "Keys",
                    LOOK,
                    f"tenant {slug} has no key yet: {named}",
                    "`authz serve` makes them",
                )
            else:
                yield Check(
                    "Keys",
                    GOOD,
                    f"tenant {slug}: a key signs for every purpose, and its secrets open",
                )


_KEYS_WAY_OUT = (
    "check that keys.encryption_key names the key this installation was made with; `authz keys list` shows "
    "the rest"
)


def _jobs(services: Services) -> Iterator[Check]:
    now = services.clock()
    with services.database.read() as tx:
        until = tx.scalars(select(Lease.expires_at).where(Lease.name == _QUICK_JOB)).one_or_none()
    if until is None:
        yield Check(
            "Jobs", LOOK, "periodic work has not run yet", "start `authz serve`, and look again"
        )
        return
    rests = now - until
    is_late = rests > _JOBS_REST
    yield Check(
        "Jobs",
        LOOK if is_late else GOOD,
        f"periodic work was last due at {until:%Y-%m-%d %H:%M:%S} UTC",
        "no server process runs, or its log says `job.failed`" if is_late else "",
    )


def _asked(name: str, said: str, ask: Callable[[], object]) -> Check:
    try:
        ask()
    except AuthzError as error:
        return Check(name, BAD, str(error), "put the secret where the reference points to")
    return Check(name, GOOD, said)


def _aware(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
