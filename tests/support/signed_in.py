"""A live session of somebody, for tests without a database."""

from datetime import datetime
from typing import Any

from authz.directory.sessions import SignedIn


def signed_in(digest: str, user_id: str, at: datetime, **changed: Any) -> SignedIn:
    """By password, at this moment, unless told otherwise."""
    values: dict[str, Any] = {
        "login": "dev@example.com",
        "name": "Dev",
        "auth_time": at,
        "amr": ("pwd",),
        "acr": None,
        "connection_id": None,
        "signed_in_at": at,
        "upstream_expires_at": None,
    }
    return SignedIn(digest, user_id, **{**values, **changed})
