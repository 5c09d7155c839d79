"""Policy as code: a directory of YAML files as frozen values, what differs, and back to text. Pure.

    files -> `reading` -> Written -> (admin.code compares it with the database) -> Change -> `writing` -> files

Decisions:
- What a key may hold is said once, as types that pydantic reads (`KINDS`): strict reading, defaults, and the JSON
  schema for editors come from the same lines. `roles` and `bindings` are the roles file (`policy.roles_file`) as it is.
- An entry is compared as plain JSON with its defaults filled in, so what is said and what is left out are the same.
- A key that no file has is not managed: its things stay as they are. A key that is there says all of its kind.
"""

from collections.abc import Mapping

from authz.policy.code import (
    agents,
    client_rules,
    clients,
    connections,
    delegations,
    domains,
    groups,
    mappings,
    resources,
    rollouts,
    settings,
    targets,
    trust,
    workload_trust,
)
from authz.policy.code.entries import Shape

KINDS: Mapping[str, Shape] = {
    "settings": settings.SHAPE,
    "connections": connections.SHAPE,
    "domains": domains.SHAPE,
    "clients": clients.SHAPE,
    "targets": targets.SHAPE,
    "groups": groups.SHAPE,
    "resources": resources.SHAPE,
    "rollouts": rollouts.SHAPE,
    "client_rules": client_rules.SHAPE,
    "mappings": mappings.SHAPE,
    "trust": trust.SHAPE,
    "workload_trust": workload_trust.SHAPE,
    "agents": agents.SHAPE,
    "delegations": delegations.SHAPE,
}
"""Top-level keys, besides those of the roles file. A new one is a file and a line here, and one in `admin.code`."""
ROLES, BINDINGS = "roles", "bindings"
"""The keys of the roles file."""
