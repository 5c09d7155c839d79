"""Everybody as bits of a number: who there is, and what they hold at one moment."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from authz.policy import Ceiling
from authz.policy.rollout import CANARY, FULL_STATE
from authz.policy.snapshot import HeldRole, Policy, Resource

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

    def names(self, mask: int, limit: int | None) -> list[str]:
        """Of those in a mask, the first ones."""
        found: list[str] = []
        for number in _bits(mask):
            if limit is not None and len(found) >= limit:
                break
            found.append(self.name(number))
        return found

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


@dataclass(frozen=True)
class Moment:
    """One policy and who is who under it."""

    policy: Policy
    holdings: "Holdings"
    machines: Mapping[str, Machine] = field(default_factory=dict)


def hold(
    crowd: Crowd,
    policy: Policy,
    direct: Iterable[tuple[int, HeldRole]],
    members: Iterable[tuple[str, int]],
    now: datetime,
) -> Holdings:
    """From who holds what by themselves, and who is in which group; people by their number."""
    width = (crowd.size + 7) // 8
    masks: dict[Holder, bytearray] = {}
    asked: dict[Holder, HeldRole] = {}

    def bits_of(held: HeldRole) -> bytearray:
        holder = (held.role_id, held.expires_at is not None and now >= held.expires_at)
        asked.setdefault(holder, held)
        return masks.setdefault(holder, bytearray(width))

    for number, held in direct:
        bits_of(held)[number >> 3] |= 1 << (number & 7)
    by_group = {id_: [bits_of(it) for it in held] for id_, held in policy.group_roles.items()}
    groups = {id_: bytearray(width) for id_ in _speaking(policy)}
    for id_, bits in groups.items():
        by_group.setdefault(id_, []).append(bits)
    for group, number in (*members, *_claimed(crowd, policy)):
        for bits in by_group.get(group, ()):
            bits[number >> 3] |= 1 << (number & 7)
    return Holdings(
        {it: (asked[it], int.from_bytes(bits, "little")) for it, bits in masks.items()},
        {id_: int.from_bytes(bits, "little") for id_, bits in groups.items()},
    )


def _speaking(policy: Policy) -> set[str]:
    administering = {id_ for kind, id_ in policy.administrators if kind == "group"}
    return administering.union(*(it.rollout.groups for it in policy.resources.values()))


def admitted(crowd: Crowd, moment: Moment, resource: Resource) -> int:
    """Who may have more than reading there while it is rolled out.

    Of whoever will come with a value nobody knows whether they are in the percentage: some are.
    """
    rollout, everybody = resource.rollout, (1 << crowd.size) - 1
    if rollout.state != CANARY:
        return everybody if rollout.state == FULL_STATE else 0
    found = 0
    for id_ in rollout.groups:
        found |= moment.holdings.groups[id_]
    if rollout.percent:
        inside = bytearray((crowd.size + 7) // 8)
        for number, id_ in enumerate(crowd.ids):
            if rollout.admits(resource.id, id_, frozenset()):
                inside[number >> 3] |= 1 << (number & 7)
        strangers = everybody >> len(crowd.people) << len(crowd.people)
        found |= int.from_bytes(inside, "little") | strangers
    return found


def _claimed(crowd: Crowd, policy: Policy) -> Iterator[tuple[str, int]]:
    numbers = {claim: len(crowd.people) + n for n, claim in enumerate(crowd.claims)}
    for connection, rules in policy.mappings.items():
        slug = policy.slug_of(connection)
        for claim, value, group in rules:
            number = numbers.get((slug or "", claim, value))
            if number is not None and policy.is_enabled(connection):
                yield group, number


def claims_of(policies: Iterable[Policy]) -> list[Claim]:
    """Every value that some mapping names."""
    found = {
        (policy.slug_of(connection) or "", claim, value)
        for policy in policies
        for connection, rules in policy.mappings.items()
        for claim, value, _ in rules
    }
    return sorted(found)


def _bits(mask: int) -> Iterator[int]:
    """Their numbers, ascending. Shifting a long number copies it, so its bytes are searched for what is not 0."""
    data = mask.to_bytes((mask.bit_length() + 7) // 8, "little")
    for match in _SET.finditer(data):
        index, byte = match.start(), data[match.start()]
        yield from (index * 8 + bit for bit in range(8) if byte >> bit & 1)
