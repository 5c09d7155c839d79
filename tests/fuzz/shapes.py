"""Inputs with the shape of what a parser reads: grammars put together, and good inputs damaged."""

import json
import re
from copy import deepcopy

from hypothesis import strategies as st
from lxml import etree

from tests.fuzz.seeds import SEPARATOR
from tests.fuzz.targets import TARGETS

# Where one reader stumbles over what another accepts.
PIECES = (
    SEPARATOR,
    b"\xff",
    b"\xc3\x28",
    *(
        piece.encode("utf-8", "surrogatepass")
        for piece in (
            *'"\\{}[]:,.&=%+;#?/@ \t\r\n\x00\x1e\x7f',
            *("\u00e9", "\u0130", "\u2028", "\u202e", "\ufeff", "\ud800", "\U0001f600"),
            *(
                "%00",
                "%2e%2e",
                "%C3%A9",
                "%ff",
                "\\u0000",
                "\\ud800",
                "null",
                "true",
                "NaN",
                "1e999",
            ),
            *("-1", "0", "00", "9" * 20, "9" * 400, "1.5", "[]", "{}", '""', "'", "..", "//", "&&"),
            *(
                "https://",
                "http://",
                "javascript:",
                "localhost",
                "127.0.0.1",
                "[::1]",
                "0x7f.1",
                ":443",
            ),
            *(
                "&a",
                "*a",
                "!!",
                "|",
                ">",
                "- ",
                ": ",
                "%YAML 1.1",
                "---",
                "0001-01-01T00:00:00+23:59",
            ),
        )
    ),
)

_text = st.text(max_size=12) | st.sampled_from(["", "\x00", "\ud800", "https://app.example/", "k"])
_leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**20), 10**20),
    st.sampled_from([10**400, -1, 0, 253402300800]),
    st.floats(),
    _text,
)
_values = st.recursive(
    _leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_text, inner, max_size=3),
    max_leaves=6,
)


@st.composite
def damaged(draw, seeds):
    """A good input with up to four slices replaced by something else."""
    data = draw(st.sampled_from(seeds))
    for _ in range(draw(st.integers(0, 4))):
        start = draw(st.integers(0, len(data)))
        stop = min(len(data), start + draw(st.integers(0, 8)))
        put = draw(st.sampled_from(PIECES) | st.binary(max_size=4))
        data = data[:start] + put + data[stop:]
    return data


@st.composite
def restructured(draw, seeds):
    """A JSON input with members dropped, doubled or given other values: it stays JSON, so it gets past the reader."""
    parts = draw(st.sampled_from(seeds)).split(SEPARATOR)
    return SEPARATOR.join(_changed(draw, part) for part in parts)


def _changed(draw, part):
    try:
        value = json.loads(part)
    except ValueError:
        return part
    for _ in range(draw(st.integers(0, 3))):
        place = value
        while isinstance(place, (dict, list)) and place:
            names = list(place) if isinstance(place, dict) else list(range(len(place)))
            name = draw(st.sampled_from(names))
            if not isinstance(place[name], (dict, list)) or draw(st.booleans()):
                place[name] = draw(_values)
                break
            place = place[name]
    return json.dumps(value).encode()


@st.composite
def rewoven(draw, seeds):
    """An XML input with elements moved, copied, dropped or renamed: what was signed may still be in it."""
    seed = draw(st.sampled_from(seeds))
    try:
        root = etree.fromstring(seed)
    except etree.XMLSyntaxError:
        return seed
    for _ in range(draw(st.integers(1, 4))):
        elements = list(root.iter(etree.Element))
        one, other = draw(st.sampled_from(elements)), draw(st.sampled_from(elements))
        what = draw(st.sampled_from(["move", "copy", "drop", "name", "id", "text", "comment"]))
        match what:
            case "move" if other not in {one, *one.iterdescendants()} and one is not root:
                other.insert(draw(st.integers(0, len(other))), one)
            case "copy":
                other.insert(draw(st.integers(0, len(other))), deepcopy(one))
            case "drop" if one is not root:
                one.getparent().remove(one)
            case "name":
                one.tag = draw(st.sampled_from([other.tag, etree.QName(other).localname, "{a:b}x"]))
            case "id":
                one.set(draw(st.sampled_from(["ID", "Id", "{a:b}ID"])), other.get("ID", "_x"))
            case "text":
                one.text = draw(st.sampled_from(["eve", "", "_x", other.text or " "]))
            case "comment":
                one.insert(draw(st.integers(0, len(one))), etree.Comment("x"))
    return etree.tostring(root) + (b" " if seed.endswith(b" ") else b"")


def inputs(name):
    """What a target is tried with."""
    seeds = TARGETS[name].seeds
    kinds = [st.binary(max_size=64), damaged(seeds)]
    if any(b"{" in seed for seed in seeds):
        kinds.append(restructured(seeds))
    if all(seed.startswith(b"<") for seed in seeds):
        kinds.append(rewoven(seeds))
    return st.one_of(kinds)


def tokens_of(pattern, size=40):
    """Texts that a grammar of ours accepts."""
    return st.from_regex(re.compile(pattern), fullmatch=True).map(lambda text: text[:size].encode())
