"""An event as formats see it."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from authz.audit.reading import Stored

_REFUSALS = ("refused", "failed", "denied")
_HALF = re.compile(r"\\u[dD][89a-fA-F]")
_ALARMING = frozenset({"alert.raised", "login.break_glass"})


@dataclass(frozen=True)
class Told:
    """One event; its text is read only by those who need what is in it."""

    stored: Stored

    @cached_property
    def body(self) -> Mapping[str, Any]:
        """What it says; nothing where somebody wrote over it, which `authz audit verify` tells."""
        text = self.stored.body
        try:
            value = json.loads(text)
            if _HALF.search(text):
                # Half of a pair is no character: no encoder takes it, and one row would stop a reader for ever.
                whole = json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")
                value = json.loads(whole)
        except (ValueError, RecursionError):
            return {}
        return value if isinstance(value, dict) else {}

    @property
    def detail(self) -> Mapping[str, Any]:
        """The event's own fields."""
        found = self.body.get("detail")
        return found if isinstance(found, dict) else {}

    @property
    def uid(self) -> str:
        """The same at every delivery: whoever gets an event twice sees that it is one."""
        return f"{self.stored.tenant_id}/{self.stored.strand}/{self.stored.position}"

    @property
    def is_refusal(self) -> bool:
        """Whether somebody did not get what they wanted."""
        return self.stored.kind.rpartition(".")[2] in _REFUSALS

    @property
    def is_alarming(self) -> bool:
        """Whether somebody should look at once."""
        return self.stored.kind in _ALARMING

    @property
    def milliseconds(self) -> int:
        """Since 1970."""
        return int(self.stored.at.timestamp() * 1000)
