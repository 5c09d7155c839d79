"""Ending what was granted: token families, and the sessions of a person."""

from collections.abc import Iterable

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from authz.admin.operator import Operator
from authz.audit.events import Event, FamilyRevoked
from authz.db.lists import among
from authz.db.models import IssuedToken, TokenFamily
from authz.db.models import Session as BrowserSession
from authz.revocations.entries import CLIENT, end_tokens, switch_off


def revoke_families(
    tx: Session,
    operator: Operator,
    tenant_id: str,
    *,
    because: str,
    client_id: str,
) -> list[Event]:
    """End every live family of a client. Those of a person end with everything else of theirs: `directory.leaving`.

    Answers one event for each, to be recorded with the change that caused it: the trail says of every grant when
    and why it ended.
    """
    query = select(TokenFamily).where(
        TokenFamily.tenant_id == tenant_id,
        TokenFamily.client_id == client_id,
        TokenFamily.revoked_at.is_(None),
        TokenFamily.expires_at > operator.now,
    )
    # In key order, as the token lane locks them: two orders would be a deadlock.
    families = tx.scalars(query.order_by(TokenFamily.id).with_for_update()).all()
    events: list[Event] = []
    for family in families:
        family.revoked_at, family.revoked_because = operator.now, because
        events.append(
            FamilyRevoked(
                grant_id=family.id,
                reason=because,
                subject=family.user_id,
                client=family.client_id,
                actor=operator.name,
            )
        )
    tx.flush()
    # Theirs go by their own name (`cut_off_clients`); what others exchanged them for goes by the grant alone.
    ids = [family.id for family in families]
    others = among(tx, IssuedToken.family_id, ids) & (IssuedToken.client_id != client_id)
    end_tokens(tx, tenant_id, others, operator.now)
    return events


def cut_off_clients(
    tx: Session, operator: Operator, tenant_id: str, client_ids: Iterable[str]
) -> None:
    """End every access token that these clients hold, for people and for themselves. After `revoke_families`."""
    ids = list(client_ids)
    which = among(tx, IssuedToken.client_id, ids)
    switch_off(tx, tenant_id, CLIENT, ids, which, operator.now)


def end_sessions(tx: Session, operator: Operator, tenant_id: str, user_id: str) -> int:
    """Sign a person out of every browser; answers how many sessions ended."""
    ended = tx.execute(
        update(BrowserSession)
        .where(
            BrowserSession.tenant_id == tenant_id,
            BrowserSession.user_id == user_id,
            BrowserSession.ended_at.is_(None),
        )
        .values(ended_at=operator.now)
        .returning(BrowserSession.digest)
    )
    return len(ended.all())
