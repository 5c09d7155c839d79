"""Facts of the installation as numbers: keys, leases, the trail, and drift from what was applied."""

from datetime import timedelta
from pathlib import Path
from typing import Any

from authz.admin import clients, role_changes, tenants
from authz.admin.client_metadata import Registration
from authz.admin.code import plans
from authz.admin.code.applied import Drifts
from authz.admin.code.kind import Site
from authz.admin.measuring import Measurements
from authz.db.leases import acquire
from authz.jobs import write_checkpoints
from authz.policy.code.reading import read
from authz.settings import AuditSink
from authz.telemetry.installation import CHECKPOINT_LAG, KEY_AGE, LEASE_ENDS, SINK_LAG
from tests.support.harness import Harness

SINKS = (AuditSink(name="archive", kind="file", path=Path("/nowhere")),)

DIRECTORY = {
    "roles.yaml": "roles:\n  developer: [logs.read]\n  sre: [logs.read, logs.debug.write]\n",
}


def _apply(harness: Harness, files: dict[str, str]) -> None:
    harness.clock.advance(seconds=1)
    with harness.server.database.write() as tx:
        site = Site(tx, harness.server.operator(), harness.tenant_id, written=read(files))
        plans.apply(site, base=harness.server.base)


def _drift(harness: Harness, drifts: Drifts) -> dict[str, int]:
    """Of this tenant alone: others on this server have nothing applied."""
    harness.clock.advance(minutes=2)
    with harness.server.database.read() as tx:
        return {k: n for k, n in drifts.count(tx, harness.clock()).items() if n}


def test_what_the_console_changes_of_what_was_applied_is_drift(harness: Harness):
    drifts = Drifts(harness.server.services.envelope)
    before = _drift(harness, drifts)
    _apply(harness, DIRECTORY)
    assert _drift(harness, drifts) == before
    harness.change(role_changes.change, "sre", description="On call")
    harness.change(role_changes.add, name="auditor")
    after = _drift(harness, drifts)
    assert after.get("roles", 0) == before.get("roles", 0) + 2
    # What the directory says nothing of is nobody's drift.
    harness.change(clients.add, Registration(name="New", redirect_uris=("https://n.example/",)))
    assert _drift(harness, drifts) == after
    _apply(harness, DIRECTORY)
    assert _drift(harness, drifts) == before


def test_a_setting_that_the_directory_does_not_say_is_no_drift(harness: Harness):
    """As `authz diff` sees it."""
    drifts = Drifts(harness.server.services.envelope)
    before = _drift(harness, drifts)
    _apply(harness, {"settings.yaml": f"settings: {{name: {harness.tenant().name}}}\n"})

    def settings(operation: Any, **values: str) -> int:
        with harness.server.database.write() as tx:
            operation(tx, harness.server.operator(), slug=harness.slug, **values)
        return _drift(harness, drifts).get("settings", 0) - before.get("settings", 0)

    assert settings(tenants.set_scope_changes, mode="reviewed") == 0
    assert settings(tenants.rename, name="Another") == 1


def test_an_apply_that_changes_nothing_is_what_counts_from_then_on(harness: Harness):
    drifts = Drifts(harness.server.services.envelope)
    before = _drift(harness, drifts)
    _apply(harness, DIRECTORY)
    _apply(harness, DIRECTORY)
    assert _drift(harness, drifts) == before


def test_ages_leases_and_the_trail_are_told_without_names(harness: Harness):
    harness.clock.advance(hours=1)
    now = harness.clock()
    write_checkpoints(harness.server.services, now)
    harness.clock.advance(minutes=10)
    with harness.server.database.write() as tx:
        acquire(tx, "retention-of-tests", holder="node", until=now + timedelta(hours=1), now=now)
        acquire(tx, f"lock:{harness.tenant_id}", holder="node", until=now, now=now)
    assert harness.redeem(harness.code()).ok
    harness.clock.advance(minutes=5)
    with harness.server.database.read() as tx:
        found = Measurements(harness.server.services.envelope, SINKS).read(tx, harness.clock())
    assert found[KEY_AGE]["access_token", "ES256"] >= timedelta(hours=1).total_seconds()
    assert {"access_token", "audit"} <= {purpose for purpose, _ in found[KEY_AGE]}
    assert found[LEASE_ENDS]["retention-of-tests",] == (now + timedelta(hours=1)).timestamp()
    assert not any(":" in job for (job,) in found[LEASE_ENDS])
    lag = found[CHECKPOINT_LAG][()]
    assert lag >= timedelta(minutes=5).total_seconds()
    write_checkpoints(harness.server.services, harness.clock())
    with harness.server.database.read() as tx:
        found = Measurements(harness.server.services.envelope, SINKS).read(tx, harness.clock())
    assert found[CHECKPOINT_LAG][()] < lag
    # Of a sink that never took anything: all there is, whichever process is asked.
    assert found[SINK_LAG]["archive",] >= 2
