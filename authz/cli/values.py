"""Values on the command line that are more than a word."""

import json
import re
import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from authz.admin.conditions import ANY_SIGN_IN
from authz.admin.scopes import DEFAULT_RISK, NewScope
from authz.errors import ConfigurationError, Invalid
from authz.policy.requirements import Requirement, parse

if TYPE_CHECKING:
    from authz.secretstores import SecretStores

PasswordStdin = Annotated[
    bool, typer.Option("--password-stdin", help="Read the password from standard input.")
]
PasswordFrom = Annotated[
    str | None,
    typer.Option(
        "--password-from",
        help="Take the password from a secret reference, such as env:NAME, file:PATH or vault:PATH#KEY.",
        metavar="REFERENCE",
        show_default=False,
    ),
]
RequiresAcr = Annotated[
    list[str] | None,
    typer.Option(
        "--requires-acr",
        help="People must have signed in like this (acr); repeat for more that will do.",
        metavar="ACR",
    ),
]
RequiresMaxAge = Annotated[
    str | None,
    typer.Option(
        "--requires-max-age",
        help="They must have signed in this long ago at most: 300, 5m, 8h.",
        metavar="AGE",
        show_default=False,
    ),
]
RequiresConnection = Annotated[
    list[str] | None,
    typer.Option(
        "--requires-connection",
        help="They must have signed in there: a connection, or local; repeat for more that will do.",
        metavar="CONNECTION",
    ),
]
RequiresNothing = Annotated[
    bool, typer.Option("--requires-nothing", help="Any sign-in will do (again).")
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        help="A setting: NAME=VALUE; lists and true or false as in JSON. Repeatable.",
        metavar="NAME=VALUE",
        show_default=False,
    ),
]
SettingsFile = Annotated[
    Path | None,
    typer.Option("--settings", help="A JSON file of settings.", metavar="FILE", show_default=False),
]
_DURATION = re.compile(r"([0-9]{1,6})([smhd]?)")
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}


def password(
    secrets: Callable[[], "SecretStores"], *, stdin: bool, reference: str | None, prompt: bool
) -> str | None:
    """The password from where the options say; None when they say nowhere."""
    if stdin and reference:
        raise typer.BadParameter("use --password-stdin or --password-from, not both")
    if stdin:
        return sys.stdin.readline().rstrip("\r\n")
    if reference:
        try:
            return secrets().resolve(reference).decode()
        except UnicodeDecodeError:
            raise Invalid(f"the password in {reference} is not text in UTF-8") from None
    if prompt:
        return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True))
    return None


UserHolder = Annotated[
    str | None, typer.Option("--user", help="A login name or an id.", show_default=False)
]
GroupHolder = Annotated[
    str | None, typer.Option("--group", help="A group's name or id.", show_default=False)
]
ClientHolder = Annotated[
    str | None,
    typer.Option("--client", help="A client that acts on its own behalf.", show_default=False),
]
"""Options for who may hold a role, ordinary or admin."""


def holder(**named: str | None) -> tuple[str, str]:
    """The kind and the name of the one that was given. Raises BadParameter for none or several."""
    given = [(kind, name) for kind, name in named.items() if name is not None]
    if len(given) != 1:
        raise typer.BadParameter("name one holder: --user, --group or --client")
    return given[0]


def duration(text: str) -> timedelta:
    """`90s`, `30m`, `24h`, `7d`, or seconds."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise typer.BadParameter(f"{text!r} is not a duration; write 90s, 30m, 24h or 7d")
    return timedelta(seconds=int(match[1]) * _UNITS[match[2]])


def requirement(
    acr: list[str] | None,
    max_age: str | None,
    connection: list[str] | None,
    *,
    nothing: bool = False,
) -> Requirement | None:
    """What the options require of a sign-in; None when they say nothing of it. Raises Invalid."""
    given: dict[str, Any] = {}
    if acr:
        given["acr"] = acr
    if max_age is not None:
        given["max_age"] = int(duration(max_age).total_seconds())
    if connection:
        given["connection"] = connection
    if nothing:
        if given:
            raise typer.BadParameter("use --requires-nothing or the other --requires-…, not both")
        return ANY_SIGN_IN
    return parse(given) if given else None


def moment(text: str) -> datetime:
    """An aware moment."""
    with suppress(ValueError, OverflowError):
        found = datetime.fromisoformat(text)
        if found.tzinfo is not None:
            return found.astimezone(UTC)
    raise typer.BadParameter(
        f"{text!r} is not a moment; write date, time and zone: 2026-12-31T00:00:00Z"
    )


def scope(text: str) -> NewScope:
    """`NAME[,default][,risk=RISK][,tool=TOOL]...[,description=TEXT]`; the description comes last."""
    head, described, description = text.partition(",description=")
    name, *members = head.split(",")
    risk, is_default, tools = DEFAULT_RISK, False, []
    for member in members:
        key, _, value = member.partition("=")
        if member == "default":
            is_default = True
        elif key == "risk" and value:
            risk = value
        elif key == "tool" and value:
            tools.append(value)
        else:
            raise typer.BadParameter(
                f"{member!r} in the scope {name!r}: known are default, risk=, tool=, and description= last"
            )
    return NewScope(
        name=name,
        description=description if described else "",
        risk=risk,
        is_default=is_default,
        tools=tuple(tools),
    )


def setting(text: str) -> tuple[str, Any]:
    """`NAME=VALUE`; true, false, null, lists, objects and quoted text are read as JSON, anything else is text."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise typer.BadParameter(f"{text!r} is not NAME=VALUE")
    # Not numbers: an identifier may consist of digits.
    if value not in ("true", "false", "null") and not value.startswith(("[", "{", '"')):
        return name, value
    try:
        return name, json.loads(value)
    except ValueError as error:
        raise typer.BadParameter(f"the value of {name} is not JSON: {error}") from None


def json_object(path: Path) -> dict[str, Any]:
    """The JSON object of a file. Raises Invalid."""
    try:
        value = json.loads(text_of(path))
    except ValueError as error:
        raise Invalid(f"{path} is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise Invalid(f"{path} holds no JSON object")
    return value


def settings(file: Path | None, pairs: list[str] | None) -> dict[str, Any]:
    """What a file and `--set` say together; a member in `_seconds` that is all digits is a number."""
    found = {**(json_object(file) if file else {}), **dict(setting(it) for it in pairs or ())}
    for name, value in found.items():
        if name.endswith("_seconds") and isinstance(value, str) and value.isdecimal():
            found[name] = int(value)
    return found


def text_of(path: Path) -> str:
    """The text of a file, or of standard input for `-`. Raises Invalid when it is not text."""
    try:
        return sys.stdin.read() if str(path) == "-" else path.read_text(encoding="utf-8")
    except OSError as error:
        raise typer.BadParameter(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise Invalid(f"{path} is not text in UTF-8") from None


def write_text(path: Path, text: str) -> None:
    """Write a file. Raises ConfigurationError when that cannot be done."""
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error.strerror}") from None
