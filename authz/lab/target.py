"""What is examined, and as whom: the issuer, the MCP server, the clients. Secrets do not print."""

import base64
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from urllib.parse import quote

from joserfc.jwk import Key

from authz import entropy
from authz.clock import numeric_date
from authz.lab import forge

METHODS = ("client_secret_basic", "client_secret_post", "private_key_jwt", "none")
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
Fields = list[tuple[str, str]]


@dataclass(frozen=True)
class Credentials:
    """A client as the server under test knows it."""

    client_id: str
    method: str = "none"
    secret: str = field(default="", repr=False)
    key: Key | None = field(default=None, repr=False)

    def wrong(self, stranger: Key) -> "Credentials":
        """The same client, by somebody who does not have its secret."""
        return replace(self, secret=f"{self.secret}x", key=self.key and stranger)

    def present(self, audience: str, now: datetime) -> tuple[Fields, dict[str, str]]:
        """The fields and headers that prove who asks."""
        if self.method == "client_secret_basic":
            return [], {"Authorization": self.basic()}
        named = [("client_id", self.client_id)]
        if self.method == "client_secret_post":
            return [*named, ("client_secret", self.secret)], {}
        if self.method == "private_key_jwt":
            return [*named, *self._assertion(audience, now)], {}
        return named, {}

    def basic(self) -> str:
        """The header of `client_secret_basic` (RFC 6749 §2.3.1)."""
        pair = f"{quote(self.client_id, safe='')}:{quote(self.secret, safe='')}"
        return f"Basic {base64.b64encode(pair.encode()).decode()}"

    def _assertion(self, audience: str, now: datetime) -> Fields:
        assert self.key is not None  # goes with the method  # noqa: S101
        at = numeric_date(now)
        claims: dict[str, Any] = {
            "iss": self.client_id,
            "sub": self.client_id,
            "aud": audience,
            "jti": entropy.new_id("cla"),
            "iat": at,
            "exp": at + 60,
        }
        header = {"alg": forge.ALGORITHM, "typ": "JWT", "kid": self.key.kid}
        signed = forge.sign(self.key, header, claims)
        return [("client_assertion_type", ASSERTION_TYPE), ("client_assertion", signed)]


@dataclass(frozen=True)
class Target:
    """The server under test, and what was registered there for the lab."""

    issuer: str
    resource: str
    client: Credentials
    scopes: tuple[str, ...]
    """What the lab's people may have at the MCP server."""
    is_labs_server: bool = False
    """The MCP server is the lab's own, of whose tools it knows."""
    withheld: str | None = None
    """A scope the MCP server has and the lab's people may not have."""
    other_resource: str | None = None
    """A second MCP server."""
    other_client: Credentials | None = None
    """A second client with the grant type, for assertions that are not its own."""
    ungranted_client: Credentials | None = None
    """A client that is not registered for the grant type."""
    public_client: Credentials | None = None
    """A client that cannot authenticate, registered for the grant type."""
