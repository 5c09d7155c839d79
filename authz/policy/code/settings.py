"""`settings`: what is set for the tenant as a whole. What is not said stays as it is.

settings: {name: Corp, client_trust: allow_list, registration: "off", change_control: two_person}
"""

from typing import Annotated, Literal

from pydantic import Field

from authz.policy.code.entries import Change, Entry, Shape

_OPENNESS = {
    "client_trust": ("allow_list", "deny_list", "open"),
    "registration": ("off", "token", "open"),
    "change_control": ("two_person", "off"),
    "scope_changes": ("reviewed", "at_once"),
}
"""The strict ones first."""


class SettingsEntry(Entry):
    """Of one tenant."""

    name: Annotated[str, Field(min_length=1, max_length=100)] | None = None
    """What people read at the top of every page."""
    client_trust: Literal["open", "allow_list", "deny_list"] | None = None
    """What a client's metadata document needs to be used."""
    registration: Literal["off", "token", "open"] | None = None
    """Who may register a client by itself."""
    change_control: Literal["off", "two_person"] | None = None
    """Whether changes of policy by administrators take a second person."""
    scope_changes: Literal["at_once", "reviewed"] | None = None
    """Whether a tool that is added to a scope counts at once, or when somebody reviewed it."""


def widens(change: Change) -> bool:
    """One of them becomes less strict."""
    before, after = change.before or {}, change.after or {}
    return any(
        order.index(after[member]) > order.index(before[member])
        for member, order in _OPENNESS.items()
    )


SHAPE = Shape(SettingsEntry, widens, is_single=True)
