"""A bar, or what is being done, on standard error: for people at a terminal, never for programs."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

from authz.progress import UNWATCHED, Watch

_STEP = 500
"""A bar that is drawn for each thing would be slower than the things."""
_CLEAR = "\r\x1b[K"


class Terminal(Watch):
    """Drawn over the same line, and gone when the work is done."""

    def __init__(self) -> None:
        self._is_drawn = False

    @contextmanager
    def counting(self, label: str, length: int) -> Iterator[Callable[[int], None]]:
        """A bar."""
        self.clear()
        waiting = 0
        with click.progressbar(
            length=length, label=label, file=sys.stderr, show_pos=True, show_eta=True
        ) as bar:

            def advance(more: int) -> None:
                nonlocal waiting
                waiting += more
                if waiting >= _STEP:
                    bar.update(waiting)
                    waiting = 0

            yield advance
            bar.update(waiting)

    def at(self, doing: str) -> None:
        """One line that the next one replaces."""
        click.echo(f"{_CLEAR}{doing} …", file=sys.stderr, nl=False)
        self._is_drawn = True

    def clear(self) -> None:
        """Leave no half a line."""
        if self._is_drawn:
            click.echo(_CLEAR, file=sys.stderr, nl=False)
            self._is_drawn = False


def watch_of(*, as_json: bool) -> Watch:
    """A terminal's where there is one; who asked for JSON is a program."""
    return Terminal() if sys.stderr.isatty() and not as_json else UNWATCHED
