"""`authz admins`: who administers, by the fixed admin roles."""

from typing import Annotated

import typer

from authz.admin import admins
from authz.cli import values
from authz.cli.output import table
from authz.cli.run import Result, Run, command, group
from authz.policy.administration import ADMIN_ROLES

app = group("Who administers: list, roles, grant, revoke.")
_Role = Annotated[str, typer.Argument(help="; ".join(ADMIN_ROLES), metavar="ROLE")]


@command(app, "list")
def list_(run: Run) -> Result:
    """Who holds which admin role, and until when."""
    with run.read() as (tx, tenant_id):
        lines = admins.list_(tx, tenant_id)
    rows = [(it.role, it.kind, it.holder, it.expires_at) for it in lines]
    empty = "Nobody administers; `authz admins grant owner --user LOGIN` makes the first owner."
    return Result(lines, table(("ROLE", "KIND", "HOLDER", "UNTIL"), rows, empty=empty))


@command(app, "roles", tenant=False)
def roles(run: Run) -> Result:  # noqa: ARG001
    """The admin roles there are and what each may do."""
    found = [
        {
            "name": it.name,
            "description": it.description,
            "permissions": sorted(map(str, it.permissions)),
        }
        for it in ADMIN_ROLES.values()
    ]
    rows = [(it["name"], it["description"], it["permissions"]) for it in found]
    return Result(found, table(("ROLE", "WHAT FOR", "PERMISSIONS"), rows, empty=""))


@command(app, "grant")
def grant(
    run: Run,
    role: _Role,
    user: values.UserHolder = None,
    group: values.GroupHolder = None,
    client: values.ClientHolder = None,
    until: Annotated[
        str | None,
        typer.Option(help="When it ends, such as 2026-12-31T00:00:00Z.", show_default=False),
    ] = None,
) -> Result:
    """Let a person, a group or a client administer. A client needs the scopes in its ceiling as well."""
    kind, holder = values.holder(user=user, group=group, client=client)
    moment = None if until is None else values.moment(until)
    with run.write() as (tx, operator, tenant_id):
        line = admins.grant(
            tx, operator, tenant_id, role=role, kind=kind, holder=holder, until=moment
        )
    after = (
        f"`authz clients ceiling {holder}` bounds what it may ask for at {run.issuer}/api/admin"
        if kind == "client"
        else f"they sign in at {run.issuer}/console"
    )
    return Result(
        line, f"The {kind} {line.holder} holds the admin role {line.role}.\nNext: {after}"
    )


@command(app, "revoke", asks=True)
def revoke(
    run: Run,
    role: _Role,
    user: values.UserHolder = None,
    group: values.GroupHolder = None,
    client: values.ClientHolder = None,
) -> Result:
    """Take an admin role away; it ends with the next request."""
    kind, holder = values.holder(user=user, group=group, client=client)
    with run.write() as (tx, operator, tenant_id):
        line = admins.revoke(tx, operator, tenant_id, role=role, kind=kind, holder=holder)
    return Result(line, f"The {kind} {line.holder} holds the admin role {line.role} no more.")
