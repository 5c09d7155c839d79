"""`authz clients tokens`: what lets a client register itself where a tenant demands one (RFC 7591 §3)."""

from typing import Annotated

import typer

from authz.admin import initial_tokens
from authz.cli import values
from authz.cli.output import table
from authz.cli.run import Result, Run, command, group

tokens = group("Initial access tokens for registration: add, list, revoke.")


@command(tokens, "list")
def list_(run: Run) -> Result:
    """All initial access tokens, with what is left of each; never the tokens themselves."""
    with run.read() as (tx, tenant_id):
        lines = initial_tokens.list_(tx, tenant_id)
    rows = [
        (t.name, "any" if t.remaining is None else t.remaining, t.expires_at, t.revoked_at, t.id)
        for t in lines
    ]
    headings = ("NAME", "REGISTRATIONS LEFT", "EXPIRES", "REVOKED", "ID")
    return Result(lines, table(headings, rows, empty="No token; `authz clients tokens add NAME`."))


@command(tokens, "add")
def add(
    run: Run,
    name: Annotated[str, typer.Argument(help="Who or what it is for.", metavar="NAME")],
    uses: Annotated[
        int | None,
        typer.Option(help="How many registrations; no limit when absent.", show_default=False),
    ] = None,
    expires: Annotated[
        str, typer.Option(help="How long it is good: 24h, 7d; never is for ever.")
    ] = "7d",
) -> Result:
    """Make a token, printed this once."""
    lifetime = None if expires == "never" else values.duration(expires)
    with run.write() as (tx, operator, tenant_id):
        made = initial_tokens.add(tx, operator, tenant_id, name=name, uses=uses, lifetime=lifetime)
    value = {**vars(made.line), "token": made.token}
    text = (
        f"Added {name} ({made.line.id}).\ninitial_access_token: {made.token}\n"
        "It is not stored and not shown again."
    )
    return Result(value, text)


@command(tokens, "revoke")
def revoke(
    run: Run, token: Annotated[str, typer.Argument(help="Its id (itk_…).", metavar="ID")]
) -> Result:
    """No more registrations with it; clients that it let in stay."""
    with run.write() as (tx, operator, tenant_id):
        line = initial_tokens.revoke(tx, operator, tenant_id, token)
    return Result(line, f"Revoked {line.name}; clients that it let in stay.")
