"""Shared Signals in the OpenAPI document: stream management and fetching (SSF-05). Pure."""

from typing import Any

from authz.oauth.transmitting import metadata
from authz.oauth.transmitting.requests import POLL, STATUSES

Part = dict[str, Any]
_JSON = "application/json"
_TEXT: Part = {"type": "string"}
_STRINGS: Part = {"type": "array", "items": _TEXT}
_STREAM_ID: Part = {"name": "stream_id", "in": "query", "schema": _TEXT}
_SUBJECT: Part = {
    "stream_id": _TEXT,
    "subject": {
        "type": "object",
        "required": ["format", "iss", "sub"],
        "properties": {"format": {"const": "iss_sub"}, "iss": _TEXT, "sub": _TEXT},
    },
}
_WANTED: Part = {"events_requested": _STRINGS, "description": _TEXT}
SCHEMAS: Part = {
    "SsfConfiguration": {
        "type": "object",
        "required": ["issuer", "jwks_uri", "configuration_endpoint"],
        "properties": {"issuer": _TEXT, "jwks_uri": _TEXT, "configuration_endpoint": _TEXT},
    },
    "EventStream": {
        "type": "object",
        "required": ["stream_id", "iss", "aud", "delivery", "events_delivered"],
        "properties": {
            "stream_id": _TEXT,
            "iss": _TEXT,
            "aud": _TEXT,
            "delivery": {
                "type": "object",
                "required": ["method", "endpoint_url"],
                "properties": {"method": {"const": POLL}, "endpoint_url": _TEXT},
            },
            "events_supported": _STRINGS,
            "events_requested": _STRINGS,
            "events_delivered": _STRINGS,
        },
    },
    "EventStreams": {
        "oneOf": [
            {"$ref": "#/components/schemas/EventStream"},
            {"type": "array", "items": {"$ref": "#/components/schemas/EventStream"}},
        ]
    },
    "EventStreamStatus": {
        "type": "object",
        "required": ["stream_id", "status"],
        "properties": {"stream_id": _TEXT, "status": {"enum": list(STATUSES)}, "reason": _TEXT},
    },
    "SecurityEvents": {
        "type": "object",
        "required": ["sets", "moreAvailable"],
        "properties": {
            "sets": {"type": "object", "additionalProperties": _TEXT},
            "moreAvailable": {"type": "boolean"},
        },
    },
    "Nothing": {"type": "object", "additionalProperties": False},
    "SsfError": {
        "type": "object",
        "required": ["error"],
        "properties": {"error": _TEXT, "err": _TEXT, "description": _TEXT},
    },
}
_REFUSALS = ("400", "401", "403", "404", "413", "429", "503")


def paths(tenant: str, slug: Part) -> Part:
    """All of them below a tenant."""

    def operation(
        name: str,
        status: str,
        schema: str | None,
        body: Part | None = None,
        parameters: tuple[Part, ...] = (),
    ) -> Part:
        done: Part = {"description": "Done."}
        if schema is not None:
            done["content"] = _content(schema)
        refused = {"description": "Refused.", "content": _content("SsfError")}
        made: Part = {
            "operationId": f"ssf_{name}",
            "parameters": [slug, *parameters],
            "security": [{"bearer": []}],
            "responses": {status: done, **dict.fromkeys(_REFUSALS, refused)},
        }
        if body is not None:
            described = {"type": "object", "properties": body}
            made["requestBody"] = {"required": True, "content": {_JSON: {"schema": described}}}
        return made

    named = {"stream_id": _TEXT, **_WANTED}
    of_stream = {"name": "stream", "in": "path", "required": True, "schema": _TEXT}
    one = (_STREAM_ID,)
    return {
        f"/.well-known/{metadata.WELL_KNOWN}{tenant}": {"get": _configuration(slug)},
        f"{tenant}{metadata.STREAMS}": {
            "post": operation("create", "201", "EventStream", _WANTED),
            "get": operation("read", "200", "EventStreams", None, one),
            "patch": operation("update", "200", "EventStream", named),
            "put": operation("replace", "200", "EventStream", named),
            "delete": operation("delete", "204", None, None, one),
        },
        f"{tenant}{metadata.STATUS}": {
            "get": operation("read_status", "200", "EventStreamStatus", None, one),
            "post": operation(
                "set_status",
                "200",
                "EventStreamStatus",
                {"stream_id": _TEXT, "status": {"enum": list(STATUSES)}, "reason": _TEXT},
            ),
        },
        f"{tenant}{metadata.ADD}": {"post": operation("add_subject", "200", "Nothing", _SUBJECT)},
        f"{tenant}{metadata.REMOVE}": {"post": operation("remove_subject", "204", None, _SUBJECT)},
        f"{tenant}{metadata.VERIFY}": {
            "post": operation("verify", "204", None, {"stream_id": _TEXT, "state": _TEXT})
        },
        f"{tenant}{metadata.FETCH}/{{stream}}": {
            "post": operation(
                "poll",
                "200",
                "SecurityEvents",
                {
                    "maxEvents": {"type": "integer", "minimum": 0},
                    "returnImmediately": {"type": "boolean"},
                    "ack": _STRINGS,
                    "setErrs": {"type": "object", "additionalProperties": {"type": "object"}},
                },
                (of_stream,),
            )
        },
    }


def _configuration(slug: Part) -> Part:
    return {
        "operationId": "ssf_configuration",
        "parameters": [slug],
        "responses": {
            "200": {"description": "Done.", "content": _content("SsfConfiguration")},
            "304": {"description": "As the client knows it (If-None-Match)."},
            "404": {"description": "There is no such issuer here.", "content": _content("Error")},
        },
    }


def _content(schema: str) -> Part:
    return {_JSON: {"schema": {"$ref": f"#/components/schemas/{schema}"}}}
