"""Whose assertions are trusted, about people (ID-JAG) and about workloads: the entries, and one with its rules."""

import dataclasses
import json
from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy.orm import Session

from authz.admin import connections, trust, workload_trust
from authz.admin.trust import TrustLine
from authz.net import strict_json
from authz.oauth.trust import ID_JAG, TrustSettings
from authz.oauth.workload_presets import PRESETS
from authz.oauth.workload_trust import WORKLOAD, WorkloadSettings
from authz.policy.administration import Permission
from authz.web.console.tables import Form, FormField, Listing, Row, listed
from authz.web.console.visit import Act, Answer, Done, FieldError, Page, Screen, Sure, Visit

_STATUSES = (("active", "Active"), ("disabled", "Switched off"))
_PAGES = {ID_JAG: "id-jag-trust", WORKLOAD: "workload-trust"}
_RULE = {"name": "…", "subject": "…", "resources": ["…"], "roles": ["…"]}
_MODELS: Mapping[str, type] = {ID_JAG: TrustSettings, WORKLOAD: WorkloadSettings}


def show_people(visit: Visit) -> Answer:
    """GET /console/id-jag-trust."""
    own = [("", "a connection of its own"), *_connections(visit)]
    form = Form(
        "add",
        "Trust an issuer",
        visit.url("id-jag-trust/add"),
        [
            FormField("slug", "Short name", required=True),
            FormField("issuer", "Issuer", hint="As its assertions say it.", required=True),
            FormField("connection", "Whose people it speaks of", "choice", choices=own),
            _settings_field(ID_JAG, '{"jwks_uri": "https://…"}'),
        ],
        "Trust it",
    )
    text = "Identity providers whose assertions about people (ID-JAG) are redeemed for access tokens, and how far."
    empty = ("No issuer is trusted", "Until one is, people sign in here or at an identity provider.")  # fmt: skip
    return _listing(visit, ID_JAG, ("Issuers of ID-JAGs", text), empty, form)


def show_workloads(visit: Visit) -> Answer:
    """GET /console/workload-trust."""
    presets = [("", "none"), *((name, it.product) for name, it in PRESETS.items())]
    form = Form(
        "add",
        "Trust a platform",
        visit.url("workload-trust/add"),
        [
            FormField("slug", "Short name", required=True),
            FormField("preset", "Platform", "choice", choices=presets),
            FormField("issuer", "Issuer", hint="Empty where the platform has one for everybody."),
            _settings_field(WORKLOAD, "{}"),
        ],
        "Trust it",
    )
    text = "Platforms whose tokens name programs, and which of those get what."
    empty = ("No platform is trusted", "Until one is, programs are clients with keys of their own.")
    return _listing(visit, WORKLOAD, ("Workloads", text), empty, form)


def add_people(visit: Visit) -> Answer:
    """POST …/add."""
    made = visit.change(
        trust.add,
        slug=visit.needed("slug", "The short name"),
        issuer=visit.needed("issuer", "The issuer"),
        settings=read_json(visit, "settings"),
        connection=visit.given("connection") or None,
    )
    return Done(visit.url(f"id-jag-trust/{made.slug}"), "added")


def add_workloads(visit: Visit) -> Answer:
    """POST …/add."""
    made = visit.change(
        workload_trust.add,
        slug=visit.needed("slug", "The short name"),
        issuer=visit.given("issuer") or None,
        settings=read_json(visit, "settings"),
        preset=visit.given("preset") or None,
    )
    return Done(visit.url(f"workload-trust/{made.slug}"), "added")


def show_one(visit: Visit) -> Answer:
    """GET …/SLUG, of either kind."""
    found = _load(visit)
    page = _PAGES[found.kind]
    one = f"{page}/{found.slug}"
    forms = []
    if visit.may(Permission.TRUST_WRITE):
        value = as_text(found.settings)
        field = dataclasses.replace(_settings_field(found.kind, value), is_kept=True)
        action = visit.url(f"{one}/settings")
        forms.append(Form("change", "Change its settings", action, [field], "Change"))
        if found.kind == WORKLOAD:
            forms.append(_rule_form(visit, found, one))
    context = {"entry": found, "page": page, "rules": found.settings.get("rules", []), "forms": forms}  # fmt: skip
    return Screen("trusted.html", {**context, "settings": as_text(found.settings)})


def change_settings(visit: Visit) -> Answer:
    """POST …/settings: what is left out goes back to its default."""
    found = _load(visit)
    wanted = read_json(visit, "settings")
    given = {**dict.fromkeys(found.settings.keys() - wanted.keys()), **wanted}
    operation = trust.change if found.kind == ID_JAG else workload_trust.change

    def now(tx: Session) -> dict[str, str]:
        return {"settings": as_text(trust.show(tx, visit.tenant_id, found.slug).settings)}

    visit.edit({"settings": "Settings"}, now, operation, found.slug, given)
    return Done(visit.url(f"{_PAGES[found.kind]}/{found.slug}"), "changed")


def allow(visit: Visit) -> Answer:
    """POST …/allow: a rule for a workload, or another one in its place."""
    found = _load(visit)
    visit.change(workload_trust.allow, found.slug, read_json(visit, "rule"))
    return Done(visit.url(f"workload-trust/{found.slug}"), "allowed")


def disallow(visit: Visit) -> Answer:
    """POST …/disallow."""
    found, name = _load(visit), visit.given("name")
    back = visit.url(f"workload-trust/{found.slug}")
    if not visit.is_sure:
        affected = [f"{name} gets no tokens any more, and those it has end at once."]
        return Sure(f"Take the rule {name} away?", "Take it away", affected, back)
    visit.change(workload_trust.disallow, found.slug, name)
    return Done(back, "disallowed")


def set_status(visit: Visit) -> Answer:
    """POST …/status."""
    found, status = _load(visit), visit.given("status")
    back = visit.url(f"{_PAGES[found.kind]}/{found.slug}")
    if status == "disabled" and not visit.is_sure:
        return Sure(f"Believe {found.slug} no longer?", "Switch it off", _ends(found), back)
    visit.change(trust.set_status, found.slug, status)
    return Done(back, status)


def remove(visit: Visit) -> Answer:
    """POST …/remove."""
    found = _load(visit)
    page = _PAGES[found.kind]
    if not visit.is_sure:
        back = visit.url(f"{page}/{found.slug}")
        return Sure(f"Forget {found.slug}?", "Forget it", _ends(found), back)
    visit.change(trust.remove, found.slug)
    return Done(visit.url(page), "removed")


def read_json(visit: Visit, name: str) -> dict[str, Any]:
    """An object that was typed. Raises FieldError."""
    text = visit.given(name) or "{}"
    try:
        return strict_json.read_object(text.encode())
    except strict_json.NotStrict as error:
        raise FieldError(name, f"This is not a JSON object: it {error}") from None


def as_text(settings: Mapping[str, Any]) -> str:
    """Settings as an operator writes them."""
    return json.dumps(settings, indent=2, sort_keys=True, ensure_ascii=False)


def _ends(found: TrustLine) -> list[str]:
    if found.kind == WORKLOAD:
        return [f"Tokens of programs that {found.issuer} vouched for end at once."]
    return [
        f"Assertions of {found.issuer} are refused from now on.",
        "Access tokens that were redeemed already live on for minutes.",
    ]


def _listing(
    visit: Visit, kind: str, words: tuple[str, str], empty: tuple[str, str], form: Form
) -> Answer:
    rows = [
        Row(
            it.slug,
            (it.issuer, it.connection if kind == ID_JAG else len(it.settings.get("rules", [])), it.created_at),
            visit.url(f"{_PAGES[kind]}/{it.slug}"),
            it.status,
        )
        for it in visit.read(trust.list_)
        if it.kind == kind
    ]  # fmt: skip
    about = "People of" if kind == ID_JAG else "Rules"
    return listed(
        visit,
        Listing(
            _PAGES[kind],
            *words,
            ("Entry", "Status", "Issuer", about, "Since"),
            rows,
            empty,
            [form] if visit.may(Permission.TRUST_WRITE) else [],
            _STATUSES,
        ),
    )


def _load(visit: Visit) -> TrustLine:
    found: TrustLine = visit.read(trust.show, visit.path["id"])
    return found


def _settings_field(kind: str, value: str) -> FormField:
    members = ", ".join(it.name for it in dataclasses.fields(_MODELS[kind]) if it.name != "preset")
    return FormField("settings", "Settings", "area", f"As JSON. Known are {members}.", value)


def _rule_form(visit: Visit, found: TrustLine, one: str) -> Form:
    preset = PRESETS.get(found.settings.get("preset", ""))
    example = _RULE if preset is None else preset.example
    hint = "As JSON. A rule of the same name is replaced."
    field = FormField("rule", "Rule", "area", hint, as_text(example))
    return Form("allow", "Allow a workload", visit.url(f"{one}/allow"), [field], "Allow it")


def _connections(visit: Visit) -> list[tuple[str, str]]:
    return [(it.slug, it.name) for it in visit.read(connections.list_)]


_DONE = {
    "added": "It is trusted from now on, as far as its settings go.",
    "changed": "The change holds from the next assertion on.",
    "allowed": "The workload gets tokens from now on.",
    "disallowed": "The rule is taken away.",
    "active": "It is believed again.",
    "disabled": "It is believed no longer.",
}
_ACTS: list[tuple[str, Callable[[Visit], Answer]]] = [
    ("settings", change_settings),
    ("status", set_status),
    ("remove", remove),
]
_REMOVED = {"removed": "It is forgotten."}
PEOPLE = Page(
    "id-jag-trust", "ID-JAG issuers", Permission.READ, show_people, (Act("add", add_people),), "Trust", done=_REMOVED
)  # fmt: skip
ONE_PEOPLE = Page(
    "id-jag-trust/{id}",
    "ID-JAG issuer",
    Permission.READ,
    show_one,
    tuple(Act(*it) for it in _ACTS),
    is_listed=False,
    done=_DONE,
)
WORKLOADS = Page(
    "workload-trust", "Workloads", Permission.READ, show_workloads, (Act("add", add_workloads),), "Trust", done=_REMOVED
)  # fmt: skip
ONE_WORKLOAD = Page(
    "workload-trust/{id}",
    "Workload platform",
    Permission.READ,
    show_one,
    (*(Act(*it) for it in _ACTS), Act("allow", allow), Act("disallow", disallow)),
    is_listed=False,
    done=_DONE,
)
