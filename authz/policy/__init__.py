"""The one policy engine: which scopes of one resource a subject gets through one client, and why not the rest.

`decide` is pure. Every grant type, the consent page, `explain` and the tests call this same function, so they cannot
disagree (L9). It owns the intersection and its reasons; it never reads a row, a clock or a request.

    granted = requested ∩ declared by the resource ∩ rolled out to them ∩ held through a role ∩ every ceiling
              ∩ met by the sign-in

Decisions:
- A role or scope may require something of the sign-in (`policy.requirements`). Every requirement on a way to a scope
  counts: of the bound role, of the roles it includes on this way, of the scope. Any way that is met will do.
- Of several ways of which none is met, the one that lacks least is told: who can go one of them is told of that one.
- The scopes of a built-in resource (what OpenID says of a person to a client) are held by every enabled person: no role
  is needed to be known, and a client's ceiling, which names scopes of MCP servers, does not speak of it.
- A client may be limited to groups of people. Nobody else gets anything through it, not even to be known to it. What it
  holds for itself is not bounded by that: there is nobody to be in a group.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from authz.directory.assurance import UNKNOWN_TIME, Authentication
from authz.policy.reasons import OF_AUTHENTICATION, RANKS, SENTENCES, Reason
from authz.policy.requirements import Requirement, as_json, both, unmet
from authz.policy.rollout import READ
from authz.policy.snapshot import ANY_RESOURCE, HeldRole, Policy, Resource
from authz.values import value

__all__ = [
    "EVERYONE",
    "OF_AUTHENTICATION",
    "SENTENCES",
    "Ceiling",
    "Conditions",
    "Decision",
    "Reason",
    "Subject",
    "client_ceiling",
    "decide",
]

EVERYONE = "everyone"
"""The source of a scope that every enabled person holds."""


@value(frozen=True)
class Subject:
    """A person as policy sees them."""

    id: str
    enabled: bool = True
    authentication: Authentication | None = None
    """None: nobody signed in; a client acts for itself."""
    roles: tuple[HeldRole, ...] = ()
    """Bound to the person directly."""
    groups: frozenset[str] = frozenset()
    scopes: frozenset[str] = frozenset()
    """Held without a role, as workloads may."""
    scopes_from: str = ""
    """Where those come from."""


@value(frozen=True)
class Ceiling:
    """An upper bound from somewhere else than the roles; `scopes=None` bounds nothing."""

    reason: Reason
    scopes: frozenset[str] | None


def client_ceiling(scopes: frozenset[str] | None, resource: Resource) -> Ceiling:
    """What an operator set for a client, as far as it is about this resource.

    Without one a client administers nothing: the ceiling has to name what it may.
    """
    if resource.is_administration:
        return Ceiling(Reason.CLIENT_CEILING, scopes or frozenset())
    return Ceiling(Reason.CLIENT_CEILING, None if resource.is_builtin else scopes)


@value(frozen=True)
class Conditions:
    """What was required of a sign-in, and what it was."""

    required: Mapping[str, Requirement]
    """By scope: of those granted, and of those removed because it was not met."""
    authentication: Authentication | None
    """None: nobody signed in."""
    connection: str | None
    """What requirements call the place of the sign-in."""

    def as_json(self) -> dict[str, Any]:
        """For the stored record."""
        required = {scope: as_json(it) for scope, it in self.required.items()}
        if self.authentication is None:
            return {"required": required, "signed_in": None}
        at = self.authentication.auth_time
        signed_in = {
            "auth_time": None if at == UNKNOWN_TIME else at.isoformat().replace("+00:00", "Z"),
            "acr": self.authentication.acr,
            "connection": self.connection,
        }
        return {"required": required, "signed_in": signed_in}


@value(frozen=True)
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
    conditions: Conditions | None = None
    """Where the sign-in mattered."""

    @property
    def granted(self) -> frozenset[str]:
        """The scopes of the token."""
        return frozenset(self.sources)

    def as_json(self) -> dict[str, Any]:
        """The stored record (version 1); it speaks of the sign-in only where that mattered."""
        about_the_sign_in = {} if self.conditions is None else self.conditions.as_json()
        return {
            "v": 1,
            "policy_version": self.policy_version,
            "subject": self.subject,
            "client": self.client,
            "resource": self.resource,
            "requested": None if self.requested is None else sorted(self.requested),
            "granted": dict(self.sources),
            "removed": {scope: str(reason) for scope, reason in self.removed.items()},
            **about_the_sign_in,
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
    is_left_out = _is_left_out(policy, subject, client)
    sources: dict[str, str] = {}
    removed: dict[str, Reason] = {}
    mattered: dict[str, Requirement] = {}
    held = tuple(
        _administering(policy, subject) if resource.is_administration else _held(policy, subject)
    )
    for scope in sorted(asked):
        reason, source, required = _decide_one(
            policy, subject, resource, scope, held, now, is_left_out=is_left_out
        )
        if reason is None or required is not None:
            bound = next(
                (c.reason for c in ceilings if c.scopes is not None and scope not in c.scopes), None
            )
            if bound is not None and (reason is None or RANKS[bound] < RANKS[reason]):
                reason, required = bound, None
        if required is not None:
            mattered[scope] = required
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
        conditions=_conditions(policy, subject, mattered) if mattered else None,
    )


def _is_left_out(policy: Policy, subject: Subject, client: str) -> bool:
    """Whether the client is limited to groups that this person is not in. A group that is gone has nobody in it."""
    groups = policy.client_groups.get(client)
    if groups is None or subject.authentication is None:
        return False
    return groups.isdisjoint(subject.groups)


def _decide_one(
    policy: Policy,
    subject: Subject,
    resource: Resource,
    scope: str,
    held: Iterable[tuple[HeldRole, str]],
    now: datetime,
    *,
    is_left_out: bool,
) -> tuple[Reason | None, str, Requirement | None]:
    """Why not, or by which way; and what of the sign-in it took, or would have taken."""
    if not subject.enabled:
        return Reason.SUBJECT_DISABLED, "", None
    if not policy.stands(subject.authentication):
        return Reason.CONNECTION_DISABLED, "", None
    if not resource.enabled:
        return Reason.RESOURCE_DISABLED, "", None
    if is_left_out:
        return Reason.CLIENT_GROUPS, "", None
    declared = resource.scopes.get(scope)
    if declared is None:
        return Reason.SCOPE_UNKNOWN, "", None
    if resource.is_builtin:
        return None, EVERYONE, None
    if declared.risk != READ and not resource.rollout.admits(
        resource.id, subject.id, subject.groups
    ):
        return Reason.ROLLOUT, "", None
    best, lacking = Reason.ROLE_MISSING, None
    if scope in subject.scopes:
        required = declared.requires
        if required is None:
            return None, subject.scopes_from, None
        connection = policy.connection_name(subject.authentication)
        reason = unmet(required, subject.authentication, connection, now)
        if reason is None:
            return None, subject.scopes_from, required
        best, lacking = reason, required
    for binding, through in held:
        role = policy.roles.get(binding.role_id)
        if role is None:
            continue
        ways = role.grants.get((resource.id, scope)) or role.grants.get((ANY_RESOURCE, scope))
        if ways is None:
            continue
        if binding.expires_at is not None and now >= binding.expires_at:
            best = max(best, Reason.ROLE_EXPIRED, key=RANKS.__getitem__)
            continue
        for chain, requires in ways:
            required = declared.requires if requires is None else both(requires, declared.requires)
            if required is None:
                return None, _source(chain, through), None
            connection = policy.connection_name(subject.authentication)
            reason = unmet(required, subject.authentication, connection, now)
            if reason is None:
                return None, _source(chain, through), required
            if RANKS[reason] > RANKS[best]:
                best, lacking = reason, required
    return best, "", lacking


def _conditions(
    policy: Policy, subject: Subject, required: Mapping[str, Requirement]
) -> Conditions:
    authentication = subject.authentication
    return Conditions(required, authentication, policy.connection_name(authentication))


def _held(policy: Policy, subject: Subject) -> Iterable[tuple[HeldRole, str]]:
    """Direct bindings first, then groups in a fixed order, so that equal inputs name equal sources."""
    for binding in subject.roles:
        yield binding, ""
    for group in sorted(subject.groups):
        for binding in policy.group_roles.get(group, ()):
            yield binding, policy.groups[group]


def _administering(policy: Policy, subject: Subject) -> Iterable[tuple[HeldRole, str]]:
    """The same of admin roles. Whoever did not sign in is a client, and is not taken for a person of that id."""
    kind = "client" if subject.authentication is None else "user"
    for binding in policy.administrators.get((kind, subject.id), ()):
        yield binding, ""
    for group in sorted(subject.groups):
        for binding in policy.administrators.get(("group", group), ()):
            yield binding, policy.groups[group]


def _source(chain: tuple[str, ...], group: str) -> str:
    text = f"role {chain[0]}"
    if len(chain) > 1:
        text += f" (includes {' -> '.join(chain[1:])})"
    return f"{text} through group {group}" if group else text
