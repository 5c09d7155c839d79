"""`authz credentials`: secrets of the systems behind MCP servers, by reference."""

from typing import Annotated

import typer

from authz.admin import credentials
from authz.cli.output import table
from authz.cli.run import Result, Run, command, group

app = group("Credentials of the systems behind MCP servers, by reference: list, add, remove.")
_Server = Annotated[str, typer.Argument(help="The server's URL or id (res_…).", metavar="SERVER")]
_Name = Annotated[str, typer.Argument(help="What the server asks for it by.", metavar="NAME")]


@command(app, "list")
def list_(
    run: Run,
    server: Annotated[
        str | None, typer.Option(help="Of one server.", metavar="SERVER", show_default=False)
    ] = None,
) -> Result:
    """Which server gets what, for which tokens; never the secrets."""
    with run.read() as (tx, tenant_id):
        lines = credentials.list_(tx, tenant_id, server)
    rows = [
        (it.server, it.name, it.reference, " ".join(it.scopes) or "any token", it.client_id or "")
        for it in lines
    ]
    empty = "No server gets a credential; `authz credentials add` lets one."
    return Result(lines, table(("SERVER", "NAME", "SECRET", "TAKES", "FOR"), rows, empty=empty))


@command(app, "add")
def add(
    run: Run,
    server: _Server,
    name: _Name,
    reference: Annotated[
        str,
        typer.Argument(help="Where the secret is: vault:PATH#KEY, file:PATH …", metavar="SECRET"),
    ],
    scope: Annotated[
        list[str] | None,
        typer.Option(
            help="The token has to hold it; repeat for more, all of which it has to hold. "
            "Without one any token for the server will do.",
            metavar="SCOPE",
        ),
    ] = None,
) -> Result:
    """Let a server have the secret of a system behind it."""
    with run.write() as (tx, operator, tenant_id):
        line = credentials.add(
            tx,
            operator,
            tenant_id,
            server,
            name=name,
            reference=reference,
            scopes=scope or (),
        )
    takes = f"that holds {' and '.join(line.scopes)}" if line.scopes else "for it"
    told = (
        f"Its own client {line.client_id} gets it for a token {takes}, by token exchange."
        if line.client_id
        else f"Nobody gets it yet: `authz resources client {line.server} CLIENT` names the server's own client."
    )
    return Result(line, f"{line.name} of {line.server} is what {line.reference} holds.\n{told}")


@command(app, "remove")
def remove(run: Run, server: _Server, name: _Name) -> Result:
    """The server gets it no more."""
    with run.write() as (tx, operator, tenant_id):
        line = credentials.remove(tx, operator, tenant_id, server, name)
    return Result(
        line,
        f"{line.server} gets {line.name} no more. What it has got is good until you rotate the secret.",
    )
