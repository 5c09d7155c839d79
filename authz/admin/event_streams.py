"""Streams of security events that MCP servers have of this tenant: where they go, how far they are (SSF-05)."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from authz.admin.operator import Operator
from authz.admin.references import check_references
from authz.db.models import EventStream
from authz.errors import Conflict, Invalid, NotFound, about
from authz.oauth.transmitting import streams
from authz.policy.administration import Permission
from authz.secretstores import STORES
from authz.urls import LOOPBACK_HOSTS, UrlError, read_url


@dataclass(frozen=True)
class EventStreamLine:
    """A stream in a list."""

    id: str
    client: str
    delivery: str
    """`push` or `poll`."""
    push_url: str | None
    status: str
    reason: str | None
    failures: int
    """Deliveries that failed since the last one that did not."""
    last_failure: str | None
    retry_at: datetime | None
    delivered_at: datetime | None
    position: int
    created_at: datetime


def list_(tx: Session, tenant_id: str) -> list[EventStreamLine]:
    """All of them, by client."""
    rows = tx.scalars(
        select(EventStream)
        .where(EventStream.tenant_id == tenant_id)
        .order_by(EventStream.client_id, EventStream.created_at, EventStream.id)
    )
    return [_line(row) for row in rows]


def show(tx: Session, tenant_id: str, stream_id: str) -> EventStreamLine:
    """One of them. Raises NotFound."""
    row = tx.get(EventStream, stream_id)
    if row is None or row.tenant_id != tenant_id:
        raise _missing(stream_id)
    return _line(row)


def push(
    tx: Session,
    operator: Operator,
    tenant_id: str,
    stream_id: str,
    *,
    url: str,
    authorization: str,
    development: bool,
) -> EventStreamLine:
    """Send its events there from now on, with the secret behind a reference as bearer token (RFC 8935)."""
    operator.must(Permission.CONNECTIONS_WRITE)
    with about("authorization"):
        check_references(operator, authorization)
    _check_url(url, development=development)
    scheme, _, rest = authorization.partition(":")
    if scheme not in STORES or not rest:
        known = ", ".join(f"{name}:" for name in STORES)
        raise Invalid(
            f"the token to push with is a secret reference; use one of {known}",
            field="authorization",
        )
    row = _load(tx, tenant_id, stream_id)
    row.push_url, row.push_authorization, row.last_failure = url, authorization, None
    streams.set_status(row, "enabled", None, operator.now)
    tx.flush()
    operator.changed(tx, tenant_id, "event_stream.push", row.id, {"url": url}, client=row.client_id)
    return _line(row)


def poll(tx: Session, operator: Operator, tenant_id: str, stream_id: str) -> EventStreamLine:
    """Have its client fetch them again (RFC 8936)."""
    operator.must(Permission.CONNECTIONS_WRITE)
    row = _load(tx, tenant_id, stream_id)
    if row.push_url is None:
        raise Conflict(f"the events of {stream_id!r} are fetched already")
    row.push_url = row.push_authorization = row.last_failure = None
    streams.set_status(row, "enabled", None, operator.now)
    tx.flush()
    operator.changed(tx, tenant_id, "event_stream.poll", row.id, client=row.client_id)
    return _line(row)


def resume(tx: Session, operator: Operator, tenant_id: str, stream_id: str) -> EventStreamLine:
    """Go on where it was paused; what waits comes in its order, at once."""
    operator.must(Permission.CONNECTIONS_WRITE)
    row = _load(tx, tenant_id, stream_id)
    streams.set_status(row, "enabled", None, operator.now)
    tx.flush()
    values = {"status": "enabled"}
    operator.changed(tx, tenant_id, "event_stream.status", row.id, values, client=row.client_id)
    return _line(row)


def _load(tx: Session, tenant_id: str, stream_id: str) -> EventStream:
    row = tx.scalars(
        select(EventStream)
        .where(EventStream.id == stream_id, EventStream.tenant_id == tenant_id)
        .with_for_update()
    ).one_or_none()
    if row is None:
        raise _missing(stream_id)
    return row


def _missing(stream_id: str) -> NotFound:
    return NotFound(f"there is no stream {stream_id!r}; `authz event-streams list` shows them")


def _check_url(text: str, *, development: bool) -> None:
    try:
        parts = read_url("the address to push to", text)
    except UrlError as error:
        raise Invalid(str(error), field="url") from None
    local = development and parts.host in LOOPBACK_HOSTS
    if parts.scheme != "https" and not (local and parts.scheme == "http"):
        raise Invalid(f"the address to push to, {text!a}, is not https", field="url")
    if parts.fragment is not None:
        raise Invalid(
            f"the address to push to, {text!a}, has a fragment; leave it out", field="url"
        )


def _line(row: EventStream) -> EventStreamLine:
    return EventStreamLine(
        id=row.id,
        client=row.client_id,
        delivery="poll" if row.push_url is None else "push",
        push_url=row.push_url,
        status=row.status,
        reason=row.reason,
        failures=row.failures,
        last_failure=row.last_failure,
        retry_at=row.retry_at,
        delivered_at=row.delivered_at,
        position=row.position,
        created_at=row.created_at,
    )
