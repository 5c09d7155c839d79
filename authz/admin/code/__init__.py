"""Policy as code on a tenant: its present state as entries, and a directory's made true by the operations there are.

    Written (policy.code) + the tenant's rows -> changes -> operations -> who gains, who loses -> a plan with a digest

Decisions:
- A plan is what applying does, in a transaction that is rolled back: nothing is predicted by a second set of rules.
- Every change goes through the operation that console, API and command line use, with its permission and its event.
- The digest of a plan is over its changes and over what gains by them: servers, scopes, clients and values of claims.
  People are not in it by name, because they come and go by themselves between an approval and its use.
"""

from collections.abc import Mapping

from authz.admin.code import (
    agents,
    client_rules,
    clients,
    connections,
    delegations,
    domains,
    groups,
    mappings,
    resources,
    roles,
    rollouts,
    settings,
    targets,
    trust,
    workload_trust,
)
from authz.admin.code.kind import Kind

KINDS: Mapping[str, Kind] = {
    # In the order in which they need each other; what goes, goes in the order backwards.
    "connections": connections,
    "domains": domains,
    "groups": groups,
    "clients": clients,
    "targets": targets,
    "resources": resources,
    "rollouts": rollouts,
    "client_rules": client_rules,
    "settings": settings,
    "roles": roles,
    "mappings": mappings,
    "trust": trust,
    "workload_trust": workload_trust,
    "agents": agents,
    "delegations": delegations,
}
