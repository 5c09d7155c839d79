"""`resources`: MCP servers and their scopes, by URL.

    resources:
      https://tickets.example.com/mcp:
        name: Tickets
        owner: support@corp.example
        scopes:
          tickets.read: {description: Read tickets, risk: read, default: true, tools: [read_ticket]}

A server that the directory does not have is switched off: its tokens end, its records stay.
"""

from typing import Annotated, Literal

from pydantic import Field

from authz.policy.code.entries import (
    Each,
    Entry,
    Line,
    Requires,
    ScopeName,
    Shape,
    Slug,
    Url,
    never,
)

_Tools = tuple[Annotated[str, Field(min_length=1, max_length=128)], ...]


class ScopeEntry(Entry):
    """One scope of a server."""

    description: Annotated[str, Field(max_length=500)] = ""
    """What a person reads when they are asked."""
    risk: Literal["read", "write", "destructive"] = "write"
    """How much harm a call can do."""
    default: bool = False
    """Granted, if a role allows, to a request that names no scope."""
    tools: Annotated[_Tools, Each] = ()
    """The tools that it opens."""
    requires: Requires | None = None
    """How a person must have signed in to get it, whatever their roles require."""


class ResourceEntry(Entry):
    """One MCP server."""

    name: Line | None = None
    """What people read; without it, its URL."""
    owner: Line = ""
    """Who answers for it: a team or an address. Without it, as recorded; for a new server, whoever applies the file."""
    enabled: bool = True
    """Whether tokens are issued for it."""
    default: bool = False
    """The server that a request which names none is for; one at most."""
    identity: Literal["service_allowed", "user_required"] = "service_allowed"
    """`user_required`: no token for it without a person."""
    status_list: bool = False
    """Whether its tokens have a place in a token status list."""
    client: str | None = None
    """The client with which it asks about its tokens."""
    issued_by: Slug | None = None
    """The authorization server that issues its tokens, if that is not this one (`authz targets`)."""
    scopes: dict[ScopeName, ScopeEntry] = Field(default={})
    """By name."""


SHAPE = Shape(dict[Url, ResourceEntry], widens=never)
