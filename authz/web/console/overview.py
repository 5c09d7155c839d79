"""The first page: what is live, what is denied and why, how ready it all is, and what needs somebody soon."""

from sqlalchemy.orm import Session

from authz.admin import overview, readiness
from authz.admin.overview import Overview
from authz.admin.readiness import Readiness
from authz.admin.sentences import sentence_of
from authz.policy.administration import Permission
from authz.web.console.visit import Page, Screen, Visit


def show(visit: Visit) -> Screen:
    """GET /console."""

    def look(tx: Session) -> tuple[Overview, Readiness]:
        found = overview.load(tx, visit.tenant_id, visit.now)
        return found, readiness.judge(tx, visit.tenant_id, visit.now)

    found, report = visit.look(look)
    context = {"overview": found, "readiness": report, "sentence_of": sentence_of}
    return Screen("overview.html", context)


PAGE = Page("", "Overview", Permission.READ, show)
