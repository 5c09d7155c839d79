"""From somebody at the door to the `Operator` they are: their permissions are what policy leaves them at the
administration, decided anew at every request, so who is unbound, disabled or signed out administers nothing more.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from authz.admin.operator import Operator
from authz.db.models import Resource as ResourceRow
from authz.db.models import User
from authz.directory.sessions import SignedIn
from authz.envelope import Envelope
from authz.oauth.configuration import TenantConfiguration
from authz.oauth.subjects import load_subject
from authz.policy import Decision, decide
from authz.policy.administration import ADMIN_ID, Permission
from authz.secretstores.sections import Secrets
from authz.tenants import TWO_PERSON

CONSOLE = "console"
"""What stands for the client in decisions about the console."""


@dataclass(frozen=True)
class Entry:
    """Somebody who may administer something, and why."""

    operator: Operator
    decision: Decision


def enter_console(
    tx: Session,
    configuration: TenantConfiguration,
    signed_in: SignedIn,
    *,
    envelope: Envelope,
    secrets: Secrets,
    agents_per_owner: int,
    now: datetime,
) -> Entry | None:
    """A person with a live session; None when they administer nothing."""
    resource = configuration.policy.resources[ADMIN_ID]
    decision = decide(
        configuration.policy,
        load_subject(tx, signed_in.user_id, authentication=signed_in.authentication),
        resource,
        client=CONSOLE,
        requested=frozenset(resource.scopes),
        ceilings=(),
        now=now,
    )
    if not decision.granted:
        return None
    operator = Operator(
        name=f"{CONSOLE}:{signed_in.user_id}",
        now=now,
        envelope=envelope,
        permissions=frozenset(map(Permission, decision.granted)),
        user_id=signed_in.user_id,
        login=signed_in.login,
        home=configuration.tenant.slug,
        references=secrets.allowed_to(configuration.tenant.slug),
        agents_per_owner=agents_per_owner,
        needs_second=configuration.tenant.change_control == TWO_PERSON,
        owned=_owned(tx, configuration.tenant.id, signed_in.login),
        authenticated_at=signed_in.auth_time,
    )
    return Entry(operator, decision)


def enter_api(
    tx: Session,
    configuration: TenantConfiguration,
    claims: Mapping[str, Any],
    scopes: frozenset[str],
    *,
    envelope: Envelope,
    secrets: Secrets,
    agents_per_owner: int,
    now: datetime,
) -> Operator:
    """The bearer of a live access token for the admin API; `scopes` is what is left of the token's.

    A token with a person in it is as fresh as the sign-in behind it; a client's own is as fresh as itself.
    """
    client_id, subject = claims["client_id"], claims["sub"]
    is_person = subject != client_id
    login = None
    if is_person:
        login = tx.scalar(select(User.login).where(User.id == subject))
    auth_time = claims.get("auth_time")
    return Operator(
        name=f"api:{subject}" if is_person else f"api:{client_id}",
        now=now,
        envelope=envelope,
        permissions=frozenset(it for it in Permission if it in scopes),
        user_id=subject if is_person else None,
        login=login,
        home=configuration.tenant.slug,
        references=secrets.allowed_to(configuration.tenant.slug),
        agents_per_owner=agents_per_owner,
        needs_second=configuration.tenant.change_control == TWO_PERSON,
        owned=frozenset() if login is None else _owned(tx, configuration.tenant.id, login),
        # A person of whose sign-in nobody told the time did not sign in lately.
        authenticated_at=datetime.fromtimestamp(auth_time or 0, UTC) if is_person else None,
    )


def _owned(tx: Session, tenant_id: str, login: str) -> frozenset[str]:
    """The MCP servers whose owner is recorded by this login name."""
    return frozenset(
        tx.scalars(
            select(ResourceRow.id).where(
                ResourceRow.tenant_id == tenant_id,
                or_(ResourceRow.owner == login, ResourceRow.owner == f"mailto:{login}"),
            )
        )
    )
