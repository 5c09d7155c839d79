"""Periodic work: leases, retention, checkpoints, wiped keys."""

import asyncio
import threading
import time
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import func, select

from authz import jobs
from authz.admin import audit, keys
from authz.db.leases import acquire
from authz.db.models import (
    AuditCheckpoint,
    AuthorizationCode,
    IssuedToken,
    Lease,
    Session,
    SigningKey,
    TokenFamily,
)
from authz.jobs.runner import JobRunner, followers
from authz.settings import AlertRule, AuditSettings, AuditSink


def test_a_lease_is_held_by_one_and_runs_out(server):
    now = server.clock()
    until = now + timedelta(minutes=1)
    name = f"job-{now.timestamp()}"

    def take(holder, at):
        with server.database.write() as tx:
            return acquire(tx, name, holder=holder, until=at + timedelta(minutes=1), now=at)

    assert take("a", now)
    assert not take("b", now)
    assert not take("a", until - timedelta(seconds=1))
    assert take("b", until)


def test_a_job_runs_once_for_all_processes_and_again_when_due(server):
    ran = []
    job = jobs.Job(timedelta(minutes=5), lambda _, now: ran.append(now))
    name = f"test-{server.clock().timestamp()}"
    runners = [JobRunner(server.services) for _ in range(3)]
    assert [runner.turn(name, job) for runner in runners] == [True, False, False]
    server.clock.advance(minutes=6)
    assert [runner.turn(name, job) for runner in runners].count(True) == 1
    assert len(ran) == 2


def test_a_failing_job_is_logged_and_stops_nothing(server):
    def fail(*_):
        raise RuntimeError("the disk is full")

    name = f"fails-{server.clock().timestamp()}"
    assert JobRunner(server.services).turn(name, jobs.Job(timedelta(minutes=1), fail))


def test_a_job_that_hangs_keeps_its_lease_for_a_while_and_not_for_ever(server, monkeypatch):
    """Another process takes it over then, as if this one had been killed."""
    # Hours as tests have them; the lease, its row and the clock are real.
    monkeypatch.setattr("authz.jobs.runner._RENEWED_EVERY", timedelta(seconds=0.01))
    monkeypatch.setattr("authz.jobs.runner._LONGEST", timedelta(seconds=0.5))
    name, over = f"hangs-{server.clock().timestamp()}", threading.Event()
    job = jobs.Job(timedelta(minutes=1), lambda *_: over.wait(20))
    runner, other = JobRunner(server.services), JobRunner(server.services)

    def ends():
        with server.database.read() as tx:
            row = tx.get(Lease, name)
            return None if row is None else row.expires_at

    def wait_until(is_so):
        deadline = time.monotonic() + 10
        while not is_so():
            assert time.monotonic() < deadline
            time.sleep(0.01)

    async def hanging():
        runner._name = name
        work = asyncio.create_task(asyncio.to_thread(runner.turn, name, job))
        renewing = asyncio.create_task(runner._renewing(work))
        await asyncio.to_thread(wait_until, ends)
        server.clock.advance(seconds=40)
        renewed = server.clock() + timedelta(seconds=40)
        await asyncio.to_thread(wait_until, lambda: ends() > renewed)
        assert not other.turn(name, job)
        await asyncio.sleep(0.6)
        server.clock.advance(minutes=2)
        await asyncio.sleep(0.1)
        assert ends() < server.clock()
        done = jobs.Job(timedelta(minutes=1), lambda *_: None)
        assert other.turn(name, done)
        over.set()
        await renewing

    asyncio.run(hanging())


@pytest.mark.parametrize("model", [AuthorizationCode, IssuedToken, Session, TokenFamily])
def test_rows_are_kept_while_a_decision_may_ask_for_them_and_removed_after(harness, model):
    assert harness.tokens().ok
    jobs.remove_expired(harness.server.services, harness.clock())
    assert harness.count(model) == 1
    # Beyond every lifetime and every reason to look back; the clock itself is left alone.
    jobs.remove_expired(harness.server.services, harness.clock() + timedelta(days=400))
    assert harness.count(model) == 0


def test_checkpoints_tie_the_strands_and_only_when_something_happened(harness):
    assert harness.tokens().ok
    services = harness.server.services
    jobs.write_checkpoints(services, harness.clock())
    assert harness.tokens(prompt="consent").ok
    jobs.write_checkpoints(services, harness.clock())
    assert harness.count(AuditCheckpoint) == 1
    later = harness.clock() + services.settings.audit.checkpoint_every
    jobs.write_checkpoints(services, later)
    jobs.write_checkpoints(services, later + timedelta(hours=1))
    assert harness.count(AuditCheckpoint) == 2
    with services.database.read() as tx:
        verified = audit.verify(tx, harness.server.operator(), harness.tenant_id)
    assert verified.fault is None
    assert verified.checkpoints == 2


def test_the_private_part_of_a_key_is_wiped_when_the_key_is_gone(harness):
    services = harness.server.services
    harness.change(
        keys.rotate,
        keys.generate_one("access_token", "ES256"),
        publish_ahead=timedelta(0),
        longest_token=timedelta(minutes=10),
    )

    def private_keys():
        with services.database.read() as tx:
            return tx.scalar(
                select(func.count())
                .select_from(SigningKey)
                .where(
                    SigningKey.tenant_id == harness.tenant_id,
                    SigningKey.private_key.is_not(None),
                )
            )

    before = private_keys()
    jobs.wipe_gone_keys(services, harness.clock())
    assert private_keys() == before
    jobs.wipe_gone_keys(services, harness.clock() + timedelta(hours=1))
    assert private_keys() == before - 1


def test_sinks_and_alert_rules_are_followed_beside_the_jobs(harness, tmp_path):
    """Each by a loop of its own; what happens from then on reaches the file."""
    path = tmp_path / "audit.jsonl"
    audited = AuditSettings(
        sink=(
            AuditSink(name=f"f-{harness.slug}", kind="file", path=path, tenants=(harness.slug,)),
        ),
        alert=(AlertRule(name="refused", kinds=("token.refused",)),),
    )
    own = harness.server.services
    services = replace(own, settings=own.settings.model_copy(update={"audit": audited}))
    found = followers(services, "one")
    assert found.keys() == {f"audit-sink:f-{harness.slug}", "audit-alerts"}
    for turn in found.values():
        assert turn() == 0
    assert harness.tokens().ok
    assert found[f"audit-sink:f-{harness.slug}"]() > 0
    assert "token.issued" in path.read_text()

    async def live():
        async with JobRunner(services).running():
            await asyncio.sleep(0)

    asyncio.run(live())
