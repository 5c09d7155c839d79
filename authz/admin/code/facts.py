"""Who there is and who is what, read for everybody at once."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from sqlalchemy import select
from sqlalchemy.orm import Session

from authz.clients.registered import client_of_row
from authz.db.models import Client, GroupMember, RoleBinding, User
from authz.envelope import Envelope
from authz.oauth.configuration import TenantConfiguration
from authz.oauth.configurations import Configurations
from authz.policy.reach import Crowd, Machine, Moment, claims_of, hold
from authz.policy.snapshot import HeldRole

_CLIENT_CREDENTIALS = "client_credentials"


@dataclass(frozen=True)
class Population:
    """Rows of one moment."""

    configuration: TenantConfiguration
    bindings: Sequence[tuple[str, str, datetime | None]]
    """User, role, end."""
    members: Sequence[tuple[str, str]]
    """Group, user."""
    machines: Mapping[str, Machine]


def configuration_of(
    tx: Session, tenant_id: str, issuer: str, envelope: Envelope
) -> TenantConfiguration:
    """As this transaction sees it. Never remembered: what is rolled back must not be known to anybody."""
    return Configurations(issuer, envelope).load(tx, tenant_id)


def people(tx: Session, tenant_id: str) -> list[tuple[str, str]]:
    """Id and login of everybody whose account is open, by login."""
    rows = tx.execute(
        select(User.id, User.login)
        .where(User.tenant_id == tenant_id, User.status == "active")
        .order_by(User.login)
    )
    return list(rows)


def read(
    tx: Session, tenant_id: str, configuration: TenantConfiguration, now: datetime
) -> Population:
    """All that decides about anybody."""
    bindings = tx.execute(
        select(RoleBinding.subject_id, RoleBinding.role_id, RoleBinding.expires_at).where(
            RoleBinding.tenant_id == tenant_id, RoleBinding.subject_kind == "user"
        )
    )
    members = tx.execute(
        select(GroupMember.group_id, GroupMember.user_id).where(GroupMember.tenant_id == tenant_id)
    )
    return Population(
        configuration,
        bindings.all(),
        members.all(),
        _machines(tx, tenant_id, configuration, now),
    )


def crowd_of(found: Sequence[tuple[str, str]], populations: Iterable[Population]) -> Crowd:
    """Everybody by id and login, and whoever may come with a value that one of the policies maps."""
    return Crowd(
        [login for _, login in found],
        [id_ for id_, _ in found],
        claims_of(it.configuration.policy for it in populations),
    )


def moment_of(
    population: Population, crowd: Crowd, numbers: Mapping[str, int], now: datetime
) -> Moment:
    """`numbers` are those of the people in the crowd, by id."""
    policy = population.configuration.policy
    holdings = hold(
        crowd,
        policy,
        (
            (numbers[user], HeldRole(role, until))
            for user, role, until in population.bindings
            if user in numbers
        ),
        ((group, numbers[user]) for group, user in population.members if user in numbers),
        now,
    )
    return Moment(policy, holdings, population.machines)


def _machines(
    tx: Session, tenant_id: str, configuration: TenantConfiguration, now: datetime
) -> dict[str, Machine]:
    """Clients that hold something for themselves."""
    policy = configuration.policy
    administering = {id_ for kind, id_ in policy.administrators if kind == "client"}
    ids = sorted(policy.client_roles.keys() | administering)
    found = {}
    for start in range(0, len(ids), 500):
        rows = tx.scalars(
            select(Client).where(
                Client.tenant_id == tenant_id, Client.id.in_(ids[start : start + 500])
            )
        )
        for row in rows:
            client = client_of_row(row)
            may_act = (
                client.enabled
                and client.is_confidential
                and _CLIENT_CREDENTIALS in client.grant_types
            )
            bounds = partial(configuration.ceilings, client, now=now)
            found[row.id] = Machine(may_act, bounds)
    return found
