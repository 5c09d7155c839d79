"""The first page: what is live, what is denied and why, and what needs somebody soon."""

from authz.admin import overview
from authz.policy.administration import Permission
from authz.web.console.visit import Page, Screen, Visit


def show(visit: Visit) -> Screen:
    """GET /console."""
    found = visit.read(overview.load, visit.now)
    return Screen("overview.html", {"overview": found, "bars": found.minutes})


PAGE = Page("", "Overview", Permission.READ, show)
