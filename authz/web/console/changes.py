"""Changes of policy that wait for a second person or for their moment, and what became of them."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from authz.admin import changes
from authz.admin.changes import OPEN, SCHEDULED, STATUSES
from authz.errors import Invalid
from authz.net import strict_json
from authz.policy.administration import Permission
from authz.web.console.visit import Act, Answer, Done, Page, Screen, Sheet, Visit

HEADINGS = ("Change", "Reason", "Asked by", "Asked at", "Status", "Begins")


def show(visit: Visit) -> Answer:
    """GET /console/changes: those that wait, or of one status."""
    status, q = visit.asked("status"), visit.asked("q")
    if status == "all":
        wanted: tuple[str, ...] = STATUSES
    else:
        wanted = (status,) if status in STATUSES else (OPEN, SCHEDULED)
    if visit.asked("format") == "csv":
        every = visit.gather(
            lambda tx, after, limit: changes.page(
                tx, visit.tenant_id, statuses=wanted, matching=q, after=after, limit=limit
            )
        )
        rows = [
            (it.operation, it.reason, it.author_login or it.author, it.created_at, it.status, it.activate_at)
            for it in every
        ]  # fmt: skip
        return Sheet("changes", HEADINGS, rows)
    after = visit.asked("after") or None
    found = visit.read(changes.page, statuses=wanted, matching=q, after=after)
    return Screen("changes.html", {"changes": found, "headings": HEADINGS, "statuses": STATUSES})


def show_proposal(visit: Visit) -> Answer:
    """The form again: what is asked for went through the browser."""
    arguments = visit.given("arguments")
    context = {"arguments": _arguments(arguments), "as_json": arguments}
    return Screen("propose.html", {"operation": visit.given("operation"), **context})


def propose(visit: Visit) -> Answer:
    """POST …/propose: ask for what a page was about to do."""
    moment = _moment(visit.given("activate_at"))
    made = visit.perform(
        "changes.propose",
        operation=visit.given("operation"),
        arguments=_arguments(visit.given("arguments")),
        reason=visit.given("reason"),
        activate_at=None if moment is None else moment.isoformat(),
    )
    return Done(visit.url(f"changes/{made.id}"), "asked")


def show_one(visit: Visit) -> Answer:
    """GET /console/changes/ID."""
    found = visit.read(changes.show, visit.path["id"])
    is_own = _is_own(visit, found.author)
    context = {
        "change": found,
        "is_own": is_own,
        "may_foresee": changes.may_foresee(visit.operator, is_own=is_own),
    }
    return Screen("change.html", context)


def approve(visit: Visit) -> Answer:
    """POST …/approve."""
    seen = visit.given("seen") or None
    made = visit.perform(
        "changes.approve", change_id=visit.path["id"], note=visit.given("note"), seen=seen
    )
    return Done(visit.url(f"changes/{made.id}"), made.status)


def foresee(visit: Visit) -> Answer:
    """POST …/foresee: who gains and who loses, as policy is now."""
    made = visit.perform("changes.foresee", change_id=visit.path["id"])
    return Done(visit.url(f"changes/{made.id}"), "foreseen")


def refuse(visit: Visit) -> Answer:
    """POST …/refuse."""
    made = visit.change(changes.refuse, visit.path["id"], note=visit.given("note"))
    return Done(visit.url(f"changes/{made.id}"), made.status)


def withdraw(visit: Visit) -> Answer:
    """POST …/withdraw."""
    made = visit.change(changes.withdraw, visit.path["id"], note=visit.given("note"))
    return Done(visit.url(f"changes/{made.id}"), made.status)


def _is_own(visit: Visit, author: str) -> bool:
    return author == visit.operator.name


def _arguments(text: str) -> Mapping[str, Any]:
    """They went through the browser; the operation reads them as strictly as from anybody."""
    try:
        return strict_json.read_object(text.encode())
    except strict_json.NotStrict as error:
        raise Invalid(f"the change {error}", field="arguments") from None


def _moment(text: str) -> datetime | None:
    """What `datetime-local` sends, in UTC; empty is at once."""
    if not text:
        return None
    try:
        return datetime.fromisoformat(text).replace(tzinfo=UTC)
    except ValueError:
        raise Invalid(f"{text!r} is no time; write 2026-12-31T08:00", field="activate_at") from None


_DONE = {
    "foreseen": "This is who gains and who loses as policy is now.",
    "asked": "The change is asked for.",
    "applied": "The change is made.",
    "scheduled": "The change is approved and begins at its moment.",
    "refused": "The change is refused.",
    "withdrawn": "The change is withdrawn.",
}
PAGE = Page(
    "changes",
    "Changes",
    Permission.READ,
    show,
    (Act("propose", propose, again=show_proposal),),
    section="Policy",
)
ONE = Page(
    "changes/{id}",
    "Change",
    Permission.READ,
    show_one,
    (
        Act("foresee", foresee),
        Act("approve", approve),
        Act("refuse", refuse),
        Act("withdraw", withdraw),
    ),
    section="Policy",
    is_listed=False,
    done=_DONE,
)
