"""Agents: the fleet, and one more."""

from authz.admin import agents, simulate
from authz.errors import Invalid
from authz.policy.administration import Permission
from authz.web.console import tables
from authz.web.console.fields import end, listed
from authz.web.console.visit import Act, Answer, Done, Page, Screen, Sheet, Visit

HEADINGS = ("Agent", "For", "Answers for it", "Status", "Live grants", "Last used", "Until")
STATUSES = ("active", "dormant", "killed")


def show(visit: Visit) -> Answer:
    """GET /console/agents."""
    wanted, status = visit.asked("q").lower(), visit.asked("status")
    found = [
        it
        for it in visit.read(agents.list_, visit.now)
        if wanted in f"{it.slug} {it.purpose} {it.owner}".lower() and status in ("", it.status)
    ]
    if visit.asked("format") == "csv":
        rows = [
            (it.slug, it.purpose, it.owner, it.status, it.live_grants, it.used_at, it.expires_at)
            for it in found
        ]
        return Sheet("agents", HEADINGS, rows)
    return Screen(
        "agents.html",
        {
            "agents": tables.page_of(visit, found),
            "headings": HEADINGS,
            "statuses": [(it, it) for it in STATUSES],
            "servers": [(it.id, it.identifier) for it in simulate.servers(visit.configuration)],
            "usual_days": agents.DEFAULT_DORMANT_DAYS,
        },
    )


def add(visit: Visit) -> Answer:
    """POST …/add."""
    made = visit.change(
        agents.add,
        slug=visit.needed("slug", "The name"),
        purpose=visit.needed("purpose", "The purpose"),
        owner=visit.needed("owner", "Who answers for it"),
        servers=list(visit.all_given("servers")),
        clients_=visit.given("clients").split(),
        scopes=listed(visit.given("scopes")) or None,
        expires_at=end(visit),
        dormant_after_days=days(visit),
    )
    return Done(visit.url(f"agents/{made.id}"), "added")


def days(visit: Visit) -> int:
    """Of the field `dormant_after`. Raises Invalid."""
    text = visit.given("dormant_after")
    if not text.isdecimal() or len(text) > 5:
        raise Invalid("Give a whole number of days", field="dormant_after")
    return int(text)


ARGUMENTS = {"expires_at": "until", "dormant_after_days": "dormant_after"}
PAGE = Page(
    "agents",
    "Agents",
    Permission.READ,
    show,
    (Act("add", add, ARGUMENTS),),
    section="Clients",
)
