"""Why an access token holds what it holds: the stored decision, told."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from authz.audit.events import TokenIssued
from authz.db.models import AuditEvent, Client, IssuedToken, TokenFamily, User
from authz.errors import NotFound
from authz.policy import SENTENCES, Reason
from authz.policy.requirements import read_recorded

_AROUND = timedelta(seconds=2)
"""A token and its event carry the same moment, but a token's may be cut to whole seconds."""


@dataclass(frozen=True)
class Recorded:
    """Where the audit trail tells of the token."""

    strand: str
    position: int
    grant_type: str
    workload: Mapping[str, str] | None = None
    """Of a workload's token: by which entry and rule it got in, and what its platform calls it."""


@dataclass(frozen=True)
class Explanation:
    """Everything about one access token."""

    jti: str
    subject: str
    login: str | None
    client: str
    client_name: str | None
    resource: str
    requested: list[str] | None
    """None: nothing in particular, so the server's defaults."""
    granted: dict[str, str]
    """Scope -> the role that gave it, and by which way."""
    removed: dict[str, str]
    """Scope -> why not."""
    required: dict[str, str]
    """Scope -> what it took of the sign-in; of those granted, and of those removed for want of it."""
    signed_in: str | None
    """How and when the person had; told only where something was required."""
    policy_version: int
    issued_at: datetime
    expires_at: datetime
    grant_id: str
    grant_since: datetime | None
    valid: bool
    state: str
    """`valid`, or what ended it."""
    recorded: Recorded | None


def explain(tx: Session, tenant_id: str, jti: str, now: datetime) -> Explanation:
    """Raises NotFound for a token of another tenant, or one whose record was already deleted."""
    token = tx.get(IssuedToken, jti)
    if token is None or token.tenant_id != tenant_id:
        raise NotFound(
            f"no access token with the jti {jti!r} is on record here: it was issued by another tenant, or "
            "its record is past retention (the audit trail still has it)",
            field="jti",
        )
    decision = json.loads(token.decision)
    family = tx.get(TokenFamily, token.family_id)
    user = tx.get(User, token.subject)
    client = tx.get(Client, (tenant_id, token.client_id))
    state = _state(token, family, now)
    return Explanation(
        jti=jti,
        subject=token.subject,
        login=None if user is None else user.login,
        client=token.client_id,
        client_name=None if client is None else client.name,
        resource=decision["resource"],
        requested=decision["requested"],
        granted=decision["granted"],
        removed={s: SENTENCES[Reason(reason)] for s, reason in decision["removed"].items()},
        required={s: str(read_recorded(it)) for s, it in decision.get("required", {}).items()},
        signed_in=_sign_in(decision["signed_in"]) if "required" in decision else None,
        policy_version=decision["policy_version"],
        issued_at=token.issued_at,
        expires_at=token.expires_at,
        grant_id=token.family_id,
        grant_since=None if family is None else family.created_at,
        valid=state == "valid",
        state=state,
        recorded=_recorded(tx, token),
    )


def _sign_in(recorded: dict[str, Any] | None) -> str:
    if recorded is None:
        return "nobody had signed in"
    at = recorded["auth_time"]
    when = "at a time nobody told" if at is None else f"at {_told(datetime.fromisoformat(at))}"
    return f"{when}, acr {recorded['acr'] or 'unknown'}, through {recorded['connection']}"


def _state(token: IssuedToken, family: TokenFamily | None, now: datetime) -> str:
    alone, with_all = token.revoked_at, None if family is None else family.revoked_at
    # Whatever ends a grant may end its tokens with it; why is known of the grant.
    if family is not None and with_all is not None and (alone is None or with_all <= alone):
        return f"its grant was revoked at {_told(with_all)} ({family.revoked_because})"
    if alone is not None:
        return f"revoked at {_told(alone)}"
    if now >= token.expires_at:
        return f"expired at {_told(token.expires_at)}"
    return "valid"


def _recorded(tx: Session, token: IssuedToken) -> Recorded | None:
    rows = tx.execute(
        select(AuditEvent.strand, AuditEvent.position, AuditEvent.body).where(
            AuditEvent.tenant_id == token.tenant_id,
            AuditEvent.at.between(token.issued_at - _AROUND, token.issued_at + _AROUND),
            AuditEvent.kind == TokenIssued.kind,
            AuditEvent.body.contains(token.jti, autoescape=True),
        )
    )
    for strand, position, body in rows:
        detail = json.loads(body)["detail"]
        if detail["jti"] == token.jti:
            return Recorded(strand, position, detail["grant_type"], detail.get("workload"))
    return None


def _told(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")
