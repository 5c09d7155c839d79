"""One scope of one server under one policy, and the sign-ins that its requirements tell apart."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import product

from authz.directory.assurance import UNKNOWN_TIME, Authentication
from authz.policy import Subject, decide
from authz.policy.reach.crowd import Crowd, Held, Moment
from authz.policy.requirements import LOCAL, Requirement
from authz.policy.rollout import FULL, READ, READ_ONLY, Rollout
from authz.policy.snapshot import HeldRole, Policy, Resource, Scope

_NOBODY = Rollout(READ_ONLY)
Sign = tuple[bool | str, tuple[Requirement | None, ...]]
"""What tells holders apart as far as one scope goes: whether it is over (or the group), and what the ways require."""


@dataclass(frozen=True)
class Spot:
    """One scope of one server under one policy."""

    moment: Moment
    resource: Resource | None
    scope: str
    classes: Mapping["Sign", tuple[Held, int]]

    @property
    def declared(self) -> Scope | None:
        """The scope, where the server has it."""
        return None if self.resource is None else self.resource.scopes.get(self.scope)

    @property
    def requirements(self) -> list[Requirement]:
        """All that some way to it asks for."""
        own = None if self.declared is None else self.declared.requires
        found = [*(it for _, ways in self.classes for it in ways), own]
        return [it for it in found if it is not None]

    def facts(self, connections: Iterable[str]) -> object:
        """All that an answer depends on, but for who is asked about."""
        enabled = self.resource is not None and self.resource.enabled
        masks = {sign: mask for sign, (_, mask) in self.classes.items()}
        standing = self.moment.policy.open_connections.intersection(connections)
        declared = self.declared
        asked = None if declared is None else (declared.requires,)
        return enabled, asked, masks, standing, self._rollout

    @property
    def _rollout(self) -> object:
        server, groups = self.rolled_out, self.moment.holdings.groups
        if server is None:
            return None
        return server.rollout, {id_: groups[id_] for id_ in server.rollout.groups}

    @property
    def rolled_out(self) -> Resource | None:
        """The server, where it matters here how far it is rolled out."""
        declared = self.declared
        return None if declared is None or declared.risk == READ else self.resource

    def granted(self, one: "Alike", sign_ins: Sequence["SignIn"], now: datetime) -> frozenset[int]:
        """By which of the sign-ins whoever is alike in this gets the scope."""
        if self.resource is None:
            return frozenset()
        resource = replace(self.resource, rollout=FULL if one.is_admitted else _NOBODY)
        held = one.held
        roles = tuple(it for it in held if isinstance(it, HeldRole))
        groups = frozenset(it for it in held if isinstance(it, str))
        found = []
        for number, sign_in in enumerate(sign_ins):
            authentication = sign_in.at(self.moment.policy)
            if authentication is None:
                continue
            decision = decide(
                self.moment.policy,
                Subject("", authentication=authentication, roles=roles, groups=groups),
                resource,
                client="",
                requested=frozenset({self.scope}),
                ceilings=(),
                now=now,
            )
            if decision.granted:
                found.append(number)
        return frozenset(found)


@dataclass(frozen=True)
class Alike:
    """What some of the crowd have in common as far as one scope goes, under one policy."""

    held: tuple[Held, ...] = ()
    is_admitted: bool = True


@dataclass(frozen=True)
class SignIn:
    """A way to have signed in that some requirement tells from another."""

    connection: str
    acr: str | None
    at_time: datetime

    def at(self, policy: Policy) -> Authentication | None:
        """None where nobody can come from there."""
        if self.connection == LOCAL:
            return Authentication(self.at_time, self.acr)
        id_ = next(
            (it.id for it in policy.connections.values() if it.slug == self.connection), None
        )
        return None if id_ is None else Authentication(self.at_time, self.acr, id_)


def spot_of(moment: Moment, resource: Resource | None, scope: str) -> Spot:
    """The scope, with those who hold a role that has a way to it."""
    classes = {} if resource is None else _classes(moment, resource, scope)
    return Spot(moment, resource, scope, classes)


def _classes(moment: Moment, resource: Resource, scope: str) -> Mapping[Sign, tuple[Held, int]]:
    if resource.is_administration:
        of_groups = moment.holdings.groups.items()
        bound = {id_ for kind, id_ in moment.policy.administrators if kind == "group"}
        return {(id_, ()): (id_, mask) for id_, mask in of_groups if id_ in bound}
    found: dict[Sign, tuple[Held, int]] = {}
    for it in moment.holders_of(resource.id, scope):
        sign = (it.is_over, tuple(way.requires for way in it.ways))
        first, others = found.get(sign, (it.held, 0))
        found[sign] = first, others | it.mask
    return found


def classes_of(
    crowd: Crowd, old: Spot, new: Spot, admitted: Sequence[Callable[[str], int]]
) -> Iterator[tuple[int, Alike, Alike]]:
    """Those who are equal as far as this scope goes, with what they are before and after.

    `admitted` tells whom a server is rolled out to, before and after.
    """
    parts = [(crowd.everybody, Alike(), Alike())]
    for is_new, spot in enumerate((old, new)):
        if spot.rolled_out is not None:
            parts = list(_split(parts, admitted[is_new](spot.rolled_out.id), is_new))
        for held, holders in spot.classes.values():
            parts = list(_split(parts, holders, is_new, held))
    yield from parts


def _split(
    parts: Iterable[tuple[int, Alike, Alike]], mask: int, is_new: int, held: Held | None = None
) -> Iterator[tuple[int, Alike, Alike]]:
    """Each into those in the mask, who hold this, and the others; without it, who are not admitted."""
    for part, *pair in parts:
        one = pair[is_new]
        within = one if held is None else replace(one, held=(*one.held, held))
        without = one if held is not None else replace(one, is_admitted=False)
        for some, alike in ((part & mask, within), (part & ~mask, without)):
            if some:
                yield (some, pair[0], alike) if is_new else (some, alike, pair[1])


def sign_ins_of(old: Spot, new: Spot, mentioned: Sequence[str], now: datetime) -> Sequence[SignIn]:
    """One for each that the requirements can tell apart; without any of those, one is enough."""
    required = [*old.requirements, *new.requirements]
    acrs = {None, *(value for it in required for value in it.acr or ())}
    ages = {it.max_age for it in required if it.max_age is not None}
    moments = {UNKNOWN_TIME, *(now - timedelta(seconds=age) for age in ages)}
    open_ = old.moment.policy.open_connections & new.moment.policy.open_connections
    others = sorted({LOCAL, *open_} - set(mentioned))
    # Of those that nothing is said about, one stands for all.
    places = [*mentioned, *others[:1]]
    return [SignIn(*it) for it in product(places, acrs, moments)]


def connections_of(required: Iterable[Requirement]) -> list[str]:
    """Those that are named."""
    return sorted({slug for it in required for slug in it.connection or ()})
