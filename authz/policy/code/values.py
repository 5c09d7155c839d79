"""From YAML nodes to plain values, with the place of each: what pydantic refuses is told by line and column."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from yaml.nodes import MappingNode, Node, ScalarNode

from authz.policy.yaml_nodes import (
    STRING,
    Misplaced,
    integer_of,
    items_of,
    pairs_of,
    place_of,
    text_of,
    truth_of,
    wrong,
)

Path = tuple[str | int, ...]
Place = tuple[int, int]
"""Line and column."""
_READERS = {
    STRING: text_of,
    "tag:yaml.org,2002:int": integer_of,
    "tag:yaml.org,2002:bool": truth_of,
}

_TIMESTAMP, _MOMENT = "tag:yaml.org,2002:timestamp", ("until",)
"""A moment needs no quotes where one is meant; elsewhere it is a word that YAML would turn into something else."""


@dataclass
class Reading:
    """The values of one file so far."""

    places: dict[Path, Place] = field(default_factory=dict)
    """Of each member's name, and of each item."""
    problems: list[tuple[Place, str]] = field(default_factory=list)

    def place(self, path: Sequence[str | int]) -> Place:
        """Of this, or of the nearest thing around it that the file has."""
        known: list[str | int] = []
        for part in path:
            # pydantic puts in steps of its own, such as the name of a type.
            if (*known, part) in self.places:
                known.append(part)
        return self.places[tuple(known)]

    def read(self, node: Node, path: Path) -> Any:
        """The value of a node; None, with a problem noted, where it is none."""
        self.places.setdefault(path, place_of(node))
        what = ".".join(str(part) for part in path)
        try:
            if isinstance(node, ScalarNode):
                return _scalar(node, what, path)
            if isinstance(node, MappingNode):
                return self._mapping(node, path, what)
            items = items_of(node, what)
            return [self.read(item, (*path, number)) for number, item in enumerate(items)]
        except Misplaced as error:
            self.problems.append(((error.line, error.column), error.sentence))
            return None

    def _mapping(self, node: Node, path: Path, what: str) -> dict[str, Any]:
        found = {}
        for key, name, value in pairs_of(node, what):
            self.places[*path, name] = place_of(key)
            found[name] = self.read(value, (*path, name))
        return found


def _scalar(node: ScalarNode, what: str, path: Path) -> Any:
    if node.tag == "tag:yaml.org,2002:null":
        raise wrong(node, f"{what}: nothing stands here; leave the line out, or write {{}} or []")
    if node.tag == _TIMESTAMP and path[-1:] == _MOMENT:
        return node.value
    return _READERS.get(node.tag, text_of)(node, what)
