"""What a client wrote of a user or a group: read, checked, by the names of the schema (pure).

A document in here is what the client may write and nothing else: no `id`, `meta`, `groups`, `schemas`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError
from scim2_models import Context, Resource, SCIMException

from authz.db.types import canonical_json
from authz.scim.errors import InvalidSyntax, InvalidValue, TooLarge
from authz.scim.refusals import refusal_of
from authz.scim.schema import POLICY, Group, Person

MAX_DOCUMENT_BYTES = 32 * 1024
MAX_EXTERNAL_ID_CHARS = 512
MAX_ID_CHARS = 64
Document = dict[str, Any]


def read_user(body: Mapping[str, Any], *, active: bool) -> Document:
    """A whole user, as POST and PUT send one; `active` if they do not say. Raises ScimError."""
    rest, said = split(body, "active")
    return written(_validated(Person, {**rest, "active": active if said is None else said}))


def read_group(body: Mapping[str, Any]) -> tuple[Document, frozenset[str] | None]:
    """A whole group, and who is in it: None when the client does not say. Raises ScimError.

    Members are read apart: there may be thousands, and one attribute of them counts.
    """
    rest, members = split(body, "members")
    document = written(_validated(Group, rest))
    return document, None if members is None else member_ids(members)


def member_ids(value: Any) -> frozenset[str]:
    """The people a value of `members` names: a list of objects, one object, or null. Raises InvalidValue."""
    entries = [] if value is None else value if isinstance(value, list) else [value]
    return frozenset(_member_id(entry) for entry in entries)


def _member_id(entry: Any) -> str:
    if not isinstance(entry, Mapping):
        raise InvalidValue('a member is {"value": "id of a user"}', reason="member_malformed")
    members = {name.lower(): value for name, value in entry.items()}
    kind = members.get("type")
    if isinstance(kind, str) and kind.lower() != "user":
        raise InvalidValue("a group has users as members, not groups", reason="member_not_user")
    found = members.get("value")
    if not isinstance(found, str) or not 1 <= len(found) <= MAX_ID_CHARS:
        raise InvalidValue('a member is {"value": "id of a user"}', reason="member_malformed")
    return found


def split(body: Mapping[str, Any], name: str) -> tuple[Document, Any]:
    """The object without this attribute, and its value, however the name is capitalised (RFC 7643 §2.1)."""
    named = [key for key in body if key.lower() == name]
    if len(named) > 1:
        raise InvalidSyntax(f"{name} is there twice", reason="attribute_twice")
    rest = {key: value for key, value in body.items() if key not in named}
    return rest, body[named[0]] if named else None


def written(model: Resource[Any]) -> Document:
    """What a client may write of it, in JSON. Raises InvalidValue, TooLarge."""
    document: Document = model.model_dump(scim_ctx=Context.RESOURCE_CREATION_REQUEST)
    document.pop("schemas", None)
    external_id = document.get("externalId")
    if external_id is not None and not 1 <= len(external_id) <= MAX_EXTERNAL_ID_CHARS:
        raise InvalidValue(
            f"externalId has 1 to {MAX_EXTERNAL_ID_CHARS} characters", reason="external_id_length"
        )
    if any(not is_storable(text) for text in _texts(document)):
        raise InvalidValue("a text cannot be stored", reason="text_not_storable")
    if len(canonical_json(document)) > MAX_DOCUMENT_BYTES:
        raise TooLarge(
            f"a resource has at most {MAX_DOCUMENT_BYTES} bytes", reason="resource_too_large"
        )
    return document


def is_storable(text: str) -> bool:
    """PostgreSQL stores no NUL, and nobody encodes half a surrogate pair; a filter may spell both as escapes."""
    return "\x00" not in text and not any("\ud800" <= c <= "\udfff" for c in text)


def _validated(model: type[Resource[Any]], body: Mapping[str, Any]) -> Resource[Any]:
    try:
        return model.model_validate(
            body, scim_ctx=Context.RESOURCE_CREATION_REQUEST, scim_policy=POLICY
        )
    except (ValidationError, SCIMException) as error:
        raise refusal_of(error) from None


def _texts(value: Any) -> Sequence[str]:
    found: list[str] = []
    pending = [value]
    while pending:
        it = pending.pop()
        if isinstance(it, str):
            found.append(it)
        elif isinstance(it, dict):
            pending += it.values()
        elif isinstance(it, list):
            pending += it
    return found
