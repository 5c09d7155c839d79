"""The key of a person whom SAML names, the same whoever says the name: an assertion of SAML, or a JWT about it. Pure.

A NameID is its value with everything that qualifies it (SAML-08, IDJAG-68): `alice` for one service provider is not
`alice` for another. What is missing is compared as missing. `SPProvidedID` is our own name for somebody, which we never
gave anybody, and no part of the key.
"""

import json
from dataclasses import dataclass

TRANSIENT = "urn:oasis:names:tc:SAML:2.0:nameid-format:transient"
_MAX_CHARS = 256
_LIST = "["


@dataclass(frozen=True)
class NameId:
    """A NameID; empty text for what it does not have."""

    value: str
    format: str = ""
    name_qualifier: str = ""
    sp_name_qualifier: str = ""

    def __repr__(self) -> str:
        return f"NameId(format={self.format!r})"


def name_id_key(name_id: NameId, *, issuer: str | None = None) -> str | None:
    """The key at a connection, or None for a value that cannot be one; `issuer` where the connection has several."""
    if not _is_plain(name_id.value):
        return None
    parts = [name_id.format, name_id.name_qualifier, name_id.sp_name_qualifier, name_id.value]
    if issuer is not None:
        parts.insert(0, issuer)
    return json.dumps(parts, separators=(",", ":"), ensure_ascii=False)


def attribute_key(value: str) -> str | None:
    """The key of a person whom an attribute names; None when it cannot be one."""
    return value if _is_plain(value) and not looks_like_name_id(value) else None


def looks_like_name_id(key: str) -> bool:
    """Whether somebody's plain name could be taken for the key of a NameID."""
    return key.startswith(_LIST)


def _is_plain(value: str) -> bool:
    return 1 <= len(value) <= _MAX_CHARS and value.isprintable() and value == value.strip()
