"""`authz signals`: identity providers that tell of people who leave (Shared Signals, CAEP, RISC)."""

from typing import Annotated

import typer

from authz.admin import signal_streams
from authz.admin.signal_streams import Made, NewStream
from authz.cli.output import table
from authz.cli.run import Result, Run, command, group

app = group("Streams of security events: list, add, rotate-token, enable, disable, remove.")
_Slug = Annotated[str, typer.Argument(help="Its short name, as in its URL.", metavar="STREAM")]


@command(app, "list")
def list_(run: Run) -> Result:
    """All streams, and when each last said something."""
    with run.read() as (tx, tenant_id):
        lines = signal_streams.list_(tx, tenant_id)
    rows = [
        (it.slug, it.connection, it.delivery, it.issuer, it.status, it.last_event_at)
        for it in lines
    ]
    head = ("STREAM", "CONNECTION", "DELIVERY", "ISSUER", "STATUS", "LAST EVENT")
    empty = "No stream; `authz signals add` makes one, docs/offboarding.md says how."
    return Result(lines, table(head, rows, empty=empty))


@command(app, "add")
def add(
    run: Run,
    slug: _Slug,
    connection: Annotated[
        str,
        typer.Option(help="Whose people it may speak of, and nobody else's.", metavar="CONNECTION"),
    ],
    issuer: Annotated[str, typer.Option(help="The transmitter's `iss`, to the letter.")],
    jwks_uri: Annotated[str, typer.Option("--jwks-uri", help="Where its keys are.")],
    audience: Annotated[
        str | None,
        typer.Option(help="The `aud` it will send; this issuer when absent.", show_default=False),
    ] = None,
    poll_url: Annotated[
        str | None,
        typer.Option("--poll-url", help="Fetch the events there (RFC 8936).", show_default=False),
    ] = None,
    poll_token_ref: Annotated[
        str | None,
        typer.Option(
            "--poll-token-ref",
            help="The token to fetch with, as a reference, such as env:NAME, file:PATH or vault:PATH#KEY.",
            metavar="REFERENCE",
            show_default=False,
        ),
    ] = None,
) -> Result:
    """Receive events. Without --poll-url they are pushed here, with a token that is printed this once."""
    new = NewStream(
        slug=slug,
        connection=connection,
        issuer=issuer,
        jwks_uri=jwks_uri,
        audience=audience or run.issuer,
        poll_url=poll_url,
        poll_token=poll_token_ref,
    )
    with run.write() as (tx, operator, tenant_id):
        made = signal_streams.add(
            tx, operator, tenant_id, new, development=run.settings.server.development
        )
    line = made.line
    text = f"Added the stream {slug}: {line.issuer} speaks of people of {line.connection}."
    if made.token is None:
        return Result(
            line, f"{text}\nIt is asked every 15 seconds by one of the server's processes."
        )
    return _shown(run, made, text)


@command(app, "rotate-token")
def rotate_token(run: Run, slug: _Slug) -> Result:
    """A new token for a transmitter that pushes; the old one is refused from now on."""
    with run.write() as (tx, operator, tenant_id):
        made = signal_streams.rotate_token(tx, operator, tenant_id, slug)
    return _shown(run, made, f"The stream {slug} has a new token.")


@command(app, "enable")
def enable(run: Run, slug: _Slug) -> Result:
    """Receive again."""
    return _status(run, slug, "active", f"The stream {slug} is active.")


@command(app, "disable")
def disable(run: Run, slug: _Slug) -> Result:
    """Refuse what it says, so that it is said again later."""
    return _status(run, slug, "disabled", f"The stream {slug} is disabled.")


@command(app, "remove", asks=True)
def remove(run: Run, slug: _Slug) -> Result:
    """Forget it; what it ended stays ended."""
    with run.write() as (tx, operator, tenant_id):
        line = signal_streams.remove(tx, operator, tenant_id, slug)
    return Result(line, f"Removed the stream {slug}.")


def _status(run: Run, slug: str, status: str, text: str) -> Result:
    with run.write() as (tx, operator, tenant_id):
        line = signal_streams.set_status(tx, operator, tenant_id, slug, status)
    return Result(line, text)


def _shown(run: Run, made: Made, text: str) -> Result:
    endpoint = f"{run.issuer}/signals/{made.line.slug}"
    value = {**vars(made.line), "endpoint_url": endpoint, "token": made.token}
    shown = (
        f"{text}\nendpoint_url: {endpoint}\nauthorization_header: Bearer {made.token}\n"
        f"audience: {made.line.audience}\nThe token is not stored and not shown again."
    )
    return Result(value, shown)
