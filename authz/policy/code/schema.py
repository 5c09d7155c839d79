"""The JSON schema of a file, for editors: from the types that read it."""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import TypeAdapter

from authz.policy.code import BINDINGS, KINDS, ROLES
from authz.policy.code.roles import ROLES_TYPES

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema() -> dict[str, Any]:
    """Of one file of a directory; its keys may stand in any of the files."""
    adapters = {
        **{key: shape.adapter for key, shape in KINDS.items()},
        **{key: TypeAdapter[Any](type_) for key, type_ in ROLES_TYPES.items()},
    }
    made, definitions = TypeAdapter.json_schemas(
        [(key, "validation", adapter) for key, adapter in adapters.items()],
        ref_template="#/$defs/{model}",
    )
    return {
        "$schema": DIALECT,
        "title": "Policy as code",
        "type": "object",
        "properties": {key: _closed(made[key, "validation"]) for key in (*KINDS, ROLES, BINDINGS)},
        "additionalProperties": False,
        **definitions,
    }


def _closed(made: dict[str, Any]) -> dict[str, Any]:
    """Names that do not fit their pattern are errors, as they are to the reader."""
    patterns = made.pop("patternProperties", None)
    if patterns is None:
        return made
    ((pattern, value),) = patterns.items()
    return {**made, "propertyNames": {"pattern": pattern}, "additionalProperties": value}


def known_members(path: Sequence[str | int]) -> list[str]:
    """Which members the object at this path of a file may have; it is one that has some."""
    whole = schema()
    found: Mapping[str, Any] = whole
    for part in path:
        if isinstance(part, int):
            inside = found["items"]
        else:
            members = found.get("properties", {})
            inside = members[part] if part in members else found["additionalProperties"]
        reference = inside.get("$ref")
        found = inside if reference is None else whole["$defs"][reference.rpartition("/")[2]]
    return sorted(found["properties"])
