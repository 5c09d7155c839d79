"""What may be presented once, for whoever writes with a session: the insert itself decides who was first."""

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy.orm import Session

from authz.db.lists import insert_once
from authz.db.models import ReplayKey


def claim(tx: Session, tenant_id: str, keys: Iterable[tuple[str, datetime]]) -> set[str]:
    """Remember the keys until their moments; answers those that were new.

    Waits for a transaction that is presenting one of them right now. In key order, so that two never wait in a circle.
    """
    rows = [
        {"tenant_id": tenant_id, "key": key, "expires_at": until}
        for key, until in sorted(dict(keys).items())
    ]
    return insert_once(tx, ReplayKey, rows, ReplayKey.key)
