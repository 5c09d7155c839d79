"""How changes of policy and what comes of them are told to people."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from authz.admin.code.plans import WIDENS, Effect
from authz.cli.output import cell
from authz.policy.code.entries import Change
from authz.policy.reach import Crowd, Reached

_SIGNS = {"add": "+", "change": "~", "remove": "-"}
_MOST_MEMBERS = 12


def told_effect(effect: Effect, names: int) -> str:
    """Changes, who gains and loses, and the digest."""
    if not effect.changes:
        return "No change: policy is what the directory says."
    lines = [told_changes(effect.changes), ""]
    lines += list(_access(effect, names)) or ["Nobody gains or loses a scope."]
    widening = len(effect.widening)
    if widening:
        lines.append(f"Changes that open access to whoever comes: {widening}, marked with !")
    lines.append(f"Access {'grows' if effect.grows else 'does not grow'}.")
    return "\n".join([*lines, f"Plan: {effect.digest}"])


def told_changes(changes: Iterable[Change]) -> str:
    """One a line, by kind."""
    lines: list[str] = []
    kind = ""
    for change in changes:
        if change.kind != kind:
            kind = change.kind
            lines.append(kind)
        mark = " !" if WIDENS[kind](change) else ""
        lines.append(f"  {_SIGNS[change.verb]} {cell(change.name)}{mark}")
        if change.before is not None and change.after is not None:
            members = list(_members(change.before, change.after))
            lines += [f"      {it}" for it in members[:_MOST_MEMBERS]]
            if len(members) > _MOST_MEMBERS:
                lines.append(f"      and {len(members) - _MOST_MEMBERS} more")
    return "\n".join(lines)


def _members(before: Any, after: Any, path: str = "") -> Iterator[str]:
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for name in sorted(before.keys() | after.keys()):
            inside = f"{path}.{name}" if path else str(name)
            if name not in before:
                yield f"+ {cell(inside)}: {_short(after[name])}"
            elif name not in after:
                yield f"- {cell(inside)}: {_short(before[name])}"
            else:
                yield from _members(before[name], after[name], inside)
    elif before == after:
        return
    elif _is_words(before) and _is_words(after):
        parts = [f"+{it}" for it in after if it not in before]
        parts += [f"-{it}" for it in before if it not in after]
        yield f"{cell(path)}: {cell(' '.join(parts) or 'in another order')}"
    else:
        yield f"{cell(path)}: {_short(before)} -> {_short(after)}"


def _is_words(value: Any) -> bool:
    return (
        isinstance(value, Sequence)
        and all(isinstance(it, str) for it in value)
        and not isinstance(value, str)
    )


def _short(value: Any) -> str:
    if value in ({}, [], "", None):
        return "nothing"
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = ", ".join(map(str, value)) if isinstance(value, (list, dict)) else str(value)
    return cell(text if len(text) <= 80 else f"{text[:79]}…")


def _access(effect: Effect, names: int) -> Iterator[str]:
    server = ""
    for it in effect.reached:
        if it.server != server:
            server = it.server
            yield cell(server)
        yield f"  {cell(it.scope)}: {', '.join(_counts(it))}"
        for sign, mask, clients in (
            ("+", it.gained | it.eased, it.clients_gained),
            ("-", it.lost | it.tightened, it.clients_lost),
        ):
            shown = _shown(effect.crowd, mask, clients, names)
            if shown:
                yield f"      {sign} {shown}"


def _counts(it: Reached) -> Iterator[str]:
    for mask, clients, word in (
        (it.gained, it.clients_gained, "gain"),
        (it.lost, it.clients_lost, "lose"),
        (it.eased, (), "get it more easily"),
        (it.tightened, (), "get it less easily"),
    ):
        count = mask.bit_count() + len(clients)
        if count:
            yield f"{count:,} {word}"


def _shown(crowd: Crowd, mask: int, clients: Sequence[str], names: int) -> str:
    every = [*(f"client {it}" for it in clients[:names]), *crowd.names(mask, names)]
    count = mask.bit_count() + len(clients)
    shown = ", ".join(map(cell, every[:names]))
    more = f" and {count - min(count, names):,} more" if count > names else ""
    return f"{shown}{more}" if shown else ""
