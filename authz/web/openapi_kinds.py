"""JSON Schema of what operations take and answer, made from their types (pure)."""

import dataclasses
import json
from collections.abc import Mapping
from datetime import datetime
from enum import Enum
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from authz.admin.operations import Operation
from authz.policy.requirements import Requirement

Part = dict[str, Any]

_PLAIN: Mapping[Any, Part] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    NoneType: {"type": "null"},
    datetime: {"type": "string", "format": "date-time"},
    dict: {"type": "object"},
    Any: {},
}
_REQUIREMENT: Part = {
    "type": "object",
    "properties": {
        "acr": {"type": "array", "items": {"type": "string"}},
        "max_age": {"type": "integer"},
        "connection": {"type": "array", "items": {"type": "string"}},
    },
    "additionalProperties": False,
}


class Kinds:
    """The components that were met."""

    def __init__(self) -> None:
        self.schemas: Part = {}

    def of(self, kind: Any) -> Part:
        """What `as_json_value` makes of a value of this type."""
        if kind is Requirement:
            return _REQUIREMENT
        if kind in _PLAIN:
            return _PLAIN[kind]
        if dataclasses.is_dataclass(kind):
            return self._named(kind)
        if isinstance(kind, type) and issubclass(kind, Enum):
            return {"enum": sorted(str(it.value) for it in kind)}
        origin, parts = get_origin(kind), get_args(kind)
        if origin in (Union, UnionType):
            return {"anyOf": [self.of(it) for it in parts]}
        if isinstance(origin, type) and issubclass(origin, Mapping):
            return {"type": "object", "additionalProperties": self.of(parts[1])}
        if origin is not None:
            return {"type": "array", "items": self.of(parts[0])}
        raise TypeError(f"no schema for {kind!r}")

    def without(self, kind: Any, omitted: frozenset[str]) -> Part:
        """The same, without members that are not shown."""
        if not omitted:
            return self.of(kind)
        return self._object(kind, omitted)

    def answer_of(self, operation: Operation) -> Part | None:
        """What it answers; None: nothing."""
        kind = get_type_hints(operation.function)["return"]
        return None if kind is NoneType else self.of(kind)

    def body_of(
        self, name: str, operation: Operation, said: frozenset[str], whole: str | None
    ) -> Part:
        """What it takes, without what the address says."""
        # Definitions of one operation are components of their own: two may call something alike.
        text = json.dumps(operation.reader.schema).replace(
            '"#/$defs/', f'"#/components/schemas/{name}.'
        )
        schema: Part = json.loads(text)
        for inner, defined in schema.pop("$defs", {}).items():
            self.schemas[f"{name}.{inner}"] = defined
        if whole is not None:
            found: Part = schema["properties"][whole]
            return found
        schema.pop("title", None)
        kept = {n: it for n, it in schema.get("properties", {}).items() if n not in said}
        required = [n for n in schema.get("required", ()) if n not in said]
        return {**schema, "properties": kept, "required": required}

    def _named(self, kind: Any) -> Part:
        name = f"{kind.__module__.removeprefix('authz.')}.{kind.__name__}"
        if name not in self.schemas:
            self.schemas[name] = {}  # so that what holds itself ends
            self.schemas[name] = self._object(kind, frozenset())
        return {"$ref": f"#/components/schemas/{name}"}

    def _object(self, kind: Any, omitted: frozenset[str]) -> Part:
        names = [it.name for it in dataclasses.fields(kind) if it.name not in omitted]
        hints = get_type_hints(kind)
        return {
            "type": "object",
            "properties": {it: self.of(hints[it]) for it in names},
            "required": names,
            "additionalProperties": False,
        }
