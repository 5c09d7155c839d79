"""Rules for clients, and the clients that the file itself names."""

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field, model_validator

from authz.sections import Seconds, SecretReference, Section


class Clients(Section):
    """Rules for all clients."""

    private_redirect_schemes: frozenset[str] = frozenset()
    """Private-use URI schemes clients may redirect to, for example `cursor`."""
    document_max_bytes: Annotated[int, Field(ge=1024, le=1_000_000)] = 5 * 1024
    """The largest metadata document of a client that is read."""
    require_pushed_requests: bool = False
    """No client sends its authorization request through the browser (RFC 9126 §5)."""


class Registration(Section):
    """Clients that register themselves (RFC 7591), where a tenant lets them (`authz tenants registration`)."""

    per_network: Annotated[int, Field(ge=1)] = 50
    """How many one IPv4 address, or one IPv6 /64, may have in a tenant."""
    per_tenant: Annotated[int, Field(ge=1)] = 5000
    """How many there may be in a tenant, whoever registered them."""
    unused_after: Seconds = timedelta(days=7)
    """One that nobody has allowed by then is forgotten; it may register again."""
    scope_ceiling: frozenset[str] | None = None
    """What they may ever get, whatever a user's role says; absent: no bound."""


class ConfiguredClient(Section):
    """A pre-registered client kept in the file (`[[client]]`); `authz serve` makes the database agree."""

    id: str
    """The `client_id`."""
    tenant: str = "default"
    """The slug of the tenant it belongs to."""
    name: str
    """What people read on the consent page."""
    redirect_uris: tuple[str, ...] = ()
    """Compared as text; a loopback address without a port matches any port."""
    grant_types: tuple[str, ...] = ("authorization_code", "refresh_token")
    """What it may ask the token endpoint for."""
    auth_method: Literal["none", "client_secret_basic", "client_secret_post", "private_key_jwt"] = (
        "none"
    )
    """How it proves who it is; `none` for programs on a person's own machine."""
    secret: SecretReference | None = None
    """Where its secret is; goes with the `client_secret` methods alone."""
    jwks_uri: str | None = None
    """Where its public keys are, for `private_key_jwt`."""
    dpop_bound: bool = False
    """All its tokens are bound to a key it proves (DPoP)."""
    push_only: bool = False
    """It sends its authorization requests to `/par` alone."""
    fapi: bool = False
    """The FAPI 2.0 Security Profile holds for it."""
    token_endpoint_audience: bool = False
    """Its assertions may name the token endpoint instead of the issuer: for clients that cannot be mended."""
    scope_ceiling: frozenset[str] | None = None
    """All it may ever get, whatever a person's role says; absent: no bound."""

    @model_validator(mode="after")
    def _has_what_it_proves_itself_with(self) -> "ConfiguredClient":
        if self.auth_method.startswith("client_secret") != (self.secret is not None):
            raise ValueError(
                f"client {self.id!r}: a secret goes with the client_secret methods only"
            )
        return self
