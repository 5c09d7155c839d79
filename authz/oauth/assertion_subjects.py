"""Which claim of an assertion names the person, and the key that makes at the connection (IDJAG-03, -67, -71). Pure.

Decisions:
- One claim is the key of an entry: `sub`, or the SAML NameID in `sub_id`. What the key lacks is a refusal; the other
  claim is never a way out, or whoever leaves one out would choose the account (IDJAG-68).
- Where `sub` is the key, `sub_id` and `aud_sub` are ignored, well formed or not. The draft has them beside a `sub` that
  is always there, about the same person, for servers that resolve by them (§3.1, §3.2.2: what a server uses it checks);
  a provider may send them to everybody, and a claim nobody looks at selects nobody (ATK-27).
- `aud_sub` is our own name of an account in the mouth of somebody who may name any: it is never used (IDJAG-71).
- `sub_id.issuer` is held against what an operator said, never the other way round (IDJAG-67).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from authz.directory.name_ids import TRANSIENT, NameId, looks_like_name_id, name_id_key
from authz.errors import Invalid

SUB, SAML_NAME_ID = "sub", "saml_nameid"
SUBJECTS = (SUB, SAML_NAME_ID)
FORMAT = "saml-nameid"
_SAML = "saml"
_REQUIRED = ("issuer", "nameid")
_QUALIFIERS = ("nameid_format", "name_qualifier", "sp_name_qualifier")
_MEMBERS = frozenset({"format", *_REQUIRED, *_QUALIFIERS, "sp_provided_id"})
_MAX_CHARS = 512
"""Of a key; also of every member."""
_MAX_ISSUER_CHARS = 1024


class SubjectRefused(Exception):
    """The assertion names nobody; `reason` is a slug."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class NameIds:
    """The names of one SAML identity provider, which are the keys of an entry."""

    issuer: str | None
    """Its entity id. None when the connection no longer says whose names are its keys: nobody is found."""
    is_of_connection: bool
    """Whether people sign in with these names: then the keys are the ones of those sign-ins."""


def names_of(
    subject: str | None, saml_issuer: str | None, kind: str, settings: Mapping[str, Any]
) -> NameIds | None:
    """What names people of an entry at a connection of this kind and settings; None when `sub` does.

    Not said by the entry, it is what names them when they sign in there.
    """
    if (subject or (SAML_NAME_ID if kind == _SAML else SUB)) == SUB:
        return None
    if kind != _SAML:
        return NameIds(saml_issuer, is_of_connection=False)
    entity_id, attribute = settings.get("entity_id"), settings.get("subject_attribute")
    is_clear = isinstance(entity_id, str) and attribute is None and saml_issuer is None
    return NameIds(entity_id if is_clear else None, is_of_connection=True)


def check_names(
    subject: str | None, saml_issuer: str | None, kind: str, settings: Mapping[str, Any]
) -> None:
    """What an operator said of an entry, held against its connection. Raises Invalid."""
    names = names_of(subject, saml_issuer, kind, settings)
    if names is None:
        if saml_issuer is not None:
            raise Invalid(f"saml_issuer goes with subject {SAML_NAME_ID}", field="saml_issuer")
    elif kind == _SAML and saml_issuer is not None:
        raise Invalid(
            "the SAML connection says whose names they are: leave saml_issuer out",
            field="saml_issuer",
        )
    elif kind == _SAML and names.issuer is None:
        raise Invalid(
            "the connection knows people by an attribute, which no assertion has; "
            f"set subject to {SUB} if `sub` is its value",
            field="subject",
        )
    elif names.issuer is None:
        raise Invalid(
            f"subject {SAML_NAME_ID} needs saml_issuer, the entity id whose names they are",
            field="saml_issuer",
        )


def subject_key(claims: Mapping[str, Any], names: NameIds | None) -> str:
    """The key of the person at the connection. Raises SubjectRefused."""
    key = _of_sub(claims) if names is None else _of_sub_id(claims.get("sub_id"), names)
    if len(key) > _MAX_CHARS:
        raise SubjectRefused("jwt_sub" if names is None else "id_jag_sub_id_malformed")
    return key


def _of_sub(claims: Mapping[str, Any]) -> str:
    tenant, sub = claims.get("tenant"), str(claims["sub"])
    # Escaped: customer `a` with the subject `b:c` is not customer `a:b` with the subject `c` (IDJAG-03).
    key = sub if tenant is None else f"{_escaped(str(tenant))}:{sub}"
    if looks_like_name_id(key):
        raise SubjectRefused("jwt_sub")
    return key


def _escaped(tenant: str) -> str:
    return tenant.replace("%", "%25").replace(":", "%3A")


def _of_sub_id(value: object, names: NameIds) -> str:
    if value is None:
        raise SubjectRefused("id_jag_sub_id_missing")
    if not isinstance(value, Mapping) or not isinstance(value.get("format"), str):
        raise SubjectRefused("id_jag_sub_id_malformed")
    if value["format"] != FORMAT:
        raise SubjectRefused("id_jag_sub_id_format")
    # A member of no format may narrow down whom the others name (RFC 9493 §3).
    if value.keys() - _MEMBERS or not all(name in value for name in _REQUIRED):
        raise SubjectRefused("id_jag_sub_id_malformed")
    if not all(_is_text(name, member) for name, member in value.items()):
        raise SubjectRefused("id_jag_sub_id_malformed")
    if names.issuer is None or value["issuer"] != names.issuer:
        raise SubjectRefused("id_jag_sub_id_issuer")
    if value.get("nameid_format") == TRANSIENT:
        raise SubjectRefused("id_jag_sub_id_transient")
    key = name_id_key(
        NameId(value["nameid"], *(value.get(name, "") for name in _QUALIFIERS)),
        issuer=None if names.is_of_connection else names.issuer,
    )
    if key is None:
        raise SubjectRefused("id_jag_sub_id_malformed")
    return key


def _is_text(name: str, member: object) -> bool:
    # What is not there is left out; empty text would read as the same (§3.2.1).
    limit = _MAX_ISSUER_CHARS if name == "issuer" else _MAX_CHARS
    return isinstance(member, str) and 1 <= len(member) <= limit and member.isprintable()
