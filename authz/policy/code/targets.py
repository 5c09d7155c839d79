"""`targets`: authorization servers of others that ID-JAGs are issued for, by their short name.

    targets:
      partner: {issuer: https://login.partner.example, settings: {clients: {portal: portal-at-partner}}}

What a setting may be is in docs/id-jag-issuing.md. Their MCP servers are `resources` with `issued_by`. One that the
directory does not have is removed, or switched off where MCP servers of its own are registered.
"""

from typing import Any

from pydantic import Field

from authz.policy.code.entries import Change, Entry, Shape, Slug, Url


class TargetEntry(Entry):
    """One authorization server."""

    issuer: Url
    """As in its metadata, letter by letter; fixed once it is there."""
    enabled: bool = True
    """Whether assertions are issued for it."""
    settings: dict[str, Any] = Field(default={})
    """What it is told."""


def widens(change: Change) -> bool:
    """Whatever is not its end may tell it more."""
    return change.after is not None and change.after["enabled"]


SHAPE = Shape(dict[Slug, TargetEntry], widens)
