"""What a user and a group are on this wire, as scim2-models reads, checks and describes them (RFC 7643).

Not the library's own two, because of what directories really send: addresses under `.local`, a manager who is a bare
string, `"False"` for false. And because there is no `password` here at all: what a client sends as one is not read,
not stored, and not described.
"""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, Field
from scim2_models import (
    URN,
    Address,
    AnyExtension,
    CaseExact,
    ComplexAttribute,
    Entitlement,
    ExtensibleStringEnum,
    Extension,
    External,
    GroupMembership,
    Im,
    Mutability,
    Name,
    PhoneNumber,
    Photo,
    Reference,
    Required,
    Resource,
    Role,
    ScimPolicy,
    Uniqueness,
    X509Certificate,
)

USER = "urn:ietf:params:scim:schemas:core:2.0:User"
GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
POLICY = ScimPolicy(
    unknown=ScimPolicy.Unknown.ignore,
    remove_value_as_filter=ScimPolicy.RemoveValue.apply,
    unmatched_path_filter=ScimPolicy.UnmatchedPathFilter.create,
)
"""Attributes nobody declared are left out; the last two are how Microsoft Entra removes and adds single values."""


def _truth(value: Any) -> Any:
    """Microsoft Entra sends `"True"` and `"False"`. Nothing else that could be read as a truth is one."""
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    if value is None or isinstance(value, bool):
        return value
    raise ValueError("true or false is expected")


def _manager(value: Any) -> Any:
    """Microsoft Entra sends the id alone, or a list of one."""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    return {"value": value} if isinstance(value, str) else value


class Email(ComplexAttribute):
    """An address; how it is spelled is the company's business."""

    class Type(ExtensibleStringEnum):
        work = "work"
        home = "home"
        other = "other"

    value: str | None = None
    display: str | None = None
    type: Type | None = None
    primary: bool | None = None


class Manager(ComplexAttribute):
    """Kept as it is sent; nothing here follows it."""

    value: Annotated[str | None, CaseExact.true] = None
    ref: Annotated[Reference["User"] | None, CaseExact.true] = Field(  # type: ignore[type-arg]
        None, serialization_alias="$ref", validation_alias="$ref"
    )
    display_name: Annotated[str | None, Mutability.read_only] = None


class EnterpriseUser(Extension):
    """RFC 7643 §4.3."""

    __schema__ = URN(ENTERPRISE)

    employee_number: str | None = None
    cost_center: str | None = None
    organization: str | None = None
    division: str | None = None
    department: str | None = None
    manager: Annotated[Manager | None, BeforeValidator(_manager)] = None


class User(Resource[AnyExtension]):
    """RFC 7643 §4.1. `roles` and `entitlements` are kept for their sender and give nobody anything."""

    __schema__ = URN(USER)

    user_name: Annotated[str | None, Uniqueness.server, Required.true] = None
    name: Name | None = None
    Name: ClassVar[type[ComplexAttribute]] = Name
    display_name: str | None = None
    nick_name: str | None = None
    profile_url: Reference[External] | None = None
    title: str | None = None
    user_type: str | None = None
    preferred_language: str | None = None
    locale: str | None = None
    timezone: str | None = None
    # Required, because nobody can be neither; who does not say it, leaves it as it is.
    active: Annotated[bool | None, BeforeValidator(_truth), Required.true] = None
    emails: list[Email] | None = None
    phone_numbers: list[PhoneNumber] | None = None
    ims: list[Im] | None = None
    photos: list[Photo] | None = None
    addresses: list[Address] | None = None
    groups: Annotated[list[GroupMembership] | None, Mutability.read_only] = None
    entitlements: list[Entitlement] | None = None
    roles: list[Role] | None = None
    x509_certificates: list[X509Certificate] | None = None


class GroupMember(ComplexAttribute):
    """A user; groups in groups are not kept, what they would mean is decided where they come from."""

    value: Annotated[str | None, Mutability.immutable, CaseExact.true] = None
    ref: Annotated[Reference["User"] | None, Mutability.immutable] = Field(  # type: ignore[type-arg]
        None, serialization_alias="$ref", validation_alias="$ref"
    )
    type: Annotated[str | None, Mutability.immutable] = Field(None, examples=["User"])


class Group(Resource[Any]):
    """RFC 7643 §4.2."""

    __schema__ = URN(GROUP)

    display_name: Annotated[str | None, Required.true, Uniqueness.server] = None
    members: list[GroupMember] | None = None


Person = User[EnterpriseUser]
MODELS: Mapping[str, type[Resource[Any]]] = {"User": Person, "Group": Group}
"""By resource type."""
