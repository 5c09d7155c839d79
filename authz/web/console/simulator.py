"""What somebody will get through a client at an MCP server, and why not the rest: asked while one types."""

from datetime import timedelta

from authz.admin import simulate
from authz.admin.simulate import ANY_CLIENT, Question, Simulation
from authz.errors import Invalid, NotFound
from authz.policy.administration import Permission
from authz.policy.requirements import LOCAL
from authz.web.console.visit import Page, Screen, Visit, beside

_MAX_MINUTES_CHARS = 7
_FIELDS = {"age": "minutes"}
"""Of the form, where a member of the question is called otherwise."""


def show(visit: Visit) -> Screen:
    """GET /console/simulator. Who or what is not there (yet) is said beside its field, while one types."""
    servers = simulate.servers(visit.configuration)
    found: Simulation | None = None
    wrong: dict[str, str] = {}
    server = visit.asked("server") or (servers[0].identifier if servers else "")
    if server and (visit.asked("user") or visit.asked("client")):
        try:
            question = _question(visit, server)
            found = visit.look(
                lambda tx: simulate.simulate(tx, visit.configuration, question, visit.now)
            )
        except (Invalid, NotFound) as error:
            wrong = beside(error, _FIELDS)
    return Screen(
        "simulator.html",
        {
            "choices": [(it.id, it.identifier) for it in servers],
            "chosen": next((it.id for it in servers if server in (it.id, it.identifier)), ""),
            "connections": [(it, it) for it in (LOCAL, *_slugs(visit))],
            "clients": visit.read(simulate.offered_clients),
            "found": found,
            "wrong": wrong,
        },
    )


def _question(visit: Visit, server: str) -> Question:
    scopes = frozenset(visit.asked("scopes").split())
    minutes = visit.asked("minutes")
    if len(minutes) > _MAX_MINUTES_CHARS or not (minutes or "0").isdecimal():
        raise Invalid("the sign-in is some minutes old; give a whole number", field="age")
    user = visit.asked("user")
    return Question(
        server=server,
        user=None if visit.asked("way") == "itself" or not user else user,
        client=visit.asked("client") or ANY_CLIENT,
        scopes=scopes or None,
        asks_nothing=visit.asked("asks") == "nothing",
        by_device=visit.asked("way") == "device",
        connection=visit.asked("connection") or None,
        acr=visit.asked("acr") or None,
        age=timedelta(minutes=int(minutes)) if minutes else None,
    )


def _slugs(visit: Visit) -> list[str]:
    return sorted(it.slug for it in visit.configuration.policy.connections.values())


PAGE = Page("simulator", "Simulator", Permission.READ, show, section="Policy")
