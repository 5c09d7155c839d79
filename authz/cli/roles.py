"""`authz roles`: import and export the roles file, bind roles to people, groups and clients."""

from pathlib import Path
from typing import Annotated

import typer

from authz.admin import local_grants, roles
from authz.admin.roles_import import RolesDiff, import_file
from authz.cli import values
from authz.cli.output import table
from authz.cli.run import Result, Run, command, group
from authz.policy.roles_file import dump, parse

app = group("Roles: import, export, bind, unbind, list, local.")
_Role = Annotated[str, typer.Argument(help="The role's name.", metavar="ROLE")]


@command(app, "import")
def import_(
    run: Run,
    file: Annotated[
        Path,
        typer.Argument(help="YAML, see docs/roles.md; - is standard input.", metavar="FILE"),
    ],
) -> Result:
    """Make the roles those of the file, in one step: roles it does not have are removed."""
    wanted = parse(values.text_of(file))
    with run.write() as (tx, operator, tenant_id):
        run.watch.at(f"importing {len(wanted.roles)} roles")
        diff = import_file(tx, operator, tenant_id, wanted)
    return Result(diff, _told(diff))


@command(app, "export")
def export(
    run: Run,
    output: Annotated[
        Path | None, typer.Option(help="Write to this file.", dir_okay=False, show_default=False)
    ] = None,
) -> Result:
    """Print all roles and bindings as a file that `import` reads; with --json in JSON."""
    with run.read() as (tx, tenant_id):
        file = roles.export(tx, tenant_id)
    if output is None:
        return Result(file, dump(file).rstrip("\n"))
    values.write_text(output, dump(file))
    return Result({"file": str(output), "roles": len(file.roles)}, f"Wrote {output}.")


@command(app, "list")
def list_(run: Run) -> Result:
    """All roles with what they hold and who holds them."""
    with run.read() as (tx, tenant_id):
        lines = roles.list_(tx, tenant_id)
    rows = [(r.name, r.includes, r.scopes, r.requires, r.users, r.groups, r.clients) for r in lines]
    headings = ("ROLE", "INCLUDES", "SCOPES", "REQUIRES", "USERS", "GROUPS", "CLIENTS")
    return Result(lines, table(headings, rows, empty="No role; `authz roles import FILE`."))


@command(app, "local")
def local(run: Run) -> Result:
    """Who holds a role, or an admin role, because of what was put there here and not at the identity provider."""
    with run.read() as (tx, tenant_id):
        lines = local_grants.list_(tx, tenant_id, run.services.clock())
    rows = [
        (it.role, it.is_admin, it.kind, it.holder, it.group, it.is_break_glass, it.expires_at)
        for it in lines
    ]
    headings = ("ROLE", "ADMIN", "KIND", "HOLDER", "THROUGH", "BREAK-GLASS", "UNTIL")
    empty = "None: every role is held through a group that the identity provider fills."
    return Result(lines, table(headings, rows, empty=empty))


@command(app, "bind")
def bind(
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
    """Give a role to a user, a group or a client; an existing binding gets the new end."""
    kind, holder = values.holder(user=user, group=group, client=client)
    end = None if until is None else values.moment(until)
    with run.write() as (tx, operator, tenant_id):
        line = roles.bind(tx, operator, tenant_id, role=role, kind=kind, holder=holder, until=end)
    return Result(line, f"Bound {line}.")


@command(app, "unbind")
def unbind(
    run: Run,
    role: _Role,
    user: values.UserHolder = None,
    group: values.GroupHolder = None,
    client: values.ClientHolder = None,
) -> Result:
    """Take a role from a user, a group or a client."""
    kind, holder = values.holder(user=user, group=group, client=client)
    with run.write() as (tx, operator, tenant_id):
        line = roles.unbind(tx, operator, tenant_id, role=role, kind=kind, holder=holder)
    return Result(line, f"Unbound {line}. The next token and refresh is without it.")


@command(app, "require")
def require(
    run: Run,
    role: _Role,
    requires_acr: values.RequiresAcr = None,
    requires_max_age: values.RequiresMaxAge = None,
    requires_connection: values.RequiresConnection = None,
    requires_nothing: values.RequiresNothing = False,
) -> Result:
    """Say how people must have signed in for a role to count; what is said replaces all that was."""
    required = values.requirement(
        requires_acr, requires_max_age, requires_connection, nothing=requires_nothing
    )
    if required is None:
        raise typer.BadParameter("say what is required, or --requires-nothing")
    with run.write() as (tx, operator, tenant_id):
        now = roles.require(tx, operator, tenant_id, role=role, required=required)
    told = f"{role} requires {now or 'nothing of the sign-in'}. The next token and refresh obeys."
    return Result({"role": role, "requires": now}, told)


def _told(diff: RolesDiff) -> str:
    lines = [f"+ role {name}" for name in diff.added]
    lines += [f"- role {name}" for name in diff.removed]
    for change in diff.changed:
        parts = [f"+{item}" for item in change.gained] + [f"-{item}" for item in change.lost]
        parts += ["description"] if change.description_changed else []
        lines.append(f"~ role {change.name}: {', '.join(parts)}")
    lines += [f"+ {line}" for line in diff.bound] + [f"- {line}" for line in diff.unbound]
    lines += [f"Warning: {warning}" for warning in diff.warnings]
    end = "Nothing changed." if diff.is_empty else "Imported; the next token and refresh obey it."
    return "\n".join([*lines, end])
