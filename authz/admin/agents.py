"""Agents: programs that act, each with somebody who answers for it, clients of its own and an end (M6, M13)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from authz import entropy
from authz.admin import clients, resources
from authz.admin.operator import Operator
from authz.admin.revocation import cut_off_clients, revoke_families
from authz.admin.workload_access import workloads_of
from authz.audit.events import Event
from authz.db.models import (
    Agent,
    AgentClient,
    IssuedToken,
    Resource,
    TokenFamily,
    TrustedIssuer,
    User,
)
from authz.directory import users
from authz.errors import Conflict, Invalid, NotFound, about
from authz.oauth.workload_trust import is_workload
from authz.policy.administration import Permission
from authz.policy.scopes import is_scope_name
from authz.tenants import is_slug

ACTIVE, DORMANT, KILLED = "active", "dormant", "killed"
DEFAULT_DORMANT_DAYS = 30
_MAX_DORMANT_DAYS = 3650
_LOOKS_BACK = timedelta(days=1)
_MAX_PURPOSE_CHARS = 500


@dataclass(frozen=True)
class AgentLine:
    """An agent in a list."""

    id: str
    slug: str
    purpose: str
    owner: str
    """The login of who answers for it."""
    status: str
    clients: list[str]
    servers: list[str]
    scope_ceiling: list[str] | None
    expires_at: datetime | None
    dormant_after_days: int
    used_at: datetime
    live_grants: int
    created_at: datetime


@dataclass(frozen=True)
class Killed:
    """What ended with an agent."""

    agent: AgentLine
    revoked_grants: int


def add(
    tx: Session,
    operator: Operator,
    tenant_id: str,
    *,
    slug: str,
    purpose: str,
    owner: str,
    servers: Sequence[str],
    clients_: Sequence[str] = (),
    scopes: frozenset[str] | None = None,
    expires_at: datetime | None = None,
    dormant_after_days: int = DEFAULT_DORMANT_DAYS,
) -> AgentLine:
    """A new agent. Raises Invalid naming the value, NotFound, Conflict."""
    operator.must(Permission.CLIENTS_WRITE)
    if not is_slug(slug):
        raise Invalid(
            f"{slug!r} is not a name for an agent: lower-case letters, digits and inner hyphens, at most 63",
            field="slug",
        )
    _purpose(purpose)
    taken = tx.scalars(
        select(Agent.id).where(Agent.tenant_id == tenant_id, Agent.slug == slug)
    ).first()
    if taken is not None:
        raise Conflict(f"there is an agent {slug!r} already", field="slug")
    with about("owner"):
        person = users.load(tx, tenant_id, owner)
    if person.status != "active":
        raise Invalid(
            f"{person.login} is {person.status}; somebody active has to answer for an agent",
            field="owner",
        )
    _check_room(tx, operator, person)
    row = Agent(
        id=entropy.new_id("agt"),
        tenant_id=tenant_id,
        slug=slug,
        purpose=purpose,
        owner_id=person.id,
        status=ACTIVE,
        resources=_servers(tx, tenant_id, servers),
        scope_ceiling=_ceiling(scopes),
        expires_at=_end(expires_at, operator.now),
        dormant_after_days=_days(dormant_after_days),
        used_at=operator.now,
        created_at=operator.now,
        updated_at=operator.now,
    )
    tx.add(row)
    tx.flush()
    with about("clients"):
        given = [_give(tx, row, it) for it in clients_]
    values = {
        "owner": person.id,
        "clients": given,
        "resources": row.resources,
        "scopes": row.scope_ceiling,
        "expires_at": None if expires_at is None else expires_at.isoformat(),
    }
    operator.changed(tx, tenant_id, "agent.add", row.id, values)
    return _line(tx, row, operator.now)


def give_client(
    tx: Session, operator: Operator, tenant_id: str, slug: str, client_id: str
) -> AgentLine:
    """A client becomes the agent's: from now on what it holds is bounded, and says who acts."""
    operator.must(Permission.CLIENTS_WRITE)
    row = load(tx, tenant_id, slug)
    with about("client_id"):
        given = _give(tx, row, client_id)
    operator.changed(tx, tenant_id, "agent.client", row.id, {"given": given}, client=given)
    return _line(tx, row, operator.now)


def take_client(
    tx: Session, operator: Operator, tenant_id: str, slug: str, client_id: str
) -> AgentLine:
    """A client is the agent's no longer, and what it holds ends: it was granted to the agent."""
    operator.must(Permission.CLIENTS_WRITE)
    row = load(tx, tenant_id, slug)
    if "/" in client_id and "://" not in client_id:
        client_id = _find(tx, tenant_id, client_id)
    held = tx.get(AgentClient, (tenant_id, client_id))
    if held is None or held.agent_id != row.id:
        raise NotFound(f"{client_id!r} is no client of the agent {slug}", field="client_id")
    tx.delete(held)
    tx.flush()
    ended = revoke_families(
        tx, operator, tenant_id, because="agent_client_taken", client_id=client_id
    )
    cut_off_clients(tx, operator, tenant_id, [client_id])
    values = {"taken": client_id, "revoked_grants": len(ended)}
    operator.changed(tx, tenant_id, "agent.client", row.id, values, client=client_id, also=ended)
    return _line(tx, row, operator.now)


def change(
    tx: Session,
    operator: Operator,
    tenant_id: str,
    slug: str,
    *,
    purpose: str | None = None,
    owner: str | None = None,
    servers: Sequence[str] | None = None,
    scopes: frozenset[str] | None = None,
    any_scope: bool = False,
    expires_at: datetime | None = None,
    no_end: bool = False,
    dormant_after_days: int | None = None,
) -> AgentLine:
    """Change what is given. `any_scope` takes the ceiling away, `no_end` the end."""
    operator.must(Permission.CLIENTS_WRITE)
    row = load(tx, tenant_id, slug)
    if purpose is not None:
        row.purpose = _purpose(purpose)
    if owner is not None:
        with about("owner"):
            person = users.load(tx, tenant_id, owner)
        if person.id != row.owner_id:
            _check_room(tx, operator, person)
        row.owner_id = person.id
    if servers is not None:
        row.resources = _servers(tx, tenant_id, servers)
    if scopes is not None or any_scope:
        row.scope_ceiling = None if any_scope else _ceiling(scopes)
    if expires_at is not None or no_end:
        row.expires_at = None if no_end else _end(expires_at, operator.now)
    if dormant_after_days is not None:
        row.dormant_after_days = _days(dormant_after_days)
    row.updated_at = operator.now
    tx.flush()
    values = {
        "purpose": row.purpose,
        "owner": row.owner_id,
        "resources": row.resources,
        "scopes": row.scope_ceiling,
        "expires_at": None if row.expires_at is None else row.expires_at.isoformat(),
        "dormant_after_days": row.dormant_after_days,
    }
    operator.changed(tx, tenant_id, "agent.change", row.id, values)
    return _line(tx, row, operator.now)


def kill(tx: Session, operator: Operator, tenant_id: str, slug: str) -> Killed:
    """Switch it off everywhere, for good: its grants end now, and its own tokens count for nothing (M13)."""
    operator.must(Permission.CLIENTS_WRITE)
    return _stop(tx, operator, load(tx, tenant_id, slug), KILLED, because="agent_killed")


def wake(tx: Session, operator: Operator, tenant_id: str, slug: str) -> AgentLine:
    """Let a sleeping agent act again. One that was killed stays so."""
    operator.must(Permission.CLIENTS_WRITE)
    row = load(tx, tenant_id, slug)
    if row.status != DORMANT:
        raise Conflict(f"the agent {slug} is {row.status}, not {DORMANT}")
    owner = tx.get_one(User, row.owner_id)
    if owner.status != "active":
        raise Conflict(
            f"{owner.login}, who answers for {slug}, is {owner.status}; "
            f"`authz agents change {slug} --owner LOGIN` names somebody else"
        )
    row.status, row.used_at, row.updated_at = ACTIVE, operator.now, operator.now
    tx.flush()
    operator.changed(tx, tenant_id, "agent.status", row.id, {"status": ACTIVE})
    return _line(tx, row, operator.now)


def note_use(tx: Session, tenant_id: str, now: datetime) -> None:
    """Remember when each agent was last given a token. Called every hour, so that issuing a token need not write it.

    Tokens that ended longer ago than a day were seen before.
    """
    last = dict(
        tx.execute(
            select(AgentClient.agent_id, func.max(IssuedToken.issued_at))
            .join(
                IssuedToken,
                (IssuedToken.client_id == AgentClient.client_id)
                & (IssuedToken.tenant_id == AgentClient.tenant_id),
            )
            .where(AgentClient.tenant_id == tenant_id, IssuedToken.expires_at > now - _LOOKS_BACK)
            .group_by(AgentClient.agent_id)
        ).all()
    )
    for row in tx.scalars(
        select(Agent).where(Agent.tenant_id == tenant_id, Agent.status == ACTIVE)
    ):
        used_at = last.get(row.id)
        if used_at is not None and used_at > row.used_at:
            row.used_at = used_at
    tx.flush()


def put_to_sleep(tx: Session, operator: Operator, tenant_id: str) -> list[Killed]:
    """Put agents to sleep that nobody has used for as long as their record says, and those nobody answers for."""
    rows = tx.execute(
        select(Agent, User.status)
        .join(User, User.id == Agent.owner_id)
        .where(Agent.tenant_id == tenant_id, Agent.status == ACTIVE)
        .order_by(Agent.id)
    ).all()
    stopped = []
    for row, owner_status in rows:
        if owner_status != "active":
            stopped.append(_stop(tx, operator, row, DORMANT, because="agent_owner_gone"))
        elif operator.now - row.used_at >= timedelta(days=row.dormant_after_days):
            stopped.append(_stop(tx, operator, row, DORMANT, because="agent_dormant"))
    return stopped


def list_(tx: Session, tenant_id: str, now: datetime) -> list[AgentLine]:
    """The fleet, by slug."""
    rows = tx.scalars(select(Agent).where(Agent.tenant_id == tenant_id).order_by(Agent.slug)).all()
    return [_line(tx, row, now) for row in rows]


def show(tx: Session, tenant_id: str, slug: str, now: datetime) -> AgentLine:
    """One agent. Raises NotFound."""
    return _line(tx, load(tx, tenant_id, slug), now)


def load(tx: Session, tenant_id: str, slug: str) -> Agent:
    """The row, by slug or id. Raises NotFound."""
    wanted = Agent.id == slug if slug.startswith("agt_") else Agent.slug == slug
    row = tx.scalars(select(Agent).where(Agent.tenant_id == tenant_id, wanted)).one_or_none()
    if row is None:
        raise NotFound(f"there is no agent {slug!r}; `authz agents list` shows them")
    return row


def _stop(tx: Session, operator: Operator, row: Agent, status: str, *, because: str) -> Killed:
    row.status, row.updated_at = status, operator.now
    tx.flush()
    ended: list[Event] = []
    held = _clients(tx, row)
    for client_id in held:
        ended += revoke_families(tx, operator, row.tenant_id, because=because, client_id=client_id)
    cut_off_clients(tx, operator, row.tenant_id, held)
    values = {"status": status, "revoked_grants": len(ended)}
    operator.changed(tx, row.tenant_id, "agent.status", row.id, values, also=ended)
    return Killed(_line(tx, row, operator.now), len(ended))


def _check_room(tx: Session, operator: Operator, owner: User) -> None:
    """Raises Conflict when they answer for as many as one person may (M13)."""
    most = operator.agents_per_owner
    if not most:
        return
    # Locked before it is counted, or two that are added at once would both be the last.
    tx.execute(select(User.id).where(User.id == owner.id).with_for_update(key_share=True))
    count = tx.scalars(
        select(func.count())
        .select_from(Agent)
        .where(
            Agent.tenant_id == owner.tenant_id, Agent.owner_id == owner.id, Agent.status != KILLED
        )
    ).one()
    if count >= most:
        raise Conflict(
            f"{owner.login} answers for {count} agents, and limits.agents_per_owner is {most}; "
            "kill one, or name somebody else",
            field="owner",
        )


def _give(tx: Session, row: Agent, reference: str) -> str:
    client_id = _find(tx, row.tenant_id, reference)
    held = tx.get(AgentClient, (row.tenant_id, client_id))
    if held is not None:
        other = tx.get_one(Agent, held.agent_id)
        raise Conflict(f"{client_id!r} is a client of the agent {other.slug} already")
    tx.add(AgentClient(tenant_id=row.tenant_id, client_id=client_id, agent_id=row.id))
    tx.flush()
    return client_id


def _find(tx: Session, tenant_id: str, reference: str) -> str:
    """A client that authenticates; or a workload, as TRUST/RULE or by its id (`wkl_…`). Raises NotFound, Invalid."""
    slug, slash, rule = reference.partition("/")
    if is_workload(reference) or (slash and "://" not in reference):
        for entry in tx.scalars(select(TrustedIssuer).where(TrustedIssuer.tenant_id == tenant_id)):
            for workload_id, name in workloads_of(entry).items():
                if reference == workload_id or (slug, rule) == (entry.slug, name):
                    return workload_id
        raise NotFound(f"no rule knows the workload {reference!r}; `authz trust show` has them")
    client = clients.load(tx, tenant_id, reference)
    if client.metadata_.get("token_endpoint_auth_method", "none") == "none":
        raise Invalid(
            f"the client {reference!r} does not authenticate, so anybody could be the agent; "
            "use one with private_key_jwt"
        )
    return reference


def _clients(tx: Session, row: Agent) -> list[str]:
    return list(
        tx.scalars(
            select(AgentClient.client_id)
            .where(AgentClient.agent_id == row.id)
            .order_by(AgentClient.client_id)
        )
    )


def _servers(tx: Session, tenant_id: str, servers: Sequence[str]) -> list[str]:
    with about("servers"):
        return [resources.load(tx, tenant_id, it).id for it in servers]


def _purpose(text: str) -> str:
    if not text or len(text) > _MAX_PURPOSE_CHARS or not text.isprintable():
        raise Invalid(
            f"the purpose of an agent has 1 to {_MAX_PURPOSE_CHARS} printable characters",
            field="purpose",
        )
    return text


def _ceiling(scopes: frozenset[str] | None) -> list[str] | None:
    for scope in sorted(scopes or ()):
        if not is_scope_name(scope):
            raise Invalid(f"{scope!r} is not the name of a scope", field="scopes")
    return None if scopes is None else sorted(scopes)


def _end(expires_at: datetime | None, now: datetime) -> datetime | None:
    if expires_at is not None and expires_at <= now:
        raise Invalid(f"the end {expires_at.isoformat()} is past", field="expires_at")
    return expires_at


def _days(count: int) -> int:
    if not 1 <= count <= _MAX_DORMANT_DAYS:
        raise Invalid(
            f"an agent sleeps after 1 to {_MAX_DORMANT_DAYS} days without use",
            field="dormant_after_days",
        )
    return count


def _line(tx: Session, row: Agent, now: datetime) -> AgentLine:
    held = _clients(tx, row)
    servers = tx.scalars(
        select(Resource.identifier)
        .where(Resource.id.in_(row.resources))
        .order_by(Resource.identifier)
    )
    live = tx.scalars(
        select(func.count())
        .select_from(TokenFamily)
        .where(
            TokenFamily.tenant_id == row.tenant_id,
            TokenFamily.client_id.in_(held),
            TokenFamily.revoked_at.is_(None),
            TokenFamily.idle_expires_at > now,
        )
    ).one()
    return AgentLine(
        id=row.id,
        slug=row.slug,
        purpose=row.purpose,
        owner=tx.get_one(User, row.owner_id).login,
        status=row.status,
        clients=held,
        servers=list(servers),
        scope_ceiling=row.scope_ceiling,
        expires_at=row.expires_at,
        dormant_after_days=row.dormant_after_days,
        used_at=row.used_at,
        live_grants=live,
        created_at=row.created_at,
    )
