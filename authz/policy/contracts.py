"""Scope contracts: which tools a scope opens, by content, so that it never opens another one unseen (S12). Pure.

A contract is the list of the tools of one scope of one server, named by its digest. A tool that was added and not
reviewed is declared and does not count: it is in no token, no consent and no authorization detail.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from authz.policy.snapshot import Resource

RISKS = ("read", "write", "destructive")
"""Of a scope of an MCP server, the harmless first."""

CLAIM = "mcp_tools"
"""In access tokens of a tenant that reviews: the tools that the scopes of the token open, and no others."""


def digest_of(tools: Iterable[str]) -> str:
    """Of a list of tools; their order says nothing."""
    return hashlib.sha256(json.dumps(sorted(set(tools))).encode()).hexdigest()


def in_force(tools: Sequence[str], unreviewed: Mapping[str, Any] | None) -> tuple[str, ...]:
    """Those of the declared ones that count."""
    waiting = frozenset[str]() if unreviewed is None else frozenset(unreviewed["tools"])
    return tuple(it for it in tools if it not in waiting)


@dataclass(frozen=True)
class Meaning:
    """What of a scope a person agrees to, as the consent page shows it."""

    words: str
    risk: str
    tools: frozenset[str]
    """Those that count."""

    def is_within(self, agreed: "Meaning") -> bool:
        """Whether whoever agreed to `agreed` has agreed to this.

        Words are not weighed, because nobody can tell from a text whether it promises more.
        """
        return (
            self.words == agreed.words
            and RISKS.index(self.risk) <= RISKS.index(agreed.risk)
            and self.tools <= agreed.tools
        )


def opened(resource: Resource, scopes: Iterable[str]) -> list[str]:
    """The tools that these scopes of a server open, in order."""
    granted = [resource.scopes[it] for it in scopes if it in resource.scopes]
    return sorted({tool for it in granted for tool in it.tools})
