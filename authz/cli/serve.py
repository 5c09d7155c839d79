"""`authz serve`: check that everything is there, then hand over to uvicorn."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from authz.admin import configured_clients, sealing
from authz.cli.db import add_missing_keys, create_default_tenant
from authz.cli.run import Result, Run, command, group
from authz.db import migrate
from authz.errors import ConfigurationError
from authz.installation import refuse_to_start
from authz.telemetry.exposition import FOLDER_VARIABLE

if TYPE_CHECKING:
    from uvicorn import Config

app = group("Run the server.")
_BACKLOG = 2048
_GRACE_SECONDS = 20


@command(app, "serve", tenant=False)
def serve(
    run: Run,
    host: Annotated[str | None, typer.Option(help="Overrides server.host.")] = None,
    port: Annotated[int | None, typer.Option(help="Overrides server.port; 0 is any.")] = None,
    workers: Annotated[int | None, typer.Option(help="Overrides server.workers.")] = None,
    upgrade: Annotated[
        bool, typer.Option("--upgrade", help="Upgrade a PostgreSQL database first.")
    ] = False,
) -> Result:
    """Run until stopped by Ctrl-C or SIGTERM; requests under way are finished first.

    SIGTERM drains: for `server.drain` readiness is 503 and everything is still answered, then listening ends.
    """
    # Workers are processes of their own and read the settings again: by way of the environment they agree.
    if run.config is not None:
        os.environ["AUTHZ_CONFIG"] = str(run.config.resolve())
    for name, value in (("HOST", host), ("PORT", port), ("WORKERS", workers)):
        if value is not None:
            os.environ[f"AUTHZ__SERVER__{name}"] = str(value)
    notes = _prepare(run, upgrade=upgrade)
    settings = run.settings
    run.stack.close()  # the workers open their own connections
    for note in notes:
        typer.echo(note, err=run.as_json)
    with _counting_together(settings.server.workers):
        _listen(_server_config(run), settings.server.issuer, run)
    return Result({"stopped": True}, "Stopped.")


def _prepare(run: Run, *, upgrade: bool) -> list[str]:
    """Bring database and default tenant into being; answers what was done."""
    database = run.services.database
    refuse_to_start(run.services)
    notes = []
    if (database.is_sqlite or upgrade) and migrate.is_behind(database):
        before, after = migrate.upgrade(database)
        notes.append(f"Upgraded the database from revision {before or 'none (empty)'} to {after}.")
    migrate.check(database)
    if create_default_tenant(run):
        notes.append("Created the tenant 'default' with its signing keys.")
    with database.read() as tx:
        sealing.check(tx, run.services.envelope)
    return [*notes, *add_missing_keys(run), *_configure_clients(run)]


def _configure_clients(run: Run) -> list[str]:
    """Make the database agree with the `[[client]]` entries of the file."""
    secrets = [
        None
        if client.secret is None
        else run.audited_secrets.require(f"client {client.id!r}", client.secret).decode()
        for client in run.settings.client
    ]
    notes = []
    for client, secret in zip(run.settings.client, secrets, strict=True):
        with run.services.database.write() as tx:
            done = configured_clients.apply(tx, run.operator, client, secret, run.settings)
        if done is not None:
            notes.append(f"Client {client.id!r} from the configuration: {done}.")
    return notes


@contextmanager
def _counting_together(workers: int) -> Iterator[None]:
    """A folder in which several processes count together (`telemetry.metrics`), unless somebody made one."""
    if workers == 1 or FOLDER_VARIABLE in os.environ:
        yield
        return
    with TemporaryDirectory(prefix="authz-metrics-", ignore_cleanup_errors=True) as folder:
        os.environ[FOLDER_VARIABLE] = folder
        try:
            yield
        finally:
            del os.environ[FOLDER_VARIABLE]


def _server_config(run: Run) -> "Config":
    import uvicorn

    server = run.settings.server
    return uvicorn.Config(
        "authz.app:create_app",
        factory=True,
        host=server.host,
        port=server.port,
        workers=server.workers,
        loop="uvloop",
        http="authz.web.connections:BoundedHttp",
        ws="none",
        lifespan="on",
        access_log=False,
        # Which peers may say who asked is decided by server.trusted_proxies alone.
        proxy_headers=False,
        server_header=False,
        backlog=_BACKLOG,
        timeout_graceful_shutdown=_GRACE_SECONDS,
        log_config=None,
        log_level=run.settings.log.level,
    )


def _listen(config: "Config", issuer: str, run: Run) -> None:
    import uvicorn
    from uvicorn.supervisors import Multiprocess

    try:
        listener = config.bind_socket()
        # Now, not when the application is up: until somebody listens, a second server could take the port as well.
        listener.listen(_BACKLOG)
    except (SystemExit, OSError):
        raise ConfigurationError(
            f"{config.host}:{config.port} cannot be listened on: it is in use or not this machine's; "
            "--host and --port choose another"
        ) from None
    host = f"[{config.host}]" if ":" in config.host else config.host
    place = f"http://{host}:{listener.getsockname()[1]}"
    typer.echo(f"Listening on {place}, issuer {issuer}", err=run.as_json)
    typer.echo(_next_step(issuer, place), err=run.as_json)
    server = uvicorn.Server(config)
    if config.workers > 1:

        class Supervisor(Multiprocess):
            def terminate_all(self) -> None:
                super().terminate_all()
                # The workers go on listening while they drain. Once they have closed the port nobody must
                # be let in any more: who was would wait for an answer that nobody gives.
                for listening in self.sockets:
                    listening.close()

        Supervisor(config, sockets=[listener]).run()
        return
    server.run(sockets=[listener])
    if not server.started:
        raise ConfigurationError("the server did not start; the reason stands above")


def _next_step(issuer: str, place: str) -> str:
    scheme, _, rest = issuer.partition("://")
    authority, slash, path = rest.partition("/")
    metadata = f"{scheme}://{authority}/.well-known/oauth-authorization-server{slash}{path}"
    if issuer.startswith("http://"):
        return f"Metadata: {metadata}"
    return f"Point the proxy that ends TLS for {issuer} to {place}; then see {metadata}"
