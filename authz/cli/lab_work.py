"""What the commands of `authz lab` do: examine and tell, at a server that is there or at one made for it."""

import asyncio
import signal
import tempfile
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import typer

from authz.cli.run import Run
from authz.lab import report as rendering
from authz.lab.bench import Bench
from authz.lab.examination import Report, choose, examine
from authz.lab.examination import Result as Tried
from authz.lab.laboratory import Laboratory, bench_at, way_home
from authz.lab.serving import listening

_OWN_PATIENCE = timedelta(hours=2)
"""Where the lab has the clock of the server under test."""
Examining = Callable[[Bench], Awaitable[Report]]
"""What is done at a bench."""


def examining(run: Run, only: list[str]) -> Examining:
    """The examination, told line by line to people."""
    try:
        chosen = choose(only)
    except KeyError as error:
        raise typer.BadParameter(
            f"there is no scenario {error.args[0]!r}; `authz lab list` shows them"
        ) from None
    groups: Counter[str] = Counter()

    def told(result: Tried) -> None:
        if run.as_json:
            return
        if not groups[result.group]:
            typer.echo(f"\n{result.group}" if groups else result.group)
        groups[result.group] += 1
        for line in rendering.line(result).splitlines():
            typer.echo(f"  {line}")

    return lambda bench: examine(bench, chosen, told)


async def examine_while_up(
    lab: Laboratory, port: int, bench: Bench, examining: Examining
) -> Report:
    """With the identity provider that is up, or one that is until then."""
    async with lab.up(bench.home, port, bench.target.issuer):
        return await examining(bench)


def examine_own_server(examining: Examining) -> Report:
    """With ports, keys, database and clock of its own."""
    from authz.cli.lab_server import SkippingClock, own_server
    from authz.telemetry.logging import configure

    # What it thinks of each of these requests is for its operator, whom nobody asked.
    configure(level="error", style="console")
    clock = SkippingClock()

    async def work(folder: Path) -> Report:
        with listening() as idp, listening() as mcp, listening() as own, way_home() as home:
            lab = Laboratory.at(folder / "lab", idp.url, mcp.url)
            async with (
                own_server(folder, lab, own, clock=clock) as target,
                lab.on(idp, mcp, target.issuer, clock=clock),
            ):
                with bench_at(
                    target, lab.idp, home, clock=clock, sleep=clock.sleep, patience=_OWN_PATIENCE
                ) as bench:
                    return await examining(bench)

    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(work(Path(folder)))


async def wait_for_signal() -> None:
    """Until Ctrl-C or SIGTERM."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    await stopped.wait()


def find_proxy(run: Run) -> str | None:
    """A configuration is not needed; where there is one, its way out to the internet is the way out."""
    return run.settings.network.proxy if run.has_configuration else None


def as_value(found: Report) -> dict[str, Any]:
    """The report for programs."""
    return {
        "issuer": found.issuer,
        "resource": found.resource,
        "well": found.is_well,
        "counts": found.counts,
        "scenarios": found.results,
    }
