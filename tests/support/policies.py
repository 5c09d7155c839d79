"""A policy of what a test is about, and nothing else."""

from typing import Any

from authz.policy.snapshot import Policy, build

_NOTHING: dict[str, list[Any]] = {
    "resources": [],
    "roles": [],
    "role_scopes": [],
    "role_parents": [],
    "group_roles": [],
}


def bare_policy(**values: Any) -> Policy:
    """As `build` makes it in its first version, with nothing of what is not given."""
    return build(1, **{**_NOTHING, **values})
