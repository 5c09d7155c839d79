"""XML from strangers: one hardened parser for all that is verified and read (SAML-03, ATK-34, ATK-62).

Two parsers that disagree are how signatures are wrapped (CVE-2025-25291): the signature library is handed this one.
"""

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from lxml import etree

Element = etree._Element  # noqa: SLF001 -- lxml has no public name for the type

_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:\S+")
_NCNAME = re.compile(r"[A-Za-z_][A-Za-z0-9._-]{0,255}")
_ID_NAMES = frozenset({"id", "assertionid", "responseid", "requestid"})
_DECLARED = re.compile(rb"(?:\xef\xbb\xbf)?<\?xml\s")
_DECLARATION = re.compile(
    rb"""(?:\xef\xbb\xbf)?<\?xml\s+version\s*=\s*["']1\.0["'](?:\s+encoding\s*=\s*["']utf-8["'])?"""
    rb"""(?:\s+standalone\s*=\s*["'](?:yes|no)["'])?\s*\?>""",
    re.IGNORECASE,
)
_LINE_BREAKS = "\r\n"
_BLANKS = " \t\r\n"
_MAX_DEPTH = 32
_MAX_NAMESPACES = 64
"""In scope at one place: a canonicaliser looks through all of them at each element."""
_MAX_ATTRIBUTES = 64


class SamlError(Exception):
    """Something in a document is not as it has to be; `reason` is a slug."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class Limits:
    """How much of what a document may have."""

    max_bytes: int
    max_elements: int
    drops_comments: bool = False
    """Comments and processing instructions are not read at all. Otherwise a document with one is refused."""


# What people are in says its name: so many elements in so many bytes have no text.
MESSAGE = Limits(max_bytes=192 * 1024, max_elements=4_000)


def new_parser(*, drops_comments: bool = False) -> etree.XMLParser:
    """No DTD, no entities, no network, no repairs, libxml2's own limits; one per use, as threads share none."""
    return etree.XMLParser(
        resolve_entities=False,
        load_dtd=False,
        dtd_validation=False,
        attribute_defaults=False,
        no_network=True,
        huge_tree=False,
        recover=False,
        remove_comments=drops_comments,
        remove_pis=drops_comments,
        remove_blank_text=False,
        ns_clean=False,
    )


def parse(raw: bytes, limits: Limits = MESSAGE) -> Element:
    """The root element of a document within the limits. Raises SamlError."""
    if len(raw) > limits.max_bytes:
        raise SamlError("xml_too_large")
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        raise SamlError("xml_not_utf8") from None
    # What is read in another encoding, by its declaration or by its zeros, hides from the next question.
    if b"\x00" in raw or (_DECLARED.match(raw) and not _DECLARATION.match(raw)):
        raise SamlError("xml_not_utf8")
    # Before the parser: it would read the declarations of a DTD that nobody uses.
    if b"<!DOCTYPE" in raw or b"<!ENTITY" in raw:
        raise SamlError("xml_dtd")
    # And before it builds a tree of what will be refused for its size (ATK-62): two tags an element, and comments;
    # three attributes an element, which is what products write that declare a type at each value.
    quotes = raw.count(b'"') + raw.count(b"'")
    if raw.count(b"<") > 3 * limits.max_elements or quotes > 6 * limits.max_elements:
        raise SamlError("xml_too_many")
    try:
        root = etree.fromstring(raw, new_parser(drops_comments=limits.drops_comments))
    except (etree.XMLSyntaxError, ValueError):
        raise SamlError("xml_malformed") from None
    _measure(root, limits)
    return root


def _measure(root: Element, limits: Limits) -> None:
    if root.getprevious() is not None or root.getnext() is not None:
        raise SamlError("xml_comment")
    depth = elements = namespaces = 0
    events = ("start", "end", "start-ns", "end-ns", "comment", "pi")
    for event, found in etree.iterwalk(root, events=events):
        match event:
            case "start":
                depth += 1
                elements += 1
                if depth > _MAX_DEPTH or elements > limits.max_elements:
                    raise SamlError("xml_too_deep" if depth > _MAX_DEPTH else "xml_too_many")
                if len(cast("Element", found).attrib) > _MAX_ATTRIBUTES:
                    raise SamlError("xml_too_many")
            case "end":
                depth -= 1
            case "start-ns":
                namespaces += 1
                if namespaces > _MAX_NAMESPACES:
                    raise SamlError("xml_too_many")
                # A canonicaliser fails on relative ones, and a failure was once a valid signature (CVE-2025-66567).
                if found[1] and not _ABSOLUTE.fullmatch(found[1]):
                    raise SamlError("xml_relative_namespace")
            case "end-ns":
                namespaces -= 1
            case _:
                # What stands on both sides of a comment is one text to one reader and two to the next (ATK-31).
                raise SamlError("xml_comment")


def serialized(element: Element) -> bytes:
    """The element by itself, with the namespaces it inherits."""
    return etree.tostring(element, with_tail=False)


def check_ids(root: Element) -> None:
    """No two elements answer to one name, however it is spelled (ATK-30). Raises SamlError."""
    seen: set[str] = set()
    for element in root.iter():
        for name, value in element.attrib.items():
            # In any namespace: the signature library looks an ID up by its local name.
            if str(name).rpartition("}")[2].lower() not in _ID_NAMES:
                continue
            if value in seen:
                raise SamlError("id_duplicate")
            seen.add(str(value))


def own_id(element: Element) -> str:
    """The `ID` of an element, as a plain name. Raises SamlError."""
    value = element.get("ID")
    if value is None or not _NCNAME.fullmatch(value):
        raise SamlError("id_unusable")
    return value


def local_name(element: Element) -> str:
    """Its name without the namespace: an attacker chooses those."""
    return str(element.tag).rpartition("}")[2]


@dataclass(frozen=True)
class Slot:
    """A place among the children of an element: which may stand there, how often."""

    names: tuple[str, ...]
    least: int = 0
    most: int = 1


def one(*names: str) -> Slot:
    """Exactly one of these."""
    return Slot(names, 1)


def maybe(*names: str) -> Slot:
    """At most one of these."""
    return Slot(names)


def several(*names: str, least: int = 0, most: int = 10_000) -> Slot:
    """Any number of these."""
    return Slot(names, least, most)


def children(element: Element, slots: Sequence[Slot], reason: str) -> dict[str, list[Element]]:
    """The children by name, if they stand in the order of the schema and nothing else does. Raises SamlError.

    A wrapped assertion has to stand somewhere: where nothing is expected, nothing may be (ATK-30).
    """
    found: dict[str, list[Element]] = {name: [] for slot in slots for name in slot.names}
    rest = list(element)
    if any((text or "").strip() for text in (element.text, *(child.tail for child in rest))):
        raise SamlError(reason)
    position = 0
    for slot in slots:
        begin = position
        while position < len(rest) and rest[position].tag in slot.names:
            found[str(rest[position].tag)].append(rest[position])
            position += 1
        if not slot.least <= position - begin <= slot.most:
            raise SamlError(reason)
    if position != len(rest):
        raise SamlError(reason)
    return found


def text_of(element: Element, reason: str) -> str:
    """All text of an element that has nothing but text; a comment would be a child (SAML-07). Raises SamlError."""
    if len(element):
        raise SamlError(reason)
    return "".join(str(part) for part in element.itertext())


def decode_message(text: str, max_chars: int) -> bytes:
    """A message in a form field: capped, strict, but for the line breaks with which some products write it.

    A space is none of them: it would be a plus that somebody forgot to escape. Raises SamlError.
    """
    if len(text) > max_chars:
        raise SamlError("message_too_large")
    return _base64(text, _LINE_BREAKS, "message_not_base64")


def decode_text(element: Element, reason: str) -> bytes:
    """The base64 inside an element, whatever blanks stand in it. Raises SamlError."""
    return _base64(text_of(element, reason), _BLANKS, reason)


def _base64(text: str, passed_over: str, reason: str) -> bytes:
    try:
        return base64.b64decode(text.translate(str.maketrans("", "", passed_over)), validate=True)
    except (binascii.Error, ValueError):
        raise SamlError(reason) from None
