"""`authz init`: the two files an installation starts with."""

import os
from pathlib import Path
from typing import Annotated

import typer

from authz.cli.run import Result, Run, command, group
from authz.envelope import new_encoded_key
from authz.errors import ConfigurationError, Conflict
from authz.settings import load

app = group("Write authz.toml and a new key-encryption key.")
_DEVELOPMENT_ISSUER = "http://127.0.0.1:8080"


@command(app, "init", tenant=False)
def init(
    run: Run,
    issuer: Annotated[
        str | None,
        typer.Option(help="The public URL of this server, https, without a slash at the end."),
    ] = None,
    development: Annotated[
        bool,
        typer.Option("--development", help="For trying out on this machine: http on loopback."),
    ] = False,
    database: Annotated[
        str, typer.Option(help="sqlite:///PATH (relative to the file) or postgresql://…")
    ] = "sqlite:///authz.db",
) -> Result:
    """Write the configuration file and, beside it, a new key-encryption key. Overwrites nothing."""
    if issuer is None:
        if not development:
            raise typer.BadParameter("say where clients reach this server", param_hint="--issuer")
        issuer = _DEVELOPMENT_ISSUER
    file = run.config or Path("authz.toml")
    key = file.with_name("authz.key")
    for path in (file, key):
        if path.exists():
            raise Conflict(f"{path} exists already; `authz init` overwrites nothing")
    _write(file, _toml(issuer, development=development, database=database).encode())
    try:
        load(file, environment={})
    except ConfigurationError:
        file.unlink()
        raise
    try:
        _write(key, new_encoded_key() + b"\n")
    except ConfigurationError:
        file.unlink()
        raise
    where = "" if run.config is None else f" --config {file}"
    text = (
        f"Wrote {file} (issuer {issuer}) and {key} (the key-encryption key, readable by you only).\n"
        f"Keep a copy of {key.name} apart from the backups of the database: without it nothing opens.\n"
        f"Next: authz db upgrade{where}"
    )
    return Result({"config": str(file), "key": str(key), "issuer": issuer}, text)


def _toml(issuer: str, *, development: bool, database: str) -> str:
    lines = ["[server]", f"issuer = {_quoted(issuer)}"]
    authority = issuer.partition("://")[2].partition("/")[0]
    port = authority.rpartition(":")[2]
    if development:
        lines.append("development = true")
        if port.isdigit():
            lines.append(f"port = {port}")
    else:
        lines.append("# What your reverse proxy, which ends TLS, connects to:")
        lines += ['host = "127.0.0.1"', "port = 8080"]
    lines += ["", "[database]", f"url = {_quoted(database)}"]
    lines += ["", "[keys]", 'encryption_key = "file:authz.key"', ""]
    return "\n".join(lines)


def _quoted(text: str) -> str:
    """A TOML basic string."""
    if not text.isprintable():
        raise ConfigurationError(f"{text!r} has an unprintable character")
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _write(path: Path, content: bytes) -> None:
    """A new file that only its owner reads: the URL of a database may hold a password."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error.strerror}") from None
