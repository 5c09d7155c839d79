"""What people allowed, and when they need not be asked again.

Decisions:
- A request with authorization details is always asked about, and the scopes it limits are never remembered: the record
  holds scopes, not limits, so it cannot tell a narrower request from a wider one (RAR-04).
- A scope counts in the version that was seen (`admin.scope_versions`): one that came to mean more is asked about again,
  alone. Until the person answers, what runs under the consent goes on; a scope they then untick is taken back from it.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from authz.clients.client import Client
from authz.db.models import Consent
from authz.db.racing import add_unless_there
from authz.oauth.asking import Asking
from authz.oauth.facts import StoredConsent
from authz.policy.snapshot import FIRST_VERSION, Resource
from authz.urls import redirect_uri_matches


def find_consent(tx: Session, asking: Asking) -> Consent | None:
    """The standing consent of this person for this client at this resource."""
    key = (
        asking.configuration.tenant.id,
        asking.signed_in.user_id,
        asking.client.id,
        asking.request.resource.id,
    )
    row = tx.get(Consent, key)
    return row if row is not None and row.revoked_at is None else None


def has_ever_consented(tx: Session, tenant_id: str, user_id: str, client_id: str) -> bool:
    """Whether this person has allowed this client anything: then its redirect URIs are no strangers (O21-24)."""
    found = tx.execute(
        select(Consent.resource_id)
        .where(
            Consent.tenant_id == tenant_id,
            Consent.user_id == user_id,
            Consent.client_id == client_id,
        )
        .limit(1)
    ).first()
    return found is not None


def settled_scopes(consent: Consent | StoredConsent | None, asking: Asking) -> frozenset[str]:
    """What the person need not be asked again: same client, same way back (MCP-AS-58, MCP-AS-72)."""
    request = asking.request
    if consent is None or request.details or "consent" in request.prompt:
        return frozenset()
    counts = (
        consent.remembered
        and asking.client.is_proven_at(request.redirect_uri)
        and consent.client_digest == asking.client.digest
        and any(redirect_uri_matches(uri, request.redirect_uri) for uri in consent.redirect_uris)
    )
    if not counts:
        return frozenset()
    return unchanged(consent.versions, request.resource, consent.scopes - consent.limited)


def unchanged(seen: Mapping[str, int], resource: Resource, scopes: Iterable[str]) -> frozenset[str]:
    """Those of these that still mean what the person saw: their first version, where nothing is said."""
    now = resource.versions_of(scopes)
    return frozenset(it for it in now if seen.get(it, FIRST_VERSION) == now[it])


def covers(consent: Consent | StoredConsent | None, asking: Asking, wanted: frozenset[str]) -> bool:
    """Whether the person need not be asked at all."""
    return wanted <= settled_scopes(consent, asking)


def store_consent(
    tx: Session,
    *,
    tenant_id: str,
    user_id: str,
    client: Client,
    resource: Resource,
    redirect_uri: str | None,
    allowed: frozenset[str],
    withheld: frozenset[str],
    limited: frozenset[str] = frozenset(),
    remembered: bool,
    now: datetime,
) -> None:
    """Earlier scopes stay, unless they were shown and unticked: that takes them back.

    `resource` as the person was shown it. `limited` are those of `allowed` that authorization details limit.
    Without a redirect URI no browser was sent anywhere: it adds to none of the ways back that were seen.
    """
    values: Mapping[str, Any] = {
        "tenant_id": tenant_id,
        "user_id": user_id,
        "client_id": client.id,
        "resource_id": resource.id,
    }
    key = tuple(values.values())
    row = tx.get(Consent, key, with_for_update=True)
    if row is None:
        first = Consent(
            **values,
            scopes=allowed,
            limited=limited,
            versions=resource.versions_of(allowed),
            redirect_uris=[] if redirect_uri is None else [redirect_uri],
            client_digest=client.digest,
            remembered=remembered,
            created_at=now,
            updated_at=now,
            revoked_at=None,
        )
        if add_unless_there(tx, first):
            return
        row = tx.get_one(Consent, key, with_for_update=True)
    continues = row.revoked_at is None and row.client_digest == client.digest
    kept = row.scopes - withheld if continues else frozenset()
    kept_limited = row.limited & kept
    free = kept - kept_limited
    # What was free stays free, and what is now allowed without limits becomes so.
    row.limited = (kept_limited - allowed) | (limited - free)
    row.scopes = kept | allowed
    seen_before = {it: row.versions[it] for it in kept if it in row.versions}
    # Free in the version that was allowed without limits: a yes to a newer one within them is none to all of it.
    row.versions = {**seen_before, **resource.versions_of(allowed - (limited & free))}
    seen = row.redirect_uris if continues else []
    if redirect_uri is not None and not any(redirect_uri_matches(k, redirect_uri) for k in seen):
        seen = [*seen, redirect_uri][-20:]
    row.redirect_uris = seen
    row.client_digest = client.digest
    # A way back that proves nothing takes nothing from the ones that do: `covers` judges each request's own.
    row.remembered = remembered or (continues and row.remembered)
    row.updated_at, row.revoked_at = now, None
