"""`mappings`: which value of which claim of a connection puts people into which group, or gives them which role.

mappings:
  - {connection: okta, claim: groups, value: engineering, role: developer}
  - {connection: okta, claim: groups, value: support, group: Support}
"""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, model_validator

from authz.policy.code.entries import Entry, Shape, Slug, never

_Text = Annotated[str, Field(min_length=1, max_length=256)]


class MappingEntry(Entry):
    """One rule. Values are compared whole and case-exact."""

    connection: Slug
    """Whose people."""
    claim: _Text
    """Such as `groups`."""
    value: _Text
    """What has to be in it."""
    group: Annotated[str, Field(min_length=1, max_length=254)] | None = None
    """An existing group that they are in."""
    role: Annotated[str, Field(min_length=1, max_length=128)] | None = None
    """A role that they hold."""

    @model_validator(mode="after")
    def _leads_somewhere(self) -> "MappingEntry":
        if (self.group is None) == (self.role is None):
            raise ValueError("a mapping leads to a `group` or to a `role`, to one of them")
        return self


def name_of(entry: Mapping[str, Any]) -> str:
    """As people read it; different for different mappings, because no slug has a space."""
    to = f"group {entry['group']}" if entry["role"] is None else f"role {entry['role']}"
    return f"{entry['connection']} {entry['claim']}={entry['value']} -> {to}"


SHAPE = Shape(list[MappingEntry], widens=never, name_of=name_of)
