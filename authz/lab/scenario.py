"""What a scenario is, and how weighty."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from authz.lab.bench import Bench


class Level(StrEnum):
    """What it means when a server does otherwise."""

    MUST = "must"
    """The texts demand it."""
    SHOULD = "should"
    """They recommend it, or they differ, or it is a hardening rule without a text."""


Check = Callable[["Bench"], Awaitable[str]]
"""Answers what was seen; raises Failed or NotOffered."""


@dataclass(frozen=True)
class Scenario:
    """One thing that is tried."""

    name: str
    title: str
    """How it should be, as a sentence."""
    rows: str
    """Of the requirement lists."""
    clause: str
    """Where it is written."""
    check: Check
    level: Level = Level.MUST
