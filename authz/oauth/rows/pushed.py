"""Pushed authorization requests: written here, read and taken where the browser comes with them (`oauth.pushed`)."""

from collections.abc import Sequence

from authz.db.models import PushedRequest
from authz.db.statements import Call, Insert
from authz.oauth.facts import Changes
from authz.oauth.rows.wanted import Read, Wanted

INSERT_PUSHED = Insert(PushedRequest.__table__)  # type: ignore[arg-type]


def reads(_: Wanted) -> list[Read]:
    """Nothing: no decision of the lane is about an earlier one."""
    return []


def writes(changes: Sequence[Changes]) -> list[Call]:
    """New ones."""
    new = [
        (it.digest, it.tenant_id, it.client_id, it.query, it.created_at, it.expires_at)
        for c in changes
        for it in c.new_pushed
    ]
    return [INSERT_PUSHED(new)] if new else []
