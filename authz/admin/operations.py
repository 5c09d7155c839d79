"""Everything that administrators change, by name: what the admin API, the console and change control call.

An operation is a function of this package. Its arguments are JSON, read strictly, so a change can be kept as a name and
arguments, and performed later.

    wanted = supply(operator, "users.add", arguments, surroundings)     # slow things, before the transaction
    perform(tx, operator, tenant_id, "users.add", arguments, wanted)

`supply` is for operations that have one; the others are performed at once. Those of policy never have one.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any

from sqlalchemy.orm import Session

from authz.admin import (
    admins,
    agents,
    audit_holds,
    client_trust,
    client_view,
    clients,
    connections,
    credentials,
    delegations,
    domains,
    event_streams,
    grants,
    groups,
    initial_tokens,
    keys,
    leaving,
    mappings,
    resources,
    reviews,
    role_changes,
    roles,
    roles_import,
    rollouts,
    scim_tokens,
    scope_contracts,
    scopes,
    sessions,
    signal_streams,
    supplies,
    targets,
    tenants,
    trust,
    users,
    versions,
    workload_trust,
)
from authz.admin.arguments import GIVEN, Reader, Signature
from authz.admin.operator import Operator
from authz.admin.supplies import Supply, Surroundings, Values
from authz.errors import NotFound
from authz.policy.administration import Permission

_P = Permission


@dataclass(frozen=True)
class Operation:
    """One thing that can be changed."""

    function: Callable[..., Any]
    permission: Permission
    """What it asks for. Some ask for more about administrators (`admins.guard`)."""
    besides: frozenset[Permission] = frozenset()
    """What it asks for as well, whoever owns the MCP server."""
    is_policy: bool = False
    """Whether it changes who may call what: where a tenant demands two people, these need the second."""
    narrows: bool = False
    """Whether it can only take access away: then it takes no second person."""
    by_owner: bool = False
    """Whether the owner of the MCP server it is about may as well."""
    shows_secret: bool = False
    """Whether its answer has something that is shown this once."""
    supply: Supply | None = None

    @property
    def _supplied(self) -> frozenset[str]:
        return frozenset() if self.supply is None else self.supply.supplies

    @cached_property
    def signature(self) -> Signature:
        """Of the function."""
        return Signature.of(self.function, self._supplied)

    @cached_property
    def reader(self) -> Reader:
        """Of its arguments."""
        taken = {} if self.supply is None else self.supply.takes
        own = {n: m for n, m in self.signature.members.items() if n not in self._supplied}
        name = next((n for n, it in OPERATIONS.items() if it is self), self.function.__name__)
        secret = frozenset() if self.supply is None else self.supply.secret
        return Reader(name, {**own, **taken}, secret)

    def admit(self, operator: Operator) -> None:
        """Ask before anything of the arguments is looked at. Raises Forbidden, StaleSignIn.

        The function asks again; of somebody's own servers it alone can tell.
        """
        if not (self.by_owner and operator.owned and _P.SERVERS_OWN in operator.permissions):
            (operator.must_narrow if self.narrows else operator.must)(self.permission)
        for permission in sorted(self.besides):
            operator.must(permission)

    def prepare(
        self, operator: Operator, arguments: Mapping[str, Any], around: Surroundings
    ) -> Values:
        """See `supply`."""
        # Before anything is hashed or fetched for somebody who may not.
        self.admit(operator)
        read = self.reader.read(arguments)
        return {} if self.supply is None else self.supply.make(around, read)

    def run(
        self,
        tx: Session,
        operator: Operator,
        tenant_id: str,
        arguments: Mapping[str, Any],
        supplied: Values,
    ) -> Any:
        """See `perform`."""
        self.admit(operator)
        read = self.reader.read(arguments)
        if self.supply is not None:
            if not supplied:
                raise ValueError(f"{self.reader.operation} needs what `supply` makes")
            taken = self.supply.takes.keys() - self.signature.members.keys()
            read = {n: value for n, value in read.items() if n not in taken} | dict(supplied)
        where = {"tenant_id": tenant_id} if self.signature.takes_tenant else {}
        return self.function(tx, operator, **where, **self.signature.call_values(read))


def supply(
    operator: Operator, name: str, arguments: Mapping[str, Any], around: Surroundings
) -> Values:
    """What `perform` needs besides the arguments. Raises Forbidden, Invalid, NotFound, Conflict, NetworkError."""
    return load(name).prepare(operator, arguments, around)


def perform(
    tx: Session,
    operator: Operator,
    tenant_id: str,
    name: str,
    arguments: Mapping[str, Any],
    supplied: Values = MappingProxyType({}),
) -> Any:
    """Read the arguments and do it. Raises Forbidden, Invalid, NotFound, Conflict."""
    return load(name).run(tx, operator, tenant_id, arguments, supplied)


def name_and_arguments(
    function: Callable[..., Any], args: Sequence[Any], named: Mapping[str, Any]
) -> tuple[str, dict[str, Any]]:
    """What a call of an operation is as something to keep; `args` come after `tx`, `operator` and `tenant_id`."""
    name, operation = next((n, it) for n, it in OPERATIONS.items() if it.function is function)
    bound = inspect.signature(function).bind(None, None, None, *args, **named)
    given = {n: value for n, value in bound.arguments.items() if n not in GIVEN}
    return name, operation.signature.arguments_of(given)


def load(name: str) -> Operation:
    """Raises NotFound."""
    if name not in OPERATIONS:
        raise NotFound(f"there is no operation {name[:80]!r}")
    return OPERATIONS[name]


def _policy(
    function: Callable[..., Any],
    *,
    by_owner: bool = False,
    permission: Permission = _P.POLICY_WRITE,
    besides: frozenset[Permission] = frozenset(),
) -> Operation:
    return Operation(function, permission, besides, is_policy=True, by_owner=by_owner)


OPERATIONS: Mapping[str, Operation] = {
    "users.add": Operation(users.add, _P.PEOPLE_WRITE, supply=supplies.NEW_PASSWORD),
    "users.set_password": Operation(users.set_password, _P.PEOPLE_WRITE, supply=supplies.PASSWORD),
    "users.set_break_glass": Operation(users.set_break_glass, _P.PEOPLE_WRITE),
    "users.disable": Operation(users.disable, _P.PEOPLE_WRITE),
    "users.enable": Operation(users.enable, _P.PEOPLE_WRITE),
    "users.end_access": Operation(leaving.end_access, _P.PEOPLE_CUT),
    "grants.end": Operation(grants.end, _P.PEOPLE_CUT),
    "sessions.end": Operation(sessions.end, _P.PEOPLE_CUT),
    "sessions.end_all": Operation(sessions.end_all, _P.PEOPLE_CUT),
    "groups.add": Operation(groups.add, _P.PEOPLE_WRITE),
    "groups.remove": Operation(groups.remove, _P.PEOPLE_WRITE),
    "groups.add_member": Operation(groups.add_member, _P.PEOPLE_WRITE),
    "groups.remove_member": Operation(groups.remove_member, _P.PEOPLE_WRITE),
    "clients.add": Operation(
        clients.add, _P.CLIENTS_WRITE, shows_secret=True, supply=supplies.CLIENT_RULES
    ),
    "clients.change_registration": Operation(
        clients.change_registration, _P.CLIENTS_WRITE, supply=supplies.CLIENT_RULES
    ),
    "clients.rotate_secret": Operation(clients.rotate_secret, _P.CLIENTS_WRITE, shows_secret=True),
    "clients.block": Operation(clients.block, _P.CLIENTS_WRITE),
    "clients.unblock": Operation(clients.unblock, _P.CLIENTS_WRITE),
    "clients.approve": Operation(clients.approve, _P.CLIENTS_WRITE),
    "clients.set_ceiling": Operation(clients.set_ceiling, _P.CLIENTS_WRITE),
    "clients.set_groups": Operation(clients.set_groups, _P.CLIENTS_WRITE),
    "clients.set_audience": Operation(clients.set_audience, _P.CLIENTS_WRITE),
    "clients.remove": Operation(clients.remove, _P.CLIENTS_WRITE),
    "clients.accept": Operation(client_view.accept, _P.CLIENTS_WRITE),
    "client_trust.set_rule": Operation(client_trust.set_rule, _P.CLIENTS_WRITE),
    "client_trust.remove_rule": Operation(client_trust.remove_rule, _P.CLIENTS_WRITE),
    "client_trust.approve": Operation(client_trust.approve, _P.CLIENTS_WRITE),
    "client_trust.refuse": Operation(client_trust.refuse, _P.CLIENTS_WRITE),
    "initial_tokens.add": Operation(initial_tokens.add, _P.CLIENTS_WRITE, shows_secret=True),
    "initial_tokens.revoke": Operation(initial_tokens.revoke, _P.CLIENTS_WRITE),
    "agents.add": Operation(agents.add, _P.CLIENTS_WRITE),
    "agents.change": Operation(agents.change, _P.CLIENTS_WRITE),
    "agents.give_client": Operation(agents.give_client, _P.CLIENTS_WRITE),
    "agents.take_client": Operation(agents.take_client, _P.CLIENTS_WRITE),
    "agents.kill": Operation(agents.kill, _P.CLIENTS_WRITE),
    "agents.wake": Operation(agents.wake, _P.CLIENTS_WRITE),
    "delegations.add": Operation(delegations.add, _P.TRUST_WRITE),
    "delegations.remove": Operation(delegations.remove, _P.TRUST_WRITE),
    "targets.add": Operation(targets.add, _P.TRUST_WRITE, supply=supplies.OWN_ISSUER),
    "targets.change": Operation(targets.change, _P.TRUST_WRITE),
    "targets.map_client": Operation(targets.map_client, _P.TRUST_WRITE),
    "targets.set_status": Operation(targets.set_status, _P.TRUST_WRITE),
    "targets.remove": Operation(targets.remove, _P.TRUST_WRITE),
    "trust.add": Operation(trust.add, _P.TRUST_WRITE),
    "trust.change": Operation(trust.change, _P.TRUST_WRITE),
    "trust.set_status": Operation(trust.set_status, _P.TRUST_WRITE),
    "trust.remove": Operation(trust.remove, _P.TRUST_WRITE),
    "workload_trust.add": Operation(workload_trust.add, _P.TRUST_WRITE),
    "workload_trust.change": Operation(workload_trust.change, _P.TRUST_WRITE),
    "workload_trust.allow": Operation(workload_trust.allow, _P.TRUST_WRITE),
    "workload_trust.disallow": Operation(workload_trust.disallow, _P.TRUST_WRITE),
    "resources.add": _policy(resources.add),
    "resources.set_identity": _policy(resources.set_identity, by_owner=True),
    "resources.set_default": _policy(resources.set_default),
    "resources.unset_default": _policy(resources.unset_default),
    "resources.set_name": _policy(resources.set_name, by_owner=True),
    "resources.set_status": _policy(resources.set_status, by_owner=True),
    "resources.set_owner": _policy(resources.set_owner),
    "resources.set_client": _policy(resources.set_client, by_owner=True),
    "resources.set_status_list": _policy(resources.set_status_list, by_owner=True),
    "resources.set_rollout": _policy(rollouts.set_rollout, by_owner=True),
    "credentials.add": _policy(
        credentials.add, by_owner=True, besides=frozenset({_P.CONNECTIONS_WRITE})
    ),
    "credentials.remove": Operation(
        credentials.remove, _P.POLICY_WRITE, narrows=True, by_owner=True
    ),
    "scopes.add": _policy(scopes.add_scope, by_owner=True),
    "scopes.edit": _policy(scopes.edit_scope, by_owner=True),
    "scopes.approve": Operation(scope_contracts.approve, _P.POLICY_APPROVE),
    "scopes.remove": _policy(scopes.remove_scope, by_owner=True),
    "roles.import": _policy(roles_import.import_file),
    "roles.add": _policy(role_changes.add),
    "roles.change": _policy(role_changes.change),
    "roles.remove": _policy(role_changes.remove),
    "roles.set_scopes": _policy(role_changes.set_scopes),
    "roles.set_matrix": _policy(role_changes.set_matrix),
    "roles.require": _policy(roles.require),
    "roles.bind": _policy(roles.bind),
    "roles.unbind": _policy(roles.unbind),
    "policy.revert": _policy(versions.revert),
    "reviews.start": Operation(reviews.start, _P.POLICY_APPROVE),
    "reviews.keep": Operation(reviews.keep, _P.POLICY_WRITE, narrows=True, by_owner=True),
    "reviews.remove": Operation(reviews.remove, _P.POLICY_WRITE, narrows=True, by_owner=True),
    "mappings.add": _policy(mappings.add),
    "mappings.remove": _policy(mappings.remove),
    "connections.add": Operation(
        connections.add, _P.CONNECTIONS_WRITE, supply=supplies.PROVIDER_METADATA
    ),
    "connections.change": Operation(
        connections.change, _P.CONNECTIONS_WRITE, supply=supplies.CONNECTORS_IN_USE
    ),
    "connections.renew": Operation(
        connections.renew, _P.CONNECTIONS_WRITE, supply=supplies.RENEWED
    ),
    "connections.set_status": Operation(connections.set_status, _P.CONNECTIONS_WRITE),
    "connections.remove": Operation(connections.remove, _P.CONNECTIONS_WRITE),
    "domains.add": Operation(domains.add, _P.CONNECTIONS_WRITE),
    "domains.verify": Operation(
        domains.verify, _P.CONNECTIONS_WRITE, supply=supplies.PROOF_OF_DOMAIN
    ),
    "domains.set_mandatory": Operation(domains.set_mandatory, _P.CONNECTIONS_WRITE),
    "domains.remove": Operation(domains.remove, _P.CONNECTIONS_WRITE),
    "scim_tokens.add": Operation(scim_tokens.add, _P.CONNECTIONS_WRITE, shows_secret=True),
    "scim_tokens.revoke": Operation(scim_tokens.revoke, _P.CONNECTIONS_WRITE),
    "signal_streams.add": Operation(
        signal_streams.add, _P.CONNECTIONS_WRITE, shows_secret=True, supply=supplies.DEVELOPMENT
    ),
    "signal_streams.rotate_token": Operation(
        signal_streams.rotate_token, _P.CONNECTIONS_WRITE, shows_secret=True
    ),
    "signal_streams.set_status": Operation(signal_streams.set_status, _P.CONNECTIONS_WRITE),
    "signal_streams.remove": Operation(signal_streams.remove, _P.CONNECTIONS_WRITE),
    "event_streams.push": Operation(
        event_streams.push, _P.CONNECTIONS_WRITE, supply=supplies.DEVELOPMENT
    ),
    "event_streams.poll": Operation(event_streams.poll, _P.CONNECTIONS_WRITE),
    "event_streams.resume": Operation(event_streams.resume, _P.CONNECTIONS_WRITE),
    "audit_holds.place": Operation(audit_holds.place, _P.ADMINS_WRITE),
    "audit_holds.release": Operation(audit_holds.release, _P.ADMINS_WRITE),
    "audit_holds.set_retention": Operation(audit_holds.set_retention, _P.ADMINS_WRITE),
    "keys.rotate": Operation(keys.rotate, _P.KEYS_WRITE, supply=supplies.NEW_KEY),
    "admins.grant": Operation(admins.grant, _P.ADMINS_WRITE),
    "admins.revoke": Operation(admins.revoke, _P.ADMINS_WRITE),
    "tenants.create": Operation(tenants.create, _P.TENANTS_WRITE, supply=supplies.FIRST_KEYS),
    "tenants.set_status": Operation(tenants.set_status, _P.TENANTS_WRITE),
    "tenants.rename": Operation(tenants.rename, _P.SETTINGS_WRITE),
    "tenants.set_client_trust": Operation(tenants.set_client_trust, _P.SETTINGS_WRITE),
    "tenants.set_registration": Operation(tenants.set_registration, _P.SETTINGS_WRITE),
    "tenants.set_scope_changes": Operation(tenants.set_scope_changes, _P.ADMINS_WRITE),
    "tenants.set_change_control": Operation(tenants.set_change_control, _P.ADMINS_WRITE),
}
"""By name, area first."""
