"""`file:PATH`: the content of a file, without the newline editors add."""

from pathlib import Path

from authz.errors import ConfigurationError


def read(path: str) -> bytes:
    """The file's bytes."""
    try:
        return Path(path).read_bytes().rstrip(b"\r\n")
    except FileNotFoundError:
        raise ConfigurationError(
            f"the secret file:{path} does not exist; "
            "`authz init` makes a new one, a restored installation needs its old one"
        ) from None
    except OSError as error:
        raise ConfigurationError(
            f"the secret file:{path} cannot be read: {error.strerror}"
        ) from None
