"""`authz scim-tokens`: what lets a company's directory provision people and groups of a tenant (SCIM)."""

from typing import Annotated

import typer

from authz.admin import scim_tokens
from authz.cli import values
from authz.cli.output import table
from authz.cli.run import Result, Run, command, group

app = group("Provisioning by identity providers (SCIM): tokens: list, add, revoke.")


@command(app, "list")
def list_(run: Run) -> Result:
    """All tokens, with their last use; never the tokens themselves."""
    with run.read() as (tx, tenant_id):
        lines = scim_tokens.list_(tx, tenant_id)
    rows = [(t.name, t.connection, t.last_used_at, t.expires_at, t.revoked_at, t.id) for t in lines]
    headings = ("NAME", "CONNECTION", "LAST USED", "EXPIRES", "REVOKED", "ID")
    return Result(lines, table(headings, rows, empty="No token; `authz scim-tokens add NAME`."))


@command(app, "add")
def add(
    run: Run,
    name: Annotated[str, typer.Argument(help="Which directory will use it.", metavar="NAME")],
    connection: Annotated[
        str | None,
        typer.Option(
            help="Whose people it provisions: a connection. Everybody's when absent.",
            metavar="SLUG",
            show_default=False,
        ),
    ] = None,
    expires: Annotated[
        str, typer.Option(help="How long it is good: 90d, 8760h; never is for ever.")
    ] = "never",
) -> Result:
    """Make a token, printed this once."""
    lifetime = None if expires == "never" else values.duration(expires)
    with run.write() as (tx, operator, tenant_id):
        made = scim_tokens.add(
            tx, operator, tenant_id, name=name, connection=connection, lifetime=lifetime
        )
    base = f"{run.issuer}/scim/v2"
    value = {**vars(made.line), "token": made.token, "base_url": base}
    text = (
        f"Added {name} ({made.line.id}).\nbase_url: {base}\ntoken: {made.token}\n"
        "It is not stored and not shown again."
    )
    return Result(value, text)


@command(app, "revoke")
def revoke(
    run: Run, token: Annotated[str, typer.Argument(help="Its id (stk_…).", metavar="ID")]
) -> Result:
    """Nothing is provisioned with it any more; people and groups stay."""
    with run.write() as (tx, operator, tenant_id):
        line = scim_tokens.revoke(tx, operator, tenant_id, token)
    return Result(line, f"Revoked {line.name}; people and groups stay as they are.")
