"""Refusals as problem details (RFC 9457), with the challenge that says how to get further (RFC 6750, 9470, 9728)."""

import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy.exc import IntegrityError
from starlette.responses import Response

from authz.admin.idempotency import OtherRequest
from authz.admin.operator import FRESH_FOR
from authz.errors import (
    AuthzError,
    ConfigurationError,
    Conflict,
    Forbidden,
    Invalid,
    InvalidDpopProof,
    InvalidToken,
    NeedsApproval,
    NotFound,
    OAuthError,
    StaleSignIn,
    UseDpopNonce,
)
from authz.net import NetworkError
from authz.oauth.dpop import ALGORITHMS

MEDIA_TYPE = "application/problem+json"
NO_STORE = {"cache-control": "no-store"}
_TITLES: Mapping[int, str] = {
    400: "The request is wrong",
    401: "Sign in",
    403: "Not allowed",
    404: "Not found",
    405: "Not possible here",
    409: "In conflict with what there is",
    412: "It was changed meanwhile",
    413: "Too large",
    415: "Not in this form",
    422: "Another request had this key",
    428: "Say what you saw",
    429: "Too many requests",
    500: "The server failed",
    501: "Not installed",
    502: "Another server failed",
    503: "Busy",
}
_STATUSES: tuple[tuple[type[AuthzError], int, str], ...] = (
    (NeedsApproval, 403, "needs_approval"),
    (StaleSignIn, 401, "insufficient_user_authentication"),
    (Forbidden, 403, "insufficient_scope"),
    (NotFound, 404, "not_found"),
    (OtherRequest, 422, "idempotency_key_reused"),
    (Conflict, 409, "conflict"),
    (Invalid, 400, "invalid"),
    (NetworkError, 502, "fetch_failed"),
    (ConfigurationError, 501, "not_installed"),
)
"""The first that fits."""


class Refused(Exception):
    """A request that this face refuses by itself."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        more: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(code)
        self.status = status
        self.code = code
        self.detail = detail
        self.headers = dict(headers or {})
        self.more = dict(more or {})


def problem(error: Exception, metadata_url: str | None) -> tuple[Response, str]:
    """The answer, and the private reason. What is no refusal is raised again."""
    if isinstance(error, Refused):
        return _made(error.status, error.code, error.detail, error.headers, error.more), error.code
    if isinstance(error, OAuthError):
        return _of_token(error, metadata_url), error.reason
    if isinstance(error, IntegrityError):
        told = (
            "somebody else changed the same thing at the same moment; nothing was done, try again"
        )
        return _made(409, "conflict", told), "integrity"
    for kind, status, code in _STATUSES:
        if isinstance(error, kind):
            return _of_operation(error, status, code, metadata_url), code
    raise error


def _of_operation(error: AuthzError, status: int, code: str, metadata_url: str | None) -> Response:
    headers, more = {}, {}
    if error.field:
        more["pointer"] = f"#/{error.field}"
    if isinstance(error, Forbidden):
        more["permission"] = str(error.permission)
        told = f', error="{code}", scope="{error.permission}"'
        if isinstance(error, StaleSignIn):
            told += f", max_age={int(FRESH_FOR.total_seconds())}"
        # No token gets further where somebody else has to agree.
        if not isinstance(error, NeedsApproval):
            headers["www-authenticate"] = _challenges(told, metadata_url)
    return _made(status, code, str(error), headers, more)


def _of_token(error: OAuthError, metadata_url: str | None) -> Response:
    is_about_proof = isinstance(error, InvalidDpopProof | UseDpopNonce)
    status = 401 if is_about_proof else error.status
    headers, told = {}, ""
    if status in (401, 403):
        # A request without a token is told no error code (RFC 6750 §3.1).
        told = "" if error.reason == "token_missing" else f', error="{error.code}"'
        if is_about_proof:
            headers["www-authenticate"] = _dpop(told, metadata_url)
        else:
            headers["www-authenticate"] = _challenges(told, metadata_url)
    if error.retry_after is not None:
        headers["retry-after"] = str(error.retry_after)
    if isinstance(error, UseDpopNonce):
        headers["dpop-nonce"] = error.nonce
    if status == 413:  # what still arrives is nobody's: the connection ends with the answer
        headers["connection"] = "close"
    code = "unauthorized" if isinstance(error, InvalidToken) and not told else error.code
    return _made(status, code, error.description, headers)


def _challenges(told: str, metadata_url: str | None) -> str:
    """Both schemes: a token says itself which one it needs."""
    return f'Bearer realm="authz"{told}{_where(metadata_url)}, {_dpop(told, metadata_url)}'


def _dpop(told: str, metadata_url: str | None) -> str:
    return f'DPoP realm="authz"{told}, algs="{" ".join(ALGORITHMS)}"{_where(metadata_url)}'


def _where(metadata_url: str | None) -> str:
    return "" if metadata_url is None else f', resource_metadata="{metadata_url}"'


def _made(
    status: int,
    code: str,
    detail: str,
    headers: Mapping[str, str] | None = None,
    more: Mapping[str, Any] | None = None,
) -> Response:
    body = {
        "type": "about:blank",
        "title": _TITLES[status],
        "status": status,
        "detail": detail,
        "code": code,
        **(more or {}),
    }
    return Response(
        json.dumps(body, separators=(",", ":")),
        status,
        headers={**NO_STORE, **(headers or {}), "content-type": MEDIA_TYPE},
    )
