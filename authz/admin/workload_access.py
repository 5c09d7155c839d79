"""Which workloads an entry lets in, and the end of those that it lets in no longer."""

from collections.abc import Mapping

from sqlalchemy.orm import Session

from authz.admin.operator import Operator
from authz.admin.revocation import cut_off_clients
from authz.db.models import TrustedIssuer
from authz.oauth.workload_rules import Condition
from authz.oauth.workload_trust import WORKLOAD, WorkloadTrust, settings_of

Access = Mapping[str, frozenset[tuple[str, str, frozenset[Condition]]]]
"""Workload -> the servers it may get tokens for, each with whom its rule means."""


def workloads_of(entry: TrustedIssuer) -> dict[str, str]:
    """What tokens call the workloads of an entry -> the rule of each by name; nothing for one about people."""
    if entry.kind != WORKLOAD:
        return {}
    trust = WorkloadTrust(entry.id, entry.slug, entry.issuer, settings_of(entry.settings))
    return {trust.id_of(rule): rule.name for rule in trust.settings.rules}


def access_of(entry: TrustedIssuer) -> Access:
    """As the entry is now; nothing for one that is switched off, or about people."""
    if entry.kind != WORKLOAD or entry.status != "active":
        return {}
    trust = WorkloadTrust(entry.id, entry.slug, entry.issuer, settings_of(entry.settings))
    return {
        trust.id_of(rule): frozenset((it, rule.subject, rule.conditions) for it in rule.resources)
        for rule in trust.settings.rules
    }


def cut_off_fallen(
    tx: Session, operator: Operator, tenant_id: str, before: Access, after: Access
) -> None:
    """End the access tokens of workloads that lost a server, or are somebody else from now on."""
    fallen = [it for it, access in before.items() if access - after.get(it, frozenset())]
    cut_off_clients(tx, operator, tenant_id, fallen)
