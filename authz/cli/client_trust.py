"""The commands of `authz clients` about clients that publish a metadata document."""

from typing import Annotated

import typer

from authz.admin import client_trust, clients
from authz.cli.output import table
from authz.cli.run import Result, Run, command

_Pattern = Annotated[
    str,
    typer.Argument(
        help="A client identifier URL, a host, or *. and a domain for all its hosts.",
        metavar="PATTERN",
    ),
]
_Asked = Annotated[
    str,
    typer.Argument(
        help="A client identifier URL, or the identifier of a client that registered itself.",
        metavar="CLIENT",
    ),
]
_Url = Annotated[str, typer.Argument(help="The client identifier URL.", metavar="URL")]


def register_trust_commands(app: typer.Typer) -> None:
    """Add them to the group `clients`."""
    command(app, "rules")(rules)
    command(app, "allow")(allow)
    command(app, "deny")(deny)
    command(app, "unlist")(unlist)
    command(app, "requests")(requests)
    command(app, "approve")(approve)
    command(app, "refuse")(refuse)


def rules(run: Run) -> Result:
    """The trust rules for metadata documents."""
    with run.read() as (tx, tenant_id):
        lines = client_trust.rules(tx, tenant_id)
    rows = [(rule.pattern, rule.verdict, rule.created_at) for rule in lines]
    return Result(lines, table(("PATTERN", "VERDICT", "SINCE"), rows, empty="No rule."))


def allow(run: Run, pattern: _Pattern) -> Result:
    """Admit the clients a pattern covers."""
    return _set(run, pattern, "allow", "{} is allowed.")


def deny(run: Run, pattern: _Pattern) -> Result:
    """Refuse the clients a pattern covers, whatever allows them: deny wins."""
    return _set(run, pattern, "deny", "{} is denied; refreshes of its clients fail from now on.")


def unlist(run: Run, pattern: _Pattern) -> Result:
    """Take a rule away."""
    with run.write() as (tx, operator, tenant_id):
        verdict = client_trust.remove_rule(tx, operator, tenant_id, pattern)
    value = {"pattern": pattern, "removed": verdict}
    return Result(value, f"Removed the rule that said {verdict} to {pattern}.")


def requests(
    run: Run,
    everything: Annotated[bool, typer.Option("--all", help="Decided ones too.")] = False,
) -> Result:
    """Clients people asked for that are not admitted yet."""
    with run.read() as (tx, tenant_id):
        lines = client_trust.requests(tx, tenant_id, status=None if everything else "open")
    rows = [(r.client_id, r.user_id, r.status, r.created_at, r.decided_by) for r in lines]
    headings = ("CLIENT", "ASKED BY", "STATUS", "SINCE", "DECIDED BY")
    return Result(lines, table(headings, rows, empty="No request."))


def approve(run: Run, client: _Asked) -> Result:
    """Admit a client somebody asked for by an allow rule for exactly its URL, or vouch for a self-registered one."""
    with run.write() as (tx, operator, tenant_id):
        if clients.is_self_registered(tx, tenant_id, client):
            vouched = clients.approve(tx, operator, tenant_id, client)
            return Result(vouched, f"Approved {client}; people see {vouched.name} as reviewed.")
        line = client_trust.approve(tx, operator, tenant_id, client)
    return Result(line, f"Approved {client}; an allow rule admits exactly this URL.")


def refuse(run: Run, client: _Url) -> Result:
    """Say no to a client somebody asked for."""
    with run.write() as (tx, operator, tenant_id):
        line = client_trust.refuse(tx, operator, tenant_id, client)
    return Result(line, f"Refused {client}.")


def _set(run: Run, pattern: str, verdict: str, sentence: str) -> Result:
    with run.write() as (tx, operator, tenant_id):
        line = client_trust.set_rule(tx, operator, tenant_id, pattern=pattern, verdict=verdict)
    return Result(line, sentence.format(pattern))
