"""Response headers that keep pages from being framed, sniffed, cached or referred to.

Owns the header values and the middleware that adds them; CORS and cookies live elsewhere.
"""

from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

# No form-action: Chromium applies it to the redirect after the POST as well, so the consent
# form could never send the person back to the client (RFC 9700 §4.16 asks for framing only).
PAGE_POLICY: Final = (
    "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; frame-ancestors 'none'"
)

PAGE_HEADERS: Final = {
    "Content-Security-Policy": PAGE_POLICY,
    "X-Frame-Options": "DENY",
    # Codes and one-time ids stand in our addresses (RFC 9700 §4.2).
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    # No Cross-Origin-Opener-Policy: web clients open us in a window and wait for its `opener` (measured in
    # Chromium: with any value but the default they never hear back). Framing is denied all the same.
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}

# One year. Subdomains and preloading are the operator's to promise.
HSTS: Final = "max-age=31536000"

# What every response needs, whoever made it: a JSON error is framed as easily as a page.
_BASELINE: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
)


class SecurityHeaders:
    """Add the baseline to every response, and HSTS when the issuer is https.

    Wrap the finished application with it: Starlette answers an unhandled error outside of
    the middleware it was given. A header the response already has is left as it is.
    """

    def __init__(self, app: ASGIApp, *, https: bool) -> None:
        self.app = app
        self._pairs = list(_BASELINE)
        if https:
            self._pairs.append((b"strict-transport-security", HSTS.encode()))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and complete the headers of the answer."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = list(message.get("headers", ()))
                present = {name.lower() for name, _ in headers}
                headers += [pair for pair in self._pairs if pair[0] not in present]
                message = {**message, "headers": headers}
            await send(message)

        await self.app(scope, receive, send_with_headers)
