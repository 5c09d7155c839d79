"""Why a secret is not to be had: one sentence that names the reference, never a value."""

from authz.errors import ConfigurationError


class SecretMissing(ConfigurationError):
    """The store says that there is no such secret, or not for us."""


class StoreUnavailable(ConfigurationError):
    """The store does not say anything; later it may."""
