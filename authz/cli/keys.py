"""`authz keys`: signing keys."""

from datetime import timedelta
from typing import Annotated

import typer

from authz.admin import keys
from authz.cli import values
from authz.cli.output import cell, table
from authz.cli.run import Result, Run, command, group
from authz.jose import LEEWAY
from authz.keys import PURPOSES

app = group("Signing keys: list, rotate.")


@command(app, "list")
def list_(run: Run) -> Result:
    """All keys with their state."""
    with run.read() as (tx, tenant_id):
        lines = keys.list_(tx, tenant_id, run.services.clock())
    rows = [
        (k.purpose, k.algorithm, k.state, k.activate_at, k.retire_at, k.gone_at, k.id)
        for k in lines
    ]
    headings = ("PURPOSE", "ALGORITHM", "STATE", "SIGNS FROM", "UNTIL", "PUBLISHED UNTIL", "KEY")
    return Result(lines, table(headings, rows, empty="No key."))


@command(app, "rotate")
def rotate(
    run: Run,
    algorithm: Annotated[
        str | None, typer.Option(help="ES256 or RS256; keys.algorithm when absent.")
    ] = None,
    purpose: Annotated[str, typer.Option(help=f"One of {', '.join(PURPOSES)}.")] = "access_token",
    now: Annotated[
        bool,
        typer.Option("--now", help="Sign with the new key at once: the old one is in wrong hands."),
    ] = False,
    at: Annotated[
        str | None,
        typer.Option(help="Publish it then, such as 2026-12-31T00:00:00Z.", show_default=False),
    ] = None,
) -> Result:
    """Publish a new key; it signs once verifiers have seen it, and the old one stays until unneeded."""
    if now and at:
        raise typer.BadParameter("use --now or --at, not both")
    settings = run.settings
    configured = settings.keys.algorithm
    chosen = algorithm or (configured if configured in PURPOSES.get(purpose, ()) else "ES256")
    begins = None if at is None else values.moment(at)
    new = keys.generate_one(purpose, chosen)
    with run.write() as (tx, operator, tenant_id):
        life = keys.rotate(
            tx,
            operator,
            tenant_id,
            new,
            publish_ahead=timedelta(0) if now else settings.keys.publish_ahead,
            longest_token=settings.tokens.access_token + LEEWAY,
            at=begins,
        )
    value = {
        "id": life.key_id,
        "purpose": purpose,
        "algorithm": chosen,
        "publish_at": life.publish_at,
        "activate_at": life.activate_at,
    }
    text = (
        f"The {chosen} key {life.key_id} is published from {cell(life.publish_at)} on "
        f"and signs from {cell(life.activate_at)} on.\nNext: authz keys list"
    )
    if now:
        text += (
            "\nTokens of the key before are good until they expire; MCP servers that cached the key set "
            "fetch it again for the new key."
        )
    return Result(value, text)
