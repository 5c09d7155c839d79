"""Reading the trail for alerts: a reader like any sink, whose findings are events of the trail.

An alert is recorded together with the place up to which was read, so there is one for a burst whatever process ends
when; and sinks tell it like any event: in order, signed, again until it is taken.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from authz import audit
from authz.admin.audit_upkeep import slugs_of
from authz.audit import cursors
from authz.audit.alerts import TOOL_DENIED, Burst, Seen, concerned, count
from authz.audit.cursors import ALERTS, Behind
from authz.audit.delivery import LEASE, LONGEST_TURN, begin
from authz.audit.events import AlertRaised, OutcomesReported
from authz.audit.formats.told import Told
from authz.audit.reading import Stored, read_page
from authz.clock import Clock
from authz.db import Database
from authz.db.leases import acquire, extend
from authz.db.models import AgentClient, AuditBurst, Resource, ToolOutcome
from authz.oauth.configurations import Configurations
from authz.oauth.outcomes.batches import batch_row_id
from authz.settings import AlertRule
from authz.telemetry.metrics import AUDIT_ALERTS

log = structlog.get_logger()


@dataclass(frozen=True)
class AlertReader:
    """One in each process; whoever has the lease reads."""

    rules: Sequence[AlertRule]
    database: Database
    configurations: Configurations
    clock: Clock
    holder: str

    def turn(self) -> int:
        """Read what is new; how many alerts were raised. Blocks."""
        now = self.clock()
        with self.database.write() as tx:
            if not acquire(tx, ALERTS, holder=self.holder, until=now + LEASE, now=now):
                return 0
            # What happened before anybody asked for alerts is none.
            begin(tx, ALERTS, from_start=False, now=now)
            slugs = slugs_of(tx)
        try:
            return self._read(slugs, now + LONGEST_TURN)
        finally:
            with self.database.write() as tx:
                extend(tx, ALERTS, holder=self.holder, until=self.clock())

    def _read(self, slugs: Mapping[str, str], until: datetime) -> int:
        """Until every strand was read to where it went when it was looked at, or the turn is over.

        A flood is what somebody waits to be told of; but while grants are issued something always waits, and a page of
        ten events costs what one of a thousand does.
        """
        raised, is_more = 0, True
        while is_more:
            reached = self.clock()
            with self.database.read() as tx:
                waiting = list(self._waiting(tx, slugs))
            is_more = False
            for it, key in waiting:
                count, upto = self._read_strand(it, key)
                raised += count
                reached = min(reached, upto or reached)
                is_more = is_more or upto is not None
                if self.clock() >= until:
                    return raised
            self._forget(reached)
        return raised

    def _waiting(self, tx: Session, slugs: Mapping[str, str]) -> Iterator[tuple[Behind, bytes]]:
        for it in cursors.behind(tx, ALERTS, tenants=slugs):
            configuration = self.configurations.find(tx, slugs[it.tenant_id])
            if configuration is not None:
                yield it, configuration.audit_key

    def _read_strand(self, it: Behind, key: bytes) -> tuple[int, datetime | None]:
        """A page; how many alerts were raised, and the moment up to which was read if there is more."""
        with self.database.read() as tx:
            page = read_page(tx, it.tenant_id, it.strand, after=it.position, upto=it.last)
            seen = [found for event in page for found in _seen(tx, event)]
        position = page[-1].position if page else it.last
        with self.database.write() as tx:
            if not cursors.move(tx, ALERTS, it, position):
                return 0, page[0].at if page else None
            alerts = list(self._counted(tx, it.tenant_id, seen))
            if alerts:
                audit.record(tx, it.tenant_id, *alerts, key=key, now=self.clock())
        for alert in alerts:
            AUDIT_ALERTS.labels(alert.rule).inc()
            log.warning(
                "audit.alert",
                tenant=it.tenant_id,
                rule=alert.rule,
                of=alert.of,
                count=alert.count,
                reason=alert.reason,
            )
        return len(alerts), page[-1].at if position < it.last else None

    def _counted(self, tx: Session, tenant_id: str, seen: Iterable[Seen]) -> Iterable[AlertRaised]:
        for found in seen:
            for rule, who, key in concerned(self.rules, found):
                row = tx.get(AuditBurst, (tenant_id, rule.name, key))
                before = Burst()
                if row is not None:
                    before = Burst(tuple(map(datetime.fromisoformat, row.moments)), row.is_raised)
                burst, is_new = count(rule, before, found.at)
                values = {
                    "moments": [it.isoformat() for it in burst.moments],
                    "last_at": burst.moments[-1],
                    "is_raised": burst.is_raised,
                }
                if row is None:
                    tx.add(AuditBurst(tenant_id=tenant_id, rule=rule.name, who=key, **values))
                    tx.flush()
                else:
                    for name, value in values.items():
                        setattr(row, name, value)
                if is_new:
                    yield _alert(rule, who, burst, found)

    def _forget(self, reached: datetime) -> None:
        """What was counted of bursts that are over: nothing that is read from now on is from before `reached`."""
        with self.database.write() as tx:
            for rule in self.rules:
                over = AuditBurst.last_at < reached - 2 * rule.within
                tx.execute(delete(AuditBurst).where(AuditBurst.rule == rule.name, over))


def _alert(rule: AlertRule, who: str, burst: Burst, found: Seen) -> AlertRaised:
    return AlertRaised(
        rule=rule.name,
        per=rule.per,
        of=who,
        count=rule.count,
        within=int(rule.within.total_seconds()),
        first_at=burst.moments[0].isoformat(),
        last_at=burst.moments[-1].isoformat(),
        of_kind=found.kind,
        reason=found.reason,
        resource=found.resource,
        subject=found.subject,
        client=found.client,
        agent=found.agent,
    )


def _seen(tx: Session, event: Stored) -> list[Seen]:
    told = Told(event)
    body, detail = told.body, told.detail
    seen = [
        Seen(
            kind=event.kind,
            at=event.at,
            reason=_text(detail.get("reason")),
            subject=_text(body.get("subject")),
            client=_text(body.get("client")),
            agent=_text(body.get("agent")),
            resource=_text(detail.get("resource")),
        )
    ]
    if event.kind == OutcomesReported.kind and detail.get("denied"):
        seen += _denied(tx, event.tenant_id, _text(body.get("client")), _text(detail.get("batch")))
    return seen


def _text(value: object) -> str | None:
    """Of an event somebody wrote over only what can be written again: the reader would stop at it for ever."""
    return value if isinstance(value, str) and "\x00" not in value else None


def _denied(tx: Session, tenant_id: str, client: str | None, name: str | None) -> list[Seen]:
    """The calls of a reported batch that its MCP server denied, if their token is on record."""
    if client is None or name is None:
        return []
    batch = batch_row_id(tenant_id, client, name)
    rows = tx.execute(
        select(ToolOutcome, Resource.identifier, AgentClient.agent_id)
        .outerjoin(Resource, Resource.id == ToolOutcome.resource_id)
        .outerjoin(
            AgentClient,
            (AgentClient.tenant_id == ToolOutcome.tenant_id)
            & (AgentClient.client_id == ToolOutcome.client_id),
        )
        .where(
            ToolOutcome.batch_id == batch,
            ToolOutcome.outcome == "denied",
            ToolOutcome.verified.is_(True),
        )
        .order_by(ToolOutcome.position)
    )
    return [
        Seen(TOOL_DENIED, row.at, row.reason, row.subject, row.client_id, agent, resource)
        for row, resource, agent in rows
    ]
