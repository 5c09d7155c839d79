"""The admin API as the description has it, made from the registry of its routes (pure)."""

from collections.abc import Mapping
from typing import Any

from authz.admin.deciding import load
from authz.admin.paging import DEFAULT_LIMIT, MAX_LIMIT
from authz.policy.administration import ADMIN_PATH
from authz.web.api.addresses import method_of
from authz.web.api.desk import MEDIA_TYPE, VERSION
from authz.web.api.kit import Change, Listing, Route, Thing
from authz.web.api.problems import MEDIA_TYPE as PROBLEM
from authz.web.api.registry import API
from authz.web.openapi_kinds import Kinds, Part

_TEXT: Part = {"type": "string"}
_REFUSALS: Mapping[str, str] = {
    "400": "The request is wrong; `detail` says what.",
    "401": "No token that is good here, or a sign-in too long ago (RFC 9470).",
    "403": "The permission is missing (`permission`), or a second person is.",
    "404": "There is no such thing here.",
    "429": "A budget is used up; `Retry-After` says until when.",
    "503": "Busy; `Retry-After` says until when.",
}
_OF_CHANGES: Mapping[str, str] = {
    "409": "In conflict with what there is, or being done already.",
    "413": "The body is larger than any honest one.",
    "415": "The body is not JSON.",
    "501": "A package for this is not installed.",
    "502": "Another server did not answer as it should.",
}
_CONDITIONAL: Mapping[str, str] = {
    "412": "It was changed meanwhile; `current` is what it is now.",
    "428": "`If-Match` is missing.",
}
_REPEATED: Mapping[str, str] = {"422": "The `Idempotency-Key` was used for another request."}
SCHEMAS: Part = {
    "Problem": {
        "type": "object",
        "required": ["type", "title", "status", "detail", "code"],
        "properties": {
            "type": _TEXT,
            "title": _TEXT,
            "status": {"type": "integer"},
            "detail": _TEXT,
            "code": _TEXT,
            "permission": _TEXT,
            "pointer": {
                "type": "string",
                "description": "The member of the body it is about (RFC 6901 §6).",
            },
            "current": {},
        },
        "additionalProperties": False,
    }
}


RESPONSES: Part = {
    f"Problem{status}": {
        "description": text,
        "content": {PROBLEM: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
    for status, text in sorted({**_REFUSALS, **_OF_CHANGES, **_CONDITIONAL, **_REPEATED}.items())
}


def paths(prefix: str, slug: Part) -> tuple[Part, Part]:
    """By address what can be done there, and the schemas of it."""
    kinds = Kinds()
    found: Part = {}
    for title, routes in API.items():
        for route in routes:
            base = "" if route.is_of_base else prefix
            place = f"{base}{ADMIN_PATH}{VERSION}{_renamed(route.path)}"
            parameters = [] if route.is_of_base else [slug]
            made = _operation(route, title, parameters, kinds)
            found.setdefault(place, {})[method_of(route).lower()] = made
    return found, {**SCHEMAS, **kinds.schemas}


def name_of(route: Route) -> str:
    """The `operationId`."""
    if isinstance(route, Change):
        return f"admin_{route.operation.replace('.', '_')}"
    return f"admin_{'list' if isinstance(route, Listing) else 'show'}_{route.name}"


def _renamed(path: str) -> str:
    """`slug` is the tenant whose API it is."""
    return path.replace("{slug}", "{tenant}")


def _operation(route: Route, title: str, parameters: list[Part], kinds: Kinds) -> Part:
    segments = [it[1:-1] for it in _renamed(route.path).split("/") if it.startswith("{")]
    parameters = [*parameters, *(_in("path", it, _TEXT, required=True) for it in segments)]
    made: Part = {"operationId": name_of(route), "tags": [title], "summary": route.summary}
    if isinstance(route, Change):
        return {**made, **_change(route, parameters, kinds)}
    parameters.append(_in("header", "If-None-Match", _TEXT))
    if isinstance(route, Listing):
        parameters += _narrowing(route)
    else:
        parameters += [_asked(name, text) for name, text in route.asks.items()]
    answer = {"200": _json("Here it is.", _shown(route, kinds), tagged=True)}
    answer["304"] = {"description": "As the client knows it."}
    permission = str(route.permission)
    return {
        **made,
        "parameters": parameters,
        "security": [{"bearer": [permission]}],
        "responses": {**answer, **_problems(_REFUSALS)},
    }


def _shown(route: Listing | Thing, kinds: Kinds) -> Part:
    if isinstance(route, Thing):
        return kinds.without(route.kind, route.omit)
    return {
        "type": "object",
        "required": ["items", "next"],
        "properties": {
            "items": {"type": "array", "items": kinds.of(route.kind)},
            "next": {"type": ["string", "null"]},
        },
        "additionalProperties": False,
    }


def _narrowing(route: Listing) -> list[Part]:
    limit = {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT}
    found = [_in("query", "limit", limit), _in("query", "cursor", _TEXT)]
    if route.searches:
        found.append(_in("query", "q", _TEXT))
    return found + [_asked(name, text) for name, text in route.filters.items()]


def _asked(name: str, text: str) -> Part:
    return {**_in("query", name, _TEXT), "description": text}


def _change(route: Change, parameters: list[Part], kinds: Kinds) -> Part:
    operation = load(route.operation)
    said = frozenset(route.inputs.values())
    body = kinds.body_of(route.operation, operation, said, route.body)
    refusals = {**_REFUSALS, **_OF_CHANGES}
    if route.thing is not None:
        parameters.append(_in("header", "If-Match", _TEXT))
        refusals |= _CONDITIONAL
    if route.method == "POST":
        parameters.append(_in("header", "Idempotency-Key", {**_TEXT, "maxLength": 255}))
        refusals |= _REPEATED
    made: Part = {
        "parameters": parameters,
        "security": [
            {"bearer": [str(it) for it in (operation.permission, *sorted(operation.besides))]}
        ],
        "responses": {**_done(route, kinds), **_problems(refusals)},
    }
    if route.body is not None or body["properties"]:
        is_needed = route.body is not None or bool(body["required"])
        made["requestBody"] = {"required": is_needed, "content": {MEDIA_TYPE: {"schema": body}}}
    return made


def _done(route: Change, kinds: Kinds) -> Part:
    answered = (
        kinds.answer_of(load(route.operation)) if route.kind is None else kinds.of(route.kind)
    )
    if route.made is not None:
        return {"201": _json("Added; `Location` says where it is.", answered or {})}
    if route.thing is not None and route.method != "DELETE":
        shown = kinds.without(route.thing.kind, route.thing.omit)
        return {"200": _json("What it is now.", shown, tagged=True)}
    if answered is None:
        return {"204": {"description": "Done."}}
    if route.answer is None:
        return {"200": _json("Done.", answered)}
    told = {"type": "object", "required": [route.answer], "properties": {route.answer: answered}}
    return {"200": _json("Done.", told)}


def _json(text: str, schema: Part, *, tagged: bool = False) -> Part:
    made: Part = {"description": text, "content": {MEDIA_TYPE: {"schema": schema}}}
    if tagged:
        made["headers"] = {"ETag": {"schema": _TEXT}}
    return made


def _problems(told: Mapping[str, str]) -> Part:
    return {it: {"$ref": f"#/components/responses/Problem{it}"} for it in sorted(told)}


def _in(place: str, name: str, schema: Any, *, required: bool = False) -> Part:
    return {"name": name, "in": place, "required": required, "schema": schema}
