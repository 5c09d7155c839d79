"""How far a long piece of work is, told to whoever waits for it.

Work that can take minutes takes a `Watch` and tells it; nobody looks unless a terminal says so (`cli.progress`).
Nothing here prints, measures time or slows the work down.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Watch:
    """Told how far a piece of work is. This one does not look."""

    @contextmanager
    def counting(self, label: str, length: int) -> Iterator[Callable[[int], None]]:  # noqa: ARG002
        """`length` things are worked through; what is yielded is called with how many more were."""
        yield _ignore

    def at(self, doing: str) -> None:
        """A part begins that cannot be counted."""

    def clear(self) -> None:
        """Something else is about to be printed."""


def _ignore(more: int) -> None:
    pass


UNWATCHED = Watch()
