"""What is sent of things, the tags of it, and the conditions that name tags (RFC 9110 §8.8.3, §13) (pure)."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from authz.admin.rendering import as_json_value
from authz.web.api.problems import Refused

_TAG = re.compile(r'\s*((?:W/)?"[\x21\x23-\x7e]*")\s*(?:,|\Z)')
_MAX_TAGS = 20


@dataclass(frozen=True)
class Shown:
    """JSON as it is sent, and its tag."""

    text: str
    tag: str

    @property
    def value(self) -> Any:
        """To be sent within something else."""
        return json.loads(self.text)


def shown(value: Any, omit: frozenset[str] = frozenset()) -> Shown:
    """Of what an operation or a list answered. The tag is strong: it is of these very bytes."""
    found = as_json_value(value)
    if isinstance(found, Mapping):
        found = {name: it for name, it in found.items() if name not in omit}
    text = json.dumps(found, separators=(",", ":"))
    return Shown(text, f'"{hashlib.sha256(text.encode()).hexdigest()[:32]}"')


def is_known(if_none_match: str | None, current: Shown) -> bool:
    """Whether the caller has it already; compared weakly (§13.1.2)."""
    if if_none_match is None:
        return False
    return if_none_match.strip() == "*" or current.tag in {
        it.removeprefix("W/") for it in _tags(if_none_match)
    }


def check_seen(if_match: str | None, current: Shown, *, may_see: bool) -> None:
    """That the caller saw what there is; compared strongly (§13.1.1). Raises Refused."""
    if if_match is None:
        raise Refused(
            428,
            "precondition_required",
            "send If-Match with the ETag of what you saw, so that nobody's change is lost",
        )
    if if_match.strip() == "*" or current.tag in _tags(if_match):
        return
    raise Refused(
        412,
        "precondition_failed",
        "it was changed since; `current` is what it is now. Merge, and send its ETag",
        headers={"etag": current.tag},
        more={"current": current.value} if may_see else {},
    )


def _tags(header: str) -> list[str]:
    found: list[str] = []
    place = 0
    while place < len(header) and len(found) < _MAX_TAGS:
        match = _TAG.match(header, place)
        if match is None:
            raise Refused(400, "invalid", "If-Match and If-None-Match hold entity tags, or *")
        found.append(match[1])
        place = match.end()
    return found
