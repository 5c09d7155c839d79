"""Credentials of the systems behind MCP servers: which server gets what under which name, and for which tokens. Pure.

Decisions:
- Here is where a secret is, and never what it is: it stays in its store until somebody who may have it asks
  (`oauth.releasing`), and is not kept after that.
- A credential is one server's (V4). Two servers that need the same secret name it twice, so that taking it from one
  leaves the other what it has, and the trail says which of them had it.
- All scopes that are named have to be held: "any of them" would be the weakest of them.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from authz.errors import Invalid
from authz.policy.scopes import is_scope_name
from authz.secretstores import HINT, is_reference
from authz.tenants import SLUG_PATTERN

MAX_REFERENCE_CHARS = 2048
_MAX_SCOPES = 100


@dataclass(frozen=True)
class UpstreamCredential:
    """One of one MCP server."""

    id: str
    resource_id: str
    name: str
    reference: str
    scopes: frozenset[str]
    """What a token has to hold; nothing: any token for the server will do."""


@dataclass(frozen=True)
class UpstreamCredentials:
    """All of a tenant."""

    by_place: Mapping[tuple[str, str], UpstreamCredential] = field(default_factory=dict)
    """By server and name."""
    names: frozenset[str] = frozenset()
    """Of any server."""
    holders: frozenset[str] = frozenset()
    """The servers that have one."""

    @classmethod
    def of(cls, credentials: Iterable[UpstreamCredential]) -> "UpstreamCredentials":
        """From credentials of which no two have the same server and name."""
        by_place = {(it.resource_id, it.name): it for it in credentials}
        return cls(
            by_place,
            names=frozenset(name for _, name in by_place),
            holders=frozenset(server for server, _ in by_place),
        )

    def find(self, resource_id: str, name: str) -> UpstreamCredential | None:
        """What this server gets under this name."""
        return self.by_place.get((resource_id, name))

    def has_any(self, resource_id: str) -> bool:
        """Whether there is something to release to this server."""
        return resource_id in self.holders


def check_name(name: str) -> str:
    """What a server asks by. Raises Invalid."""
    if re.fullmatch(SLUG_PATTERN, name) is None:
        raise Invalid(
            f"{name!r} is not a name for a credential: lower-case letters, digits and inner hyphens, at most 63"
        )
    return name


def check_reference(reference: str) -> str:
    """Where the secret is. Raises Invalid, which does not repeat what may be the secret itself."""
    if not is_reference(reference):
        raise Invalid(f"what was given is not a secret reference; {HINT}")
    if len(reference) > MAX_REFERENCE_CHARS:
        raise Invalid(
            f"the reference has {len(reference)} characters, more than {MAX_REFERENCE_CHARS}"
        )
    return reference


def check_scopes(given: Iterable[str]) -> list[str]:
    """What a token has to hold, in order. Raises Invalid naming the scope."""
    names = sorted(set(given))
    if len(names) > _MAX_SCOPES:
        raise Invalid(f"a credential takes at most {_MAX_SCOPES} scopes")
    for name in names:
        if not is_scope_name(name):
            raise Invalid(f"{name!r} is not the name of a scope")
    return names
