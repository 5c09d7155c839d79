"""Which tokens are dead before they expire, as far as the feed has told (pure).

An entry that is not understood may be about any token, so it is an error, never skipped.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from authz.resource_server.access_token import AccessToken

_DIGEST_CHARS = 64
LAST_SECOND = 253402300799


@dataclass
class RevokedTokens:
    """What has been told and is not over. Grants and tokens by id; switches by claim and digest of its value."""

    grants: dict[str, float] = field(default_factory=dict)
    tokens: dict[str, float] = field(default_factory=dict)
    switches: dict[tuple[str, str], tuple[int, float]] = field(default_factory=dict)
    """The version before which such tokens are dead, and until when that matters."""

    def add(self, entries: Sequence[Any]) -> None:
        """Take entries of the feed; raises ValueError for one that is not understood."""
        for entry in entries:
            if not isinstance(entry, Mapping):
                raise ValueError("an entry of the feed is not an object")  # noqa: TRY004 - a bad answer, not a bad call
            until = _number(entry, "exp")
            if "grant_id" in entry:
                self.grants[_text(entry, "grant_id")] = until
            elif "jti" in entry:
                self.tokens[_text(entry, "jti")] = until
            elif "claim" in entry:
                place = _text(entry, "claim"), _text(entry, "sha256")
                if len(place[1]) != _DIGEST_CHARS:
                    raise ValueError("an entry of the feed has no SHA-256 digest")
                version, known_until = self.switches.get(place, (0, 0.0))
                before = int(_number(entry, "before_version"))
                self.switches[place] = max(version, before), max(known_until, until)
            else:
                raise ValueError(
                    "an entry of the feed is of a kind that this version does not know"
                )

    def forget(self, now: float) -> None:
        """Drop what is about tokens that have expired."""
        for known in (self.grants, self.tokens):
            for key in [key for key, until in known.items() if until < now]:
                del known[key]
        for place in [place for place, (_, until) in self.switches.items() if until < now]:
            del self.switches[place]

    def covers(self, token: AccessToken) -> bool:
        """True if `token` is dead."""
        if token.grant_id in self.grants or token.jti in self.tokens:
            return True
        return bool(self.switches) and self._is_switched_off(token.claims)

    def _is_switched_off(self, claims: Mapping[str, Any]) -> bool:
        decided = claims.get("policy_version")
        version = decided if isinstance(decided, int) and not isinstance(decided, bool) else -1
        for name in {name for name, _ in self.switches}:
            value = claims.get(name)
            values = value if isinstance(value, list) else [value]
            for one in values:
                if not isinstance(one, str):
                    continue
                digest = hashlib.sha256(one.encode()).hexdigest()
                known = self.switches.get((name, digest))
                if known is not None and version < known[0]:
                    return True
        return False


def _text(entry: Mapping[str, Any], name: str) -> str:
    value = entry.get(name)
    if not isinstance(value, str) or not value:
        raise ValueError(f"an entry of the feed has no {name}")
    return value


def _number(entry: Mapping[str, Any], name: str) -> float:
    value = entry.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"an entry of the feed has no {name}")  # noqa: TRY004 - a bad answer, not a bad call
    if not 0 <= value <= LAST_SECOND:
        raise ValueError(f"an entry of the feed has an impossible {name}")
    return value
