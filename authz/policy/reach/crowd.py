"""Everybody as bits of a number: who there is, and what they hold at one moment."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from itertools import islice
from typing import NamedTuple

from authz.policy import Ceiling
from authz.policy.rollout import CANARY, FULL_STATE
from authz.policy.snapshot import ANY_RESOURCE, HeldRole, Place, Policy, Resource, Way

_SET = re.compile(rb"[^\x00]")
Holder = tuple[str, bool]
"""A role by id, and whether the binding is over."""
Held = HeldRole | str
"""What somebody holds of a scope: a binding, or (of the administration) a group that administers, by id."""
Claim = tuple[str, str, str]
"""Connection, claim, value."""


@dataclass(frozen=True)
class Crowd:
    """Everybody, in an order; the facts of two moments are about the same one."""

    people: Sequence[str]
    """Logins."""
    ids: Sequence[str] = ()
    """Of the same people."""
    claims: Sequence[Claim] = ()
    """Behind the people."""

    @property
    def size(self) -> int:
        """Bits."""
        return len(self.people) + len(self.claims)

    @property
    def everybody(self) -> int:
        """The mask of all of them."""
        return (1 << self.size) - 1

    def names(self, mask: int, limit: int | None) -> list[str]:
        """Of those in a mask, the first ones."""
        return [self.name(number) for number in islice(_bits(mask), limit)]

    def name(self, number: int) -> str:
        """Of one."""
        if number < len(self.people):
            return self.people[number]
        connection, claim, value = self.claims[number - len(self.people)]
        return f"whoever has {claim}={value} at {connection}"


@dataclass(frozen=True)
class Machine:
    """A client that acts for itself."""

    may_act: bool
    bounds: Callable[[Resource], Sequence[Ceiling]]


@dataclass(frozen=True)
class Holdings:
    """Who holds what, as masks of the crowd."""

    roles: Mapping[Holder, tuple[HeldRole, int]]
    """With a binding to ask with."""
    groups: Mapping[str, int]
    """Of groups that say something by themselves: those that administer, and those a server is rolled out to."""


class Holding(NamedTuple):
    """Those who hold a role, as far as one scope goes."""

    held: HeldRole
    is_over: bool
    mask: int
    ways: tuple[Way, ...]


@dataclass(frozen=True)
class Moment:
    """One policy and who is who under it."""

    policy: Policy
    holdings: "Holdings"
    machines: Mapping[str, Machine] = field(default_factory=dict)

    def holders_of(self, resource_id: str, scope: str) -> Iterator[Holding]:
        """Every role with a way to a scope there that somebody holds."""
        own = self._by_place.get((resource_id, scope), ())
        yield from own
        # A role's ways at one server have those at every server behind them.
        known = {it.held.role_id for it in own}
        for it in self._by_place.get((ANY_RESOURCE, scope), ()):
            if it.held.role_id not in known:
                yield it

    @cached_property
    def _by_place(self) -> Mapping[Place, Sequence[Holding]]:
        """Made once: of a thousand roles few have to do with any one scope."""
        found: dict[Place, list[Holding]] = {}
        for (role_id, is_over), (held, mask) in self.holdings.roles.items():
            role = self.policy.roles.get(role_id)
            for place, ways in ({} if role is None else role.grants).items():
                found.setdefault(place, []).append(Holding(held, is_over, mask, ways))
        return found


def mask_of(crowd: Crowd, numbers: Iterable[int]) -> int:
    """Those of the crowd."""
    bits = bytearray((crowd.size + 7) // 8)
    for number in numbers:
        bits[number >> 3] |= 1 << (number & 7)
    return int.from_bytes(bits, "little")


def hold(
    crowd: Crowd,
    policy: Policy,
    direct: Iterable[tuple[HeldRole, int]],
    members: Mapping[str, int],
    now: datetime,
) -> Holdings:
    """From who holds what by themselves, and who is in which group; people as masks."""
    roles: dict[Holder, tuple[HeldRole, int]] = {}

    def give(held: HeldRole, mask: int) -> None:
        holder = (held.role_id, held.expires_at is not None and now >= held.expires_at)
        first, others = roles.get(holder, (held, 0))
        roles[holder] = first, others | mask

    for held, mask in direct:
        give(held, mask)
    claimed: dict[str, list[int]] = {}
    for group, number in _claimed(crowd, policy):
        claimed.setdefault(group, []).append(number)

    def everybody_in(group: str) -> int:
        return members.get(group, 0) | mask_of(crowd, claimed.get(group, ()))

    for group, bindings in policy.group_roles.items():
        mask = everybody_in(group)
        for held in bindings:
            give(held, mask)
    return Holdings(roles, {group: everybody_in(group) for group in _speaking(policy)})


def _speaking(policy: Policy) -> set[str]:
    administering = {id_ for kind, id_ in policy.administrators if kind == "group"}
    return administering.union(*(it.rollout.groups for it in policy.resources.values()))


def admitted(crowd: Crowd, moment: Moment, resource: Resource, *, is_new: bool) -> int:
    """Who may have more than reading there while it is rolled out.

    Of whoever will come with a value nobody knows whether they are in the percentage: some are. Of a new server nobody
    knows it of anybody.
    """
    rollout = resource.rollout
    if rollout.state != CANARY:
        return crowd.everybody if rollout.state == FULL_STATE else 0
    if rollout.percent and is_new:
        return crowd.everybody
    found = 0
    for id_ in rollout.groups:
        found |= moment.holdings.groups[id_]
    if rollout.percent:
        inside = mask_of(
            crowd,
            (
                number
                for number, id_ in enumerate(crowd.ids)
                if rollout.admits(resource.id, id_, frozenset())
            ),
        )
        found |= inside | crowd.everybody >> len(crowd.people) << len(crowd.people)
    return found


def _claimed(crowd: Crowd, policy: Policy) -> Iterator[tuple[str, int]]:
    numbers = {claim: len(crowd.people) + n for n, claim in enumerate(crowd.claims)}
    for claim, group in _mapped(policy):
        if claim in numbers:
            yield group, numbers[claim]


def claims_of(policies: Iterable[Policy]) -> list[Claim]:
    """Every value that some mapping names and that people may come with."""
    return sorted({claim for policy in policies for claim, _ in _mapped(policy)})


def _mapped(policy: Policy) -> Iterator[tuple[Claim, str]]:
    for connection in policy.connections.values():
        if connection.enabled:
            for claim, value, group in policy.mappings.get(connection.id, ()):
                yield (connection.slug, claim, value), group


def _bits(mask: int) -> Iterator[int]:
    """Their numbers, ascending. Shifting a long number copies it, so its bytes are searched for what is not 0."""
    data = mask.to_bytes((mask.bit_length() + 7) // 8, "little")
    for match in _SET.finditer(data):
        index, byte = match.start(), data[match.start()]
        yield from (index * 8 + bit for bit in range(8) if byte >> bit & 1)
