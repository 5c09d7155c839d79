"""A clock that is set forward or back by ten minutes."""

import pytest

from authz.admin import audit


@pytest.mark.parametrize("minutes", [10, -10], ids=["forward", "back"])
def test_a_clock_that_is_stepped_fails_no_refresh(harness, minutes):
    """Also of a tenant that is a moment old, whose keys would not be active yet; codes run out, nothing else."""
    token = harness.redeem(harness.code()).refresh_token
    harness.clock.advance(minutes=minutes)
    try:
        first = harness.refresh(token)
        assert first.ok, first.reason
        second = harness.refresh(first.refresh_token)
        assert second.ok, second.reason
        assert harness.redeem(harness.code()).ok
        services = harness.server.services
        with services.database.read() as tx:
            verified = audit.verify(tx, harness.server.operator(), harness.tenant_id)
        assert verified.fault is None
    finally:
        harness.clock.advance(minutes=-minutes)
