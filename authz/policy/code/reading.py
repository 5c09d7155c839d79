"""The files of a directory, read together: all that is wrong is told at once, each with file, line and column."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from pydantic import ValidationError
from pydantic_core import ErrorDetails
from yaml.nodes import Node

from authz.errors import Invalid
from authz.policy.code import BINDINGS, KINDS, ROLES
from authz.policy.code.entries import Entries, Json, Shape
from authz.policy.code.schema import known_members
from authz.policy.code.values import Place, Reading
from authz.policy.roles_file import (
    BindingEntry,
    RoleEntry,
    RolesFile,
    bindings_of,
    check_inclusions,
    is_short,
    roles_of,
)
from authz.policy.yaml_nodes import Misplaced, check_keys, compose, pairs_of, place_of, wrong

KEYS = (*KINDS, ROLES, BINDINGS)
_MOST_TOLD = 20
_MAX_DEPTH = 16
"""The claims of a rule about workloads are deep down."""


@dataclass(frozen=True)
class Written:
    """What a directory says."""

    entries: Mapping[str, Entries]
    """By kind; a kind that no file names is not in here."""
    roles: RolesFile | None
    """None where no file has roles."""
    places: Mapping[tuple[str, str], str] = field(default_factory=dict)
    """Where an entry of a kind stands: `file:line:column`."""


def read(files: Mapping[str, str]) -> Written:
    """The texts of the files by their names. Raises Invalid with a line for each thing that is wrong."""
    if not files:
        raise Invalid("there is no *.yaml file in the directory; `authz export` writes some")
    reader = _Reader(is_lone=len(files) == 1)
    for name, text in sorted(files.items()):
        reader.read(name, text)
    return reader.finish()


class _Reader:
    def __init__(self, *, is_lone: bool) -> None:
        self._is_lone = is_lone
        self._entries: dict[str, dict[str, Json]] = {}
        self._places: dict[tuple[str, str], str] = {}
        self._roles: dict[str, RoleEntry] | None = None
        self._role_nodes: list[tuple[str, Node]] = []
        self._binding_nodes: list[tuple[str, Node]] = []
        self._problems: list[str] = []

    def read(self, file: str, text: str) -> None:
        with self._noting(file):
            root = compose(text, file, max_depth=_MAX_DEPTH)
            if root is None:
                raise Misplaced("the file is empty; remove it, or write `roles: {}`", 1, 1)
            top = {name: value for _, name, value in pairs_of(root, "the file")}
            if self._is_lone and top and not top.keys() & set(KEYS) and is_short(root):
                self._role_nodes.append((file, root))
                return
            with self._noting(file):
                check_keys(root, set(KEYS), "the file")
            for key, node in top.items():
                if key == ROLES:
                    self._role_nodes.append((file, node))
                elif key == BINDINGS:
                    self._binding_nodes.append((file, node))
                elif key in KINDS:
                    self._read_kind(file, key, node)

    def _read_kind(self, file: str, key: str, node: Node) -> None:
        shape, reading = KINDS[key], Reading()
        value = reading.read(node, (key,))
        for place, sentence in reading.problems:
            self._note(file, place, sentence)
        if reading.problems:
            return
        try:
            read = shape.adapter.validate_json(json.dumps(value), strict=True)
        except ValidationError as error:
            for problem in error.errors():
                path = (key, *problem["loc"])
                self._note(file, reading.place(path), _sentence(path, problem))
            return
        self._take(file, key, shape, shape.named(read), reading)

    def _take(
        self, file: str, key: str, shape: Shape, entries: list[tuple[str, Json]], reading: Reading
    ) -> None:
        known = self._entries.setdefault(key, {})
        for number, (name, entry) in enumerate(entries):
            place = reading.place((key, number if shape.is_list else name))
            if name in known:
                before = self._places[key, name]
                self._note(file, place, f"`{key}` has {name!r} already, at {before}")
                continue
            known[name] = entry
            self._places[key, name] = f"{file}:{place[0]}:{place[1]}"

    def finish(self) -> Written:
        """Bindings are of the roles of all files."""
        for file, node in self._role_nodes:
            self._roles = self._roles or {}
            with self._noting(file):
                read = roles_of(node)
                for key, name, _ in pairs_of(node, "`roles`"):
                    if name in self._roles:
                        before = self._places[ROLES, name]
                        raise wrong(key, f"`roles` has {name!r} already, at {before}")
                    self._roles[name] = read[name]
                    line, column = place_of(key)
                    self._places[ROLES, name] = f"{file}:{line}:{column}"
        bindings = self._bindings()
        if self._roles is not None and not self._problems:
            with self._noting(self._role_nodes[0][0]):
                check_inclusions(self._roles)
        if self._problems:
            more = len(self._problems) - _MOST_TOLD
            told = [*self._problems[:_MOST_TOLD], *([f"and {more} more"] if more > 0 else [])]
            raise Invalid("\n".join(told))
        roles = None if self._roles is None else RolesFile(self._roles, bindings)
        return Written(self._entries, roles, self._places)

    def _bindings(self) -> tuple[BindingEntry, ...] | None:
        if not self._binding_nodes:
            return None
        if self._roles is None:
            file, node = self._binding_nodes[0]
            self._note(
                file, place_of(node), "there are `bindings` and no `roles`; both go together"
            )
            return None
        found: list[BindingEntry] = []
        bound: set[tuple[str, str, str]] = set()
        for file, node in self._binding_nodes:
            with self._noting(file):
                found += bindings_of(node, self._roles, bound)
        return tuple(found)

    @contextmanager
    def _noting(self, file: str) -> Iterator[None]:
        """Notes the first thing that is wrong in the block, and goes on behind it."""
        try:
            yield
        except Misplaced as error:
            self._note(file, (error.line, error.column), error.sentence)
        except Invalid as error:
            self._note(file, (1, 1), str(error))

    def _note(self, file: str, place: Place, sentence: str) -> None:
        self._problems.append(f"{file}:{place[0]}:{place[1]}: {sentence}")


def _sentence(path: tuple[str | int, ...], problem: ErrorDetails) -> str:
    """What stands there and what is expected."""
    where, kind = ".".join(str(part) for part in path), problem["type"]
    if kind == "extra_forbidden":
        known = ", ".join(known_members(path[:-1]))
        inside = ".".join(str(part) for part in path[:-1])
        return f"{inside} has the unknown key {path[-1]!r}; known: {known}"
    if kind == "missing":
        return f"{where} is missing"
    said = problem["msg"].removeprefix("Value error, ").replace("Input should", "it should")
    if kind == "value_error":
        return f"{where}: {said}"
    said = _EXPECTED.get(kind, said)
    found = problem["input"]
    shown = repr(found) if isinstance(found, (str, int, bool)) else f"a {_NAMES[type(found)]}"
    return f"{where} is {shown}; {said}"


_EXPECTED: Mapping[str, str] = {
    "string_type": "text is expected here; a number or a word such as true goes into quotes",
    "bool_type": "true or false is expected here",
    "tuple_type": "a list is expected here, such as [one, other]",
    "list_type": "a list is expected here",
    "dict_type": "names with values are expected here (`name: value`)",
    "model_type": "names with values are expected here (`name: value`)",
}
_NAMES: Mapping[type, str] = {list: "list", dict: "mapping", type(None): "nothing"}
