"""`env:NAME`: an environment variable."""

import os

from authz.errors import ConfigurationError


def read(name: str) -> bytes:
    """The variable's value."""
    if name not in os.environ:
        raise ConfigurationError(f"the secret env:{name} is not set; export {name} and start again")
    return os.environ[name].encode()
