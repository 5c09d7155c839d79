"""The administration of a tenant as a resource of its own, whose scopes are what an administrator may do. Pure.

Console, admin API and policy ask the same engine: an administrator's permissions are the scopes that `policy.decide`
leaves them at this resource, so who holds what, until when and why is told like for any MCP server.

Decisions:
- Admin roles are fixed here and bound by `admin.admins` alone. No role of a roles file can hold one of these scopes or
  include an admin role, so whoever writes policy cannot write themselves more power.
- A client gets these scopes only if its ceiling names them. A client that an administrator merely consented to is no
  tool of administration (ATK-38): consent to a stranger's client would hand it the installation.
- Only the tenant at the base address administers tenants.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from authz.policy.snapshot import Resource, Role, Scope, Way

ADMIN_ID = "admin"
"""In rows; ids of MCP servers have a prefix."""
ADMIN_PATH = "/api/admin"


ADMIN_PREFIX = "authz."
"""Of every permission. No MCP server may declare a scope that begins so: the ceiling of a client names scopes without
saying of which server."""


class Permission(StrEnum):
    """What an operation asks of whoever calls it; the value is the scope that holds it."""

    READ = "authz.read"
    AUDIT_READ = "authz.audit.read"
    POLICY_WRITE = "authz.policy.write"
    POLICY_APPROVE = "authz.policy.approve"
    CLIENTS_WRITE = "authz.clients.write"
    PEOPLE_WRITE = "authz.people.write"
    PEOPLE_CUT = "authz.people.cut"
    CONNECTIONS_WRITE = "authz.connections.write"
    TRUST_WRITE = "authz.trust.write"
    KEYS_WRITE = "authz.keys.write"
    SETTINGS_WRITE = "authz.settings.write"
    TENANTS_WRITE = "authz.tenants.write"
    ADMINS_WRITE = "authz.admins.write"
    SERVERS_OWN = "authz.servers.own"


FRESH = frozenset(
    {
        Permission.POLICY_WRITE,
        Permission.POLICY_APPROVE,
        Permission.CONNECTIONS_WRITE,
        Permission.TRUST_WRITE,
        Permission.KEYS_WRITE,
        Permission.TENANTS_WRITE,
        Permission.ADMINS_WRITE,
    }
)
"""What a person must have signed in for lately: trust, keys and roles."""

_P = Permission
_RISK = "administration"
_DESCRIPTIONS: Mapping[Permission, str] = {
    _P.READ: "See the configuration, people, clients and live grants",
    _P.AUDIT_READ: "Read and export the audit trail",
    _P.POLICY_WRITE: "Change MCP servers, scopes, roles and mappings",
    _P.POLICY_APPROVE: "Approve changes of policy that somebody else asked for",
    _P.CLIENTS_WRITE: "Approve, block and change clients and agents",
    _P.PEOPLE_WRITE: "Add and change people and groups",
    _P.PEOPLE_CUT: "End sessions, grants and tokens",
    _P.CONNECTIONS_WRITE: "Change identity providers, domains and provisioning",
    _P.TRUST_WRITE: "Change whose assertions are trusted",
    _P.KEYS_WRITE: "Rotate signing keys",
    _P.SETTINGS_WRITE: "Change the settings of the tenant",
    _P.TENANTS_WRITE: "Create and disable tenants",
    _P.ADMINS_WRITE: "Decide who administers",
    _P.SERVERS_OWN: "Change the MCP servers one owns",
}


@dataclass(frozen=True)
class AdminRole:
    """A fixed bundle of permissions."""

    name: str
    title: str
    description: str
    permissions: frozenset[Permission]

    @property
    def id(self) -> str:
        """In bindings and in explanations; no other role can be called so."""
        return f"admin/{self.name}"


ADMIN_ROLES: Mapping[str, AdminRole] = {
    role.name: role
    for role in (
        AdminRole(
            "owner",
            "Owner",
            "Everything, and who administers.",
            frozenset(Permission),
        ),
        AdminRole(
            "policy-author",
            "Policy author",
            "Writes policy: servers, scopes, roles and mappings. Approves nothing.",
            frozenset({_P.READ, _P.POLICY_WRITE}),
        ),
        AdminRole(
            "approver",
            "Approver",
            "Approves what others ask for: changes of policy. Writes none.",
            frozenset({_P.READ, _P.AUDIT_READ, _P.POLICY_APPROVE}),
        ),
        AdminRole(
            "key-custodian",
            "Key custodian",
            "Rotates keys. Changes no policy.",
            frozenset({_P.READ, _P.KEYS_WRITE}),
        ),
        AdminRole(
            "auditor",
            "Auditor",
            "Reads everything, the audit trail too. Changes nothing.",
            frozenset({_P.READ, _P.AUDIT_READ}),
        ),
        AdminRole(
            "operator",
            "Operator",
            "Runs it day by day: clients, agents, identity providers, trust and settings.",
            frozenset(
                {
                    _P.READ,
                    _P.CLIENTS_WRITE,
                    _P.PEOPLE_CUT,
                    _P.CONNECTIONS_WRITE,
                    _P.TRUST_WRITE,
                    _P.SETTINGS_WRITE,
                }
            ),
        ),
        AdminRole(
            "help-desk",
            "Help desk",
            "Helps people: finds out what they may do, adds them, cuts them off.",
            frozenset({_P.READ, _P.PEOPLE_WRITE, _P.PEOPLE_CUT}),
        ),
        AdminRole(
            "server-owner",
            "Owner of MCP servers",
            "Changes the MCP servers whose owner they are, and no others.",
            frozenset({_P.READ, _P.SERVERS_OWN}),
        ),
    )
}
"""By name."""


def administration_resource(issuer: str, *, is_default_tenant: bool) -> Resource:
    """The audience of tokens for the admin API of a tenant."""
    identifier = f"{issuer}{ADMIN_PATH}"
    return Resource(
        id=ADMIN_ID,
        identifier=identifier,
        canonical=identifier,
        name="Administration",
        scopes={
            str(it): Scope(str(it), text, _RISK, is_default=it is Permission.READ)
            for it, text in _DESCRIPTIONS.items()
            if is_default_tenant or it is not Permission.TENANTS_WRITE
        },
        is_administration=True,
    )


def admin_roles() -> Mapping[str, Role]:
    """By id, as policy sees roles."""
    return {
        it.id: Role(
            it.id, it.id, {(ADMIN_ID, str(p)): (Way((it.id,), None),) for p in it.permissions}
        )
        for it in ADMIN_ROLES.values()
    }
