"""Values of labels that somebody else chose: only so many of them, each of the right shape."""

import re

OTHER = "other"


class Bounded:
    """The first so many values stay as they are; all others are `other`. A bound to what a scrape costs."""

    def __init__(self, most: int, *, shape: str = r"[^\x00-\x1f\x7f]{1,80}") -> None:
        self._most = most
        self._shape = re.compile(shape)
        self._known: dict[str, str] = {}

    def of(self, value: str) -> str:
        """The value of the label."""
        known = self._known.get(value)
        if known is not None:
            return known
        if len(self._known) >= self._most or not self._shape.fullmatch(value):
            return OTHER
        return self._known.setdefault(value, value)
