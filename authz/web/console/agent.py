"""One agent: who answers for it, through which clients it works, how far it may go, and its kill switch."""

from authz.admin import agents, simulate
from authz.admin.agents import AgentLine
from authz.oauth.workload_trust import is_workload
from authz.policy.administration import Permission
from authz.web.console.agents import ARGUMENTS, days
from authz.web.console.fields import end, listed, spelled
from authz.web.console.tables import Part
from authz.web.console.visit import Act, Answer, Done, Page, Screen, Sure, Visit
from authz.web.console.words import counted

_LABELS = {
    "owner": "Answers for it",
    "scopes": "The most it may get",
    "dormant_after": "Days without use",
}


def show(visit: Visit) -> Answer:
    """GET /console/agents/ID."""
    found = _found(visit)
    if sheet := _CLIENTS.sheet(visit, found.clients):
        return sheet
    servers = simulate.servers(visit.configuration)
    return Screen(
        "agent.html",
        {
            "agent": found,
            "clients": _CLIENTS.page(visit, found.clients),
            "is_workload": is_workload,
            "servers": [(it.id, it.identifier) for it in servers],
            "chosen": [it.id for it in servers if it.identifier in found.servers],
            "shown": _shown(found),
        },
    )


def _kind(client: str) -> str:
    return "workload" if is_workload(client) else "client"


_CLIENTS: Part[str] = Part(
    "clients",
    ("Client", "Kind"),
    lambda it: (it, _kind(it)),
    str,
    {"kind": _kind},
)


def change(visit: Visit) -> Answer:
    """POST …/change."""
    found = _found(visit)
    scopes = listed(visit.given("scopes"))
    visit.edit(
        _LABELS,
        lambda tx: _shown(agents.show(tx, visit.tenant_id, found.id, visit.now)),
        agents.change,
        found.id,
        owner=visit.needed("owner", "Who answers for it"),
        servers=list(visit.all_given("servers")),
        scopes=scopes or None,
        any_scope=not scopes,
        expires_at=end(visit),
        dormant_after_days=days(visit),
    )
    return _done(visit, "changed")


def give_client(visit: Visit) -> Answer:
    """POST …/give-client."""
    visit.change(agents.give_client, _found(visit).id, visit.needed("client", "The client"))
    return _done(visit, "given")


def take_client(visit: Visit) -> Answer:
    """POST …/take-client: what the client holds was granted to the agent, so it ends."""
    found, client = _found(visit), visit.given("client")
    if not visit.is_sure:
        affected = ["Every grant and token that the client holds ends at once."]
        return Sure(f"Take {client} from {found.slug}?", "Take it", affected, _address(visit))
    visit.change(agents.take_client, found.id, client)
    return _done(visit, "taken")


def wake(visit: Visit) -> Answer:
    """POST …/wake."""
    visit.change(agents.wake, _found(visit).id)
    return _done(visit, "woken")


def kill(visit: Visit) -> Answer:
    """POST …/kill: for good."""
    found = _found(visit)
    if not visit.is_sure:
        affected = [
            f"Ends {counted(found.live_grants, 'grant')} through {counted(len(found.clients), 'client')}.",
            "It never acts again: a killed agent cannot be woken.",
        ]
        return Sure(f"Kill the agent {found.slug}?", "Kill it", affected, _address(visit))
    visit.change(agents.kill, found.id)
    return _done(visit, "killed")


def _found(visit: Visit) -> AgentLine:
    found: AgentLine = visit.read(agents.show, visit.path["id"], visit.now)
    return found


def _shown(found: AgentLine) -> dict[str, str]:
    return {
        "owner": found.owner,
        "scopes": spelled(found.scope_ceiling or ()),
        "dormant_after": str(found.dormant_after_days),
    }


def _address(visit: Visit) -> str:
    return visit.url(f"agents/{visit.path['id']}")


def _done(visit: Visit, said: str) -> Done:
    return Done(_address(visit), said)


PAGE = Page(
    "agents/{id}",
    "Agent",
    Permission.READ,
    show,
    (
        Act("change", change, ARGUMENTS),
        Act("give-client", give_client, {"client_id": "client"}),
        Act("take-client", take_client),
        Act("wake", wake),
        Act("kill", kill),
    ),
    section="Clients",
    is_listed=False,
    done={
        "added": "The agent is there. It acts through its clients, never further than this page says.",
        "changed": "The agent is changed. The next token and refresh obeys it.",
        "given": "The client is the agent’s.",
        "taken": "The client is the agent’s no longer, and what it held ended.",
        "woken": "The agent is awake.",
        "killed": "The agent is killed, and everything it held ended.",
    },
)
