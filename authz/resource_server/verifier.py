"""Verify an access token: form, signature, claims, in that order.

verifier = TokenVerifier(RemoteKeys("https://as.example"), resource="https://mcp.example/mcp")
token = await verifier.verify(raw)
"""

import time
from collections.abc import Callable

from authz.resource_server.access_token import AccessToken, read_claims
from authz.resource_server.compact import read_object, take_apart
from authz.resource_server.discovery import RemoteKeys
from authz.resource_server.errors import InvalidToken
from authz.resource_server.jwks import ALGORITHMS, verify_signature
from authz.resource_server.urls import require_identifier


def system_clock() -> float:
    """Seconds since the epoch."""
    return time.time()  # noqa: TID251 - this package stands alone, so its clock lives here


class TokenVerifier:
    """Accepts the tokens that one issuer minted for one resource."""

    def __init__(
        self, keys: RemoteKeys, *, resource: str, clock: Callable[[], float] = system_clock
    ) -> None:
        require_identifier(resource, "resource")
        self.keys = keys
        self.issuer = keys.issuer
        self.resource = resource
        self._clock = clock

    async def verify(self, token: str) -> AccessToken:
        """Return what `token` says; raises InvalidToken, or KeysUnavailable when it cannot be judged."""
        parts = take_apart(token)
        # Before the key is looked up: a token that can never be good costs no fetch.
        if parts.algorithm not in ALGORITHMS:
            raise InvalidToken("alg_not_allowed")
        verify_signature(parts, await self.keys.load(parts.key_id))
        claims = read_object(parts.payload, "claims_not_json")
        return read_claims(claims, issuer=self.issuer, resource=self.resource, now=self._clock())
