"""From a request to an answer: the token first, then the body, then one transaction; refusals as problem details."""

import re
from collections.abc import Mapping
from typing import Any

import structlog
from starlette.convertors import Convertor, register_url_convertor
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from authz import entropy
from authz.admin.resources import metadata_url
from authz.db.availability import is_unavailable
from authz.errors import InvalidRequest
from authz.net import strict_json
from authz.oauth.administering import Admitted
from authz.oauth.back_channel import UnknownTenant
from authz.oauth.own_bearer import Presented
from authz.policy.administration import ADMIN_PATH
from authz.telemetry.metrics import BACK_CHANNEL_REQUESTS, count_refusal
from authz.tenants import DEFAULT_SLUG, issuer_of
from authz.web.addresses import peer_address
from authz.web.api.addresses import Addresses, Match
from authz.web.api.desk import VERSION, Desk, Sent
from authz.web.api.kit import Route as ApiRoute
from authz.web.api.problems import Refused, problem
from authz.web.api.registry import API
from authz.web.edge import TENANT_PATH, Edge
from authz.web.forms import read_body, read_query
from authz.web.threads import run_in_threadpool

log = structlog.get_logger()

MAX_BODY_BYTES = 1024 * 1024
"""The roles of a large company are one document."""
_MAX_PARTS = 100_000
_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_TAKEN = ("application/json", "application/merge-patch+json")
_KEY = re.compile(r"[\x21-\x7e]{1,255}")


class _Whole(Convertor[str]):
    """Whatever comes, lines and all: what the framework's own leaves out would be refused in another form."""

    regex = "(?s:.*)"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("whole", _Whole())


def routes(edge: Edge, prefix: str) -> list[Route]:
    """All of it below a prefix, and what is not there: that is refused in the same form."""
    is_base = not prefix.endswith(TENANT_PATH)
    own = [it for area in API.values() for it in area if is_base or not it.is_of_base]
    endpoint = _Endpoint(edge, Addresses(own), f"{prefix}{ADMIN_PATH}{VERSION}")
    # One for all: addresses are matched as they came, which the framework's are not.
    return [
        Route(f"{endpoint.base}/{{path:whole}}", endpoint.serve, methods=list(_METHODS)),
    ]


class _Endpoint:
    def __init__(self, edge: Edge, addresses: Addresses, base: str) -> None:
        self.base = base
        self._edge = edge
        self._addresses = addresses
        self._desk = Desk(edge)

    async def serve(self, request: Request) -> Response:
        slug = request.path_params.get("slug", DEFAULT_SLUG)
        base = self._edge.services.settings.server.issuer
        where = metadata_url(f"{issuer_of(base, slug)}{ADMIN_PATH}")
        nonce = None
        try:
            with self._edge.limits.attempt(
                "admin_api", peer_address(self._edge, request)
            ) as attempt:
                match = self._addresses.find(_segments(request, self.base))
                admitted = await self._admit(slug, request)
                nonce = admitted.dpop_nonce
                attempt.names(admitted.configuration.tenant.id, admitted.claims["client_id"])
                attempt.authenticated(is_confidential=True)
                route = _route(match, request.method)
                sent = await _sent(request, match.path)
                response = await run_in_threadpool(self._desk.answer, route, admitted, sent)
        except UnknownTenant:
            return self._refused(Refused(404, "not_found", "there is no such issuer here"), None)
        except Exception as error:  # noqa: BLE001 -- every refusal has one form here, and so has a failure
            return self._refused(error, where)
        BACK_CHANNEL_REQUESTS.labels(ADMIN_PATH, "answered").inc()
        if nonce is not None:
            response.headers["dpop-nonce"] = nonce
        return response

    async def _admit(self, slug: str, request: Request) -> Admitted:
        presented = Presented(
            slug=slug,
            method=request.method,
            authorization=tuple(request.headers.getlist("authorization")),
            dpop=tuple(request.headers.getlist("dpop")),
        )
        return await self._edge.administration.admit(
            presented, _raw_path(request).decode("latin-1")
        )

    def _refused(self, error: Exception, where: str | None) -> Response:
        try:
            response, reason = problem(error, where)
        except Exception as failure:
            if is_unavailable(failure):
                log.warning("admin_api.unavailable", error=type(failure).__name__)
                told = "the database does not answer; nothing was done unless another request shows it, try again"
                refused = Refused(503, "unavailable", told, headers={"retry-after": "1"})
                response, reason = problem(refused, where)[0], "database_unavailable"
            else:
                support_id = entropy.new_id("sup")
                log.exception("admin_api.failed", support_id=support_id)
                told = f"the server failed to answer ({support_id})"
                response, reason = problem(Refused(500, "server_error", told), where)
        # Neither the address nor the sentence: they may name somebody.
        log.info("admin_api.refused", status=response.status_code, reason=reason)
        count_refusal(ADMIN_PATH, str(response.status_code), reason)
        return response


def _raw_path(request: Request) -> bytes:
    raw: bytes = request.scope["raw_path"]
    return raw.partition(b"?")[0]


def _segments(request: Request, base: str) -> list[bytes]:
    """Those below the base, as they came."""
    return _raw_path(request).split(b"/")[base.count("/") + 1 :]


def _route(match: Match, method: str) -> ApiRoute:
    route = match.routes.get("GET" if method == "HEAD" else method)
    if route is None:
        allowed = ", ".join(sorted(match.routes))
        raise Refused(
            405,
            "method_not_allowed",
            f"{method} is not possible here; there are: {allowed}",
            headers={"allow": allowed},
        )
    return route


async def _sent(request: Request, path: Mapping[str, str]) -> Sent:
    query, text = read_query(request)
    query.refuse_repeated()
    raw = b""
    if request.method not in ("GET", "HEAD"):
        raw = await read_body(request, max_bytes=MAX_BODY_BYTES)
    target = _raw_path(request).decode("latin-1") + (f"?{text}" if text else "")
    return Sent(
        method=request.method,
        target=target,
        path=path,
        query=query.as_dict(),
        body=_object(raw, request.headers.get("content-type", "")),
        raw=raw,
        if_match=_one(request, "if-match"),
        if_none_match=_one(request, "if-none-match"),
        idempotency_key=_key(request),
    )


def _object(raw: bytes, content_type: str) -> dict[str, Any]:
    if not raw:
        return {}
    if content_type.partition(";")[0].strip().lower() not in _TAKEN:
        raise Refused(415, "unsupported_media_type", f"the body must be {_TAKEN[0]}")
    try:
        return strict_json.read_object(raw, max_parts=_MAX_PARTS)
    except strict_json.NotStrict as error:
        raise InvalidRequest(f"the body {error}", reason="body_not_json") from None


def _one(request: Request, name: str) -> str | None:
    return ", ".join(request.headers.getlist(name)) or None


def _key(request: Request) -> str | None:
    given = request.headers.getlist("idempotency-key")
    if not given or request.method != "POST":
        return None
    if len(given) > 1 or not _KEY.fullmatch(given[0]):
        raise Refused(400, "invalid", "an Idempotency-Key is 1 to 255 visible ASCII characters")
    return given[0]
