"""Who may exchange tokens of one MCP server for tokens of the next, and which scopes that carries over. Pure.

Decisions:
- Nothing is carried over that no rule names (TX-07): possession of a token never suffices.
- A scope of the next server is carried by scopes of this one, so "never more than the token held" (TX-08, CHAIN-05) has
  a meaning between servers whose scopes have nothing in common. By itself a scope carries its namesake.
- What is carried still has to be the person's at the next server: their roles decide, as always.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from authz.errors import Invalid
from authz.policy.scopes import is_scope_name

MAX_DEPTH = 5
"""Of the chain of actors in any token."""
_MAX_SCOPES = 100


@dataclass(frozen=True)
class Delegation:
    """One rule: this client, from that server to this one."""

    id: str
    client_id: str
    from_id: str
    to_id: str
    carries: Mapping[str, frozenset[str]]
    """Scope of the next server -> the scopes of this one of which any carries it."""
    max_depth: int = MAX_DEPTH

    def carried(self, held: frozenset[str]) -> frozenset[str]:
        """What a token with these scopes can be exchanged for, at most."""
        return frozenset(it for it, by in self.carries.items() if not by.isdisjoint(held))


@dataclass(frozen=True)
class Delegations:
    """All rules of a tenant."""

    by_place: Mapping[tuple[str, str, str], Delegation] = field(default_factory=dict)
    actors: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """By server: who may exchange its tokens."""

    @classmethod
    def of(cls, rules: Iterable[Delegation]) -> "Delegations":
        """From rules of which no two are for the same client, from and to."""
        by_place = {(it.client_id, it.from_id, it.to_id): it for it in rules}
        actors: dict[str, frozenset[str]] = {}
        for it in by_place.values():
            actors[it.from_id] = actors.get(it.from_id, frozenset()) | {it.client_id}
        return cls(by_place, actors)

    def find(self, client_id: str, from_id: str, to_id: str) -> Delegation | None:
        """The rule for this exchange."""
        return self.by_place.get((client_id, from_id, to_id))


def check_carries(given: Mapping[str, Iterable[str]]) -> dict[str, list[str]]:
    """What an operator wrote, in order. Raises Invalid naming the scope."""
    if not 1 <= len(given) <= _MAX_SCOPES:
        raise Invalid(
            f"a delegation carries 1 to {_MAX_SCOPES} scopes; name them with --scope",
            field="carries",
        )
    made = {}
    for scope, by in sorted(given.items()):
        names = sorted(set(by))
        for name in (scope, *names):
            if not is_scope_name(name):
                raise Invalid(f"{name!r} is not the name of a scope", field="carries")
        if not names:
            raise Invalid(
                f"{scope} is carried by nothing; write {scope}=SCOPE, or {scope} alone",
                field="carries",
            )
        made[scope] = names
    return made


def check_depth(depth: int) -> int:
    """The longest chain of actors a rule allows. Raises Invalid."""
    if not 1 <= depth <= MAX_DEPTH:
        raise Invalid(f"max depth {depth} is not 1 to {MAX_DEPTH}", field="max_depth")
    return depth


def chain_of(act: object) -> tuple[str, ...]:
    """The actors of an `act` claim of ours, the current one first."""
    found = []
    while isinstance(act, Mapping):
        found.append(str(act["sub"]))
        act = act.get("act")
    return tuple(found)


def nested(chain: Iterable[str]) -> dict[str, Any] | None:
    """The `act` claim of this chain (RFC 8693 §4.1); None without an actor."""
    made: dict[str, Any] | None = None
    for actor in reversed(tuple(chain)):
        made = {"sub": actor} if made is None else {"sub": actor, "act": made}
    return made
