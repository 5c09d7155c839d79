"""Where the trail is told to, and how far each of these has come."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from authz.audit.delivery import lag_of
from authz.db.models import AuditSink as SinkRow
from authz.settings import AuditSettings


@dataclass(frozen=True)
class SinkLine:
    """One sink of the configuration."""

    name: str
    kind: str
    format: str
    to: str
    state: str
    """`waiting` until a server told it something, `delivering`, or `failing`."""
    lag: int
    """Events it has not taken."""
    delivered_at: datetime | None
    failures: int
    """In a row."""
    last_failure: str | None
    retry_at: datetime | None


def list_(tx: Session, settings: AuditSettings) -> list[SinkLine]:
    """All of them, as of the database: the same on every node."""
    lines = []
    for it in settings.sink:
        row = tx.get(SinkRow, it.name)
        failures = 0 if row is None else row.failures
        lines.append(
            SinkLine(
                name=it.name,
                kind=it.kind,
                format=it.format,
                to=str(it.path or it.url),
                state="failing" if failures else "waiting" if row is None else "delivering",
                lag=lag_of(tx, it),
                delivered_at=None if row is None else row.delivered_at,
                failures=failures,
                last_failure=None if row is None else row.last_failure,
                retry_at=None if row is None else row.retry_at,
            )
        )
    return lines
