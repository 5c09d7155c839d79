"""What operations answer, as JSON has it: for the command line and the admin API alike (pure)."""

import dataclasses
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from authz.policy import requirements
from authz.policy.requirements import Requirement


def as_json_value(value: Any) -> Any:
    """Dataclasses, moments and sets as JSON has them."""
    if isinstance(value, Requirement):
        return requirements.as_json(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: as_json_value(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, Mapping):
        return {str(key): as_json_value(item) for key, item in value.items()}
    if isinstance(value, frozenset):
        return [as_json_value(item) for item in sorted(value)]
    if isinstance(value, (list, tuple)):
        return [as_json_value(item) for item in value]
    return value
