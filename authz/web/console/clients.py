"""Clients: the list, and one more that is registered here."""

from authz.admin import client_trust, client_view
from authz.admin.client_metadata import DEFAULT_GRANT_TYPES, GRANT_TYPES
from authz.clients.authentication import AUTH_METHODS
from authz.errors import Invalid
from authz.policy.administration import Permission
from authz.web.console.visit import Act, Answer, Done, Page, Screen, Sheet, Visit
from authz.web.console.words import GRANT_NAMES, KIND_NAMES

HEADINGS = ("Client", "Identifier", "Kind", "Status", "Live grants", "Known since")


def show(visit: Visit) -> Answer:
    """GET /console/clients."""
    filters = {
        "q": visit.asked("q"),
        "kind": visit.asked("kind"),
        "standing": visit.asked("status"),
    }
    if visit.asked("format") == "csv":
        found = visit.gather(
            lambda tx, after, limit: client_view.page(
                tx, visit.tenant_id, visit.now, **filters, after=after, limit=limit
            )
        )
        rows = [
            (it.line.name, it.line.id, it.line.kind, it.standing, it.grants, it.line.created_at)
            for it in found
        ]
        return Sheet("clients", HEADINGS, rows)
    page = visit.read(client_view.page, visit.now, **filters, after=visit.asked("after") or None)
    return Screen(
        "clients.html",
        {
            "clients": page,
            "headings": HEADINGS,
            "kinds": KIND_NAMES,
            "standings": client_view.STANDINGS,
            "waiting": len(visit.read(client_trust.requests)),
            "methods": [(it, it) for it in AUTH_METHODS if it != "none"],
            "grant_types": [(it, GRANT_NAMES[it]) for it in GRANT_TYPES],
            "usual": DEFAULT_GRANT_TYPES,
        },
    )


def add(visit: Visit) -> Answer:
    """POST …/add: its secret, where it has one, is shown this once."""
    ceiling = visit.given("ceiling").split()
    jwks_uri = visit.given("jwks_uri")
    made = visit.perform(
        "clients.add",
        name=visit.needed("name", "The name"),
        redirect_uris=visit.given("redirect_uris").split(),
        grant_types=list(visit.all_given("grant_types")),
        auth_method=_method(visit),
        **({"client_id": visit.given("client_id")} if visit.given("client_id") else {}),
        **({"jwks_uri": jwks_uri} if jwks_uri else {}),
        **({"scope_ceiling": ceiling} if ceiling else {}),
    )
    address = visit.url("clients/one", id=made.client.id)
    if made.secret is None:
        return Done(address, "added")
    return Screen(
        "secret.html",
        {
            "title": f"{made.client.name} is registered",
            "shown": [("Client identifier", made.client.id), ("Secret", made.secret)],
            "notes": [],
            "back": address,
        },
    )


def _method(visit: Visit) -> str:
    method = visit.given("auth_method")
    if method not in AUTH_METHODS:
        raise Invalid("Choose how the client proves who it is", field="auth_method")
    return method


PAGE = Page(
    "clients",
    "Clients",
    Permission.READ,
    show,
    (Act("add", add, {"scope_ceiling": "ceiling"}),),
    section="Clients",
    done={"removed": "The client is removed."},
)
