"""`authz trust`: issuers whose assertions about people are redeemed for access tokens (ID-JAG)."""

from pathlib import Path
from typing import Annotated, Any

import typer

from authz.admin import trust
from authz.cli.output import fields, table
from authz.cli.run import Result, Run, command, group
from authz.cli.values import json_object, setting

app = group(
    "Issuers of identity assertions (ID-JAG): list, add, show, change, enable, disable, remove."
)
_Slug = Annotated[str, typer.Argument(help="Its short name.", metavar="TRUST")]
_Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        help="A setting: NAME=VALUE; lists and true or false as in JSON. Repeatable.",
        metavar="NAME=VALUE",
        show_default=False,
    ),
]
_File = Annotated[
    Path | None,
    typer.Option("--settings", help="A JSON file of settings.", metavar="FILE", show_default=False),
]


@command(app, "list")
def list_(run: Run) -> Result:
    """All trusted issuers."""
    with run.read() as (tx, tenant_id):
        lines = trust.list_(tx, tenant_id)
    rows = [(it.slug, it.issuer, it.connection, it.status) for it in lines]
    empty = "Nobody's assertions are redeemed; `authz trust add` changes that."
    return Result(lines, table(("TRUST", "ISSUER", "PEOPLE OF", "STATUS"), rows, empty=empty))


@command(app, "add")
def add(
    run: Run,
    slug: _Slug,
    issuer: Annotated[
        str, typer.Option("--issuer", help="As in `iss`, letter by letter.", metavar="URL")
    ],
    connection: Annotated[
        str | None,
        typer.Option(
            "--connection",
            help="Whose people it asserts; without it a connection of its own is made.",
            metavar="CONNECTION",
            show_default=False,
        ),
    ] = None,
    jwks_uri: Annotated[
        str | None,
        typer.Option("--jwks-uri", help="Where its keys are.", metavar="URL", show_default=False),
    ] = None,
    provision: Annotated[
        bool,
        typer.Option("--provision", help="Make accounts for people who are new (own connection)."),
    ] = False,
    set_: _Set = None,
    settings: _File = None,
) -> Result:
    """Believe an issuer about people. Prints what it has to be told of this server."""
    given = _settings(settings, set_) | ({"jwks_uri": jwks_uri} if jwks_uri else {})
    with run.write() as (tx, operator, tenant_id):
        line = trust.add(
            tx,
            operator,
            tenant_id,
            slug=slug,
            issuer=issuer,
            settings=given,
            connection=connection,
            provisions=provision,
        )
    text = (
        f"Trusted {line.issuer} as {line.slug}, about people of {line.connection}.\n"
        f"{fields({'audience': run.issuer, 'token endpoint': f'{run.issuer}/token'}.items())}\n"
        f"Next: enter the audience at the identity provider, letter by letter, and the client's id here.\n"
        f"      authz mappings add {line.connection} groups VALUE --role ROLE   who gets what"
    )
    return Result(line, text)


@command(app, "show")
def show(run: Run, slug: _Slug) -> Result:
    """One entry; what is not shown has its default."""
    with run.read() as (tx, tenant_id):
        line = trust.show(tx, tenant_id, slug)
    values = {**vars(line), **line.settings}
    return Result(line, fields((k, v) for k, v in values.items() if k != "settings"))


@command(app, "change")
def change(run: Run, slug: _Slug, set_: _Set = None, settings: _File = None) -> Result:
    """Change settings; `--set NAME=null` takes one back to its default."""
    with run.write() as (tx, operator, tenant_id):
        line = trust.change(tx, operator, tenant_id, slug, _settings(settings, set_))
    return Result(line, f"Changed {slug}.")


@command(app, "enable")
def enable(run: Run, slug: _Slug) -> Result:
    """Believe it again."""
    with run.write() as (tx, operator, tenant_id):
        line = trust.set_status(tx, operator, tenant_id, slug, "active")
    return Result(line, f"Enabled {slug}.")


@command(app, "disable")
def disable(run: Run, slug: _Slug) -> Result:
    """Redeem nothing of it any more; tokens it led to end within minutes."""
    with run.write() as (tx, operator, tenant_id):
        line = trust.set_status(tx, operator, tenant_id, slug, "disabled")
    text = (
        f"Disabled {slug}. To end its tokens at once: authz connections disable {line.connection}"
    )
    return Result(line, text)


@command(app, "remove")
def remove(run: Run, slug: _Slug) -> Result:
    """Forget an entry; its connection and people stay."""
    with run.write() as (tx, operator, tenant_id):
        line = trust.remove(tx, operator, tenant_id, slug)
    return Result(line, f"Removed {slug}.")


def _settings(file: Path | None, pairs: list[str] | None) -> dict[str, Any]:
    found = {**(json_object(file) if file else {}), **dict(setting(it) for it in pairs or ())}
    seconds = found.get("max_lifetime_seconds")
    if isinstance(seconds, str) and seconds.isdecimal():
        found["max_lifetime_seconds"] = int(seconds)
    return found
