"""How long the audit trail is kept."""

from authz.admin import audit_holds
from authz.admin.audit_holds import LEAST_DAYS, MOST_DAYS
from authz.errors import Invalid
from authz.policy.administration import Permission
from authz.web.console.visit import Act, Answer, Done, Sure, Visit

_MOST_DIGITS = 6


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


ACT = Act("retention", set_retention)
DONE = {"kept": "That is how long events are kept from now on."}
