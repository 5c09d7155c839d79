"""The JSON surface as an OpenAPI 3.1 document, made from the registries that make the metadata (pure).

Written to `docs/openapi.json` (`python -m authz.web.openapi`) and kept equal by a test; served nowhere, because what a
client may call is in the metadata, and this says nothing about one installation. Pages for people are not in it.

Decisions:
- Parameters of other grants are no mistake (RFC 6749 §3.2), so one schema of a form holds those of all.
- Every form endpoint may refuse in every way of `_REFUSALS`; which error code goes with which defect is in the RFCs.
"""

import json
from collections.abc import Mapping
from typing import Any

from authz import __version__
from authz.admin.resources import WELL_KNOWN as RESOURCE_METADATA
from authz.clients.registration import APPLICATION_TYPES, AUTH_METHODS, GRANT_TYPES
from authz.oauth.grants import GRANTS
from authz.oauth.metadata import WELL_KNOWN
from authz.oauth.outcomes.batches import PARAMETER as BATCH
from authz.oauth.revocation_feed import JWT_TYP as FEED_TYP
from authz.oauth.revocation_feed import PATH as FEED_PATH
from authz.oauth.status_lists import JWT_TYP as STATUS_TYP
from authz.oauth.status_slots import PATH as STATUS_PATH
from authz.policy.administration import ADMIN_PATH, Permission
from authz.policy.openid import USERINFO_PATH
from authz.tenants import SLUG_PATTERN
from authz.web import openapi_admin, openapi_scim, openapi_ssf

_FORM = "application/x-www-form-urlencoded"
_JSON = "application/json"
_JWT = "application/token-introspection+jwt"
_SET = "application/secevent+jwt"
_TENANT = "/t/{slug}"

Part = dict[str, Any]


def description() -> Part:
    """The whole document."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "mcp-authz",
            "version": __version__,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            "description": "What programs call. Paths are those of a tenant; the default tenant's have no /t/{slug}.",
        },
        "paths": {
            **{f"/.well-known/{name}{_TENANT}": _discovery(name) for name in WELL_KNOWN},
            f"{RESOURCE_METADATA}{_TENANT}{ADMIN_PATH}": {
                "get": _get("admin_resource", "ResourceMetadata", cached=True)
            },
            f"{_TENANT}/jwks": {"get": _get("jwks", "JwkSet", cached=True)},
            f"{_TENANT}/token": {"post": _form("token", _grant_members(), "TokenResponse")},
            f"{_TENANT}/introspect": {"post": _introspection()},
            f"{_TENANT}/revoke": {
                "post": _form("revoke", {"token": _TEXT, "token_type_hint": _TEXT}, None)
            },
            f"{_TENANT}/outcomes": {"post": _outcomes()},
            f"{_TENANT}{FEED_PATH}": {"get": _feed_by_query(), "post": _feed()},
            f"{_TENANT}{STATUS_PATH}/{{list}}": {"get": _status_list()},
            f"{_TENANT}/par": {"post": _form("par", _AUTHORIZATION, "Pushed", status="201")},
            f"{_TENANT}/device_authorization": {
                "post": _form("device_authorization", _DEVICE, "DeviceAuthorization")
            },
            f"{_TENANT}{USERINFO_PATH}": {
                method: _userinfo(f"userinfo_{method}") for method in ("get", "post")
            },
            f"{_TENANT}/register": {"post": _registration("register", "201", body=True)},
            f"{_TENANT}/register/{{client_id}}": _own_registration(),
            f"{_TENANT}/federation/{{connection}}/backchannel-logout": {"post": _logout()},
            f"{_TENANT}/signals/{{stream}}": {"post": _signal()},
            **openapi_ssf.paths(_TENANT, _SLUG),
            **openapi_scim.paths(_TENANT, _SLUG),
            **_ADMINISTRATION[0],
            "/health/live": {"get": _health("live", "200")},
            "/health/ready": {"get": _health("ready", "200", "503")},
            "/health/startup": {"get": _health("startup", "200", "503")},
        },
        "components": {
            "schemas": {
                **_SCHEMAS,
                **openapi_scim.SCHEMAS,
                **openapi_ssf.SCHEMAS,
                **_ADMINISTRATION[1],
            },
            "responses": openapi_admin.RESPONSES,
            "securitySchemes": {
                "basic": {"type": "http", "scheme": "basic"},
                "bearer": {"type": "http", "scheme": "bearer"},
            },
        },
    }


def text() -> str:
    """As it is written to the file."""
    return json.dumps(description(), indent=2, ensure_ascii=False) + "\n"


_TEXT: Part = {"type": "string"}
_STRINGS: Part = {"type": "array", "items": _TEXT}
_TIME: Part = {"type": "integer", "minimum": 0}
_SLUG: Part = {
    "name": "slug",
    "in": "path",
    "required": True,
    "schema": {"type": "string", "pattern": f"^{SLUG_PATTERN}$"},
}
_ADMINISTRATION = openapi_admin.paths(_TENANT, _SLUG)
_CLIENT: Part = {
    "client_id": _TEXT,
    "client_secret": _TEXT,
    "client_assertion": _TEXT,
    "client_assertion_type": _TEXT,
}
_AUTHORIZATION: Part = dict.fromkeys(
    (
        *("response_type", "redirect_uri", "scope", "state", "code_challenge", "nonce", "prompt"),
        *("code_challenge_method", "resource", "max_age", "acr_values", "dpop_jkt", "login_hint"),
        "authorization_details",
    ),
    _TEXT,
)
_FEED: Part = {
    "after": {"type": "string", "pattern": "^[0-9]{1,18}$"},
    "wait": {"type": "string", "pattern": "^([12]?[0-9]|30)$"},
}
_DEVICE: Part = {"scope": _TEXT, "resource": _TEXT}
_REFUSALS: Mapping[str, str] = {
    "400": "The request is wrong (RFC 6749 §5.2).",
    "401": "The client is not who it says.",
    "403": "What is asked for is not for this client.",
    "404": "There is no such issuer here.",
    "413": "The body is larger than any honest one.",
    "429": "A budget is used up; `Retry-After` says until when.",
    "503": "Busy; `Retry-After` says until when.",
}


def _object(required: tuple[str, ...], members: Part, *, more: bool = True) -> Part:
    made: Part = {"type": "object", "required": list(required), "properties": members}
    return made if more else {**made, "additionalProperties": False}


_METADATA: Part = {
    "redirect_uris": {"type": "array", "items": {"type": "string", "format": "uri"}},
    "grant_types": {"type": "array", "items": {"enum": list(GRANT_TYPES)}},
    "response_types": {"type": "array", "items": {"const": "code"}},
    "token_endpoint_auth_method": {"enum": list(AUTH_METHODS)},
    "application_type": {"enum": list(APPLICATION_TYPES)},
    "scope": _TEXT,
}
_SENT: Part = {
    **_METADATA,
    "grant_types": _STRINGS,
    "client_name": _TEXT,
    "client_uri": _TEXT,
    "logo_uri": _TEXT,
    "policy_uri": _TEXT,
    "tos_uri": _TEXT,
    "software_id": _TEXT,
    "software_version": _TEXT,
    "jwks": {"type": "object"},
    "jwks_uri": _TEXT,
}
_SCHEMAS: Part = {
    "Error": _object(("error",), {"error": _TEXT, "error_description": _TEXT}, more=False),
    "Metadata": _object(
        ("issuer", "token_endpoint", "jwks_uri", "response_types_supported"),
        {
            "issuer": {"type": "string", "format": "uri"},
            "token_endpoint": {"type": "string", "format": "uri"},
            "jwks_uri": {"type": "string", "format": "uri"},
            "response_types_supported": _STRINGS,
            "grant_types_supported": {"type": "array", "items": {"enum": list(GRANTS)}},
        },
    ),
    "ResourceMetadata": _object(
        ("resource", "authorization_servers", "scopes_supported", "bearer_methods_supported"),
        {
            "resource": {"type": "string", "format": "uri"},
            "authorization_servers": _STRINGS,
            "scopes_supported": {"type": "array", "items": {"enum": sorted(Permission)}},
        },
    ),
    "JwkSet": _object(
        ("keys",),
        {
            "keys": {
                "type": "array",
                "items": {
                    **_object(("kty", "kid", "alg", "use"), {"use": {"const": "sig"}}),
                    "not": {"anyOf": [{"required": [member]} for member in ("d", "k", "p", "q")]},
                },
            }
        },
        more=False,
    ),
    "TokenResponse": _object(
        ("access_token", "token_type", "expires_in", "scope"),
        {
            "access_token": _TEXT,
            "token_type": {"enum": ["Bearer", "DPoP"]},
            "expires_in": _TIME,
            "scope": _TEXT,
            "refresh_token": _TEXT,
            "id_token": _TEXT,
            "authorization_details": {"type": "array", "items": {"type": "object"}},
        },
        more=False,
    ),
    "Introspection": {
        "oneOf": [
            _object(("active",), {"active": {"const": False}}, more=False),
            _object(("active", "iss", "sub"), {"active": {"const": True}, "exp": _TIME}),
        ]
    },
    "OutcomesKept": _object(
        ("outcomes", "unverified", "repeated"),
        {"outcomes": _TIME, "unverified": _TIME, "repeated": {"type": "boolean"}},
        more=False,
    ),
    "Pushed": _object(("request_uri", "expires_in"), {"request_uri": _TEXT, "expires_in": _TIME}),
    "DeviceAuthorization": _object(
        ("device_code", "user_code", "verification_uri", "expires_in"),
        {"device_code": _TEXT, "user_code": _TEXT, "verification_uri": _TEXT, "expires_in": _TIME},
    ),
    "Person": _object(("sub",), {"sub": _TEXT}),
    "ClientMetadata": _object(("redirect_uris",), _SENT),
    "Client": _object(
        (
            *("client_id", "client_id_issued_at", "redirect_uris", "grant_types"),
            *("token_endpoint_auth_method", "registration_access_token", "registration_client_uri"),
        ),
        {**_METADATA, "client_id": _TEXT, "client_id_issued_at": _TIME},
    ),
    "SetError": _object(("err",), {"err": _TEXT, "description": _TEXT}),
    "Health": _object(("status",), {"status": _TEXT, "because": _TEXT}, more=False),
}


def _grant_members() -> Part:
    names = sorted(frozenset[str]().union(*(grant.parameters for grant in GRANTS.values())))
    return {"grant_type": {"enum": list(GRANTS)}, **dict.fromkeys(names, _TEXT)}


def _content(schema: str, media_type: str = _JSON) -> Part:
    return {media_type: {"schema": {"$ref": f"#/components/schemas/{schema}"}}}


def _answers(status: str, schema: str | None, *refusals: str) -> Part:
    good: Part = {"description": "Done."}
    if schema is not None:
        good["content"] = _content(schema)
    told = {
        code: {"description": _REFUSALS[code], "content": _content("Error")} for code in refusals
    }
    return {status: good, **told}


def _operation(name: str, answers: Part, **more: Any) -> Part:
    return {"operationId": name, "parameters": [_SLUG], **more, "responses": answers}


def _get(name: str, schema: str, *, cached: bool = False) -> Part:
    answers = _answers("200", schema, "404")
    if cached:
        answers["304"] = {"description": "As the client knows it (If-None-Match)."}
    return _operation(name, answers)


def _discovery(name: str) -> Part:
    return {"get": _get(name.replace("-", "_"), "Metadata", cached=True)}


def _form(name: str, members: Part, schema: str | None, *, status: str = "200") -> Part:
    body = {"type": "object", "properties": {**members, **_CLIENT}}
    return _operation(
        name,
        _answers(status, schema, *_REFUSALS),
        security=[{}, {"basic": []}],
        requestBody={"required": True, "content": {_FORM: {"schema": body}}},
    )


def _introspection() -> Part:
    made = _form("introspect", {"token": _TEXT, "token_type_hint": _TEXT}, "Introspection")
    made["responses"]["200"]["content"][_JWT] = {"schema": _TEXT}
    return made


def _outcomes() -> Part:
    """docs/outcomes.md; the batch is a JWS of the type `tool-outcomes+jwt`."""
    made = _form("report_outcomes", {BATCH: _TEXT}, "OutcomesKept")
    made["security"] = [{"basic": []}, {}]
    return made


def _feed() -> Part:
    """Long poll, or a stream of the same answers."""
    made = _form("post_revocation_feed", _FEED, None)
    made["responses"]["200"]["content"] = {
        f"application/{FEED_TYP}": {"schema": _TEXT},
        "text/event-stream": {"schema": _TEXT},
    }
    return made


def _feed_by_query() -> Part:
    answers = {code: told for code, told in _feed()["responses"].items() if code != "413"}
    made = _operation("get_revocation_feed", answers, security=[{}, {"basic": []}])
    asked = [{"name": name, "in": "query", "schema": schema} for name, schema in _FEED.items()]
    return {**made, "parameters": [_SLUG, *asked]}


def _status_list() -> Part:
    """A token status list: public, because it says nothing without the tokens."""
    answers = _answers("200", None, "404", "429")
    answers["200"]["content"] = {f"application/{STATUS_TYP}": {"schema": _TEXT}}
    return {**_operation("status_list", answers), "parameters": _place("list")}


def _userinfo(name: str) -> Part:
    answers = _answers("200", "Person", "400", "401", "403", "404", "429", "503")
    return _operation(name, answers, security=[{"bearer": []}])


def _registration(name: str, status: str, *, body: bool) -> Part:
    more: Part = {"security": [{}, {"bearer": []}]}
    if body:
        more["requestBody"] = {"required": True, "content": _content("ClientMetadata")}
    schema = None if status == "204" else "Client"
    return _operation(name, _answers(status, schema, *_REFUSALS), **more)


def _own_registration() -> Part:
    client_id = {"name": "client_id", "in": "path", "required": True, "schema": _TEXT}
    return {
        "parameters": [client_id],
        "get": _registration("read_registration", "200", body=False),
        "put": _registration("replace_registration", "200", body=True),
        "delete": _registration("remove_registration", "204", body=False),
    }


def _place(name: str) -> list[Part]:
    return [_SLUG, {"name": name, "in": "path", "required": True, "schema": _TEXT}]


def _logout() -> Part:
    """OpenID Connect Back-Channel Logout §2.5."""
    body = {"type": "object", "properties": {"logout_token": _TEXT}, "required": ["logout_token"]}
    made = _operation(
        "backchannel_logout",
        _answers("200", None, "400", "404", "413", "429", "503"),
        requestBody={"required": True, "content": {_FORM: {"schema": body}}},
    )
    return {**made, "parameters": _place("connection")}


def _signal() -> Part:
    """RFC 8935 §2: a security event token, pushed."""
    answers = _answers("202", None, "404", "429", "503")
    for status in ("400", "413"):
        answers[status] = {"description": _REFUSALS[status], "content": _content("SetError")}
    made = _operation(
        "push_security_event",
        answers,
        security=[{"bearer": []}],
        requestBody={"required": True, "content": {_SET: {"schema": _TEXT}}},
    )
    return {**made, "parameters": _place("stream")}


def _health(name: str, *statuses: str) -> Part:
    answers = {
        status: {"description": "It says so itself.", "content": _content("Health")}
        for status in statuses
    }
    return {"operationId": f"health_{name}", "responses": answers}


if __name__ == "__main__":
    print(text(), end="")  # noqa: T201 -- the one thing it is run for
