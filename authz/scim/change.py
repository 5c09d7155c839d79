"""A resource in the hand, and what came of changing it."""

from dataclasses import dataclass
from typing import Generic, TypeVar

from authz.audit.events import Event
from authz.db.models import Group, ScimRecord, User
from authz.directory.departures import Signal

Row = TypeVar("Row", User, Group)


@dataclass(frozen=True)
class Held(Generic[Row]):
    """The row, and what a client wrote of it."""

    row: Row
    record: ScimRecord | None


@dataclass(frozen=True)
class Change(Generic[Row]):
    """What is there now, and what the trail has to say; no events is no change."""

    held: Held[Row]
    events: tuple[Event, ...]
    signal: Signal | None = None
    """Which ended somebody's access: the offboarding clock wants to know."""
