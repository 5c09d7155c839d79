"""Every route that takes secrets, fetches or writes rows has a budget: asked of the route table, not of a list.

O21-14, ATK-48, ATK-61. A new route without a budget is found here by being one.
"""

import itertools

import pytest

from tests.support.harness import Harness, running
from tests.support.routes import address_of, route_table

FEW = 1
LIMITS = {
    "failures_per_client_and_address": FEW,
    "failures_per_address": FEW,
    "failures_per_client": FEW,
    "requests_per_address": FEW,
    "pushes_per_address": FEW,
    "pages_per_address": FEW,
    "provisioning_per_address": FEW,
}
REGISTRATIONS = 60
"""At once; no setting."""
FREE = {
    # What anybody may read, made once and served from memory.
    "/.well-known/oauth-authorization-server",
    "/.well-known/openid-configuration",
    "/.well-known/ssf-configuration",
    "/.well-known/oauth-protected-resource/api/admin",
    "/jwks",
    # For the orchestrator and the collector.
    "/health/live",
    "/health/ready",
    "/health/startup",
    "/metrics",
}
_addresses = (f"198.18.{n // 250}.{n % 250 + 1}" for n in itertools.count())


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("budgets")
    proxies = ("127.0.0.1",)
    database = f"sqlite:///{folder / 'authz.db'}"
    with running(folder, database, limits=LIMITS, trusted_proxies=proxies) as made:
        yield made


def limited(http, url, method):
    """The answer to the first request of a new address that is one too many."""
    own = {
        "Sec-Fetch-Site": "same-origin",
        "X-Forwarded-For": next(_addresses),
        "Content-Type": "application/x-www-form-urlencoded",
    }
    most = REGISTRATIONS if "/register" in url else FEW
    for _ in range(most + 1):
        answer = http.request(method, url, headers=own, content=b"" if method != "GET" else None)
    return answer


def test_every_route_has_a_budget_or_needs_none(server):
    free, unanswered = set(), []
    harness = Harness(server)
    for path, method in sorted(set(route_table(server))):
        answer = limited(harness.http, server.base + address_of(path), method)
        if answer.status_code != 429:
            free.add(path)
        elif not int(answer.headers.get("retry-after", 0)) > 0:
            unanswered.append((path, method))
    harness.close()
    assert unanswered == []
    assert free == FREE
