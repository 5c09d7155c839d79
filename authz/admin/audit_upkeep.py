"""What jobs do for the trail of every tenant: checkpoints, their timestamps, retention, partitions."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import structlog
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from authz.admin import audit, audit_holds, audit_removal
from authz.audit import record
from authz.audit.checkpoints import Checkpoint, Pace, due, newest_of
from authz.audit.cursors import ALERTS, CHECKPOINTS
from authz.audit.events import EventsRemoved
from authz.audit.timestamps import Authority, NoTimestamp
from authz.db import Database, partitions
from authz.db.models import AuditCheckpoint, Tenant
from authz.errors import Conflict
from authz.net import Network
from authz.oauth.configurations import Configurations
from authz.settings import AuditSettings

log = structlog.get_logger()


@dataclass(frozen=True)
class Upkeep:
    """One per turn of a job. Runs in a thread and blocks."""

    database: Database
    configurations: Configurations
    network: Network
    settings: AuditSettings

    def write_checkpoints(self, now: datetime) -> None:
        """Tie the heads of every tenant's strands, where one is due."""
        pace = Pace(self.settings.checkpoint_every, self.settings.checkpoint_events)
        with self.database.read() as tx:
            slugs = slugs_of(tx)
            waiting = [slugs[it] for it in due(tx, pace, now) if it in slugs]
        for slug in waiting:
            self.write_checkpoint(slug, now)

    def write_checkpoint(
        self, slug: str, now: datetime, *, removed: str | None = None
    ) -> Checkpoint | None:
        """Sign one now. None when there is nothing to say, or somebody else just did."""
        with self.database.read() as tx:
            found = self.configurations.find(tx, slug)
            if found is None:
                return None
            tenant = found.tenant
            point = audit.prepare_checkpoint(
                tx, tenant.id, issuer=tenant.issuer, now=now, removed=removed
            )
        if point is None:
            return None
        statement = audit.sign_checkpoint(found.keys, point, now)
        try:
            with self.database.write() as tx:
                audit.store_checkpoint(tx, tenant.id, point, statement, now)
        except Conflict:
            return None
        return point

    def remove(self, now: datetime) -> int:
        """Remove what every tenant keeps no longer; how many events were deleted."""
        with self.database.read() as tx:
            slugs = slugs_of(tx)
        for tenant_id, slug in slugs.items():
            self._name_removed(tenant_id, slug, now)
        if partitions.is_partitioned(self.database):
            partitions.drop_covered(self.database, now)
        return sum(audit_removal.purge(self.database, it) for it in slugs)

    def _name_removed(self, tenant_id: str, slug: str, now: datetime) -> None:
        """Sign what is to go, and count it as removed."""
        readers = [CHECKPOINTS, *self._readers(slug)]
        with self.database.read() as tx:
            found = self.configurations.find(tx, slug)
            planned = audit_removal.plan(tx, tenant_id, readers, now)
            if planned is None or found is None:
                return
            point = audit.prepare_checkpoint(
                tx, tenant_id, issuer=found.tenant.issuer, now=now, removed=planned.digest
            )
        if point is None:
            return
        statement = audit.sign_checkpoint(found.keys, point, now)
        event = EventsRemoved(
            actor="job",
            before=planned.before.isoformat(),
            events=planned.added,
            checkpoint=point.position,
        )
        with self.database.write() as tx:
            audit_holds.lock(tx, tenant_id, now)
            # Somebody may have placed one while this was signed.
            if set(audit_holds.active(tx, tenant_id, now)) - planned.held:
                return
            audit.store_checkpoint(tx, tenant_id, point, statement, now)
            audit_removal.store(tx, planned)
            record(tx, tenant_id, event, key=found.audit_key, now=now)

    def _readers(self, slug: str) -> list[str]:
        """Who has to have read an event of this tenant before it may go."""
        names = [it.name for it in self.settings.sink if not it.tenants or slug in it.tenants]
        return [*names, *([ALERTS] if self.settings.alert else [])]

    def make_partitions(self, now: datetime) -> list[str]:
        """Those of the months to come, where the trail is kept by month."""
        if not partitions.is_partitioned(self.database):
            until = partitions.refuses_from(self.database)
            if until is not None:
                log.error("audit.conversion_unfinished", refuses_from=until.isoformat())
            return []
        return partitions.make_ahead(self.database, now)

    def timestamp(self, now: datetime) -> None:
        """Have the last checkpoint of every tenant timestamped: those before are chained to it."""
        settings = self.settings
        if settings.timestamp_url is None or settings.timestamp_roots is None:
            return
        authority = Authority.of(settings.timestamp_url, settings.timestamp_roots)
        with self.database.read() as tx:
            waiting = [it for id_ in slugs_of(tx) if (it := self._untold(tx, id_, now)) is not None]
        for tenant_id, position, statement in waiting:
            try:
                answer = authority.timestamp(self.network, statement)
            except NoTimestamp as error:
                log.warning("audit.timestamp_failed", tenant=tenant_id, reason=error.reason)
                return  # the others would wait for the same authority
            with self.database.write() as tx:
                tx.execute(
                    update(AuditCheckpoint)
                    .where(
                        AuditCheckpoint.tenant_id == tenant_id,
                        AuditCheckpoint.position == position,
                    )
                    .values(timestamp=answer)
                )

    def _untold(self, tx: Session, tenant_id: str, now: datetime) -> tuple[str, int, str] | None:
        newest = newest_of(tx, tenant_id)
        if newest is None or newest.timestamp is not None:
            return None
        last = tx.scalar(
            select(AuditCheckpoint.at)
            .where(AuditCheckpoint.tenant_id == tenant_id, AuditCheckpoint.timestamp.is_not(None))
            .order_by(AuditCheckpoint.position.desc())
            .limit(1)
        )
        if last is not None and now < last + self.settings.timestamp_every:
            return None
        return tenant_id, newest.position, newest.statement


def slugs_of(tx: Session) -> Mapping[str, str]:
    """Of the tenants that are active, by id."""
    rows = tx.execute(select(Tenant.id, Tenant.slug).where(Tenant.status == "active"))
    return {row.id: row.slug for row in rows}
