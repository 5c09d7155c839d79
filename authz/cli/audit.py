"""`authz audit`: the trail of everything that was decided and changed, and what MCP servers told afterwards."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, TextIO

import typer

from authz.admin import audit, audit_checkpoints, audit_export, audit_holds, audit_sinks, outcomes
from authz.admin.rendering import as_json_value
from authz.admin.trace import tell
from authz.cli import values
from authz.cli.output import cell, table
from authz.cli.run import REFUSED, Result, Run, command, group
from authz.cli.story import listed, told
from authz.directory import users
from authz.errors import ConfigurationError, Invalid

_EVENT = '{"event": '
"""How a line of an export begins that is an event."""

app = group("The audit trail: verify, search, trace, export, checkpoint, reporters.")


@command(app, "verify")
def verify(run: Run) -> Result:
    """Check the whole trail, and what MCP servers told beside it; exit code 1 and the first bad place if it fails."""
    with run.snapshot() as (tx, tenant_id):
        found = audit.verify(tx, run.operator, tenant_id, watch=run.watch)
        counted = (
            f"{found.events} events, {found.strands} strands, {found.checkpoints} checkpoints read"
        )
        if (fault := found.fault) is not None:
            # What comes next believes the trail, and one that was written over is no ground for that.
            text = (
                f"The trail does NOT hold: strand {fault.strand}, position {fault.position}: {fault.what} "
                f"({counted}).\nCompare with an export or a backup from before; keep the database as it is."
            )
            return Result({**as_json_value(found), "reports": None}, text, REFUSED)
        run.watch.at("what MCP servers told")
        reported = outcomes.verify(tx, tenant_id, run.services.clock())
    value = {**as_json_value(found), "reports": reported}
    if reported.fault is not None:
        text = (
            f"The trail holds ({counted}), but what MCP servers told does NOT: batch "
            f"{cell(reported.fault.batch)}: {reported.fault.what}.\nCompare with a backup from before."
        )
        return Result(value, text, REFUSED)
    also = f"{reported.outcomes} outcomes in {reported.batches} batches are as they were signed"
    return Result(value, f"The trail holds: {counted}; {also}.")


@command(app, "search")
def search(
    run: Run,
    user: Annotated[
        str | None,
        typer.Option(help="About this person or by them: a login or an id.", show_default=False),
    ] = None,
    subject: Annotated[
        str | None, typer.Option(help="About this id: a user, client or workload.")
    ] = None,
    actor: Annotated[
        str | None, typer.Option(help="Done by: cli:NAME, scim:NAME, a user's id …")
    ] = None,
    client: Annotated[str | None, typer.Option(help="Through this client.")] = None,
    resource: Annotated[str | None, typer.Option(help="At this MCP server (its URL).")] = None,
    kind: Annotated[str | None, typer.Option(help="Of this kind: token.refused …")] = None,
    reason: Annotated[str | None, typer.Option(help="For this reason: code_spent …")] = None,
    since: Annotated[
        str | None, typer.Option(help="From then on: 2026-12-31T00:00:00Z.", show_default=False)
    ] = None,
    until: Annotated[str | None, typer.Option(help="Before that.", show_default=False)] = None,
    after: Annotated[
        str | None, typer.Option(help="Go on where a page ended (`next`).", show_default=False)
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many.")] = 50,
) -> Result:
    """Events that answer to every option given, newest first."""
    begin, end = (None if it is None else values.moment(it) for it in (since, until))
    with run.read() as (tx, tenant_id):
        page = audit.search(
            tx,
            tenant_id,
            person=None if user is None else users.load(tx, tenant_id, user).id,
            subject=subject,
            actor=actor,
            client=client,
            resource=resource,
            kind=kind,
            reason=reason,
            since=begin,
            until=end,
            after=after,
            limit=limit,
        )
    text = listed(page.entries, page.names, empty="No event answers to all of that.")
    if page.next is not None:
        text += f"\nThere is more: --after {page.next}"
    return Result(page, text)


@command(app, "trace")
def trace(
    run: Run,
    about: Annotated[
        str,
        typer.Argument(
            help="A grant id, a `jti`, a traceparent or trace id, or a login or user id.",
            metavar="GRANT|JTI|TRACEPARENT|USER",
        ),
    ],
    since: Annotated[
        str | None,
        typer.Option(help="From then on: 2026-12-31T00:00:00Z.", show_default=False),
    ] = None,
) -> Result:
    """What happened, in order: login, consent, issuance, tool calls, exchange, refusals, revocation."""
    begin = None if since is None else values.moment(since)
    with run.read() as (tx, tenant_id):
        story = tell(tx, tenant_id, about, run.services.clock(), since=begin)
    return Result(story, told(story))


@command(app, "reporters")
def reporters(run: Run) -> Result:
    """Which MCP servers report what became of calls, and what of it is missing."""
    with run.read() as (tx, tenant_id):
        lines = outcomes.reporters(tx, tenant_id)
    rows = [
        (
            it.resource,
            it.reporter,
            it.batches,
            it.missing,
            it.outcomes,
            it.lost,
            it.unverified,
            it.last_received_at,
        )
        for it in lines
    ]
    headings = ("MCP SERVER", "REPORTER", "BATCHES", "MISSING", "OUTCOMES", "LOST", "UNVERIFIED")
    empty = "No MCP server reports; see docs/outcomes.md."
    return Result(lines, table((*headings, "LAST"), rows, empty=empty))


@command(app, "export")
def export(
    run: Run,
    output: Annotated[
        Path | None, typer.Option(help="Write to this file.", dir_okay=False, show_default=False)
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(help="Only events from then on: 2026-12-31T00:00:00Z.", show_default=False),
    ] = None,
    until: Annotated[
        str | None, typer.Option(help="Only events before that.", show_default=False)
    ] = None,
    verifier: Annotated[
        Path | None,
        typer.Option(
            help="Write the program that checks an export to this file; it needs Python alone.",
            dir_okay=False,
            show_default=False,
        ),
    ] = None,
) -> Result:
    """Print the trail as JSON lines that anybody can check: events, checkpoints, public keys, a signed summary."""
    services, now = run.services, run.services.clock()
    begin, end = (None if it is None else values.moment(it) for it in (since, until))
    if verifier is not None:
        with _opened(verifier) as file:
            file.write(audit_export.verifier_source())
    with run.snapshot() as (tx, tenant_id):
        prepared = audit_export.prepare(
            tx, tenant_id, issuer=run.issuer, now=now, since=begin, until=end
        )
        ring = services.configurations.load(tx, tenant_id).keys
    statement = audit_export.sign(ring, prepared, now)
    with run.snapshot() as (tx, _):
        lines = audit_export.lines(tx, prepared, statement)
        if output is None:
            for line in lines:
                sys.stdout.write(f"{line}\n")
            return Result(None, "")
        count = 0
        with _opened(output) as file, run.watch.counting("Events", prepared.events) as advance:
            for line in lines:
                file.write(f"{line}\n")
                count += 1
                if line.startswith(_EVENT):
                    advance(1)
    value = {"file": str(output), "events": prepared.events, "lines": count}
    return Result(value, f"Wrote {prepared.events} events, {count} lines, to {output}.")


@contextmanager
def _opened(path: Path) -> Iterator[TextIO]:
    try:
        with path.open("w", encoding="utf-8") as file:
            yield file
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error.strerror}") from None


@command(app, "sinks", tenant=False)
def sinks(run: Run) -> Result:
    """Where the trail is told to, how far each of these is behind, and why it fails if it does."""
    with run.services.database.read() as tx:
        lines = audit_sinks.list_(tx, run.settings.audit)
    headings = (
        "SINK",
        "KIND",
        "FORMAT",
        "TO",
        "STATE",
        "LAG",
        "DELIVERED",
        "LAST FAILURE",
        "RETRY",
    )
    rows = [
        (
            it.name,
            it.kind,
            it.format,
            it.to,
            it.state,
            it.lag,
            it.delivered_at,
            it.last_failure,
            it.retry_at,
        )
        for it in lines
    ]
    empty = "No sinks; name some in the configuration, see docs/audit.md."
    return Result(lines, table(headings, rows, empty=empty))


@command(app, "retention")
def retention(
    run: Run,
    days: Annotated[str, typer.Argument(help="A number of days, or `never` to remove nothing.")],
) -> Result:
    """Say how long events are kept; a job removes older ones, and the rest can still be checked."""
    if days != "never" and not days.isdecimal():
        raise Invalid(f"{days!r} is no number of days; write a number, or never")
    kept = None if days == "never" else int(days)
    with run.write() as (tx, operator, tenant_id):
        audit_holds.set_retention(tx, operator, tenant_id, days=kept)
    told = "for ever" if kept is None else f"for {kept} days"
    return Result({"days": kept}, f"Events of the audit trail are kept {told}.")


@command(app, "holds")
def holds(run: Run) -> Result:
    """Legal holds: what of the trail is kept whatever retention says, by whom, why and until when."""
    with run.read() as (tx, tenant_id):
        lines = audit_holds.list_(tx, tenant_id, run.services.clock())
    headings = ("HOLD", "OF", "ACTIVE", "REASON", "BY", "SINCE", "UNTIL")
    rows = [
        (
            it.id,
            it.login or it.subject or "the tenant",
            it.is_active,
            it.reason,
            it.placed_by,
            it.placed_at,
            it.released_at or it.until,
        )
        for it in lines
    ]
    return Result(lines, table(headings, rows, empty="No legal hold; retention removes by age."))


@command(app, "hold")
def hold(
    run: Run,
    reason: Annotated[str, typer.Option(help="Why.")],
    user: Annotated[
        str | None,
        typer.Option(
            help="Of this person: a login or an id; of the whole tenant when absent.",
            show_default=False,
        ),
    ] = None,
    until: Annotated[
        str | None, typer.Option(help="2026-12-31T00:00:00Z.", show_default=False)
    ] = None,
) -> Result:
    """Keep what the trail tells of a person, or all of it, until the hold is released."""
    end = None if until is None else values.moment(until)
    with run.write() as (tx, operator, tenant_id):
        placed = audit_holds.place(tx, operator, tenant_id, reason=reason, person=user, until=end)
    return Result(placed, f"Placed {placed.id}. End it with: authz audit release {placed.id}")


@command(app, "release")
def release(run: Run, hold: Annotated[str, typer.Argument(help="Its id.")]) -> Result:
    """End a legal hold."""
    with run.write() as (tx, operator, tenant_id):
        released = audit_holds.release(tx, operator, tenant_id, hold)
    return Result(released, f"Released {released.id}.")


@command(app, "checkpoint")
def checkpoint(run: Run) -> Result:
    """Sign the heads of all strands, so that a later change to anything before is seen."""
    services = run.services
    with run.read() as (tx, tenant_id):
        ring = services.configurations.load(tx, tenant_id).keys
    made = list(
        audit_checkpoints.write(
            services.database, ring, tenant_id, issuer=run.issuer, now=services.clock()
        )
    )
    if not made:
        return Result({"checkpoint": None}, "Nothing was recorded since the last checkpoint.")
    told = "\n".join(f"Wrote checkpoint {it.position} over {it.strands} strands." for it in made)
    # Each names the one before.
    text = (
        f"{told}\nKeep a copy of this statement elsewhere; it proves what the trail was:\n"
        f"{made[-1].statement}"
    )
    value = {"checkpoint": made[-1].position, "statement": made[-1].statement}
    return Result(value, text)
