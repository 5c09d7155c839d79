"""How every command runs: common options, one result, one way to fail."""

import functools
import getpass
import inspect
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from authz.admin.rendering import as_json_value
from authz.errors import AuthzError, ConfigurationError, Conflict, Invalid, NotFound

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from authz.admin.operator import Operator
    from authz.federation.registry import Connectors
    from authz.progress import Watch
    from authz.secretstores import SecretStores
    from authz.services import Services
    from authz.settings import Settings

DONE, REFUSED, USAGE, ENVIRONMENT, UNAPPROVED = 0, 1, 2, 3, 4
EXIT_CODES = (
    "Exit codes: 0 done, 1 refused or a check failed, 2 wrong usage, 3 configuration or environment, "
    "4 access would grow and nobody approved it."
)
_KINDS: dict[type[AuthzError], str] = {
    ConfigurationError: "configuration",
    NotFound: "not_found",
    Conflict: "conflict",
    Invalid: "invalid",
}

_Config = Annotated[
    Path | None,
    typer.Option("--config", help="The configuration file.", metavar="FILE", show_default=False),
]
_Tenant = Annotated[str, typer.Option("--tenant", help="The tenant.", metavar="SLUG")]
_Yes = Annotated[bool, typer.Option("--yes", help="Do not ask whether to go on.")]
_Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


@dataclass(frozen=True)
class Result:
    """What a command did: a value for programs, a text for people. No value when all was printed already."""

    value: Any
    text: str
    code: int = DONE
    """Other than 0 when the command worked but what it checked is not well."""


@dataclass
class Run:
    """One command under way. Settings, services and transactions are opened when they are needed."""

    config: Path | None
    tenant: str
    as_json: bool
    stack: ExitStack = field(default_factory=ExitStack)

    @functools.cached_property
    def settings(self) -> "Settings":
        """The configuration."""
        from authz.settings import load

        return load(self.config)

    @functools.cached_property
    def services(self) -> "Services":
        """Secrets, database and network."""
        from authz.services import open_services

        return self.stack.enter_context(open_services(self.settings))

    @functools.cached_property
    def audited_secrets(self) -> "SecretStores":
        """The stores of the services, for a command that takes a secret: what it reads is in the trail."""
        from authz.admin.secret_readings import ReadingsTrail

        services = self.services
        trail = ReadingsTrail(services.database, services.configurations, self.operator.name)
        services.secrets.report_to(trail)
        return services.secrets

    @property
    def has_configuration(self) -> bool:
        """Some commands do without one."""
        return bool(self.config or "AUTHZ_CONFIG" in os.environ or Path("authz.toml").is_file())

    @functools.cached_property
    def secrets(self) -> "SecretStores":
        """Where references on the command line lead; without a configuration, to files and variables alone."""
        from authz.clock import system_clock
        from authz.secretstores import SecretStores, Setup
        from authz.secretstores.sections import Secrets

        setup = self.settings.secret_setup if self.has_configuration else Setup(Secrets())
        return self.stack.enter_context(closing(SecretStores(setup, system_clock)))

    @property
    def connectors(self) -> "Connectors":
        """The kinds of identity providers."""
        from authz.federation.connector import Tools
        from authz.federation.registry import Connectors

        services = self.services
        return Connectors(Tools(services.network, services.documents, services.secrets.resolve))

    @property
    def operator(self) -> "Operator":
        """Who is named in the audit trail, and the present."""
        from authz.admin.operator import Operator

        services = self.services
        return Operator.local(
            f"cli:{_account()}",
            services.clock(),
            services.envelope,
            agents_per_owner=services.settings.limits.agents_per_owner,
        )

    @functools.cached_property
    def watch(self) -> "Watch":
        """Whoever waits at a terminal; give it to work that can take long."""
        from authz.cli.progress import watch_of

        watch = watch_of(as_json=self.as_json)
        self.stack.callback(watch.clear)
        return watch

    @contextmanager
    def read(self) -> "Iterator[tuple[Session, str]]":
        """A session and the id of the tenant."""
        from authz.admin.operator import load_tenant

        with self.services.database.read() as tx:
            yield tx, load_tenant(tx, self.tenant).id

    @contextmanager
    def snapshot(self) -> "Iterator[tuple[Session, str]]":
        """As `read`, of one moment."""
        from authz.admin.operator import load_tenant

        with self.services.database.snapshot() as tx:
            yield tx, load_tenant(tx, self.tenant).id

    @contextmanager
    def write(self) -> "Iterator[tuple[Session, Operator, str]]":
        """A transaction, the operator and the id of the tenant."""
        from authz.admin.operator import load_tenant

        with self.services.database.write() as tx:
            yield tx, self.operator, load_tenant(tx, self.tenant).id

    @contextmanager
    def rehearse(self) -> "Iterator[tuple[Session, Operator, str]]":
        """As `write`, but nothing stays."""
        from authz.admin.operator import load_tenant

        with self.services.database.rehearse() as tx:
            yield tx, self.operator, load_tenant(tx, self.tenant).id

    @property
    def issuer(self) -> str:
        """Of the tenant."""
        from authz.tenants import issuer_of

        return issuer_of(self.settings.server.issuer, self.tenant)


def command(
    app: typer.Typer, name: str, *, tenant: bool = True, asks: bool = False
) -> Callable[[Callable[..., Result]], None]:
    """Register a function of (Run, own parameters) as a command with the common options.

    One that `asks` ends something: at a terminal it says what, and waits for a yes. Scripts are not asked.
    """
    common: dict[str, tuple[Any, Any]] = {"config": (_Config, None), "as_json": (_Json, False)}
    if tenant:
        common = {"tenant": (_Tenant, "default"), **common}
    if asks:
        common = {"yes": (_Yes, False), **common}

    def register(function: Callable[..., Result]) -> None:
        own = list(inspect.signature(function).parameters.values())[1:]
        options = [
            inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)
            for key, (kind, default) in common.items()
        ]

        def invoke(**values: Any) -> None:
            if asks and not values.pop("yes") and sys.stdin.isatty():
                typer.confirm(f"{function.__doc__}\nGo on?", abort=True)
            run = Run(values.pop("config"), values.pop("tenant", "default"), values.pop("as_json"))
            _finish(run, lambda: function(run, **values))

        parameters = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own] + options
        # What typer reads: the function's own parameters and the common ones.
        invoke.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        invoke.__annotations__ = {p.name: p.annotation for p in parameters}
        invoke.__doc__ = function.__doc__
        app.command(name, epilog=EXIT_CODES)(invoke)

    return register


def group(help_: str) -> typer.Typer:
    """An empty group of commands."""
    return typer.Typer(
        help=help_,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        epilog=EXIT_CODES,
    )


def _finish(run: Run, work: Callable[[], Result]) -> None:
    """Print the result or the error; never a traceback for what is not a fault of the program."""
    try:
        with run.stack:
            result = work()
    except AuthzError as error:
        code = ENVIRONMENT if isinstance(error, ConfigurationError) else REFUSED
        kind = next((it for of, it in _KINDS.items() if isinstance(error, of)), "failed")
        _fail(run, str(error), kind, code)
    except Exception as error:
        _fail_on_database(run, error)
        raise
    if run.as_json and result.value is not None:
        print(json.dumps(as_json_value(result.value), ensure_ascii=False))
    elif result.text:
        print(result.text)
    if result.code:
        raise typer.Exit(result.code)


def _fail_on_database(run: Run, error: Exception) -> None:
    """Sentences for what goes wrong between this machine and its database; answers for other errors."""
    from sqlalchemy.exc import DBAPIError, IntegrityError

    if isinstance(error, IntegrityError):
        sentence = (
            "somebody else changed the same thing at the same moment; nothing was done, try again"
        )
        _fail(run, sentence, "conflict", REFUSED)
    if isinstance(error, DBAPIError):
        url = run.settings.redacted()["database"]["url"]
        cause = str(error.orig).strip().splitlines()[0]
        sentence = (
            f"the database {url} refuses: {cause}; check database.url, and run `authz db upgrade` "
            "if it was never set up"
        )
        _fail(run, sentence, "configuration", ENVIRONMENT)


def _fail(run: Run, sentence: str, kind: str, code: int) -> NoReturn:
    shown = json.dumps({"error": sentence, "kind": kind}) if run.as_json else f"Error: {sentence}"
    print(shown, file=sys.stderr)
    raise typer.Exit(code) from None


def _account() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container may run under a number without a name
        return str(os.getuid())
