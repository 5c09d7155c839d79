"""See scripts/seed."""

import sys
import time
from collections.abc import Sequence

from sqlalchemy import select

from authz.admin.operator import Operator, load_tenant
from authz.clock import system_clock
from authz.db import migrate
from authz.db.models import Group, Role, Tenant
from authz.db.versions import bump
from authz.errors import AuthzError, Conflict
from authz.services import open_services
from authz.settings import load
from scripts.bench_parts.bulk import bulk
from scripts.seed_parts import company, grants, people, sizes, trail
from scripts.seed_parts.sizes import Wish


def seed(wish: Wish) -> None:
    """Fill the tenant. Raises AuthzError for an installation that is not set up, or was filled before."""
    with (
        open_services(load(wish.config)) as services,
        bulk(str(services.settings.database.url)) as target,
    ):
        migrate.check(services.database)
        operator = Operator.local("seed", system_clock(), services.envelope)
        with services.database.read() as tx:
            tenant_id = load_tenant(tx, wish.tenant).id
            if tx.scalars(select(Group.id).where(Group.tenant_id == tenant_id)).first():
                raise Conflict("there are groups here: it was filled already, or somebody uses it")
        size = wish.sizes
        made = company.found(services, operator, tenant_id, target, size.servers, size.mappings)
        with services.database.read() as tx:
            keepers = list(
                tx.scalars(
                    select(Role.id).where(
                        Role.tenant_id == tenant_id, Role.name.startswith("keeper-")
                    )
                )
            )
            version = tx.get_one(Tenant, tenant_id).config_version
        folk = people.add(target, tenant_id, made, keepers, size.users, operator.now)
        chosen = grants.choose(made, folk, size.grants, operator.now)
        grants.add(target, tenant_id, version, chosen, operator.now)
        trail.add(services, operator, tenant_id, target, made, folk, chosen, size.events)
        with services.database.write() as tx:
            bump(tx, tenant_id)
        target.finish()


def main(words: Sequence[str] | None = None) -> int:
    """0, or 1 with a sentence."""
    wish = sizes.read(words)
    start = time.monotonic()
    try:
        seed(wish)
    except AuthzError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    print(f"Seeded {wish.tenant!r} with {wish.sizes} in {time.monotonic() - start:.0f} s.")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
