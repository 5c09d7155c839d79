"""`authz audit`: the trail of everything that was decided and changed."""

from pathlib import Path
from typing import Annotated

import typer

from authz.admin import audit
from authz.cli import values
from authz.cli.run import REFUSED, Result, Run, command, group
from authz.errors import ConfigurationError

app = group("The audit trail: verify, export, checkpoint.")


@command(app, "verify")
def verify(run: Run) -> Result:
    """Check the whole trail; exit code 1 and the first bad place when it does not hold."""
    with run.read() as (tx, tenant_id):
        found = audit.verify(tx, run.operator, tenant_id)
    counted = (
        f"{found.events} events, {found.strands} strands, {found.checkpoints} checkpoints read"
    )
    if found.fault is None:
        return Result(found, f"The trail holds: {counted}.")
    fault = found.fault
    text = (
        f"The trail does NOT hold: strand {fault.strand}, position {fault.position}: {fault.what} "
        f"({counted}).\nCompare with an export or a backup from before; keep the database as it is."
    )
    return Result(found, text, REFUSED)


@command(app, "export")
def export(
    run: Run,
    output: Annotated[
        Path | None, typer.Option(help="Write to this file.", dir_okay=False, show_default=False)
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(help="Only events from then on: 2026-12-31T00:00:00Z.", show_default=False),
    ] = None,
) -> Result:
    """Print the trail as JSON lines: each event's text as it was hashed and its hash, then checkpoints."""
    begin = None if since is None else values.moment(since)
    with run.read() as (tx, tenant_id):
        lines = audit.export(tx, tenant_id, since=begin)
        if output is None:
            for line in lines:
                typer.echo(line)
            return Result(None, "")
        count = 0
        try:
            with output.open("w", encoding="utf-8") as file:
                for line in lines:
                    file.write(f"{line}\n")
                    count += 1
        except OSError as error:
            raise ConfigurationError(f"{output} cannot be written: {error.strerror}") from None
    return Result({"file": str(output), "lines": count}, f"Wrote {count} lines to {output}.")


@command(app, "checkpoint")
def checkpoint(run: Run) -> Result:
    """Sign the heads of all strands, so that a later change to anything before is seen."""
    services = run.services
    now = services.clock()
    with run.read() as (tx, tenant_id):
        prepared = audit.prepare_checkpoint(tx, tenant_id, issuer=run.issuer, now=now)
        ring = services.configurations.load(tx, tenant_id).keys
    if prepared is None:
        return Result({"checkpoint": None}, "Nothing was recorded since the last checkpoint.")
    statement = audit.sign_checkpoint(ring, prepared, now)
    with run.write() as (tx, _, tenant_id):
        audit.store_checkpoint(tx, tenant_id, prepared, statement, now)
    text = (
        f"Wrote checkpoint {prepared.position} over {len(prepared.claims['heads'])} strands.\n"
        "Keep a copy of this statement elsewhere; it proves what the trail was:\n" + statement
    )
    return Result({"checkpoint": prepared.position, "statement": statement}, text)
