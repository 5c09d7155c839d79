"""Clients that people asked for: approve or refuse."""

from authz.admin import client_trust, client_view
from authz.policy.administration import Permission
from authz.web.console.visit import Act, Answer, Done, Page, Screen, Sheet, Visit

HEADINGS = ("Client", "Asked for by", "Since", "Status", "Decided by", "Decided")


def show(visit: Visit) -> Answer:
    """GET /console/client-requests: those that are open, unless another status is asked for."""
    status = "" if visit.asked("status") == "all" else visit.asked("status") or "open"
    if visit.asked("format") == "csv":
        found = visit.gather(
            lambda tx, after, limit: client_view.requests_page(
                tx, visit.tenant_id, status=status, q=visit.asked("q"), after=after, limit=limit
            )
        )
        rows = [
            (
                it.client_id,
                login or it.user_id,
                it.created_at,
                it.status,
                it.decided_by,
                it.decided_at,
            )
            for it, login in found
        ]
        return Sheet("client-requests", HEADINGS, rows)
    page = visit.read(
        client_view.requests_page,
        status=status,
        q=visit.asked("q"),
        after=visit.asked("after") or None,
    )
    return Screen("client_requests.html", {"requests": page, "headings": HEADINGS})


def approve(visit: Visit) -> Answer:
    """POST …/approve: a rule that allows exactly this document."""
    visit.change(client_trust.approve, visit.given("client_id"))
    return Done(visit.url("client-requests"), "approved")


def refuse(visit: Visit) -> Answer:
    """POST …/refuse."""
    visit.change(client_trust.refuse, visit.given("client_id"))
    return Done(visit.url("client-requests"), "refused")


PAGE = Page(
    "client-requests",
    "Requests",
    Permission.READ,
    show,
    (Act("approve", approve), Act("refuse", refuse)),
    section="Clients",
    done={
        "approved": "The client is approved. Whoever asked for it can use it now.",
        "refused": "The request is refused. Nothing else changes.",
    },
)
