"""A field that somebody else changed while one was typing: what it was, and both line by line.

What is compared was posted and stored by anybody who may edit, so the comparison has a bound: `SequenceMatcher` takes
time that grows with the cube of lines that repeat.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import cached_property

MOST_COMPARED = 100
"""Lines of either side between what both begin and end with; of more, both are shown whole."""


@dataclass(frozen=True)
class Clash:
    """One field."""

    name: str
    label: str
    was: str
    theirs: str
    yours: str

    @property
    def is_flag(self) -> bool:
        """Whether there is nothing to write but yes or no."""
        return {self.was, self.theirs, self.yours} <= {"yes", "no"}

    @cached_property
    def lines(self) -> list[tuple[str, str]]:
        """Theirs and yours line by line: `both`, `theirs` or `yours`; empty where both are one line."""
        theirs, yours = lines_of(self.theirs), lines_of(self.yours)
        if len(theirs) < 2 and len(yours) < 2:
            return []
        return list(_compared(theirs, yours))


def lines_of(text: str) -> list[str]:
    """A browser sends lines back that end otherwise than they were sent."""
    return text.strip().splitlines()


def _compared(theirs: Sequence[str], yours: Sequence[str]) -> Iterator[tuple[str, str]]:
    first = _common(theirs, yours)
    last = _common(theirs[first:][::-1], yours[first:][::-1])
    middle = theirs[first : len(theirs) - last], yours[first : len(yours) - last]
    yield from (("both", it) for it in theirs[:first])
    if max(map(len, middle)) > MOST_COMPARED:
        yield from _replaced(*middle)
    else:
        matcher = SequenceMatcher(None, *middle, autojunk=False)
        for told, i, j, m, n in matcher.get_opcodes():
            if told == "equal":
                yield from (("both", it) for it in middle[0][i:j])
            else:
                yield from _replaced(middle[0][i:j], middle[1][m:n])
    yield from (("both", it) for it in theirs[len(theirs) - last :])


def _replaced(theirs: Sequence[str], yours: Sequence[str]) -> Iterator[tuple[str, str]]:
    yield from (("theirs", it) for it in theirs)
    yield from (("yours", it) for it in yours)


def _common(one: Sequence[str], other: Sequence[str]) -> int:
    """How many lines both begin with."""
    pairs = zip(one, other, strict=False)
    return next((n for n, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))
