"""`authz targets`: authorization servers that ID-JAGs are issued for."""

from typing import Annotated

import typer

from authz.admin import targets
from authz.cli import values
from authz.cli.output import fields, table
from authz.cli.run import Result, Run, command, group

app = group("Authorization servers that ID-JAGs are issued for: list, add, show, change, clients.")
client = group("Our clients there: add, remove.")
app.add_typer(client, name="client")
_Slug = Annotated[str, typer.Argument(help="Its short name.", metavar="TARGET")]
_Client = Annotated[str, typer.Argument(help="The client's id here.", metavar="CLIENT")]


@command(app, "list")
def list_(run: Run) -> Result:
    """All of them."""
    with run.read() as (tx, tenant_id):
        lines = targets.list_(tx, tenant_id)
    rows = [(it.slug, it.issuer, it.status, it.servers) for it in lines]
    empty = "ID-JAGs are issued for nobody; `authz targets add` changes that."
    return Result(lines, table(("TARGET", "ISSUER", "STATUS", "SERVERS"), rows, empty=empty))


@command(app, "add")
def add(
    run: Run,
    slug: _Slug,
    issuer: Annotated[
        str,
        typer.Option("--issuer", help="Its issuer identifier, letter by letter.", metavar="URL"),
    ],
    set_: values.Settings = None,
    settings: values.SettingsFile = None,
) -> Result:
    """Know an authorization server. Prints what it has to be told of this one."""
    with run.write() as (tx, operator, tenant_id):
        line = targets.add(
            tx,
            operator,
            tenant_id,
            slug=slug,
            issuer=issuer,
            own_issuer=run.issuer,
            settings=values.settings(settings, set_),
        )
    text = (
        f"ID-JAGs are issued for {line.issuer} as {line.slug}.\n"
        f"{fields({'trusted issuer': run.issuer, 'jwks_uri': f'{run.issuer}/jwks'}.items())}\n"
        f"Next: have that server trust this issuer, with these keys.\n"
        f"      authz resources add URL --issued-by {slug} --scope …   its MCP servers\n"
        f"      authz targets client add {slug} CLIENT --as ID          who asks, and its name there"
    )
    return Result(line, text)


@command(app, "show")
def show(run: Run, slug: _Slug) -> Result:
    """One of them; what is not shown has its default."""
    with run.read() as (tx, tenant_id):
        line = targets.show(tx, tenant_id, slug)
    told = {**vars(line), **line.settings}
    return Result(line, fields((k, v) for k, v in told.items() if k != "settings"))


@command(app, "change")
def change(
    run: Run, slug: _Slug, set_: values.Settings = None, settings: values.SettingsFile = None
) -> Result:
    """Change settings; `--set NAME=null` takes one back to its default."""
    with run.write() as (tx, operator, tenant_id):
        line = targets.change(tx, operator, tenant_id, slug, values.settings(settings, set_))
    return Result(line, f"Changed {slug}.")


@command(client, "add")
def add_client(
    run: Run,
    slug: _Slug,
    client: _Client,
    there: Annotated[str, typer.Option("--as", help="Its identifier there.", metavar="ID")],
) -> Result:
    """Say what a client of ours is called there."""
    with run.write() as (tx, operator, tenant_id):
        line = targets.map_client(tx, operator, tenant_id, slug, client, there)
    return Result(line, f"{client} is {there} at {line.issuer}.")


@command(client, "remove")
def remove_client(run: Run, slug: _Slug, client: _Client) -> Result:
    """A client gets no ID-JAG for it any more."""
    with run.write() as (tx, operator, tenant_id):
        line = targets.map_client(tx, operator, tenant_id, slug, client, None)
    return Result(line, f"{client} is not known at {line.issuer} any more.")


@command(app, "enable")
def enable(run: Run, slug: _Slug) -> Result:
    """Issue for it again."""
    with run.write() as (tx, operator, tenant_id):
        line = targets.set_status(tx, operator, tenant_id, slug, "active")
    return Result(line, f"Enabled {slug}.")


@command(app, "disable")
def disable(run: Run, slug: _Slug) -> Result:
    """Issue nothing for it any more."""
    with run.write() as (tx, operator, tenant_id):
        line = targets.set_status(tx, operator, tenant_id, slug, "disabled")
    return Result(line, f"Disabled {slug}; what was issued is good for minutes.")


@command(app, "remove", asks=True)
def remove(run: Run, slug: _Slug) -> Result:
    """Forget it."""
    with run.write() as (tx, operator, tenant_id):
        line = targets.remove(tx, operator, tenant_id, slug)
    return Result(line, f"Removed {slug}.")
