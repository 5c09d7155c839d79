"""One client: what it says of itself, what it may get, what it holds, and the switch that ends all of it."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session

from authz import entropy
from authz.admin import client_trust, client_view, clients, grants, simulate
from authz.admin.client_view import View
from authz.admin.grants import Extent
from authz.db.types import canonical_json
from authz.directory import groups
from authz.errors import Conflict, Invalid, about
from authz.policy.administration import Permission
from authz.web.console.visit import Act, Answer, Done, Page, Screen, Sheet, Sure, Visit
from authz.web.console.words import GRANT_NAMES, KIND_NAMES, METHOD_NAMES, counted

HEADINGS = ("Person", "MCP server", "Scopes", "Since", "Last use")
_HOURS = ("0", "1", "24", "168")


def show(visit: Visit) -> Answer:
    """GET /console/clients/one?id=CLIENT: an identifier may be a URL."""
    found = _found(visit)
    asked: dict[str, Any] = {
        "client_id": found.details.id,
        "matching": visit.asked("q"),
        "resource_id": visit.asked("server") or None,
    }
    if visit.asked("format") == "csv":
        held = visit.gather(
            lambda tx, after, limit: grants.page(
                tx, visit.tenant_id, visit.now, **asked, after=after, limit=limit
            )
        )
        rows = [
            (it.login or it.user_id, it.server, it.scopes, it.created_at, it.last_used_at)
            for it in held
        ]
        return Sheet("grants", HEADINGS, rows)
    return Screen(
        "client.html",
        {
            "client": found,
            "headings": HEADINGS,
            "grants": visit.read(
                grants.page, visit.now, **asked, after=visit.asked("after") or None
            ),
            "servers": [(it.id, it.identifier) for it in simulate.servers(visit.configuration)],
            "kind": KIND_NAMES.get(found.details.kind, found.details.kind),
            "grant_names": GRANT_NAMES,
            "proof": METHOD_NAMES.get(found.details.auth_method, ""),
            "version": _version(found),
            "ceiling": _ceiling(found.details.scope_ceiling),
            "groups": _groups(found.details.groups),
        },
    )


def approve(visit: Visit) -> Answer:
    """POST …/approve: by the request for it, by a rule for exactly its document, or as one that registered itself."""
    found = _found(visit)
    client_id = found.details.id
    if found.details.kind == "dynamic":
        visit.change(clients.approve, client_id)
    elif found.request is not None and found.request.status != "approved":
        visit.change(client_trust.approve, client_id)
    else:
        visit.change(client_trust.set_rule, pattern=client_id, verdict="allow")
    return Done(_address(client_id, visit), "approved")


def refuse(visit: Visit) -> Answer:
    """POST …/refuse: a rule that denies exactly this document."""
    found = _found(visit)
    client_id = found.details.id
    if not visit.is_sure:
        affected = [
            _ends(found),
            "People who want to use it read that an administrator refused it.",
        ]
        return Sure("Refuse this client?", "Refuse it", affected, _address(client_id, visit))
    visit.change(client_trust.set_rule, pattern=client_id, verdict="deny")
    return Done(_address(client_id, visit), "refused")


def accept(visit: Visit) -> Answer:
    """POST …/accept: what changed was looked at."""
    client_id = visit.asked("id")
    visit.change(client_view.accept, client_id, visit.given("digest"))
    return Done(_address(client_id, visit), "accepted")


def block(visit: Visit) -> Answer:
    """POST …/block: the kill switch."""
    found = _found(visit)
    client_id = found.details.id
    if not visit.is_sure:
        affected = [_ends(found), "It is refused everywhere until somebody unblocks it."]
        return Sure(
            f"Block {found.details.name}?", "Block it", affected, _address(client_id, visit)
        )
    visit.change(clients.block, client_id)
    return Done(_address(client_id, visit), "blocked")


def unblock(visit: Visit) -> Answer:
    """POST …/unblock."""
    client_id = visit.asked("id")
    visit.change(clients.unblock, client_id)
    return Done(_address(client_id, visit), "unblocked")


def remove(visit: Visit) -> Answer:
    """POST …/remove."""
    found = _found(visit)
    client_id = found.details.id
    if not visit.is_sure:
        affected = [
            _ends(found),
            "What people allowed it is forgotten, and so are its secrets and its bound.",
        ]
        if found.details.kind == "cimd":
            affected.append("It comes back when a person uses it again. Block it to keep it out.")
        return Sure(
            f"Remove {found.details.name}?", "Remove it", affected, _address(client_id, visit)
        )
    visit.change(clients.remove, client_id)
    return Done(visit.url("clients"), "removed")


def set_ceiling(visit: Visit) -> Answer:
    """POST …/ceiling."""
    client_id, text = visit.asked("id"), visit.given("ceiling")
    wanted = None if visit.given("bound") != "yes" else frozenset(text.split())
    if wanted is not None and not wanted:
        raise Invalid("Name at least one scope, or take the bound away", field="ceiling")

    def now(tx: Session) -> dict[str, str]:
        return {"ceiling": _ceiling(clients.load(tx, visit.tenant_id, client_id).scope_ceiling)}

    visit.edit({"ceiling": "Scopes it may ever get"}, now, clients.set_ceiling, client_id, wanted)
    return Done(_address(client_id, visit), "ceiling")


def set_groups(visit: Visit) -> Answer:
    """POST …/groups: whose people may use it."""
    found = _found(visit)
    client_id = found.details.id
    lines = [it.strip() for it in visit.given("groups").splitlines()]
    names = frozenset(it for it in lines if it)
    wanted = names if visit.given("limited") == "yes" else None
    if wanted is not None and not wanted:
        raise Invalid("Name at least one group, or let everybody use it", field="groups")
    if wanted is not None and not visit.is_sure:
        extent = visit.read(_outside, client_id, wanted, visit.now)
        if extent.grants:
            affected = [
                f"People in none of these groups who hold live grants through it: {extent.people}.",
                f"Grants that give nothing more from the next refresh on: {extent.grants}.",
            ]
            return Sure(
                f"Limit {found.details.name} to these groups?",
                "Limit it",
                affected,
                _address(client_id, visit),
            )

    def now(tx: Session) -> dict[str, str]:
        return {"groups": _groups(clients.show(tx, visit.tenant_id, client_id).groups)}

    visit.edit({"groups": "Groups that may use it"}, now, clients.set_groups, client_id, wanted)
    return Done(_address(client_id, visit), "groups")


def rotate(visit: Visit) -> Answer:
    """POST …/rotate: the new secret is shown this once. Sent again by a reload, it is refused."""
    found = _found(visit)
    client_id = found.details.id
    if visit.given("version") != _version(found):
        raise Conflict("the secrets of this client changed meanwhile; nothing was rotated")
    hours = visit.given("overlap")
    if hours not in _HOURS:
        raise Invalid("Choose how long the secrets before it stay good", field="overlap")
    overlap = timedelta(hours=int(hours))
    made = visit.change(clients.rotate_secret, client_id, overlap=overlap)
    return Screen(
        "secret.html",
        {
            "title": f"New secret of {found.details.name}",
            "shown": [("Client identifier", client_id), ("Secret", made.secret)],
            "notes": [
                "The secrets before it are over."
                if not overlap
                else f"The secrets before it stay good for {counted(int(hours), 'hour')}."
            ],
            "back": _address(client_id, visit),
        },
    )


def _found(visit: Visit) -> View:
    found: View = visit.read(client_view.show, visit.asked("id"), visit.now)
    return found


def _address(client_id: str, visit: Visit) -> str:
    return visit.url("clients/one", id=client_id)


def _ends(found: View) -> str:
    grants, people = found.extent.grants, found.extent.people
    if not grants:
        return "It holds no live grant. Tokens it got for itself end at once."
    return f"Ends {counted(grants, 'grant')} of {counted(people, 'person', 'people')}, with every token of them."


def _ceiling(scopes: frozenset[str] | None) -> str:
    return "" if scopes is None else " ".join(sorted(scopes))


def _groups(names: Sequence[str] | None) -> str:
    return "" if names is None else "\n".join(names)


def _outside(
    tx: Session, tenant_id: str, client_id: str, names: frozenset[str], now: datetime
) -> Extent:
    """What people in none of these groups hold through the client."""
    with about("groups"):
        inside = [it.id for it in groups.load_all(tx, tenant_id, names)]
    return grants.extent(tx, tenant_id, now, client_id=client_id, outside=inside)


def _version(found: View) -> str:
    values: list[Any] = [found.details.secrets, found.details.id]
    return entropy.digest(canonical_json(values))


PAGE = Page(
    "clients/one",
    "Client",
    Permission.READ,
    show,
    (
        Act("approve", approve),
        Act("refuse", refuse),
        Act("accept", accept),
        Act("block", block),
        Act("unblock", unblock),
        Act("remove", remove),
        Act("ceiling", set_ceiling, {"scopes": "ceiling"}),
        Act("groups", set_groups),
        Act("rotate", rotate),
    ),
    section="Clients",
    is_listed=False,
    done={
        "added": "The client is registered.",
        "approved": "The client is approved.",
        "refused": "The client is refused from now on.",
        "accepted": "The change is marked as looked at.",
        "blocked": "The client is blocked, and what it held has ended.",
        "unblocked": "The client may be used again. People have to allow it anew.",
        "ceiling": "The bound holds from the next token on.",
        "groups": "Who may use it is set, from the next token on.",
    },
)
