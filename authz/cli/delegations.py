"""`authz delegations`: which client exchanges tokens of one MCP server for tokens of another."""

from typing import Annotated

import typer

from authz.admin import delegations
from authz.cli.output import table
from authz.cli.run import Result, Run, command, group
from authz.oauth.delegations import MAX_DEPTH

app = group("Rules of token exchange (RFC 8693): list, add, remove.")


@command(app, "list")
def list_(run: Run) -> Result:
    """All rules."""
    with run.read() as (tx, tenant_id):
        lines = delegations.list_(tx, tenant_id)
    rows = [
        (it.client_id, it.from_server, it.to_server, _told(it), it.max_depth, it.id) for it in lines
    ]
    empty = "No client exchanges tokens; `authz delegations add` lets one."
    return Result(
        lines, table(("CLIENT", "FROM", "TO", "CARRIES", "DEPTH", "ID"), rows, empty=empty)
    )


@command(app, "add")
def add(
    run: Run,
    client: Annotated[str, typer.Argument(help="Who exchanges.", metavar="CLIENT")],
    from_: Annotated[
        str, typer.Option("--from", help="The MCP server whose tokens it has.", metavar="SERVER")
    ],
    to: Annotated[
        str, typer.Option("--to", help="The MCP server it wants to call.", metavar="SERVER")
    ],
    scope: Annotated[
        list[str],
        typer.Option(
            help="What is carried over: SCOPE, or SCOPE=A,B for a scope there that A or B here carries. Repeatable.",
            metavar="SCOPE[=A,B]",
        ),
    ],
    max_depth: Annotated[
        int, typer.Option("--max-depth", help="Actors in the chain, at most.")
    ] = MAX_DEPTH,
) -> Result:
    """Let a client exchange tokens on behalf of people."""
    carries = {}
    for text in scope:
        name, _, by = text.partition("=")
        carries[name] = by.split(",") if by else [name]
    with run.write() as (tx, operator, tenant_id):
        line = delegations.add(
            tx,
            operator,
            tenant_id,
            client_id=client,
            from_server=from_,
            to_server=to,
            carries=carries,
            max_depth=max_depth,
        )
    text = (
        f"{line.client_id} may exchange tokens for {line.from_server} for tokens for {line.to_server}.\n"
        f"Carried: {_told(line)}\n"
        "What people get there is still theirs: their roles at that server decide."
    )
    return Result(line, text)


@command(app, "remove")
def remove(
    run: Run, rule: Annotated[str, typer.Argument(help="Its id (dlg_…).", metavar="ID")]
) -> Result:
    """Take a rule away."""
    with run.write() as (tx, operator, tenant_id):
        line = delegations.remove(tx, operator, tenant_id, rule)
    return Result(
        line,
        f"{line.client_id} no longer exchanges tokens from {line.from_server} to {line.to_server}; "
        "what it has ends within minutes.",
    )


def _told(line: delegations.DelegationLine) -> str:
    return "; ".join(
        scope if by == [scope] else f"{scope} by {' or '.join(by)}"
        for scope, by in line.carries.items()
    )
