"""Traces over a real socket to a collector that decodes them: what is in them, what never is, their cost (S5, S14)."""

import json
import subprocess
import sys
import threading
import time
from itertools import pairwise

import pytest

from authz.errors import ConfigurationError
from authz.settings import load
from authz.telemetry import tracing
from authz.telemetry.metrics import TRACE_SPANS
from authz.telemetry.traceparent import TraceParent
from authz.telemetry.tracer import _MOST_AT_ONCE, MOST_WAITING, Tracer
from tests.support.arrange import REDIRECT, VERIFIER
from tests.support.harness import Harness, running
from tests.support.otlp import collecting

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
CANARY = "canary-0aK2yfVt1f3wZ"


@pytest.fixture(scope="module")
def collector():
    with collecting() as made:
        yield made


@pytest.fixture(scope="module")
def traced(tmp_path_factory, collector):
    """A server that traces everything."""
    folder = tmp_path_factory.mktemp("traced")
    (folder / "collector-key").write_text("Bearer of-the-collector\n")
    telemetry = {
        "traces_endpoint": collector.endpoint,
        "traces_authorization": f"file:{folder / 'collector-key'}",
        "traces_ratio": 1.0,
        "traces_delay": 0.05,
    }
    with running(
        folder, f"sqlite:///{folder / 'authz.db'}", sections={"telemetry": telemetry}
    ) as server:
        made = Harness(server)
        yield made
        made.close()


def _of_trace(collector, trace_id, *names):
    deadline = time.monotonic() + 5
    while True:
        found = {it.name: it for it in collector.spans if it.trace_id == trace_id}
        if set(names) <= found.keys() or time.monotonic() > deadline:
            return found
        time.sleep(0.02)


def test_a_request_its_batch_and_its_signature_are_parts_of_the_callers_trace(traced, collector):
    """S14: the caller's trace id is kept, here as in the audit trail."""
    answer = _redeem(traced, f"00-{TRACE}-{SPAN}-00")
    found = _of_trace(collector, TRACE, "POST token", "database batch", "sign")
    request, batch = found["POST token"], found["database batch"]
    assert request.parent_id == SPAN
    assert batch.parent_id == request.span_id
    assert request.attributes == {
        "http.route": "token",
        "http.request.method": "POST",
        "http.response.status_code": answer.status,
    }
    assert batch.attributes["authz.jobs"] == 1
    assert batch.attributes["authz.statements"] > 0
    assert answer.ok
    assert found["sign"].parent_id == request.span_id
    assert found["sign"].attributes == {
        "authz.algorithm": "ES256",
        "authz.purpose": "access_token",
    }


def _redeem(traced, traceparent):
    return traced.token(
        {
            "grant_type": "authorization_code",
            "client_id": traced.client_id,
            "code": traced.code(),
            "code_verifier": VERIFIER,
            "redirect_uri": REDIRECT,
        },
        traceparent=traceparent,
    )


def test_a_fetch_is_a_span_of_the_request_that_needed_it(traced, collector):
    """The host is told, and nothing else of the address."""
    client = traced.serve_document(path=f"/{CANARY}/client.json")
    traced.browser().authorize(client_id=client, state=CANARY)
    (fetch,) = collector.named("fetch")
    assert fetch.attributes == {"server.address": traced.host, "authz.profile": "public"}
    assert fetch.parent_id


def test_no_secret_and_no_query_is_in_any_span(traced, collector):
    """V7: codes, verifiers, passwords, states and addresses were all sent; the collector got none of them."""
    secret = f"{CANARY}-secret"
    traced.token(
        {"grant_type": secret, "client_id": secret, "client_secret": secret, "code": secret},
        authorization=f"Bearer {secret}",
        tracestate=f"vendor={secret}",
        traceparent=f"00-{'b' * 32}-{SPAN}-01",
    )
    traced.http.get(f"{traced.issuer}/{CANARY}?q={CANARY}")
    traced.http.request("PROPFIND", f"{traced.issuer}/token")
    _of_trace(collector, "b" * 32, "POST token")
    assert collector.named("GET other")
    assert collector.named("_OTHER token")
    sent = b"".join(collector.bodies)
    assert CANARY.encode() not in sent
    assert b"xyz" not in sent  # the state of every request of the harness


def test_the_collector_is_told_who_sends(traced, collector):
    traced.http.get(f"{traced.server.base}/health/live")
    assert collector.named("GET health")
    assert {it["authorization"] for it in collector.headers} == {"Bearer of-the-collector"}
    assert {it["content-type"] for it in collector.headers} == {"application/x-protobuf"}


def test_a_collector_that_is_down_costs_spans_and_no_request(traced, collector):
    """It holds every connection open: requests go on as before, and what does not fit is dropped and counted."""
    collector.holds = threading.Event()
    before = TRACE_SPANS.labels("dropped")._value.get()
    try:
        slowest = 0.0
        for _ in range(60):
            began = time.perf_counter()
            assert traced.http.get(f"{traced.server.base}/health/live").status_code == 200
            slowest = max(slowest, time.perf_counter() - began)
        assert slowest < 5  # the collector holds each for ten
        tracer = tracing._tracing.tracer
        for _ in range(MOST_WAITING + 600):
            tracer.begin_span("filler", "internal", tracer.remote(None), {}).end()
        assert TRACE_SPANS.labels("dropped")._value.get() > before
    finally:
        collector.holds.set()
        collector.holds = None


def test_what_a_caller_wants_traced_is_traced_a_few_times_a_second():
    """A stranger does not decide how much goes to the collector."""
    state = tracing._Tracing(tracer=None, ratio=0.0)
    wanted = TraceParent(TRACE, SPAN, is_sampled=True)
    taken = sum(state.takes(wanted) for _ in range(200))
    assert 0 < taken <= 2 * tracing.FOLLOWED_PER_SECOND
    assert not state.takes(TraceParent(TRACE, SPAN))
    assert not state.takes(None)


def test_one_of_a_hundred_is_traced():
    state = tracing._Tracing(tracer=None, ratio=0.01)
    taken = [state.takes(None) for _ in range(20_000)]
    assert 100 < sum(taken) < 320
    # As by a throw for each: no beat that a caller could fall in with.
    places = [number for number, it in enumerate(taken) if it]
    gaps = {after - before for before, after in pairwise(places)}
    assert len(gaps) > 20
    assert min(gaps) < 30 < 200 < max(gaps)


@pytest.mark.parametrize(("ratio", "share"), [(0.0, 0), (0.5, 0.5), (1.0, 1)])
def test_the_ratio_is_the_share_that_is_traced(ratio, share):
    state = tracing._Tracing(tracer=None, ratio=ratio)
    assert sum(state.takes(None) for _ in range(10_000)) == pytest.approx(10_000 * share, rel=0.1)


def test_untraced_it_costs_no_import_and_no_span():
    """Off by default. (Of what is installed, FastAPI itself imports OpenTelemetry's interface, which does nothing.)"""
    code = (
        "import sys, json, authz.app, authz.cli.serve\n"
        "from authz.telemetry import tracing\n"
        "assert tracing.request('r', lambda: None) is tracing.NOTHING\n"
        "assert tracing.span('s') is tracing.NOTHING\n"
        "assert tracing.joined('j', [None, None]) is tracing.NOTHING\n"
        "heavy = ('opentelemetry.sdk', 'opentelemetry.exporter', 'opentelemetry.proto', 'google.protobuf')\n"
        "print(json.dumps([name for name in sys.modules if name.startswith(heavy)]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []


@pytest.mark.parametrize(
    "endpoint",
    ["http://collector.example/v1/traces", "ftp://127.0.0.1/x", "collector:4318", ""],
)
def test_spans_go_to_nobody_in_the_clear(endpoint):
    with pytest.raises(ConfigurationError, match=r"telemetry\.traces_endpoint"):
        load(
            None,
            environment={},
            overrides={
                "server": {"issuer": "https://auth.example.com"},
                "telemetry": {"traces_endpoint": endpoint},
            },
        )


def test_after_a_full_batch_nobody_waits():
    """A collector that is well gets spans as fast as they come."""
    sent, all_sent = [], threading.Event()
    made = {}

    def send(body):
        made["it"]._shipping._delay = 3600.0  # whoever waits from here on waits for ever
        sent.append(body)
        if len(sent) == 3:
            all_sent.set()

    tracer = made["it"] = Tracer(send, instance="one", delay=0.2)
    for _ in range(3 * _MOST_AT_ONCE):
        tracer.begin_span("filler", "internal", tracer.remote(None), {}).end()
    assert all_sent.wait(20)
    tracer.close()
