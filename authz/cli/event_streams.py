"""`authz event-streams`: MCP servers that are told what has ended (Shared Signals), and whether they take it."""

from typing import Annotated

import typer

from authz.admin import event_streams
from authz.admin.event_streams import EventStreamLine
from authz.cli.output import table
from authz.cli.run import Result, Run, command, group

app = group("Streams of security events to MCP servers: list, push, poll, resume.")
_Stream = Annotated[str, typer.Argument(help="Its id (stm_…).", metavar="STREAM")]


@command(app, "list")
def list_(run: Run) -> Result:
    """All streams: where they go, how they are, and since when a delivery fails."""
    with run.read() as (tx, tenant_id):
        lines = event_streams.list_(tx, tenant_id)
    rows = [
        (
            it.id,
            it.client,
            it.push_url or "fetched",
            it.status,
            it.failures,
            it.reason or it.last_failure,
            it.retry_at,
            it.delivered_at,
        )
        for it in lines
    ]
    head = ("STREAM", "CLIENT", "TO", "STATUS", "FAILURES", "WHY", "AGAIN AT", "LAST TAKEN")
    empty = "No stream; the client of an MCP server makes one, docs/cut-off.md says how."
    return Result(lines, table(head, rows, empty=empty))


@command(app, "push")
def push(
    run: Run,
    stream: _Stream,
    url: Annotated[str, typer.Option(help="Send each event there (RFC 8935).")],
    token_ref: Annotated[
        str,
        typer.Option(
            "--token-ref",
            help="The bearer token to show there, as a reference, such as env:NAME, file:PATH or vault:PATH#KEY.",
            metavar="REFERENCE",
        ),
    ],
) -> Result:
    """Send the events of a stream, instead of having them fetched."""
    with run.write() as (tx, operator, tenant_id):
        line = event_streams.push(
            tx,
            operator,
            tenant_id,
            stream,
            url=url,
            authorization=token_ref,
            development=run.settings.server.development,
        )
    text = f"The events of {line.id} are sent to {url}, every 15 seconds by one of the server's processes."
    return Result(line, text)


@command(app, "poll")
def poll(run: Run, stream: _Stream) -> Result:
    """Have the events of a stream fetched again."""
    with run.write() as (tx, operator, tenant_id):
        line = event_streams.poll(tx, operator, tenant_id, stream)
    return _shown(line, "are fetched by its client")


@command(app, "resume")
def resume(run: Run, stream: _Stream) -> Result:
    """Go on with a stream that was paused; nothing of it is lost."""
    with run.write() as (tx, operator, tenant_id):
        line = event_streams.resume(tx, operator, tenant_id, stream)
    return _shown(line, "go on")


def _shown(line: EventStreamLine, what: str) -> Result:
    return Result(line, f"The events of {line.id} {what}.")
