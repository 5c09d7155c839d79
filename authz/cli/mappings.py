"""`authz mappings`: what identity providers say of people, and which group or role that means."""

from typing import Annotated

import typer

from authz.admin import mappings
from authz.cli.output import table
from authz.cli.run import Result, Run, command, group

app = group("Claims of identity providers to groups and roles: list, add, remove.")


@command(app, "list")
def list_(run: Run) -> Result:
    """All mappings."""
    with run.read() as (tx, tenant_id):
        lines = mappings.list_(tx, tenant_id)
    rows = [
        (it.connection, f"{it.claim}={it.value}", it.group, ", ".join(it.roles), it.id)
        for it in lines
    ]
    empty = "No mapping; what identity providers say of groups counts for nothing."
    return Result(lines, table(("CONNECTION", "CLAIM", "GROUP", "ROLES", "ID"), rows, empty=empty))


@command(app, "add")
def add(
    run: Run,
    connection: Annotated[str, typer.Argument(metavar="CONNECTION")],
    claim: Annotated[str, typer.Argument(help="Such as groups.", metavar="CLAIM")],
    value: Annotated[str, typer.Argument(help="Compared whole, case and all.", metavar="VALUE")],
    role: Annotated[
        str | None,
        typer.Option("--role", help="The role it means.", metavar="ROLE", show_default=False),
    ] = None,
    to_group: Annotated[
        str | None,
        typer.Option("--group", help="The group it means.", metavar="GROUP", show_default=False),
    ] = None,
) -> Result:
    """Whoever has this value in this claim gets this role, or is in this group."""
    with run.write() as (tx, operator, tenant_id):
        line = mappings.add(
            tx,
            operator,
            tenant_id,
            connection=connection,
            claim=claim,
            value=value,
            group=to_group,
            role=role,
        )
    what = f"the role {role}" if role else f"the group {line.group}"
    return Result(
        line, f"Mapped {claim}={value} of {line.connection} to {what}, from the next sign-in on."
    )


@command(app, "remove", asks=True)
def remove(run: Run, mapping: Annotated[str, typer.Argument(metavar="ID")]) -> Result:
    """Take a mapping back, and the group from whoever had it by this connection."""
    with run.write() as (tx, operator, tenant_id):
        line = mappings.remove(tx, operator, tenant_id, mapping)
    return Result(
        line, f"Removed. {line.claim}={line.value} of {line.connection} means nothing now."
    )
