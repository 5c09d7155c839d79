"""Entries of the revocation feed: whatever a decision ended, told in the same transaction (`authz.revocations`)."""

from collections.abc import Sequence

from authz import entropy
from authz.db.models import RevocationEntry
from authz.db.statements import Call, InsertDerived
from authz.oauth.facts import Changes
from authz.oauth.rows.wanted import Read, Wanted
from authz.revocations.entries import GRANT, TOKEN

_OF_GRANT = ("tenant_id", "kind", "value", "subject", "created_at")
INSERT_GRANTS = InsertDerived(
    RevocationEntry.__table__,  # type: ignore[arg-type]
    _OF_GRANT,
    # One for each server that may have a token of the grant, since tokens are exchanged for others. A token is one
    # server's and ends once, so the name of one is a name that no other entry has.
    {
        "id": "'rev_' || min(t.jti)",
        "resource_id": "t.resource_id",
        "expires_at": "max(t.expires_at)",
    },
    # A grant without a live token, which most are that end after a while, is nothing that anybody has to know.
    "JOIN issued_tokens t ON t.family_id = v.value AND t.revoked_at IS NULL AND t.expires_at > v.created_at "
    f"GROUP BY {', '.join(f'v.{name}' for name in _OF_GRANT)}, t.resource_id",
)
INSERT_TOKENS = InsertDerived(
    RevocationEntry.__table__,  # type: ignore[arg-type]
    ("id", "tenant_id", "kind", "value", "resource_id", "subject", "created_at", "expires_at"),
    {},
    "",
)


def reads(_: Wanted) -> list[Read]:
    """Nothing: no decision rests on the feed."""
    return []


def writes(changes: Sequence[Changes]) -> list[Call]:
    """One statement for families, one for single tokens; none for a batch that ends nothing.

    After the tokens of the batch: a family may end after one of them was made.
    """
    families = {f.id: f for c in changes for f in c.families if f.revoked_at is not None}
    tokens = {t.jti: t for c in changes for t in c.revoked_tokens}
    calls = []
    if families:
        rows = [
            (f.tenant_id, GRANT, f.id, f.user_id, f.revoked_at) for _, f in sorted(families.items())
        ]
        calls.append(INSERT_GRANTS(rows))
    if tokens:
        ended = [
            (_id(), t.tenant_id, TOKEN, t.jti, t.resource_id, t.subject, t.revoked_at, t.expires_at)
            for _, t in sorted(tokens.items())
        ]
        calls.append(INSERT_TOKENS(ended))
    return calls


def _id() -> str:
    return entropy.new_id("rev")
