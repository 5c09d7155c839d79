"""What the tables of `authz.toml` are made of: frozen shapes, durations in seconds, and secrets by reference only."""

import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, get_args

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from authz.secretstores import STORES
from authz.urls import LOOPBACK_HOSTS, UrlError, read_url

_REFERENCE = "reference"
"""Marks what is one: whoever asks for all secrets of the file must not need a list of them."""
SecretReference = Annotated[
    str, Field(pattern=rf"^({'|'.join(map(re.escape, STORES))}):.+$"), _REFERENCE
]
LocalReference = Annotated[str, Field(pattern=r"^(env|file):.+$"), _REFERENCE]
"""What opens a store cannot be in one."""


def _seconds(value: object) -> object:
    """The environment has only text: `300` means seconds there as it does in the file."""
    return int(value) if isinstance(value, str) and value.isdecimal() else value


AnySeconds = Annotated[timedelta, BeforeValidator(_seconds)]
Seconds = Annotated[AnySeconds, Field(gt=timedelta(0))]


class Section(BaseModel):
    """A table of the file."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    def idle(self) -> frozenset[str]:
        """Members that are not used as the others stand."""
        return frozenset()


def references_of(section: Section, where: str = "") -> Iterator[tuple[str, str]]:
    """Every secret that is named in it, at any depth, and is used: the setting, and its reference."""
    for name, value in section:
        if name in section.idle():
            continue
        for it in value if isinstance(value, tuple) else (value,):
            if isinstance(it, Section):
                label = getattr(it, "id", getattr(it, "name", None))
                called = name if label is None else f"{name} {label!r}"
                yield from references_of(it, f"{where}{called}.")
            elif it is not None and _are_references(type(section), name):
                yield f"{where}{name}", it


def anchored(kind: type[Section], values: Mapping[str, Any], base: Path) -> dict[str, Any]:
    """`values`, not yet validated, with the relative paths of their references below `base`, at any depth."""
    found = dict(values)
    for name, value in values.items():
        field = kind.model_fields.get(name)
        if field is None:
            continue
        inner = _section_in(field.annotation)
        listed = value if isinstance(value, list | tuple) else [value]
        if inner is not None:
            listed = [anchored(inner, it, base) if isinstance(it, Mapping) else it for it in listed]
        elif _are_references(kind, name):
            listed = [_below(base, it) for it in listed]
        found[name] = listed if isinstance(value, list | tuple) else listed[0]
    return found


def _below(base: Path, reference: Any) -> Any:
    if not isinstance(reference, str) or not reference.startswith("file:"):
        return reference
    return f"file:{base / reference.removeprefix('file:')}"


def _are_references(kind: type[Section], name: str) -> bool:
    field = kind.model_fields[name]
    return _REFERENCE in field.metadata or _is_marked(field.annotation)


def _is_marked(annotation: Any) -> bool:
    return _REFERENCE in getattr(annotation, "__metadata__", ()) or any(
        _is_marked(it) for it in get_args(annotation)
    )


def _section_in(annotation: Any) -> type[Section] | None:
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation
    return next(filter(None, map(_section_in, get_args(annotation))), None)


def _address(text: str) -> str:
    try:
        parts = read_url("the address", text)
    except UrlError as error:
        raise ValueError(f"the address {error.rule}") from None
    if parts.query is not None or parts.fragment is not None or text.endswith("/"):
        raise ValueError("write scheme, host and port, without a final slash, query or fragment")
    # What goes there is a credential, and what comes back is a secret.
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.host in LOOPBACK_HOSTS):
        raise ValueError("use https, or http on loopback")
    return text


StoreAddress = Annotated[str, AfterValidator(_address)]
"""Where an operator says a store is."""
