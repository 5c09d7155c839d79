"""A row: a name, what is wrong, and how to make it from an assertion that is right."""

from collections.abc import Callable
from dataclasses import dataclass

from authz.lab.judgement import GRANT
from authz.lab.scenario import Level
from authz.lab.statement import Statement

Make = Callable[[Statement], str]


@dataclass(frozen=True)
class Defect:
    """An assertion that no server may redeem."""

    name: str
    title: str
    """What is wrong, after "an assertion"."""
    make: Make
    rows: str
    clause: str
    codes: frozenset[str]
    """The errors that are due."""
    level: Level


def defects(
    rows: str,
    clause: str,
    *entries: tuple[str, str, Make],
    codes: frozenset[str] = GRANT,
    level: Level = Level.MUST,
) -> tuple[Defect, ...]:
    """Rows that stand on the same clause."""
    return tuple(
        Defect(name, title, make, rows, clause, codes, level) for name, title, make in entries
    )
