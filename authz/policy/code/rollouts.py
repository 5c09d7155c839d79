"""`rollouts`: how far MCP servers are rolled out, by URL; those that are not named are `full`.

    rollouts:
      https://tickets.example.com/mcp: {state: canary, groups: [Pilots], percent: 10}

Leave the key out where the state is moved by hand, as calls are observed.
"""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from authz.policy.code.entries import Each, Entry, Shape, Url, in_order, never


class RolloutEntry(Entry):
    """The state of one server."""

    state: Literal["read_only", "canary", "full"] = "full"
    """Reading for all; everything for some; everything for all."""
    groups: Annotated[tuple[str, ...], Each, AfterValidator(in_order)] = ()
    """In `canary`: whose people have everything that their roles hold."""
    percent: Annotated[int, Field(ge=0, le=100)] = 0
    """In `canary`: of all others, so many have it as well."""


SHAPE = Shape(dict[Url, RolloutEntry], widens=never)
