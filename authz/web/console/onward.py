"""What leaves this server: authorization servers that ID-JAGs are issued for, and tokens exchanged for others."""

import dataclasses

from sqlalchemy.orm import Session

from authz.admin import delegations, resources, targets
from authz.oauth.delegations import MAX_DEPTH
from authz.oauth.targets import TargetSettings
from authz.policy.administration import Permission
from authz.web.console.tables import Form, FormField, Listing, Row, RowAct, listed
from authz.web.console.trusted import as_text, read_json
from authz.web.console.visit import Act, Answer, Done, FieldError, Page, Screen, Sure, Visit

_STATUSES = (("active", "Active"), ("disabled", "Switched off"))
_MEMBERS = ", ".join(it.name for it in dataclasses.fields(TargetSettings))
_KNOWN = f"As JSON. Known are {_MEMBERS}."
_DEPTHS = [str(it) for it in range(1, MAX_DEPTH + 1)]


def show_targets(visit: Visit) -> Answer:
    """GET /console/targets."""
    rows = [
        Row(
            it.slug,
            (it.issuer, it.servers, it.created_at),
            visit.url(f"targets/{it.slug}"),
            it.status,
        )
        for it in visit.read(targets.list_)
    ]
    form = Form(
        "add",
        "Know an authorization server",
        visit.url("targets/add"),
        [
            FormField("slug", "Short name", required=True),
            FormField("issuer", "Issuer", required=True),
            FormField("settings", "Settings", "area", _KNOWN, "{}"),
        ],
        "Know it",
    )
    return listed(
        visit,
        Listing(
            "targets",
            "Targets",
            "Other authorization servers: people’s applications get an assertion (ID-JAG) for them here.",
            ("Target", "Status", "Issuer", "MCP servers", "Since"),
            rows,
            ("No target yet", "Know the authorization server of a partner, then register its MCP servers."),
            [form] if visit.may(Permission.TRUST_WRITE) else [],
            _STATUSES,
        ),
    )  # fmt: skip


def add_target(visit: Visit) -> Answer:
    """POST …/add."""
    slug = visit.needed("slug", "The short name")
    visit.perform(
        "targets.add",
        slug=slug,
        issuer=visit.needed("issuer", "The issuer"),
        settings=read_json(visit, "settings"),
    )
    return Done(visit.url(f"targets/{slug}"), "added")


def show_target(visit: Visit) -> Answer:
    """GET /console/targets/SLUG."""
    found = visit.read(targets.show, visit.path["id"])
    one, forms = f"targets/{found.slug}", []
    if visit.may(Permission.TRUST_WRITE):
        field = FormField(
            "settings", "Settings", "area", _KNOWN, as_text(found.settings), is_kept=True
        )
        forms = [
            Form("change", "Change its settings", visit.url(f"{one}/settings"), [field], "Change"),
            Form(
                "map",
                "What a client is called there",
                visit.url(f"{one}/client"),
                [
                    FormField("client_id", "Client here", required=True),
                    FormField("there", "Client there", hint="Empty: it is not known there."),
                ],
                "Record it",
            ),
        ]
    return Screen(
        "target.html", {"target": found, "settings": as_text(found.settings), "forms": forms}
    )


def change_target(visit: Visit) -> Answer:
    """POST …/settings: what is left out goes back to its default."""
    found = visit.read(targets.show, visit.path["id"])
    wanted = read_json(visit, "settings")
    given = {**dict.fromkeys(found.settings.keys() - wanted.keys()), **wanted}

    def now(tx: Session) -> dict[str, str]:
        return {"settings": as_text(targets.show(tx, visit.tenant_id, found.slug).settings)}

    visit.edit({"settings": "Settings"}, now, targets.change, found.slug, given)
    return Done(visit.url(f"targets/{found.slug}"), "changed")


def map_client(visit: Visit) -> Answer:
    """POST …/client."""
    slug, client_id = visit.path["id"], visit.needed("client_id", "The client here")
    visit.change(targets.map_client, slug, client_id, visit.given("there") or None)
    return Done(visit.url(f"targets/{slug}"), "mapped")


def set_target_status(visit: Visit) -> Answer:
    """POST …/status."""
    slug, status = visit.path["id"], visit.given("status")
    back = visit.url(f"targets/{slug}")
    if status == "disabled" and not visit.is_sure:
        found = visit.read(targets.show, slug)
        affected = [f"No assertion for {found.issuer} is issued from now on."]
        return Sure(f"Switch {slug} off?", "Switch it off", affected, back)
    visit.change(targets.set_status, slug, status)
    return Done(back, status)


def remove_target(visit: Visit) -> Answer:
    """POST …/remove."""
    slug = visit.path["id"]
    if not visit.is_sure:
        found = visit.read(targets.show, slug)
        affected = [f"No assertion for {found.issuer} is issued any more."]
        return Sure(f"Forget {slug}?", "Forget it", affected, visit.url(f"targets/{slug}"))
    visit.change(targets.remove, slug)
    return Done(visit.url("targets"), "removed")


def show_delegations(visit: Visit) -> Answer:
    """GET /console/delegations."""
    can_write = visit.may(Permission.TRUST_WRITE)
    rows = []
    for it in visit.read(delegations.list_):
        carries = [f"{there} ← {' '.join(here)}" for there, here in sorted(it.carries.items())]
        act = RowAct(visit.url("delegations/remove"), "Remove", {"id": it.id})
        cells = (it.from_server, it.to_server, carries, it.max_depth)
        rows.append(Row(it.client_id, cells, acts=[act] if can_write else [], status="active"))
    servers = [(it.identifier, it.identifier) for it in visit.read(resources.list_)]
    depths = [(it, it) for it in _DEPTHS]
    hint = "One a line: the scope there = the scopes here of which any carries it."
    form = Form(
        "add",
        "Let a client exchange tokens",
        visit.url("delegations/add"),
        [
            FormField("client_id", "Client", hint="It authenticates, and may use token exchange.", required=True),
            FormField("from_server", "Tokens for", "choice", choices=servers),
            FormField("to_server", "Are exchanged for tokens for", "choice", choices=servers),
            FormField("carries", "What is carried over", "area", hint),
            FormField("max_depth", "How often in a row", "choice", choices=depths, value=_DEPTHS[-1]),
        ],
        "Let it",
    )  # fmt: skip
    return listed(
        visit,
        Listing(
            "delegations",
            "Delegations",
            "MCP servers that call others on behalf of the same person, and what they carry over.",
            ("Client", "Status", "From", "To", "Carries", "Depth"),
            rows,
            ("No delegation yet", "Without one no token is exchanged for another server’s."),
            [form] if can_write and servers else [],
        ),
    )


def add_delegation(visit: Visit) -> Answer:
    """POST …/add."""
    depth = visit.given("max_depth")
    if depth not in _DEPTHS:
        raise FieldError("max_depth", "Choose how often in a row")
    visit.change(
        delegations.add,
        client_id=visit.needed("client_id", "The client"),
        from_server=visit.given("from_server"),
        to_server=visit.given("to_server"),
        carries=_carries(visit),
        max_depth=int(depth),
    )
    return Done(visit.url("delegations"), "added")


def remove_delegation(visit: Visit) -> Answer:
    """POST …/remove."""
    found = visit.read(delegations.show, visit.given("id"))
    if not visit.is_sure:
        affected = [
            f"{found.client_id} exchanges no token for {found.from_server} any more.",
            f"Tokens for {found.to_server} that it got live on for minutes.",
        ]
        return Sure("Remove this delegation?", "Remove it", affected, visit.url("delegations"))
    visit.change(delegations.remove, found.id)
    return Done(visit.url("delegations"), "removed")


def _carries(visit: Visit) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in visit.needed("carries", "What is carried over").splitlines():
        there, mark, here = line.partition("=")
        if not mark or not there.strip() or not here.split():
            raise FieldError("carries", f"Write it as SCOPE = SCOPE, not {line.strip()!r}")
        found[there.strip()] = here.split()
    return found


_REMOVED = {"removed": "It is removed."}
TARGETS = Page(
    "targets", "Targets", Permission.READ, show_targets, (Act("add", add_target),), "Trust", done=_REMOVED
)  # fmt: skip
TARGET = Page(
    "targets/{id}",
    "Target",
    Permission.READ,
    show_target,
    (
        Act("settings", change_target),
        Act("client", map_client),
        Act("status", set_target_status),
        Act("remove", remove_target),
    ),
    is_listed=False,
    done={
        "added": "It is known. Register its MCP servers next.",
        "changed": "The change holds from the next assertion on.",
        "mapped": "That is what the client is called there.",
        "active": "Assertions are issued for it again.",
        "disabled": "No assertion is issued for it.",
    },
)
DELEGATIONS = Page(
    "delegations",
    "Delegations",
    Permission.READ,
    show_delegations,
    (Act("add", add_delegation), Act("remove", remove_delegation)),
    section="Trust",
    done={**_REMOVED, "added": "Tokens are exchanged from now on."},
)
