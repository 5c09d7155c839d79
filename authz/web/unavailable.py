"""503 with Retry-After: what a good request gets while the database cannot take it.

A program gets JSON, a person a page that needs nothing: no template, no session, no tenant.
"""

from html import escape

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from authz.web.headers import PAGE_HEADERS
from authz.web.responses import json_answer

RETRY_AFTER_SECONDS = 2
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width"></head>
<body><main><h1>{title}</h1><p>{message}</p></main></body></html>
"""
_MESSAGE = (
    "This server cannot reach its database for a moment. Wait a few seconds, then reload this page; "
    "if you had sent a form, go back and send it again."
)


def unavailable(request: Request) -> Response:
    """The answer, for whoever asked."""
    headers = {"retry-after": str(RETRY_AFTER_SECONDS)}
    if "text/html" in request.headers.get("accept", ""):
        page = _PAGE.format(title="Try again shortly", message=escape(_MESSAGE))
        return HTMLResponse(page, 503, {**PAGE_HEADERS, **headers})
    body = {"error": "temporarily_unavailable", "error_description": "try again shortly"}
    return json_answer(body, status=503, headers=headers)
