"""What roles and scopes require of a sign-in, as rows keep it."""

from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from authz.db.models import Connection
from authz.errors import NotFound
from authz.policy import requirements
from authz.policy.requirements import LOCAL, Requirement

ANY_SIGN_IN = Requirement()
"""What requires nothing; it is never stored."""


def check_connections(tx: Session, tenant_id: str, required: Requirement | None) -> None:
    """Raises NotFound for a connection that the tenant does not have: nobody could sign in through it."""
    if required is None or required.connection is None:
        return
    known = set(tx.scalars(select(Connection.slug).where(Connection.tenant_id == tenant_id)))
    for slug in sorted(required.connection - known - {LOCAL}):
        there_are = ", ".join([LOCAL, *sorted(known)])
        raise NotFound(
            f"there is no connection {slug!r} to require; there are: {there_are}",
            field="connection",
        )


def stored(required: Requirement | None) -> dict[str, Any] | None:
    """The column."""
    if required is None or required == ANY_SIGN_IN:
        return None
    return requirements.as_json(required)


def requirement_of(column: dict[str, Any] | None) -> Requirement | None:
    """Of a column."""
    return None if column is None else requirements.parse(column)
