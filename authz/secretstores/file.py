"""`file:PATH`: the content of a file, without the newline editors add. Its version is when it was written."""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar

from authz.secretstores.errors import SecretMissing
from authz.secretstores.store import Secret, Setup


class FileStore:
    """Files of this machine, as Kubernetes, systemd and agents put secrets there."""

    is_remote: ClassVar[bool] = False

    def __init__(self, _: Setup) -> None:
        pass

    def read(self, name: str) -> Secret:
        """The file's bytes."""
        try:
            with Path(name).open("rb") as opened:
                written_at = os.fstat(opened.fileno()).st_mtime
                value = opened.read().rstrip(b"\r\n")
        except FileNotFoundError:
            raise SecretMissing(
                f"the secret file:{name} does not exist; "
                "`authz init` makes a new one, a restored installation needs its old one"
            ) from None
        except OSError as error:
            raise SecretMissing(
                f"the secret file:{name} cannot be read: {error.strerror}"
            ) from None
        return Secret(value, datetime.fromtimestamp(written_at, UTC).isoformat())

    def close(self) -> None:
        """Nothing is open."""
