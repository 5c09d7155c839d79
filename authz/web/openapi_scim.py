"""The SCIM part of the description, made from the registry of its endpoint (pure).

What a resource holds is in the schemas that the server publishes itself; here are the addresses, and which answers
there are.
"""

from typing import Any

from authz.scim import PATH
from authz.scim.endpoint import ROUTES
from authz.scim.errors import ERROR_SCHEMA
from authz.scim.listing import LIST_SCHEMA
from authz.web.scim import MEDIA_TYPE

Part = dict[str, Any]

_TEXT: Part = {"type": "string"}
_REFUSALS = {
    "400": "The request is wrong; `scimType` says how (RFC 7644 §3.12).",
    "401": "The token is not good.",
    "403": "Not for this client.",
    "404": "There is no such thing here.",
    "413": "More than is read at once.",
    "415": "The body is not SCIM.",
    "429": "A budget is used up; `Retry-After` says until when.",
}
_WRITING = {
    "409": "The name is taken.",
    "412": "The resource has changed since (`If-Match`).",
}
_QUERY = ("filter", "startIndex", "count", "sortBy", "sortOrder")
_SELECTION = ("attributes", "excludedAttributes")
SCHEMAS: Part = {
    "ScimResource": {"type": "object", "required": ["schemas"]},
    "ScimList": {
        "type": "object",
        "required": ["schemas", "totalResults", "Resources"],
        "properties": {
            "schemas": {"const": [LIST_SCHEMA]},
            "totalResults": {"type": "integer"},
            "Resources": {"type": "array", "items": {"type": "object"}},
        },
    },
    "ScimError": {
        "type": "object",
        "required": ["schemas", "status", "detail"],
        "properties": {
            "schemas": {"const": [ERROR_SCHEMA]},
            "status": _TEXT,
            "scimType": _TEXT,
            "detail": _TEXT,
        },
        "additionalProperties": False,
    },
}


def paths(prefix: str, slug: Part) -> Part:
    """By address: what can be done there."""
    return {
        f"{prefix}{PATH}/{pattern}": {
            method.lower(): _operation(pattern, method, slug) for method in methods
        }
        for pattern, methods in ROUTES.items()
    }


def _operation(pattern: str, method: str, slug: Part) -> Part:
    words = pattern.replace("{id}", "one").replace(".", "").replace("/", "_").lower()
    parameters = [slug]
    if "{id}" in pattern:
        parameters.append({"name": "id", "in": "path", "required": True, "schema": _TEXT})
    names = (*_QUERY, *_SELECTION) if _is_list(pattern, method) else _SELECTION
    if pattern.startswith(("Users", "Groups")) and method != "DELETE":
        parameters += [{"name": it, "in": "query", "schema": _TEXT} for it in names]
    made: Part = {
        "operationId": f"scim_{method.lower()}_{words}",
        "parameters": parameters,
        "security": [{"bearer": []}],
        "responses": _responses(pattern, method),
    }
    if method in ("POST", "PUT", "PATCH") and pattern != "Me":
        body = {"type": "object", "properties": {"schemas": {"type": "array", "items": _TEXT}}}
        made["requestBody"] = {"required": True, "content": {MEDIA_TYPE: {"schema": body}}}
    return made


def _responses(pattern: str, method: str) -> Part:
    told = {code: _answer(text, "ScimError") for code, text in _REFUSALS.items()}
    if pattern == "Me":
        return {**told, "501": _answer("A provisioning client is nobody.", "ScimError")}
    if method in ("PUT", "PATCH", "DELETE") or pattern in ("Users", "Groups"):
        told |= {code: _answer(text, "ScimError") for code, text in _WRITING.items()}
    if method == "DELETE":
        return {"204": {"description": "Gone."}, **told}
    if pattern == "Groups/{id}" and method == "PATCH":
        told["204"] = {"description": "Done; `attributes` asks for an answer."}
    if "{id}" in pattern and method == "GET":
        told["304"] = {"description": "As the client knows it (`If-None-Match`)."}
    is_created = method == "POST" and pattern in ("Users", "Groups")
    kind = "ScimList" if _is_list(pattern, method) else "ScimResource"
    return {"201" if is_created else "200": _answer("Done.", kind), **told}


def _is_list(pattern: str, method: str) -> bool:
    plurals = ("Users", "Groups", "ResourceTypes", "Schemas")
    return pattern.endswith(".search") or (method == "GET" and pattern in plurals)


def _answer(text: str, schema: str) -> Part:
    content = {MEDIA_TYPE: {"schema": {"$ref": f"#/components/schemas/{schema}"}}}
    return {"description": text, "content": content}
