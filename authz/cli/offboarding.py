"""`authz offboarding`: how long it takes until somebody who left has nothing any more."""

from typing import Annotated

import typer

from authz.admin import leaving
from authz.cli import values
from authz.cli.output import cell, table
from authz.cli.run import Result, Run, command, group

app = group("How long the end of access takes.")


@command(app, "offboarding")
def offboarding(
    run: Run,
    since: Annotated[
        str, typer.Option(help="How far to look back, 24h or 30d, or a moment.")
    ] = "30d",
    slowest: Annotated[int, typer.Option(min=0, max=1000, help="How many of the slowest.")] = 10,
) -> Result:
    """From the arrival of each signal to the end of the last credential: p50 and p99 by source, and the slowest."""
    now = run.services.clock()
    begin = values.moment(since) if "T" in since or "-" in since else now - values.duration(since)
    with run.read() as (tx, tenant_id):
        found = leaving.report(tx, tenant_id, begin, slowest=slowest)
    rows = [
        (
            *(it.source, it.events, _seconds(it.p50), _seconds(it.p99), _seconds(it.worst)),
            *(it.sessions, it.grants, it.codes, it.tokens),
        )
        for it in found.sources
    ]
    head = ("SOURCE", "EVENTS", "P50", "P99", "WORST", "SESSIONS", "GRANTS", "CODES", "TOKENS")
    text = table(head, rows, empty=f"Nobody's access has ended since {cell(begin)}.")
    if found.slowest:
        events = [
            (_seconds(it.seconds), it.source, it.because, it.user_id, it.signalled_at)
            for it in found.slowest
        ]
        told = table(("SECONDS", "SOURCE", "BECAUSE", "PERSON", "SIGNALLED"), events, empty="")
        text += f"\n\n{told}"
    return Result(found, text)


def _seconds(value: float) -> str:
    return f"{value:.3f}"
