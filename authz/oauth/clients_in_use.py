"""Clients as the token endpoint sees them: cached by key under the configuration version, with a bound.

The token endpoint knows only stored clients, and those whose metadata document an operator named (CIMD-36). A document
that is due is fetched again in the prepare phase, where the network is allowed, and what changed is recorded.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import structlog

from authz import audit
from authz.audit.events import ClientDocumentChanged
from authz.clients import registered
from authz.clients.authentication import import_client_keys
from authz.clients.client import Client
from authz.clients.metadata import Rules
from authz.clients.resolution import (
    CEILING,
    FLOOR,
    STALE_GRACE,
    ClientRefused,
    FetchedClient,
    changed_members,
    check_identifier,
    fetch,
    is_approved,
    stored_document,
    usable_row,
)
from authz.clock import Clock
from authz.db import Database
from authz.db.again import again
from authz.db.models import Client as ClientRow
from authz.db.racing import add_unless_there
from authz.db.versions import bump
from authz.errors import InvalidClient
from authz.net import Documents, NetworkError, Profile
from authz.oauth.configuration import TenantConfiguration

log = structlog.get_logger()

MAX_CACHED = 4096
_JWKS_BYTES = 64 * 1024


@dataclass(frozen=True)
class _Entry:
    version: int
    client: Client
    keys: Sequence[object]
    """Imported from an inline `jwks`."""
    fresh_until: datetime | None
    is_overdue: bool = False
    """The document is older than it should be, and its host does not answer."""


class ClientsInUse:
    """One per process, on the event loop."""

    def __init__(
        self,
        database: Database,
        documents: Documents,
        clock: Clock,
        *,
        rules: Rules,
        max_document_bytes: int,
    ) -> None:
        self._database = database
        self._documents = documents
        self._clock = clock
        self._rules = rules
        self._max_document_bytes = max_document_bytes
        self._cache: OrderedDict[tuple[str, str], _Entry] = OrderedDict()

    async def load(
        self, configuration: TenantConfiguration, client_id: str, *, may_fetch: bool = True
    ) -> tuple[Client, Sequence[object]]:
        """The client and its inline keys. Raises InvalidClient with the private reason.

        Without `may_fetch` a stored document serves however old it is: whoever gives a token back need not wait for
        a web site.
        """
        entry = self._find_current(configuration, client_id)
        if entry is None:
            now = self._clock()
            entry = await self._load(configuration, client_id, now, may_fetch=may_fetch)
            if entry.fresh_until is None or now < entry.fresh_until:
                self._keep(configuration, client_id, entry)
        return entry.client, entry.keys

    async def find_stored(
        self, configuration: TenantConfiguration, client_id: str
    ) -> Client | None:
        """The client, if it is usable as it is stored: nothing is fetched, and a document that is due does not do."""
        entry = self._find_current(configuration, client_id)
        if entry is not None:
            return None if entry.is_overdue else entry.client
        now = self._clock()
        try:
            entry = await self._load(configuration, client_id, now, may_fetch=False)
        except InvalidClient:
            return None
        if entry.fresh_until is not None and now >= entry.fresh_until:
            return None
        self._keep(configuration, client_id, entry)
        return entry.client

    def _find_current(self, configuration: TenantConfiguration, client_id: str) -> _Entry | None:
        key = (configuration.tenant.id, client_id)
        entry = self._cache.get(key)
        if entry is None or entry.version != configuration.tenant.version:
            return None
        if entry.fresh_until is not None and self._clock() >= entry.fresh_until:
            return None
        self._cache.move_to_end(key)
        return entry

    def _keep(self, configuration: TenantConfiguration, client_id: str, entry: _Entry) -> None:
        self._cache[configuration.tenant.id, client_id] = entry
        if len(self._cache) > MAX_CACHED:
            self._cache.popitem(last=False)

    async def load_remote_keys(
        self, client: Client, is_sought: Callable[[object], bool]
    ) -> Sequence[object]:
        """Keys behind `jwks_uri`; if the one sought is not there, fetched anew, at most once per interval (ATK-49)."""
        if client.jwks_uri is None:
            raise InvalidClient("client authentication failed", reason="client_without_keys")
        terms: dict[str, Any] = {
            "profile": Profile.PUBLIC,
            "max_bytes": _JWKS_BYTES,
            "floor": FLOOR,
            "ceiling": CEILING,
            "parse": import_client_keys,
        }
        try:
            keys: Sequence[object] = (await self._documents.load(client.jwks_uri, **terms)).value
            if not any(is_sought(key) for key in keys):
                keys = (await self._documents.refresh(client.jwks_uri, **terms)).value
        except NetworkError as error:
            raise InvalidClient(
                "client authentication failed", reason=f"jwks_{error.reason}"
            ) from error
        return keys

    async def _load(
        self, configuration: TenantConfiguration, client_id: str, now: datetime, *, may_fetch: bool
    ) -> _Entry:
        row = await asyncio.to_thread(again, self._find_row, configuration.tenant.id, client_id)
        version = configuration.tenant.version
        if row is None:
            return await self._load_named(configuration, client_id, may_fetch=may_fetch)
        if row.kind != "cimd":
            return self._entry(version, usable_row(row), None)
        check_identifier(client_id, configuration.trust, self._rules)
        approved = is_approved(configuration.trust, client_id)
        client, is_fresh = stored_document(row, rules=self._rules, now=now, approved=approved)
        if is_fresh or not may_fetch:
            return self._entry(version, client, row.fresh_until)
        try:
            fetched = await self._fetch(configuration, client_id, approved=approved)
        except ClientRefused as error:
            stale_until = (row.fresh_until or now) + STALE_GRACE
            if now >= stale_until or not error.reason.startswith("document_"):
                raise
            log.warning("client.document_stale", client_id=client_id, reason=error.reason)
            overdue = self._entry(version, client, min(now + timedelta(minutes=1), stale_until))
            return replace(overdue, is_overdue=True)
        await asyncio.to_thread(again, self._store, configuration, fetched)
        return self._entry(version, fetched.client, fetched.fresh_until)

    async def _load_named(
        self, configuration: TenantConfiguration, client_id: str, *, may_fetch: bool
    ) -> _Entry:
        """A document nobody has used yet is fetched if an operator named it: no stranger decides what is (CIMD-36)."""
        try:
            check_identifier(client_id, configuration.trust, self._rules)
        except ClientRefused:
            may_fetch = False
        if not may_fetch or not is_approved(configuration.trust, client_id):
            raise InvalidClient("the client is unknown", reason="client_unknown")
        fetched = await self._fetch(configuration, client_id, approved=True)
        await asyncio.to_thread(again, self._store, configuration, fetched)
        return self._entry(configuration.tenant.version, fetched.client, fetched.fresh_until)

    async def _fetch(
        self, configuration: TenantConfiguration, client_id: str, *, approved: bool
    ) -> FetchedClient:
        return await fetch(
            self._documents,
            client_id,
            tenant_id=configuration.tenant.id,
            rules=self._rules,
            max_bytes=self._max_document_bytes,
            approved=approved,
        )

    @staticmethod
    def _entry(version: int, client: Client, fresh_until: datetime | None) -> _Entry:
        keys = () if client.jwks is None else import_client_keys(client.jwks)
        return _Entry(version, client, keys, fresh_until)

    def _find_row(self, tenant_id: str, client_id: str) -> ClientRow | None:
        with self._database.read() as tx:
            return registered.find(tx, tenant_id, client_id)

    def _store(self, configuration: TenantConfiguration, fetched: FetchedClient) -> None:
        with self._database.write() as tx:
            store_document(tx, configuration, fetched, now=self._clock())


def store_document(
    tx: Any, configuration: TenantConfiguration, fetched: FetchedClient, *, now: datetime
) -> None:
    """Remember a document that a person decided about; a change is an event and bumps the version."""
    tenant_id, client = configuration.tenant.id, fetched.client
    row = registered.find(tx, tenant_id, client.id)
    if row is None:
        first = ClientRow(
            tenant_id=tenant_id,
            id=client.id,
            kind="cimd",
            status="known",
            name=client.name,
            metadata_=dict(fetched.document),
            secrets=[],
            scope_ceiling=None,
            fetched_at=fetched.fetched_at,
            fresh_until=fetched.fresh_until,
            created_at=now,
            updated_at=now,
        )
        if add_unless_there(tx, first):
            return
        row = tx.get_one(ClientRow, (tenant_id, client.id))
    changed = changed_members(row.metadata_, fetched.document)
    row.fetched_at, row.fresh_until = fetched.fetched_at, fetched.fresh_until
    if changed:
        if row.accepted is None:
            row.accepted = dict(row.metadata_)
        row.name, row.metadata_, row.updated_at = client.name, dict(fetched.document), now
        bump(tx, tenant_id)
        event = ClientDocumentChanged(client=client.id, changed=changed)
        audit.record(tx, tenant_id, event, key=configuration.audit_key, now=now)
