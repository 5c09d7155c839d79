"""Whether an installation is ready for a company: eight questions, each answered from what is there (S19).

Owns the questions and what counts as an answer. Reads; changes nothing and asks no other machine.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.orm import Session

from authz.admin import local_grants, sealing
from authz.admin.leaving import report
from authz.db.models import (
    AdminBinding,
    Agent,
    AuditCheckpoint,
    Base,
    Client,
    ClientRequest,
    Connection,
    Departure,
    Domain,
    OutcomeBatch,
    Resource,
    Review,
    ScimToken,
    Scope,
    SignalStream,
    SigningKey,
    Tenant,
    User,
)
from authz.envelope import UNNAMED
from authz.policy.administration import ADMIN_ROLES
from authz.tenants import TWO_PERSON

YEAR, QUARTER, DAY = timedelta(days=365), timedelta(days=92), timedelta(days=1)
SLOWEST_END = 5.0
"""Seconds from a signal to the end of the last credential, at the 99th of 100."""


@dataclass(frozen=True)
class Check:
    """One thing that was looked at."""

    passed: bool
    evidence: str
    way_out: str = ""
    """What to do, where it did not pass."""


@dataclass(frozen=True)
class Part:
    """One of the eight, with all that was looked at for it."""

    name: str
    question: str
    checks: Sequence[Check]

    @property
    def passed(self) -> bool:
        """Whether everything in it is well."""
        return all(it.passed for it in self.checks)


@dataclass(frozen=True)
class Readiness:
    """The whole report."""

    at: datetime
    parts: Sequence[Part]

    @property
    def passed(self) -> bool:
        """Whether every part is."""
        return all(it.passed for it in self.parts)


@dataclass(frozen=True)
class _Look:
    """Questions to one tenant's rows."""

    tx: Session
    tenant_id: str
    now: datetime

    def count(self, model: type[Base], *conditions: ColumnElement[bool]) -> int:
        query = select(func.count()).select_from(model)
        own: ColumnElement[bool] = model.tenant_id == self.tenant_id  # type: ignore[attr-defined]
        return self.tx.scalars(query.where(own, *conditions)).one()

    @property
    def tenant(self) -> Tenant:
        return self.tx.get_one(Tenant, self.tenant_id)


def judge(tx: Session, tenant_id: str, now: datetime) -> Readiness:
    """Ask all eight."""
    look = _Look(tx, tenant_id, now)
    return Readiness(now, [Part(name, said, ask(look)) for name, said, ask in PARTS])


def _n(count: int, one: str, many: str) -> str:
    return f"{count} {one if count == 1 else many}"


def _identity(look: _Look) -> list[Check]:
    active = look.count(Connection, Connection.status == "active")
    mandatory = look.count(Domain, Domain.verified_at.is_not(None), Domain.is_mandatory.is_(True))
    passwords = look.count(
        User,
        User.status == "active",
        User.password_hash.is_not(None),
        User.is_break_glass.is_(False),
    )
    local = local_grants.count_of_people(look.tx, look.tenant_id, look.now)
    return [
        Check(
            active > 0,
            f"{_n(active, 'identity provider is', 'identity providers are')} connected",
            "connect one: authz connections add",
        ),
        Check(
            mandatory > 0,
            f"{_n(mandatory, 'verified domain has', 'verified domains have')} to use theirs",
            "authz domains add, verify, mandatory",
        ),
        Check(
            passwords == 0,
            f"{_n(passwords, 'active person', 'active people')} can use a password here, break-glass accounts aside",
            "let them sign in through the company: authz users list",
        ),
        Check(
            local == 0,
            f"{_n(local, 'role is', 'roles are')} held because of what was put there here, "
            "break-glass accounts aside",
            "authz roles local lists them; give roles to groups that the identity provider fills",
        ),
    ]


def _leaving(look: _Look) -> list[Check]:
    scim = look.count(
        ScimToken,
        ScimToken.revoked_at.is_(None),
        or_(ScimToken.expires_at.is_(None), ScimToken.expires_at > look.now),
    )
    streams = look.count(SignalStream, SignalStream.status == "active")
    ends = report(look.tx, look.tenant_id, look.now - QUARTER)
    worst = max((it.p99 for it in ends.sources), default=0.0)
    ended = look.count(Departure, Departure.ended_at > look.now - QUARTER)
    return [
        Check(
            scim + streams > 0,
            f"{_n(scim, 'SCIM token', 'SCIM tokens')} and "
            f"{_n(streams, 'stream', 'streams')} of signals tell who leaves",
            "authz scim-tokens add, or authz signals add",
        ),
        Check(
            worst <= SLOWEST_END,
            f"{_n(ended, 'end', 'ends')} of access within 92 days, 99 of 100 within {worst:.1f} s"
            if ended
            else "nobody's access was ended within 92 days",
            "authz offboarding says which signals are slow",
        ),
    ]


def _least(look: _Look) -> list[Check]:
    scopes = look.count(Scope)
    untold = look.count(Scope, Scope.description == "")
    risky = look.count(Scope, Scope.is_default.is_(True), Scope.risk != "read")
    bare = [
        it
        for it in look.tx.scalars(select(Scope.tools).where(Scope.tenant_id == look.tenant_id))
        if not it
    ]
    return [
        Check(scopes > 0, f"{_n(scopes, 'scope is', 'scopes are')} declared", "authz resources scope add"),
        Check(
            risky == 0,
            f"{_n(risky, 'scope that writes is', 'scopes that write are')} given to who asks for nothing in particular",
            "authz resources scope edit SERVER SCOPE --no-default",
        ),
        Check(
            not bare,
            f"{_n(len(bare), 'scope opens', 'scopes open')} no tool that is known here",
            "authz resources scope edit SERVER SCOPE --tool NAME",
        ),
        Check(
            untold == 0,
            f"{_n(untold, 'scope does not say what it lets do', 'scopes do not say what they let do')}",
            "authz resources scope edit SERVER SCOPE --description TEXT",
        ),
    ]  # fmt: skip


def _clients(look: _Look) -> list[Check]:
    tenant = look.tenant
    approved = look.count(Client, Client.status == "active")
    waiting = look.count(
        ClientRequest, ClientRequest.status == "open", ClientRequest.created_at < look.now - DAY
    )
    return [
        Check(
            tenant.client_trust == "allow_list",
            f"metadata documents of clients are trusted by {tenant.client_trust}",
            "authz tenants trust TENANT allow_list",
        ),
        Check(
            tenant.registration != "open",
            f"dynamic registration is {tenant.registration}",
            "authz tenants registration TENANT token",
        ),
        Check(
            waiting == 0,
            f"{_n(waiting, 'request for a client waits', 'requests for clients wait')} longer than a day",
            "authz clients requests",
        ),
        Check(
            approved > 0,
            f"{_n(approved, 'client is', 'clients are')} approved",
            "authz clients approve",
        ),
    ]


def _agents(look: _Look) -> list[Check]:
    endless = look.count(Agent, Agent.status == "active", Agent.expires_at.is_(None))
    unbounded = look.count(Agent, Agent.status == "active", Agent.scope_ceiling.is_(None))
    return [
        Check(
            endless == 0,
            f"{_n(endless, 'active agent has', 'active agents have')} no end",
            "authz agents change --expires",
        ),
        Check(
            unbounded == 0,
            f"{_n(unbounded, 'active agent has', 'active agents have')} no ceiling of scopes",
            "authz agents change --scope",
        ),
    ]


def _owners(look: _Look) -> list[Check]:
    nobody = look.count(Resource, Resource.status == "active", Resource.owner == "")
    owners = look.count(AdminBinding, AdminBinding.role_id == ADMIN_ROLES["owner"].id)
    mode = look.tenant.change_control
    reviewed = look.tx.scalars(
        select(func.max(Review.created_at)).where(Review.tenant_id == look.tenant_id)
    ).one()
    recent = reviewed is not None and reviewed > look.now - YEAR
    told = "never" if reviewed is None else f"{reviewed:%Y-%m-%d}"
    return [
        Check(
            nobody == 0,
            f"{_n(nobody, 'active MCP server has', 'active MCP servers have')} no owner",
            "authz resources owner",
        ),
        Check(
            owners >= 2,
            f"{_n(owners, 'holder', 'holders')} of the admin role owner",
            "authz admins grant owner",
        ),
        Check(
            mode == TWO_PERSON,
            f"changes of policy by two people: {mode}",
            "authz tenants change-control TENANT two_person",
        ),
        Check(recent, f"the last access review began: {told}", "authz reviews start"),
    ]


def _keys(look: _Look) -> list[Check]:
    old = look.count(
        SigningKey,
        SigningKey.retire_at.is_(None),
        SigningKey.activate_at < look.now - YEAR,
    )
    used = sealing.usage(look.tx, look.tenant_id)
    told = ", ".join(f"{count} under {name}" for name, count in sorted(used.items()))
    return [
        Check(
            old == 0,
            f"{_n(old, 'signing key is', 'signing keys are')} active longer than a year",
            "authz keys rotate",
        ),
        Check(
            len(used) == 1 and UNNAMED not in used,
            f"secrets are sealed with one key-encryption key: {told}",
            "authz keys rewrap",
        ),
    ]


def _audit(look: _Look) -> list[Check]:
    last = look.tx.scalars(
        select(func.max(AuditCheckpoint.at)).where(AuditCheckpoint.tenant_id == look.tenant_id)
    ).one()
    told = "never" if last is None else f"{last:%Y-%m-%d %H:%M}"
    batches = look.count(OutcomeBatch, OutcomeBatch.received_at > look.now - QUARTER)
    return [
        Check(
            last is not None and last > look.now - DAY,
            f"the trail was tied by a signed checkpoint: {told}",
            "authz audit checkpoint; `authz serve` does it by itself",
        ),
        Check(
            batches > 0,
            f"{_n(batches, 'report', 'reports')} of tool calls by MCP servers within 92 days",
            "docs/outcomes.md: one line in the MCP server",
        ),
    ]


PARTS: Sequence[tuple[str, str, Callable[[_Look], list[Check]]]] = (
    ("Identity", "Do people sign in through the company, and only there?", _identity),
    ("Leaving", "Does access end when the company says so?", _leaving),
    ("Least privilege", "Is every method a scope, and little given unasked?", _least),
    ("Clients", "Does somebody decide which clients are used?", _clients),
    ("Agents", "Is every agent bounded in what and in time?", _agents),
    ("Responsibility", "Does somebody answer for every server, change and grant?", _owners),
    ("Keys", "Are keys changed?", _keys),
    ("Evidence", "Can it be shown afterwards what happened?", _audit),
)
"""In the order of the report."""
