"""What somebody else says about when a checkpoint existed (RFC 3161): then not even this server can write it later.

Owns the question, and the check of the answer. The optional package `rfc3161-client` is imported when it is needed.
"""

from dataclasses import dataclass
from pathlib import Path

from cryptography import x509

from authz.errors import ConfigurationError
from authz.net import Network, NetworkError, Profile

MAX_BYTES = 64 * 1024
_HEADERS = {"Content-Type": "application/timestamp-query"}


class NoTimestamp(Exception):
    """The authority gave none that counts; `reason` is for logs."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class Authority:
    """Who is asked, and whose certificates count."""

    url: str
    roots: tuple[x509.Certificate, ...]

    @classmethod
    def of(cls, url: str, roots: Path) -> "Authority":
        """Raises ConfigurationError."""
        try:
            found = x509.load_pem_x509_certificates(roots.read_bytes())
        except (OSError, ValueError):
            raise ConfigurationError(
                f"audit.timestamp_roots: {roots} has no certificates; "
                "write those of the timestamp authority there, as PEM"
            ) from None
        # Bundles that were put together by hand have some twice, which the verifier takes for a mistake.
        return cls(url, tuple(dict.fromkeys(found)))

    def timestamp(self, network: Network, statement: str) -> bytes:
        """The authority's answer about the statement, checked. Blocks; raises NoTimestamp, ConfigurationError."""
        try:
            import rfc3161_client as tsp
        except ImportError:
            raise ConfigurationError(
                "audit.timestamp_url needs a package that is not installed; install mcp-authz[timestamps]"
            ) from None
        message = statement.encode()
        builder = tsp.TimestampRequestBuilder().data(message).nonce(nonce=True)
        request = (
            builder.hash_algorithm(tsp.HashAlgorithm.SHA256).cert_request(cert_request=True).build()
        )
        answer = self._ask(network, request.as_bytes())
        verifier = tsp.VerifierBuilder.from_request(request)
        for root in self.roots:
            verifier = verifier.add_root_certificate(root)
        try:
            response = tsp.decode_timestamp_response(answer)
            verifier.build().verify_message(response, message)
        except (tsp.VerificationError, ValueError) as error:
            raise NoTimestamp("not_verified") from error
        return answer

    def _ask(self, network: Network, request: bytes) -> bytes:
        asked = network.fetch(
            self.url,
            profile=Profile.OPERATOR,
            max_bytes=MAX_BYTES,
            accept="application/timestamp-reply",
            method="POST",
            headers=_HEADERS,
            content=request,
        )
        try:
            answer = network.run_blocking(asked)
        except NetworkError as error:
            raise NoTimestamp(error.reason) from error
        if answer.status != 200:
            raise NoTimestamp(f"status_{answer.status}")
        return answer.body
