"""`authz keys`: signing keys."""

import sys
from datetime import timedelta
from typing import Annotated

import typer

from authz.admin import keys, sealing
from authz.cli import values
from authz.cli.output import cell, table
from authz.cli.run import Result, Run, command, group
from authz.jose import LEEWAY
from authz.keys import PURPOSES

app = group("Signing keys: list, rotate; and the key they are sealed with.")


@command(app, "list")
def list_(run: Run) -> Result:
    """All keys with their state."""
    with run.read() as (tx, tenant_id):
        lines = keys.list_(tx, tenant_id, run.services.clock())
    rows = [
        (k.purpose, k.algorithm, k.state, k.activate_at, k.retire_at, k.gone_at, k.backend, k.id)
        for k in lines
    ]
    headings = (
        *("PURPOSE", "ALGORITHM", "STATE", "SIGNS FROM", "UNTIL", "PUBLISHED UNTIL"),
        *("WHERE", "KEY"),
    )
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
        typer.Option(
            "--now", help="Sign with the new key at once; what the old one signed stands."
        ),
    ] = False,
    emergency: Annotated[
        bool,
        typer.Option(
            "--emergency",
            help="The old keys are in wrong hands: they leave the key set now, and what they signed is worth nothing.",
        ),
    ] = False,
    at: Annotated[
        str | None,
        typer.Option(help="Publish it then, such as 2026-12-31T00:00:00Z.", show_default=False),
    ] = None,
    reference: Annotated[
        str | None,
        typer.Option(
            help="A key that was made in the key store of keys.backend already.", show_default=False
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="In an emergency, do not ask.")] = False,
) -> Result:
    """Publish a new key; it signs once verifiers have seen it, and the old one stays until unneeded."""
    if (now or emergency) and at:
        raise typer.BadParameter("use one of --now, --emergency and --at")
    settings = run.settings
    configured = settings.keys.algorithm
    chosen = algorithm or (configured if configured in PURPOSES.get(purpose, ()) else "ES256")
    begins = None if at is None else values.moment(at)
    if emergency and not yes and sys.stdin.isatty():
        typer.confirm(f"{_affected(purpose, chosen)}\nGo on?", abort=True)
    new = keys.generate_one(purpose, chosen, run.services.custody, reference=reference)
    with run.write() as (tx, operator, tenant_id):
        life = keys.rotate(
            tx,
            operator,
            tenant_id,
            new,
            publish_ahead=timedelta(0) if now or emergency else settings.keys.publish_ahead,
            longest_token=settings.tokens.access_token + LEEWAY,
            at=begins,
            emergency=emergency,
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
    if emergency:
        text += (
            "\nThe keys before are out of the key set and wiped; introspection calls their tokens inactive. "
            "MCP servers that cached the key set accept them until they fetch it again.\n"
            "Next: docs/keys.md, after an emergency"
        )
    elif now:
        text += (
            "\nTokens of the key before are good until they expire; MCP servers that cached the key set "
            "fetch it again for the new key."
        )
    return Result(value, text)


@command(app, "rewrap", tenant=False)
def rewrap(run: Run) -> Result:
    """Seal every stored secret again with keys.encryption_key; the server may run, and a second run goes on."""
    services = run.services
    moved = list(sealing.rewrap_all(services.database, run.operator))
    with services.database.read() as tx:
        left = sealing.usage(tx)
    name = services.envelope.name
    value = {"key_encryption_key": name, "moved": moved, "used": dict(left)}
    text = f"{sum(it.secrets for it in moved)} secrets of {len(moved)} tenants were moved under {name}."
    if set(left) <= {name}:
        text += "\nNothing is sealed with another key: keys.further_encryption_keys may be emptied."
    return Result(value, text)


def _affected(purpose: str, algorithm: str) -> str:
    return (
        f"Every {algorithm} key for {purpose} leaves the key set at once and is wiped. What they signed is refused: "
        "clients refresh, MCP servers fetch the keys again."
    )
