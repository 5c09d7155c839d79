"""Whose metadata documents are admitted, as entries."""

from collections.abc import Sequence

from authz.admin import client_trust
from authz.admin.code.kind import Site
from authz.policy.code.entries import Change, Entries


def current(site: Site) -> Entries:
    """All of them."""
    return {
        it.pattern: {"verdict": it.verdict} for it in client_trust.rules(site.tx, site.tenant_id)
    }


def wanted(site: Site, current: Entries) -> Entries | None:  # noqa: ARG001
    """As they are written."""
    return site.written.entries.get("client_rules")


def write(site: Site, changes: Sequence[Change]) -> None:
    """Allow and deny."""
    for change in changes:
        if change.after is not None:
            with site.at(change):
                client_trust.set_rule(
                    site.tx,
                    site.operator,
                    site.tenant_id,
                    pattern=change.name,
                    verdict=change.after["verdict"],
                )


def forget(site: Site, changes: Sequence[Change]) -> None:
    """Nothing is said of it any more."""
    for change in changes:
        if change.after is None:
            client_trust.remove_rule(site.tx, site.operator, site.tenant_id, change.name)
