"""The life of a signing key, as a pure function of five moments and the present.

    planned -> published -> active -> retiring -> gone

A key's state is computed, not stored: every node reaches the same answer from the same row, no job has to run for a
rotation to happen, and a node that was away is right the moment it is back.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

CLOCKS_APART = timedelta(hours=1)
"""How far a clock may have been wrong when a tenant was made."""


class KeyState(StrEnum):
    """Where a key is in its life."""

    PLANNED = "planned"
    PUBLISHED = "published"
    ACTIVE = "active"
    RETIRING = "retiring"
    GONE = "gone"


@dataclass(frozen=True)
class KeyLife:
    """The moments of one key."""

    key_id: str
    purpose: str
    algorithm: str
    publish_at: datetime
    activate_at: datetime
    retire_at: datetime | None
    gone_at: datetime | None

    def state(self, now: datetime) -> KeyState:
        """The state at a moment."""
        if self.gone_at is not None and now >= self.gone_at:
            return KeyState.GONE
        if self.retire_at is not None and now >= self.retire_at:
            return KeyState.RETIRING
        if now >= self.activate_at:
            return KeyState.ACTIVE
        return KeyState.PUBLISHED if now >= self.publish_at else KeyState.PLANNED

    def is_published(self, now: datetime) -> bool:
        """Whether the JWKS holds it: from before it signs until the last token it signed has expired."""
        return self.state(now) in (KeyState.PUBLISHED, KeyState.ACTIVE, KeyState.RETIRING)


def due(
    lives: Iterable[KeyLife], *, after: timedelta, publish_ahead: timedelta, now: datetime
) -> tuple[tuple[str, str], ...]:
    """Purposes and algorithms whose newest key will have signed for `after` when a successor of now begins."""
    newest: dict[tuple[str, str], datetime] = {}
    for life in lives:
        if life.state(now) in (KeyState.GONE, KeyState.RETIRING):
            continue
        kind = life.purpose, life.algorithm
        newest[kind] = max(newest.get(kind, life.activate_at), life.activate_at)
    return tuple(
        kind for kind, since in sorted(newest.items()) if since + after <= now + publish_ahead
    )


def expel(lives: Iterable[KeyLife], successor: KeyLife, now: datetime) -> tuple[KeyLife, ...]:
    """What changes in the keys that `successor` replaces because they may be in wrong hands.

    All of them are gone now, those too that are planned or retiring: they were kept in the same place.
    """
    return tuple(
        replace(
            life,
            retire_at=now if life.retire_at is None else min(life.retire_at, now),
            gone_at=now,
        )
        for life in lives
        if (life.purpose, life.algorithm) == (successor.purpose, successor.algorithm)
        and life.state(now) is not KeyState.GONE
    )


def succeed(
    lives: Iterable[KeyLife],
    successor: KeyLife,
    *,
    longest_token: timedelta,
) -> tuple[KeyLife, ...]:
    """What changes in the keys that `successor` replaces.

    They sign until it does, and stay published until the last token they signed has expired. A successor that
    was planned earlier but has not signed yet is replaced before it ever signs.
    """
    return tuple(
        replace(
            life,
            retire_at=max(successor.activate_at, life.publish_at),
            gone_at=max(successor.activate_at, life.activate_at) + longest_token,
        )
        for life in lives
        if (life.purpose, life.algorithm) == (successor.purpose, successor.algorithm)
        and (life.retire_at is None or life.retire_at > successor.activate_at)
    )
