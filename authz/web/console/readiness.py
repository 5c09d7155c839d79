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
    return Screen("readiness.html", {"report": report, "places": _PLACES})


_PLACES = {
    "Identity": (
        ("connections", "Identity providers"),
        ("domains", "Domains"),
        ("people", "People"),
    ),
    "Leaving": (
        ("scim-tokens", "Provisioning"),
        ("signal-streams", "Security signals"),
        ("offboarding", "Offboarding clock"),
    ),
    "Least privilege": (("servers", "MCP servers"),),
    "Clients": (
        ("client-trust", "Trust rules"),
        ("client-registration", "Self-registration"),
        ("client-requests", "Requests"),
    ),
    "Agents": (("agents", "Agents"),),
    "Responsibility": (
        ("servers", "MCP servers"),
        ("administrators", "Administrators"),
        ("settings", "Settings"),
        ("reviews", "Access reviews"),
    ),
    "Keys": (("keys", "Signing keys"),),
    "Evidence": (("audit", "Audit trail"),),
}
"""Where each part is mended."""
PAGE = Page("readiness", "Readiness", Permission.READ, show, section="System")
