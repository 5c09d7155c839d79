"""`authz groups`: named sets of people that roles are bound to."""

from typing import Annotated

import typer

from authz.admin import groups
from authz.cli.output import fields, table
from authz.cli.run import Result, Run, command, group

app = group("Groups: list, add, remove, members.")
members = group("Who is in a group: list, add, remove.")
app.add_typer(members, name="members")
_Group = Annotated[str, typer.Argument(help="A group's name or id (grp_…).", metavar="GROUP")]
_User = Annotated[str, typer.Argument(help="A login name or an id (usr_…).", metavar="USER")]


@command(app, "list")
def list_(run: Run) -> Result:
    """All groups by name."""
    with run.read() as (tx, tenant_id):
        lines = groups.list_(tx, tenant_id)
    rows = [(g.name, g.members, g.id) for g in lines]
    empty = "No group; `authz groups add NAME` makes one."
    return Result(lines, table(("GROUP", "MEMBERS", "ID"), rows, empty=empty))


@command(app, "add")
def add(run: Run, name: Annotated[str, typer.Argument(metavar="NAME")]) -> Result:
    """Add an empty group."""
    with run.write() as (tx, operator, tenant_id):
        line = groups.add(tx, operator, tenant_id, name=name)
    after = f"authz groups members add {line.name} USER"
    return Result(line, f"Added the group {line.name} ({line.id}).\nNext: {after}")


@command(app, "remove", asks=True)
def remove(run: Run, group: _Group) -> Result:
    """Forget a group that was made here, with the roles it holds."""
    with run.write() as (tx, operator, tenant_id):
        line = groups.remove(tx, operator, tenant_id, group=group)
    return Result(line, f"Removed the group {line.name}, with {line.members} people in it.")


@command(members, "list")
def list_members(run: Run, group: _Group) -> Result:
    """The people of a group and the roles it holds."""
    with run.read() as (tx, tenant_id):
        found = groups.show(tx, tenant_id, group)
    return Result(found, fields(vars(found).items()))


@command(members, "add")
def add_member(run: Run, group: _Group, user: _User) -> Result:
    """Put a person into a group; their next token has what its roles hold."""
    with run.write() as (tx, operator, tenant_id):
        found = groups.add_member(tx, operator, tenant_id, group=group, user=user)
    return Result(found, f"Added. The group {found.name} has {len(found.members)} members.")


@command(members, "remove")
def remove_member(run: Run, group: _Group, user: _User) -> Result:
    """Take a person out of a group; their next refresh is without its roles."""
    with run.write() as (tx, operator, tenant_id):
        found = groups.remove_member(tx, operator, tenant_id, group=group, user=user)
    return Result(found, f"Removed. The group {found.name} has {len(found.members)} members.")
