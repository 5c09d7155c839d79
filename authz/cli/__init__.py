"""The command line: set up, run and operate an installation, by hand or from a script.

Owns how commands are spelled, what they print and how they exit. Never validates or changes anything itself: that is
`authz.admin`, which the console and the API share.

Decisions:
- A command's module is imported when the command is named, and the help of `authz` is made from the registry, so
  `authz --help`, `init` and a mistyped command do not wait for the database libraries, which take a second.
- Exit codes: 0 done, 1 refused or a check failed, 2 wrong usage, 3 configuration or environment, 4 access would grow
  and nobody approved it (`plan`, `apply`).
"""

import importlib
from collections.abc import Mapping
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from authz import __version__
from authz.cli.run import EXIT_CODES

COMMANDS: Mapping[str, tuple[str, str]] = {
    "init": ("authz.cli.init:app", "Write authz.toml and a new key-encryption key."),
    "serve": ("authz.cli.serve:app", "Run the server."),
    "db": ("authz.cli.db:app", "Upgrade or check the database."),
    "tenants": (
        "authz.cli.tenants:app",
        "Issuers: list, add, rename, disable, enable, trust, registration, change-control.",
    ),
    "users": (
        "authz.cli.users:app",
        "People: list, add, password, end-access, disable, enable, break-glass, show.",
    ),
    "groups": ("authz.cli.groups:app", "Groups: list, add, members."),
    "connections": (
        "authz.cli.connections:app",
        "Identity providers: list, add, show, change, enable, disable, remove.",
    ),
    "domains": ("authz.cli.domains:app", "Whose people use which identity provider."),
    "scim-tokens": (
        "authz.cli.scim:app",
        "Provisioning by identity providers (SCIM): tokens: list, add, revoke.",
    ),
    "mappings": ("authz.cli.mappings:app", "Claims of identity providers to groups and roles."),
    "trust": (
        "authz.cli.trust:app",
        "Issuers of assertions about people (ID-JAG) and about workloads.",
    ),
    "agents": (
        "authz.cli.agents:app",
        "Agents: list, add, show, change, clients, wake, kill.",
    ),
    "delegations": (
        "authz.cli.delegations:app",
        "Who exchanges tokens of one MCP server for another's: list, add, remove.",
    ),
    "targets": (
        "authz.cli.targets:app",
        "Authorization servers that ID-JAGs are issued for: list, add, clients, change, remove.",
    ),
    "credentials": (
        "authz.cli.credentials:app",
        "Secrets of the systems behind MCP servers: list, add, remove.",
    ),
    "clients": ("authz.cli.clients:app", "Clients, trust rules and requests for clients."),
    "resources": ("authz.cli.resources:app", "MCP servers and their scopes."),
    "admins": ("authz.cli.admins:app", "Who administers: list, roles, grant, revoke."),
    "roles": ("authz.cli.roles:app", "Roles: import, export, bind, unbind, list, local."),
    "changes": (
        "authz.cli.changes:app",
        "Changes of policy that wait for somebody: list, show, propose, approve, refuse.",
    ),
    "versions": ("authz.cli.versions:app", "What policy was: list, show, revert."),
    "reviews": ("authz.cli.reviews:app", "Access reviews: list, start, show, keep, remove."),
    "plan": ("authz.cli.plan:plan_app", "What a directory of policy would change, and for whom."),
    "apply": (
        "authz.cli.plan:apply_app",
        "Make policy what a directory says, whole or not at all.",
    ),
    "diff": ("authz.cli.plan:diff_app", "Where policy differs from a directory: drift."),
    "export": ("authz.cli.plan:export_app", "Write policy as a directory of YAML files."),
    "schema": ("authz.cli.plan:schema_app", "The JSON schema of those files, for editors."),
    "keys": ("authz.cli.keys:app", "Signing keys: list, rotate."),
    "signals": (
        "authz.cli.signals:app",
        "Streams of security events: list, add, rotate-token, enable, disable, remove.",
    ),
    "event-streams": (
        "authz.cli.event_streams:app",
        "Streams of security events to MCP servers: list, push, poll, resume.",
    ),
    "offboarding": ("authz.cli.offboarding:app", "How long the end of access takes."),
    "simulate": (
        "authz.cli.simulate:app",
        "What a person or a client will get at an MCP server, and why not the rest.",
    ),
    "explain": ("authz.cli.explain:app", "Why an access token holds what it holds."),
    "doctor": ("authz.cli.doctor:app", "What keeps MCP clients from connecting to a server."),
    "support-bundle": (
        "authz.cli.support_bundle:app",
        "Write a file about this installation for whoever helps: no secret, no log, no people.",
    ),
    "lab": ("authz.cli.lab:app", "Whether a server is right about identity assertions (ID-JAG)."),
    "audit": (
        "authz.cli.audit:app",
        "The audit trail: verify, search, trace, export, checkpoint, reporters.",
    ),
    "config": ("authz.cli.config:app", "The configuration: check, show."),
}


class _Commands(TyperGroup):
    """Knows every command by its line in the registry; loads one when it is called."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = {
            name: TyperCommand(name, help=sentence) for name, (_, sentence) in COMMANDS.items()
        }

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The real command instead of its line."""
        name, command, rest = super().resolve_command(ctx, args)
        if name is not None and name in COMMANDS:
            module, _, attribute = COMMANDS[name][0].partition(":")
            app = getattr(importlib.import_module(module), attribute)
            command = typer.main.get_command(app)
            command.name = name
        return name, command, rest


app = typer.Typer(
    cls=_Commands,
    add_completion=True,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=EXIT_CODES,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(__version__)
        raise typer.Exit


@app.callback()
def _root(
    _version: bool = typer.Option(
        False, "--version", callback=_print_version, is_eager=True, help="Print the version."
    ),
) -> None:
    """A self-hosted OAuth 2.1 authorization server for the Model Context Protocol."""


def main() -> None:
    """The entry point `authz`."""
    app(prog_name="authz")
