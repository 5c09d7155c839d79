"""A bar on standard error, for whoever waits."""

import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

import click

Item = TypeVar("Item")
_STEP = 500


def shown(label: str, items: Iterable[Item], length: int) -> Iterator[Item]:
    """The items, while the bar moves; nothing is drawn where nobody looks."""
    with click.progressbar(
        length=length,
        label=f"{label:<10}",
        file=sys.stderr,
        show_pos=True,
        hidden=not sys.stderr.isatty(),
    ) as bar:
        for number, item in enumerate(items, 1):
            yield item
            if number % _STEP == 0:
                bar.update(_STEP)
        bar.update(length % _STEP)
