"""Forms may only be posted from our own pages, told by the headers browsers set themselves (architecture D9).

`Sec-Fetch-Site` cannot be set by a page. Browsers without it send `Origin` on every POST. A request with neither is not
a browser's, has no business here, and is refused.
"""

from urllib.parse import urlsplit

from starlette.requests import Request


def is_own_form(request: Request, issuer: str) -> bool:
    """Whether the POST came from a page of this origin."""
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    parts = urlsplit(issuer)
    return request.headers.get("origin") == f"{parts.scheme}://{parts.netloc}"
