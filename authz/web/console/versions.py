"""What policy was, what each version changed, and the way back."""

from authz.admin import versions
from authz.errors import NotFound
from authz.policy.administration import Permission
from authz.web.console.visit import Act, Answer, Done, Page, Screen, Sheet, Sure, Visit

HEADINGS = ("Version", "At", "By", "What")
_MAX_DIGITS = 18


def show(visit: Visit) -> Answer:
    """GET /console/versions."""
    asked = {"matching": visit.asked("q"), "area": visit.asked("area")}
    if visit.asked("format") == "csv":
        every = visit.gather(
            lambda tx, after, limit: versions.page(
                tx, visit.tenant_id, **asked, after=after, limit=limit
            )
        )
        rows = [(it.version, it.at, it.authors, it.changes) for it in every]
        return Sheet("versions", HEADINGS, rows)
    found = visit.read(versions.page, **asked, after=visit.asked("after") or None)
    areas = [(it, it) for it in sorted(versions.AREAS)]
    return Screen("versions.html", {"versions": found, "headings": HEADINGS, "areas": areas})


def show_one(visit: Visit) -> Answer:
    """GET /console/versions/VERSION."""
    found = visit.read(versions.show, _number(visit.path["version"]))
    return Screen("version.html", {"version": found})


def revert(visit: Visit) -> Answer:
    """POST …/revert."""
    number = _number(visit.path["version"])
    if not visit.is_sure:
        affected = [
            "MCP servers, scopes, roles, bindings and mappings become what they were then.",
            "What was added since is taken away; servers that were added are switched off.",
            "Tokens follow with their next refresh.",
        ]
        return Sure(
            f"Go back to version {number}?", "Go back", affected, visit.url(f"versions/{number}")
        )
    visit.change(versions.revert, version=number)
    return Done(visit.url(f"versions/{number}"), "reverted")


def _number(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or len(text) > _MAX_DIGITS:
        raise NotFound(f"there is no version {text[:40]!r}")
    return int(text)


PAGE = Page("versions", "Versions", Permission.READ, show, section="Policy")
ONE = Page(
    "versions/{version}",
    "Version",
    Permission.READ,
    show_one,
    (Act("revert", revert),),
    section="Policy",
    is_listed=False,
    done={"reverted": "Policy is what it was at this version."},
)
