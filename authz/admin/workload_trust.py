"""Issuers of workloads: whose tokens name programs, and which of them get what (WIF-02)."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from authz import entropy
from authz.admin import resources, roles
from authz.admin.operator import Operator
from authz.admin.trust import TrustLine, check_slug, line_of, load
from authz.admin.workload_access import access_of, cut_off_fallen
from authz.db.models import TrustedIssuer
from authz.errors import Conflict, Invalid, NotFound, about
from authz.oauth.workload_presets import PRESETS
from authz.oauth.workload_rules import WorkloadRule
from authz.oauth.workload_trust import (
    WORKLOAD,
    WorkloadSettings,
    check_issuer,
    check_settings,
    settings_of,
)
from authz.policy.administration import Permission


def add(
    tx: Session,
    operator: Operator,
    tenant_id: str,
    *,
    slug: str,
    issuer: str | None,
    settings: Mapping[str, Any],
    preset: str | None = None,
) -> TrustLine:
    """Believe an issuer about workloads; what they may do are its rules. Raises Invalid naming the member, Conflict."""
    operator.must(Permission.TRUST_WRITE)
    check_slug(tx, tenant_id, slug)
    issuer, given = with_preset(issuer, settings, preset)
    check_issuer(issuer)
    _check_free(tx, tenant_id, issuer)
    entry = TrustedIssuer(
        id=entropy.new_id("tru"),
        tenant_id=tenant_id,
        slug=slug,
        kind=WORKLOAD,
        connection_id=None,
        issuer=issuer,
        status="active",
        settings=_checked(tx, tenant_id, issuer, given).as_json(),
        created_at=operator.now,
        updated_at=operator.now,
    )
    tx.add(entry)
    tx.flush()
    values = {"kind": WORKLOAD, "issuer": issuer, "settings": entry.settings}
    operator.changed(tx, tenant_id, "trust.add", slug, values)
    return line_of(entry, None)


def with_preset(
    issuer: str | None, settings: Mapping[str, Any], preset: str | None
) -> tuple[str, dict[str, Any]]:
    """Issuer and settings, with what a preset says of both where they say nothing. Raises Invalid."""
    given = dict(settings)
    if preset is not None:
        if preset not in PRESETS:
            raise Invalid(f"preset {preset!r} is not one of {', '.join(PRESETS)}", field="preset")
        issuer = issuer or PRESETS[preset].issuer
        taken = dict(PRESETS[preset].settings)
        if "jwks" in given:
            taken.pop("jwks_uri", None)
        given = {**taken, **given, "preset": preset}
    if issuer is None:
        raise Invalid("an issuer of workloads has an issuer; name it with --issuer", field="issuer")
    return issuer, given


def change(
    tx: Session, operator: Operator, tenant_id: str, slug: str, settings: Mapping[str, Any]
) -> TrustLine:
    """Change what is given; a null takes a member back to its default."""
    operator.must(Permission.TRUST_WRITE)
    entry = _load(tx, tenant_id, slug)
    merged = {**entry.settings, **settings}
    given = {name: value for name, value in merged.items() if value is not None}
    return _store(tx, operator, entry, _checked(tx, tenant_id, entry.issuer, given), dict(settings))


def allow(
    tx: Session, operator: Operator, tenant_id: str, slug: str, rule: Mapping[str, Any]
) -> TrustLine:
    """Add a rule, or put it in the place of the one with its name: the workload stays the same."""
    operator.must(Permission.TRUST_WRITE)
    entry = _load(tx, tenant_id, slug)
    others = [it for it in entry.settings.get("rules", []) if it["name"] != rule.get("name")]
    given = {**entry.settings, "rules": [*others, dict(rule)]}
    return _store(
        tx, operator, entry, _checked(tx, tenant_id, entry.issuer, given), {"rule": dict(rule)}
    )


def disallow(
    tx: Session, operator: Operator, tenant_id: str, slug: str, workload: str
) -> TrustLine:
    """Take a rule away, and end the access tokens of the workload it let in."""
    operator.must(Permission.TRUST_WRITE)
    entry = _load(tx, tenant_id, slug)
    settings = settings_of(entry.settings)
    kept = tuple(rule for rule in settings.rules if rule.name != workload)
    if len(kept) == len(settings.rules):
        raise NotFound(f"{slug} has no rule {workload!r}; `authz trust show {slug}` shows them")
    return _store(tx, operator, entry, replace(settings, rules=kept), {"without": workload})


def _store(
    tx: Session,
    operator: Operator,
    entry: TrustedIssuer,
    settings: WorkloadSettings,
    values: Mapping[str, Any],
) -> TrustLine:
    before = access_of(entry)
    entry.settings, entry.updated_at = settings.as_json(), operator.now
    tx.flush()
    cut_off_fallen(tx, operator, entry.tenant_id, before, access_of(entry))
    operator.changed(tx, entry.tenant_id, "trust.change", entry.slug, {"settings": values})
    return line_of(entry, None)


def _checked(
    tx: Session, tenant_id: str, issuer: str, given: Mapping[str, Any]
) -> WorkloadSettings:
    settings = check_settings(given, issuer)
    return replace(settings, rules=tuple(_known(tx, tenant_id, rule) for rule in settings.rules))


def _known(tx: Session, tenant_id: str, rule: WorkloadRule) -> WorkloadRule:
    """With the servers as they are spelled here. Raises NotFound."""
    with about("roles"):
        for name in rule.roles:
            roles.load(tx, tenant_id, name)
    with about("resources"):
        found = [resources.load(tx, tenant_id, it).identifier for it in rule.resources]
    return replace(rule, resources=tuple(dict.fromkeys(found)))


def _check_free(tx: Session, tenant_id: str, issuer: str) -> None:
    other = tx.scalars(
        select(TrustedIssuer.slug).where(
            TrustedIssuer.tenant_id == tenant_id, TrustedIssuer.issuer == issuer
        )
    ).first()
    if other is not None:
        raise Conflict(
            f"{other} speaks for {issuer} already; add a rule to it: authz trust allow",
            field="issuer",
        )


def _load(tx: Session, tenant_id: str, slug: str) -> TrustedIssuer:
    entry, _ = load(tx, tenant_id, slug)
    if entry.kind != WORKLOAD:
        raise Conflict(f"{slug} is trusted about people; rules are for issuers of workloads")
    return entry
