"""Clients that register and manage themselves (RFC 7591, RFC 7592), and the end of those nobody used.

Decisions:
- What a stranger can add is bounded: rows by network and by tenant (ATK-61), and the rest of the tables is touched
  once a person allowed the client. A new client does not bump `config_version`: no cache knows it, and a stranger
  must not make every node read its configuration anew. A change and a removal do.
- Software that asks again gets its client again, so that records do not pile up. Whoever asks second is then as much
  its owner as whoever asked first, and neither must be able to redirect or remove what the other uses; so the fresh
  token of a shared client only reads, and it ends the first one. The prefix tells which kind a token is, and cannot be
  exchanged: the digest covers it. A client that was changed is never shared again, nor is one with a secret or keys.
- What people relied on was the metadata: an administrator's approval ends when the client changes it, and consents
  end because the client's digest is another (CIMD-28).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import exists, func, select
from sqlalchemy.orm import Session

from authz import entropy
from authz.admin import initial_tokens
from authz.admin.clients import forget
from authz.admin.operator import Operator
from authz.admin.revocation import cut_off_clients
from authz.audit.events import ClientRegistered, ClientRemoved, ClientUpdated, Event
from authz.clients.registration import check_update, software_digest, uses_secret
from authz.clients.resolution import changed_members
from authz.db.leases import wait_for
from authz.db.models import Client, Consent, TokenFamily
from authz.db.versions import bump
from authz.errors import InvalidToken, RegistrationRefused, TooManyRequests
from authz.settings import Registration as Limits
from authz.urls import redirect_host

KIND = "dynamic"
OWNER, SHARED = "rat", "ras"
"""Prefixes of registration access tokens: of the only one who registered the client, and of one of several."""
UNUSED, APPROVED = "known", "active"


@dataclass(frozen=True)
class Registered:
    """What the client is told. `token` and `secret` are not stored, only their digests are."""

    client_id: str
    metadata: Mapping[str, Any]
    issued_at: datetime
    token: str
    secret: str | None = None
    is_new: bool = False

    def __repr__(self) -> str:
        return f"Registered({self.client_id!r})"


def register(
    tx: Session,
    operator: Operator,
    tenant_id: str,
    metadata: Mapping[str, Any],
    *,
    network: str,
    limits: Limits,
    initial_token: str | None = None,
) -> Registered:
    """Add the client, or answer the one this software registered before.

    Raises InvalidToken, TooManyRequests or RegistrationRefused; the caller rolls back, so that a use of the initial
    token is not lost.
    """
    # One at a time in a tenant: two would count the same rows, and add the same software twice.
    wait_for(tx, f"registration:{tenant_id}", operator.now)
    invited_by = None
    if initial_token is not None:
        invited_by = initial_tokens.spend(tx, tenant_id, initial_token, operator.now)
    digest = software_digest(metadata, network)
    known = None if digest is None else _find_software(tx, tenant_id, digest)
    if known is not None:
        return _share(known, operator, metadata)
    _check_room(tx, operator, tenant_id, network, limits)
    client_id, token = entropy.new_id("dcr"), entropy.new_token(OWNER)
    secret = entropy.new_token("cls") if uses_secret(metadata) else None
    tx.add(
        Client(
            tenant_id=tenant_id,
            id=client_id,
            kind=KIND,
            status=UNUSED,
            name=_name(client_id, metadata),
            metadata_=dict(metadata),
            secrets=_stored(secret),
            scope_ceiling=limits.scope_ceiling,
            registration_digest=entropy.digest(token),
            software_digest=digest,
            registered_from=network,
            fetched_at=None,
            fresh_until=None,
            created_at=operator.now,
            updated_at=operator.now,
        )
    )
    tx.flush()
    event = ClientRegistered(
        client=client_id,
        auth_method=metadata["token_endpoint_auth_method"],
        redirect_hosts=sorted({redirect_host(uri) for uri in metadata["redirect_uris"]}),
        initial_token=invited_by,
    )
    operator.record(tx, tenant_id, event)
    return Registered(client_id, metadata, operator.now, token, secret, is_new=True)


def load_own(tx: Session, tenant_id: str, client_id: str, token: str) -> Client:
    """The client whose registration access token this is, locked. Raises InvalidToken or RegistrationRefused."""
    row = tx.get(Client, (tenant_id, client_id), with_for_update=True)
    # One answer for a wrong token and for a client that is not there, or not of this kind (RFC 7592 §2.1).
    if (
        row is None
        or row.kind != KIND
        or row.registration_digest is None
        or not entropy.equal(row.registration_digest, entropy.digest(token))
    ):
        raise InvalidToken(
            "the registration access token is not valid for this client",
            reason="registration_token_wrong",
        )
    if row.status == "blocked":
        raise RegistrationRefused(
            "an administrator has blocked this client", reason="client_blocked"
        )
    return row


def read(row: Client, token: str) -> Registered:
    """What is registered; a secret is not kept, so it cannot be told again."""
    return Registered(row.id, row.metadata_, row.created_at, token)


def check_replacement(row: Client, request: Mapping[str, Any]) -> None:
    """What an update has to say besides its metadata. Raises InvalidClientMetadata."""
    digests = [stored["digest"] for stored in row.secrets]
    check_update(request, row.id, lambda secret: entropy.digest(secret) in digests)


def replace(
    tx: Session, operator: Operator, row: Client, metadata: Mapping[str, Any], token: str
) -> Registered:
    """Register these members instead of all that were. A secret is made where one is needed and there is none.

    Raises RegistrationRefused for a client that others were given as well.
    """
    changed = changed_members(row.metadata_, metadata)
    if not changed:
        return read(row, token)
    _check_owner(token)
    if row.accepted is None:
        row.accepted = dict(row.metadata_)
    secret = None
    if not uses_secret(metadata):
        row.secrets = []
    elif not row.secrets:
        secret = entropy.new_token("cls")
        row.secrets = _stored(secret)
    row.name, row.metadata_ = _name(row.id, metadata), dict(metadata)
    row.status, row.software_digest, row.updated_at = UNUSED, None, operator.now
    tx.flush()
    bump(tx, row.tenant_id)
    operator.record(tx, row.tenant_id, ClientUpdated(client=row.id, changed=changed))
    return Registered(row.id, metadata, row.created_at, token, secret)


def remove(tx: Session, operator: Operator, row: Client, token: str) -> None:
    """Forget the client, the consents for it and what it holds (DCR-05).

    Raises RegistrationRefused for a client that others were given as well.
    """
    _check_owner(token)
    _end(tx, operator, row.tenant_id, [row], because="asked")


def remove_unused(
    tx: Session, operator: Operator, tenant_id: str, *, before: datetime, at_most: int
) -> int:
    """Forget clients that were last registered before then and that nobody allowed or approved; answers how many."""
    used = exists().where(
        TokenFamily.tenant_id == Client.tenant_id,
        TokenFamily.client_id == Client.id,
        TokenFamily.revoked_at.is_(None),
        TokenFamily.expires_at > operator.now,
    )
    allowed = exists().where(
        Consent.tenant_id == Client.tenant_id,
        Consent.client_id == Client.id,
        Consent.revoked_at.is_(None),
    )
    rows = tx.scalars(
        select(Client)
        .where(
            Client.tenant_id == tenant_id,
            Client.kind == KIND,
            Client.status == UNUSED,
            Client.updated_at < before,
            ~used,
            ~allowed,
        )
        .order_by(Client.id)
        .limit(at_most)
        .with_for_update()
    ).all()
    if rows:
        _end(tx, operator, tenant_id, rows, because="unused")
    return len(rows)


def _end(
    tx: Session, operator: Operator, tenant_id: str, rows: Sequence[Client], *, because: str
) -> None:
    events: list[Event] = []
    ids = [row.id for row in rows]
    for row in rows:
        revoked = forget(tx, operator, row)
        removed = ClientRemoved(client=row.id, because=because, revoked_grants=len(revoked))
        events += [*revoked, removed]
    # Bumps the configuration version, once for all of them.
    cut_off_clients(tx, operator, tenant_id, ids)
    operator.record(tx, tenant_id, *events)


def _find_software(tx: Session, tenant_id: str, digest: str) -> Client | None:
    return tx.scalars(
        select(Client)
        .where(Client.tenant_id == tenant_id, Client.kind == KIND, Client.software_digest == digest)
        .with_for_update()
    ).one_or_none()


def _share(row: Client, operator: Operator, metadata: Mapping[str, Any]) -> Registered:
    if row.status == "blocked":
        raise RegistrationRefused(
            "an administrator has blocked this client", reason="client_blocked"
        )
    token = entropy.new_token(SHARED)
    row.registration_digest, row.updated_at = entropy.digest(token), operator.now
    # As asked: at most the ports of loopback redirect URIs differ, and they are never compared.
    return Registered(row.id, metadata, row.created_at, token)


def _check_room(
    tx: Session, operator: Operator, tenant_id: str, network: str, limits: Limits
) -> None:
    own = (Client.tenant_id == tenant_id, Client.kind == KIND)
    for most, condition, reason in (
        (limits.per_network, (*own, Client.registered_from == network), "network_full"),
        (limits.per_tenant, own, "tenant_full"),
    ):
        count, oldest = tx.execute(
            select(func.count(), func.min(Client.updated_at)).where(*condition)
        ).one()
        if count >= most:
            # When the first of them may be forgotten, if nobody uses it by then.
            until = oldest + limits.unused_after - operator.now
            raise TooManyRequests(
                "too many clients are registered; use one of them, or try again later",
                reason=reason,
                retry_after=max(60, int(until.total_seconds())),
            )


def _check_owner(token: str) -> None:
    if not token.startswith(f"{OWNER}_"):
        raise RegistrationRefused(
            "this client was registered more than once and belongs to all who did; register another one",
            reason="client_shared",
        )


def _name(client_id: str, metadata: Mapping[str, Any]) -> str:
    return str(metadata.get("client_name", client_id))


def _stored(secret: str | None) -> list[dict[str, Any]]:
    return [] if secret is None else [{"digest": entropy.digest(secret), "expires_at": None}]
