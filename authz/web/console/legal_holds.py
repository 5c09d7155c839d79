"""Legal holds: what of the audit trail is kept whatever its age, by whom and why."""

from authz.admin import audit, audit_holds
from authz.admin.audit_holds import HoldLine
from authz.policy.administration import Permission
from authz.web.console import fields
from authz.web.console.tables import Form, FormField, Listing, Row, RowAct, listed
from authz.web.console.visit import Act, Answer, Done, Page, Sure, Visit

_PAGE = "legal-holds"
_STATES = (("active", "Active"), ("released", "Released"), ("over", "Over"))


def show(visit: Visit) -> Answer:
    """GET /console/legal-holds: also those that are over."""
    can_write = visit.may(Permission.ADMINS_WRITE)
    holds = visit.read(audit_holds.list_, visit.now)
    names = visit.read(audit.names_of, {it.placed_by for it in holds})
    rows = []
    for it in holds:
        ends = it.released_at or it.until or "until it is released"
        cells = (it.reason, names.get(it.placed_by, it.placed_by), it.placed_at, ends)
        act = RowAct(visit.url(f"{_PAGE}/release"), "Release", {"hold": it.id})
        acts = [act] if can_write and it.is_active else []
        rows.append(Row(_whose(it), cells, "", _state(it), acts))
    form = Form(
        "place",
        "Place a hold",
        visit.url(f"{_PAGE}/place"),
        [
            FormField("reason", "Why", required=True),
            FormField("person", "Of whom", hint="A login or an id. Empty: the whole tenant."),
            FormField("until", "Until the end of", "date", "Empty: until it is released."),
        ],
        "Place it",
        "Who placed it and why stands in the trail itself.",
    )
    return listed(
        visit,
        Listing(
            _PAGE,
            "Legal holds",
            "Nothing of the audit trail that a hold is about is removed until it ends, whatever age it has.",
            ("Of", "Status", "Why", "Placed by", "Placed", "Ends"),
            rows,
            ("No legal hold", "Events go at the age that the audit trail is kept for, if it has one."),
            [form] if can_write else [],
            _STATES,
        ),
    )  # fmt: skip


def place(visit: Visit) -> Answer:
    """POST …/place: of a person, or of the whole tenant."""
    visit.change(
        audit_holds.place,
        reason=visit.needed("reason", "The reason"),
        person=visit.given("person") or None,
        until=fields.end(visit),
    )
    return Done(visit.url(_PAGE), "placed")


def release(visit: Visit) -> Answer:
    """POST …/release: what is older than the retention goes."""
    visit.operator.must(Permission.ADMINS_WRITE)
    hold = visit.given("hold")
    if not visit.is_sure:
        line = visit.read(audit_holds.show, hold, visit.now)
        whose = "of the whole tenant" if line.subject is None else f"about {_whose(line)}"
        days = visit.read(audit_holds.retention).days
        gone = (
            "Events are kept for ever here, so nothing is removed now."
            if days is None
            else f"Events {whose} that are older than {days} days are removed within the hour, for good."
        )
        affected = [f"It was placed because: {line.reason}", gone, "Other holds stay."]
        return Sure(f"Release the hold {whose}?", "Release it", affected, visit.url(_PAGE))
    visit.change(audit_holds.release, hold)
    return Done(visit.url(_PAGE), "released")


def _whose(line: HoldLine) -> str:
    return "the whole tenant" if line.subject is None else line.login or line.subject


def _state(line: HoldLine) -> str:
    if line.is_active:
        return "active"
    return "released" if line.released_at else "over"


PAGE = Page(
    _PAGE,
    "Legal holds",
    Permission.AUDIT_READ,
    show,
    (Act("place", place), Act("release", release)),
    section="Access",
    done={
        "placed": "It is kept until the hold is released.",
        "released": "The hold is released.",
    },
)
