"""One request and its answer, as values: nothing in here knows HTTP, and a bulk operation is one like any other."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from authz.audit import Strands
from authz.clock import Clock
from authz.db import Database, direct
from authz.db.models import Connection as ConnectionRow
from authz.db.models import ScimToken, Tenant
from authz.db.statements import AnyOf, Query
from authz.scim.errors import InvalidSyntax

_STANDING = Query(
    select(Tenant.config_version, ScimToken.revoked_at, ConnectionRow.status)
    .join_from(ScimToken, Tenant, Tenant.id == ScimToken.tenant_id)
    .outerjoin(ConnectionRow, ConnectionRow.id == ScimToken.connection_id)
    .where(AnyOf(ScimToken.id, "tokens"))
)


class Moved(Exception):
    """What the caller was admitted by is not as it was; nothing has been done."""


@dataclass(frozen=True)
class Desk:
    """What requests are done with; one per process."""

    database: Database
    clock: Clock
    strands: Strands
    """Of the audit trail."""
    admit_again: "Callable[[Caller], Caller]"
    """Judges the caller's token anew. Raises ScimError, InvalidToken."""

    @contextmanager
    def read(self, caller: "Caller") -> Iterator[Session]:
        """A session in which the caller's token is good. Raises Moved."""
        with self.database.read() as tx:
            _check(tx, caller)
            yield tx

    @contextmanager
    def write(self, caller: "Caller") -> Iterator[Session]:
        """A transaction in which the caller's token is good. Raises Moved."""
        with self.database.write() as tx:
            _check(tx, caller)
            yield tx


def _check(tx: Session, caller: "Caller") -> None:
    status = None if caller.connection is None else "active"
    if direct.fetch(tx, _STANDING(tokens=[caller.token_id])) != [(caller.version, None, status)]:
        raise Moved


@dataclass(frozen=True)
class Connection:
    """The identity provider whose people a client provisions."""

    id: str
    slug: str
    subject_of: Callable[[str], str | None] = field(repr=False)
    """From what the client calls somebody to their subject there; None when that says nothing of it."""


@dataclass(frozen=True)
class Caller:
    """A client that has shown its token, and where it is."""

    tenant_id: str
    base: str
    """`ISSUER/scim/v2`."""
    token_id: str
    connection: Connection | None
    audit_key: bytes = field(repr=False)
    slug: str
    """Of the tenant."""
    digest: str = field(repr=False)
    """Of the token."""
    version: int
    """Of the tenant's configuration when the token was judged."""

    @property
    def actor(self) -> str:
        """As the audit trail names it; its name may hold an address, its id does not."""
        return f"scim:{self.token_id}"

    @property
    def provisioner(self) -> str:
        """Whose names for things it uses."""
        return "" if self.connection is None else self.connection.id


@dataclass(frozen=True)
class Call:
    """What is asked for."""

    method: str
    path: str
    """Below the base, without a slash in front: `Users/usr_…`."""
    received_at: datetime
    query: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] | None = field(default=None, repr=False)
    if_match: str | None = None
    if_none_match: str | None = None

    def message(self) -> Mapping[str, Any]:
        """The body. Raises InvalidSyntax when there is none."""
        if self.body is None:
            raise InvalidSyntax("a JSON object is expected", reason="body_missing")
        return self.body


@dataclass(frozen=True)
class Answer:
    """What is sent. A body of None is none."""

    status: int
    body: Mapping[str, Any] | None = field(default=None, repr=False)
    location: str | None = None
    etag: str | None = None
