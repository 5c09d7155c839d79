"""How a person must have signed in for a role or a scope to count (pure).

    {"acr": ["urn:example:phr", "urn:authz:acr:mfa"], "max_age": 300, "connection": ["okta", "local"]}

Every member holds, and of the values of one any will do. `local` is the local directory.

Decisions:
- Where nobody signed in (a client on its own behalf) nothing is met: deny by default.
- `max_age` has no leeway; what travels between machines and may need some is judged where it arrives. It is 60 seconds
  at least, so that a sign-in, a look at the consent page and the redemption of a code fit into it. It holds for each
  token anew: the moment it is made counts, not the moment it was asked for.
- Several requirements on the way to one scope are one (`both`), so a way has one answer to what is missing and a person
  is asked once for all of it. They may contradict each other; then nobody can meet them.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from authz.directory.assurance import PASSWORD, Authentication
from authz.errors import Invalid
from authz.policy.reasons import Reason
from authz.tenants import SLUG_PATTERN

LOCAL = "local"
"""The local directory, among the slugs of connections."""
MIN_MAX_AGE, MAX_MAX_AGE = 60, 366 * 24 * 3600
"""Seconds."""
_MAX_VALUES = 20
# What `acr_values` of a request and of a challenge can carry: no space, quote or backslash (RFC 9470 §3).
_ACR = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,128}")
_CONNECTION = re.compile(SLUG_PATTERN)


@dataclass(frozen=True)
class Requirement:
    """None demands nothing. An empty set, which only `both` can make, is met by nobody."""

    acr: frozenset[str] | None = None
    """Any of these ways to sign in."""
    max_age: int | None = None
    """Seconds since they last proved who they are, at most."""
    connection: frozenset[str] | None = None
    """Through any of these identity providers, by slug."""

    def __str__(self) -> str:
        parts = []
        if self.acr is not None:
            parts.append(f"acr {' or '.join(sorted(self.acr)) or 'of no kind'}")
        if self.max_age is not None:
            parts.append(f"signed in {self.max_age} seconds ago at most")
        if self.connection is not None:
            parts.append(f"through {' or '.join(sorted(self.connection)) or 'nobody'}")
        return ", ".join(parts)


def is_acr(text: str) -> bool:
    """Whether a way to sign in may be called this."""
    return _ACR.fullmatch(text) is not None


def parse(value: object) -> Requirement:
    """Read the JSON form. Raises Invalid."""
    known = "acr, max_age and connection"
    if not isinstance(value, Mapping) or not value:
        raise Invalid(f"`requires` is an object with some of {known}")
    for name in value:
        if name not in ("acr", "max_age", "connection"):
            raise Invalid(f"`requires` has the unknown member {name!r}; known: {known}")
    return Requirement(
        acr=_values(value, "acr", _ACR, "an acr: 1 to 128 visible ASCII characters, no quotes"),
        max_age=_max_age(value),
        connection=_values(value, "connection", _CONNECTION, "the slug of a connection"),
    )


def as_json(requirement: Requirement) -> dict[str, Any]:
    """The form that `parse` reads."""
    members = {
        "acr": None if requirement.acr is None else sorted(requirement.acr),
        "max_age": requirement.max_age,
        "connection": None if requirement.connection is None else sorted(requirement.connection),
    }
    return {name: value for name, value in members.items() if value is not None}


def read_recorded(value: Mapping[str, Any]) -> Requirement:
    """Of a record of ours; unlike what can be written, it may be what nobody meets."""
    acr, connection = value.get("acr"), value.get("connection")
    return Requirement(
        acr=None if acr is None else frozenset(acr),
        max_age=value.get("max_age"),
        connection=None if connection is None else frozenset(connection),
    )


def both(one: Requirement | None, other: Requirement | None) -> Requirement | None:
    """What is met by whoever meets the one and the other, and by nobody else."""
    if one is None or other is None:
        return other if one is None else one
    return Requirement(
        acr=_common(one.acr, other.acr),
        max_age=min((age for age in (one.max_age, other.max_age) if age is not None), default=None),
        connection=_common(one.connection, other.connection),
    )


def is_implied(one: Requirement | None, other: Requirement | None) -> bool:
    """Whether everybody who meets the other meets the one."""
    return both(one, other) == other


def unmet(
    requirement: Requirement,
    authentication: Authentication | None,
    connection: str | None,
    now: datetime,
) -> Reason | None:
    """What the sign-in lacks first; `connection` names where it was made, as `Requirement.connection` does."""
    if requirement.connection is not None and (
        authentication is None or connection not in requirement.connection
    ):
        return Reason.CONNECTION_NOT_ALLOWED
    if requirement.acr is not None and (
        authentication is None or authentication.acr not in requirement.acr
    ):
        return Reason.ACR_INSUFFICIENT
    if requirement.max_age is not None and (
        authentication is None
        or now - authentication.auth_time > timedelta(seconds=requirement.max_age)
    ):
        return Reason.AUTHENTICATION_TOO_OLD
    return None


def ways_to_meet(requirement: Requirement, connections: Collection[str]) -> frozenset[str]:
    """Where a sign-in could do, with these connections switched on; empty where none could.

    What an identity provider is able to do is known to it alone; of the local directory it is known here.
    """
    if requirement.acr is not None and not requirement.acr:
        return frozenset()
    ways = {*connections, LOCAL}
    if requirement.connection is not None:
        ways &= requirement.connection
    if requirement.acr is not None and PASSWORD not in requirement.acr:
        ways.discard(LOCAL)
    return frozenset(ways)


def _common(one: frozenset[str] | None, other: frozenset[str] | None) -> frozenset[str] | None:
    if one is None or other is None:
        return other if one is None else one
    return one & other


def _values(
    value: Mapping[str, Any], name: str, pattern: re.Pattern[str], expected: str
) -> frozenset[str] | None:
    if name not in value:
        return None
    given = value[name]
    items = [given] if isinstance(given, str) else given
    if not isinstance(items, Sequence) or not 1 <= len(items) <= _MAX_VALUES:
        raise Invalid(f"`{name}` in `requires` holds 1 to {_MAX_VALUES} values", field=name)
    for item in items:
        if not isinstance(item, str) or pattern.fullmatch(item) is None:
            raise Invalid(f"{item!r} in `requires` is not {expected}", field=name)
    if len(set(items)) < len(items):
        raise Invalid(f"`{name}` in `requires` holds a value twice", field=name)
    return frozenset(items)


def _max_age(value: Mapping[str, Any]) -> int | None:
    if "max_age" not in value:
        return None
    age = value["max_age"]
    if type(age) is not int or not MIN_MAX_AGE <= age <= MAX_MAX_AGE:
        raise Invalid(
            f"`max_age` in `requires` is {age!r}; {MIN_MAX_AGE} to {MAX_MAX_AGE} seconds are possible",
            field="max_age",
        )
    return age
