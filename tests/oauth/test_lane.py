"""The token lane's program, beside a running server: isolation, staleness, strands, a fixed number of statements."""

import asyncio
import contextlib
import socket
import threading
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial

import pytest
from sqlalchemy import update

from authz.admin import audit as trail
from authz.admin import clients, mappings, resources
from authz.db.batch import FateUnknown, Lane, Phase, PostgresqlRunner, Worker
from authz.db.models import AuthorizationCode, Tenant, TokenFamily
from authz.errors import InvalidGrant, TemporarilyUnavailable
from authz.oauth.authorization import FreshNames
from authz.oauth.back_channel import Call
from authz.oauth.params import Params
from authz.web.edge import make_edge
from tests.support.arrange import VERIFIER
from tests.support.harness import RESOURCE
from tests.support.id_jags import JWT_BEARER, AssertingIdp, present


class Endpoint:
    """The token endpoint of an edge that no web server stands before."""

    def __init__(self, edge):
        self.channel, self.token, self.limits = edge.channel, edge.token, edge.limits

    @property
    def lane(self):
        return self.channel.lane

    @lane.setter
    def lane(self, lane):
        self.channel.lane = lane

    async def handle(self, slug, params):
        with self.limits.attempt("token", "127.0.0.1") as attempt:
            return await self.token.handle(Call(slug, "/token", params, attempt))

    async def job(self, slug, params):
        configuration = await self.channel.configuration(slug)
        call = Call(slug, "/token", params, self.limits.attempt("token", "127.0.0.1"))
        caller, _ = await self.channel._caller(configuration, call, takes_dpop=True)
        return self.token._prepare(call, caller)


@asynccontextmanager
async def endpoint_of(harness, *, started=True):
    """A token endpoint with a lane of its own: what a second process would be."""
    endpoint = Endpoint(make_edge(harness.server.services))
    if started:
        await endpoint.lane.start()
    try:
        yield endpoint
    finally:
        await endpoint.lane.close()


def redemption(harness, code):
    return Params(
        {
            "grant_type": "authorization_code",
            "client_id": harness.client_id,
            "code": code,
            "code_verifier": VERIFIER,
        }.items()
    )


def refreshing(harness, token):
    return Params(
        {
            "grant_type": "refresh_token",
            "client_id": harness.client_id,
            "refresh_token": token,
        }.items()
    )


def verified(harness):
    with harness.server.database.read() as tx:
        return trail.verify(tx, harness.server.operator(), harness.tenant_id)


async def queued(endpoint, harness, all_params):
    """Requests that wait, in this order, for a lane that does not run yet."""
    tasks = []
    for params in all_params:
        tasks.append(asyncio.create_task(endpoint.handle(harness.slug, params)))
        async with asyncio.timeout(10):
            while len(endpoint.lane._waiting) < len(tasks):  # noqa: ASYNC110 -- no event tells
                await asyncio.sleep(0.001)
    return tasks


def outcome(result):
    return getattr(result, "reason", None) or (
        type(result).__name__ if isinstance(result, Exception) else "ok"
    )


def run_together(harness, all_params):
    """All in one batch; answers their outcomes and the statistics."""

    async def main():
        async with endpoint_of(harness, started=False) as endpoint:
            tasks = await queued(endpoint, harness, all_params)
            await endpoint.lane.start()
            results = await asyncio.gather(*tasks, return_exceptions=True)
            return results, endpoint.lane.statistics

    return asyncio.run(main())


@pytest.mark.parametrize("kind", ["redeem", "refresh"])
def test_the_number_of_statements_is_fixed(harness, kind):
    """Sixty grants in one transaction cost as many statements as one."""

    def jobs(count):
        codes = [harness.code() for _ in range(count)]
        if kind == "redeem":
            return [redemption(harness, code) for code in codes]
        return [refreshing(harness, harness.redeem(code).refresh_token) for code in codes]

    _, one = run_together(harness, jobs(1))
    results, many = run_together(harness, jobs(60))
    assert {outcome(r) for r in results} == {"ok"}
    assert (one.batches, one.jobs, many.batches, many.jobs) == (1, 1, 1, 60)
    assert one.statements == many.statements
    assert one.round_trips == many.round_trips == 2
    assert verified(harness).fault is None


def test_a_status_list_costs_one_statement_where_it_is_wanted(harness):
    """TSL-04: and none for servers that want none."""

    def statements():
        _, statistics = run_together(harness, [redemption(harness, harness.code())])
        return statistics.statements

    without = statements()
    harness.change(resources.set_status_list, RESOURCE, wanted=True)
    statements()  # reads the changed configuration
    assert statements() == without + 1


def test_single_use_holds_within_a_batch(harness):
    """O21-09: what the first spends is spent for the second, and the replay ends what the first made."""
    code = harness.code()
    results, statistics = run_together(harness, [redemption(harness, code)] * 3)
    assert statistics.batches == 1
    assert [outcome(r) for r in results] == ["ok", "code_spent", "code_spent"]
    after = harness.refresh(results[0].body["refresh_token"])
    assert after.reason == "family_revoked:code_replayed"


@pytest.mark.parametrize("is_known", [True, False], ids=["known", "new"])
def test_what_is_denied_is_good_for_the_next_of_the_batch(harness, is_known):
    """IDJAG-66: given back where it was refused, gone where it was not; also when a subject is to get an account."""
    idp, made = (
        AssertingIdp(),
        harness.add_client(
            auth_method="client_secret_post", grant_types=(JWT_BEARER,), redirect_uris=()
        ),
    )
    idp.trust_at(harness)
    harness.change(mappings.add, connection="corp", claim="groups", value="dev", role="developer")
    if is_known:
        assert present(harness, made, idp.assertion(harness, made.client.id, groups=["dev"])).ok
    assertion = idp.assertion(harness, made.client.id, groups=["dev"])
    fields = {
        "grant_type": JWT_BEARER,
        "client_id": made.client.id,
        "client_secret": made.secret,
        "assertion": assertion,
    }
    denied = Params({**fields, "scope": "foo:bar"}.items())
    results, _ = run_together(harness, [denied, *[Params(fields.items())] * 3])
    first, *others = (outcome(r) for r in results)
    assert sorted(others) == ["id_jag_replayed", "id_jag_replayed", "ok"]
    # Who has to get an account first goes round, and may come back after one of the others.
    assert first == "scope_not_asserted" or (first == "id_jag_replayed" and not is_known)
    assert verified(harness).fault is None


def test_one_rotation_within_a_batch(harness):
    """O21-18: the others are retries of the first."""
    token = harness.redeem(harness.code()).refresh_token
    results, _ = run_together(harness, [refreshing(harness, token)] * 5)
    assert len({r.body["refresh_token"] for r in results}) == 1
    assert len({r.body["access_token"] for r in results}) == 5
    with harness.server.database.read() as tx:
        family = tx.query(TokenFamily).filter_by(tenant_id=harness.tenant_id).one()
    assert family.generation == 2


def test_reuse_and_use_within_a_batch(harness):
    """In the order they came: the first is fine, the old token ends the family, the third finds it ended."""
    first = harness.redeem(harness.code()).refresh_token
    second = harness.refresh(first).refresh_token
    third = harness.refresh(second).refresh_token
    results, _ = run_together(
        harness,
        [
            refreshing(harness, third),
            refreshing(harness, first),
            refreshing(harness, third),
        ],
    )
    assert [outcome(r) for r in results] == [
        "ok",
        "refresh_reused",
        "family_revoked:refresh_reused",
    ]


def test_a_job_whose_statement_fails_does_not_fail_its_neighbours(harness):
    """A `jti` that exists already: the insert is refused by the database."""

    async def main():
        async with endpoint_of(harness, started=False) as endpoint:
            taken = harness.claims(harness.redeem(harness.code()).access_token)["jti"]
            codes = [harness.code() for _ in range(3)]
            jobs = [await endpoint.job(harness.slug, redemption(harness, code)) for code in codes]
            (request,) = jobs[1].decide.args
            again = replace(request, fresh=replace(FreshNames.drawn(), jti=taken))
            jobs[1] = replace(jobs[1], decide=partial(jobs[1].decide.func, again))
            tasks = [asyncio.create_task(endpoint.lane.submit(job)) for job in jobs]
            await asyncio.sleep(0)
            await endpoint.lane.start()
            results = await asyncio.gather(*tasks, return_exceptions=True)
            assert [isinstance(r, Exception) for r in results] == [False, True, False]
            return codes

    codes = asyncio.run(main())
    assert [harness.redeem(code).reason for code in codes] == ["code_spent", None, "code_spent"]
    assert verified(harness).fault is None


def test_a_row_nobody_can_read_fails_its_own_request_only(harness):
    good, bad = harness.code(), harness.code()
    from authz import entropy

    with harness.server.database.write() as tx:
        tx.connection().exec_driver_sql(
            f"UPDATE authorization_codes SET amr = '[' WHERE digest = '{entropy.digest(bad)}'"
        )
    results, _ = run_together(harness, [redemption(harness, good), redemption(harness, bad)])
    assert outcome(results[0]) == "ok"
    assert isinstance(results[1], Exception)
    answer = harness.redeem(bad)
    assert (answer.status, answer.error) == (500, "server_error")
    assert harness.redeem(harness.code()).ok
    with harness.server.database.write() as tx:
        tx.execute(
            update(AuthorizationCode)
            .where(AuthorizationCode.digest == entropy.digest(bad))
            .values(amr=["pwd"])
        )
    assert harness.redeem(bad).ok


def test_a_request_is_prepared_again_when_the_configuration_moved(harness):
    """No answer rests on what an operator has already changed, and nobody sees a failure because of it."""
    code, other = harness.code(), harness.code()

    async def main():
        async with endpoint_of(harness) as endpoint:
            assert await endpoint.handle(harness.slug, redemption(harness, code))
            before = endpoint.lane.statistics.jobs
            harness.change(clients.set_ceiling, harness.client_id, frozenset({"logs.read"}))
            answered = await endpoint.handle(harness.slug, redemption(harness, other))
            assert answered.body["scope"] == "logs.read"
            assert endpoint.lane.statistics.jobs == before + 2

    asyncio.run(main())


def test_every_kind_of_change_is_survived_by_the_running_server(harness):
    """The first request after a change is an ordinary one."""
    token = harness.redeem(harness.code()).refresh_token
    for scopes in ({"logs.read"}, {"analytics.query"}, None):
        ceiling = None if scopes is None else frozenset(scopes)
        harness.change(clients.set_ceiling, harness.client_id, ceiling)
        answer = harness.refresh(token)
        assert answer.ok, answer.response.text
        assert answer.scopes == (scopes or {"logs.read", "analytics.query"})
        token = answer.refresh_token


class MovingRunner:
    """An operator who changes something just before every batch."""

    def __init__(self, inner, harness):
        self.inner, self.harness = inner, harness

    async def run(self, program, statistics):
        with self.harness.server.database.write() as tx:
            tx.execute(
                update(Tenant)
                .where(Tenant.id == self.harness.tenant_id)
                .values(config_version=Tenant.config_version + 1)
            )
        return await self.inner.run(program, statistics)

    def is_retryable(self, error):
        return self.inner.is_retryable(error)

    async def close(self):
        await self.inner.close()


def test_a_configuration_that_never_rests_is_a_503(harness):
    """Bounded: a few preparations, then come back later; nothing was spent."""
    code = harness.code()

    async def main():
        async with endpoint_of(harness, started=False) as endpoint:
            first = endpoint.lane.workers[0]
            runner = MovingRunner(first.runner, harness)
            endpoint.lane = Lane([Worker(runner, first.program)])
            await endpoint.lane.start()
            with pytest.raises(TemporarilyUnavailable) as refused:
                await endpoint.handle(harness.slug, redemption(harness, code))
            assert refused.value.reason == "configuration_moving"

    asyncio.run(main())
    assert harness.redeem(code).ok


def test_a_cancelled_request_is_recorded(harness):
    """The client may have seen nothing, but the code was spent, and the trail says so."""
    code = harness.code()

    async def main():
        async with endpoint_of(harness, started=False) as endpoint:
            [task] = await queued(endpoint, harness, [redemption(harness, code)])
            task.cancel()
            await endpoint.lane.start()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(main())
    assert [e["detail"]["grant_type"] for e in harness.events("token.issued")] == [
        "authorization_code"
    ]
    assert harness.redeem(code).reason == "code_spent"


def test_every_writer_has_a_strand_and_main_names_them(harness):
    """The running server and two more lanes write side by side; each opening is an event in `main`."""
    harness.redeem(harness.code())
    for _ in range(2):
        results, _ = run_together(harness, [redemption(harness, harness.code())])
        assert outcome(results[0]) == "ok"
    opened = [e["detail"]["strand"] for e in harness.events("audit.strand_opened")]
    assert len(set(opened)) == len(opened) == 3
    assert {e["strand"] for e in harness.events("token.issued")} == set(opened)
    it = verified(harness)
    assert (it.strands, it.fault) == (4, None)


def test_an_event_of_each_outcome_and_no_other(harness):
    """L12, M8."""
    code = harness.code()
    run_together(harness, [redemption(harness, code), redemption(harness, "azc_unknown")])
    kinds = [e["kind"] for e in harness.events() if e["kind"].startswith("token.")]
    assert sorted(kinds) == ["token.issued", "token.refused"]


def test_a_refusal_raised_by_the_endpoint_is_the_recorded_one(harness):
    async def main():
        async with endpoint_of(harness) as endpoint:
            with pytest.raises(InvalidGrant) as refused:
                await endpoint.handle(harness.slug, redemption(harness, "azc_unknown"))
            return refused.value.reason

    reason = asyncio.run(main())
    assert harness.events("token.refused")[-1]["detail"]["reason"] == reason == "code_unknown"


# -- a connection that is lost while COMMIT is answered ---------------------------------------------------


class CuttingProxy:
    """Between a lane and PostgreSQL: when armed, it cuts the connection instead of passing the answer to COMMIT."""

    def __init__(self, host, port):
        self._server = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.armed = threading.Event()
        self.cuts = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(self._server)
                for source, sink, cutting in ((near, far, False), (far, near, True)):
                    threading.Thread(
                        target=self._pump, args=(source, sink, cutting), daemon=True
                    ).start()

    def _pump(self, source, sink, cutting):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if cutting and self.armed.is_set() and b"COMMIT\x00" in data:
                    self.armed.clear()
                    self.cuts += 1
                    break
                sink.sendall(data)
        for one in (source, sink):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def close(self):
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@asynccontextmanager
async def cut_endpoint(harness):
    """An endpoint whose lane talks through the proxy."""
    url = harness.server.database.url
    proxy = CuttingProxy(url.host, url.port)
    dsn = url.set(drivername="postgresql", host="127.0.0.1", port=proxy.port)
    async with endpoint_of(harness, started=False) as endpoint:
        runner = PostgresqlRunner(dsn.render_as_string(hide_password=False))
        endpoint.lane = Lane([Worker(runner, endpoint.lane.workers[0].program)])
        await endpoint.lane.start()
        yield endpoint, proxy
    proxy.close()


async def cut_at_commit(harness, params, *, warm):
    """The request whose COMMIT is not answered, and one after it through the same lane."""
    async with cut_endpoint(harness) as (endpoint, proxy):
        if warm:
            await endpoint.handle(harness.slug, redemption(harness, harness.code()))
        later = redemption(harness, harness.code())
        proxy.armed.set()
        results = []
        for one in (params, later):
            results += await asyncio.gather(
                endpoint.handle(harness.slug, one), return_exceptions=True
            )
        assert proxy.cuts == 1
        return results


@pytest.mark.only("postgresql")
@pytest.mark.parametrize("warm", [True, False], ids=["strand-open", "strand-opening"])
@pytest.mark.parametrize("kind", ["redeem", "refresh"])
def test_an_unanswered_commit_is_found_again_and_answered(harness, kind, warm):
    """Item 8: cut between commit and response. Run again, the batch would take its own work for a replay."""
    code = harness.code()
    token = harness.redeem(harness.code()).refresh_token
    params = redemption(harness, code) if kind == "redeem" else refreshing(harness, token)
    result, _ = asyncio.run(cut_at_commit(harness, params, warm=warm))
    assert not isinstance(result, Exception), result
    assert not harness.events("grant.revoked")
    assert harness.refresh(result.body["refresh_token"]).ok
    jtis = [e["detail"]["jti"] for e in harness.events("token.issued")]
    assert len(set(jtis)) == len(jtis)


@pytest.mark.only("postgresql")
@pytest.mark.parametrize("kind", ["redeem", "refresh"])
def test_a_commit_that_cannot_be_found_is_a_503_and_ends_no_session(harness, kind):
    """Whoever looks finds another head than its own: it may still come, so nothing is done over."""
    code = harness.code()
    token = harness.redeem(harness.code()).refresh_token
    params = redemption(harness, code) if kind == "redeem" else refreshing(harness, token)

    async def main():
        async with cut_endpoint(harness) as (endpoint, proxy):
            endpoint.lane.workers[0].program._recognise = unrecognised
            proxy.armed.set()
            with pytest.raises(TemporarilyUnavailable) as refused:
                await endpoint.handle(harness.slug, params)
            return refused.value

    refused = asyncio.run(main())
    assert (refused.status, refused.reason) == (503, "fate_unknown")
    assert not harness.events("grant.revoked")
    if kind == "refresh":
        again = harness.refresh(token)
        assert again.ok, again.reason
        assert harness.refresh(again.refresh_token).ok


def unrecognised(_):
    """The database does not say."""
    yield Phase([], commit=True, is_reading=True)
    raise FateUnknown


@pytest.mark.only("postgresql")
@pytest.mark.parametrize("warm", [True, False], ids=["strand-open", "strand-opening"])
def test_the_lane_goes_on_after_an_unanswered_commit(harness, warm):
    """Its strand goes on where the database says it is."""
    params = redemption(harness, harness.code())
    _, later = asyncio.run(cut_at_commit(harness, params, warm=warm))
    assert not isinstance(later, Exception), later
    assert verified(harness).fault is None
