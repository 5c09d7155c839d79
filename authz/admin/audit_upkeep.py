"""What jobs do for the trail of every tenant: checkpoints, their timestamps, retention, partitions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from authz.admin import audit_checkpoints, audit_holds, audit_removal
from authz.admin.audit_checkpoints import Written
from authz.admin.turns import Turn
from authz.audit import record
from authz.audit.checkpoints import Pace, due, newest_of, next_checkpoint
from authz.audit.cursors import ALERTS, CHECKPOINTS
from authz.audit.events import EventsRemoved
from authz.audit.timestamps import Authority, NoTimestamp
from authz.db import Database, partitions
from authz.db.models import AuditCheckpoint, Tenant
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
            waiting = [it for it in due(tx, pace, now) if it in slugs]
        turn = Turn()
        for tenant_id in waiting:
            with turn.of(slugs[tenant_id]):
                self.write_checkpoint(slugs[tenant_id], now)
        turn.end()

    def write_checkpoint(self, slug: str, now: datetime) -> Sequence[Written]:
        """Sign now what there is to sign. Raises Conflict when somebody else does."""
        with self.database.read() as tx:
            found = self.configurations.find(tx, slug)
        if found is None:
            return []
        tenant = found.tenant
        written = audit_checkpoints.write(
            self.database, found.keys, tenant.id, issuer=tenant.issuer, now=now
        )
        return list(written)

    def remove(self, now: datetime) -> int:
        """Remove what every tenant keeps no longer; how many events were deleted."""
        with self.database.read() as tx:
            slugs = slugs_of(tx)
        turn, count = Turn(), 0
        for tenant_id, slug in slugs.items():
            with turn.of(slug):
                self._name_removed(tenant_id, slug, now)
        if partitions.is_partitioned(self.database):
            partitions.drop_covered(self.database, now)
        for tenant_id, slug in slugs.items():
            with turn.of(slug):
                count += audit_removal.purge(self.database, tenant_id)
        turn.end()
        return count

    def _name_removed(self, tenant_id: str, slug: str, now: datetime) -> None:
        """Sign what is to go, and count it as removed."""
        readers = [CHECKPOINTS, *self._readers(slug)]
        with self.database.read() as tx:
            found = self.configurations.find(tx, slug)
            planned = audit_removal.plan(tx, tenant_id, readers, now)
            if planned is None or found is None:
                return
            point = next_checkpoint(
                tx, tenant_id, issuer=found.tenant.issuer, now=now, removed=planned.digest
            )
        if point is None:
            return
        statement = audit_checkpoints.sign(found.keys, point, now)
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
            audit_checkpoints.store(tx, tenant_id, point, statement, now)
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
    active = select(Tenant.id, Tenant.slug).where(Tenant.status == "active")
    rows = tx.execute(active.order_by(Tenant.id))
    return {row.id: row.slug for row in rows}
