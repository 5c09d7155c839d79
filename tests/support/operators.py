"""People with an admin role, as operations are handed them."""

from typing import Any

from authz.admin.operator import Operator
from authz.policy.administration import ADMIN_ROLES
from tests.support.harness import Harness


def acting(harness: Harness, role: str, user_id: str, **more: Any) -> Operator:
    """Somebody who holds this role and has just signed in to the console."""
    now = harness.clock()
    return Operator(
        f"console:{user_id}",
        now,
        harness.server.services.envelope,
        ADMIN_ROLES[role].permissions,
        user_id=user_id,
        home=harness.slug,
        authenticated_at=now,
        **more,
    )
