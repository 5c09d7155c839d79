"""`attributes` and `excludedAttributes`: which parts of a resource are sent (RFC 7644 §3.4.2.5, pure)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from authz.scim.errors import InvalidValue

_ALWAYS = frozenset({"schemas", "id"})
_MAX_NAMES = 64


@dataclass(frozen=True)
class Selection:
    """Names in lower case, as the client wrote them; None is no wish."""

    wanted: frozenset[str] | None = None
    unwanted: frozenset[str] = frozenset()

    def needs(self, name: str) -> bool:
        """Whether any of a top-level attribute is sent, so that it has to be looked up."""
        name = name.lower()
        if self.wanted is None:
            return name not in self.unwanted
        return name in self.wanted or any(it.startswith(f"{name}.") for it in self.wanted)

    def of(self, document: Mapping[str, Any], schema: str) -> dict[str, Any]:
        """The document with what is wanted, or without what is not."""
        if self.wanted is None and not self.unwanted:
            return dict(document)
        names = _short(self.unwanted if self.wanted is None else self.wanted, schema)
        if self.wanted is None:
            return _without(document, names - _ALWAYS)
        return _only(document, names | _ALWAYS)


EVERYTHING = Selection()


def read_selection(attributes: Any, excluded: Any) -> Selection:
    """From a query (names with commas) or a search request (a list). Raises InvalidValue."""
    wanted, unwanted = _names(attributes), _names(excluded)
    if wanted and unwanted:
        raise InvalidValue(
            "attributes and excludedAttributes exclude each other", reason="selection_twice"
        )
    return Selection(wanted or None, unwanted)


def _names(value: Any) -> frozenset[str]:
    names = value.split(",") if isinstance(value, str) else [] if value is None else value
    if (
        not isinstance(names, list)
        or len(names) > _MAX_NAMES
        or not all(isinstance(it, str) for it in names)
    ):
        raise InvalidValue("attributes are names", reason="selection_malformed")
    return frozenset(it.strip().lower() for it in names) - {""}


def _short(names: frozenset[str], schema: str) -> frozenset[str]:
    """Without the schema of the resource itself in front."""
    prefix = f"{schema.lower()}:"
    return frozenset(it.removeprefix(prefix) for it in names)


def _below(names: frozenset[str], key: str) -> frozenset[str]:
    """What the names say of the parts of this attribute, or of this extension."""
    prefixes = (f"{key}.", f"{key}:")
    return frozenset(it[len(key) + 1 :] for it in names if it.startswith(prefixes))


def _only(document: Mapping[str, Any], names: frozenset[str]) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for key, value in document.items():
        if key.lower() in names:
            kept[key] = value
        elif (inner := _below(names, key.lower())) and (part := _each(_only, value, inner)):
            kept[key] = part
    return kept


def _without(document: Mapping[str, Any], names: frozenset[str]) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for key, value in document.items():
        if key.lower() in names:
            continue
        inner = _below(names, key.lower())
        kept[key] = _each(_without, value, inner) if inner else value
    return kept


def _each(do: Any, value: Any, names: frozenset[str]) -> Any:
    if isinstance(value, Mapping):
        return do(value, names)
    if isinstance(value, list):
        return [found for it in value if isinstance(it, Mapping) and (found := do(it, names))]
    return value
