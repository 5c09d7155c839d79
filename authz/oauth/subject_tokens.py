"""Subject tokens of token exchange (RFC 8693 §2.1): what was presented, recognised as ours and of the stated type.

Owns the signature, type and addressee; whether what it stands on still stands is decided with facts. No other server's
token is ever a subject here: an assertion of somebody we trust is redeemed by its own grant (CONF-05).

Decisions:
- Each type goes with one purpose: an access token for the next access token or for a credential of the system behind
  its MCP server, an ID token or refresh token for an ID-JAG. The type is what the caller states; what the token says of
  itself has to agree (IDJAG-29, ATK-36).
- An ID token names the grant it came from, so it is worth what that still is, and not more.
- SAML assertions are not taken (IDJAG-30, -32). Their audience has to be the client that presents them (draft §4.3.3,
  §4.5), and this server issues none. One that was made for a connection of ours has this server as its audience and
  recipient: taking it from a client would make whoever catches it in a browser that person. Who signs in with SAML has
  an ID token of ours afterwards.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from authz.clients.client import Client
from authz.errors import InvalidGrant, InvalidRequest, OAuthError
from authz.jose import LEEWAY, JwtError, time_claim
from authz.keys import ALGORITHMS, ID_TOKEN
from authz.oauth.configuration import TenantConfiguration
from authz.oauth.own_tokens import OwnTokens
from authz.oauth.params import Params
from authz.oauth.refresh import Presented, parse
from authz.oauth.token_types import (
    ACCESS_TOKEN_TYPE,
    ID_JAG_TYPE,
    ID_TOKEN_TYPE,
    REFRESH_TOKEN_TYPE,
    UPSTREAM_CREDENTIAL_TYPE,
)

REFUSED = "the subject token is not acceptable"
"""The one public sentence for every defect of a subject token."""
_ID_TOKEN_TYP = "jwt"  # noqa: S105 -- a media type, in the spelling it is compared in
_FOR = {
    ACCESS_TOKEN_TYPE: frozenset({ACCESS_TOKEN_TYPE}),
    ID_JAG_TYPE: frozenset({ID_TOKEN_TYPE, REFRESH_TOKEN_TYPE}),
    UPSTREAM_CREDENTIAL_TYPE: frozenset({ACCESS_TOKEN_TYPE}),
}
"""What is asked for -> what may be given for it."""


@dataclass(frozen=True)
class SubjectToken:
    """A genuine token of this tenant; who presents it, and whether it is still good, is another question."""

    wanted: str
    """The token type asked for."""
    grant_id: str
    claims: Mapping[str, Any]
    """None for a refresh token."""
    refresh: Presented | None = None

    def __repr__(self) -> str:
        return f"SubjectToken(wanted={self.wanted!r}, grant_id={self.grant_id!r})"

    def refusal(self, reason: str) -> OAuthError:
        """What is wrong with it, for the private reader (CONF-02)."""
        return _refusal(self.wanted, reason)


def read_subject_token(
    params: Params,
    client: Client,
    configuration: TenantConfiguration,
    own: OwnTokens,
    now: datetime,
) -> SubjectToken:
    """What the parameters present. Raises InvalidRequest, InvalidGrant."""
    if params.find("actor_token") is not None or params.find("actor_token_type") is not None:
        # Who acts is who authenticates: a second name would be a claim nobody checked (IDJAG-45, ATK-38).
        raise InvalidRequest(
            "actor_token is not supported: the client that asks is the actor", reason="actor_token"
        )
    wanted = params.find("requested_token_type") or ACCESS_TOKEN_TYPE
    if wanted not in _FOR:
        raise InvalidRequest(
            "requested_token_type is not supported", reason="requested_token_type_unsupported"
        )
    given, text = params.require("subject_token_type"), params.require("subject_token")
    if given not in _FOR[wanted]:
        raise InvalidRequest(
            "subject_token_type does not go with what is requested",
            reason="subject_token_type_unsupported",
        )
    if given == ACCESS_TOKEN_TYPE:
        return replace(_access_token(text, configuration, own, now), wanted=wanted)
    if given == ID_TOKEN_TYPE:
        return _id_token(text, client, configuration, now)
    return _refresh_token(text)


def _access_token(
    text: str, configuration: TenantConfiguration, own: OwnTokens, now: datetime
) -> SubjectToken:
    claims = own.read(text, configuration.keys, tenant_id=configuration.tenant.id, now=now)
    if claims is None:
        raise _refusal(ACCESS_TOKEN_TYPE, "subject_token_unknown")
    return SubjectToken(ACCESS_TOKEN_TYPE, claims["grant_id"], claims)


def _id_token(
    text: str, client: Client, configuration: TenantConfiguration, now: datetime
) -> SubjectToken:
    """OpenID Connect Core §3.1.3.7, by who made it: the key of ID tokens signs nothing else (IDJAG-28, -29)."""
    try:
        claims = configuration.keys.verify(
            text, purpose=ID_TOKEN, typ=_ID_TOKEN_TYP, algorithms=ALGORITHMS, now=now
        )
        expires_at = time_claim(claims, "exp")
    except JwtError as error:
        raise _refusal(ID_JAG_TYPE, error.reason) from None
    if claims.get("iss") != configuration.tenant.issuer:
        raise _refusal(ID_JAG_TYPE, "jwt_iss")
    if claims.get("aud") != client.id:
        raise _refusal(ID_JAG_TYPE, "subject_token_of_other_client")
    if now.timestamp() >= expires_at + LEEWAY.total_seconds():
        raise _refusal(ID_JAG_TYPE, "jwt_expired")
    grant_id = claims.get("grant_id")
    if not isinstance(grant_id, str):
        # One of before ID tokens named their grant; the next sign-in brings another.
        raise _refusal(ID_JAG_TYPE, "subject_token_without_grant")
    return SubjectToken(ID_JAG_TYPE, grant_id, claims)


def _refresh_token(text: str) -> SubjectToken:
    presented = parse(text)
    if presented is None:
        raise _refusal(ID_JAG_TYPE, "refresh_malformed")
    return SubjectToken(ID_JAG_TYPE, presented.family_id, {}, presented)


def _refusal(wanted: str, reason: str) -> OAuthError:
    kind = InvalidGrant if wanted == ID_JAG_TYPE else InvalidRequest
    return kind(REFUSED, reason=reason)
