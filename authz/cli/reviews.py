"""`authz reviews`: somebody answers for what roles hold and who holds them, or it ends."""

from typing import Annotated

import typer

from authz.admin import resources, reviews
from authz.cli import values
from authz.cli.output import table
from authz.cli.run import Result, Run, command, group

app = group("Access reviews: list, start, show, keep, remove.")
_Review = Annotated[str, typer.Argument(help="Its id (rev_…).", metavar="REVIEW")]
_Item = Annotated[str, typer.Argument(help="The id of an item (rvi_…).", metavar="ITEM")]
_Note = Annotated[str, typer.Option(help="What to say about it.")]


@command(app, "list")
def list_(run: Run) -> Result:
    """All campaigns, the youngest first."""
    with run.read() as (tx, tenant_id):
        lines = reviews.list_(tx, tenant_id)
    rows = [(it.id, it.name, it.due_at, it.open, it.kept, it.removed) for it in lines]
    headings = ("ID", "NAME", "DUE", "OPEN", "KEPT", "REMOVED")
    empty = "No review; `authz reviews start NAME --due TIME` begins one."
    return Result(lines, table(headings, rows, empty=empty))


@command(app, "start")
def start(
    run: Run,
    name: Annotated[str, typer.Argument(metavar="NAME")],
    due: Annotated[
        str, typer.Option(help="Such as 2026-12-31T00:00:00Z; what is open then is removed.")
    ],
    server: Annotated[
        str | None,
        typer.Option(help="Only what reaches this MCP server.", show_default=False),
    ] = None,
) -> Result:
    """Begin a campaign about every role, or about what reaches one server."""
    with run.write() as (tx, operator, tenant_id):
        run.watch.at("collecting what has to be answered for")
        server_id = None if server is None else resources.load(tx, tenant_id, server).id
        line = reviews.start(
            tx, operator, tenant_id, name=name, due_at=values.moment(due), server=server_id
        )
    return Result(
        line, f"Began {line.id} with {line.items} items.\nNext: authz reviews show {line.id}"
    )


@command(app, "show")
def show(run: Run, review: _Review) -> Result:
    """What is open in a campaign (two hundred at a time)."""
    with run.read() as (tx, tenant_id):
        line = reviews.show(tx, tenant_id, review)
        found = reviews.page(tx, tenant_id, review, limit=200).rows
    rows = [(it.id, it.label, it.owner) for it in found]
    text = table(("ITEM", "WHAT", "OWNER"), rows, empty="Everything is answered.")
    return Result({"review": line, "open": found}, text)


@command(app, "keep")
def keep(run: Run, item: _Item, note: _Note = "") -> Result:
    """Answer for one thing: it is still needed."""
    with run.write() as (tx, operator, tenant_id):
        line = reviews.keep(tx, operator, tenant_id, item, note=note)
    return Result(line, f"Kept {line.label}.")


@command(app, "remove", asks=True)
def remove(run: Run, item: _Item, note: _Note = "") -> Result:
    """End one thing; the next token and refresh is without it."""
    with run.write() as (tx, operator, tenant_id):
        line = reviews.remove(tx, operator, tenant_id, item, note=note)
    return Result(line, f"Removed {line.label}.")
