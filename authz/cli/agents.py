"""`authz agents`: programs that act for people or by themselves."""

from typing import Annotated

import typer

from authz.admin import agents
from authz.cli import values
from authz.cli.output import fields, table
from authz.cli.run import Result, Run, command, group

app = group("Agents: list, add, show, change, wake, kill.")
client = group("The clients of an agent: add, remove.")
app.add_typer(client, name="client")
_Slug = Annotated[str, typer.Argument(help="Its short name or id (agt_…).", metavar="AGENT")]
_Client = Annotated[
    str, typer.Argument(help="The client's id, or TRUST/RULE for a workload.", metavar="CLIENT")
]
_Servers = Annotated[
    list[str] | None,
    typer.Option("--server", help="An MCP server it may use; repeat for more.", metavar="SERVER"),
]
_Scopes = Annotated[
    list[str] | None,
    typer.Option("--scope", help="The most it may get; repeat for more.", metavar="SCOPE"),
]
_Until = Annotated[
    str | None,
    typer.Option("--until", help="Its end: 2026-12-31T00:00:00Z.", show_default=False),
]


@command(app, "list")
def list_(run: Run) -> Result:
    """The fleet."""
    with run.read() as (tx, tenant_id):
        lines = agents.list_(tx, tenant_id, run.operator.now)
    rows = [
        (it.slug, it.status, it.owner, it.clients, it.live_grants, it.used_at, it.expires_at)
        for it in lines
    ]
    headings = ("AGENT", "STATUS", "OWNER", "CLIENTS", "LIVE GRANTS", "LAST USED", "UNTIL")
    return Result(lines, table(headings, rows, empty="No agent; `authz agents add`."))


@command(app, "add")
def add(
    run: Run,
    slug: Annotated[str, typer.Argument(help="Its short name.", metavar="AGENT")],
    purpose: Annotated[str, typer.Option(help="What it is for, in a sentence.")],
    owner: Annotated[str, typer.Option(help="Who answers for it.", metavar="LOGIN")],
    server: _Servers = None,
    client: Annotated[
        list[str] | None,
        typer.Option("--client", help="A client of its own; repeat for more.", metavar="CLIENT"),
    ] = None,
    scope: _Scopes = None,
    until: _Until = None,
    dormant_after: Annotated[
        int, typer.Option("--dormant-after", help="Days without use after which it sleeps.")
    ] = agents.DEFAULT_DORMANT_DAYS,
) -> Result:
    """A new agent. Without --server it may use none."""
    with run.write() as (tx, operator, tenant_id):
        line = agents.add(
            tx,
            operator,
            tenant_id,
            slug=slug,
            purpose=purpose,
            owner=owner,
            servers=server or (),
            clients_=client or (),
            scopes=None if scope is None else frozenset(scope),
            expires_at=None if until is None else values.moment(until),
            dormant_after_days=dormant_after,
        )
    text = f"Added {line.slug} ({line.id}); {line.owner} answers for it."
    if not line.clients:
        text += f"\nNext: authz agents client add {line.slug} CLIENT   how it authenticates"
    return Result(line, text)


@command(app, "show")
def show(run: Run, slug: _Slug) -> Result:
    """One agent."""
    with run.read() as (tx, tenant_id):
        line = agents.show(tx, tenant_id, slug, run.operator.now)
    return Result(line, fields(vars(line).items()))


@command(app, "change")
def change(
    run: Run,
    slug: _Slug,
    owner: Annotated[
        str | None,
        typer.Option(help="Who answers for it now.", metavar="LOGIN", show_default=False),
    ] = None,
    server: _Servers = None,
    scope: _Scopes = None,
    any_scope: Annotated[
        bool, typer.Option("--any-scope", help="No bound but its roles and its people's.")
    ] = False,
    until: _Until = None,
    dormant_after: Annotated[
        int | None,
        typer.Option(
            "--dormant-after", help="Days without use after which it sleeps.", show_default=False
        ),
    ] = None,
) -> Result:
    """Change what is given; --server and --scope replace what there was."""
    if scope and any_scope:
        raise typer.BadParameter("use --scope or --any-scope, not both")
    with run.write() as (tx, operator, tenant_id):
        line = agents.change(
            tx,
            operator,
            tenant_id,
            slug,
            owner=owner,
            servers=server,
            scopes=None if scope is None else frozenset(scope),
            any_scope=any_scope,
            expires_at=None if until is None else values.moment(until),
            dormant_after_days=dormant_after,
        )
    return Result(line, f"Changed {line.slug}.\n{fields(vars(line).items())}")


@command(client, "add")
def add_client(run: Run, slug: _Slug, client: _Client) -> Result:
    """Make a client the agent's own."""
    with run.write() as (tx, operator, tenant_id):
        line = agents.give_client(tx, operator, tenant_id, slug, client)
    return Result(line, f"{client} is a client of {line.slug}.")


@command(client, "remove")
def remove_client(run: Run, slug: _Slug, client: _Client) -> Result:
    """Take a client away from the agent; what it holds ends."""
    with run.write() as (tx, operator, tenant_id):
        line = agents.take_client(tx, operator, tenant_id, slug, client)
    return Result(line, f"{client} is no client of {line.slug} any more; its grants ended.")


@command(app, "wake")
def wake(run: Run, slug: _Slug) -> Result:
    """Let a sleeping agent act again."""
    with run.write() as (tx, operator, tenant_id):
        line = agents.wake(tx, operator, tenant_id, slug)
    return Result(line, f"{line.slug} is active.")


@command(app, "kill", asks=True)
def kill(run: Run, slug: _Slug) -> Result:
    """Switch an agent off everywhere, for good."""
    with run.write() as (tx, operator, tenant_id):
        done = agents.kill(tx, operator, tenant_id, slug)
    return Result(
        done,
        f"Killed {done.agent.slug}: {done.revoked_grants} grants ended; it gets no token any more.",
    )
