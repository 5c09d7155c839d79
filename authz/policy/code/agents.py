"""`agents`: programs that act, each with somebody who answers for it, by their short name.

    agents:
      triage:
        purpose: Sorts tickets
        owner: ada@corp.example
        servers: [https://tickets.example.com/mcp]
        clients: [triage-job, cluster/router]
        ceiling: [tickets.read]
        until: 2026-12-31T00:00:00Z

A client of its own is named by its identifier, a workload as ISSUER/RULE by their short names. That an agent sleeps
because nobody used it is no policy. One that the directory does not have is killed, which is for good.
"""

from typing import Annotated

from pydantic import AfterValidator, Field

from authz.policy.code.entries import (
    Change,
    Each,
    Entry,
    Moment,
    ScopeName,
    Shape,
    Slug,
    Url,
    in_order,
)


class AgentEntry(Entry):
    """One agent."""

    purpose: Annotated[str, Field(min_length=1, max_length=500)]
    """What it is for."""
    owner: Annotated[str, Field(min_length=1, max_length=254)]
    """The login of whoever answers for it."""
    servers: Annotated[tuple[Url, ...], Each, AfterValidator(in_order)] = ()
    """Where it may act."""
    clients: Annotated[tuple[str, ...], Each, AfterValidator(in_order)] = ()
    """Its own; a client belongs to one agent at most."""
    ceiling: Annotated[tuple[ScopeName, ...], Each, AfterValidator(in_order)] | None = None
    """The most it ever gets; without it, no bound."""
    until: Moment | None = None
    """When it ends."""
    dormant_after_days: Annotated[int, Field(ge=1, le=3650)] = 30
    """Without a token for so long it is put to sleep."""


def widens(change: Change) -> bool:
    """A bound of what its clients get falls, moves or ends later. A new agent only bounds clients that were there."""
    before, after = change.before, change.after
    if before is None or after is None:
        return False
    further = not set(after["servers"]) <= set(before["servers"])
    free = not set(before["clients"]) <= set(after["clients"])
    more = before["ceiling"] is not None and (
        after["ceiling"] is None or not set(after["ceiling"]) <= set(before["ceiling"])
    )
    later = before["until"] is not None and (
        after["until"] is None or after["until"] > before["until"]
    )
    return further or free or more or later


SHAPE = Shape(dict[Slug, AgentEntry], widens)
