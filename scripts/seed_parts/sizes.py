"""How much of what."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path


@dataclass(frozen=True)
class Sizes:
    """Of one installation."""

    users: int = 1_000
    mappings: int = 40
    servers: int = 10
    events: int = 10_000
    grants: int = 200


LARGE = Sizes(users=100_000, mappings=1_000, servers=200, events=1_000_000, grants=10_000)


@dataclass(frozen=True)
class Wish:
    """What the command line says."""

    config: Path | None
    tenant: str
    sizes: Sizes


def read(words: Sequence[str] | None = None) -> Wish:
    """Exits with a sentence when it cannot be read."""
    parser = argparse.ArgumentParser(prog="scripts/seed", description="Fill an installation.")
    parser.add_argument("--config", type=Path, help="the configuration file", metavar="FILE")
    parser.add_argument("--tenant", default="default", help="the tenant", metavar="SLUG")
    parser.add_argument("--large", action="store_true", help=f"as large as {LARGE}")
    for size in fields(Sizes):
        parser.add_argument(
            f"--{size.name}", type=_count, metavar="N", help=f"how many {size.name}"
        )
    given = vars(parser.parse_args(words))
    named = {it.name: given[it.name] for it in fields(Sizes) if given[it.name] is not None}
    sizes = replace(LARGE if given["large"] else Sizes(), **named)
    if sizes.grants > sizes.events:
        parser.error("--events: every grant has a token, and every token an event")
    return Wish(given["config"], given["tenant"], sizes)


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError
    return number
