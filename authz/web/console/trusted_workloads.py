"""Platforms whose tokens name programs, and which of those get what: the entries, and one with its rules."""

from collections.abc import Mapping
from typing import Any

from authz.admin import roles, trust, workload_trust
from authz.admin.trust import TrustLine
from authz.errors import Invalid, NotFound
from authz.oauth.workload_presets import PRESETS
from authz.oauth.workload_rules import read_rule
from authz.oauth.workload_trust import WORKLOAD
from authz.policy.administration import Permission
from authz.web.console import accepted, members, trust_members
from authz.web.console.members import Member
from authz.web.console.tables import Form, FormField, Listing, Part, Row, listed
from authz.web.console.trust_entries import (
    DONE,
    SLUG,
    STATUSES,
    Entries,
    choices_of_servers,
    needed_slug,
    previews,
    said,
)
from authz.web.console.visit import Act, Answer, Done, Page, Screen, Sure, Visit

_PAGE = "workload-trust"
_ISSUER = "Issuer"
_RULES = {
    "name": "Rule",
    "subject": "Subject",
    "resources": "MCP servers",
    "roles": "Roles",
    "scopes": "Scopes",
}
_WONDERS = "What would it accept?"


def show(visit: Visit, context: dict[str, Any] | None = None) -> Answer:
    """GET /console/workload-trust."""
    rows = [
        Row(
            it.slug,
            (it.issuer, len(it.settings.get("rules", [])), it.created_at),
            visit.url(f"{_PAGE}/{it.slug}"),
            it.status,
        )
        for it in visit.read(trust.list_)
        if it.kind == WORKLOAD
    ]
    presets = [("", "another one"), *((name, it.product) for name, it in PRESETS.items())]
    first, more = trust_members.split(members.fields_of(trust_members.of_workloads(), {}))
    form = Form(
        "add",
        "Trust a platform",
        visit.url(f"{_PAGE}/add"),
        [
            SLUG,
            FormField("preset", "Platform", "choice", choices=presets),
            FormField("issuer", _ISSUER, hint="As its tokens say it in iss. Empty for GitHub, which has one for all."),
            *first,
        ],
        "Trust it",
        "What is left as it is, the platform decides: a known one brings its keys, algorithms and lifetimes.",
        more=more,
        preview=_WONDERS,
    )  # fmt: skip
    listing = Listing(
        _PAGE,
        "Workloads",
        "Platforms whose tokens name programs, and which of those get what.",
        ("Entry", "Status", "Issuer", "Rules", "Since"),
        rows,
        ("No platform is trusted", "Until one is, programs are clients with keys of their own. Trust one below."),
        [form] if visit.may(Permission.TRUST_WRITE) else [],
        STATUSES,
    )  # fmt: skip
    return listed(visit, listing, context)


def add(visit: Visit) -> Answer:
    """POST …/add."""
    asked = trust_members.of_workloads()
    slug = needed_slug(visit)
    settings = members.read(asked, visit)
    preset, issuer = visit.given("preset") or None, visit.given("issuer") or None
    known = None if preset is None else PRESETS.get(preset)
    if issuer is None and (known is None or known.issuer is None):
        raise Invalid(
            "This platform has an issuer for each installation; fill it in", field="issuer"
        )
    given: dict[str, Any] = {
        "slug": slug,
        "issuer": issuer,
        "settings": said(settings),
        "preset": preset,
    }
    with members.beside(asked, issuer=_ISSUER, preset="Platform"):
        if previews(visit):
            made = visit.try_out(workload_trust.add, **given)
            return show(visit, _PLATFORMS.preview(visit, made))
        visit.change(workload_trust.add, **given)
    return Done(visit.url(f"{_PAGE}/{slug}"), "added")


def show_one(visit: Visit, context: dict[str, Any] | None = None) -> Answer:
    """GET …/SLUG; with `?rule=NAME` the form has that rule in it."""
    found = _load(visit)
    rules = found.settings.get("rules", [])
    if sheet := _PART.sheet(visit, rules):
        return sheet
    asked = trust_members.of_workloads()
    one: str = f"{_PAGE}/{found.slug}"
    forms: list[Form] = []
    if visit.may(Permission.TRUST_WRITE):
        forms = [_rule_form(visit, found, one), _PLATFORMS.settings_form(visit, found)]
    shown = {
        "entry": found,
        "page": _PAGE,
        "all": "Workloads",
        "rules": _PART.page(visit, rules),
        "has_rules": bool(rules),
        "is_editable": _survives,
        "claims_of": lambda rule: list(members.claim_lines(rule.get("claims", {}))),
        "forms": forms,
        "settings": members.told(asked, found.settings),
        "is_preview": False,
        "preview": _PLATFORMS.accepted(visit, found),
    }
    return Screen("trusted.html", {**shown, **(context or {})})


def _words(rule: Mapping[str, Any]) -> str:
    said = (rule.get(name, ()) for name in ("resources", "roles", "scopes"))
    claims = members.claim_lines(rule.get("claims", {}))
    return " ".join((rule["name"], rule["subject"], *claims, *(it for part in said for it in part)))


def _gives(rule: Mapping[str, Any]) -> str:
    return "roles" if rule.get("roles") else "scopes"


_PART: Part[Mapping[str, Any]] = Part(
    "rules",
    list(_RULES.values()),
    lambda rule: [rule.get(name) for name in _RULES],
    _words,
    {"gives": _gives},
)


def allow(visit: Visit) -> Answer:
    """POST …/allow: a rule for a workload, or another one in its place."""
    found = _load(visit)
    asked = _rule_members(visit)
    rule = said(members.read(asked, visit))
    with members.beside(asked):
        if previews(visit):
            made = visit.try_out(workload_trust.allow, found.slug, rule)
            return show_one(visit, _PLATFORMS.preview(visit, made))
        visit.change(workload_trust.allow, found.slug, rule)
    return Done(visit.url(f"{_PAGE}/{found.slug}"), "allowed")


def disallow(visit: Visit) -> Answer:
    """POST …/disallow."""
    found, name = _load(visit), visit.given("name")
    back = visit.url(f"{_PAGE}/{found.slug}")
    if not visit.is_sure:
        affected = [f"{name} gets no tokens any more, and those it has end at once."]
        return Sure(f"Take the rule {name} away?", "Take it away", affected, back)
    visit.change(workload_trust.disallow, found.slug, name)
    return Done(back, "disallowed")


def _ends(found: TrustLine) -> list[str]:
    rules = len(found.settings.get("rules", []))
    return [
        f"Programs that {found.issuer} vouches for get no tokens any more: its rules ({rules}) count no longer.",
        "Tokens they have end at once.",
    ]


def _rule_form(visit: Visit, found: TrustLine, one: str) -> Form:
    # Also of a form that was sent: what the rule has and nobody could choose anew is to be found in it.
    name = visit.asked("rule") or visit.given("name")
    named = next((it for it in found.settings.get("rules", []) if it["name"] == name), None)
    rule: Mapping[str, Any] = {} if named is None or not _survives(named) else named
    preset = PRESETS.get(found.settings.get("preset", ""))
    intro = "" if preset is None else f"{preset.product} says such as {preset.example['subject']}."
    return Form(
        "allow",
        f"Change the rule {rule['name']}" if rule else "Allow a workload",
        visit.url(f"{one}/allow"),
        members.fields_of(_rule_members(visit), rule),
        "Change it" if rule else "Allow it",
        intro,
        preview="What would be accepted?",
    )


def _survives(rule: Mapping[str, Any]) -> bool:
    """Whether its claims are the same after they went through a form; names may hold its marks."""
    text = "\n".join(members.claim_lines(rule.get("claims", {})))
    try:
        again = read_rule({**rule, "claims": members.read_claims("claims", text)})
    except Invalid:
        return False
    return again.conditions == read_rule(rule).conditions


def _rule_members(visit: Visit) -> list[Member]:
    known = [(it.name, it.name) for it in visit.read(roles.heads)]
    return trust_members.of_rule(choices_of_servers(visit), known)


def _load(visit: Visit) -> TrustLine:
    found: TrustLine = visit.read(trust.show, visit.path["id"])
    if found.kind != WORKLOAD:
        raise NotFound(f"{found.slug} is trusted about people; look there")
    return found


_PLATFORMS = Entries(
    page=_PAGE,
    load=_load,
    show=trust.show,
    change=workload_trust.change,
    set_status=trust.set_status,
    remove=trust.remove,
    asked=lambda _: trust_members.of_workloads(),
    accepts=accepted.of_workloads,
    ends=_ends,
    doubt="Believe {} no longer?",
    wonders=_WONDERS,
)
PAGE = Page(
    _PAGE,
    "Workloads",
    Permission.READ,
    show,
    (Act("add", add),),
    "Trust",
    done={"removed": "It is forgotten."},
)
ONE = Page(
    f"{_PAGE}/{{id}}",
    "Workload platform",
    Permission.READ,
    show_one,
    (*_PLATFORMS.acts(show_one), Act("allow", allow), Act("disallow", disallow)),
    is_listed=False,
    done={
        **DONE,
        "allowed": "The workload gets tokens from now on.",
        "disallowed": "The rule is taken away.",
    },
)
