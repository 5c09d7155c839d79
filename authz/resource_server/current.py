"""The token of the request that is being served."""

from contextvars import ContextVar

from authz.resource_server.access_token import AccessToken
from authz.resource_server.errors import NoCurrentTokenError

# Also in the ASGI scope, which servers hand to their handlers request by request.
SCOPE_KEY = "authz.token"
TRACE_KEY = "authz.traceparent"

current: ContextVar[AccessToken | None] = ContextVar("authz_current_token", default=None)


def current_token() -> AccessToken:
    """The verified token of this request; raises NoCurrentTokenError outside of one."""
    token = current.get()
    if token is None:
        raise NoCurrentTokenError("no verified token: is the app wrapped by protect()?")
    return token
