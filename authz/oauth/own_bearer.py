"""One of our own access tokens, presented to one of our own endpoints: whose it is, and that its bearer may hold it.

Decisions:
- A token bound to a DPoP key needs a proof here as well, with `ath`. One bound to a certificate is refused: these
  endpoints see no certificates.
- All of it is read from signature and claims. Whether the token still stands is asked of the facts, by who decides.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from authz.clock import Clock
from authz.errors import InvalidRequest, InvalidToken
from authz.oauth import bindings, dpop
from authz.oauth.back_channel import BackChannel
from authz.oauth.configuration import TenantConfiguration
from authz.oauth.facts import Replay
from authz.oauth.own_tokens import OwnTokens
from authz.policy.snapshot import Resource

REFUSED = "the access token is not valid here"
"""The one public sentence for every defect of a token."""


@dataclass(frozen=True)
class Presented:
    """A request as it arrived, without HTTP."""

    slug: str
    method: str
    authorization: tuple[str, ...]
    """Every `Authorization` header."""
    dpop: tuple[str, ...]
    """Every `DPoP` header."""

    def __repr__(self) -> str:
        return f"Presented({self.slug!r})"


class OwnBearer:
    """One per endpoint."""

    def __init__(self, channel: BackChannel, tokens: OwnTokens, clock: Clock) -> None:
        self._channel = channel
        self._tokens = tokens
        self._clock = clock

    def read(
        self,
        presented: Presented,
        configuration: TenantConfiguration,
        resource: Resource,
        uri: str,
    ) -> tuple[Mapping[str, Any], tuple[Replay, ...]]:
        """The claims of the token, and what must not have been presented before. Raises OAuthError.

        `uri` is the address of the request, as a proof has to name it.
        """
        scheme, token = _token(presented.authorization)
        now = self._clock()
        claims = self._tokens.read(
            token, configuration.keys, tenant_id=configuration.tenant.id, now=now
        )
        if claims is None:
            raise InvalidToken(REFUSED, reason="token_unknown")
        if claims["aud"] != resource.identifier:
            raise InvalidToken(REFUSED, reason="token_audience")
        if bindings.token_type(claims.get("cnf")).lower() != scheme:
            raise InvalidToken(REFUSED, reason="token_scheme")
        return claims, self._proved(presented, configuration, token, claims.get("cnf"), uri, now)

    def _proved(
        self,
        presented: Presented,
        configuration: TenantConfiguration,
        token: str,
        confirmation: Mapping[str, str] | None,
        uri: str,
        now: datetime,
    ) -> tuple[Replay, ...]:
        if confirmation is None:
            return ()
        if bindings.JKT not in confirmation:
            raise InvalidToken(REFUSED, reason="token_bound_to_certificate")
        if not presented.dpop:
            raise InvalidToken(REFUSED, reason="dpop_proof_missing")
        proof = dpop.read_proof(
            presented.dpop,
            method=presented.method,
            uris=(uri,),
            algorithms=dpop.ALGORITHMS,
            nonces=self._channel.nonces(configuration),
            tenant_id=configuration.tenant.id,
            now=now,
            access_token=token,
        )
        if proof.jkt != confirmation[bindings.JKT]:
            raise InvalidToken(REFUSED, reason="binding_other_key")
        return (proof.replay,)


def _token(headers: tuple[str, ...]) -> tuple[str, str]:
    """Scheme in lower case and token. Raises InvalidRequest, or InvalidToken when there is none."""
    if len(headers) > 1:
        raise InvalidRequest("send one Authorization header", reason="authorization_twice")
    if not headers:
        raise InvalidToken("an access token is needed", reason="token_missing")
    scheme, _, token = headers[0].partition(" ")
    if scheme.lower() not in ("bearer", "dpop") or not token:
        raise InvalidToken("an access token is needed", reason="token_missing")
    return scheme.lower(), token
