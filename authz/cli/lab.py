"""`authz lab`: is an authorization server, anybody's, right about identity assertions (ID-JAG, MCP EMA)?"""

import asyncio
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from authz.cli import lab_work, values
from authz.cli.output import cell, table
from authz.cli.run import DONE, REFUSED, Result, Run, command, group
from authz.clock import system_clock
from authz.lab import report as rendering
from authz.lab.applications import READ, WITHHELD, WRITE
from authz.lab.defects import DEFECTS
from authz.lab.laboratory import PORT, Laboratory, bench_at, way_home
from authz.lab.scenarios import GROUPS
from authz.lab.serving import listening
from authz.lab.target import METHODS, Credentials, Target

app = group(
    "Try identity assertions (ID-JAG) at an authorization server: run, up, assertion, list."
)
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
            help="Its secret: a reference such as env:NAME, file:PATH or vault:PATH#KEY.",
            metavar="REFERENCE",
            show_default=False,
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

    examining = lab_work.examining(run, only or [])
    if with_server:
        if issuer is not None or client_id is not None:
            raise typer.BadParameter("--with-server brings its issuer and its clients along")
        found = lab_work.examine_own_server(examining)
    else:
        if issuer is None or client_id is None:
            raise typer.BadParameter("say --issuer and --client-id, or --with-server")
        lab = Laboratory.open(folder, port, public_url)
        key = lab.idp.client_key
        target = lab_target.describe(
            issuer=issuer,
            resource=resource or lab.resource,
            is_labs_server=resource in (None, lab.resource),
            client=lab_target.credentials(
                client_id, auth, client_secret_from, key, run.secrets.resolve
            ),
            scopes=scope,
            withheld=withheld,
            more=lab_target.read_more(settings),
            key=key,
            resolve=run.secrets.resolve,
        )
        with ExitStack() as stack:
            home = stack.enter_context(way_home())
            bench = stack.enter_context(
                bench_at(
                    target,
                    lab.idp,
                    home,
                    ca_file=ca_file,
                    proxy=lab_work.find_proxy(run),
                    patience=values.duration(patience),
                )
            )
            found = asyncio.run(lab_work.examine_while_up(lab, port, bench, examining))
    for path, render in ((markdown, rendering.as_markdown), (junit, rendering.as_junit)):
        if path is not None:
            values.write_text(path, render(found))
    text = f"\n{cell(rendering.summary(found))}"
    return Result(lab_work.as_value(found), text, DONE if found.is_well else REFUSED)


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
                await lab_work.wait_for_signal()

    asyncio.run(stay())
    return Result({"stopped": True}, "Stopped.")


@command(app, "assertion", tenant=False)
def assertion(
    run: Run,  # noqa: ARG001 - every command is handed it
    issuer: Annotated[str, typer.Option(help=_ISSUER, metavar="URL")],
    client_id: Annotated[str, typer.Option(help="Who may redeem it.", metavar="ID")],
    defect: Annotated[
        str | None,
        typer.Option(
            help="What is wrong with it: a scenario of refused assertions.",
            metavar="NAME",
            show_default=False,
        ),
    ] = None,
    resource: Annotated[
        str | None,
        typer.Option(
            help="The MCP server; the lab's own unless said.", metavar="URL", show_default=False
        ),
    ] = None,
    scope: Annotated[
        list[str] | None,
        typer.Option(help=f"{READ}, {WRITE} unless said; repeat for more.", show_default=False),
    ] = None,
    folder: _Folder = _FOLDER,
    port: _Port = PORT,
    public_url: _Public = None,
) -> Result:
    """Print one assertion, good for five minutes or with a defect, to try by hand."""
    lab = Laboratory.open(folder, port, public_url)
    target = Target(
        issuer=issuer,
        resource=resource or lab.resource,
        client=Credentials(client_id),
        scopes=tuple(scope or (READ, WRITE)),
    )
    made = lab.idp.statement(target, f"{issuer}/token", system_clock())
    found = [it for it in DEFECTS if it.name == defect]
    if defect is not None and not found:
        raise typer.BadParameter(f"there is no defect {defect!r}; `authz lab list` shows them")
    text = found[0].make(made) if found else made.sign()
    return Result({"assertion": text, "defect": defect}, text)


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
