"""The cache of tenants' configurations that is never stale.

Read under `config_version`: the plain lane checks the number in the transaction that uses the value, the token lane in
the transaction of the batch. A change bumps the number in its own transaction (`db.versions`), so no message bus is
needed.
"""

import threading
from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from authz.db import direct
from authz.db.models import Tenant as TenantRow
from authz.db.statements import AnyOf, Query, Row
from authz.envelope import Envelope
from authz.keys import Custody
from authz.oauth.configuration import TenantConfiguration
from authz.oauth.configuration_queries import QUERIES
from authz.oauth.configuration_rows import build_all

_VERSION = Query(
    select(TenantRow.id, TenantRow.config_version).where(AnyOf(TenantRow.slug, "slugs"))
)


class Configurations:
    """The cache of this process, and how to fill it."""

    def __init__(self, issuer: str, envelope: Envelope, custody: Custody | None = None) -> None:
        """Without a `custody` keys that are elsewhere verify and do not sign."""
        self._issuer = issuer
        self._custody = custody
        self._envelope = envelope
        self._by_id: dict[str, TenantConfiguration] = {}
        self._ids: dict[str, str] = {}
        self._lock = threading.Lock()

    def find_known(self, slug: str) -> TenantConfiguration | None:
        """What this process last saw; may be behind, so decide nothing on it without checking its version."""
        tenant_id = self._ids.get(slug)
        return None if tenant_id is None else self._by_id.get(tenant_id)

    def find_by_id(self, tenant_id: str) -> TenantConfiguration | None:
        """As `find_known`, by id."""
        return self._by_id.get(tenant_id)

    def find(self, tx: Session, slug: str) -> TenantConfiguration | None:
        """The tenant as of this transaction; None when there is no such tenant or it is disabled."""
        found = direct.fetch(tx, _VERSION(slugs=[slug]))
        if not found:
            return None
        tenant_id, version = found[0]
        known = self._by_id.get(tenant_id)
        if known is None or known.tenant.version != version:
            known = self.load(tx, tenant_id)
        return known if known.tenant.enabled else None

    def load(self, tx: Session, tenant_id: str) -> TenantConfiguration:
        """Read it from the rows of this transaction and remember it."""
        engine = "sqlite" if tx.get_bind().dialect.name == "sqlite" else "postgresql"
        connection = tx.connection()
        rows = []
        for query in QUERIES.values():
            call = query(tenants=[tenant_id])
            raw = connection.exec_driver_sql(
                query.text(engine), query.parameters(engine, call.values)
            )
            rows.append(query.rows(engine, (tuple(row) for row in raw)))
        return self.install(rows)[tenant_id]

    def install(self, rows: Sequence[list[Row]]) -> dict[str, TenantConfiguration]:
        """Build from the rows of `QUERIES`, in their order, and remember; an older version never replaces a newer."""
        built = build_all(
            dict(zip(QUERIES, rows, strict=True)), self._issuer, self._envelope, self._custody
        )
        with self._lock:
            for id_, configuration in built.items():
                known = self._by_id.get(id_)
                if known is None or known.tenant.version <= configuration.tenant.version:
                    self._by_id[id_] = configuration
                    self._ids[configuration.tenant.slug] = id_
        return built
