"""Who there is and who is what, read for everybody at once."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

from sqlalchemy import select
from sqlalchemy.orm import Session
from sqlalchemy.sql.functions import aggregate_strings

from authz.clients.registered import client_of_row
from authz.db.models import Client, GroupMember, RoleBinding, User
from authz.envelope import Envelope
from authz.oauth.configuration import TenantConfiguration
from authz.oauth.configurations import Configurations
from authz.policy.reach import Crowd, Machine, Moment, claims_of, hold, mask_of
from authz.policy.snapshot import HeldRole

_CLIENT_CREDENTIALS = "client_credentials"


@dataclass(frozen=True)
class Population:
    """Rows of one moment."""

    configuration: TenantConfiguration
    bindings: Mapping[HeldRole, str]
    """Whom each role is bound to, by id, until when; with spaces between."""
    members: Mapping[str, str]
    """Who is in each group."""
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
    # A row for each role and group, not for each person: most of the time went into a hundred thousand rows.
    bindings = tx.execute(
        select(
            RoleBinding.role_id,
            RoleBinding.expires_at,
            aggregate_strings(RoleBinding.subject_id, " "),
        )
        .where(RoleBinding.tenant_id == tenant_id, RoleBinding.subject_kind == "user")
        .group_by(RoleBinding.role_id, RoleBinding.expires_at)
    )
    members = tx.execute(
        select(GroupMember.group_id, aggregate_strings(GroupMember.user_id, " "))
        .where(GroupMember.tenant_id == tenant_id)
        .group_by(GroupMember.group_id)
    )
    return Population(
        configuration,
        {HeldRole(role, until): who for role, until, who in bindings},
        dict(members.all()),
        _machines(tx, tenant_id, configuration, now),
    )


def crowd_of(found: Sequence[tuple[str, str]], populations: Iterable[Population]) -> Crowd:
    """Everybody by id and login, and whoever may come with a value that one of the policies maps."""
    return Crowd(
        [login for _, login in found],
        [id_ for id_, _ in found],
        claims_of(it.configuration.policy for it in populations),
    )


@dataclass(frozen=True)
class Counting:
    """Who is which number of the crowd; what is said of the same people twice is counted once."""

    crowd: Crowd
    numbers: Mapping[str, int]
    """Of the people, by id."""
    _known: dict[str, int] = field(default_factory=dict)

    def moment_of(self, population: Population, now: datetime) -> Moment:
        """Who holds what, and policy, at the moment of the rows."""
        policy = population.configuration.policy
        holdings = hold(
            self.crowd,
            policy,
            [(held, self._mask(who)) for held, who in population.bindings.items()],
            {group: self._mask(who) for group, who in population.members.items()},
            now,
        )
        return Moment(policy, holdings, population.machines)

    def _mask(self, ids: str) -> int:
        if ids not in self._known:
            numbers = map(self.numbers.get, ids.split(" "))
            self._known[ids] = mask_of(self.crowd, (it for it in numbers if it is not None))
        return self._known[ids]


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
