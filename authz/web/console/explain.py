"""After the fact: why a token holds what it holds, and why somebody was refused."""

import re

from authz.admin import denials
from authz.admin.explain import explain
from authz.errors import Invalid, NotFound
from authz.policy.administration import Permission
from authz.web.console.visit import Answer, Page, Screen, Sheet, Visit, beside

_JTI = re.compile(r"[A-Za-z0-9_-]{1,64}")
_FIELDS = {"person": "user"}
"""Of the form, where an argument is called otherwise."""
HEADINGS = ("When", "Person", "Client", "MCP server", "Tool", "Reason", "Sentence")


def show(visit: Visit) -> Answer:
    """GET /console/explain: a token by its jti, or the refusals of a person or a client."""
    jti, person, client = visit.asked("jti"), visit.asked("user"), visit.asked("client")
    found, refusals, tokens = None, None, None
    wrong: dict[str, str] = {}
    try:
        if jti:
            found = visit.read(explain, _checked(jti), visit.now)
        elif person or client:
            refusals = visit.read(
                denials.denials, visit.now, person=person or None, client=client or None
            )
            tokens = visit.read(denials.recent_tokens, person) if person else []
    except (Invalid, NotFound) as error:
        wrong = beside(error, _FIELDS)
    if visit.asked("format") == "csv" and not wrong:
        rows = [
            (it.at, it.login, it.client, it.server, it.tool, it.reason, it.sentence)
            for it in refusals or ()
        ]
        return Sheet("refusals", HEADINGS, rows)
    return Screen(
        "explain.html",
        {
            "found": found,
            "refusals": refusals,
            "tokens": tokens,
            "wrong": wrong,
            # A whole token is a secret, so it is not shown again.
            "jti": jti if _JTI.fullmatch(jti) else "",
        },
    )


def _checked(jti: str) -> str:
    """A whole token is nothing that this server looks up."""
    if _JTI.fullmatch(jti) is None:
        raise Invalid("this is not a jti: it has up to 64 letters, digits, - and _", field="jti")
    return jti


PAGE = Page("explain", "Why?", Permission.READ, show, section="Policy")
