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


def drop_session(edge: Edge, slug: str, response: Response) -> None:
    """Take it back."""
    response.delete_cookie(
        session_cookie_name(edge, slug),
        path="/",
        secure=edge.is_https,
        httponly=True,
        samesite="lax",
    )
