"""How a client says its secret in a header, as most do: not encoded for a form first (RFC 6749 §2.3.1)."""

import base64
from typing import Any


def basic(made: Any) -> dict[str, str]:
    """The header of a client that was just made."""
    return basic_of(made.client.id, made.secret)


def basic_of(client_id: str, secret: str) -> dict[str, str]:
    """The header of these two."""
    pair = base64.b64encode(f"{client_id}:{secret}".encode()).decode()
    return {"Authorization": f"Basic {pair}"}
