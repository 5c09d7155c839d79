"""From entries to the files of a directory, in an order that never changes for the same state."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from authz.policy import yaml_text
from authz.policy.code import BINDINGS, KINDS, ROLES
from authz.policy.code.entries import Entries
from authz.policy.roles_file import BindingEntry, RolesFile, document_of

_IN_A_FILE, _IN_A_BINDING = 1000, 500
"""Files stay far below what is read, and of a size that people can look through."""
_Item = TypeVar("_Item")


def write(entries: Mapping[str, Entries], roles: RolesFile) -> dict[str, str]:
    """Texts by the names of their files; every kind that is given is in them, also one that has nothing."""
    bindings = [part for binding in roles.bindings or () for part in _small(binding)]
    document = document_of(replace(roles, bindings=tuple(bindings)))
    values = {
        kind: shape.written(entries[kind]) for kind, shape in KINDS.items() if kind in entries
    }
    texts = {}
    for key, value in {**values, ROLES: document[ROLES], BINDINGS: document[BINDINGS]}.items():
        for number, part in enumerate(_files(value), 1):
            name = key if number == 1 else f"{key}-{number}"
            texts[f"{name}.yaml"] = _text(key, part)
    return texts


def _files(value: Any) -> Iterator[Any]:
    """An empty one is one as well: it says that there are none."""
    if isinstance(value, Mapping):
        yield from (dict(part) for part in _parts(list(value.items()), _IN_A_FILE))
        return
    # Of bindings one item may be long.
    yield from _parts(list(value), _IN_A_FILE // 20 if _is_long(value) else _IN_A_FILE)


def _is_long(value: Sequence[Any]) -> bool:
    return any(
        isinstance(item, Mapping) and len(item.get("users", ())) > _IN_A_BINDING // 20
        for item in value
    )


def _small(binding: BindingEntry) -> Iterator[BindingEntry]:
    """The same holders in as many bindings as it takes."""
    if len(binding.users) <= _IN_A_BINDING:
        yield binding
        return
    others = binding.groups | binding.clients
    if others:
        yield replace(binding, users=frozenset())
    for part in _parts(sorted(binding.users), _IN_A_BINDING):
        yield replace(binding, users=frozenset(part), groups=frozenset(), clients=frozenset())


def _parts(items: Sequence[_Item], size: int) -> Iterator[Sequence[_Item]]:
    for start in range(0, max(1, len(items)), size):
        yield items[start : start + size]


def _text(key: str, part: Any) -> str:
    if isinstance(part, Mapping) or not any(isinstance(item, Mapping) for item in part):
        return yaml_text.write({key: part})
    # The same text, an item at a time: what a file of 25,000 holders is made of would be ten megabytes at once, and
    # libyaml would keep the interpreter for as long.
    return f"{key}:\n" + "".join(yaml_text.write([item]) for item in part)
