"""How facts are read and written: the token lane's statements, each over the whole batch.

Owns one module per aggregate, with three functions: `reads` names the statements for what a batch wants and what each
teaches the facts, `writes` the statements for what its decisions changed. Never decides anything. The number of
statements depends on what kinds of requests a batch holds, never on how many.

A new kind of fact is one module and one line in `KINDS`. Rows are locked in the order of `KINDS` and by key within
each, so two batches never wait for each other in a circle.
"""

from collections.abc import Iterable, Sequence
from typing import Protocol

from authz.db.statements import Call, Row
from authz.oauth.facts import Changes, FactKeys, Facts
from authz.oauth.rows import (
    codes,
    devices,
    ends,
    families,
    grants,
    identities,
    people,
    pushed,
    replays,
    sessions,
    tokens,
)
from authz.oauth.rows.wanted import Read, Wanted


class Kind(Protocol):
    """What a module here offers."""

    def reads(self, wanted: Wanted) -> list[Read]:
        """Statements, and how each one's rows become facts."""

    def writes(self, changes: Sequence[Changes]) -> list[Call]:
        """Statements that apply the changes of a batch; the last value of a fact wins."""


# People and sessions before what stands on them, as `directory.leaving` ends them. `ends` is after all that can end.
KINDS: tuple[Kind, ...] = (
    replays,
    identities,
    sessions,
    grants,
    families,
    codes,
    devices,
    tokens,
    pushed,
    people,
    ends,
)


def read_calls(keys: Iterable[tuple[str, FactKeys]]) -> list[Read]:
    """The statements that read all facts; `keys` are pairs of tenant id and what its request needs."""
    wanted = Wanted.of(keys)
    return [read for kind in KINDS for read in kind.reads(wanted)]


def read_facts(reads: Sequence[Read], rows: Sequence[list[Row]]) -> Facts:
    """Facts from the answers to `read_calls`."""
    facts = Facts()
    for (_, learn), answer in zip(reads, rows, strict=True):
        learn(facts, answer)
    return facts


def write_calls(changes: Sequence[Changes]) -> list[Call]:
    """The statements that apply all changes of a batch."""
    return [call for kind in KINDS for call in kind.writes(changes)]
