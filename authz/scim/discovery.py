"""What a client can learn of this server: its configuration, its resource types, their schemas (RFC 7644 §4)."""

from collections.abc import Mapping
from typing import Any

from scim2_models import (
    AuthenticationScheme,
    Bulk,
    ChangePassword,
    Context,
    ETag,
    Filter,
    Pagination,
    Patch,
    Reference,
    Resource,
    ResourceType,
    ServiceProviderConfig,
    Sort,
)

from authz.scim.bulk import MAX_OPERATIONS, MAX_PAYLOAD_BYTES
from authz.scim.calls import Answer, Call, Caller, Desk
from authz.scim.errors import Forbidden, NotHere
from authz.scim.listing import MAX_COUNT, list_response
from authz.scim.reading import Document
from authz.scim.schema import MODELS, EnterpriseUser

_DESCRIPTIONS = {"User": "People of this tenant", "Group": "Groups that roles are bound to"}


def config(_: Desk, caller: Caller, __: Call, ___: str) -> Answer:
    """GET /ServiceProviderConfig."""
    return Answer(200, _placed(caller, _CONFIG, "ServiceProviderConfig", None))


def types(_: Desk, caller: Caller, call: Call, __: str) -> Answer:
    """GET /ResourceTypes."""
    return _all(caller, call, "ResourceType", _TYPES)


def type_(_: Desk, caller: Caller, __: Call, name: str) -> Answer:
    """GET /ResourceTypes/{id}."""
    return _one(caller, "ResourceType", _TYPES, name)


def schemas(_: Desk, caller: Caller, call: Call, __: str) -> Answer:
    """GET /Schemas."""
    return _all(caller, call, "Schema", _SCHEMAS)


def schema(_: Desk, caller: Caller, __: Call, urn: str) -> Answer:
    """GET /Schemas/{id}."""
    return _one(caller, "Schema", _SCHEMAS, urn)


def _all(caller: Caller, call: Call, kind: str, documents: Mapping[str, Document]) -> Answer:
    if "filter" in call.query:
        # RFC 7644 §4: a client that believes in a filter would take the rest for missing.
        raise Forbidden("this list is not filtered", reason="filter_on_discovery")
    found = [_placed(caller, it, kind, name) for name, it in documents.items()]
    return Answer(200, list_response(len(found), 1, found))


def _one(caller: Caller, kind: str, documents: Mapping[str, Document], name: str) -> Answer:
    if name not in documents:
        raise NotHere(f"there is no such {kind}", reason="discovery_unknown")
    return Answer(200, _placed(caller, documents[name], kind, name))


def _placed(caller: Caller, document: Document, kind: str, name: str | None) -> Document:
    place = kind if name is None else f"{kind}s/{name}"
    return {**document, "meta": {"resourceType": kind, "location": f"{caller.base}/{place}"}}


def _dumped(resource: Resource[Any]) -> Document:
    return resource.model_dump(scim_ctx=Context.RESOURCE_QUERY_RESPONSE)


def _type(kind: str, model: type[Resource[Any]]) -> Document:
    return {**_dumped(ResourceType.from_resource(model)), "description": _DESCRIPTIONS[kind]}


_TYPES = {kind: _type(kind, model) for kind, model in MODELS.items()}
_SCHEMAS = {
    it["id"]: it
    for it in (
        *(_dumped(model.to_schema()) for model in MODELS.values()),
        _dumped(EnterpriseUser.to_schema()),
    )
}
_CONFIG = _dumped(
    ServiceProviderConfig(
        patch=Patch(supported=True),
        bulk=Bulk(
            supported=True, max_operations=MAX_OPERATIONS, max_payload_size=MAX_PAYLOAD_BYTES
        ),
        filter=Filter(supported=True, max_results=MAX_COUNT),
        change_password=ChangePassword(supported=False),
        sort=Sort(supported=True),
        etag=ETag(supported=True),
        pagination=Pagination(cursor=False, index=True, max_page_size=MAX_COUNT),
        authentication_schemes=[
            AuthenticationScheme(
                type=AuthenticationScheme.Type.oauthbearertoken,
                name="Bearer token",
                description="A token that an operator made with `authz scim-tokens add`",
                spec_uri=Reference("https://www.rfc-editor.org/info/rfc6750"),
                primary=True,
            )
        ],
    )
)
