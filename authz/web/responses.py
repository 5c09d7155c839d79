"""Answers that are not pages: JSON with the right cache and CORS headers, redirects, and OAuth errors."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from starlette.responses import Response

from authz.errors import OAuthError, UseDpopNonce

# Any origin, no credentials: these endpoints authenticate by what is in the request, never by a cookie (MCP-AS-27).
CORS = {
    "access-control-allow-origin": "*",
    "access-control-expose-headers": "WWW-Authenticate, DPoP-Nonce, Retry-After",
}
# `json.dumps` would make an encoder for every call.
_ENCODER = json.JSONEncoder(separators=(",", ":"))
_NO_STORE = {"cache-control": "no-store", "pragma": "no-cache"}
_JSON_HEADERS = [
    (name.encode(), value.encode())
    for name, value in {"content-type": "application/json", **_NO_STORE, **CORS}.items()
]


def json_answer(
    body: Mapping[str, Any], *, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """A JSON answer of an OAuth endpoint: never cached, readable from any origin.

    `headers` are further ones, named in small letters.
    """
    return _Json(_ENCODER.encode(body).encode(), status, headers or {})


class _Json(Response):
    """What every token is answered with: the headers are known, so they are not put together for each."""

    def __init__(self, body: bytes, status: int, headers: Mapping[str, str]) -> None:
        self.status_code, self.background, self.body = status, None, body
        self.raw_headers = [
            (b"content-length", b"%d" % len(body)),
            *_JSON_HEADERS,
            *((name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()),
        ]


def json_list(body: Sequence[Mapping[str, Any]]) -> Response:
    """The same of several."""
    text = json.dumps(body, separators=(",", ":"))
    return Response(text, media_type="application/json", headers={**_NO_STORE, **CORS})


def no_content() -> Response:
    """Done, and there is nothing to say."""
    return Response(status_code=204, headers={**_NO_STORE, **CORS})


def empty_answer() -> Response:
    """200 and nothing to say (RFC 7009 §2.2)."""
    return Response(status_code=200, headers={**_NO_STORE, **CORS})


def text_answer(body: str, media_type: str) -> Response:
    """A JWT as a whole body."""
    return Response(body, headers={**_NO_STORE, **CORS, "content-type": media_type})


def oauth_error(error: OAuthError, *, authorization_sent: bool) -> Response:
    """RFC 6749 §5.2. The reason stays here."""
    headers = {}
    if error.status == 401 and authorization_sent:
        headers["www-authenticate"] = 'Basic realm="authz", charset="UTF-8"'
    if error.status == 413:  # what still arrives is nobody's: the connection ends with the answer
        headers["connection"] = "close"
    if error.retry_after is not None:
        headers["retry-after"] = str(error.retry_after)
    if isinstance(error, UseDpopNonce):
        headers["dpop-nonce"] = error.nonce
    return json_answer(
        {"error": error.code, "error_description": error.description},
        status=error.status,
        headers=headers,
    )


def preflight(methods: str) -> Response:
    """The answer to OPTIONS (MCP-AS-27, MCP-AS-28)."""
    return Response(
        status_code=204,
        headers={
            "access-control-allow-origin": "*",
            "access-control-allow-methods": methods,
            "access-control-allow-headers": "Authorization, Content-Type, DPoP, MCP-Protocol-Version",
            "access-control-max-age": "86400",
        },
    )


def see_other(location: str) -> Response:
    """Always 303: a 307 would send the login form's password on to the next place (O21-22, ATK-08)."""
    return Response(
        status_code=303,
        headers={
            "location": location,
            "cache-control": "no-store",
            "referrer-policy": "no-referrer",
        },
    )
