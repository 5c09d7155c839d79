"""The ways people sign in here, by the names clients ask for them with (`acr`, OpenID Connect Core §2)."""

PASSWORD = "urn:authz:acr:password"  # noqa: S105 -- a name
"""A password of the local directory."""

ACR_VALUES = (PASSWORD,)
"""For `acr_values_supported`; a session says which of them it came from."""
