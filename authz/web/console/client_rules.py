"""Which clients that publish a document may be used: the mode, and rules that allow or deny."""

from authz.admin import client_trust, client_view
from authz.admin.client_metadata import check_pattern
from authz.clients.trust import MODES
from authz.errors import Invalid
from authz.policy.administration import Permission
from authz.web.console import tables
from authz.web.console.visit import Act, Answer, Done, Page, Screen, Sheet, Sure, Visit
from authz.web.console.words import counted

HEADINGS = ("Covers", "Verdict", "Since")


def show(visit: Visit) -> Answer:
    """GET /console/client-trust."""
    wanted, verdict = visit.asked("q").lower(), visit.asked("verdict")
    found = [
        it
        for it in visit.read(client_trust.rules)
        if wanted in it.pattern.lower() and verdict in ("", it.verdict)
    ]
    if visit.asked("format") == "csv":
        rows = [(it.pattern, it.verdict, it.created_at) for it in found]
        return Sheet("client-trust", HEADINGS, rows)
    mode = visit.read(client_trust.trust_policy).mode
    return Screen(
        "client_rules.html",
        {"rules": tables.page_of(visit, found), "headings": HEADINGS, "mode": mode},
    )


def set_rule(visit: Visit) -> Answer:
    """POST …/set."""
    pattern = check_pattern(visit.needed("pattern", "What the rule covers"))
    verdict = visit.given("verdict")
    asked = _sure(visit, f"Deny {pattern}?", "Deny it", rule=(pattern, verdict))
    if verdict == "deny" and asked is not None:
        return asked
    visit.change(client_trust.set_rule, pattern=pattern, verdict=verdict)
    return Done(visit.url("client-trust"), "set")


def remove_rule(visit: Visit) -> Answer:
    """POST …/remove."""
    pattern = visit.given("pattern")
    asked = _sure(visit, f"Remove the rule for {pattern}?", "Remove it", rule=(pattern, None))
    if asked is not None:
        return asked
    visit.change(client_trust.remove_rule, pattern)
    return Done(visit.url("client-trust"), "removed")


def set_mode(visit: Visit) -> Answer:
    """POST …/mode."""
    mode = visit.given("mode")
    if mode not in MODES:
        raise Invalid("Choose which clients may be used", field="mode")
    asked = _sure(visit, "Let fewer clients in?", "Change it", mode=mode)
    if asked is not None:
        return asked
    visit.perform("tenants.set_client_trust", slug=visit.configuration.tenant.slug, mode=mode)
    return Done(visit.url("client-trust"), "mode")


def _sure(
    visit: Visit,
    title: str,
    act: str,
    *,
    mode: str | None = None,
    rule: tuple[str, str | None] | None = None,
) -> Sure | None:
    """The question, where somebody loses something by it."""
    found = visit.read(client_view.fallout, visit.now, mode=mode, rule=rule)
    if visit.is_sure or not found.clients:
        return None
    grants, people = found.extent.grants, found.extent.people
    affected = [
        f"Keeps out {counted(len(found.clients), 'client')} that may be used now.",
        f"Ends the access tokens of {counted(grants, 'grant')} of {counted(people, 'person', 'people')}.",
        *found.clients[:10],
    ]
    return Sure(title, act, affected, visit.url("client-trust"))


PAGE = Page(
    "client-trust",
    "Trust rules",
    Permission.READ,
    show,
    (Act("set", set_rule), Act("remove", remove_rule), Act("mode", set_mode)),
    section="Clients",
    done={
        "set": "The rule holds from now on.",
        "removed": "The rule is removed.",
        "mode": "That is which clients may be used from now on.",
    },
)
