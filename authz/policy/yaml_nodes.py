"""YAML as a tree of nodes, read strictly: every error names its line, and no tag ever makes an object.

A word that YAML takes for something else (`yes`, `1.0`) is refused instead of turned into it. Anchors and aliases are
refused: a kilobyte of them can stand for a terabyte.
"""

import re
from collections.abc import Iterator
from typing import Any

import yaml
from yaml.composer import Composer
from yaml.cyaml import CParser  # type: ignore[attr-defined]  # the stubs say where it comes from
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from yaml.resolver import Resolver

from authz.errors import Invalid

MAX_CHARS = 1_000_000
MAX_DEPTH = 8
STRING = "tag:yaml.org,2002:str"
_INTEGER, _BOOLEAN = "tag:yaml.org,2002:int", "tag:yaml.org,2002:bool"
_TRUTHS = ("true", "false")
# As everybody writes it: YAML has octal, hexadecimal and sixty-based ones besides.
_DIGITS = re.compile(r"0|-?[1-9][0-9]{0,8}")
# Escapes can write them, and no database stores them: NUL, and half a surrogate pair.
_NOT_STORED = re.compile("[\x00\ud800-\udfff]")


class Misplaced(Invalid):
    """What is wrong at one place of a file."""

    def __init__(self, sentence: str, line: int, column: int) -> None:
        super().__init__(f"line {line}: {sentence}")
        self.sentence, self.line, self.column = sentence, line, column


def compose(text: str, what: str, *, max_depth: int = MAX_DEPTH) -> Node | None:
    """The root of a file called this; None for an empty one. Raises Invalid."""
    if len(text) > MAX_CHARS:
        raise Invalid(f"{what} has {len(text)} characters; {MAX_CHARS} are possible")
    try:
        return _Quick(text, max_depth).get_single_node()
    except (yaml.YAMLError, ValueError, OverflowError):
        # Read once more, by what says best where it is wrong.
        return _compose_carefully(text, max_depth)


def _compose_carefully(text: str, max_depth: int) -> Node | None:
    try:
        return _Careful(text, max_depth).get_single_node()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        sentence = f"not valid YAML: {error.problem or error.context}"
        if mark is None:
            raise Invalid(sentence) from None
        raise Misplaced(sentence, mark.line + 1, mark.column + 1) from None
    except yaml.YAMLError as error:
        raise Invalid(f"not valid YAML: {' '.join(str(error).split())}") from None
    except (ValueError, OverflowError):
        # What PyYAML does not foresee: \UFFFFFFFF, a version number of five thousand digits.
        raise Invalid("not valid YAML: an escape or a number is out of range") from None


class _Strict(Composer):
    """Composes nodes, refusing what can make a small text a large value."""

    max_depth = MAX_DEPTH
    _depth = 0

    def compose_node(self, parent: Node | None, index: Any) -> Node | None:
        """As PyYAML does it, without anchors and with a bound on nesting."""
        event: yaml.NodeEvent = self.peek_event()  # type: ignore[attr-defined]  # of the parser beside it
        mark = event.start_mark
        place = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        if event.anchor is not None:
            raise Misplaced("anchors and aliases (& and *) are not read; write it out", *place)
        if self._depth > self.max_depth:
            raise Misplaced("nested too deep", *place)
        self._depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1


class _Quick(_Strict, CParser, Resolver):
    """By libyaml, seven times as fast: a company's policy has ten thousand lines."""

    def __init__(self, text: str, max_depth: int) -> None:
        self.max_depth = max_depth
        CParser.__init__(self, text)
        Composer.__init__(self)
        Resolver.__init__(self)


class _Careful(_Strict, yaml.SafeLoader):
    """By PyYAML itself."""

    def __init__(self, text: str, max_depth: int) -> None:
        self.max_depth = max_depth
        yaml.SafeLoader.__init__(self, text)


def names_of(node: Node | None, what: str) -> frozenset[str]:
    """The words of a list, each once; none when there is no node."""
    if node is None:
        return frozenset()
    found: list[str] = []
    for item in items_of(node, what):
        name = text_of(item, what)
        if not name or name in found:
            raise wrong(
                item, f"{what} name {name!r} twice" if name else f"{what} hold an empty name"
            )
        found.append(name)
    return frozenset(found)


def text_of(node: Node, what: str) -> str:
    """The word of a scalar."""
    if not isinstance(node, ScalarNode):
        raise wrong(node, f"{what}: a word is expected here")
    if node.tag != STRING:
        kind = node.tag.rpartition(":")[2]
        raise wrong(node, f"{what}: YAML reads {node.value!r} as {kind}; put it in quotes")
    if _NOT_STORED.search(node.value):
        raise wrong(node, f"{what}: {node.value!r} has a character that cannot be stored")
    return str(node.value)


def integer_of(node: Node, what: str) -> int:
    """The whole number of a scalar."""
    if not isinstance(node, ScalarNode):
        raise wrong(node, f"{what}: a whole number is expected here")
    if node.tag != _INTEGER or not _DIGITS.fullmatch(node.value):
        raise wrong(node, f"{what}: a whole number is expected here, not {node.value!r}")
    return int(node.value)


def items_of(node: Node, what: str) -> list[Node]:
    """The nodes of a list."""
    if not isinstance(node, SequenceNode) or not node.tag.endswith(":seq"):
        raise wrong(node, f"{what}: a list is expected here, such as [logs.read, logs.write]")
    found: list[Node] = node.value
    return found


def pairs_of(node: Node, what: str) -> Iterator[tuple[Node, str, Node]]:
    """Key node, name and value node of a mapping, each name once."""
    if not isinstance(node, MappingNode) or not node.tag.endswith(":map"):
        raise wrong(node, f"{what}: names with values are expected here (`name: value`)")
    seen: set[str] = set()
    for key, value in node.value:
        name = text_of(key, f"a key of {what}")
        if name in seen:
            raise wrong(key, f"{what} has {name!r} twice")
        seen.add(name)
        yield key, name, value


def mapping_of(node: Node, what: str) -> dict[str, Node]:
    """Value nodes by name."""
    return {name: value for _, name, value in pairs_of(node, what)}


def check_keys(node: Node, known: set[str], what: str) -> None:
    """Raise Invalid for the first key that is not known."""
    for key, name, _ in pairs_of(node, what):
        if name not in known:
            raise wrong(
                key, f"{what} has the unknown key {name!r}; known: {', '.join(sorted(known))}"
            )


def truth_of(node: Node, what: str) -> bool:
    """The `true` or `false` of a scalar, and none of the other words YAML has for them."""
    if not isinstance(node, ScalarNode) or node.tag != _BOOLEAN or node.value not in _TRUTHS:
        raise wrong(node, f"{what}: true or false is expected here")
    return bool(node.value == "true")


def place_of(node: Node) -> tuple[int, int]:
    """Line and column, counted from 1."""
    return node.start_mark.line + 1, node.start_mark.column + 1


def wrong(node: Node, message: str) -> Invalid:
    """The error that is to be raised about a node."""
    return Misplaced(message, *place_of(node))
