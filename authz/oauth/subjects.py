"""Who asks, as policy sees them: one way to load a person, and one to see a client that acts for itself.

The token lane reads the same rows for a whole batch (`oauth.rows`) and makes the same value of them (`Facts.subject`).
"""

from collections.abc import Iterable

from sqlalchemy import select
from sqlalchemy.orm import Session

from authz.db.models import GroupMember, RoleBinding
from authz.directory.assurance import Authentication
from authz.errors import UnauthorizedClient
from authz.policy import Subject
from authz.policy.snapshot import HeldRole, Policy, Resource


def load_subject(
    tx: Session, user_id: str, *, authentication: Authentication | None, enabled: bool = True
) -> Subject:
    """A person with roles and groups, as they signed in."""
    roles = tx.execute(
        select(RoleBinding.role_id, RoleBinding.expires_at).where(
            RoleBinding.subject_kind == "user", RoleBinding.subject_id == user_id
        )
    )
    groups = tx.scalars(select(GroupMember.group_id).where(GroupMember.user_id == user_id))
    return Subject(
        id=user_id,
        enabled=enabled,
        authentication=authentication,
        roles=in_order(HeldRole(role_id, expires_at) for role_id, expires_at in roles),
        groups=frozenset(groups),
    )


def in_order(roles: Iterable[HeldRole]) -> tuple[HeldRole, ...]:
    """Each once, as policy tries them: whatever order the database has, the same way to a scope is told."""
    return tuple(sorted(set(roles), key=lambda it: it.role_id))


def client_subject(policy: Policy, client_id: str) -> Subject:
    """A client on its own behalf: its roles are part of the policy, because few have any."""
    return Subject(id=client_id, roles=policy.client_roles.get(client_id, ()))


def refuse_without_person(resource: Resource) -> None:
    """For what has nobody behind it. Raises UnauthorizedClient where the MCP server wants somebody (M11)."""
    if resource.is_user_required:
        raise UnauthorizedClient(
            "this MCP server wants a person behind every token", reason="user_required"
        )
