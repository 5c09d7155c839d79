"""What somebody will get through a client at an MCP server, and why not the rest (item 4, L4).

The question by names; the answer by the very functions that mint (`admin.prediction`). Nothing is stored.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from authz.admin.prediction import (
    Case,
    GrantedScope,
    Obstacle,
    Prediction,
    RefusedScope,
    Way,
    predict,
)
from authz.admin.sign_ins import SignIn, latest, usual
from authz.clients import registered
from authz.clients.client import Client
from authz.clients.trust import Verdict
from authz.db.models import Client as ClientRow
from authz.db.models import User
from authz.directory import users
from authz.errors import Invalid, NotFound, about
from authz.oauth.configuration import TenantConfiguration
from authz.oauth.subjects import client_subject, load_subject
from authz.policy.requirements import LOCAL, is_acr
from authz.policy.scopes import is_scope_name
from authz.policy.snapshot import Resource
from authz.urls import UrlError, canonical_resource, is_client_id_url

__all__ = [
    "ANY_CLIENT",
    "Question",
    "Simulation",
    "Way",
    "offered_clients",
    "servers",
    "simulate",
    "subject_at",
]

_MAX_SCOPES = 200
_MAX_OFFERED = 100
_MAX_AGE = timedelta(days=3660)
ANY_CLIENT = "any"
"""Instead of one: a client that nothing is known of and nothing bounds."""


@dataclass(frozen=True)
class Question:
    """By the names that people use."""

    server: str
    """URL or id."""
    user: str | None = None
    """Login or id; None: the client on its own behalf."""
    client: str = ANY_CLIENT
    scopes: frozenset[str] | None = None
    """These alone; None: all that the server declares."""
    asks_nothing: bool = False
    """The client asks for nothing in particular, so it gets the defaults."""
    by_device: bool = False
    connection: str | None = None
    """The slug of where they sign in, or `local`; None: as their latest session."""
    acr: str | None = None
    age: timedelta | None = None
    """How long ago they proved who they are; None: as their latest session, or just now."""


@dataclass(frozen=True)
class Simulation:
    """What they will get."""

    subject: str
    login: str | None
    client: str | None
    """None: any."""
    client_name: str | None
    agent: str | None
    """Whose client it is."""
    server: str
    server_id: str
    way: str
    requested: list[str] | None
    """None: nothing in particular."""
    signed_in: str | None
    """How, in words; None where nobody does."""
    granted: Sequence[GrantedScope]
    refused: Sequence[RefusedScope]
    obstacles: Sequence[Obstacle]
    is_token: bool
    tools: Sequence[str]
    claims: Mapping[str, Any]
    record: Mapping[str, Any]
    """What would be stored with the token and told by `explain`."""


def simulate(
    tx: Session, configuration: TenantConfiguration, question: Question, now: datetime
) -> Simulation:
    """Raises NotFound, Invalid."""
    with about("server"):
        resource = find_server(configuration, question.server)
    with about("client"):
        client = _client(tx, configuration, question)
    requested = _requested(question, resource)
    if question.user is None:
        way, sign_in, told, login = Way.ITSELF, None, None, None
        subject = client_subject(configuration.policy, client.id)
    else:
        way = Way.DEVICE if question.by_device else Way.BROWSER
        with about("user"):
            person = users.load(tx, configuration.tenant.id, question.user)
        login = person.login
        sign_in, told = _sign_in(tx, configuration, person, question, now)
        subject = load_subject(
            tx,
            person.id,
            authentication=sign_in.authentication,
            enabled=person.status == "active",
        )
    case = Case(subject, client, resource, requested, way, sign_in)
    return _simulation(configuration, case, predict(configuration, case, now), login, told)


def subject_at(
    tx: Session, configuration: TenantConfiguration, reference: str, now: datetime
) -> list[Simulation]:
    """What a person gets at every server where it is anything, through a client that nothing bounds."""
    person = users.load(tx, configuration.tenant.id, reference)
    sign_in, told = _sign_in(tx, configuration, person, Question("", person.id), now)
    subject = load_subject(
        tx, person.id, authentication=sign_in.authentication, enabled=person.status == "active"
    )
    client = _any_client(configuration)
    found = []
    for resource in servers(configuration):
        case = Case(subject, client, resource, frozenset(resource.scopes), Way.BROWSER, sign_in)
        made = predict(configuration, case, now)
        if made.granted:
            found.append(_simulation(configuration, case, made, person.login, told))
    return found


def find_server(configuration: TenantConfiguration, reference: str) -> Resource:
    """An MCP server that policy knows, by id or address. Raises NotFound."""
    by_id = configuration.policy.resources.get(reference)
    if by_id is not None and by_id in servers(configuration):
        return by_id
    try:
        found = configuration.policy.find_resource(canonical_resource(reference))
    except UrlError:
        found = None
    if found is None or found.is_administration:
        raise NotFound(
            f"there is no MCP server {reference[:200]!r}; `authz resources list` shows them"
        )
    return found


def servers(configuration: TenantConfiguration) -> list[Resource]:
    """The MCP servers that policy knows, by address."""
    found = [
        it
        for it in configuration.policy.resources.values()
        if not it.is_builtin and not it.is_administration
    ]
    return sorted(found, key=lambda it: it.identifier)


def offered_clients(tx: Session, tenant_id: str) -> list[tuple[str, str]]:
    """Id and name of some clients to choose from; any other may be named."""
    rows = tx.execute(
        select(ClientRow.id, ClientRow.name)
        .where(ClientRow.tenant_id == tenant_id, ClientRow.status != "blocked")
        .order_by(ClientRow.tenant_id, ClientRow.id)
        .limit(_MAX_OFFERED)
    )
    return [(id_, name) for id_, name in rows]


def _requested(question: Question, resource: Resource) -> frozenset[str] | None:
    if question.asks_nothing:
        return None
    if question.scopes is None:
        return frozenset(resource.scopes)
    if not 1 <= len(question.scopes) <= _MAX_SCOPES:
        raise Invalid(f"1 to {_MAX_SCOPES} scopes can be asked for", field="scopes")
    for scope in sorted(question.scopes):
        if not is_scope_name(scope):
            raise Invalid(
                f"{scope[:80]!r} is not the name of a scope of an MCP server", field="scopes"
            )
    return question.scopes


def _client(tx: Session, configuration: TenantConfiguration, question: Question) -> Client:
    if question.client == ANY_CLIENT:
        if question.user is None:
            raise Invalid("name the person, or the client that acts on its own behalf")
        return _any_client(configuration)
    tenant_id = configuration.tenant.id
    row = registered.find(tx, tenant_id, question.client)
    if row is not None:
        return _client_of(configuration, row)
    if is_client_id_url(question.client):
        # Nobody has used it yet: nothing bounds it, and whether it is let in is known beforehand.
        return Client(
            tenant_id=tenant_id,
            id=question.client,
            kind="cimd",
            enabled=configuration.trust.judge(question.client) is Verdict.ADMITTED,
            name=question.client,
            redirect_uris=(),
            grant_types=frozenset({"authorization_code"}),
            auth_methods=frozenset({"none"}),
        )
    raise NotFound(f"there is no client {question.client[:200]!r}; `authz clients list` shows them")


def _client_of(configuration: TenantConfiguration, row: ClientRow) -> Client:
    client = registered.client_of_row(row)
    if row.kind != "cimd":
        return client
    is_admitted = configuration.trust.judge(row.id) is Verdict.ADMITTED
    return replace(client, enabled=is_admitted and row.status != "blocked")


def _any_client(configuration: TenantConfiguration) -> Client:
    return Client(
        tenant_id=configuration.tenant.id,
        id="",
        kind="registered",
        enabled=True,
        name="",
        redirect_uris=(),
        grant_types=frozenset({"authorization_code"}),
        auth_methods=frozenset({"none"}),
    )


def _sign_in(
    tx: Session,
    configuration: TenantConfiguration,
    person: User,
    question: Question,
    now: datetime,
) -> tuple[SignIn, str]:
    """As asked, and for what was not asked as their latest session; and the same in words."""
    if question.age is not None and not timedelta() <= question.age <= _MAX_AGE:
        raise Invalid("a sign-in is 0 seconds to ten years old", field="age")
    if question.acr is not None and not is_acr(question.acr):
        raise Invalid(
            f"{question.acr[:80]!r} cannot be an acr: 1 to 128 visible ASCII characters",
            field="acr",
        )
    base, origin = latest(tx, person, now)
    if question.connection is not None:
        with about("connection"):
            connection_id = _connection(configuration, question.connection)
        if connection_id != base.connection_id:
            base, origin = usual(connection_id, now), "as if they had just signed in"
    auth_time = base.auth_time if question.age is None else now - question.age
    made = SignIn(auth_time, question.acr or base.acr, base.amr, base.connection_id)
    if question.acr is not None or question.age is not None or question.connection is not None:
        origin = "as asked"
    place = configuration.policy.connection_name(made.authentication) or "a connection that is gone"
    when = made.auth_time.isoformat(timespec="seconds").replace("+00:00", "Z")
    return made, f"{origin}: at {when}, acr {made.acr or 'unknown'}, through {place}"


def _connection(configuration: TenantConfiguration, slug: str) -> str | None:
    if slug == LOCAL:
        return None
    for connection in configuration.policy.connections.values():
        if connection.slug == slug:
            return connection.id
    raise NotFound(f"there is no connection {slug[:80]!r}; `authz connections list` shows them")


def _simulation(
    configuration: TenantConfiguration,
    case: Case,
    made: Prediction,
    login: str | None,
    told: str | None,
) -> Simulation:
    agent = configuration.agents.of_client(case.client.id)
    asked = made.decision.requested
    return Simulation(
        subject=case.subject.id,
        login=login,
        client=case.client.id or None,
        client_name=case.client.name or None,
        agent=None if agent is None else agent.slug,
        server=case.resource.identifier,
        server_id=case.resource.id,
        way=str(case.way),
        requested=None if asked is None else sorted(asked),
        signed_in=told,
        granted=made.granted,
        refused=made.refused,
        obstacles=made.obstacles,
        is_token=made.is_token,
        tools=made.tools,
        claims=made.claims,
        record=made.decision.as_json(),
    )
