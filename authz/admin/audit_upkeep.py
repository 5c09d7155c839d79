"""What jobs do for the trail of every tenant: checkpoints and their timestamps."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import structlog
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from authz.admin import audit
from authz.audit.checkpoints import Checkpoint, Pace, due, newest_of
from authz.audit.timestamps import Authority, NoTimestamp
from authz.db import Database
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
