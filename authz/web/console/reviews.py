"""Access reviews: the campaigns, and one with what is to be answered for."""

from datetime import UTC, datetime

from authz.admin import resources, reviews
from authz.admin.reviews import EXPIRED, GONE, KEPT, OPEN, REMOVED
from authz.errors import Invalid
from authz.policy.administration import Permission
from authz.web.console import tables
from authz.web.console.visit import Act, Answer, Done, Page, Screen, Sheet, Sure, Visit

HEADINGS = ("Review", "Due", "Open", "Kept", "Removed")
STATES = ("open", "closed")
_ANSWERS = (KEPT, REMOVED, EXPIRED, GONE)
_ITEMS = ("What", "Owner", "Decision", "By", "At")


def show(visit: Visit) -> Answer:
    """GET /console/reviews."""
    wanted, state = visit.asked("q").lower(), visit.asked("state")
    found = [
        it
        for it in visit.read(reviews.list_)
        if wanted in it.name.lower() and state in ("", "closed" if it.closed_at else "open")
    ]
    if visit.asked("format") == "csv":
        rows = [(it.name, it.due_at, it.open, it.kept, it.removed) for it in found]
        return Sheet("reviews", HEADINGS, rows)
    servers = [(it.id, it.identifier) for it in visit.read(resources.list_)]
    return Screen(
        "reviews.html",
        {
            "reviews": tables.page_of(visit, found),
            "headings": HEADINGS,
            "states": [(it, it) for it in STATES],
            "servers": servers,
        },
    )


def start(visit: Visit) -> Answer:
    """POST …/start."""
    made = visit.change(
        reviews.start,
        name=visit.needed("name", "The name"),
        due_at=_day(visit.needed("due_at", "The day it is due")),
        server=visit.given("server") or None,
    )
    return Done(visit.url(f"reviews/{made.id}"), "started")


def show_one(visit: Visit) -> Answer:
    """GET /console/reviews/ID: what is open, or what was decided."""
    review_id = visit.path["id"]
    found = visit.read(reviews.show, review_id)
    shown = visit.asked("show")
    wanted = _ANSWERS if shown == "decided" else (shown,) if shown in _ANSWERS else (OPEN,)
    matching = visit.asked("q")
    if visit.asked("format") == "csv":
        every = visit.gather(
            lambda tx, after, limit: reviews.page(
                tx,
                visit.tenant_id,
                review_id,
                decisions=wanted,
                matching=matching,
                after=after,
                limit=limit,
            )
        )
        rows = [(it.label, it.owner, it.decision, it.decided_by, it.decided_at) for it in every]
        return Sheet("review", _ITEMS, rows)
    items = visit.read(
        reviews.page,
        review_id,
        decisions=wanted,
        matching=matching,
        after=visit.asked("after") or None,
    )
    return Screen("review.html", {"review": found, "items": items, "answers": _ANSWERS})


def keep(visit: Visit) -> Answer:
    """POST …/keep."""
    visit.change(reviews.keep, visit.given("item"))
    return Done(visit.url(f"reviews/{visit.path['id']}"), "kept")


def remove(visit: Visit) -> Answer:
    """POST …/remove."""
    back = visit.url(f"reviews/{visit.path['id']}")
    if not visit.is_sure:
        affected = ["Whoever has it by this alone is without it from the next refresh on."]
        return Sure("Remove this access?", "Remove", affected, back)
    visit.change(reviews.remove, visit.given("item"))
    return Done(back, "removed")


def _day(text: str) -> datetime:
    """What `date` sends: due at the end of that day, in UTC."""
    try:
        return datetime.fromisoformat(text).replace(hour=23, minute=59, second=59, tzinfo=UTC)
    except ValueError:
        raise Invalid(f"{text!r} is no day; write 2026-12-31", field="due_at") from None


PAGE = Page(
    "reviews", "Access reviews", Permission.READ, show, (Act("start", start),), section="Policy"
)
ONE = Page(
    "reviews/{id}",
    "Access review",
    Permission.READ,
    show_one,
    (Act("keep", keep), Act("remove", remove)),
    section="Policy",
    is_listed=False,
    done={
        "started": "The review has begun. Whatever nobody answers for is removed when it is due.",
        "kept": "Kept.",
        "removed": "Removed.",
    },
)
