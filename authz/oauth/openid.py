"""OpenID Connect for this server's own people: who signed in, told to a client. Pure.

Owns the claims about a person and those of an ID token. Never signs, never reads a row.

Decisions:
- A request with `openid` that names neither an MCP server nor one of its scopes is for the userinfo endpoint alone:
  its access token opens no MCP server. Beside an MCP server, the access token is for that server alone, and what the
  person agreed to tell comes in the ID token, since that access token cannot ask for it (OIDC-03).
- `openid` is not in `scopes_supported`: some clients ask for everything they find there (OpenID Connect Discovery §3
  allows to leave it out).
- ES256 unless the client registered `id_token_signed_response_alg`; the keys sign nothing else (OIDC-04).
- `email` is the login name, if it looks like an address. Nobody has verified it, and it says so.
"""

from typing import Any

from authz.clients.client import Client
from authz.clock import numeric_date
from authz.errors import InvalidRequest
from authz.keys import ID_TOKEN, PURPOSES
from authz.oauth.authorization import Authorization, IdTokenRequest

ID_TOKEN_TYP = "JWT"  # noqa: S105 -- a media type
ALGORITHMS = PURPOSES[ID_TOKEN]
_MAX_NONCE_CHARS = 512

CLAIMS = (
    *("iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "acr", "amr"),
    *("name", "preferred_username", "email", "email_verified", "grant_id"),
)
"""For `claims_supported`."""


def person_claims(scopes: frozenset[str], *, login: str, name: str) -> dict[str, Any]:
    """What these scopes tell about a person (Core §5.4)."""
    made: dict[str, Any] = {}
    if "profile" in scopes:
        made |= {"name": name, "preferred_username": login}
    if "email" in scopes and _is_address(login):
        made |= {"email": login, "email_verified": False}
    return made


def algorithm_of(client: Client) -> str:
    """How this client wants its ID tokens signed. Raises InvalidRequest when it cannot have that."""
    wanted = client.metadata.get("id_token_signed_response_alg")
    if wanted is None:
        return ALGORITHMS[0]
    if wanted not in ALGORITHMS:
        raise InvalidRequest(
            "the client registered an ID token algorithm that is not supported",
            reason="id_token_algorithm",
        )
    return str(wanted)


def check_nonce(nonce: str | None) -> str | None:
    """The nonce, to be echoed as it is. Raises InvalidRequest for one that cannot be stored."""
    if nonce is not None and (len(nonce) > _MAX_NONCE_CHARS or not nonce.isprintable()):
        raise InvalidRequest("nonce is malformed", reason="nonce")
    return nonce


def id_token_claims(
    authorization: Authorization, asked: IdTokenRequest, *, issuer: str
) -> dict[str, Any]:
    """OpenID Connect Core §2: one audience, the client (OIDC-01). Good for as long as the access token beside it."""
    made: dict[str, Any] = {
        "iss": issuer,
        "sub": authorization.subject,
        "aud": authorization.client_id,
        "iat": numeric_date(authorization.issued_at),
        "exp": numeric_date(authorization.expires_at),
        # What it stands on: an ID token that comes back is worth what the grant still is (IDJAG-29).
        "grant_id": authorization.grant_id,
    }
    if authorization.auth_time is not None:
        made["auth_time"] = numeric_date(authorization.auth_time)
    if asked.nonce is not None:
        made["nonce"] = asked.nonce
    if authorization.acr is not None:
        made["acr"] = authorization.acr
    if authorization.amr:
        made["amr"] = list(authorization.amr)
    return {**made, **asked.person}


def _is_address(login: str) -> bool:
    local, at, domain = login.rpartition("@")
    return bool(local and at and domain) and "@" not in local and " " not in login
