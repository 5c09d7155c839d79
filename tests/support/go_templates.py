"""Charts rendered without Helm: the little of Go's templates that our chart uses.

The actions `if`, `else`, `range`, `with`, `define` and assignment, and the functions in FUNCTIONS; anything else is an
error. Stricter than Helm in one thing: a value that values.yaml does not have is an error, except below `settings`.
Where Helm is at hand (`tests.support.helm`), the tests compare the two.
"""

import hashlib
import json
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

RELEASE = {"Name": "authz", "Namespace": "identity", "Service": "Helm"}
_ACTION = re.compile(r"\{\{(-\s)?\s*(.*?)\s*(\s-)?\}\}", re.DOTALL)
_TOKEN = re.compile(r'\s*("(?:[^"\\]|\\.)*"|:=|[|(),]|-?\d+|[$.\w]+)')
_OPENS = ("if", "range", "with", "define")


class Refused(Exception):
    """The chart says no: `required` or `fail`, or a template is wrong."""


@dataclass
class Block:
    """An action with what is inside of it."""

    kind: str
    words: list[str]
    body: list["Block | str"] = field(default_factory=list)
    otherwise: list["Block | str"] = field(default_factory=list)


class Chart:
    """A folder with a chart, parsed."""

    def __init__(self, folder: Path) -> None:
        self.about = yaml.safe_load((folder / "Chart.yaml").read_text(encoding="utf-8"))
        self.values = yaml.safe_load((folder / "values.yaml").read_text(encoding="utf-8"))
        self.schema = json.loads((folder / "values.schema.json").read_text(encoding="utf-8"))
        self.sources = {
            it.name: it.read_text(encoding="utf-8")
            for it in sorted((folder / "templates").iterdir())
        }
        self.defined: dict[str, list[Block | str]] = {}
        self.templates = {name: self._parse(text) for name, text in self.sources.items()}

    def _parse(self, text: str) -> list[Block | str]:
        root = Block("root", [])
        stack, into = [root], root.body
        for piece in _pieces(text):
            if isinstance(piece, str):
                into.append(piece)
                continue
            word = piece[0]
            if word in _OPENS:
                made = Block(word, piece[1:])
                into.append(made)
                stack.append(made)
                into = made.body
            elif word == "else":
                if len(piece) > 1:
                    # `else if`: one more block, that ends where this one does.
                    made = Block("if", piece[2:])
                    stack[-1].otherwise.append(made)
                    stack[-1] = made
                    into = made.body
                else:
                    into = stack[-1].otherwise
            elif word == "end":
                ended = stack.pop()
                if ended.kind == "define":
                    self.defined[json.loads(ended.words[0])] = ended.body
                # What was opened in an `else` goes on there.
                into = stack[-1].otherwise if stack[-1].otherwise else stack[-1].body
            else:
                into.append(Block("say", piece))
        if len(stack) != 1:
            raise Refused(f"{stack[-1].kind} is not ended")
        return root.body

    def render(self, values: dict[str, Any]) -> dict[str, str]:
        """Each template's text."""
        about = {name[:1].upper() + name[1:]: value for name, value in self.about.items()}
        root = {"Values": merged(self.values, values), "Release": RELEASE, "Chart": about}
        return {
            name: _Run(self, root).text(body, root)
            for name, body in self.templates.items()
            if not name.startswith("_")
        }


def _pieces(text: str) -> Iterator[str | list[str]]:
    at, trims = 0, False
    for found in _ACTION.finditer(text):
        before = text[at : found.start()]
        before = before.lstrip() if trims else before
        yield before.rstrip() if found[1] else before
        at, trims = found.end(), found[3] is not None
        if not found[2].startswith("/*"):
            yield _TOKEN.findall(found[2])
    yield text[at:].lstrip() if trims else text[at:]


class _Run:
    """One template with its variables."""

    def __init__(self, chart: Chart, root: Any) -> None:
        self.chart = chart
        self.variables: dict[str, Any] = {"$": root}

    def text(self, body: list[Block | str], dot: Any) -> str:
        return "".join(it if isinstance(it, str) else self.block(it, dot) for it in body)

    def block(self, block: Block, dot: Any) -> str:
        words = block.words
        if block.kind == "define":
            return ""
        if block.kind == "range":
            return self.loop(block, dot)
        if len(words) > 1 and words[1] == ":=":
            self.variables[words[0]] = self.pipeline(words[2:], dot)
            return ""
        value = self.pipeline(words, dot)
        if block.kind == "say":
            return _printed(value)
        if not value:
            return self.text(block.otherwise, dot)
        return self.text(block.body, value if block.kind == "with" else dot)

    def loop(self, block: Block, dot: Any) -> str:
        words, names = block.words, []
        if ":=" in words:
            names = [it for it in words[: words.index(":=")] if it != ","]
            words = words[words.index(":=") + 1 :]
        over = self.pipeline(words, dot) or []
        pairs = sorted(over.items()) if isinstance(over, dict) else list(enumerate(over))
        made = []
        for key, value in pairs:
            self.variables.update(zip(names, (key, value), strict=False))
            made.append(self.text(block.body, value))
        return "".join(made)

    def pipeline(self, words: list[str], dot: Any) -> Any:
        value, rest = self.command(list(words), dot, [])
        while rest:
            value, rest = self.command(rest[1:], dot, [value])
        return value

    def command(self, words: list[str], dot: Any, last: list[Any]) -> tuple[Any, list[str]]:
        """Up to the next bar."""
        name = words[0] if re.fullmatch(r"[a-z]\w*", words[0]) else None
        rest, given = words[1:] if name else words, []
        while rest and rest[0] != "|":
            value, rest = self.operand(rest, dot)
            given.append(value)
        if name is None:
            return given[0], rest
        if name == "include":
            inner = _Run(self.chart, given[1])
            return inner.text(self.chart.defined[given[0]], given[1]), rest
        return FUNCTIONS[name](*given, *last), rest

    def operand(self, words: list[str], dot: Any) -> tuple[Any, list[str]]:
        word, rest = words[0], words[1:]
        if word == "(":
            depth, end = 1, 0
            while depth:
                depth += {"(": 1, ")": -1}.get(rest[end], 0)
                end += 1
            return self.pipeline(rest[: end - 1], dot), rest[end:]
        if word[0] == '"':
            return json.loads(word), rest
        if re.fullmatch(r"-?\d+", word):
            return int(word), rest
        if word in ("true", "false"):
            return word == "true", rest
        if re.fullmatch(r"[a-z]\w*", word):
            return FUNCTIONS[word](), rest
        start, *path = word.split(".")
        value = self.variables[start] if start else dot
        for at, part in enumerate(it for it in path if it):
            value = _member(value, part, lenient="settings" in path[:at] or start not in ("", "$"))
        return value, rest


def _member(value: Any, name: str, *, lenient: bool) -> Any:
    if name not in value and not lenient:
        raise Refused(f"there is no {name}")
    return value.get(name)


def _printed(value: Any) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _required(message: str, value: Any) -> Any:
    if value in (None, ""):
        raise Refused(message)
    return value


def _fail(message: str) -> None:
    raise Refused(message)


def _kind_is(kind: str, value: Any) -> bool:
    kinds = {
        bool: "bool",
        int: "float64",
        float: "float64",
        list: "slice",
        dict: "map",
        str: "string",
    }
    return kinds.get(type(value), "invalid") == kind


def _indented(count: int, text: str) -> str:
    return "\n" + "\n".join(" " * count + it for it in text.split("\n"))


def _replaced(template: str, *values: Any) -> str:
    return template % tuple(map(_printed, values))


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "add": lambda *them: sum(them),
    "contains": lambda part, text: part in text,
    "default": lambda other, value=None: value or other,
    "dict": dict,
    "eq": lambda one, other: one == other,
    "fail": _fail,
    "floor": math.floor,
    "ge": lambda one, other: one >= other,
    "get": lambda mapping, key: mapping.get(key, ""),
    "int64": int,
    "join": lambda between, them: between.join(map(_printed, them)),
    "kindIs": _kind_is,
    "mul": lambda *them: math.prod(them),
    "nindent": _indented,
    "not": lambda value: not value,
    "or": lambda *them: next((it for it in them if it), them[-1]),
    "printf": _replaced,
    "quote": lambda value: json.dumps(_printed(value), ensure_ascii=False),
    "required": _required,
    "sha256sum": lambda text: hashlib.sha256(text.encode()).hexdigest(),
    "toYaml": lambda value: yaml.safe_dump(value, default_flow_style=False).rstrip("\n"),
    "trimSuffix": lambda end, text: text.removesuffix(end),
    "trunc": lambda length, text: text[:length],
    "upper": str.upper,
    "urlParse": lambda url: {"hostname": urlsplit(url).hostname or ""},
}


def merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """As Helm lays values over values: member by member, and null takes one away."""
    made = dict(below)
    for name, value in above.items():
        if value is None:
            made.pop(name, None)
        elif isinstance(value, dict) and isinstance(made.get(name), dict):
            made[name] = merged(made[name], value)
        else:
            made[name] = value
    return made
