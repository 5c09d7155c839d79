"""Reading what a request carries: strict, bounded, once each."""

from typing import Any
from urllib.parse import parse_qsl

from starlette.requests import ClientDisconnect, Request

from authz.errors import InvalidRequest
from authz.net import strict_json
from authz.oauth.params import MAX_PARAMETERS, Params

MAX_BODY_BYTES = 64 * 1024
MAX_ASSERTION_BYTES = 512 * 1024
"""A SAML response of 256 KB (SAML-11) in base64, percent-encoded."""
MAX_QUERY_CHARS = 16 * 1024
_MAX_ENCODED = 8 * 1024
"""Percent signs of a form: each costs what a hundred plain characters do (ATK-62)."""
_FORM = "application/x-www-form-urlencoded"
_JSON = "application/json"
_SET = "application/secevent+jwt"


class BodyTooLarge(InvalidRequest):
    """More than any honest request needs; stopped before or while reading (ATK-63)."""

    status = 413


async def read_form(
    request: Request, *, max_bytes: int = MAX_BODY_BYTES, max_encoded: int | None = None
) -> list[tuple[str, str]]:
    """The fields of a urlencoded body. Raises InvalidRequest; JSON and multipart are not forms (IDJAG-50).

    `max_encoded` is how many percent signs it may have; in proportion to its size unless said otherwise.
    """
    content_type = request.headers.get("content-type", "")
    if content_type.partition(";")[0].strip().lower() != _FORM:
        raise InvalidRequest(f"the body must be {_FORM}", reason="content_type")
    if max_encoded is None:
        max_encoded = _MAX_ENCODED * max_bytes // MAX_BODY_BYTES
    return pairs_of(await read_body(request, max_bytes=max_bytes), max_encoded=max_encoded)


async def read_json(request: Request) -> dict[str, Any]:
    """The one JSON object of the body. Raises InvalidRequest; what a form on another site can post is none (ATK-14)."""
    content_type = request.headers.get("content-type", "")
    if content_type.partition(";")[0].strip().lower() != _JSON:
        raise InvalidRequest(f"the body must be {_JSON}", reason="content_type")
    try:
        return strict_json.read_object(await read_body(request))
    except strict_json.NotStrict as error:
        raise InvalidRequest(f"the body {error}", reason="body_not_json") from None


async def read_set(request: Request) -> str:
    """The security event token that is the body (RFC 8935 §2.1). Raises InvalidRequest."""
    content_type = request.headers.get("content-type", "")
    if content_type.partition(";")[0].strip().lower() != _SET:
        raise InvalidRequest(f"the body must be {_SET}", reason="content_type")
    try:
        return (await read_body(request)).decode("ascii")
    except UnicodeDecodeError:
        raise InvalidRequest("the body is not a token", reason="body_not_ascii") from None


async def read_body(request: Request, *, max_bytes: int = MAX_BODY_BYTES) -> bytes:
    """The whole body, if it is small enough. Raises InvalidRequest.

    One that drips is ended by the connection (`web.connections`), and then it is incomplete.
    """
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced[:20]) > max_bytes:
        raise BodyTooLarge("the body is too large", reason="body_too_large")
    chunks: list[bytes] = []
    size = 0
    try:
        async for chunk in request.stream():
            size += len(chunk)
            if size > max_bytes:
                raise BodyTooLarge("the body is too large", reason="body_too_large")
            chunks.append(chunk)
    except ClientDisconnect:
        raise InvalidRequest("the body is incomplete", reason="body_incomplete") from None
    return b"".join(chunks)


def read_query(request: Request) -> tuple[Params, str]:
    """The parameters of the query and the query as it came. Raises InvalidRequest."""
    raw = request.scope["query_string"]
    if len(raw) > MAX_QUERY_CHARS:
        raise InvalidRequest("the query is too long", reason="query_too_long")
    return params_of(raw.decode("latin-1")), raw.decode("latin-1")


def params_of(query: str) -> Params:
    """Parameters of a query string. Raises InvalidRequest."""
    return Params(pairs_of(query.encode()))


def pairs_of(raw: bytes, *, max_encoded: int = _MAX_ENCODED) -> list[tuple[str, str]]:
    """Names and values as they came. Raises InvalidRequest."""
    if raw.count(b"%") > max_encoded:
        raise InvalidRequest("too much is percent-encoded", reason="parameters_encoded_too_much")
    try:
        pairs = parse_qsl(
            raw.decode("ascii"),
            keep_blank_values=True,
            max_num_fields=MAX_PARAMETERS,
            errors="strict",
        )
    except (ValueError, UnicodeDecodeError):
        raise InvalidRequest(
            "the parameters are malformed", reason="parameters_malformed"
        ) from None
    # PostgreSQL refuses NUL in text; here it is a mistake of the sender, there it would be a 500.
    if any("\x00" in text for pair in pairs for text in pair):
        raise InvalidRequest("a parameter has a NUL character", reason="parameter_nul")
    return pairs
