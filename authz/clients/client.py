"""A client as the protocol sees it, whatever source it came from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import Any
from urllib.parse import urlsplit

from authz.db.types import canonical_json
from authz.urls import redirect_uri_matches

DEFAULT_GRANT_TYPES = ("authorization_code",)
"""RFC 7591 §2: what a client that names none may use."""


@dataclass(frozen=True)
class ClientSecret:
    """A stored secret, by digest; two are valid while a rotation overlaps."""

    digest: str
    expires_at: datetime | None = None


@dataclass(frozen=True)
class Client:
    """Identity, rules and credentials of one client of one tenant."""

    tenant_id: str
    id: str
    kind: str
    """`registered`, `dynamic` or `cimd`: how it came to be."""
    enabled: bool
    name: str
    redirect_uris: tuple[str, ...]
    grant_types: frozenset[str]
    auth_methods: frozenset[str]
    """Usually one. A document that lists `none` beside `private_key_jwt` has both (C-9)."""
    jwks: Mapping[str, Any] | None = None
    jwks_uri: str | None = None
    secrets: tuple[ClientSecret, ...] = ()
    scope_ceiling: frozenset[str] | None = None
    approved: bool = False
    """An operator registered or approved it, so its name may be shown as a fact."""
    names_token_endpoint: bool = False
    """Its assertions may name the token endpoint as audience instead of the issuer (decisions.md, `aud`)."""
    logo_uri: str | None = None
    client_uri: str | None = None
    policy_uri: str | None = None
    tos_uri: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @property
    def host(self) -> str | None:
        """The host of a URL-shaped identifier, shown prominently on the consent page (CIMD-24)."""
        return urlsplit(self.id).netloc if self.kind == "cimd" else None

    def is_proven_at(self, redirect_uri: str) -> bool:
        """Whether a returning request may be answered without asking the user again (O21-21, CIMD-25).

        A confidential client proves itself at the token endpoint; a public one only by owning the redirect URI
        that gets the code. Any program on the computer can listen on loopback or take a private-use scheme, even if
        the client has an https redirect URI as well (ATK-13).
        """
        return self.is_confidential or redirect_uri.startswith("https://")

    @property
    def is_confidential(self) -> bool:
        """Whether it must authenticate."""
        return "none" not in self.auth_methods

    @property
    def fapi(self) -> bool:
        """Held to the FAPI 2.0 Security Profile. An operator's decision: a document cannot take it."""
        return self.kind == "registered" and self.metadata.get("fapi") is True

    @property
    def requires_push(self) -> bool:
        """Its authorization requests do not come by browser (RFC 9126 §6, FAPI-02)."""
        return self.fapi or self.metadata.get("require_pushed_authorization_requests") is True

    @property
    def requires_certificate(self) -> bool:
        """It asked for tokens that are good only with its certificate (RFC 8705 §3.4)."""
        return self.metadata.get("tls_client_certificate_bound_access_tokens") is True

    @property
    def requires_dpop(self) -> bool:
        """It asked for tokens that are good only with its key (RFC 9449 §5.2, DPOP-06)."""
        return self.metadata.get("dpop_bound_access_tokens") is True

    def accepts_redirect(self, uri: str) -> bool:
        """Exact string comparison, except for the port of loopback URIs (MCP-AS-52)."""
        return any(redirect_uri_matches(registered, uri) for registered in self.redirect_uris)

    def may_use(self, grant_type: str) -> bool:
        """Whether the client registered for this grant."""
        return grant_type in self.grant_types

    @property
    def digest(self) -> str:
        """What a person relied on when they consented: a change asks again (CIMD-28). Keys may rotate freely."""
        return sha256(
            canonical_json(
                {
                    "name": self.name,
                    "redirect_uris": sorted(self.redirect_uris),
                    "logo_uri": self.logo_uri,
                    "client_uri": self.client_uri,
                }
            ).encode()
        ).hexdigest()
