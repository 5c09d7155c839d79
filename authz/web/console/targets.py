"""Other authorization servers that ID-JAGs are issued for: the list, and one with its clients and settings."""

from typing import Any

from authz.admin import targets
from authz.admin.targets import TargetLine
from authz.policy.administration import Permission
from authz.web.console import accepted, members, trust_members
from authz.web.console.tables import Form, FormField, Listing, Part, Row, listed
from authz.web.console.trust_entries import SLUG, STATUSES, Entries, needed_slug, previews, said
from authz.web.console.visit import Act, Answer, Done, Page, Screen, Sure, Visit

_PAGE = "targets"
_ISSUER = "Issuer"
_WONDERS = "What would it be sent?"
_ASKED = trust_members.of_target()


def show(visit: Visit, context: dict[str, Any] | None = None) -> Answer:
    """GET /console/targets."""
    rows = [
        Row(it.slug, (it.issuer, it.servers, it.created_at), visit.url(f"{_PAGE}/{it.slug}"), it.status)
        for it in visit.read(targets.list_)
    ]  # fmt: skip
    first, more = trust_members.split(members.fields_of(_ASKED, {}))
    form = Form(
        "add",
        "Know an authorization server",
        visit.url(f"{_PAGE}/add"),
        [
            SLUG,
            FormField("issuer", _ISSUER, hint="Its issuer identifier; assertions have it as aud.", required=True),
            *first,
        ],
        "Know it",
        more=more,
        preview=_WONDERS,
    )  # fmt: skip
    listing = Listing(
        _PAGE,
        "Targets",
        "Other authorization servers: people’s applications get an assertion (ID-JAG) for them here.",
        ("Target", "Status", "Issuer", "MCP servers", "Since"),
        rows,
        ("No target yet", "Know the authorization server of a partner below, then register its MCP servers."),
        [form] if visit.may(Permission.TRUST_WRITE) else [],
        STATUSES,
    )  # fmt: skip
    return listed(visit, listing, context)


def add(visit: Visit) -> Answer:
    """POST …/add."""
    slug, issuer = needed_slug(visit), visit.needed("issuer", "The issuer")
    settings = said(members.read(_ASKED, visit))
    own = visit.configuration.tenant.issuer
    with members.beside(_ASKED, issuer=_ISSUER):
        if previews(visit):
            given = {"slug": slug, "issuer": issuer, "settings": settings}
            return show(
                visit, _TARGETS.preview(visit, visit.try_out(targets.add, own_issuer=own, **given))
            )
        visit.perform("targets.add", slug=slug, issuer=issuer, settings=settings)
    return Done(visit.url(f"{_PAGE}/{slug}"), "added")


def show_one(visit: Visit, context: dict[str, Any] | None = None) -> Answer:
    """GET /console/targets/SLUG."""
    found: TargetLine = visit.read(targets.show, visit.path["id"])
    mapped = sorted(found.settings.get("clients", {}).items())
    if sheet := _CLIENTS.sheet(visit, mapped):
        return sheet
    one, forms = f"{_PAGE}/{found.slug}", list[Form]()
    if visit.may(Permission.TRUST_WRITE):
        forms = [
            Form(
                "map",
                "What a client is called there",
                visit.url(f"{one}/client"),
                [
                    FormField("client_id", "Client here", hint="Its identifier.", required=True),
                    FormField("there", "Client there", required=True),
                ],
                "Record it",
            ),
            _TARGETS.settings_form(visit, found),
        ]
    shown = {
        "target": found,
        "clients": _CLIENTS.page(visit, mapped),
        "has_clients": bool(mapped),
        "settings": members.told(_ASKED, found.settings),
        "is_preview": False,
        "preview": _TARGETS.accepted(visit, found),
        "forms": forms,
    }
    return Screen("target.html", {**shown, **(context or {})})


def _called(client: tuple[str, str]) -> str:
    here, there = client
    return "the-same" if here == there else "otherwise"


_CLIENTS: Part[tuple[str, str]] = Part(
    "clients", ("Client here", "Client there"), tuple, " ".join, {"called": _called}
)


def map_client(visit: Visit) -> Answer:
    """POST …/client: what it is called there."""
    slug, client_id = visit.path["id"], visit.needed("client_id", "The client here")
    there = visit.needed("there", "The client there")
    visit.change(targets.map_client, slug, client_id, there)
    return Done(visit.url(f"{_PAGE}/{slug}"), "mapped")


def unmap_client(visit: Visit) -> Answer:
    """POST …/no-client: it is not known there any more."""
    slug, client_id = visit.path["id"], visit.needed("client_id", "The client here")
    back = visit.url(f"{_PAGE}/{slug}")
    if not visit.is_sure:
        affected = [f"{client_id} gets no assertion for {slug} from now on."]
        return Sure(f"Take {client_id} away?", "Take it away", affected, back)
    visit.change(targets.map_client, slug, client_id, None)
    return Done(back, "unmapped")


_TARGETS: Entries[TargetLine] = Entries(
    page=_PAGE,
    load=lambda visit: visit.read(targets.show, visit.path["id"]),
    show=targets.show,
    change=targets.change,
    set_status=targets.set_status,
    remove=targets.remove,
    asked=lambda _: _ASKED,
    accepts=accepted.of_target,
    ends=lambda found: [f"No assertion for {found.issuer} is issued from now on."],
    doubt="Switch {} off?",
    wonders=_WONDERS,
)
PAGE = Page(
    _PAGE,
    "Targets",
    Permission.READ,
    show,
    (Act("add", add),),
    "Trust",
    done={"removed": "It is removed."},
)
ONE = Page(
    f"{_PAGE}/{{id}}",
    "Target",
    Permission.READ,
    show_one,
    (
        *_TARGETS.acts(show_one),
        Act("client", map_client),
        Act("no-client", unmap_client),
    ),
    is_listed=False,
    done={
        "added": "It is known. Register its MCP servers next.",
        "changed": "The change holds from the next assertion on.",
        "mapped": "That is what the client is called there.",
        "unmapped": "The client is not known there any more.",
        "active": "Assertions are issued for it again.",
        "disabled": "No assertion is issued for it.",
    },
)
