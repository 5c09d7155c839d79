"""Whose assertions about people are trusted (ID-JAG), and how far: the issuers, and one with its settings."""

from typing import Any

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
    Entries,
    choices_of_servers,
    needed_slug,
    previews,
    said,
)
from authz.web.console.visit import Act, Answer, Done, Page, Screen, Visit

_PAGE = "id-jag-trust"
_ISSUER = "Issuer"
_WONDERS = "What would it accept?"


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
        preview=_WONDERS,
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
        "settings": said(members.read(asked, visit)),
        "connection": visit.given("connection") or None,
    }
    with members.beside(asked, issuer=_ISSUER):
        if previews(visit):
            made = visit.try_out(trust.add, **given)
            return show(visit, _ISSUERS.preview(visit, made))
        visit.change(trust.add, **given)
    return Done(visit.url(f"{_PAGE}/{slug}"), "added")


def show_one(visit: Visit, context: dict[str, Any] | None = None) -> Answer:
    """GET …/SLUG."""
    found = _load(visit)
    can_write = visit.may(Permission.TRUST_WRITE)
    shown = {
        "entry": found,
        "page": _PAGE,
        "all": "ID-JAG issuers",
        "has_rules": False,
        "forms": [_ISSUERS.settings_form(visit, found)] if can_write else [],
        "settings": members.told(_members(visit), found.settings),
        "is_preview": False,
        "preview": _ISSUERS.accepted(visit, found),
    }
    return Screen("trusted.html", {**shown, **(context or {})})


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


def _connections(visit: Visit) -> list[tuple[str, str]]:
    return [(it.slug, it.name) for it in visit.read(connections.list_)]


_ISSUERS = Entries(
    page=_PAGE,
    load=_load,
    show=trust.show,
    change=trust.change,
    set_status=trust.set_status,
    remove=trust.remove,
    asked=_members,
    accepts=accepted.of_people,
    ends=_ends,
    doubt="Believe {} no longer?",
    wonders=_WONDERS,
)
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
    _ISSUERS.acts(show_one),
    is_listed=False,
    done=DONE,
)
