"""`authz simulate`: what a token would hold, before anybody asks for it."""

from typing import Annotated

import typer

from authz.admin.simulate import ANY_CLIENT, Question, Simulation
from authz.admin.simulate import simulate as simulate_token
from authz.cli import values
from authz.cli.output import cell, fields
from authz.cli.run import Result, Run, command, group
from authz.errors import NotFound

app = group("What a person or a client will get at an MCP server, and why not the rest.")


@command(app, "simulate")
def simulate(
    run: Run,
    user: Annotated[
        str | None,
        typer.Argument(
            help="A login or an id; without one it is the client on its own behalf.",
            metavar="USER",
            show_default=False,
        ),
    ] = None,
    server: Annotated[
        str, typer.Option("--server", help="The MCP server, by URL or id.", metavar="SERVER")
    ] = "",
    client: Annotated[
        str,
        typer.Option(
            "--client",
            help="The client, an agent's for an agent; `any` is one that nothing bounds.",
            metavar="CLIENT",
        ),
    ] = ANY_CLIENT,
    scope: Annotated[
        list[str] | None,
        typer.Option("--scope", help="Only these; repeat. Otherwise all there are.", metavar="S"),
    ] = None,
    defaults: Annotated[
        bool, typer.Option("--defaults", help="The client asks for nothing in particular.")
    ] = False,
    device: Annotated[
        bool, typer.Option("--device", help="The person lets another device in.")
    ] = False,
    connection: Annotated[
        str | None,
        typer.Option(
            "--connection",
            help="Where they sign in, a connection or local; otherwise as they last did.",
            metavar="CONNECTION",
            show_default=False,
        ),
    ] = None,
    acr: Annotated[
        str | None, typer.Option("--acr", help="How they sign in.", show_default=False)
    ] = None,
    age: Annotated[
        str | None,
        typer.Option("--signed-in-ago", help="30s, 5m, 8h.", metavar="AGE", show_default=False),
    ] = None,
) -> Result:
    """Ask policy as minting does: granted by which role, refused why, the tools it opens."""
    if not server:
        raise typer.BadParameter("name the MCP server with --server")
    if scope and defaults:
        raise typer.BadParameter("use --scope or --defaults, not both")
    question = Question(
        server=server,
        user=user,
        client=client,
        scopes=frozenset(scope) if scope else None,
        asks_nothing=defaults,
        by_device=device,
        connection=connection,
        acr=acr,
        age=None if age is None else values.duration(age),
    )
    with run.read() as (tx, _):
        configuration = run.services.configurations.find(tx, run.tenant)
        if configuration is None:
            raise NotFound(f"the tenant {run.tenant} is switched off; nobody gets anything there")
        found = simulate_token(tx, configuration, question, run.services.clock())
    return Result(found, _told(found))


def _told(found: Simulation) -> str:
    client = "any" if found.client is None else f"{found.client_name} ({found.client})"
    if found.agent is not None:
        client += f", of the agent {found.agent}"
    requested = "nothing in particular (the server's default scopes)"
    if found.requested is not None:
        requested = " ".join(found.requested)
    lines = [
        fields(
            [
                ("person", "nobody" if found.login is None else f"{found.login} ({found.subject})"),
                ("client", client),
                ("MCP server", found.server),
                ("requested", requested),
                *([] if found.signed_in is None else [("signed in", found.signed_in)]),
            ]
        ),
        *[f"No token at all: {cell(it.sentence)}." for it in found.obstacles],
        "granted:",
        *([_granted(it.scope, it.source, it.requires, it.tools) for it in found.granted]),
    ]
    if not found.granted:
        lines.append("  nothing")
    if found.refused:
        lines.append("refused:")
        lines += [_refused(it.scope, it.sentence, it.requires, it.roles) for it in found.refused]
    return "\n".join(lines)


def _granted(scope: str, source: str, requires: str | None, tools: list[str]) -> str:
    line = f"  {cell(scope)}: {cell(source)}" + (f" [{cell(requires)}]" if requires else "")
    return line + (f"; tools: {cell(tools)}" if tools else "")


def _refused(scope: str, sentence: str, requires: str | None, roles: list[str]) -> str:
    line = f"  {cell(scope)}: {cell(sentence)}" + (f" [{cell(requires)}]" if requires else "")
    return line + (f"; these roles do: {cell(roles)}" if roles else "")
