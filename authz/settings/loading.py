"""From the file, the environment and the command line to `Settings`."""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from authz.errors import ConfigurationError
from authz.secretstores import HINT, LOCAL_HINT
from authz.sections import anchored
from authz.settings.whole import Settings

_PREFIX = "AUTHZ__"
_SHOWN = frozenset(
    {
        *("greater_than", "greater_than_equal", "less_than", "less_than_equal"),
        *("int_from_float", "literal_error"),
    }
)
"""Kinds of errors that show the value: of numbers, times, and settings that are one of some words. Everywhere else a
secret may stand that belongs in another place."""


def load(
    path: Path | None = None,
    *,
    environment: Mapping[str, str] = os.environ,
    overrides: Mapping[str, Any] | None = None,
) -> Settings:
    """Read the file (default: `$AUTHZ_CONFIG`, then `./authz.toml` if it is there), environment and overrides.

    Raises ConfigurationError naming the key, the value it got and what is expected.
    """
    named = path or (Path(environment["AUTHZ_CONFIG"]) if "AUTHZ_CONFIG" in environment else None)
    file = named or Path("authz.toml")
    values: dict[str, Any] = {}
    if file.is_file():
        try:
            values = tomllib.loads(file.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"{file} is not valid TOML: {error}") from None
    elif named is not None:
        raise ConfigurationError(f"the configuration file {file} does not exist; run `authz init`")
    for name, text in environment.items():
        if name.startswith(_PREFIX):
            section, _, key = name.removeprefix(_PREFIX).lower().partition("__")
            _section(values, section)[key] = _from_environment(text)
    for section, pairs in (overrides or {}).items():
        if isinstance(pairs, Mapping):
            _section(values, section).update(pairs)
        else:
            values[section] = pairs
    base = file.resolve().parent if file.is_file() else Path.cwd()
    _anchor_paths(values, base)
    values = anchored(Settings, values, base)
    if "issuer" not in _section(values, "server"):
        raise ConfigurationError(
            "server.issuer is not set: write it to authz.toml (`authz init --issuer URL` makes the file) "
            "or set AUTHZ__SERVER__ISSUER"
        )
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        raise ConfigurationError(_sentence(error)) from None


def _section(values: dict[str, Any], name: str) -> dict[str, Any]:
    section = values.setdefault(name, {})
    if not isinstance(section, dict):
        # Not shown: who writes one value for a section may have written a secret.
        raise ConfigurationError(f"{name} must be a section ([{name}])")
    return section


def _from_environment(text: str) -> Any:
    return [part for part in text[1:-1].split(",") if part] if text[:1] == "[" else text


def _anchor_paths(values: dict[str, Any], base: Path) -> None:
    """Relative paths in the file are relative to the file, not to where the command was started."""
    database, keys, network = (_section(values, name) for name in ("database", "keys", "network"))
    url = str(database.get("url", "sqlite:///authz.db"))
    if url.startswith("sqlite:///") and not url.startswith("sqlite:////"):
        database["url"] = f"sqlite:///{base / url.removeprefix('sqlite:///')}"
    keys.setdefault("encryption_key", "file:authz.key")
    vault = values.get("vault")
    if isinstance(vault, dict) and vault.get("ca_file"):
        vault["ca_file"] = str(base / str(vault["ca_file"]))
    server = _section(values, "server")
    if server.get("client_certificate_authorities"):
        named = str(server["client_certificate_authorities"])
        server["client_certificate_authorities"] = str(base / named)
    if network.get("ca_file"):
        network["ca_file"] = str(base / str(network["ca_file"]))
    audit = _section(values, "audit")
    sinks = audit.get("sink", ())
    for table in [audit, *(it for it in sinks if isinstance(it, dict))]:
        for key in ("timestamp_roots", "path", "ca_file"):
            if table.get(key):
                table[key] = str(base / str(table[key]))


def _sentence(error: ValidationError) -> str:
    lines = []
    for problem in error.errors():
        where = ".".join(str(part) for part in problem["loc"])
        message = problem["msg"].removeprefix("Value error, ")
        got = problem.get("input")
        if problem["type"] == "extra_forbidden":
            message = "is not a setting; docs/configure.md lists them all"
        elif (
            problem["type"] == "string_pattern_mismatch" and "env|file" in problem["ctx"]["pattern"]
        ):
            # What stands there instead of a reference may be the secret itself.
            is_local = "vault" not in problem["ctx"]["pattern"]
            message = f"is not a secret reference; {LOCAL_HINT if is_local else HINT}"
        elif problem["type"] in _SHOWN and isinstance(got, (str, int, float)):
            message += f" (got {got!r})"
        lines.append(f"{where}: {message}" if where else message)
    return "; ".join(lines)
