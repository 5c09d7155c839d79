"""`authz changes`: changes of policy that wait for a second person or for their moment."""

from collections.abc import Iterator
from typing import Annotated

import typer

from authz.admin import changes
from authz.admin.change_trials import Trial
from authz.admin.changes import ChangeDetails
from authz.admin.effects import ScopeEffect
from authz.cli import values
from authz.cli.output import cell, fields, table
from authz.cli.run import Result, Run, command, group
from authz.errors import Invalid
from authz.net import strict_json

app = group("Changes of policy that wait for somebody: list, show, propose, approve, refuse.")
_Change = Annotated[str, typer.Argument(help="Its id (chg_…).", metavar="CHANGE")]
_Note = Annotated[str, typer.Option(help="What to say about it.")]


@command(app, "list")
def list_(
    run: Run,
    all_: Annotated[bool, typer.Option("--all", help="Also what is over.")] = False,
) -> Result:
    """What waits, the youngest first; with --all the last two hundred."""
    wanted = changes.STATUSES if all_ else (changes.OPEN, changes.SCHEDULED)
    with run.read() as (tx, tenant_id):
        lines = changes.page(tx, tenant_id, statuses=wanted, limit=200).rows
    rows = [
        (it.id, it.operation, it.author_login or it.author, it.status, it.activate_at, it.reason)
        for it in lines
    ]
    headings = ("ID", "OPERATION", "ASKED BY", "STATUS", "BEGINS", "REASON")
    return Result(lines, table(headings, rows, empty="Nothing waits."))


@command(app, "show")
def show(run: Run, change: _Change) -> Result:
    """One change with its arguments, and who gains and who loses by it."""
    with run.read() as (tx, tenant_id):
        found = changes.show(tx, tenant_id, change)
    return Result(found, _told(found))


@command(app, "foresee")
def foresee(run: Run, change: _Change) -> Result:
    """Compute anew who gains and who loses by a change, as policy is now."""
    trial = _tried_again(run, change)
    with run.write() as (tx, operator, tenant_id):
        found = changes.foresee(tx, operator, tenant_id, change, trial=trial)
    return Result(found, _told(found))


def _tried_again(run: Run, change: str, *, if_stale: bool = False) -> Trial | None:
    with run.read() as (_, tenant_id):
        where = run.services.database, run.operator, tenant_id
    return changes.try_again_ahead(*where, change, if_stale=if_stale)


def _told(found: ChangeDetails) -> str:
    shown = {k: v for k, v in vars(found).items() if k not in ("evidence", "is_current")}
    lines = [fields(shown.items())]
    if found.evidence is None:
        return lines[0]
    if found.evidence.moved_from is not None:
        lines.append(f"Computed anew: policy was version {found.evidence.moved_from} before.")
    if found.status in (changes.OPEN, changes.SCHEDULED) and not found.is_current:
        lines.append("Something was changed since; `authz changes foresee` computes this anew.")
    lines += [line for it in found.evidence.effects for line in _effect(it)]
    if not found.evidence.effects:
        lines.append("Nobody gains or loses a scope.")
    if found.evidence.more:
        lines.append(f"And {found.evidence.more} scopes more.")
    if found.status == changes.OPEN:
        lines.append(f"Who approves just this: `--seen {found.evidence.digest}`.")
    return "\n".join(lines)


def _effect(it: ScopeEffect) -> Iterator[str]:
    yield f"{cell(it.scope)} at {cell(it.server)}"
    for word, some, clients in (
        ("gain", it.gained, it.clients_gained),
        ("lose", it.lost, it.clients_lost),
        ("get it more easily", it.eased, []),
        ("get it less easily", it.tightened, []),
    ):
        count = some.count + len(clients)
        if count:
            names = [*(f"client {name}" for name in clients), *some.names]
            more = f" and {count - len(names):,} more" if count > len(names) else ""
            yield f"  {count:,} {word}: {', '.join(map(cell, names))}{more}"


@command(app, "propose")
def propose(
    run: Run,
    operation: Annotated[str, typer.Argument(help="Such as roles.bind.", metavar="OPERATION")],
    arguments: Annotated[
        str, typer.Argument(help="Its arguments, one JSON object.", metavar="JSON")
    ],
    reason: Annotated[str, typer.Option(help="Why.", show_default=False)],
    at: Annotated[
        str | None,
        typer.Option(help="Not before, such as 2026-12-31T00:00:00Z.", show_default=False),
    ] = None,
) -> Result:
    """Make a change of policy with a reason, or have it begin at a moment."""
    try:
        given = strict_json.read_object(arguments.encode())
    except strict_json.NotStrict as error:
        raise Invalid(f"the arguments: {error}") from None
    moment = None if at is None else values.moment(at)
    with run.read() as (_, tenant_id):
        where = run.services.database, run.operator, tenant_id
    trial = changes.try_ahead(*where, operation, given)
    with run.write() as (tx, operator, _):
        line = changes.propose(
            tx, operator, tenant_id,
            operation=operation, arguments=given, reason=reason, activate_at=moment, trial=trial,
        )  # fmt: skip
    return Result(line, f"The change {line.id} is {line.status}.")


@command(app, "approve")
def approve(
    run: Run,
    change: _Change,
    note: _Note = "",
    seen: Annotated[
        str | None,
        typer.Option(
            help="What was seen, as `authz changes show` names it. By default: what is kept.",
            metavar="DIGEST",
            show_default=False,
        ),
    ] = None,
) -> Result:
    """Let a change happen: now, or at its moment."""
    trial = _tried_again(run, change, if_stale=True)
    with run.write() as (tx, operator, tenant_id):
        line = changes.approve(tx, operator, tenant_id, change, note=note, seen=seen, trial=trial)
    return Result(line, f"The change {line.id} is {line.status}.")


@command(app, "refuse")
def refuse(run: Run, change: _Change, note: _Note = "") -> Result:
    """Stop a change, also one that is approved and waits for its moment."""
    with run.write() as (tx, operator, tenant_id):
        line = changes.refuse(tx, operator, tenant_id, change, note=note)
    return Result(line, f"The change {line.id} is refused.")
