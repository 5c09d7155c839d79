"""`authz trust`: issuers whose assertions are redeemed for access tokens, about people (ID-JAG) or about workloads."""

import json
from typing import Annotated, Any

import typer

from authz.admin import trust, workload_trust
from authz.admin.trust import TrustLine
from authz.cli import values
from authz.cli.output import fields, table
from authz.cli.run import Result, Run, command, group
from authz.oauth.workload_presets import PRESETS
from authz.oauth.workload_trust import WORKLOAD

app = group(
    "Issuers whose assertions are redeemed, about people (ID-JAG) or workloads: list, add, show, change, "
    "allow, disallow, enable, disable, remove."
)
_Slug = Annotated[str, typer.Argument(help="Its short name.", metavar="TRUST")]


@command(app, "list")
def list_(run: Run) -> Result:
    """All trusted issuers."""
    with run.read() as (tx, tenant_id):
        lines = trust.list_(tx, tenant_id)
    rows = [
        (it.slug, it.issuer, it.connection if it.connection else "workloads", it.status)
        for it in lines
    ]
    empty = "Nobody's assertions are redeemed; `authz trust add` changes that."
    return Result(lines, table(("TRUST", "ISSUER", "ABOUT", "STATUS"), rows, empty=empty))


@command(app, "add")
def add(
    run: Run,
    slug: _Slug,
    issuer: Annotated[
        str | None,
        typer.Option(
            "--issuer",
            help="As in `iss`, letter by letter; some presets know it.",
            metavar="URL",
            show_default=False,
        ),
    ] = None,
    workloads: Annotated[
        bool, typer.Option("--workloads", help="It names programs, not people.")
    ] = False,
    preset: Annotated[
        str | None,
        typer.Option(
            "--preset",
            help=f"Whose workloads: {', '.join(PRESETS)}.",
            metavar="NAME",
            show_default=False,
        ),
    ] = None,
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
    set_: values.Settings = None,
    settings: values.SettingsFile = None,
) -> Result:
    """Believe an issuer about people, or about workloads. Prints what it has to be told of this server."""
    given = values.settings(settings, set_) | ({"jwks_uri": jwks_uri} if jwks_uri else {})
    if workloads or preset is not None:
        if connection is not None or provision:
            raise typer.BadParameter("workloads are no people: leave out --connection, --provision")
        return _add_workloads(run, slug, issuer, given, preset)
    if issuer is None:
        raise typer.BadParameter("name the issuer with --issuer")
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
    told = {**vars(line), **line.settings}
    hidden = ("settings", "rules", "warnings")
    text = fields((k, v) for k, v in told.items() if k not in hidden)
    for rule in line.settings.get("rules", ()):
        text += (
            f"\nrule {rule['name']}: {json.dumps({k: v for k, v in rule.items() if k != 'name'})}"
        )
    return Result(line, text + _warned(line))


@command(app, "change")
def change(
    run: Run, slug: _Slug, set_: values.Settings = None, settings: values.SettingsFile = None
) -> Result:
    """Change settings; `--set NAME=null` takes one back to its default."""
    with run.write() as (tx, operator, tenant_id):
        is_about_workloads = trust.show(tx, tenant_id, slug).kind == WORKLOAD
        changed = workload_trust.change if is_about_workloads else trust.change
        line = changed(tx, operator, tenant_id, slug, values.settings(settings, set_))
    return Result(line, f"Changed {slug}." + _warned(line))


@command(app, "allow")
def allow(
    run: Run,
    slug: _Slug,
    workload: Annotated[str, typer.Argument(help="What it is called here.", metavar="WORKLOAD")],
    subject: Annotated[
        str,
        typer.Option("--subject", help="Its `sub`; a * is one whole segment.", metavar="SUB"),
    ],
    resource: Annotated[
        list[str], typer.Option("--resource", help="An MCP server; repeatable.", metavar="URL")
    ],
    claim: Annotated[
        list[str] | None,
        typer.Option(
            "--claim",
            help="What the token has to say besides: NAME=TEXT, or NAME=JSON of what is inside. Repeatable.",
            metavar="NAME=VALUE",
            show_default=False,
        ),
    ] = None,
    role: Annotated[
        list[str] | None,
        typer.Option("--role", help="What it gets; repeatable.", metavar="ROLE"),
    ] = None,
    scope: Annotated[
        list[str] | None,
        typer.Option("--scope", help="Or scopes; repeatable.", metavar="SCOPE"),
    ] = None,
) -> Result:
    """Say which workload of an issuer gets what; one of that name that is there is replaced."""
    rule = {
        "name": workload,
        "subject": subject,
        "claims": dict(values.setting(it) for it in claim or ()),
        "resources": resource,
        "roles": role or [],
        "scopes": scope or [],
    }
    with run.write() as (tx, operator, tenant_id):
        line = workload_trust.allow(
            tx, operator, tenant_id, slug, {name: it for name, it in rule.items() if it}
        )
    return Result(line, f"{workload} of {slug} gets in." + _warned(line))


@command(app, "disallow")
def disallow(
    run: Run,
    slug: _Slug,
    workload: Annotated[str, typer.Argument(help="Its name here.", metavar="WORKLOAD")],
) -> Result:
    """Let a workload in no longer; its tokens end, at once where the server asks or follows what ends."""
    with run.write() as (tx, operator, tenant_id):
        line = workload_trust.disallow(tx, operator, tenant_id, slug, workload)
    return Result(line, f"{workload} of {slug} gets in no longer." + _warned(line))


@command(app, "enable")
def enable(run: Run, slug: _Slug) -> Result:
    """Believe it again."""
    with run.write() as (tx, operator, tenant_id):
        line = trust.set_status(tx, operator, tenant_id, slug, "active")
    return Result(line, f"Enabled {slug}.")


@command(app, "disable", asks=True)
def disable(run: Run, slug: _Slug) -> Result:
    """Redeem nothing of it any more; what it led to ends within minutes, or at once if it was a workload's."""
    with run.write() as (tx, operator, tenant_id):
        line = trust.set_status(tx, operator, tenant_id, slug, "disabled")
    text = f"Disabled {slug}."
    if line.connection is not None:
        text += f" To end its tokens at once: authz connections disable {line.connection}"
    return Result(line, text)


@command(app, "remove", asks=True)
def remove(run: Run, slug: _Slug) -> Result:
    """Forget an entry; its connection and people stay."""
    with run.write() as (tx, operator, tenant_id):
        line = trust.remove(tx, operator, tenant_id, slug)
    return Result(line, f"Removed {slug}.")


def _add_workloads(
    run: Run, slug: str, issuer: str | None, given: dict[str, Any], preset: str | None
) -> Result:
    with run.write() as (tx, operator, tenant_id):
        line = workload_trust.add(
            tx, operator, tenant_id, slug=slug, issuer=issuer, settings=given, preset=preset
        )
    words = [] if preset is None else PRESETS[preset].words
    told = {"audience": run.issuer, "token endpoint": f"{run.issuer}/token"}
    text = "\n".join(
        (
            f"Trusted {line.issuer} as {line.slug}, about workloads.",
            fields(told.items()),
            *(f"  {it.replace('{issuer}', run.issuer)}" for it in words),
            f"Next: authz trust allow {line.slug} WORKLOAD --subject SUB --resource URL --role ROLE",
        )
    )
    return Result(line, text + _warned(line))


def _warned(line: TrustLine) -> str:
    return "".join(f"\nWarning: {text}." for text in line.warnings)
