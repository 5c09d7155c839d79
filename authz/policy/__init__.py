"""The one policy engine: which scopes of one resource a subject gets through one client, and why not the rest.

`decide` is pure. Every grant type, the consent page, `explain` and the tests call this same function, so they cannot
disagree (L9). It owns the intersection and its reasons; it never reads a row, a clock or a request.

    granted = requested ∩ declared by the resource ∩ held through a role ∩ every ceiling

Decision: the scopes of a built-in resource (what OpenID says of a person to a client) are held by every enabled
person: no role is needed to be known, and a client's ceiling, which names scopes of MCP servers, does not speak of it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from authz.directory.assurance import Authentication
from authz.policy.snapshot import ANY_RESOURCE, HeldRole, Policy, Resource

EVERYONE = "everyone"
"""The source of a scope that every enabled person holds."""


class Reason(StrEnum):
    """Why a scope was removed. The order is the order of the checks; the first that applies is given."""

    SUBJECT_DISABLED = "subject_disabled"
    CONNECTION_DISABLED = "connection_disabled"
    RESOURCE_DISABLED = "resource_disabled"
    SCOPE_UNKNOWN = "scope_unknown"
    ROLE_MISSING = "role_missing"
    ROLE_EXPIRED = "role_expired"
    DEVICE_CEILING = "device_ceiling"
    CLIENT_CEILING = "client_ceiling"
    CONSENT_WITHHELD = "consent_withheld"
    GRANT_CEILING = "grant_ceiling"


SENTENCES: Mapping[Reason, str] = {
    Reason.SUBJECT_DISABLED: "the account is disabled",
    Reason.CONNECTION_DISABLED: "the identity provider they signed in with is switched off here",
    Reason.RESOURCE_DISABLED: "the MCP server is disabled here",
    Reason.SCOPE_UNKNOWN: "the MCP server does not declare this scope",
    Reason.ROLE_MISSING: "no role of this person holds it",
    Reason.ROLE_EXPIRED: "the role that holds it has expired",
    Reason.DEVICE_CEILING: "it is destructive, and another device never gets that",
    Reason.CLIENT_CEILING: "this client is not allowed to have it",
    Reason.CONSENT_WITHHELD: "the person did not allow it",
    Reason.GRANT_CEILING: "it is more than the original authorization held",
}


@dataclass(frozen=True)
class Subject:
    """A person as policy sees them."""

    id: str
    enabled: bool = True
    authentication: Authentication | None = None
    """None: nobody signed in; a client acts for itself."""
    roles: tuple[HeldRole, ...] = ()
    """Bound to the person directly."""
    groups: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Ceiling:
    """An upper bound from somewhere else than the roles; `scopes=None` bounds nothing."""

    reason: Reason
    scopes: frozenset[str] | None


def client_ceiling(scopes: frozenset[str] | None, resource: Resource) -> Ceiling:
    """What an operator set for a client, as far as it is about this resource."""
    return Ceiling(Reason.CLIENT_CEILING, None if resource.is_builtin else scopes)


@dataclass(frozen=True)
class Decision:
    """What was granted and why, and what was removed and why."""

    policy_version: int
    subject: str
    client: str
    resource: str
    requested: frozenset[str] | None
    """None: the client asked for nothing in particular and got the resource's defaults."""
    sources: Mapping[str, str]
    """Granted scope -> the role (and group, and inclusion chain) that brought it."""
    removed: Mapping[str, Reason]

    @property
    def granted(self) -> frozenset[str]:
        """The scopes of the token."""
        return frozenset(self.sources)

    def as_json(self) -> dict[str, Any]:
        """The stored record (version 1)."""
        return {
            "v": 1,
            "policy_version": self.policy_version,
            "subject": self.subject,
            "client": self.client,
            "resource": self.resource,
            "requested": None if self.requested is None else sorted(self.requested),
            "granted": dict(self.sources),
            "removed": {scope: str(reason) for scope, reason in self.removed.items()},
        }


def decide(
    policy: Policy,
    subject: Subject,
    resource: Resource,
    *,
    client: str,
    requested: frozenset[str] | None,
    ceilings: Sequence[Ceiling],
    now: datetime,
) -> Decision:
    """Decide every asked scope by itself; the default set is the resource's, never everything (S10)."""
    asked = (
        frozenset(name for name, scope in resource.scopes.items() if scope.is_default)
        if requested is None
        else requested
    )
    sources: dict[str, str] = {}
    removed: dict[str, Reason] = {}
    held = tuple(_held(policy, subject))
    for scope in sorted(asked):
        reason, source = _decide_one(policy, subject, resource, scope, held, now)
        if reason is None:
            reason = next(
                (c.reason for c in ceilings if c.scopes is not None and scope not in c.scopes), None
            )
        if reason is None:
            sources[scope] = source
        else:
            removed[scope] = reason
    return Decision(
        policy_version=policy.version,
        subject=subject.id,
        client=client,
        resource=resource.identifier,
        requested=requested,
        sources=sources,
        removed=removed,
    )


def _decide_one(
    policy: Policy,
    subject: Subject,
    resource: Resource,
    scope: str,
    held: Iterable[tuple[HeldRole, str]],
    now: datetime,
) -> tuple[Reason | None, str]:
    if not subject.enabled:
        return Reason.SUBJECT_DISABLED, ""
    if not policy.stands(subject.authentication):
        return Reason.CONNECTION_DISABLED, ""
    if not resource.enabled:
        return Reason.RESOURCE_DISABLED, ""
    if scope not in resource.scopes:
        return Reason.SCOPE_UNKNOWN, ""
    if resource.is_builtin:
        return None, EVERYONE
    expired = False
    for binding, through in held:
        role = policy.roles.get(binding.role_id)
        if role is None:
            continue
        chain = role.grants.get((resource.id, scope)) or role.grants.get((ANY_RESOURCE, scope))
        if chain is None:
            continue
        if binding.expires_at is None or now < binding.expires_at:
            return None, _source(chain, through)
        expired = True
    return (Reason.ROLE_EXPIRED if expired else Reason.ROLE_MISSING), ""


def _held(policy: Policy, subject: Subject) -> Iterable[tuple[HeldRole, str]]:
    """Direct bindings first, then groups in a fixed order, so that equal inputs name equal sources."""
    for binding in subject.roles:
        yield binding, ""
    for group in sorted(subject.groups):
        for binding in policy.group_roles.get(group, ()):
            yield binding, policy.groups[group]


def _source(chain: tuple[str, ...], group: str) -> str:
    text = f"role {chain[0]}"
    if len(chain) > 1:
        text += f" (includes {' -> '.join(chain[1:])})"
    return f"{text} through group {group}" if group else text
