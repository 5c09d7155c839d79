"""How people sign in, by the names clients ask for it with (`acr`, OpenID Connect Core §2)."""

from datetime import UTC, datetime

from authz.values import value

PASSWORD = "urn:authz:acr:password"  # noqa: S105 -- a name
"""A password of the local directory."""
MFA = "urn:authz:acr:mfa"
"""An identity provider names no `acr` and says `mfa` in `amr` (RFC 8176), as Microsoft Entra ID does."""

ACR_VALUES = (PASSWORD, MFA)
"""For `acr_values_supported`; identity providers have names of their own besides."""

UNKNOWN_TIME = datetime(1970, 1, 1, tzinfo=UTC)
"""`auth_time` where an identity provider does not say when the person proved who they are: too long ago for every rule
that minds, and never told to anybody."""


@value(frozen=True)
class Authentication:
    """How and when a person signed in; it does not change on the way from their session to a token."""

    auth_time: datetime
    acr: str | None = None
    connection_id: str | None = None
    """None: the local directory."""


def acr_of(acr: str | None, amr: tuple[str, ...]) -> str | None:
    """Our name for what an identity provider said: its own, or what its methods amount to."""
    return acr or (MFA if "mfa" in amr else None)
