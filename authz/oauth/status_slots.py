"""Places in token status lists (draft-ietf-oauth-status-list §13): random, and each for one token.

A list belongs to the process that opened it and has a random name, so nobody has to be asked which places are taken;
`status_entries` would refuse a second use. A list is left behind when it is full or old, and is no more once its last
token has expired.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from authz import entropy
from authz.values import value

PATH = "/status"
SIZE = 2**15
"""Places of a list: 4 KiB before compression, and as many tokens as are looked at to make it."""
MAX_AGE = timedelta(hours=1)
"""Places of a list that is left unfinished are not worth keeping in mind."""


def uri_of(issuer: str, list_id: str) -> str:
    """What tokens call their list."""
    return f"{issuer}{PATH}/{list_id}"


@value(frozen=True)
class StatusSlot:
    """A token's place."""

    list_id: str
    place: int


@dataclass
class _OpenList:
    """Places are drawn without putting back (Fisher and Yates), remembering only what was moved."""

    until: datetime
    id: str = field(default_factory=lambda: entropy.new_id("stl"))
    left: int = SIZE
    moved: dict[int, int] = field(default_factory=dict)

    def draw(self) -> StatusSlot:
        drawn = entropy.new_number(self.left)
        self.left -= 1
        place = self.moved.get(drawn, drawn)
        self.moved[drawn] = self.moved.pop(self.left, self.left)
        return StatusSlot(self.id, place)


class KeptSlot:
    """The place of one request, which is decided more than once."""

    def __init__(self, slots: "StatusSlots") -> None:
        self._slots = slots
        self._drawn: dict[str, StatusSlot] = {}

    def draw(self, resource_id: str, now: datetime) -> StatusSlot:
        """The same place each time."""
        if resource_id not in self._drawn:
            self._drawn[resource_id] = self._slots.draw(resource_id, now)
        return self._drawn[resource_id]


class StatusSlots:
    """One per process."""

    def __init__(self) -> None:
        self._open: dict[str, _OpenList] = {}

    def draw(self, resource_id: str, now: datetime) -> StatusSlot:
        """A place for one token of this server. Drawn like a name: nothing a decision says depends on it."""
        found = self._open.get(resource_id)
        if found is None or not found.left or now >= found.until:
            found = self._open[resource_id] = _OpenList(now + MAX_AGE)
        return found.draw()
