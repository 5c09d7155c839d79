"""`authz lab`: is an authorization server, anybody's, right about identity assertions (ID-JAG, MCP EMA)?"""

import asyncio
import os
import signal
import tempfile
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from authz.cli import values
from authz.cli.output import cell, table
from authz.cli.run import DONE, REFUSED, Result, Run, command, group
from authz.lab import report as rendering
from authz.lab.applications import READ, WITHHELD, WRITE
from authz.lab.bench import Bench
from authz.lab.examination import Report, choose, examine
from authz.lab.examination import Result as Tried
from authz.lab.laboratory import PORT, Laboratory, bench_at, way_home
from authz.lab.scenarios import GROUPS
from authz.lab.serving import listening
from authz.lab.target import METHODS

app = group("Try identity assertions (ID-JAG) at an authorization server: run, up, list.")
_ISSUER = "The server under test, letter by letter."
_FOLDER = Path("authz-lab")
_Folder = Annotated[
    Path,
    typer.Option(help="Where the lab's keys are, and stay.", metavar="FOLDER", file_okay=False),
]
_Port = Annotated[
    int,
    typer.Option(help="Of its identity provider; the next is its MCP server's.", min=1, max=65534),
]
_Public = Annotated[
    str | None,
    typer.Option(
        help="What the server under test calls the identity provider, if it is on another machine.",
        metavar="URL",
        show_default=False,
    ),
]
_File = Annotated[
    Path | None,
    typer.Option(
        help="Write the report there as well.", metavar="FILE", dir_okay=False, show_default=False
    ),
]
_OWN_PATIENCE = timedelta(hours=2)
"""Where the lab has the clock of the server under test."""


@command(app, "run", tenant=False)
def run_(
    run: Run,
    with_server: Annotated[
        bool,
        typer.Option("--with-server", help="At a server of ours, made for it and thrown away."),
    ] = False,
    issuer: Annotated[
        str | None, typer.Option(help=_ISSUER, metavar="URL", show_default=False)
    ] = None,
    client_id: Annotated[
        str | None, typer.Option(help="The lab's client there.", metavar="ID", show_default=False)
    ] = None,
    client_secret_from: Annotated[
        str | None,
        typer.Option(
            help="Its secret: env:NAME or file:PATH.", metavar="REFERENCE", show_default=False
        ),
    ] = None,
    auth: Annotated[
        str, typer.Option(help=f"How it authenticates: {', '.join(METHODS)}.", metavar="METHOD")
    ] = METHODS[0],
    resource: Annotated[
        str | None,
        typer.Option(
            help="The MCP server; the lab's own unless said.", metavar="URL", show_default=False
        ),
    ] = None,
    scope: Annotated[
        list[str] | None,
        typer.Option(
            help=f"What the lab's people may have there (repeat); {READ}, {WRITE} unless said.",
            metavar="SCOPE",
            show_default=False,
        ),
    ] = None,
    withheld: Annotated[
        str | None,
        typer.Option(
            help=f"What they may not have; {WITHHELD} where no --scope is said.",
            metavar="SCOPE",
            show_default=False,
        ),
    ] = None,
    settings: Annotated[
        Path | None,
        typer.Option(
            help="A JSON file: further clients and servers, see docs/lab.md.",
            metavar="FILE",
            dir_okay=False,
            exists=True,
            show_default=False,
        ),
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(help="This scenario; repeat for more.", metavar="NAME", show_default=False),
    ] = None,
    patience: Annotated[
        str, typer.Option(help="How long to wait for what a server does later.", metavar="TIME")
    ] = "0s",
    markdown: _File = None,
    junit: _File = None,
    ca_file: Annotated[
        Path | None,
        typer.Option(
            help="Trust this certificate authority as well.",
            metavar="FILE",
            dir_okay=False,
            exists=True,
            show_default=False,
        ),
    ] = None,
    folder: _Folder = _FOLDER,
    port: _Port = PORT,
    public_url: _Public = None,
) -> Result:
    """Try everything and report; exit code 1 when something fails that the texts demand."""
    from authz.cli import lab_target

    examining = _examining(run, only or [])
    if with_server:
        if issuer is not None or client_id is not None:
            raise typer.BadParameter("--with-server brings its issuer and its clients along")
        found = _at_own_server(examining)
    else:
        if issuer is None or client_id is None:
            raise typer.BadParameter("say --issuer and --client-id, or --with-server")
        lab = Laboratory.open(folder, port, public_url)
        key = lab.idp.client_key
        target = lab_target.describe(
            issuer=issuer,
            resource=resource or lab.resource,
            is_labs_server=resource in (None, lab.resource),
            client=lab_target.credentials(client_id, auth, client_secret_from, key),
            scopes=scope,
            withheld=withheld,
            more=lab_target.read_more(settings),
            key=key,
        )
        with ExitStack() as stack:
            home = stack.enter_context(way_home())
            bench = stack.enter_context(
                bench_at(
                    target,
                    lab.idp,
                    home,
                    ca_file=ca_file,
                    proxy=_proxy(run),
                    patience=values.duration(patience),
                )
            )
            found = asyncio.run(_while_up(lab, port, bench, examining))
    for path, render in ((markdown, rendering.as_markdown), (junit, rendering.as_junit)):
        if path is not None:
            values.write_text(path, render(found))
    text = f"\n{cell(rendering.summary(found))}"
    return Result(_value(found), text, DONE if found.is_well else REFUSED)


@command(app, "up", tenant=False)
def up(
    run: Run,
    issuer: Annotated[str, typer.Option(help=_ISSUER, metavar="URL")],
    folder: _Folder = _FOLDER,
    port: _Port = PORT,
    public_url: _Public = None,
) -> Result:
    """Start its identity provider and its MCP servers, say what to register where, and stay until Ctrl-C."""
    from authz.cli import lab_words

    lab = Laboratory.open(folder, port, public_url)
    told = lab_words.told(lab, issuer, port=port)

    async def stay() -> None:
        with listening(port) as idp, listening(port + 1) as mcp:
            async with lab.on(idp, mcp, issuer):
                typer.echo(told, err=run.as_json)
                await _until_stopped()

    asyncio.run(stay())
    return Result({"stopped": True}, "Stopped.")


@command(app, "list", tenant=False)
def list_(run: Run) -> Result:  # noqa: ARG001 - every command is handed it
    """Every scenario: what is demanded, and where that is written."""
    rows = [(it.name, it.level, it.title, it.clause) for found in GROUPS.values() for it in found]
    lines = [
        {
            "group": name,
            "name": it.name,
            "level": it.level,
            "title": it.title,
            "clause": it.clause,
            "rows": it.rows.split(),
        }
        for name, found in GROUPS.items()
        for it in found
    ]
    return Result(lines, table(("SCENARIO", "LEVEL", "HOW IT SHOULD BE", "CLAUSE"), rows, empty=""))


_Examining = Callable[[Bench], Awaitable[Report]]


def _examining(run: Run, only: list[str]) -> _Examining:
    """The examination, told line by line to people."""
    try:
        chosen = choose(only)
    except KeyError as error:
        raise typer.BadParameter(
            f"there is no scenario {error.args[0]!r}; `authz lab list` shows them"
        ) from None
    groups: Counter[str] = Counter()

    def told(result: Tried) -> None:
        if run.as_json:
            return
        if not groups[result.group]:
            typer.echo(f"\n{result.group}" if groups else result.group)
        groups[result.group] += 1
        for line in rendering.line(result).splitlines():
            typer.echo(f"  {line}")

    return lambda bench: examine(bench, chosen, told)


async def _while_up(lab: Laboratory, port: int, bench: Bench, examining: _Examining) -> Report:
    async with lab.up(bench.home, port, bench.target.issuer):
        return await examining(bench)


def _at_own_server(examining: _Examining) -> Report:
    """With ports, keys, database and clock of its own."""
    from authz.cli.lab_server import SkippingClock, own_server
    from authz.telemetry.logging import configure

    # What it thinks of each of these requests is for its operator, whom nobody asked.
    configure(level="error", style="console")
    clock = SkippingClock()

    async def work(folder: Path) -> Report:
        with listening() as idp, listening() as mcp, listening() as own, way_home() as home:
            lab = Laboratory.at(folder / "lab", idp.url, mcp.url)
            async with (
                own_server(folder, lab, own, clock=clock) as target,
                lab.on(idp, mcp, target.issuer, clock=clock),
            ):
                with bench_at(
                    target, lab.idp, home, clock=clock, sleep=clock.sleep, patience=_OWN_PATIENCE
                ) as bench:
                    return await examining(bench)

    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(work(Path(folder)))


async def _until_stopped() -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    await stopped.wait()


def _proxy(run: Run) -> str | None:
    """A configuration is not needed; where there is one, its way out to the internet is the way out."""
    if run.config or "AUTHZ_CONFIG" in os.environ or Path("authz.toml").is_file():
        return run.settings.network.proxy
    return None


def _value(found: Report) -> dict[str, Any]:
    return {
        "issuer": found.issuer,
        "resource": found.resource,
        "well": found.is_well,
        "counts": found.counts,
        "scenarios": found.results,
    }
