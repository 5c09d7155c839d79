"""Settings of trust entries as labelled fields: shown, read back, and told in words (pure).

A page names its members once; from them come the form, what is read out of it, and the list of what holds. What cannot
be accepted is said beside its field, in the words of its label.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from authz.db.types import canonical_json
from authz.errors import AuthzError, Invalid
from authz.net import strict_json
from authz.web.console.tables import FormField
from authz.web.console.visit import Visit

YES_NO = (("no", "no"), ("yes", "yes"))
_BOUND = (("no", "no bound"), ("yes", "at most those below"))
_ONE_A_LINE = "One a line."
_SHAPES = {"text": "text", "number": "text", "flag": "choice", "choice": "choice", "picks": "boxes"}
"""Of the field; of any other kind it is several lines."""


@dataclass(frozen=True)
class Member:
    """One setting."""

    name: str
    label: str
    kind: str = "text"
    """`text`, `number`, `flag`, `choice`, `lines` (one a line), `picks` (some of the choices), `bound` (scopes at most,
    or no bound), `keys` (a key set as its issuer publishes it) or `claims` (what a token has to say)."""
    hint: str = ""
    default: Any = None
    choices: Sequence[tuple[str, str]] = ()
    unsaid: str = ""
    """What holds where nothing is said."""
    required: bool = False

    @property
    def fields(self) -> tuple[str, ...]:
        """The names of its fields."""
        return (f"{self.name}_bound", self.name) if self.kind == "bound" else (self.name,)


def fields_of(
    members: Sequence[Member], settings: Mapping[str, Any], *, is_kept: bool = False
) -> list[FormField]:
    """The form."""
    return [field for it in members for field in _fields(it, settings.get(it.name), is_kept)]


def labels_of(members: Sequence[Member]) -> dict[str, str]:
    """Of each field."""
    return {name: it.label for it in members for name in it.fields}


def shown(members: Sequence[Member], settings: Mapping[str, Any]) -> dict[str, str]:
    """What each field says of these settings."""
    found = {}
    for it in members:
        value = settings.get(it.name, it.default)
        if it.kind == "bound":
            found[f"{it.name}_bound"] = "no" if value is None else "yes"
        found[it.name] = _text(it, value)
    return found


def told(members: Sequence[Member], settings: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Every setting in words: its label, and what holds."""
    return [(it.label, _words(it, settings.get(it.name, it.default))) for it in members]


def read(members: Sequence[Member], visit: Visit) -> dict[str, Any]:
    """As the operations take them; what is left at its default is None. Raises Invalid."""
    found = {}
    for it in members:
        value = _read(it, visit)
        is_default = value == it.default or (
            it.kind == "picks" and sorted(value) == sorted(it.default)
        )
        kept = list(value) if isinstance(value, tuple) else value
        found[it.name] = None if is_default else kept
    return found


@contextmanager
def beside(members: Sequence[Member], **others: str) -> Iterator[None]:
    """An error speaks of members by the labels of their fields; `others` are those of fields that are no members."""
    labels = {**{it.name: it.label for it in members}, **others}
    try:
        yield
    except AuthzError as error:
        error.args = (_labelled(str(error), labels),)
        raise


def _labelled(sentence: str, labels: Mapping[str, str]) -> str:
    for spelled, label in labels.items():
        # Words of English are understood as they are.
        if "_" in spelled or spelled == "jwks":
            sentence = re.sub(rf"\b{spelled}\b", f"“{label}”", sentence)
    return sentence


def _fields(member: Member, value: Any, is_kept: bool) -> Iterator[FormField]:
    value = member.default if value is None else value
    kind = _SHAPES.get(member.kind, "area")
    picked = list(value or ()) if member.kind == "picks" else []
    if member.kind == "bound":
        yield FormField(
            f"{member.name}_bound",
            member.label,
            "choice",
            value="no" if value is None else "yes",
            choices=_BOUND,
            is_kept=is_kept,
        )
    yield FormField(
        member.name,
        "Which scopes" if member.kind == "bound" else member.label,
        kind,
        f"{member.hint or _ONE_A_LINE} Without any: nothing at all." if member.kind == "bound" else member.hint,
        _text(member, value),
        YES_NO if member.kind == "flag" else _offered(member, picked),
        picked,
        required=member.required,
        is_kept=is_kept,
    )  # fmt: skip


def _offered(member: Member, picked: Sequence[str]) -> Sequence[tuple[str, str]]:
    """Also what is stored and nobody could choose anew."""
    # A form without it would take it away unasked: an entry for one server would become one for all of them.
    known = {value for value, _ in member.choices}
    return [*member.choices, *((it, it) for it in picked if it not in known)]


def _text(member: Member, value: Any) -> str:
    if value is None:
        return ""
    if member.kind == "flag":
        return "yes" if value else "no"
    if member.kind == "keys":
        return canonical_json(value).replace("},{", "},\n{")
    if member.kind == "claims":
        return "\n".join(claim_lines(value))
    if isinstance(value, list | tuple):
        return "\n".join(map(str, value))
    return str(value)


def _words(member: Member, value: Any) -> str:
    if value in (None, (), [], "", {}):
        return (
            "nothing" if member.kind == "bound" and value is not None else member.unsaid or "none"
        )
    if member.kind == "keys":
        return ", ".join(str(it.get("kid", "without a name")) for it in value.get("keys", ()))
    if member.kind in ("choice", "picks"):
        names = dict(member.choices)
        values = [value] if isinstance(value, str) else value
        return ", ".join(names.get(it, it) for it in values)
    return _text(member, value).replace("\n", ", ")


def _read(member: Member, visit: Visit) -> Any:
    text = "\n".join(it.strip() for it in visit.all_given(member.name)).strip()
    if member.kind == "bound":
        return text.split() if visit.given(f"{member.name}_bound") == "yes" else None
    if member.kind == "flag":
        return text == "yes"
    if member.kind in ("lines", "picks"):
        return tuple(it.strip() for it in text.splitlines() if it.strip())
    if not text:
        if member.required:
            raise Invalid(f"“{member.label}” is empty; fill it in", field=member.name)
        return {} if member.kind == "claims" else member.default
    if member.kind == "number":
        return _number(member, text)
    if member.kind == "keys":
        return _keys(member, text)
    return read_claims(member.name, text) if member.kind == "claims" else text


def _number(member: Member, text: str) -> int:
    if not (text.isascii() and text.isdecimal()) or len(text) > 9:
        raise Invalid(f"“{member.label}” is a whole number", field=member.name)
    return int(text)


def _keys(member: Member, text: str) -> dict[str, Any]:
    try:
        return strict_json.read_object(text.encode())
    except strict_json.NotStrict:
        sentence = "This is not a key set; paste the whole document that the issuer publishes at its jwks_uri"
        raise Invalid(sentence, field=member.name) from None


def claim_lines(claims: Mapping[str, Any], way: tuple[str, ...] = ()) -> Iterator[str]:
    """`NAME > NAME = VALUE`, one line for each value that will do."""
    for name, wanted in claims.items():
        here = (*way, name)
        if isinstance(wanted, Mapping):
            yield from claim_lines(wanted, here)
        else:
            values = [wanted] if isinstance(wanted, str) else wanted
            yield from (f"{' > '.join(here)} = {it}" for it in values)


def read_claims(field: str, text: str) -> dict[str, Any]:
    """The same back. Raises Invalid."""
    found: dict[str, Any] = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        names, mark, value = (it.strip() for it in line.partition("="))
        *way, last = (it.strip() for it in names.split(" > "))
        if not mark or not value or not all((*way, last)):
            raise Invalid(f"Write it as CLAIM = VALUE, not {line!r}", field=field)
        place = found
        for name in way:
            place = place.setdefault(name, {})
            if not isinstance(place, dict):
                raise Invalid(f"{name!r} has a value of its own in another line", field=field)
        if isinstance(place.get(last), dict):
            raise Invalid(f"{last!r} has claims of its own in another line", field=field)
        place.setdefault(last, []).append(value)
    return found
