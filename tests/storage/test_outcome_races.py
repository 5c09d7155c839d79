"""The same batches at two processes at once: each is kept once, and nobody waits in a circle (S5)."""

import threading
from concurrent.futures import ThreadPoolExecutor

from sqlalchemy import func, select

from authz.admin import audit as trail
from authz.admin import outcomes
from authz.db import Database
from authz.db.models import OutcomeBatch, ToolOutcome
from authz.jose import ASYMMETRIC, import_jwks
from authz.oauth.outcomes import batches
from authz.oauth.outcomes.recording import Report, receive
from tests.support.outcomes import Reporter, outcome

BATCHES, OUTCOMES, PROCESSES = 12, 8, 4


def test_each_batch_is_kept_once_whoever_gets_it_first(harness):
    """A reporter that hears nothing sends again, perhaps to another node, and in whatever order."""
    reporter = Reporter(harness)
    claims = harness.claims(harness.redeem(harness.code()).access_token)
    call = outcome(harness.clock(), jti=claims["jti"], grant_id=claims["grant_id"])
    with harness.server.database.read() as tx:
        configuration = harness.server.services.configurations.find(tx, harness.slug)
    keys = import_jwks(reporter.key.jwks, algorithms=ASYMMETRIC)
    terms = {"client_id": reporter.client_id, "issuer": harness.issuer, "now": harness.clock()}
    reports = [
        Report(
            tenant_id=harness.tenant_id,
            client_id=reporter.client_id,
            resource_id=harness.resource.id,
            batch=batches.verify(reporter.batch(*[call] * OUTCOMES), keys, **terms),
            audit_key=configuration.audit_key,
        )
        for _ in range(BATCHES)
    ]
    barrier = threading.Barrier(PROCESSES)

    def process(number):
        """A pool of its own, as another node has it."""
        url = harness.server.settings.database.url
        database = harness.server.database if number == 0 else Database(url)
        turned = [*reports[number:], *reports[:number]][:: 1 if number % 2 else -1]
        barrier.wait()
        with database.write() as tx:
            receipts = receive(tx, turned, harness.clock)
        if number:
            database.close()
        return receipts

    with ThreadPoolExecutor(PROCESSES) as pool:
        answers = [it for receipts in pool.map(process, range(PROCESSES)) for it in receipts]
    assert sum(not it.is_repeated for it in answers) == BATCHES
    assert all((it.outcomes, it.unverified, it.is_other) == (OUTCOMES, 0, False) for it in answers)
    with harness.server.database.read() as tx:
        for model, expected in ((OutcomeBatch, BATCHES), (ToolOutcome, BATCHES * OUTCOMES)):
            query = select(func.count()).where(model.tenant_id == harness.tenant_id)
            assert tx.scalars(query).one() == expected
        operator = harness.server.operator()
        assert trail.verify(tx, operator, harness.tenant_id).fault is None
        found = outcomes.verify(tx, harness.tenant_id, harness.clock())
    assert (found.batches, found.fault) == (BATCHES, None)
    assert len(harness.events("outcomes.reported")) == BATCHES
