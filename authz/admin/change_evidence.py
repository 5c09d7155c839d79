"""What a change would do to everybody, kept with it: for whoever approves it, and whoever asks later what was seen."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from authz.admin.effects import ScopeEffect, Some
from authz.db.types import canonical_json

_MOST_SCOPES = 200
"""That are kept of one change; what all of them come to is in the digest."""


@dataclass(frozen=True)
class Evidence:
    """Of one change, against one state of the tenant."""

    version: int
    """The `config_version` that it was computed against."""
    effects: Sequence[ScopeEffect]
    more: int
    """Scopes that are not in the list."""
    digest: str
    """Of all of them: what whoever approves says they saw."""
    moved_from: int | None
    """The version that what was seen first stood on, where policy moved between that and the decision."""

    def moved_since(self, version: int) -> int | None:
        """The same, for what replaces it at this version."""
        return (
            self.version if self.moved_from is None and self.version != version else self.moved_from
        )


def make(effects: Sequence[ScopeEffect], version: int, moved_from: int | None = None) -> Evidence:
    """From what was counted."""
    value = canonical_json([asdict(it) for it in effects])
    return Evidence(
        version=version,
        effects=effects[:_MOST_SCOPES],
        more=max(0, len(effects) - _MOST_SCOPES),
        digest=hashlib.sha256(value.encode()).hexdigest(),
        moved_from=moved_from,
    )


def as_json(evidence: Evidence) -> dict[str, Any]:
    """For the row."""
    return {**asdict(evidence), "effects": [asdict(it) for it in evidence.effects]}


def of_json(stored: Mapping[str, Any] | None) -> Evidence | None:
    """What `as_json` made; None for a change that was asked for before there was any."""
    if stored is None:
        return None
    return Evidence(**{**stored, "effects": [_effect(it) for it in stored["effects"]]})


def _effect(stored: Mapping[str, Any]) -> ScopeEffect:
    crowds = {it: Some(**stored[it]) for it in ("gained", "lost", "eased", "tightened")}
    return ScopeEffect(**{**stored, **crowds})
