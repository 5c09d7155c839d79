"""docs/configure.md, from `authz.settings`: what can be set, where, and what it is when nobody says so."""

import importlib
import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from authz import sections, settings
from scripts.reference_parts import docstrings

HEAD = """\
# Configure

What one file and the environment can say: every setting, what it means, and what holds when nobody says anything. What
changes while the server runs (people, roles, clients, servers, trust) is in the database instead, and has
[commands](cli.md), a [console](console.md) and [files](policy-as-code.md) of its own.

```sh
authz config check     # is it complete, and does everything it names exist?
authz config show      # what is in force, without passwords
```

- The file is `authz.toml` in the current folder, or what `AUTHZ_CONFIG` or `--config` names. `authz init` writes it.
- The environment is stronger than the file: `AUTHZ__SECTION__KEY`, for example `AUTHZ__TOKENS__ACCESS_TOKEN=300`. A
  list is written `[a,b]`.
- A key that is not here is an error, so nothing is misspelt unnoticed. Times are whole seconds. Relative paths are
  relative to the file.
- A secret is never a value, always a reference to it: [below](#references-to-secrets).
- What was read at the start holds until the next start; secrets alone are read again.

`authz.settings` is what reads the file, and this page is made from it: `scripts/dev docs`.
"""

TAIL = """\
## References to secrets

`env:NAME` is a variable of the server's environment, `file:PATH` the contents of a file without the last line break;
`vault:`, `aws-sm:`, `gcp-sm:` and `azure-kv:` are in stores: [secrets.md](secrets.md). The value is never logged and
never stored. What opens a store (`[vault]`, `[aws]`, `[gcp]`, `[azure]`, `proxy_password`) is in none: `env:` and
`file:` only.
"""
_REFERENCE = "[reference](#references-to-secrets)"
_REFERENCES = (sections.SecretReference, sections.LocalReference)


def page() -> str:
    """The whole page."""
    described = _described()
    parts = [HEAD]
    for name, section, many, is_optional in _sections():
        parts.append(f"## {'[[' if many else '['}{name}{']]' if many else ']'}\n")
        parts.append(described[section.__name__].meaning + "\n")
        if is_optional:
            parts.append(
                "Only where it is needed: nothing of it holds while the section is absent.\n"
            )
        parts.append(_table(name, section, described[section.__name__], many=many))
    return "\n".join([*parts, TAIL])


def undescribed() -> list[str]:
    """Settings that nobody wrote a meaning for."""
    described = _described()
    return [
        f"{name}.{key}"
        for name, section, _, _ in _sections()
        for key in section.model_fields
        if key not in described[section.__name__].fields
    ]


def _sections() -> Iterator[tuple[str, type[sections.Section], bool, bool]]:
    """All tables of the file: name, what is in it, and whether there may be several, or none."""
    for name, field in settings.Settings.model_fields.items():
        section = _section_of(field)
        yield name, section, get_origin(field.annotation) is tuple, field.get_default() is None
        for key, inner in section.model_fields.items():
            if _is_tables(inner):
                yield f"{name}.{key}", _section_of(inner), True, False


def _is_tables(field: FieldInfo) -> bool:
    found = get_args(field.annotation)
    return bool(found) and isinstance(found[0], type) and issubclass(found[0], sections.Section)


def _described() -> dict[str, docstrings.Described]:
    modules = {section.__module__ for _, section, _, _ in _sections()}
    return {
        name: described
        for it in sorted(modules)
        for name, described in docstrings.of_module(importlib.import_module(it)).items()
    }


def _section_of(field: FieldInfo) -> type[sections.Section]:
    found: Any = field.annotation
    if get_origin(found) in (tuple, Union, UnionType):
        found = get_args(found)[0]
    return found  # type: ignore[no-any-return]


def _table(
    name: str, section: type[sections.Section], described: docstrings.Described, *, many: bool
) -> str:
    head = ["Key", "Type", "Default", "Meaning"]
    if not many:
        head.insert(1, "Environment")
    lines = [head, ["---"] * len(head)]
    for key, field in section.model_fields.items():
        if _is_tables(field):
            continue
        cells = [f"`{key}`", _type(field), _default(field), described.fields.get(key, "")]
        if not many:
            cells.insert(1, f"`AUTHZ__{name.upper()}__{key.upper()}`")
        lines.append(cells)
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _type(field: FieldInfo) -> str:
    words = _words(field.annotation)
    if any("env|file" in (getattr(it, "pattern", None) or "") for it in _metadata(field)):
        words = _REFERENCE
    least, most = _bounds(field)
    if least is not None and most is not None:
        return f"{words}, {least} to {most}"
    if least is not None:
        return f"{words}, from {least}"
    return words


def _words(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return " or ".join(f"`{it}`" for it in arguments)
    if origin in (Union, UnionType):
        return " or ".join(_words(it) for it in arguments if it is not type(None))
    if origin is Mapping:
        return f"table, each a {_words(arguments[1])}"
    if origin in (tuple, frozenset):
        return f"list of {_words(arguments[0])}s"
    if hasattr(annotation, "__metadata__"):
        return _REFERENCE if annotation in _REFERENCES else _words(arguments[0])
    names: dict[Any, str] = {
        bool: "`true` or `false`",
        int: "number",
        float: "number",
        str: "text",
        Path: "path",
        timedelta: "seconds",
    }
    return names.get(annotation, getattr(annotation, "__name__", str(annotation)).lower())


def _bounds(field: FieldInfo) -> tuple[str | None, str | None]:
    least = most = None
    for it in _metadata(field):
        for name in ("ge", "gt"):
            value = getattr(it, name, None)
            if value is not None and not (name == "gt" and not value):
                least = _spelled(value)
        for name in ("le", "lt"):
            if getattr(it, name, None) is not None:
                most = _spelled(getattr(it, name))
    return (least or ("1" if most and field.annotation is timedelta else None)), most


def _metadata(field: FieldInfo) -> Iterator[Any]:
    for it in field.metadata:
        yield from getattr(it, "metadata", None) or [it]


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "(required)"
    value = field.get_default(call_default_factory=True)
    if value is None:
        return "none"
    return f"`{_spelled(value)}`"


def _spelled(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, timedelta):
        return str(int(value.total_seconds()))
    if isinstance(value, Mapping):
        return "{}"
    if isinstance(value, frozenset | tuple | list):
        listed = sorted(value) if isinstance(value, frozenset) else value
        return "[" + ", ".join(f'"{it}"' for it in listed) + "]"
    return re.sub(r"^sqlite:////.*/", "sqlite:///", str(value))
