"""`env:NAME`: an environment variable. It stays what it is until the process ends."""

import os
from typing import ClassVar

from authz.secretstores.errors import SecretMissing
from authz.secretstores.store import Secret, Setup


class EnvStore:
    """The environment this process was started with."""

    is_remote: ClassVar[bool] = False

    def __init__(self, setup: Setup) -> None:
        self._is_strict = setup.secrets.strict

    def read(self, name: str) -> Secret:
        """The variable's value."""
        if self._is_strict:
            raise SecretMissing(
                f"env:{name} is refused by secrets.strict; move the secret to a file or a store, and name that"
            )
        if name not in os.environ:
            raise SecretMissing(f"the secret env:{name} is not set; export {name} and start again")
        return Secret(os.environ[name].encode())

    def close(self) -> None:
        """Nothing is open."""
