"""YAML as people read it: one text for one document, members in the order they have there."""

from collections.abc import Mapping, Sequence
from typing import Any

import yaml
from yaml.cyaml import CSafeDumper

_WIDTH = 120


def write(document: Mapping[str, Any] | Sequence[Any]) -> str:
    """The text; a list of plain words stays on a line."""
    # libyaml takes a tenth of the time and spells what Python's emitter does, but for what lies beyond the first plane
    # of Unicode: it escapes an emoji, which nobody could read. Python's would make another text of U+0085.
    text = _written(document, CSafeDumper)
    if "\\U" in text and "\\N" not in text:
        return _written(document, yaml.SafeDumper)
    return text


def _written(document: object, dumper: type[yaml.SafeDumper | CSafeDumper]) -> str:
    text: str = yaml.dump(
        document,
        Dumper=dumper,
        sort_keys=False,
        default_flow_style=None,
        allow_unicode=True,
        width=_WIDTH,
    )
    return text
