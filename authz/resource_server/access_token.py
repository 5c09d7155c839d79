"""The claims of an access token, judged and turned into a value (pure).

Nothing here reads a signature: `verifier` calls this after it has checked one.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Protocol

from authz.resource_server.errors import InvalidToken, NoExchangeError
from authz.resource_server.tool_limits import ToolLimits, read_limits

# How far the clocks of the two servers may differ, in seconds; for exp, nbf and iat alike.
LEEWAY = 30
# The last second that datetime can express: larger dates are an attack or a bug.
_LAST_SECOND = 253402300799
# RFC 6749 section 3.3: single spaces between tokens of printable ASCII without quote and backslash.
_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+(?: [\x21\x23-\x5b\x5d-\x7e]+)*")


class Exchange(Protocol):
    """What the token of one request is good for elsewhere, without the token itself."""

    async def onward(self, resource: str, scopes: Iterable[str]) -> str:
        """An access token for another MCP server."""

    async def credential(self, name: str) -> str:
        """A credential of a system behind this server."""


@dataclass(frozen=True)
class AccessToken:
    """A verified token: who calls, through which client, with which scopes.

    The raw token is no part of it, so it can be neither logged nor passed on to another server: `exchange_for` gets one
    that is for that server, and `credential` the key of a system that takes no tokens of ours.
    """

    subject: str
    client_id: str
    scopes: frozenset[str]
    resource: str
    issuer: str
    jti: str
    expires_at: datetime
    grant_id: str | None = None
    tenant: str | None = None
    actor: Mapping[str, Any] | None = field(default=None, hash=False)
    auth_time: datetime | None = None
    acr: str | None = None
    amr: tuple[str, ...] = ()
    key_thumbprint: str | None = None
    """Of the key that the token is bound to, and whose proof came with the request."""
    tool_limits: ToolLimits = field(default_factory=dict, hash=False)
    tools: frozenset[str] | None = None
    """The tools that the scopes open; None where the authorization server does not say, and the scopes alone decide."""
    claims: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)
    exchange: Exchange | None = field(default=None, repr=False, compare=False)
    """How this token is exchanged; None on a server that was protected without `onward`."""

    async def exchange_for(self, resource: str, *scopes: str) -> str:
        """An access token for another MCP server and the same person (RFC 8693).

        Raises ExchangeRefusedError, or NoExchangeError where `protect` was not told how.
        """
        if self.exchange is None:
            raise NoExchangeError("protect() was not given `onward`")
        return await self.exchange.onward(resource, scopes)

    async def credential(self, name: str) -> str:
        """The key of a system behind this server, which the authorization server has a reference to under this name.

        Asked for anew at each call, so that a rotated one is in use at once: use it and let it go. Raises
        ExchangeRefusedError, or NoExchangeError where `protect` was not told how.
        """
        if self.exchange is None:
            raise NoExchangeError("protect() was not given `onward`")
        return await self.exchange.credential(name)


def read_claims(
    claims: Mapping[str, Any], *, issuer: str, resource: str, now: float
) -> AccessToken:
    """Judge the claims of a token whose signature is good (RFC 9068 section 4).

    Raises InvalidToken; `issuer` and `resource` are compared as strings. That a token with a
    `key_thumbprint` comes with a proof is for the caller to see to.
    """
    if claims.get("iss") != issuer:
        raise InvalidToken("iss_mismatch")
    if claims.get("aud") not in (resource, [resource]):
        raise InvalidToken("aud_mismatch")
    expires_at = _seconds(claims, "exp")
    if expires_at + LEEWAY <= now:
        raise InvalidToken("expired")
    if _seconds(claims, "iat") > now + LEEWAY:
        raise InvalidToken("iat_future")
    if "nbf" in claims and _seconds(claims, "nbf") > now + LEEWAY:
        raise InvalidToken("nbf_future")
    return AccessToken(
        subject=_text(claims, "sub"),
        client_id=_text(claims, "client_id"),
        scopes=_scopes(claims),
        resource=resource,
        issuer=issuer,
        jti=_text(claims, "jti"),
        expires_at=datetime.fromtimestamp(expires_at, UTC),
        grant_id=_optional_text(claims, "grant_id"),
        tenant=_optional_text(claims, "tenant"),
        actor=_actor(claims),
        auth_time=(
            datetime.fromtimestamp(_seconds(claims, "auth_time"), UTC)
            if "auth_time" in claims
            else None
        ),
        acr=_optional_text(claims, "acr"),
        amr=_methods(claims),
        key_thumbprint=_key_thumbprint(claims),
        tool_limits=read_limits(claims.get("authorization_details", []), resource),
        tools=_tools(claims),
        claims=MappingProxyType(dict(claims)),
    )


def _seconds(claims: Mapping[str, Any], name: str) -> float:
    value = claims.get(name)
    # True is an int in Python, and 1e300 is a number that no date can hold.
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidToken(f"{name}_malformed")
    if not 0 <= value <= _LAST_SECOND:
        raise InvalidToken(f"{name}_malformed")
    return value


def _text(claims: Mapping[str, Any], name: str) -> str:
    value = claims.get(name)
    if not isinstance(value, str) or not value:
        raise InvalidToken(f"{name}_malformed")
    return value


def _optional_text(claims: Mapping[str, Any], name: str) -> str | None:
    return _text(claims, name) if name in claims else None


def _scopes(claims: Mapping[str, Any]) -> frozenset[str]:
    if "scope" not in claims:
        return frozenset()
    value = claims["scope"]
    if not isinstance(value, str) or not _SCOPE.fullmatch(value):
        raise InvalidToken("scope_malformed")
    return frozenset(value.split(" "))


def _actor(claims: Mapping[str, Any]) -> Mapping[str, Any] | None:
    if "act" not in claims:
        return None
    value = claims["act"]
    if not isinstance(value, dict) or not value:
        raise InvalidToken("act_malformed")
    return MappingProxyType(value)


def _methods(claims: Mapping[str, Any]) -> tuple[str, ...]:
    value = claims.get("amr", [])
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise InvalidToken("amr_malformed")
    return tuple(value)


def _tools(claims: Mapping[str, Any]) -> frozenset[str] | None:
    if "mcp_tools" not in claims:
        return None
    value = claims["mcp_tools"]
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise InvalidToken("mcp_tools_malformed")
    return frozenset(value)


def _key_thumbprint(claims: Mapping[str, Any]) -> str | None:
    if "cnf" not in claims:
        return None
    confirmation = claims["cnf"]
    if not isinstance(confirmation, dict):
        raise InvalidToken("cnf_malformed")
    # Certificates end at the proxy: without the one of this connection the token is anybody's (RFC 8705 section 3).
    if "x5t#S256" in confirmation:
        raise InvalidToken("bound_to_certificate")
    # Another way of binding, or two at once: not one of them may go unchecked (RFC 7800 section 3.1).
    if confirmation.keys() != {"jkt"}:
        raise InvalidToken("cnf_unknown")
    return _text(confirmation, "jkt")
