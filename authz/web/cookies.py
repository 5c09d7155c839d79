"""The session cookie: one per tenant, unreadable by script, never sent along with a foreign form."""

from starlette.requests import Request
from starlette.responses import Response

from authz.web.edge import Edge


def session_cookie_name(edge: Edge, slug: str) -> str:
    """`__Host-` ties it to this host over https; plain http on loopback (development) cannot have the prefix."""
    return f"{'__Host-' if edge.is_https else ''}authz-session-{slug}"


def read_session(edge: Edge, slug: str, request: Request) -> str | None:
    """The cookie's value."""
    return request.cookies.get(session_cookie_name(edge, slug))


def set_session(edge: Edge, slug: str, response: Response, token: str) -> None:
    """Send it; it ends with the browser, and on our side by the clock."""
    response.set_cookie(
        session_cookie_name(edge, slug),
        token,
        path="/",
        secure=edge.is_https,
        httponly=True,
        samesite="lax",
    )


def read_browser(edge: Edge, slug: str, request: Request) -> str | None:
    """What tells this browser from others while it is at an identity provider."""
    value = request.cookies.get(_browser_cookie_name(edge, slug))
    return value if value and len(value) <= 128 else None


def set_browser(edge: Edge, slug: str, response: Response, value: str) -> None:
    """One for all tabs, so that two sign-ins at once do not end each other; it says nothing of who somebody is."""
    response.set_cookie(
        _browser_cookie_name(edge, slug),
        value,
        path="/",
        secure=edge.is_https,
        httponly=True,
        samesite="lax",
    )


def _browser_cookie_name(edge: Edge, slug: str) -> str:
    return f"{'__Host-' if edge.is_https else ''}authz-browser-{slug}"


def drop_session(edge: Edge, slug: str, response: Response) -> None:
    """Take it back."""
    response.delete_cookie(
        session_cookie_name(edge, slug),
        path="/",
        secure=edge.is_https,
        httponly=True,
        samesite="lax",
    )
