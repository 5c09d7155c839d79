"""`authz connections`: identity providers people sign in with."""

from pathlib import Path
from typing import Annotated, Any

import typer

from authz.admin import connections
from authz.admin.connections import ConnectionDetails
from authz.cli.output import fields, table
from authz.cli.run import Result, Run, command, group
from authz.cli.values import json_object, setting, text_of
from authz.federation.presets import PRESETS

app = group("Identity providers: list, add, show, change, enable, disable, remove.")
_Slug = Annotated[str, typer.Argument(help="Its short name, as in its URLs.", metavar="CONNECTION")]
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
_Provision = Annotated[
    bool | None,
    typer.Option(
        "--provision/--no-provision",
        help="Make an account for whoever signs in for the first time.",
        show_default=False,
    ),
]
_Link = Annotated[
    bool | None,
    typer.Option(
        "--link-by-email/--no-link-by-email",
        help="A first sign-in may take over the one unlinked account with its verified address.",
        show_default=False,
    ),
]
_Listed = Annotated[
    bool | None,
    typer.Option(
        "--button/--no-button",
        help="Show a button on the sign-in page; without it only its domains lead there.",
        show_default=False,
    ),
]


@command(app, "list")
def list_(run: Run) -> Result:
    """All connections."""
    with run.read() as (tx, tenant_id):
        lines = connections.list_(tx, tenant_id)
    rows = [
        (it.slug, it.name, it.kind, it.preset, it.status, ", ".join(it.domains), it.people)
        for it in lines
    ]
    empty = "No connection; `authz connections add` makes one, docs/identity-providers says how."
    head = ("CONNECTION", "NAME", "KIND", "PRESET", "STATUS", "DOMAINS", "PEOPLE")
    return Result(lines, table(head, rows, empty=empty))


@command(app, "add")
def add(
    run: Run,
    slug: _Slug,
    kind: Annotated[str, typer.Option("--kind", help="oidc or saml.", metavar="KIND")] = "oidc",
    preset: Annotated[
        str,
        typer.Option("--preset", help="The product: okta, entra, google …", metavar="PRESET"),
    ] = "generic",
    name: Annotated[
        str | None,
        typer.Option("--name", help="On the button.", metavar="NAME", show_default=False),
    ] = None,
    set_: _Set = None,
    settings: _File = None,
    metadata: Annotated[
        Path | None,
        typer.Option(
            "--metadata",
            help="The provider's SAML metadata, a file; settings given besides win.",
            metavar="FILE",
            show_default=False,
        ),
    ] = None,
    provision: _Provision = None,
    link_by_email: _Link = None,
    button: _Listed = None,
) -> Result:
    """Connect an identity provider; prints what has to be entered there."""
    given = _settings(settings, set_)
    if metadata is not None:
        document = text_of(metadata).encode()
        given = {**run.connectors.of(kind).imported(document, run.services.clock()), **given}
    with run.write() as (tx, operator, tenant_id):
        made = connections.add(
            tx,
            operator,
            tenant_id,
            run.connectors,
            slug=slug,
            kind=kind,
            preset=preset,
            name=name or slug,
            settings=given,
            is_listed=button is not False,
            provisions=bool(provision),
            links_by_email=bool(link_by_email),
            issuer=run.issuer,
        )
    text = (
        f"Connected {made.slug} ({made.kind}, {made.preset}).\n"
        f"{_addresses(made)}\n"
        f"{_steps(made)}"
        f"Next: enter these at the identity provider, then sign in with the button.\n"
        f"      authz mappings add {slug} groups VALUE --role ROLE   who gets what\n"
        f"      authz domains add DOMAIN {slug}                      whose people come from there"
    )
    return Result(made, text)


@command(app, "show")
def show(run: Run, slug: _Slug) -> Result:
    """Everything about a connection; secrets are references."""
    with run.read() as (tx, tenant_id):
        found = connections.show(tx, tenant_id, slug, run.issuer)
    values = {**vars(found), **found.addresses, **found.settings}
    shown = {k: v for k, v in values.items() if k not in ("addresses", "settings")}
    return Result(found, fields(shown.items()))


@command(app, "change")
def change(
    run: Run,
    slug: _Slug,
    name: Annotated[
        str | None,
        typer.Option("--name", help="On the button.", metavar="NAME", show_default=False),
    ] = None,
    set_: _Set = None,
    settings: _File = None,
    provision: _Provision = None,
    link_by_email: _Link = None,
    button: _Listed = None,
) -> Result:
    """Change what is given; `--set NAME=null` takes a setting out."""
    given = _settings(settings, set_)
    with run.write() as (tx, operator, tenant_id):
        changed = connections.change(
            tx,
            operator,
            tenant_id,
            run.connectors,
            slug,
            settings=given or None,
            name=name,
            is_listed=button,
            provisions=provision,
            links_by_email=link_by_email,
            issuer=run.issuer,
        )
    return Result(changed, f"Changed {slug}.\n{_addresses(changed)}")


@command(app, "refresh")
def refresh(
    run: Run,
    slug: _Slug,
    yes: Annotated[bool, typer.Option("--yes", help="Take changes over without asking.")] = False,
) -> Result:
    """Read what the provider publishes of itself (SAML metadata) and show what is new. The server does it daily."""
    with run.read() as (tx, tenant_id):
        found = connections.show(tx, tenant_id, slug, run.issuer)
    renewed = run.connectors.of(found.kind).renewed(found.settings, run.services.clock())
    if renewed is None:
        return Result(found, f"{slug} has nothing to refresh: it is read at each sign-in.")
    if not renewed.changes:
        return Result(found, f"Nothing changed at {slug}.")
    if not yes and not run.as_json:
        typer.echo("\n".join(renewed.changes))
        typer.confirm("Take this over?", abort=True)
    with run.write() as (tx, operator, tenant_id):
        line = connections.renew(tx, operator, tenant_id, slug, renewed)
    return Result(line, "Took over:\n" + "\n".join(renewed.changes))


@command(app, "enable")
def enable(run: Run, slug: _Slug) -> Result:
    """Let people come from there again."""
    with run.write() as (tx, operator, tenant_id):
        line = connections.set_status(tx, operator, tenant_id, slug, "active")
    return Result(line, f"Enabled {slug}.")


@command(app, "disable", asks=True)
def disable(run: Run, slug: _Slug) -> Result:
    """Nobody signs in through it, and no token that came from it is good any more."""
    with run.write() as (tx, operator, tenant_id):
        line = connections.set_status(tx, operator, tenant_id, slug, "disabled")
    text = (
        f"Disabled {slug}. What its {line.people} people hold is refused from now on.\n"
        f"Back: authz connections enable {slug}"
    )
    return Result(line, text)


@command(app, "remove")
def remove(
    run: Run,
    slug: _Slug,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> Result:
    """Forget a connection, who is linked to it, its domains and its mappings."""
    with run.read() as (tx, tenant_id):
        found = connections.show(tx, tenant_id, slug, run.issuer)
    if not yes and not run.as_json:
        typer.confirm(
            f"{slug} has {found.people} people and {len(found.domains)} domains. Remove it?",
            abort=True,
        )
    with run.write() as (tx, operator, tenant_id):
        line = connections.remove(tx, operator, tenant_id, slug)
    return Result(
        line, f"Removed {slug}. The accounts of its people stay; they need another way in."
    )


def _settings(file: Path | None, pairs: list[str] | None) -> dict[str, Any]:
    return {**(json_object(file) if file else {}), **dict(setting(it) for it in pairs or ())}


def _steps(found: ConnectionDetails) -> str:
    """What to do at the product's side."""
    preset = PRESETS.get(found.preset) if found.kind == "oidc" else None
    if preset is None:
        return ""
    steps = (it.format(**found.addresses) for it in preset.words)
    lines = (f"  {number}. {step}" for number, step in enumerate(steps, 1))
    return "\n".join([f"At {preset.product}:", *lines, ""])


def _addresses(found: ConnectionDetails) -> str:
    return fields(found.addresses.items())
