"""Which workloads an entry lets in, and the end of those that it lets in no longer."""

from collections.abc import Mapping

from sqlalchemy.orm import Session

from authz.admin.operator import Operator
from authz.admin.revocation import cut_off_clients
from authz.db.models import TrustedIssuer
from authz.oauth.workload_trust import WORKLOAD, WorkloadTrust, settings_of

Access = Mapping[str, frozenset[str]]
"""Workload -> the servers it may get tokens for."""


def access_of(entry: TrustedIssuer) -> Access:
    """As the entry is now; nothing for one that is switched off, or about people."""
    if entry.kind != WORKLOAD or entry.status != "active":
        return {}
    trust = WorkloadTrust(entry.id, entry.slug, entry.issuer, settings_of(entry.settings))
    return {trust.id_of(rule): frozenset(rule.resources) for rule in trust.settings.rules}


def cut_off_fallen(
    tx: Session, operator: Operator, tenant_id: str, before: Access, after: Access
) -> None:
    """End the access tokens of workloads that lost a server, or all."""
    fallen = [it for it, servers in before.items() if servers - after.get(it, frozenset())]
    cut_off_clients(tx, operator, tenant_id, fallen)
