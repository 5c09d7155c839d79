"""The streams of security events that a tenant receives, as values."""

from dataclasses import dataclass, fields
from datetime import datetime, timedelta

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from authz.db.models import Connection, SignalStream, Tenant
from authz.federation.set_verification import Transmitter

ACTIVE = "active"
PUSH, POLL = "push", "poll"
_NOTED_EVERY = timedelta(minutes=1)


@dataclass(frozen=True)
class Stream:
    """One transmitter that may tell this tenant about the people of one connection."""

    id: str
    tenant_id: str
    slug: str
    connection_id: str
    issuer: str
    jwks_uri: str
    audience: str
    delivery: str
    secret_digest: str | None
    poll_url: str | None
    poll_token: str | None
    status: str

    def __repr__(self) -> str:
        return f"Stream({self.slug!r})"

    @property
    def transmitter(self) -> Transmitter:
        """Whose tokens it takes."""
        return Transmitter(self.id, self.issuer, self.audience)


_COLUMNS = [getattr(SignalStream, it.name) for it in fields(Stream)]


def find(tx: Session, tenant_id: str, slug: str) -> Stream | None:
    """By its name, whatever its status."""
    row = tx.execute(
        select(*_COLUMNS).where(SignalStream.tenant_id == tenant_id, SignalStream.slug == slug)
    ).one_or_none()
    return None if row is None else Stream(*row)


def load_many(tx: Session, ids: set[str]) -> dict[str, Stream]:
    """By id, as they are now."""
    rows = tx.execute(select(*_COLUMNS).where(SignalStream.id.in_(ids)))
    return {row.id: Stream(*row) for row in rows}


def polled(tx: Session) -> list[tuple[Stream, str]]:
    """Every stream that is fetched, with the slug of its tenant; both switched on, and the connection too."""
    rows = tx.execute(
        select(*_COLUMNS, Tenant.slug.label("tenant_slug"))
        .join(Tenant, Tenant.id == SignalStream.tenant_id)
        .join(Connection, Connection.id == SignalStream.connection_id)
        .where(
            SignalStream.delivery == POLL,
            SignalStream.status == ACTIVE,
            Connection.status == ACTIVE,
            Tenant.status == ACTIVE,
        )
        .order_by(SignalStream.id)
    )
    return [(Stream(*row[:-1]), row[-1]) for row in rows]


def note(tx: Session, ids: set[str], now: datetime) -> None:
    """Something came. Once a minute, because every transaction of a busy stream would wait for this row."""
    tx.execute(
        update(SignalStream)
        .where(
            SignalStream.id.in_(ids),
            SignalStream.last_event_at.is_(None)
            | (SignalStream.last_event_at < now - _NOTED_EVERY),
        )
        .values(last_event_at=now)
        .execution_options(synchronize_session=False)
    )
