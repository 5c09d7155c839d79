"""What the many rows hang on, made by the operations of an operator: servers, providers, groups, roles, clients."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random

from sqlalchemy import select
from sqlalchemy.orm import Session

from authz import entropy
from authz.admin import clients, connections, resources
from authz.admin.client_metadata import Registration
from authz.admin.operator import Operator
from authz.admin.roles_import import import_file
from authz.admin.scopes import NewScope
from authz.clients.registered import client_of_row
from authz.db.models import Client, Connection, Group, GroupMapping, Resource
from authz.federation.connector import Tools
from authz.federation.registry import Connectors
from authz.policy.requirements import Requirement
from authz.policy.roles_file import BindingEntry, RoleEntry, RolesFile
from authz.services import Services
from scripts.bench_parts.bulk import Bulk, Shape
from scripts.seed_parts.progress import shown

AREAS = ("tickets", "logs", "crm", "wiki", "billing", "builds", "metrics", "mail", "files", "hr")
PROVIDERS = ("okta", "entra", "google", "keycloak")
_TEAMS = ("Platform", "Payments", "Support", "Finance", "People", "Growth", "Security", "Data")
_VERBS = (("read", "read"), ("search", "read"), ("write", "write"), ("delete", "destructive"))
_OWNED_ROLES = 10
_CLIENTS, _MACHINES = 30, 10
_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Server:
    """An MCP server."""

    id: str
    url: str
    area: str


@dataclass(frozen=True)
class Team:
    """A group, and the area its people may read."""

    id: str
    name: str
    role: str
    area: str


@dataclass(frozen=True)
class Software:
    """A client that acts for people."""

    id: str
    redirect: str
    digest: str


@dataclass(frozen=True)
class Company:
    """Everything that is few."""

    servers: list[Server]
    connections: list[str]
    """Ids."""
    teams: list[Team]
    software: list[Software]


def found(
    services: Services,
    operator: Operator,
    tenant_id: str,
    target: Bulk,
    servers: int,
    mappings: int,
) -> Company:
    """In two steps: groups by bulk, as there are many, and the rest as an operator does it."""
    teams = _teams(mappings)
    _add_groups(target, tenant_id, teams, operator.now)
    connectors = Connectors(Tools(services.network, services.documents, services.secrets.resolve))
    with services.database.write() as tx:
        for number in shown("servers", range(servers), servers):
            _add_server(tx, operator, tenant_id, number)
        for name in PROVIDERS:
            connections.add(
                tx,
                operator,
                tenant_id,
                connectors,
                slug=name,
                kind="oidc",
                preset="generic",
                name=name.capitalize(),
                settings={
                    "issuer": f"https://{name}.corp.example",
                    "client_id": "authz",
                    "client_secret": f"env:{name.upper()}_CLIENT_SECRET",
                },
                provisions=True,
                issuer=services.settings.server.issuer,
            )
        import_file(tx, operator, tenant_id, _roles(servers, teams))
        software = _add_clients(tx, operator, tenant_id)
        made = Company(_servers(tx, tenant_id), _connections(tx, tenant_id), teams, software)
    _add_mappings(target, tenant_id, made, operator.now)
    return made


def url_of(number: int) -> str:
    """Of the MCP server with this number."""
    return f"https://{AREAS[number % len(AREAS)]}-{number:03}.example.com/mcp"


def _teams(count: int) -> list[Team]:
    made = []
    for number in range(count):
        area = AREAS[number % len(AREAS)]
        level = ("reader", "reader", "reader", "editor", "admin")[number // len(AREAS) % 5]
        name = f"{_TEAMS[number % len(_TEAMS)]} {number:04}"
        made.append(Team(entropy.new_id("grp"), name, f"{area}-{level}", area))
    return made


def _roles(servers: int, teams: list[Team]) -> RolesFile:
    roles = {}
    for area in AREAS:
        reader, editor, admin = (f"{area}-{level}" for level in ("reader", "editor", "admin"))
        roles[reader] = RoleEntry(
            f"Looks at {area}", scopes=frozenset({f"{area}.read", f"{area}.search"})
        )
        roles[editor] = RoleEntry(
            f"Works on {area}", frozenset({reader}), scopes=frozenset({f"{area}.write"})
        )
        roles[admin] = RoleEntry(
            f"Answers for {area}",
            frozenset({editor}),
            scopes=frozenset({f"{area}.delete"}),
            requires=Requirement(acr=frozenset({"urn:authz:acr:mfa"})),
        )
    for number in range(min(_OWNED_ROLES, servers)):
        area = AREAS[number % len(AREAS)]
        roles[f"keeper-{number:03}"] = RoleEntry(
            "Keeps one server", at={url_of(number): frozenset({f"{area}.write", f"{area}.read"})}
        )
    held: dict[str, set[str]] = {}
    for team in teams:
        held.setdefault(team.role, set()).add(team.name)
    bindings = (BindingEntry(role, groups=frozenset(names)) for role, names in held.items())
    return RolesFile(roles, tuple(bindings))


def _add_server(tx: Session, operator: Operator, tenant_id: str, number: int) -> None:
    area = AREAS[number % len(AREAS)]
    resources.add(
        tx,
        operator,
        tenant_id,
        identifier=url_of(number),
        name=f"{area.capitalize()} {number:03}",
        owner=f"team-{_TEAMS[number % len(_TEAMS)].lower()}@corp.example",
        scopes=[
            NewScope(
                name=f"{area}.{verb}",
                description=f"{verb.capitalize()} {area}",
                risk=risk,
                is_default=verb == "read",
                tools=(f"{verb}_{area}", f"{verb}_many_{area}"),
            )
            for verb, risk in _VERBS
        ],
        is_default=number == 0,
    )


def _add_clients(tx: Session, operator: Operator, tenant_id: str) -> list[Software]:
    for number in range(_MACHINES):
        clients.add(
            tx,
            operator,
            tenant_id,
            Registration(
                name=f"Nightly job {number}",
                grant_types=("client_credentials",),
                auth_method="client_secret_basic",
            ),
            client_id=f"job-{number:03}",
        )
    made = []
    for number in range(_CLIENTS):
        id_ = f"assistant-{number:03}"
        redirect = f"https://{id_}.example.com/callback"
        ceiling = frozenset(f"{area}.read" for area in AREAS) if number % 5 == 4 else None
        registration = Registration(name=f"Assistant {number}", redirect_uris=(redirect,))
        clients.add(tx, operator, tenant_id, registration, client_id=id_, scope_ceiling=ceiling)
        row = tx.get_one(Client, (tenant_id, id_))
        made.append(Software(id_, redirect, client_of_row(row).digest))
    return made


def _add_groups(target: Bulk, tenant_id: str, teams: list[Team], now: datetime) -> None:
    group = Shape(
        Group.__table__,
        target.dialect,
        ("id", "name"),
        {"tenant_id": tenant_id, "created_at": now},
    )
    target.write(group, (group.row(it.id, it.name) for it in teams))


def _add_mappings(target: Bulk, tenant_id: str, company: Company, now: datetime) -> None:
    """Each team is a value of the claim `groups` at one of the providers."""
    mapping = Shape(
        GroupMapping.__table__,
        target.dialect,
        ("id", "connection_id", "value", "group_id"),
        {"tenant_id": tenant_id, "claim": "groups", "created_at": now},
    )
    rows = (
        mapping.row(
            entropy.new_id("map"),
            connection_of(company, number),
            team.name.lower().replace(" ", "-"),
            team.id,
        )
        for number, team in enumerate(company.teams)
    )
    target.write(mapping, shown("mappings", rows, len(company.teams)))


def connection_of(company: Company, team: int) -> str:
    """Whose word puts people into the team with this number."""
    return company.connections[team % len(company.connections)]


def teams_of(company: Company, random: Random) -> set[int]:
    """One to four of them, most often those that most people are in."""
    count = len(company.teams)
    large = max(1, count // 20)
    chosen = {random.randrange(large)}
    return chosen | {random.randrange(count) for _ in range(random.randrange(4))}


def _servers(tx: Session, tenant_id: str) -> list[Server]:
    rows = tx.scalars(
        select(Resource).where(Resource.tenant_id == tenant_id).order_by(Resource.identifier)
    )
    areas = {f"https://{area}-": area for area in AREAS}
    return [
        Server(row.id, row.identifier, area)
        for row in rows
        for prefix, area in areas.items()
        if row.identifier.startswith(prefix)
    ]


def _connections(tx: Session, tenant_id: str) -> list[str]:
    return list(
        tx.scalars(
            select(Connection.id)
            .where(Connection.tenant_id == tenant_id, Connection.slug.in_(PROVIDERS))
            .order_by(Connection.slug)
        )
    )
