"""scim2-tester, written by others, against the SCIM endpoint over its socket (M3, issue: no failure)."""

import pytest
from httpx2 import Client
from scim2_client.engines.httpx2 import SyncSCIMClient
from scim2_tester import Status, check_server

from tests.support.scim import add_token

pytestmark = pytest.mark.interop


def test_scim2_tester_finds_no_failure(harness):
    token = add_token(harness)
    headers = {"Authorization": f"Bearer {token}"}
    with Client(
        base_url=f"{harness.issuer}/scim/v2", headers=headers, trust_env=False, timeout=30
    ) as http:
        results = check_server(SyncSCIMClient(http))
    failures = [f"{it.title}: {it.reason}" for it in results if it.status is Status.ERROR]
    for f in failures:
        print(f)
    assert failures == []
    titles = {it.title for it in results if it.status is Status.SUCCESS}
    assert len(results) > 100
    assert {"object_creation", "object_replacement", "object_deletion"} <= titles
