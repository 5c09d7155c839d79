"""`authz tenants`: issuers."""

from typing import Annotated

import typer

from authz.admin import keys, tenants
from authz.cli.output import table
from authz.cli.run import Result, Run, command, group
from authz.tenants import issuer_of

app = group("Issuers: list, add, rename, disable, enable, trust, registration, change-control.")
_Slug = Annotated[str, typer.Argument(help="The tenant's slug.", metavar="SLUG")]
_TRUST = (
    "What a client's metadata document needs to be used: allow_list (an allow rule), "
    "deny_list (no deny rule) or open."
)

_REGISTRATION = (
    "Who may register a client by itself (RFC 7591): off (nobody), token (who has a token from "
    "`authz clients tokens add`) or open (anybody, within the limits of [registration])."
)


@command(app, "list", tenant=False)
def list_(run: Run) -> Result:
    """All tenants with their issuers."""
    with run.services.database.read() as tx:
        lines = tenants.list_(tx, run.settings.server.issuer)
    rows = [(t.slug, t.name, t.issuer, t.status, t.client_trust, t.registration) for t in lines]
    headings = ("SLUG", "NAME", "ISSUER", "STATUS", "CLIENT TRUST", "REGISTRATION")
    empty = "There is no tenant; `authz db upgrade` makes the default one."
    return Result(lines, table(headings, rows, empty=empty))


@command(app, "add", tenant=False)
def add(
    run: Run,
    slug: _Slug,
    name: Annotated[str, typer.Option(help="Shown to people; the slug when absent.")] = "",
    client_trust: Annotated[str | None, typer.Option(help=_TRUST, show_default=False)] = None,
) -> Result:
    """A new issuer with keys, clients, users and policy of its own."""
    development = run.settings.server.development
    first = keys.generate_first(run.services.custody)
    with run.services.database.write() as tx:
        row = tenants.create(
            tx,
            run.operator,
            slug=slug,
            name=name or slug,
            client_trust=client_trust or tenants.default_trust(development=development),
            keys=first,
        )
        value = {"id": row.id, "slug": slug, "issuer": issuer_of(run.settings.server.issuer, slug)}
    text = (
        f"Created the tenant {slug!r} with its signing keys; issuer {value['issuer']}\n"
        f"Next: authz resources add URL --tenant {slug}"
    )
    return Result(value, text)


@command(app, "disable", tenant=False, asks=True)
def disable(run: Run, slug: _Slug) -> Result:
    """Switch a whole tenant off: its issuer answers 404 everywhere."""
    return _status(run, slug, "disabled", "The tenant {!r} is disabled; its issuer answers 404.")


@command(app, "enable", tenant=False)
def enable(run: Run, slug: _Slug) -> Result:
    """Switch a tenant on again."""
    return _status(run, slug, "active", "The tenant {!r} is active.")


@command(app, "rename", tenant=False)
def rename(
    run: Run,
    slug: _Slug,
    name: Annotated[str, typer.Argument(help="What people see.", metavar="NAME")],
) -> Result:
    """Change what people read at the top of every page; the issuer stays."""
    with run.services.database.write() as tx:
        tenants.rename(tx, run.operator, slug=slug, name=name)
    return Result({"slug": slug, "name": name}, f"The tenant {slug!r} is shown as {name}.")


@command(app, "trust", tenant=False)
def trust(
    run: Run,
    slug: _Slug,
    mode: Annotated[str, typer.Argument(help=_TRUST, metavar="MODE")],
) -> Result:
    """Set which clients with a metadata document are admitted."""
    with run.services.database.write() as tx:
        tenants.set_client_trust(tx, run.operator, slug=slug, mode=mode)
    return Result({"slug": slug, "client_trust": mode}, f"Client trust of {slug!r} is {mode}.")


@command(app, "registration", tenant=False)
def registration(
    run: Run,
    slug: _Slug,
    mode: Annotated[str, typer.Argument(help=_REGISTRATION, metavar="MODE")],
) -> Result:
    """Set whether clients may register by themselves."""
    with run.services.database.write() as tx:
        tenants.set_registration(tx, run.operator, slug=slug, mode=mode)
    text = f"Registration at {slug!r} is {mode}."
    if mode == "token":
        text += f"\nNext: authz clients tokens add NAME --tenant {slug}"
    return Result({"slug": slug, "registration": mode}, text)


@command(app, "change-control", tenant=False)
def change_control(
    run: Run,
    slug: _Slug,
    mode: Annotated[
        str, typer.Argument(help="two_person; off (whoever may does it alone).", metavar="MODE")
    ],
) -> Result:
    """Set whether changes of policy by administrators take a second person."""
    with run.services.database.write() as tx:
        tenants.set_change_control(tx, run.operator, slug=slug, mode=mode)
    return Result({"slug": slug, "change_control": mode}, f"Change control at {slug!r} is {mode}.")


@command(app, "scope-changes", tenant=False)
def scope_changes(
    run: Run,
    slug: _Slug,
    mode: Annotated[
        str, typer.Argument(help="reviewed (by somebody else); at_once.", metavar="MODE")
    ],
) -> Result:
    """Set whether a tool that is added to a scope counts at once, or when somebody reviewed it."""
    with run.services.database.write() as tx:
        tenants.set_scope_changes(tx, run.operator, slug=slug, mode=mode)
    return Result({"slug": slug, "scope_changes": mode}, f"Scope changes at {slug!r} are {mode}.")


def _status(run: Run, slug: str, status: str, sentence: str) -> Result:
    with run.services.database.write() as tx:
        tenants.set_status(tx, run.operator, slug=slug, status=status)
    return Result({"slug": slug, "status": status}, sentence.format(slug))
