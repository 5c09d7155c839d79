"""What of the audit trail is kept, and who else is told it: retention, legal holds, and sinks (issue 7)."""

from typing import Any

from authz.admin import audit, audit_holds, audit_sinks
from authz.admin.audit_holds import LEAST_DAYS, MOST_DAYS
from authz.errors import Invalid
from authz.policy.administration import Permission
from authz.tenants import DEFAULT_SLUG
from authz.web.console import fields
from authz.web.console.visit import Act, Answer, Done, Sure, Visit

_MOST_DIGITS = 6


def shown(visit: Visit) -> dict[str, Any]:
    """What the page says of it."""
    holds = visit.read(audit_holds.list_, visit.now)
    # Sinks are addresses and failures of the installation: nothing of a tenant that only lives in it.
    is_base = visit.configuration.tenant.slug == DEFAULT_SLUG
    settings = visit.edge.services.settings.audit
    return {
        "holds": holds,
        "holders": visit.read(audit.names_of, {it.placed_by for it in holds}),
        "retention": visit.read(audit_holds.retention),
        "sinks": visit.look(lambda tx: audit_sinks.list_(tx, settings)) if is_base else None,
    }


def place(visit: Visit) -> Answer:
    """POST …/hold: of a person, or of the whole tenant."""
    reason = visit.needed("why", "The reason")
    person, until = visit.given("whom") or None, fields.end(visit, "hold_until")
    visit.change(audit_holds.place, reason=reason, person=person, until=until)
    return Done(visit.url("audit"), "held")


def release(visit: Visit) -> Answer:
    """POST …/release: what is older than the retention goes."""
    visit.operator.must(Permission.ADMINS_WRITE)
    hold = visit.given("hold")
    if not visit.is_sure:
        line = visit.read(audit_holds.show, hold, visit.now)
        whose = "of the whole tenant" if line.subject is None else f"about {line.login or line.subject}"  # fmt: skip
        days = visit.read(audit_holds.retention).days
        gone = (
            "Events are kept for ever here, so nothing is removed now."
            if days is None
            else f"Events {whose} that are older than {days} days are removed within the hour, for good."
        )
        affected = [f"It was placed because: {line.reason}", gone, "Other holds stay."]
        return Sure(f"Release the hold {whose}?", "Release it", affected, visit.url("audit"))
    visit.change(audit_holds.release, hold)
    return Done(visit.url("audit"), "released")


def set_retention(visit: Visit) -> Answer:
    """POST …/retention: an empty field is for ever."""
    visit.operator.must(Permission.ADMINS_WRITE)
    text = visit.given("days")
    if text and not (text.isascii() and text.isdecimal() and len(text) <= _MOST_DIGITS):
        raise Invalid("Give a whole number of days, or nothing for ever", field="days")
    days, before = int(text) if text else None, visit.read(audit_holds.retention).days
    is_shorter = days is not None and LEAST_DAYS <= days < (before or MOST_DAYS + 1)
    if is_shorter and not visit.is_sure:
        affected = [
            f"Events that are older than {days} days are removed within the hour, for good.",
            "What a legal hold keeps stays, and what a sink has not taken yet.",
        ]
        title = f"Keep events for {days} days only?"
        return Sure(title, "Keep them so long", affected, visit.url("audit"))
    visit.change(audit_holds.set_retention, days=days)
    return Done(visit.url("audit"), "kept")


_HOLD = {"reason": "why", "person": "whom", "until": "hold_until"}
ACTS = (Act("hold", place, _HOLD), Act("release", release), Act("retention", set_retention))
DONE = {
    "held": "It is kept until the hold is released.",
    "released": "The hold is released.",
    "kept": "That is how long events are kept from now on.",
}
