"""Where identity providers tell of people who leave: back-channel logout, and pushed security events (RFC 8935).

No cookie is read, nobody is redirected, and a sender learns no more than whether it was believed: somebody nobody knows
here is answered like somebody whose access has just ended.
"""

from collections.abc import Awaitable, Callable

import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from authz.db.batch import LaneFull
from authz.errors import InvalidRequest, OAuthError, TooManyRequests
from authz.federation.desk import Moving, Recipient
from authz.federation.keys_of import KeysUnavailable
from authz.federation.logout_tokens import PUBLIC_SENTENCE, LogoutRefused
from authz.federation.set_verification import SetRefused
from authz.oauth.back_channel import UnknownTenant
from authz.oauth.params import Params
from authz.telemetry.metrics import SIGNALS, count_denial
from authz.tenants import DEFAULT_SLUG
from authz.web.addresses import peer_address
from authz.web.edge import Edge
from authz.web.forms import read_form, read_set
from authz.web.responses import empty_answer, json_answer

log = structlog.get_logger()

LOGOUT, PUSH = "backchannel_logout", "signals"
"""The endpoints in logs and metrics."""
_RETRY = {"retry-after": "5"}
_Refuse = Callable[[str, int], Response]


def routes(edge: Edge, prefix: str) -> list[Route]:
    """Both endpoints below a prefix."""

    async def backchannel_logout(request: Request) -> Response:
        async def answer() -> Response:
            received_at = edge.services.clock()
            params = Params(await read_form(request))
            params.refuse_repeated()
            await edge.signals.log_out(
                await _recipient(edge, request),
                request.path_params["connection"],
                params.require("logout_token"),
                received_at,
            )
            return empty_answer()

        return await _answered(edge, request, LOGOUT, answer, _logout_refused)

    async def push(request: Request) -> Response:
        async def answer() -> Response:
            received_at = edge.services.clock()
            await edge.signals.push(
                await _recipient(edge, request),
                request.path_params["stream"],
                _bearer(request),
                await read_set(request),
                received_at,
            )
            return Response(status_code=202, headers={"cache-control": "no-store"})

        return await _answered(edge, request, PUSH, answer, _set_refused)

    return [
        Route(
            f"{prefix}/federation/{{connection}}/backchannel-logout",
            backchannel_logout,
            methods=["POST"],
        ),
        Route(f"{prefix}/signals/{{stream}}", push, methods=["POST"]),
    ]


async def _answered(
    edge: Edge,
    request: Request,
    endpoint: str,
    answer: Callable[[], Awaitable[Response]],
    refuse: _Refuse,
) -> Response:
    """What `answer` says; whatever it raises as this endpoint says it."""
    address = peer_address(edge, request)
    status, code = 400, "invalid_request"
    try:
        edge.limits.signalling(endpoint, address)
        return await answer()
    except UnknownTenant:
        return json_answer({"error": "not_found"}, status=404)
    except TooManyRequests as error:
        waiting = {"retry-after": str(error.retry_after or 1)}
        return json_answer({"error": error.code}, status=error.status, headers=waiting)
    except (LaneFull, KeysUnavailable, Moving) as error:
        reason = getattr(error, "reason", type(error).__name__.lower())
        log.warning("signal.postponed", endpoint=endpoint, reason=reason)
        SIGNALS.labels(_WAYS[endpoint], "postponed").inc()
        return json_answer({"error": "temporarily_unavailable"}, status=503, headers=_RETRY)
    except OAuthError as error:
        reason, status = error.reason, error.status
    except LogoutRefused as error:
        reason = error.reason
    except SetRefused as error:
        reason, code = error.reason, error.code
    edge.limits.bad_signal(address)
    SIGNALS.labels(_WAYS[endpoint], "refused").inc()
    count_denial(endpoint, reason)
    log.info("signal.refused", endpoint=endpoint, reason=reason, path=request.url.path)
    return refuse(code, status)


_WAYS = {LOGOUT: "logout_token", PUSH: "push"}


def _logout_refused(code: str, status: int) -> Response:
    """Back-Channel Logout §2.8: one sentence, whatever the defect."""
    body = {"error": code, "error_description": PUBLIC_SENTENCE}
    return json_answer(body, status=status)


def _set_refused(code: str, status: int) -> Response:
    """RFC 8935 §2.3."""
    body = {"err": code, "description": SetRefused.CODES[code]}
    return json_answer(body, status=status, headers={"content-language": "en"})


async def _recipient(edge: Edge, request: Request) -> Recipient:
    """The tenant, as this process last saw it; what is done is done for the one that is there then."""
    slug = request.path_params.get("slug", DEFAULT_SLUG)
    configuration = await edge.channel.configuration(slug)
    return Recipient(configuration.tenant.id, configuration.audit_key)


def _bearer(request: Request) -> str | None:
    headers = request.headers.getlist("authorization")
    if len(headers) > 1:
        raise InvalidRequest("send one Authorization header", reason="authorization_twice")
    scheme, _, token = (headers[0] if headers else "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None
