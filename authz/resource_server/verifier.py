"""Verify an access token: form, signature, claims, in that order, and the proof that comes with it.

verifier = TokenVerifier(RemoteKeys("https://as.example"), resource="https://mcp.example/mcp")
token = await verifier.verify(raw)
"""

import time
from collections.abc import Callable, Sequence

from authz.resource_server.access_token import AccessToken, read_claims
from authz.resource_server.compact import read_object, take_apart
from authz.resource_server.discovery import RemoteKeys
from authz.resource_server.dpop import read_proof
from authz.resource_server.errors import InvalidToken
from authz.resource_server.jwks import ALGORITHMS, verify_signature
from authz.resource_server.proof_memory import ProofMemory
from authz.resource_server.revocations import RevocationFeed, Revocations
from authz.resource_server.urls import require_identifier


def system_clock() -> float:
    """Seconds since the epoch."""
    return time.time()  # noqa: TID251 - this package stands alone, so its clock lives here


class TokenVerifier:
    """Accepts the tokens that one issuer minted for one resource."""

    def __init__(
        self,
        keys: RemoteKeys,
        *,
        resource: str,
        clock: Callable[[], float] = system_clock,
        revocations: Revocations | None = None,
    ) -> None:
        require_identifier(resource, "resource")
        self.keys = keys
        self.feed = None if revocations is None else RevocationFeed(keys, revocations, clock=clock)
        self.issuer = keys.issuer
        self.resource = resource
        self.clock = clock
        self._used_proofs = ProofMemory()

    async def verify(self, token: str) -> AccessToken:
        """Return what a bearer token says.

        Raises InvalidToken, or KeysUnavailable or RevocationsUnavailable when it cannot be judged.
        """
        judged = await self._judge(token)
        # A token bound to a key is worthless to a thief only if nobody takes it as a bearer token
        # (RFC 9449 section 7.2, ATK-72).
        if judged.key_thumbprint is not None:
            raise InvalidToken("sender_constrained")
        return judged

    async def verify_bound(self, token: str, proofs: Sequence[str], method: str) -> AccessToken:
        """Return what a token says that is presented with the `DPoP` headers `proofs`.

        Raises InvalidProof as well. A proof that was good is spent.
        """
        judged = await self._judge(token)
        if judged.key_thumbprint is None:
            raise InvalidToken("not_sender_constrained")
        now = self.clock()
        proof = read_proof(
            proofs,
            token=token,
            key_thumbprint=judged.key_thumbprint,
            method=method,
            resource=self.resource,
            now=now,
        )
        self._used_proofs.spend(proof, now)
        return judged

    async def _judge(self, token: str) -> AccessToken:
        parts = take_apart(token)
        # Before the key is looked up: a token that can never be good costs no fetch.
        if parts.algorithm not in ALGORITHMS:
            raise InvalidToken("alg_not_allowed")
        verify_signature(parts, await self.keys.load(parts.key_id))
        claims = read_object(parts.payload, "claims_not_json", InvalidToken)
        judged = read_claims(claims, issuer=self.issuer, resource=self.resource, now=self.clock())
        # Last: whose token is not good in itself does not learn whether it was ever revoked.
        if self.feed is not None:
            await self.feed.check(judged)
        return judged
