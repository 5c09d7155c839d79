"""What the kinds have in common: entries, how they are named, and a change from one to another."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    WithJsonSchema,
)

from authz.errors import Invalid
from authz.policy import requirements
from authz.policy.requirements import MAX_MAX_AGE, MIN_MAX_AGE
from authz.tenants import SLUG_PATTERN

Json = Mapping[str, Any]
Entries = Mapping[str, Json]
"""By name, with every default filled in."""
SINGLE = "tenant"
"""The name of what there is one of."""


class Entry(BaseModel):
    """One thing of a kind. Unknown members are errors: a misspelt bound would be none."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


Line = Annotated[str, Field(max_length=200)]
Slug = Annotated[str, Field(pattern=f"^{SLUG_PATTERN}$")]
"""The short name of a connection or of a trusted issuer."""
Url = Annotated[str, Field(min_length=1, max_length=2048)]


def _each_once(values: tuple[str, ...]) -> tuple[str, ...]:
    for value in values:
        if values.count(value) > 1:
            raise ValueError(f"{value!r} is named twice")
    return values


Each = AfterValidator(_each_once)
"""Of a list that is a set."""
ScopeName = Annotated[str, Field(min_length=1, max_length=128)]


def in_order(names: tuple[str, ...]) -> tuple[str, ...]:
    """Of a list whose order says nothing."""
    return tuple(sorted(names))


def _moment(text: str) -> str:
    with suppress(ValueError, OverflowError):
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is not None:
            return spelled(moment)
    raise ValueError(f"{text!r} is no moment; write date, time and zone: 2026-12-31T00:00:00Z")


def spelled(moment: datetime) -> str:
    """As entries have it, so that equal moments are equal."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


Moment = Annotated[
    str, AfterValidator(_moment), WithJsonSchema({"type": "string", "format": "date-time"})
]


def _requirement(value: object) -> object:
    try:
        return requirements.as_json(requirements.parse(value))
    except Invalid as error:
        raise ValueError(str(error)) from None


_WORDS = {
    "anyOf": [
        {"type": "string"},
        {"type": "array", "items": {"type": "string"}, "minItems": 1, "uniqueItems": True},
    ]
}
REQUIRES_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "description": "How a person must have signed in.",
    "properties": {
        "acr": {**_WORDS, "description": "Any of these ways to sign in."},
        "max_age": {
            "type": "integer",
            "minimum": MIN_MAX_AGE,
            "maximum": MAX_MAX_AGE,
            "description": "Seconds since they proved who they are, at most.",
        },
        "connection": {**_WORDS, "description": "Any of these connections, or `local`."},
    },
    "additionalProperties": False,
    "minProperties": 1,
}
Requires = Annotated[
    dict[str, Any], BeforeValidator(_requirement), WithJsonSchema(dict(REQUIRES_SCHEMA))
]
"""As `requires` of roles and scopes is written; one value or several."""


@dataclass(frozen=True)
class Change:
    """One thing that is to come, go, or be otherwise."""

    kind: str
    name: str
    before: Json | None
    after: Json | None

    @property
    def verb(self) -> str:
        """`add`, `remove` or `change`."""
        if self.before is None:
            return "add"
        return "remove" if self.after is None else "change"

    def as_json(self) -> dict[str, Any]:
        """For the digest of a plan."""
        return {"kind": self.kind, "name": self.name, "before": self.before, "after": self.after}

    def differs(self, *members: str) -> bool:
        """Whether one of these members is another than before."""
        before, after = self.before or {}, self.after or {}
        return any(before.get(member) != after.get(member) for member in members)


@dataclass(frozen=True)
class Shape:
    """One kind: its type, and how its entries are named where a file lists them without names."""

    type: Any
    """What the key holds: a dictionary by name, or a list."""
    widens: Callable[[Change], bool]
    """Whether a change opens a door, whoever comes through it: then it needs an approval as access that grows does."""
    name_of: Callable[[Json], str] | None = None
    """For a list."""
    scalar: str | None = None
    """The one member of an entry that is written as a word, not as an object."""
    is_names: bool = False
    """Entries are nothing but their names, in a list."""
    is_single: bool = False
    """There is one entry, and it is what the key holds."""

    @property
    def is_list(self) -> bool:
        """Whether a file lists them."""
        return self.is_names or self.name_of is not None

    @cached_property
    def adapter(self) -> TypeAdapter[Any]:
        """Reads it, and says its schema."""
        return TypeAdapter(self.type)

    def named(self, value: Any) -> list[tuple[str, Json]]:
        """What the adapter read, as entries with their names; a list may name one twice."""
        dumped = self.adapter.dump_python(value, mode="json")
        if self.is_single:
            return [(SINGLE, dumped)]
        if self.is_names:
            return [(name, {}) for name in dumped]
        if self.name_of is not None:
            return [(self.name_of(entry), entry) for entry in dumped]
        scalar = self.scalar
        return [(n, it if scalar is None else {scalar: it}) for n, it in dumped.items()]

    def written(self, entries: Entries) -> Any:
        """What a file says of these entries, without what is a default; in order of their names."""
        ordered = dict(sorted(entries.items()))
        if self.is_names:
            return list(ordered)
        if self.scalar is not None:
            return {name: entry[self.scalar] for name, entry in ordered.items()}
        value: Any = ordered if self.name_of is None else list(ordered.values())
        if self.is_single:
            value = ordered.get(SINGLE, {})
        adapter = self.adapter
        return adapter.dump_python(
            adapter.validate_python(value), mode="json", exclude_defaults=True
        )


def differences(kind: str, before: Entries, after: Entries) -> Iterator[Change]:
    """By name."""
    for name in sorted(before.keys() | after.keys()):
        if before.get(name) != after.get(name):
            yield Change(kind, name, before.get(name), after.get(name))


def never(_: Change) -> bool:
    """What people hold by such a change is known, and told person by person."""
    return False
