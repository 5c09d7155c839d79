"""One assertion (draft-ietf-oauth-identity-assertion-authz-grant §3.1), right until somebody changes a member."""

from dataclasses import dataclass, field, replace
from typing import Any

from joserfc.jwk import Key

from authz.lab import forge

TYP = "oauth-id-jag+jwt"
STRANGER = "https://stranger.example"
"""Somebody nobody has heard of."""


@dataclass(frozen=True)
class Statement:
    """What the identity provider is about to sign; members that are None are left out."""

    header: dict[str, Any]
    claims: dict[str, Any]
    key: Key = field(repr=False)
    stranger: Key = field(repr=False)
    """A key of nobody."""
    token_endpoint: str

    @property
    def issuer(self) -> str:
        """The lab's."""
        return str(self.claims["iss"])

    @property
    def audience(self) -> str:
        """The issuer under test."""
        return str(self.claims["aud"])

    @property
    def resource(self) -> str:
        """The MCP server."""
        return str(self.claims["resource"])

    @property
    def client(self) -> str:
        """Who may redeem it."""
        return str(self.claims["client_id"])

    @property
    def scope(self) -> str:
        """What it is good for."""
        return str(self.claims["scope"])

    @property
    def now(self) -> int:
        """When it was made."""
        return int(self.claims["iat"])

    def saying(self, **claims: Any) -> "Statement":
        """With other claims."""
        return replace(self, claims=_present({**self.claims, **claims}))

    def headed(self, **header: Any) -> "Statement":
        """With another header."""
        return replace(self, header=_present({**self.header, **header}))

    def sign(self, **claims: Any) -> str:
        """By the key of the identity provider."""
        return forge.sign(self.key, self.header, self.saying(**claims).claims)

    def sign_as_stranger(self) -> str:
        """By a key of nobody, under the name of the real one."""
        return forge.sign(self.stranger, self.header, self.claims)


def _present(members: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}
