"""Other authorization servers that ID-JAGs are issued for: the list, and one with its clients and settings."""

from typing import Any

from sqlalchemy.orm import Session

from authz.admin import targets
from authz.admin.targets import TargetLine
from authz.policy.administration import Permission
from authz.web.console import accepted, members, trust_members
from authz.web.console.tables import Form, FormField, Listing, Row, listed
from authz.web.console.trust_entries import SLUG, STATUSES, needed_slug, previewed, previews
from authz.web.console.visit import Act, Answer, Done, Page, Screen, Sure, Visit

_PAGE = "targets"
_ISSUER = "Issuer"
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
        preview="What would it be sent?",
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
    settings = {n: v for n, v in members.read(_ASKED, visit).items() if v is not None}
    own = visit.configuration.tenant.issuer
    with members.beside(_ASKED, issuer=_ISSUER):
        if previews(visit):
            given = {"slug": slug, "issuer": issuer, "settings": settings}
            return show(visit, _preview(visit, visit.try_out(targets.add, own_issuer=own, **given)))
        visit.perform("targets.add", slug=slug, issuer=issuer, settings=settings)
    return Done(visit.url(f"{_PAGE}/{slug}"), "added")


def show_one(visit: Visit, context: dict[str, Any] | None = None) -> Answer:
    """GET /console/targets/SLUG."""
    found: TargetLine = visit.read(targets.show, visit.path["id"])
    one, forms = f"{_PAGE}/{found.slug}", []
    if visit.may(Permission.TRUST_WRITE):
        first, more = trust_members.split(members.fields_of(_ASKED, found.settings, is_kept=True))
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
            Form(
                "change",
                "Change its settings",
                visit.url(f"{one}/settings"),
                first,
                "Change",
                more=more,
                preview="What would it be sent?",
            ),
        ]
    shown = {
        "target": found,
        "clients": sorted(found.settings.get("clients", {}).items()),
        "settings": members.told(_ASKED, found.settings),
        "is_preview": False,
        "preview": accepted.of_target(found, visit.configuration.tenant.issuer),
        "forms": forms,
    }
    return Screen("target.html", {**shown, **(context or {})})


def change(visit: Visit) -> Answer:
    """POST …/settings: a field that is empty goes back to its default; the clients stay."""
    slug = visit.path["id"]
    given = members.read(_ASKED, visit)

    def now(tx: Session) -> dict[str, str]:
        return members.shown(_ASKED, targets.show(tx, visit.tenant_id, slug).settings)

    with members.beside(_ASKED):
        if previews(visit):
            return show_one(visit, _preview(visit, visit.try_out(targets.change, slug, given)))
        visit.edit(members.labels_of(_ASKED), now, targets.change, slug, given)
    return Done(visit.url(f"{_PAGE}/{slug}"), "changed")


def map_client(visit: Visit) -> Answer:
    """POST …/client: what it is called there."""
    slug, client_id = visit.path["id"], visit.needed("client_id", "The client here")
    there = visit.needed("there", "The client there")
    with members.beside([], client="Client here"):
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


def set_status(visit: Visit) -> Answer:
    """POST …/status."""
    slug, status = visit.path["id"], visit.given("status")
    back = visit.url(f"{_PAGE}/{slug}")
    if status == "disabled" and not visit.is_sure:
        found = visit.read(targets.show, slug)
        affected = [f"No assertion for {found.issuer} is issued from now on."]
        return Sure(f"Switch {slug} off?", "Switch it off", affected, back)
    visit.change(targets.set_status, slug, status)
    return Done(back, status)


def remove(visit: Visit) -> Answer:
    """POST …/remove."""
    slug = visit.path["id"]
    if not visit.is_sure:
        found = visit.read(targets.show, slug)
        affected = [f"No assertion for {found.issuer} is issued any more."]
        return Sure(f"Forget {slug}?", "Forget it", affected, visit.url(f"{_PAGE}/{slug}"))
    visit.change(targets.remove, slug)
    return Done(visit.url(_PAGE), "removed")


def _preview(visit: Visit, made: TargetLine) -> dict[str, Any]:
    return previewed(accepted.of_target(made, visit.configuration.tenant.issuer))


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
        Act("settings", change),
        Act("client", map_client),
        Act("no-client", unmap_client),
        Act("status", set_status),
        Act("remove", remove),
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
