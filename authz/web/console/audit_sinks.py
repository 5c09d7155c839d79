"""Who else is told the audit trail, and how far each of them is."""

from authz.admin import audit_sinks
from authz.policy.administration import Permission
from authz.tenants import DEFAULT_SLUG
from authz.web.console.tables import Listing, Row, listed
from authz.web.console.visit import Answer, Page, Visit

_STATES = (("delivering", "Delivering"), ("failing", "Failing"), ("waiting", "Waiting"))
_NONE = ("No sink", "Sinks are named in the configuration of the installation: [[audit.sink]].")
_ELSEWHERE = (
    "Nothing to see here",
    "Sinks are of the installation; its default tenant shows them.",
)


def show(visit: Visit) -> Answer:
    """GET /console/audit-sinks: without where, which may be a secret."""
    # Sinks are addresses and failures of the installation: nothing of a tenant that only lives in it.
    is_base = visit.configuration.tenant.slug == DEFAULT_SLUG
    settings = visit.edge.services.settings.audit
    found = visit.look(lambda tx: audit_sinks.list_(tx, settings)) if is_base else []
    rows = []
    for it in found:
        failure = it.last_failure if it.failures else None
        cells = (f"{it.kind}, {it.format}", it.lag, it.delivered_at, failure)
        rows.append(Row(it.name, cells, "", it.state))
    return listed(
        visit,
        Listing(
            "audit-sinks",
            "Audit sinks",
            "Who else is told every event. One that fails is told again; nothing is removed that one has not taken.",
            ("Sink", "Status", "Kind", "Events behind", "Took the last", "Last failure"),
            rows,
            _NONE if is_base else _ELSEWHERE,
            statuses=_STATES,
        ),
    )  # fmt: skip


PAGE = Page("audit-sinks", "Audit sinks", Permission.AUDIT_READ, show, section="Access")
