"""Whether the installation is ready for a company: eight questions with evidence."""

from authz.admin import readiness
from authz.policy.administration import Permission
from authz.web.console.visit import Answer, Page, Screen, Sheet, Visit


def show(visit: Visit) -> Answer:
    """GET /console/readiness."""
    report = visit.read(readiness.judge, visit.now)
    if visit.asked("format") == "csv":
        rows = [
            (part.name, "pass" if check.passed else "fail", check.evidence)
            for part in report.parts
            for check in part.checks
        ]
        return Sheet("readiness", ("Part", "Result", "Evidence"), rows)
    return Screen("readiness.html", {"report": report})


PAGE = Page("readiness", "Readiness", Permission.READ, show, section="System")
