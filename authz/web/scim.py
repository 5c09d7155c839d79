"""The SCIM endpoints: a bearer token, a bounded JSON body, and answers in SCIM's own form, refusals too.

No CORS and no cookie: what calls is a directory's server. The token is judged before the body is read, or was within
the last minute; and whatever is done or told, it is judged in the transaction of that (`scim.tokens`).
"""

import json
import re
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from authz import entropy
from authz.audit import Strands
from authz.db.availability import is_unavailable
from authz.db.models import Connection as ConnectionRow
from authz.errors import InvalidRequest, InvalidToken, OAuthError
from authz.net import strict_json
from authz.scim import PATH, tokens
from authz.scim.bulk import BULK, MAX_PAYLOAD_BYTES
from authz.scim.calls import Answer, Call, Caller, Connection, Desk, Moved
from authz.scim.endpoint import ROUTES, handle
from authz.scim.errors import ERROR_SCHEMA, InvalidSyntax, NotHere, ScimError, WrongMediaType
from authz.telemetry.metrics import BACK_CHANNEL_REQUESTS, count_refusal
from authz.tenants import DEFAULT_SLUG
from authz.web.addresses import peer_address
from authz.web.edge import Edge
from authz.web.forms import read_body, read_query
from authz.web.threads import run_in_threadpool

log = structlog.get_logger()


MEDIA_TYPE = "application/scim+json"
_TAKEN = (MEDIA_TYPE, "application/json")
_WITH_BODY = ("POST", "PUT", "PATCH")
_METHODS = ["GET", *_WITH_BODY, "DELETE"]
_STRANDS = 4
"""More threads than this do not get a processor at a time."""
_MAX_PARTS = 100_000
"""A group of ten thousand has four strings and brackets for each of them."""
_BEARER = re.compile(r"bearer +([\x21-\x7e]{1,512})", re.IGNORECASE)
REFUSED = "the bearer token is not valid"


def routes(edge: Edge, prefix: str) -> list[Route]:
    """What the registry of the endpoint has, below a prefix; what it has not is refused in SCIM's form as well."""
    counter = _Counter(edge)
    base = f"{prefix}{PATH}"

    async def answer(request: Request) -> Response:
        received_at = edge.services.clock()
        try:
            with edge.limits.attempt("scim", peer_address(edge, request)) as attempt:
                slug = request.path_params.get("slug", DEFAULT_SLUG)
                token = _bearer(request.headers.getlist("authorization"))
                digest = entropy.digest(token)
                caller = counter.admitted.recall(slug, digest, received_at)
                if caller is None:
                    caller = await run_in_threadpool(counter.admit, slug, digest)
                attempt.names(caller.tenant_id, caller.token_id)
                attempt.authenticated(is_confidential=True)
                try:
                    sent = await _sent(request, received_at)
                    with _slot(edge, caller, sent.path):
                        found = await run_in_threadpool(counter.answer, caller, sent)
                except (ScimError, InvalidRequest):
                    # What is wrong with a request is told to good tokens alone.
                    await run_in_threadpool(counter.check, caller)
                    raise
        except ScimError as error:
            return _refused(request, error.body(), error.status, error.reason)
        except OAuthError as error:
            return _refused_early(request, error)
        except Exception as error:
            if is_unavailable(error):
                log.warning("scim.unavailable", error=type(error).__name__)
                refused = _refused(
                    request, _error(503, "try again shortly"), 503, "database_unavailable"
                )
                refused.headers["retry-after"] = "1"
                return refused
            support_id = entropy.new_id("sup")
            log.exception("scim.failed", support_id=support_id)
            body = _error(500, f"the server failed to answer ({support_id})")
            return _refused(request, body, 500, "exception")
        BACK_CHANNEL_REQUESTS.labels(PATH, "answered").inc()
        return _rendered(found)

    known = [
        Route(f"{base}/{pattern}", answer, methods=list(methods))
        for pattern, methods in ROUTES.items()
    ]
    return [*known, Route(f"{base}/{{path:path}}", answer, methods=_METHODS)]


@dataclass(frozen=True)
class _Sent:
    """A request, read but not understood."""

    method: str
    path: str
    query: Mapping[str, str]
    raw: bytes | None
    if_match: str | None
    if_none_match: str | None
    received_at: datetime


class _Counter:
    """What is done for each request; blocking, so in a thread."""

    def __init__(self, edge: Edge) -> None:
        self.admitted = tokens.Admitted()
        self._edge = edge
        self._services = edge.services
        services, strands = edge.services, Strands("scim", _STRANDS)
        self._desk = Desk(services.database, services.clock, strands, self._admit_again)

    def admit(self, slug: str, digest: str) -> Caller:
        """Whose token it is. Raises NotHere, InvalidToken."""
        now = self._services.clock()
        database = self._services.database
        with database.read() as tx:
            configuration = self._services.configurations.find(tx, slug)
            if configuration is None:
                raise NotHere("there is no such issuer here", reason="tenant_unknown")
            tenant = configuration.tenant
            shown = tokens.find(tx, tenant.id, digest, now)
        if shown is None:
            raise InvalidToken(REFUSED, reason="scim_token_refused")
        if not shown.is_noted:
            with database.write() as tx:
                tokens.note_use(tx, shown.id, now)
        caller = Caller(
            tenant_id=tenant.id,
            base=f"{tenant.issuer}{PATH}",
            token_id=shown.id,
            connection=None if shown.connection is None else self._connection(shown.connection),
            audit_key=configuration.audit_key,
            slug=slug,
            digest=digest,
            version=tenant.version,
        )
        self.admitted.remember(caller, shown.expires_at, now)
        return caller

    def _admit_again(self, caller: Caller) -> Caller:
        return self.admit(caller.slug, caller.digest)

    def check(self, caller: Caller) -> None:
        """Raises NotHere, InvalidToken, when the token is not good any more."""
        try:
            with self._desk.read(caller):
                pass
        except Moved:
            self._admit_again(caller)

    def _connection(self, row: ConnectionRow) -> Connection:
        connector = self._edge.connectors.of(row.kind)
        subject_of = partial(connector.subject_of, row.settings, row.preset)
        return Connection(row.id, row.slug, subject_of)

    def answer(self, caller: Caller, sent: _Sent) -> Answer:
        """Understand it and do it. Raises ScimError."""
        call = Call(
            method=sent.method,
            path=sent.path,
            received_at=sent.received_at,
            query=sent.query,
            body=None if sent.raw is None else _object(sent.raw),
            if_match=sent.if_match,
            if_none_match=sent.if_none_match,
        )
        return handle(self._desk, caller, call)


def _slot(edge: Edge, caller: Caller, path: str) -> AbstractContextManager[None]:
    return edge.limits.in_bulk(caller.token_id, caller.tenant_id) if path == BULK else nullcontext()


async def _sent(request: Request, received_at: datetime) -> _Sent:
    query, _ = read_query(request)
    query.refuse_repeated()
    method = "GET" if request.method == "HEAD" else request.method
    return _Sent(
        method=method,
        path=request.scope["path"].partition(f"{PATH}/")[2],
        query=query.as_dict(),
        raw=await _raw(request) if method in _WITH_BODY else None,
        if_match=request.headers.get("if-match"),
        if_none_match=request.headers.get("if-none-match"),
        received_at=received_at,
    )


async def _raw(request: Request) -> bytes | None:
    raw = await read_body(request, max_bytes=MAX_PAYLOAD_BYTES)
    content_type = request.headers.get("content-type", "")
    if raw and content_type.partition(";")[0].strip().lower() not in _TAKEN:
        raise WrongMediaType(f"the body must be {MEDIA_TYPE}", reason="content_type")
    return raw or None


def _object(raw: bytes) -> dict[str, Any]:
    try:
        return strict_json.read_object(raw, max_parts=_MAX_PARTS)
    except strict_json.NotStrict as error:
        raise InvalidSyntax(f"the body {error}", reason="body_not_json") from None


def _bearer(headers: list[str]) -> str:
    if not headers:
        raise InvalidToken("a bearer token is required", reason="bearer_missing")
    found = _BEARER.fullmatch(headers[0])
    if len(headers) > 1 or found is None:
        raise InvalidToken("send one bearer token", reason="bearer_malformed")
    return found[1]


def _rendered(answer: Answer) -> Response:
    headers = {"cache-control": "no-store"}
    if answer.location is not None:
        headers["location"] = answer.location
    if answer.etag is not None:
        headers["etag"] = answer.etag
    if answer.body is None:
        return Response(status_code=answer.status, headers=headers)
    text = json.dumps(answer.body, separators=(",", ":"))
    return Response(text, answer.status, headers={**headers, "content-type": MEDIA_TYPE})


def _refused_early(request: Request, error: OAuthError) -> Response:
    body = _error(error.status, error.description)
    if isinstance(error, InvalidRequest) and error.status == 400:
        body["scimType"] = "invalidSyntax"
    response = _refused(request, body, error.status, error.reason)
    if error.retry_after is not None:
        response.headers["retry-after"] = str(error.retry_after)
    if isinstance(error, InvalidToken):
        # RFC 6750 §3.1: no error code for a request that carried no credentials.
        told = "" if error.reason == "bearer_missing" else ', error="invalid_token"'
        response.headers["www-authenticate"] = f'Bearer realm="authz"{told}'
    return response


def _refused(request: Request, body: Mapping[str, Any], status: int, reason: str) -> Response:
    # The route's pattern, not the address: a filter in it may name somebody.
    log.info("scim.refused", method=request.method, status=status, reason=reason)
    count_refusal(PATH, body.get("scimType") or str(status), reason)
    response = _rendered(Answer(status, body))
    if status == 413:  # what still arrives is nobody's: the connection ends with the answer
        response.headers["connection"] = "close"
    return response


def _error(status: int, detail: str) -> dict[str, Any]:
    return {"schemas": [ERROR_SCHEMA], "status": str(status), "detail": detail}
