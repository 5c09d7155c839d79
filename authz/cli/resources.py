"""`authz resources`: MCP servers and their scopes."""

import json
from typing import Annotated

import typer

from authz.admin import resources, rollouts, scope_contracts, scopes
from authz.admin.discovery import discover
from authz.admin.scopes import DEFAULT_RISK, NewScope, ScopeChange
from authz.cli import values
from authz.cli.output import fields, table
from authz.cli.run import Result, Run, command, group
from authz.policy.rollout import STATES

app = group("MCP servers and their scopes.")
scope = group("The scopes of an MCP server: add, edit, remove.")
app.add_typer(scope, name="scope")
_Resource = Annotated[str, typer.Argument(help="The server's URL or id (res_…).", metavar="SERVER")]
_Name = Annotated[str, typer.Argument(help="The scope's name.", metavar="SCOPE")]
_Risk = "read, write or destructive."
_Description = Annotated[str | None, typer.Option(help="Shown to people.", show_default=False)]
_Tools = Annotated[
    list[str] | None,
    typer.Option("--tool", help="A tool it opens; repeat for more.", metavar="TOOL"),
]
_Default = Annotated[
    bool | None,
    typer.Option(
        "--default/--no-default",
        help="Given, if the role allows, to a request that names no scope.",
        show_default=False,
    ),
]


@command(app, "list")
def list_(run: Run) -> Result:
    """All MCP servers."""
    with run.read() as (tx, tenant_id):
        lines = resources.list_(tx, tenant_id)
    rows = [(r.identifier, r.name, r.status, r.is_default, r.scopes, r.owner, r.id) for r in lines]
    headings = ("SERVER", "NAME", "STATUS", "DEFAULT", "SCOPES", "OWNER", "ID")
    return Result(lines, table(headings, rows, empty="No server; `authz resources add URL`."))


@command(app, "add")
def add(
    run: Run,
    url: Annotated[str, typer.Argument(help="What tokens for it carry as aud.", metavar="URL")],
    scope: Annotated[
        list[str] | None,
        typer.Option(
            help="NAME[,default][,risk=read|write|destructive][,tool=TOOL]…[,description=TEXT]; "
            f"repeat for more. Risk is {DEFAULT_RISK} unless said.",
            metavar="SCOPE",
        ),
    ] = None,
    name: Annotated[str, typer.Option(help="Shown to people.")] = "",
    owner: Annotated[str, typer.Option(help="Who answers for it.")] = "",
    default: Annotated[
        bool, typer.Option("--default", help="It is meant when a request names no resource.")
    ] = False,
    issued_by: Annotated[
        str | None,
        typer.Option(
            "--issued-by",
            help="Another authorization server issues its tokens (`authz targets list`); here, ID-JAGs for it.",
            metavar="TARGET",
            show_default=False,
        ),
    ] = None,
    read: Annotated[
        bool | None,
        typer.Option(
            "--read/--no-read",
            help="Read and check the server's metadata (RFC 9728) first. On unless scopes are named.",
            show_default=False,
        ),
    ] = None,
) -> Result:
    """Register an MCP server, from its own metadata or with the scopes named here."""
    declared = tuple(values.scope(text) for text in scope or ())
    identifier, spelled_name = url, name
    if read or (read is None and not declared):
        found = discover(run.services.network, run.services.documents, url, issuer=run.issuer)
        identifier, spelled_name = found.identifier, name or found.name
        declared = declared or found.scopes
    with run.write() as (tx, operator, tenant_id):
        line = resources.add(
            tx,
            operator,
            tenant_id,
            identifier=identifier,
            name=spelled_name,
            owner=owner,
            scopes=declared,
            is_default=default,
            issued_by=issued_by,
        )
    return Result(line, _added(line, declared))


@command(app, "show")
def show(run: Run, server: _Resource) -> Result:
    """One server with its scopes, and the metadata document it has to publish."""
    with run.read() as (tx, tenant_id):
        found = resources.show(tx, tenant_id, server, issuer=run.issuer)
    hidden = ("scopes", "metadata", "metadata_url")
    pairs = [(key, value) for key, value in vars(found).items() if key not in hidden]
    rows = [
        (s.name, s.risk, s.is_default, _tools(s), s.requires, s.description) for s in found.scopes
    ]
    headings = ("SCOPE", "RISK", "DEFAULT", "TOOLS", "REQUIRES", "DESCRIPTION")
    parts = [
        fields(pairs),
        table(headings, rows, empty="No scope; `authz resources scope add`."),
        f"The server has to answer at {found.metadata_url}:",
        json.dumps(found.metadata, indent=2),
    ]
    return Result(found, "\n\n".join(parts))


@command(app, "default")
def default(run: Run, server: _Resource) -> Result:
    """Choose the server that a request without `resource` is for."""
    with run.write() as (tx, operator, tenant_id):
        line = resources.set_default(tx, operator, tenant_id, server)
    return Result(line, f"{line.identifier} is the default.")


@command(app, "disable", asks=True)
def disable(run: Run, server: _Resource) -> Result:
    """Switch a server off: no new tokens, refreshes fail, and the access tokens there are end."""
    with run.write() as (tx, operator, tenant_id):
        line = resources.set_status(tx, operator, tenant_id, server, "disabled")
    return Result(line, f"{line.identifier} is disabled, and its access tokens have ended.")


@command(app, "enable")
def enable(run: Run, server: _Resource) -> Result:
    """Switch a server on again."""
    with run.write() as (tx, operator, tenant_id):
        line = resources.set_status(tx, operator, tenant_id, server, "active")
    return Result(line, f"{line.identifier} is active.")


@command(app, "owner")
def owner(
    run: Run, server: _Resource, who: Annotated[str, typer.Argument(metavar="OWNER")]
) -> Result:
    """Say who answers for a server."""
    with run.write() as (tx, operator, tenant_id):
        line = resources.set_owner(tx, operator, tenant_id, server, who)
    return Result(line, f"The owner of {line.identifier} is {line.owner or 'nobody'}.")


@command(app, "identity")
def identity(
    run: Run,
    server: _Resource,
    which: Annotated[
        str, typer.Argument(help="user_required or service_allowed.", metavar="IDENTITY")
    ],
) -> Result:
    """Say whether there has to be a person behind every token for a server."""
    with run.write() as (tx, operator, tenant_id):
        line = resources.set_identity(tx, operator, tenant_id, server, which)
    text = (
        f"Every token for {line.identifier} has a person behind it."
        if which == resources.USER_REQUIRED
        else f"Clients may call {line.identifier} for themselves, where a role is bound to them."
    )
    return Result(line, text)


@command(app, "client")
def client(
    run: Run,
    server: _Resource,
    name: Annotated[
        str | None,
        typer.Argument(help="A client that authenticates.", metavar="CLIENT", show_default=False),
    ] = None,
    none: Annotated[bool, typer.Option("--none", help="It asks with no client.")] = False,
) -> Result:
    """Say with which client a server asks about its tokens (introspection)."""
    if (name is None) != none:
        raise typer.BadParameter("name a client, or say --none")
    with run.write() as (tx, operator, tenant_id):
        line = resources.set_client(tx, operator, tenant_id, server, name)
    asks = f"asks about its tokens as {name}" if name else "asks about no tokens"
    return Result(line, f"{line.identifier} {asks}.")


@command(app, "status-list")
def status_list(
    run: Run,
    server: _Resource,
    wanted: Annotated[
        bool, typer.Option("--on/--off", help="From the next token on.", show_default=False)
    ],
) -> Result:
    """Give tokens for a server a place in a token status list, or no longer."""
    with run.write() as (tx, operator, tenant_id):
        line = resources.set_status_list(tx, operator, tenant_id, server, wanted=wanted)
    told = "have a place in a status list" if wanted else "have no place in a status list"
    return Result(line, f"Tokens for {line.identifier} {told}.")


@command(app, "rollout")
def rollout(
    run: Run,
    server: _Resource,
    state: Annotated[
        str | None, typer.Argument(help="; ".join(STATES), metavar="[STATE]", show_default=False)
    ] = None,
    group: Annotated[
        list[str] | None,
        typer.Option("--group", help="In a canary: whose members are in.", show_default=False),
    ] = None,
    percent: Annotated[
        int, typer.Option(help="In a canary: how many of all others are in.", min=0, max=100)
    ] = 0,
    cut_now: Annotated[
        bool, typer.Option("--cut-now", help="End the access tokens for the server at once.")
    ] = False,
) -> Result:
    """How far a server is rolled out and what happened meanwhile; with STATE, move it on or back."""
    if state is None:
        with run.read() as (tx, tenant_id):
            line = rollouts.show(tx, tenant_id, server, run.services.clock())
    else:
        with run.write() as (tx, operator, tenant_id):
            line = rollouts.set_rollout(
                tx, operator, tenant_id, server,
                state=state, groups=group or (), percent=percent, cut_now=cut_now,
            )  # fmt: skip
    seen = line.evidence
    shown = {
        "server": line.identifier,
        "owner": line.owner or "nobody",
        "state": line.state,
        "groups": line.groups,
        "percent": line.percent,
        "since": seen.since,
        "calls": f"{seen.calls} by {seen.people} people, {seen.denied} denied, {seen.failed} failed",
    }
    return Result(line, fields(shown.items()))


@command(scope, "add")
def add_scope(
    run: Run,
    server: _Resource,
    name: _Name,
    description: _Description = None,
    risk: Annotated[str, typer.Option(help=_Risk)] = DEFAULT_RISK,
    default: _Default = None,
    tool: _Tools = None,
    requires_acr: values.RequiresAcr = None,
    requires_max_age: values.RequiresMaxAge = None,
    requires_connection: values.RequiresConnection = None,
) -> Result:
    """Declare one more scope."""
    new = NewScope(
        name=name,
        description=description or "",
        risk=risk,
        is_default=bool(default),
        tools=tuple(tool or ()),
        requires=values.requirement(requires_acr, requires_max_age, requires_connection),
    )
    with run.write() as (tx, operator, tenant_id):
        row = resources.load(tx, tenant_id, server)
        line = scopes.add_scope(tx, operator, tenant_id, row.id, new)
    return Result(line, f"Added {name}. Roles that hold it open it from the next token on.")


@command(scope, "edit")
def edit_scope(
    run: Run,
    server: _Resource,
    name: _Name,
    description: _Description = None,
    risk: Annotated[str | None, typer.Option(help=_Risk, show_default=False)] = None,
    default: _Default = None,
    tool: _Tools = None,
    no_tools: Annotated[bool, typer.Option("--no-tools", help="It opens no tool.")] = False,
    requires_acr: values.RequiresAcr = None,
    requires_max_age: values.RequiresMaxAge = None,
    requires_connection: values.RequiresConnection = None,
    requires_nothing: values.RequiresNothing = False,
) -> Result:
    """Change what a scope says; what is not named stays. The --requires-… options replace all of them together."""
    if tool and no_tools:
        raise typer.BadParameter("use --tool or --no-tools, not both")
    tools = tuple(tool or ()) if tool or no_tools else None
    change = ScopeChange(
        description=description,
        risk=risk,
        is_default=default,
        tools=tools,
        requires=values.requirement(
            requires_acr, requires_max_age, requires_connection, nothing=requires_nothing
        ),
    )
    with run.write() as (tx, operator, tenant_id):
        row = resources.load(tx, tenant_id, server)
        line = scopes.edit_scope(tx, operator, tenant_id, row.id, name, change)
    return Result(line, f"Changed {name}.")


@command(scope, "approve")
def approve_scope(run: Run, server: _Resource, name: _Name) -> Result:
    """Let the tools that wait for a review in a scope count, from the next token on."""
    with run.write() as (tx, operator, tenant_id):
        row = resources.load(tx, tenant_id, server)
        contract = scopes.show_scope(tx, tenant_id, row.id, name).contract
        tools = scope_contracts.approve(tx, operator, tenant_id, row.id, name, contract=contract)
    return Result({"scope": name, "tools": tools}, f"{name} opens {', '.join(tools)} as well now.")


@command(scope, "remove", asks=True)
def remove_scope(run: Run, server: _Resource, name: _Name) -> Result:
    """Take a scope away; the next refresh of every token is without it."""
    with run.write() as (tx, operator, tenant_id):
        row = resources.load(tx, tenant_id, server)
        roles = scopes.remove_scope(tx, operator, tenant_id, row.id, name)
    text = f"Removed {name}."
    if roles:
        text += f"\nStill named by {', '.join(roles)}: they would hold it again if it came back."
    return Result({"scope": name, "removed": True, "still_named_by": roles}, text)


def _tools(scope: scopes.ScopeLine) -> list[str]:
    return [f"{it} (not reviewed)" if it in scope.unreviewed else it for it in scope.tools]


def _added(line: resources.ResourceLine, declared: tuple[NewScope, ...]) -> str:
    text = f"Added {line.identifier} ({line.id}) with {line.scopes} scopes."
    guessed = [s.name for s in declared if s.risk == DEFAULT_RISK and not s.description]
    if not declared:
        text += "\nNothing can be granted yet: authz resources scope add SERVER SCOPE"
    elif guessed:
        text += (
            f"\nRisk {DEFAULT_RISK} was taken for {', '.join(guessed)}: "
            "authz resources scope edit SERVER SCOPE --risk read --description TEXT"
        )
    if declared and not any(s.is_default for s in declared):
        text += "\nNo scope is a default: a request that names none gets none."
    return f"{text}\nNext: authz resources show {line.identifier} (what the server has to publish)"
