"""`delegations`: which client may exchange tokens of one MCP server for tokens of another, carrying what.

delegations:
  - client: gateway
    from_server: https://tickets.example.com/mcp
    to_server: https://people.example.com/mcp
    carries: {people.read: [tickets.read]}
"""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from authz.policy.code.entries import Change, Each, Entry, ScopeName, Shape, Url, in_order

_Carriers = Annotated[tuple[ScopeName, ...], Each, AfterValidator(in_order), Field(min_length=1)]


class DelegationEntry(Entry):
    """One rule; one at most for the same client and servers."""

    client: Annotated[str, Field(min_length=1, max_length=2048)]
    """Who exchanges."""
    from_server: Url
    """Whose tokens it has."""
    to_server: Url
    """For which it gets others."""
    carries: dict[ScopeName, _Carriers] = Field(min_length=1)
    """Each scope there, and the scopes here of which any carries it."""
    max_depth: Annotated[int, Field(ge=1, le=5)] = 5
    """The longest chain of actors."""


def name_of(entry: Mapping[str, Any]) -> str:
    """As people read it; no URL has a space."""
    return f"{entry['client']}: {entry['from_server']} -> {entry['to_server']}"


def widens(change: Change) -> bool:
    """A chain of calls becomes possible, or another one."""
    return change.after is not None


SHAPE = Shape(list[DelegationEntry], widens, name_of=name_of)
