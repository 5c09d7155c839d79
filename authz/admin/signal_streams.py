"""Streams of security events that a tenant receives: add, switch, remove, look up (SSF-01)."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from authz import entropy
from authz.admin import connections
from authz.admin.operator import Operator
from authz.admin.references import check_references
from authz.db.models import Connection, SignalStream
from authz.errors import Conflict, Invalid, NotFound, about
from authz.federation.streams import ACTIVE, POLL, PUSH
from authz.policy.administration import Permission
from authz.secretstores import STORES
from authz.tenants import is_slug
from authz.urls import LOOPBACK_HOSTS, UrlError, read_url

_MAX_CHARS = 512


@dataclass(frozen=True)
class StreamLine:
    """A stream in a list."""

    slug: str
    connection: str
    delivery: str
    issuer: str
    audience: str
    jwks_uri: str
    poll_url: str | None
    status: str
    created_at: datetime
    last_event_at: datetime | None


@dataclass(frozen=True)
class NewStream:
    """What a stream is made of."""

    slug: str
    connection: str
    """By name: whose people it may speak of."""
    issuer: str
    jwks_uri: str
    audience: str
    poll_url: str | None = None
    """With it the events are fetched, without it they are pushed."""
    poll_token: str | None = None
    """A secret reference."""


@dataclass(frozen=True)
class Made:
    """A stream, and the token to push with, which is shown this once."""

    line: StreamLine
    token: str | None

    def __repr__(self) -> str:
        return f"Made({self.line.slug!r})"


def add(
    tx: Session, operator: Operator, tenant_id: str, new: NewStream, *, development: bool
) -> Made:
    """A new stream. Raises Invalid, Conflict, NotFound."""
    operator.must(Permission.CONNECTIONS_WRITE)
    with about("poll_token"):
        check_references(operator, new.poll_token)
    with about("connection"):
        connection = connections.load(tx, tenant_id, new.connection)
    _check(new, development=development)
    if _find(tx, tenant_id, new.slug) is not None:
        raise Conflict(f"there is a stream {new.slug!r} already", field="slug")
    token = entropy.new_token("sgt") if new.poll_url is None else None
    row = SignalStream(
        id=entropy.new_id("sgs"),
        tenant_id=tenant_id,
        slug=new.slug,
        connection_id=connection.id,
        issuer=new.issuer,
        jwks_uri=new.jwks_uri,
        audience=new.audience,
        delivery=PUSH if new.poll_url is None else POLL,
        secret_digest=None if token is None else entropy.digest(token),
        poll_url=new.poll_url,
        poll_token=new.poll_token,
        status=ACTIVE,
        created_at=operator.now,
        last_event_at=None,
    )
    tx.add(row)
    tx.flush()
    values = {
        "connection": connection.slug,
        "issuer": row.issuer,
        "jwks_uri": row.jwks_uri,
        "audience": row.audience,
        "delivery": row.delivery,
        "poll_url": row.poll_url,
    }
    operator.changed(tx, tenant_id, "signal_stream.add", new.slug, values)
    return Made(_line(row, connection.slug), token)


def rotate_token(tx: Session, operator: Operator, tenant_id: str, slug: str) -> Made:
    """A new token to push with; the old one is good no longer."""
    operator.must(Permission.CONNECTIONS_WRITE)
    row, connection = _load(tx, tenant_id, slug)
    if row.delivery != PUSH:
        raise Conflict(f"the stream {slug!r} is polled; its token is the transmitter's")
    token = entropy.new_token("sgt")
    row.secret_digest = entropy.digest(token)
    tx.flush()
    operator.changed(tx, tenant_id, "signal_stream.rotate_token", slug)
    return Made(_line(row, connection), token)


def set_status(
    tx: Session, operator: Operator, tenant_id: str, slug: str, status: str
) -> StreamLine:
    """Switch it off or on. What a transmitter says meanwhile is refused, so that it says it again."""
    operator.must(Permission.CONNECTIONS_WRITE)
    if status not in (ACTIVE, "disabled"):
        raise Invalid(f"status {status!r} is not active or disabled", field="status")
    row, connection = _load(tx, tenant_id, slug)
    row.status = status
    tx.flush()
    operator.changed(tx, tenant_id, "signal_stream.status", slug, {"status": status})
    return _line(row, connection)


def remove(tx: Session, operator: Operator, tenant_id: str, slug: str) -> StreamLine:
    """Forget it. What it ended stays ended."""
    operator.must(Permission.CONNECTIONS_WRITE)
    row, connection = _load(tx, tenant_id, slug)
    line = _line(row, connection)
    tx.delete(row)
    tx.flush()
    operator.changed(tx, tenant_id, "signal_stream.remove", slug)
    return line


def list_(tx: Session, tenant_id: str) -> list[StreamLine]:
    """All of them by name."""
    rows = tx.execute(
        select(SignalStream, Connection.slug)
        .join(Connection, Connection.id == SignalStream.connection_id)
        .where(SignalStream.tenant_id == tenant_id)
        .order_by(SignalStream.slug)
    )
    return [_line(row, connection) for row, connection in rows]


def show(tx: Session, tenant_id: str, slug: str) -> StreamLine:
    """One of them. Raises NotFound."""
    return _line(*_load(tx, tenant_id, slug))


def _find(tx: Session, tenant_id: str, slug: str) -> SignalStream | None:
    return tx.scalars(
        select(SignalStream).where(SignalStream.tenant_id == tenant_id, SignalStream.slug == slug)
    ).one_or_none()


def _load(tx: Session, tenant_id: str, slug: str) -> tuple[SignalStream, str]:
    row = _find(tx, tenant_id, slug)
    if row is None:
        raise NotFound(f"there is no stream {slug!r}; `authz signals list` shows them")
    return row, tx.get_one(Connection, row.connection_id).slug


def _check(new: NewStream, *, development: bool) -> None:
    if not is_slug(new.slug):
        raise Invalid(
            f"{new.slug!r} is not a name for a stream: lower-case letters, digits and inner hyphens, at most 63",
            field="slug",
        )
    for name, text in (("issuer", new.issuer), ("audience", new.audience)):
        if not 1 <= len(text) <= _MAX_CHARS or not text.isprintable() or not text.isascii():
            raise Invalid(f"{name} has 1 to {_MAX_CHARS} printable ASCII characters", field=name)
    _check_url("jwks_uri", new.jwks_uri, development=development)
    if new.poll_url is None:
        if new.poll_token is not None:
            raise Invalid(
                "a token reference goes with a poll URL; a transmitter that pushes gets its token here",
                field="poll_token",
            )
        return
    _check_url("poll_url", new.poll_url, development=development)
    scheme, _, rest = (new.poll_token or "").partition(":")
    if scheme not in STORES or not rest:
        known = ", ".join(f"{name}:" for name in STORES)
        raise Invalid(
            f"the token to poll with is a secret reference; use one of {known}", field="poll_token"
        )


def _check_url(name: str, text: str, *, development: bool) -> None:
    try:
        parts = read_url(name, text)
    except UrlError as error:
        raise Invalid(str(error), field=name) from None
    local = development and parts.host in LOOPBACK_HOSTS
    if parts.scheme != "https" and not (local and parts.scheme == "http"):
        raise Invalid(f"{name} {text!a} is not https", field=name)
    if parts.fragment is not None:
        raise Invalid(f"{name} {text!a} has a fragment; leave it out", field=name)


def _line(row: SignalStream, connection: str) -> StreamLine:
    return StreamLine(
        slug=row.slug,
        connection=connection,
        delivery=row.delivery,
        issuer=row.issuer,
        audience=row.audience,
        jwks_uri=row.jwks_uri,
        poll_url=row.poll_url,
        status=row.status,
        created_at=row.created_at,
        last_event_at=row.last_event_at,
    )
