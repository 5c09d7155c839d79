"""A client that acts for itself: with a role of its own, and its answer from the token endpoint."""

from typing import Any

from authz.admin import roles
from tests.support.harness import RESOURCE


def by_itself(
    harness: Any, role: str = "sre", resource: str = RESOURCE, **asked: str
) -> tuple[Any, Any]:
    """The client as it was made, and what it got."""
    made = harness.add_client(
        auth_method="client_secret_post", grant_types=("client_credentials",), redirect_uris=()
    )
    harness.change(roles.bind, role=role, kind="client", holder=made.client.id)
    answer = harness.token(
        {
            "grant_type": "client_credentials",
            "client_id": made.client.id,
            "client_secret": made.secret,
            "resource": resource,
            **asked,
        }
    )
    return made, answer
