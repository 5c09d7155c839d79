"""Pushed requests that wait for their person: found by `request_uri` as often as a page is loaded, taken once.

A request is taken in the transaction that answers it, by the code or by the person's no. Until then a reload, a
sign-in or another person at the same browser find it again (RFC 9126 §7.3, PAR-03).
"""

from datetime import datetime

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from authz import entropy
from authz.db.models import PushedRequest as PushedRow
from authz.errors import OAuthError
from authz.oauth.facts import Pushed

REQUEST_URI = "urn:ietf:params:oauth:request_uri:"
"""How every reference of this server begins; any other `request_uri` is somebody's address (JAR-03)."""


class PushedRequestRefused(OAuthError):
    """There is no such request (any more): shown on a page, because nothing is known of where to return to."""

    code = "invalid_request_uri"
    sentence = "It was answered already, is too old, or belongs to another application."


def find_pushed(
    tx: Session, tenant_id: str, client_id: str, request_uri: str, now: datetime
) -> Pushed:
    """The request behind a reference of this client. Raises PushedRequestRefused."""
    row = tx.execute(
        select(
            PushedRow.digest,
            PushedRow.tenant_id,
            PushedRow.client_id,
            PushedRow.query,
            PushedRow.created_at,
            PushedRow.expires_at,
        ).where(PushedRow.digest == entropy.digest(request_uri))
    ).one_or_none()
    if row is None or row.tenant_id != tenant_id:
        raise _refused("request_uri_unknown")
    if row.client_id != client_id:
        raise _refused("request_uri_of_other_client")
    if now >= row.expires_at:
        raise _refused("request_uri_expired")
    return Pushed(*row)


def take_pushed(tx: Session, digest: str, now: datetime) -> None:
    """Spend it: one statement, so two answers race for one row. Raises PushedRequestRefused when it is gone."""
    taken = tx.execute(
        delete(PushedRow).where(PushedRow.digest == digest, PushedRow.expires_at > now)
    )
    if taken.rowcount != 1:  # type: ignore[attr-defined]
        raise _refused("request_uri_spent")


def _refused(reason: str) -> PushedRequestRefused:
    return PushedRequestRefused("the request_uri is not valid", reason=reason)
