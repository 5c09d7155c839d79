"""Clients from the database: pre-registered ones, self-registered ones, and documents somebody decided about."""

from datetime import datetime

from sqlalchemy.orm import Session

from authz.clients.client import DEFAULT_GRANT_TYPES, Client, ClientSecret
from authz.db.models import Client as ClientRow


def find(tx: Session, tenant_id: str, client_id: str) -> ClientRow | None:
    """The row, compared as a string (CIMD-02)."""
    return tx.get(ClientRow, (tenant_id, client_id))


def client_of_row(row: ClientRow) -> Client:
    """A client that is wholly in its row. Its metadata was validated when it was written.

    One that registered itself is usable unless it is blocked, and `active` once an operator approved it.
    """
    metadata = row.metadata_
    is_own_word = row.kind == "dynamic"
    return Client(
        tenant_id=row.tenant_id,
        id=row.id,
        kind=row.kind,
        enabled=row.status == "active" or (is_own_word and row.status == "known"),
        name=row.name,
        redirect_uris=tuple(metadata.get("redirect_uris", ())),
        grant_types=frozenset(metadata.get("grant_types", DEFAULT_GRANT_TYPES)),
        auth_methods=frozenset({metadata.get("token_endpoint_auth_method", "none")}),
        jwks=metadata.get("jwks"),
        jwks_uri=metadata.get("jwks_uri"),
        secrets=tuple(
            ClientSecret(
                s["digest"],
                None if s.get("expires_at") is None else datetime.fromisoformat(s["expires_at"]),
            )
            for s in row.secrets
        ),
        scope_ceiling=row.scope_ceiling,
        approved=not is_own_word or row.status == "active",
        names_token_endpoint=(
            row.kind == "registered" and metadata.get("token_endpoint_audience") is True
        ),
        logo_uri=metadata.get("logo_uri"),
        client_uri=metadata.get("client_uri"),
        policy_uri=metadata.get("policy_uri"),
        tos_uri=metadata.get("tos_uri"),
        metadata=metadata,
    )
