"""Asking for the credentials of the systems behind an MCP server (V4)."""

from pathlib import Path
from typing import Any

from authz.admin import credentials
from tests.support.exchanges import Chain
from tests.support.harness import RESOURCE, Answer

UPSTREAM = "urn:authz:token-type:upstream-credential"


def secret_file(folder: Path, value: str, name: str = "github") -> str:
    """A secret where it is read at every use; answers the reference."""
    (folder / name).write_text(value)
    return f"file:{folder / name}"


def bind(
    chain: Chain, reference: str, *scopes: str, server: str = RESOURCE, name: str = "github"
) -> Any:
    """The server gets it under that name, for a token with these scopes."""
    return chain.harness.change(
        credentials.add, server, name=name, reference=reference, scopes=scopes
    )


def release(
    chain: Chain, made: Any, token: str | None, name: str | None = "github", **fields: Any
) -> Answer:
    """As the client `made`."""
    return chain.exchange(
        made, token, None, **{"audience": name, "requested_token_type": UPSTREAM, **fields}
    )
