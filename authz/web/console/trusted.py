"""Whose assertions about people are trusted (ID-JAG), and how far: the issuers, and one with its settings."""

from collections.abc import Callable
from typing import Any

from sqlalchemy.orm import Session

from authz.admin import connections, trust
from authz.admin.trust import TrustLine
from authz.errors import NotFound
from authz.oauth.trust import ID_JAG
from authz.policy.administration import Permission
from authz.web.console import accepted, members, trust_members
from authz.web.console.members import Member
from authz.web.console.tables import Form, FormField, Listing, Row, listed
from authz.web.console.trust_entries import (
    DONE,
    SLUG,
    STATUSES,
    choices_of_servers,
    needed_slug,
    previewed,
    previews,
)
from authz.web.console.visit import Act, Answer, Done, Page, Screen, Sure, Visit

_PAGE = "id-jag-trust"
_ISSUER = "Issuer"


def show(visit: Visit, context: dict[str, Any] | None = None) -> Answer:
    """GET /console/id-jag-trust."""
    rows = [
        Row(it.slug, (it.issuer, it.connection, it.created_at), visit.url(f"{_PAGE}/{it.slug}"), it.status)
        for it in visit.read(trust.list_)
        if it.kind == ID_JAG
    ]  # fmt: skip
    own = [("", "a connection of its own"), *_connections(visit)]
    first, more = trust_members.split(members.fields_of(_members(visit), {}))
    form = Form(
        "add",
        "Trust an issuer",
        visit.url(f"{_PAGE}/add"),
        [
            SLUG,
            FormField("issuer", _ISSUER, hint="Its address, as its assertions say it in iss.", required=True),
            FormField("connection", "Whose people it speaks of", "choice", choices=own),
            *first,
        ],
        "Trust it",
        more=more,
        preview="What would it accept?",
    )  # fmt: skip
    listing = Listing(
        _PAGE,
        "Issuers of ID-JAGs",
        "Identity providers whose assertions about people (ID-JAG) are redeemed for access tokens, and how far.",
        ("Entry", "Status", "Issuer", "People of", "Since"),
        rows,
        ("No issuer is trusted", "Until one is, people sign in here or at an identity provider. Trust one below."),
        [form] if visit.may(Permission.TRUST_WRITE) else [],
        STATUSES,
    )  # fmt: skip
    return listed(visit, listing, context)


def add(visit: Visit) -> Answer:
    """POST …/add."""
    asked = _members(visit)
    slug = needed_slug(visit)
    given: dict[str, Any] = {
        "slug": slug,
        "issuer": visit.needed("issuer", "The issuer"),
        "settings": _said(members.read(asked, visit)),
        "connection": visit.given("connection") or None,
    }
    with members.beside(asked, issuer=_ISSUER):
        if previews(visit):
            made = visit.try_out(trust.add, **given)
            return show(visit, _preview(visit, made))
        visit.change(trust.add, **given)
    return Done(visit.url(f"{_PAGE}/{slug}"), "added")


def show_one(visit: Visit, context: dict[str, Any] | None = None) -> Answer:
    """GET …/SLUG."""
    found = _load(visit)
    asked = _members(visit)
    forms = []
    if visit.may(Permission.TRUST_WRITE):
        first, more = trust_members.split(members.fields_of(asked, found.settings, is_kept=True))
        action = visit.url(f"{_PAGE}/{found.slug}/settings")
        forms.append(
            Form(
                "change",
                "Change its settings",
                action,
                first,
                "Change",
                more=more,
                preview="What would it accept?",
            )
        )
    shown = {
        "entry": found,
        "page": _PAGE,
        "all": "ID-JAG issuers",
        "rules": [],
        "forms": forms,
        "settings": members.told(asked, found.settings),
        "is_preview": False,
        "preview": accepted.of_people(found, visit.configuration.tenant.issuer),
    }
    return Screen("trusted.html", {**shown, **(context or {})})


def change_settings(visit: Visit) -> Answer:
    """POST …/settings: a field that is empty goes back to its default."""
    found, asked = _load(visit), _members(visit)
    given = members.read(asked, visit)

    def now(tx: Session) -> dict[str, str]:
        return members.shown(asked, trust.show(tx, visit.tenant_id, found.slug).settings)

    with members.beside(asked):
        if previews(visit):
            made = visit.try_out(trust.change, found.slug, given)
            return show_one(visit, _preview(visit, made))
        visit.edit(members.labels_of(asked), now, trust.change, found.slug, given)
    return Done(visit.url(f"{_PAGE}/{found.slug}"), "changed")


def set_status(visit: Visit) -> Answer:
    """POST …/status."""
    found, status = _load(visit), visit.given("status")
    back = visit.url(f"{_PAGE}/{found.slug}")
    if status == "disabled" and not visit.is_sure:
        return Sure(f"Believe {found.slug} no longer?", "Switch it off", _ends(found), back)
    visit.change(trust.set_status, found.slug, status)
    return Done(back, status)


def remove(visit: Visit) -> Answer:
    """POST …/remove."""
    found = _load(visit)
    if not visit.is_sure:
        back = visit.url(f"{_PAGE}/{found.slug}")
        return Sure(f"Forget {found.slug}?", "Forget it", _ends(found), back)
    visit.change(trust.remove, found.slug)
    return Done(visit.url(_PAGE), "removed")


def _preview(visit: Visit, made: TrustLine) -> dict[str, Any]:
    return previewed(accepted.of_people(made, visit.configuration.tenant.issuer))


def _ends(found: TrustLine) -> list[str]:
    return [
        f"Assertions of {found.issuer} are refused from now on.",
        "Access tokens that were redeemed already live on for minutes.",
    ]


def _load(visit: Visit) -> TrustLine:
    found: TrustLine = visit.read(trust.show, visit.path["id"])
    if found.kind != ID_JAG:
        raise NotFound(f"{found.slug} is trusted about workloads; look there")
    return found


def _members(visit: Visit) -> list[Member]:
    return trust_members.of_people(choices_of_servers(visit))


def _said(settings: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if value is not None}


def _connections(visit: Visit) -> list[tuple[str, str]]:
    return [(it.slug, it.name) for it in visit.read(connections.list_)]


_ACTS: list[tuple[str, Callable[[Visit], Answer]]] = [
    ("settings", change_settings),
    ("status", set_status),
    ("remove", remove),
]
PAGE = Page(
    _PAGE,
    "ID-JAG issuers",
    Permission.READ,
    show,
    (Act("add", add),),
    "Trust",
    done={"removed": "It is forgotten."},
)
ONE = Page(
    f"{_PAGE}/{{id}}",
    "ID-JAG issuer",
    Permission.READ,
    show_one,
    tuple(Act(*it) for it in _ACTS),
    is_listed=False,
    done=DONE,
)
