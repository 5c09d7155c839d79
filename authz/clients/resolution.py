"""From a `client_id` to a `Client`: stored record first, then a Client ID Metadata Document.

Decisions:
- The authorization endpoint fetches a document only for a signed-in person; the token endpoint only for a client that
  is stored already, or that an operator named. So no stranger can make this server fetch anything (ATK-47, ATK-48),
  and nothing is stored for a client nobody decided about (features.md S6).
- Trust is judged at every use, not when the document was stored.
- When a stored document is due and its host does not answer, the stored copy serves for `STALE_GRACE`: an outage of
  the client's web site must not sign out everybody who uses it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from authz.clients.client import Client
from authz.clients.metadata import MetadataError, Rules, client_of_document
from authz.clients.registered import client_of_row
from authz.clients.trust import TrustPolicy, Verdict
from authz.db.models import Client as ClientRow
from authz.errors import InvalidClient
from authz.net import Documents, NetworkError, Profile
from authz.urls import UrlError, check_client_id_url, is_client_id_url

FLOOR = timedelta(minutes=5)
CEILING = timedelta(hours=24)
STALE_GRACE = timedelta(hours=24)


class ClientRefused(InvalidClient):
    """A client that cannot be used; `sentence` may be shown to the person who waits, `client_id` was received."""

    def __init__(self, sentence: str, *, reason: str) -> None:
        super().__init__("the client cannot be used", reason=reason)
        self.sentence = sentence


class ClientNotAdmitted(ClientRefused):
    """The trust policy does not admit the document (yet): the person may ask for it."""


@dataclass(frozen=True)
class FetchedClient:
    """A client made from a document, and how long the document is fresh."""

    client: Client
    document: Mapping[str, Any]
    fetched_at: datetime
    fresh_until: datetime


def check_identifier(client_id: str, trust: TrustPolicy, rules: Rules) -> None:
    """Everything that can be said about a URL-shaped identifier without asking its host. Raises ClientRefused."""
    if not is_client_id_url(client_id):
        raise ClientRefused(
            "No client with this identifier is registered here.", reason="client_unknown"
        )
    try:
        check_client_id_url(client_id, development=rules.development)
    except UrlError as error:
        raise ClientRefused(
            f"The client's identifier is not usable: {error}.", reason="client_id_malformed"
        ) from None
    verdict = trust.judge(client_id)
    if verdict is Verdict.DENIED:
        raise ClientRefused("An administrator has refused this client.", reason="client_denied")
    if verdict is Verdict.NOT_LISTED:
        raise ClientNotAdmitted(
            "This client has not been approved here.", reason="client_not_admitted"
        )


def usable_row(row: ClientRow) -> Client:
    """A client that needs no document, and may be used now. Raises ClientRefused."""
    client = client_of_row(row)
    if not client.enabled:
        raise ClientRefused("An administrator has blocked this client.", reason="client_blocked")
    return client


def is_at_hand(documents: Documents, client_id: str) -> bool:
    """Whether `fetch` would ask nobody."""
    return documents.is_fresh(client_id, profile=Profile.PUBLIC, floor=FLOOR, ceiling=CEILING)


async def fetch(
    documents: Documents,
    client_id: str,
    *,
    tenant_id: str,
    rules: Rules,
    max_bytes: int,
    approved: bool,
) -> FetchedClient:
    """The client its document describes, from the cache or its host. Raises ClientRefused."""
    try:
        document = await documents.load(
            client_id,
            profile=Profile.PUBLIC,
            max_bytes=max_bytes,
            floor=FLOOR,
            ceiling=CEILING,
            parse=_as_object,
        )
        client = client_of_document(
            document.value, client_id=client_id, tenant_id=tenant_id, rules=rules, approved=approved
        )
    except NetworkError as error:
        raise ClientRefused(
            "The client's metadata document could not be read from its web site.",
            reason=f"document_{error.reason}",
        ) from error
    except MetadataError as error:
        raise ClientRefused(
            f"The client's metadata document is not usable: {error}.", reason=error.reason
        ) from None
    return FetchedClient(client, document.value, document.fetched_at, document.expires_at)


def stored_document(
    row: ClientRow, *, rules: Rules, now: datetime, approved: bool
) -> tuple[Client, bool]:
    """The client of a stored document and whether the document is fresh. Raises ClientRefused."""
    if row.status == "blocked":
        raise ClientRefused("An administrator has blocked this client.", reason="client_blocked")
    if row.fresh_until is None:
        raise ClientRefused("The client has no metadata document.", reason="document_missing")
    try:
        client = client_of_document(
            row.metadata_, client_id=row.id, tenant_id=row.tenant_id, rules=rules, approved=approved
        )
    except MetadataError as error:
        raise ClientRefused(
            f"The client's metadata document is not usable: {error}.", reason=error.reason
        ) from None
    return replace(client, scope_ceiling=row.scope_ceiling), now < row.fresh_until


def is_approved(trust: TrustPolicy, client_id: str) -> bool:
    """Whether an operator named this client, rather than the mode letting everybody in."""
    strict = TrustPolicy("allow_list", trust.allow, trust.deny)
    return strict.judge(client_id) is Verdict.ADMITTED


def changed_members(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Which members of a document differ (CIMD-28)."""
    return sorted(
        name for name in before.keys() | after.keys() if before.get(name) != after.get(name)
    )


def _as_object(value: object) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise MetadataError("it is not a JSON object", reason="document_not_object")
    return value
