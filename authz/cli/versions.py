"""`authz versions`: what policy was, and the way back."""

from typing import Annotated

import typer

from authz.admin import versions
from authz.cli.output import table
from authz.cli.run import Result, Run, command, group

app = group("What policy was: list, show, revert.")
_Version = Annotated[int, typer.Argument(help="The number of a version.", metavar="VERSION")]


@command(app, "list")
def list_(
    run: Run,
    before: Annotated[
        int | None, typer.Option(help="Those before this version.", show_default=False)
    ] = None,
) -> Result:
    """The last two hundred states of policy, the youngest first."""
    with run.read() as (tx, tenant_id):
        after = None if before is None else str(before)
        lines = versions.page(tx, tenant_id, after=after, limit=200).rows
    rows = [(it.version, it.at, it.authors, it.changes) for it in lines]
    empty = "No version yet; `authz serve` keeps one when policy changes."
    return Result(lines, table(("VERSION", "AT", "BY", "WHAT"), rows, empty=empty))


@command(app, "show")
def show(run: Run, version: _Version) -> Result:
    """What a version changed of the one before, as a diff of the files of `authz export`."""
    with run.read() as (tx, tenant_id):
        found = versions.show(tx, tenant_id, version)
    return Result(found, "\n".join(found.diff) or "Nothing differs from the version before.")


@command(app, "revert", asks=True)
def revert(run: Run, version: _Version) -> Result:
    """Make policy what it was at a version: servers, scopes, roles, bindings and mappings, all of it or nothing."""
    with run.write() as (tx, operator, tenant_id):
        told = versions.revert(tx, operator, tenant_id, version=version)
    return Result({"version": version, "changes": told}, "\n".join([*told, "Reverted."]))
