"""docs/events.md and docs/events.schema.json, from `authz.audit.events` and the calls that record changes."""

import ast
import json
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from authz.audit import events
from authz.audit.events import ENVELOPE, VERSION, Event
from scripts.reference_parts import docstrings

AUTHZ = Path(events.__file__).parents[1]
HEAD = """\
# Events of the audit trail

Every event that this server records, with each field and what it means: for auditors, and for whoever writes rules
over exported events. `authz audit search` looks through them; what proves that none was changed or left out, and how
they are exported, is in [audit.md](audit.md). In an export each event is the JSON text in `body`.

- Subject (the person), client (the application) and agent are three fields and never one; what is not there is `null`.
- No event holds a token, a code, a password or an e-mail address: people are ids. `authz users show ID` says who it is.
- `reason` is a slug; [errors.md](errors.md) explains each.
- What strangers cause before a client is identified is counted in metrics and logged, not recorded.

The same as a JSON schema: [events.schema.json](events.schema.json). `authz.audit.events` is where they are defined, and
this page is made from it: `scripts/dev docs`.
"""
VERSIONS = f"""\
The version is {VERSION}. New kinds and new fields come without a new one, so readers pass over what they do not know.
What is left out, renamed or given another meaning takes the next version; events of before keep theirs, because nothing
in the chain is ever written anew.
"""


def kinds() -> list[type[Event]]:
    """Every kind of event, in the order of the module."""
    return list(Event.__subclasses__())


def page() -> str:
    """The whole page."""
    described = docstrings.of_module(events)
    parts = [HEAD, "## What every event holds\n", _table(("Field", "Meaning"), ENVELOPE.items())]
    parts += [VERSIONS, "## Kinds\n"]
    index = ((f"[`{it.kind}`](#{_anchor(it.kind)})", _first(it, described)) for it in kinds())
    parts.append(_table(("Kind", "When"), index))
    for it in kinds():
        about = described[it.__name__]
        parts += [f"### {it.kind}\n", f"{about.meaning}\n"]
        rows = [
            (f"`{name}`", _words(kind), about.fields.get(name, ""))
            for name, kind in _own(it).items()
        ]
        parts.append(
            _table(("Field of `detail`", "Type", "Meaning"), rows) if rows else "No fields.\n"
        )
    listed = ", ".join(f"`{it}`" for it in sorted(changes()))
    parts += ["## What administrators change\n", "`admin.changed` has one of these as `what`:\n"]
    parts.append(
        f"{listed}\n\n`values` are what was changed and to what; of secrets, that they were set.\n"
    )
    return "\n".join(parts)


def schema() -> str:
    """The JSON schema of one event."""
    own = [
        {
            "properties": {"kind": {"const": it.kind}, "detail": _object(it)},
            "required": ["kind", "detail"],
        }
        for it in kinds()
    ]
    text = {"type": "string"}
    who = {"type": ["string", "null"]}
    members: dict[str, Any] = dict.fromkeys(ENVELOPE, text)
    members |= dict.fromkeys(("subject", "client", "agent", "actor"), who)
    members |= {"v": {"const": VERSION}, "position": {"type": "integer", "minimum": 1}}
    members |= {"detail": {"type": "object"}}
    document = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"An event of the audit trail of mcp-authz, version {VERSION}",
        "type": "object",
        "properties": {
            name: {"description": ENVELOPE[name], **kind} for name, kind in members.items()
        },
        "required": [name for name in ENVELOPE if name != "trace"],
        "additionalProperties": False,
        "oneOf": own,
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def undescribed() -> list[str]:
    """Fields and kinds that nobody wrote a meaning for."""
    described = docstrings.of_module(events)
    return [
        f"{it.kind}.{name}"
        for it in kinds()
        for name in ("", *_own(it))
        if not (described[it.__name__].fields.get(name) if name else described[it.__name__].meaning)
    ]


def changes() -> frozenset[str]:
    """Every `what` of `admin.changed` that the code can record."""
    return frozenset(
        what
        for path in AUTHZ.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and (
            getattr(node.func, "attr", "") == "changed" or getattr(node.func, "id", "") == "Changed"
        )
        for what in _texts(node)
    )


def _texts(call: ast.Call) -> Iterator[str]:
    for part in (*call.args[:3], *(it.value for it in call.keywords if it.arg == "what")):
        for node in ast.walk(part):
            if (
                isinstance(node, ast.Constant)
                and isinstance(node.value, str)
                and node.value.count(".") == 1
            ):
                yield node.value


def _own(kind: type[Event]) -> dict[str, Any]:
    hints = get_type_hints(kind)
    common = {it.name for it in fields(Event)}
    return {it.name: hints[it.name] for it in fields(kind) if it.name not in common}


def _object(kind: type[Event]) -> dict[str, Any]:
    described = docstrings.of_module(events)[kind.__name__]
    own = _own(kind)
    return {
        "type": "object",
        "description": described.meaning,
        "properties": {
            name: {"description": described.fields.get(name, ""), **_kind(hint)}
            for name, hint in own.items()
        },
        "required": list(own),
        "additionalProperties": False,
    }


def _kind(hint: Any) -> dict[str, Any]:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        [inner] = [_kind(it) for it in arguments if it is not NoneType]
        return {**inner, "type": [inner["type"], "null"]}
    if origin is list:
        return {"type": "array", "items": _kind(arguments[0])}
    if origin is not None:
        value = {} if arguments[1] is Any else {"additionalProperties": _kind(arguments[1])}
        return {"type": "object", **value}
    names = {str: "string", int: "integer", float: "number", bool: "boolean"}
    return {"type": names[hint]}


def _words(hint: Any) -> str:
    kind = _kind(hint)
    first = kind["type"] if isinstance(kind["type"], str) else kind["type"][0]
    names = {
        "string": "text",
        "integer": "number",
        "number": "number",
        "boolean": "`true` or `false`",
        "array": "list of texts",
        "object": "object",
    }
    return names[first] + ("" if isinstance(kind["type"], str) else " or `null`")


def _first(kind: type[Event], described: dict[str, docstrings.Described]) -> str:
    sentence, dot, _ = described[kind.__name__].meaning.partition(". ")
    return sentence + dot.strip()


def _anchor(kind: str) -> str:
    return kind.replace(".", "")


def _table(head: tuple[str, ...], rows: Any) -> str:
    lines = [head, ("---",) * len(head), *rows]
    code = head[0] == "Field"
    return "".join(
        f"| {' | '.join((f'`{line[0]}`' if code and n > 1 else line[0], *line[1:]))} |\n"
        for n, line in enumerate(lines)
    )
