"""Every request, counted, timed and traced by what it asked for.

Pure ASGI, around everything but the headers. The endpoint is the first part of the path below the issuer, when it is
one of ours: a label that strangers could choose would be a way to fill the memory of whoever scrapes.
"""

from functools import partial
from time import perf_counter

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from authz.telemetry import tracing
from authz.telemetry.labels import OTHER
from authz.telemetry.metrics import HTTP_SECONDS, http_requests
from authz.telemetry.traceparent import TraceParent, only_traceparent

ENDPOINTS = frozenset(
    {
        ".well-known", "account", "api", "authorize", "clients", "consent", "console", "device",
        "device_authorization", "federation", "health", "introspect", "jwks", "login", "logout", "metrics",
        "outcomes", "par", "register", "revocation_feed", "revoke", "scim", "signals", "ssf", "static",
        "status", "token", "userinfo",
    }
)  # fmt: skip
_METHODS = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})


class Observed:
    """Wrap the application with it."""

    def __init__(self, app: ASGIApp, *, base_path: str) -> None:
        self._app = app
        self._base_path = base_path
        self._seconds = {name: HTTP_SECONDS.labels(name) for name in (*ENDPOINTS, OTHER)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and note when and how its answer begins."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = perf_counter()
        endpoint = endpoint_of(scope["path"], self._base_path)
        method = scope["method"] if scope["method"] in _METHODS else "_OTHER"
        with tracing.request(
            f"{method} {endpoint}",
            partial(_trace_of, scope),
            http__route=endpoint,
            http__request__method=method,
        ) as span:

            async def noting(message: Message) -> None:
                if message["type"] == "http.response.start":
                    # Not the end: an answer may be a stream that lasts for hours.
                    self._seconds[endpoint].observe(perf_counter() - began)
                    http_requests(endpoint, message["status"]).inc()
                    span.set(http__response__status_code=message["status"])
                await send(message)

            await self._app(scope, receive, noting)


def endpoint_of(path: str, base_path: str) -> str:
    """The first part of a path below the issuer of any tenant; `other` for what there is not."""
    parts = path.removeprefix(base_path).split("/", 4)
    first = parts[3] if len(parts) > 3 and parts[1] == "t" else parts[1] if len(parts) > 1 else ""
    return first if first in ENDPOINTS else OTHER


def _trace_of(scope: Scope) -> TraceParent | None:
    # Hardly a request has one.
    told = [value for name, value in scope["headers"] if name == b"traceparent"]
    return only_traceparent([value.decode("latin-1") for value in told]) if told else None
