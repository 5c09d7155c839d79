"""The settings as somebody else may see them (pure): what is known to be no secret, and of the rest that it is set.

Decisions:
- By the kind of the value, not by what the setting is called: a list of names is forgotten where a setting is added,
  and a password is written into a setting it does not belong in (ATK-66). Switches, numbers, times, networks, paths,
  defaults, and the words that a setting may be one of are shown; references are; free text is not.
- Of an address its host and port. A path can be a credential, as with the webhooks of chats.
"""

import re
from collections.abc import Mapping
from datetime import timedelta
from ipaddress import ip_address
from typing import Any, Literal, get_args, get_origin

from sqlalchemy import URL, make_url

from authz.sections import Section, references_of
from authz.settings import Settings

SET = "(set; not shown)"
_ADDRESS = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?:[^/?#@]*@)?(?P<host>[^/?#@]*)")
_PARAMETERS = frozenset({"host", "port", "sslmode", "target_session_attrs"})
_LABELS = ("id", "name")
"""What a table of a list is called by, as in the names of its references."""


def shown_settings(settings: Settings) -> Mapping[str, Any]:
    """All of them, as JSON values."""
    found = _section(settings)
    return {**found, "database": {**found["database"], "url": database_address(settings)}}


def database_address(settings: Settings) -> str:
    """Where the database is: nobody's name, nobody's password, and of the parameters those that name no secret."""
    url = make_url(settings.database.url)
    query = {name: value for name, value in url.query.items() if name in _PARAMETERS}
    bare = URL.create(url.drivername, None, None, url.host, url.port, url.database, query)
    return bare.render_as_string()


def _section(section: Section) -> dict[str, Any]:
    named = {where for where, _ in references_of(section)}
    label = next((it for it in _LABELS if it in type(section).model_fields), None)
    found = {}
    for name, value in section:
        field = type(section).model_fields[name]
        is_known = name in named or name == label or _is_word(field.annotation)
        # A default is in the documents.
        found[name] = _value(value, is_known=is_known or value == field.default)
    return found


def _value(value: Any, *, is_known: bool) -> Any:
    match value:
        case None | bool() | int() | float():
            return value
        case timedelta():
            return value.total_seconds()
        case Section():
            return _section(value)
        case list() | tuple() | set() | frozenset():
            return [_value(it, is_known=is_known) for it in _in_order(value)]
        case Mapping():
            return {SET: len(value)} if value else {}
        case str():
            return value if is_known else _text(value)
        case _:
            return str(value)  # a path, a network


def _text(text: str) -> str:
    if (address := _ADDRESS.match(text)) is not None:
        rest = text[address.end() :]
        # An "@" further on: what looks like the host may be a part of a password.
        return SET if "@" in rest else f"{address['scheme']}://{address['host']}"
    try:
        return str(ip_address(text))
    except ValueError:
        return SET


def _in_order(values: Any) -> Any:
    return sorted(values) if isinstance(values, set | frozenset) else values


def _is_word(annotation: Any) -> bool:
    """Whether it is one of the words that the setting knows."""
    return get_origin(annotation) is Literal or any(
        _is_word(it) for it in get_args(annotation) if not isinstance(it, str)
    )
