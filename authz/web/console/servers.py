"""MCP servers: the list, and one of them with its scopes and tools."""

from authz.admin import credentials, resources, rollouts, scope_contracts, scopes
from authz.admin.scopes import NewScope, ScopeChange, ScopeLine
from authz.policy.administration import Permission
from authz.policy.contracts import RISKS
from authz.web.console import server_credentials, server_rollout, tables
from authz.web.console.tables import Part
from authz.web.console.visit import Act, Answer, Done, Page, Screen, Sheet, Sure, Visit

HEADINGS = ("Server", "Name", "Owner", "Status", "Scopes", "Identity")


def show(visit: Visit) -> Answer:
    """GET /console/servers: all of them, those that match `q`."""
    wanted, status = visit.asked("q").lower(), visit.asked("status")
    found = [
        it
        for it in visit.read(resources.list_)
        if wanted in f"{it.identifier} {it.name} {it.owner}".lower() and status in ("", it.status)
    ]
    if visit.asked("format") == "csv":
        rows = [
            (it.identifier, it.name, it.owner, it.status, it.scopes, it.identity) for it in found
        ]
        return Sheet("servers", HEADINGS, rows)
    return Screen("servers.html", {"servers": tables.page_of(visit, found), "headings": HEADINGS})


def add(visit: Visit) -> Answer:
    """POST /console/servers/add."""
    made = visit.change(
        resources.add,
        identifier=visit.needed("identifier", "The address"),
        name=visit.given("name"),
        owner=visit.given("owner"),
        scopes=[],
    )
    return Done(visit.url(f"servers/{made.id}"), "added")


def show_one(visit: Visit) -> Answer:
    """GET /console/servers/ID."""
    found = visit.read(resources.show, visit.path["id"], issuer=visit.configuration.tenant.issuer)
    held = visit.read(credentials.list_, found.id)
    if sheet := _SCOPES.sheet(visit, found.scopes) or server_credentials.PART.sheet(visit, held):
        return sheet
    return Screen(
        "server.html",
        {
            "server": found,
            "scopes": _SCOPES.page(visit, found.scopes),
            "rollout": visit.read(rollouts.show, found.id, visit.now),
            "has_credentials": bool(held),
            "credentials": server_credentials.PART.page(visit, held),
            "stores": server_credentials.stores(held),
            "risks": RISKS,
            "edited": visit.asked("scope"),
        },
    )


_SCOPES: Part[ScopeLine] = Part(
    "scopes",
    ("Scope", "What it lets do", "Risk", "Default", "Tools"),
    lambda it: (it.name, it.description, it.risk, it.is_default, it.tools),
    lambda it: " ".join((it.name, it.description, *it.tools)),
    {"risk": lambda it: it.risk},
)


def declare(visit: Visit) -> Answer:
    """POST …/declare: one more scope, or another text and other tools for one that is there."""
    server_id, name = visit.path["id"], visit.needed("name", "The name of the scope")
    tools = tuple(visit.given("tools").split())
    risk, is_default = visit.given("risk"), visit.given("default") == "yes"
    known = {it.name for it in visit.look(lambda tx: scopes.scopes_of(tx, server_id))}
    if name in known:
        change = ScopeChange(
            description=visit.given("description"), risk=risk, is_default=is_default, tools=tools
        )
        visit.change(scopes.edit_scope, server_id, name, change)
        return Done(visit.url(f"servers/{server_id}"), "changed")
    scope = NewScope(
        name=name,
        description=visit.given("description"),
        risk=risk,
        is_default=is_default,
        tools=tools,
    )
    visit.change(scopes.add_scope, server_id, scope)
    return Done(visit.url(f"servers/{server_id}"), "declared")


def approve(visit: Visit) -> Answer:
    """POST …/approve: tools that were added to a scope, by the list that was looked at."""
    server_id = visit.path["id"]
    visit.change(
        scope_contracts.approve,
        server_id,
        visit.given("name"),
        contract=visit.given("contract"),
    )
    return Done(visit.url(f"servers/{server_id}"), "reviewed")


def withdraw(visit: Visit) -> Answer:
    """POST …/withdraw: a scope nobody gets any more."""
    server_id, name = visit.path["id"], visit.given("name")
    if not visit.is_sure:
        affected = [
            f"No token holds {name} from the next refresh on.",
            "Roles go on naming it: whoever declares it again gives it back to them.",
        ]
        return Sure(f"Withdraw {name}?", "Withdraw", affected, visit.url(f"servers/{server_id}"))
    visit.change(scopes.remove_scope, server_id, name)
    return Done(visit.url(f"servers/{server_id}"), "withdrawn")


def set_status(visit: Visit) -> Answer:
    """POST …/status: off, with every token for it, or on again."""
    server_id, status = visit.path["id"], visit.given("status")
    if status == "disabled" and not visit.is_sure:
        found = visit.read(resources.show, server_id, issuer=visit.configuration.tenant.issuer)
        affected = [
            f"Every access token for {found.identifier} ends at once.",
            "No new ones are issued until the server is switched on again.",
        ]
        return Sure("Switch this server off?", "Switch off", affected, visit.url(f"servers/{server_id}"))  # fmt: skip
    visit.change(resources.set_status, server_id, status)
    return Done(visit.url(f"servers/{server_id}"), status)


def set_owner(visit: Visit) -> Answer:
    """POST …/owner."""
    server_id = visit.path["id"]
    visit.change(resources.set_owner, server_id, visit.given("owner"))
    return Done(visit.url(f"servers/{server_id}"), "owner")


def set_identity(visit: Visit) -> Answer:
    """POST …/identity: whether a person has to stand behind every token (M11)."""
    server_id = visit.path["id"]
    visit.change(resources.set_identity, server_id, visit.given("identity"))
    return Done(visit.url(f"servers/{server_id}"), "identity")


PAGE = Page(
    "servers",
    "MCP servers",
    Permission.READ,
    show,
    (Act("add", add),),
    section="Policy",
)
ONE = Page(
    "servers/{id}",
    "MCP server",
    Permission.READ,
    show_one,
    (
        Act("declare", declare),
        Act("approve", approve),
        Act("withdraw", withdraw),
        Act("status", set_status),
        Act("owner", set_owner),
        Act("identity", set_identity),
        server_rollout.ACT,
        *server_credentials.ACTS,
    ),
    section="Policy",
    is_listed=False,
    done={
        "added": "The server is registered. Declare its scopes next.",
        "declared": "The scope is declared. Roles can hold it now.",
        "changed": "The scope is changed.",
        "reviewed": "The scope opens these tools as well, from the next token on. Whoever allowed it is asked again.",
        "withdrawn": "The scope is withdrawn.",
        "disabled": "The server is switched off and its tokens ended.",
        "active": "The server is switched on.",
        "owner": "The owner is recorded.",
        "rollout": "That is how far it is rolled out from the next token and refresh on.",
        "identity": "That is how tokens for this server are issued from now on.",
        **server_credentials.DONE,
    },
)
