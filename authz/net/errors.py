"""What outbound requests fail with."""

from authz.errors import AuthzError


class NetworkError(AuthzError):
    """A request that was refused, or failed; `reason` is a slug for logs and tests.

    Before dialling: bad_url, not_https, port_refused, address_refused, dns, busy, over_budget.
    While talking: connect, tls, proxy, proxy_password, protocol, timeout, too_large, headers_too_large, encoded.
    Documents: status, content_type, json, cooling_down.
    The text never quotes what the other side sent.
    """

    def __init__(self, message: str, *, reason: str) -> None:
        super().__init__(f"{message} [{reason}]")
        self.reason = reason
