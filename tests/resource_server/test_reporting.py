"""The reporter: a call never waits for it, nothing is lost unseen, and every answer has its consequence."""

import asyncio
import base64
import json
import logging
import threading
import time
from collections import Counter
from contextlib import nullcontext
from urllib.parse import parse_qs

import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from authz.resource_server import InsufficientScope, Reporter, Reports, protect
from authz.resource_server.call_watch import CallWatch
from authz.resource_server.messages import ToolCall, read_body
from authz.resource_server.report_key import load_key, make_key

RESOURCE = "https://mcp.example/mcp"
TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
OTHER_TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4737-00f067aa0ba902b7-01"
CALL = ToolCall(tool="read_logs", arguments={"q": "secret"}, traceparent=TRACEPARENT)


class Inbox:
    """Something that is reported to, and answers as it is told."""

    def __init__(self):
        self.answers = []
        self.forms = []
        self.came = threading.Condition()
        self.hold = threading.Event()
        self.hold.set()

    async def __call__(self, scope, receive, send):
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        form = {name: values[0] for name, values in parse_qs(body.decode()).items()}
        with self.came:
            self.forms.append((scope["path"], form))
            answer = self.answers.pop(0) if self.answers else (200, {}, b"{}")
            self.came.notify_all()
        await asyncio.to_thread(self.hold.wait, 20)
        status, headers, content = answer
        raw = [(name.encode(), value.encode()) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": status, "headers": raw})
        await send({"type": "http.response.body", "body": content})

    def wait(self, count):
        """Until so many requests have come."""
        with self.came:
            assert self.came.wait_for(lambda: len(self.forms) >= count, 20), len(self.forms)

    def batches(self):
        """The claims of what came, unverified."""
        return [jwt_claims(form["batch"]) for _, form in self.forms]


def jwt_claims(text):
    part = text.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


@pytest.fixture
def inbox():
    return Inbox()


@pytest.fixture
def issuer_url(inbox, serve):
    with serve(lambda _: inbox, path="/t/acme", lifespan="off") as url:
        yield url


@pytest.fixture
def jwks(tmp_path):
    return make_key(tmp_path / "key.jwk")


@pytest.fixture
def make_reporter(issuer_url, tmp_path, jwks):
    made = []

    def make(url=issuer_url, *, memory=10_000, **options):
        terms = {"every": 0.02, "spool": tmp_path / "spool", **options}
        reports = Reports(client_id="cli_1", key=tmp_path / "key.jwk", **terms)
        reporter = Reporter(
            reports, issuer=url, resource=RESOURCE, write_every=0.02, max_in_memory=memory
        )
        made.append(reporter)
        return reporter

    yield make
    for reporter in made:
        reporter.close()


def test_a_batch_is_signed_and_its_sender_authenticated(inbox, make_reporter, make_token, jwks):
    make_reporter().report(make_token(grant_id="grt_1"), CALL, "ok")
    inbox.wait(1)
    [(path, form)] = inbox.forms
    assert path == "/t/acme/outcomes"
    keys = KeySet.import_key_set(jwks)
    batch = jwt.decode(form["batch"], keys, algorithms=["ES256"])
    assert batch.header["typ"] == "tool-outcomes+jwt"
    claims = batch.claims
    assert claims["iss"] == "cli_1"
    assert claims["aud"].endswith("/t/acme")
    assert (claims["resource"], claims["sequence"], claims["lost"]) == (RESOURCE, 1, 0)
    [outcome] = claims["outcomes"]
    assert (outcome["tool"], outcome["outcome"]) == ("read_logs", "ok")
    assert outcome["traceparent"] == TRACEPARENT
    assertion = jwt.decode(form["client_assertion"], keys, algorithms=["ES256"])
    assert assertion.header["typ"] == "client-authentication+jwt"
    assert assertion.claims["aud"] == claims["aud"]
    assert assertion.claims["exp"] - assertion.claims["iat"] == 60


def test_neither_arguments_nor_a_digest_of_them_leave_unless_asked_for(
    inbox, make_reporter, make_token
):
    make_reporter().report(make_token(), CALL, "ok")
    inbox.wait(1)
    [outcome] = inbox.batches()[0]["outcomes"]
    assert outcome.keys() == {"at", "jti", "tool", "outcome", "traceparent"}


def test_a_digest_of_the_arguments_if_asked_for(inbox, make_reporter, make_token):
    make_reporter(digest_arguments=True).report(make_token(), CALL, "ok")
    inbox.wait(1)
    assert len(inbox.batches()[0]["outcomes"][0]["arguments_sha256"]) == 64


class TestHowACallEnds:
    """CallWatch."""

    @pytest.fixture
    def ended(self, inbox, make_reporter, make_token):
        def end(error=None, *, is_error=False):
            expected = nullcontext() if error is None else pytest.raises(type(error))
            with expected, CallWatch(make_reporter(), make_token(), CALL) as watch:
                watch.is_error = is_error
                if error is not None:
                    raise error
            inbox.wait(1)
            [outcome] = inbox.batches()[0]["outcomes"]
            assert outcome["duration_ms"] >= 0
            return outcome["outcome"], outcome.get("reason")

        return end

    def test_well(self, ended):
        assert ended() == ("ok", None)

    def test_with_an_answer_that_says_it_failed(self, ended):
        assert ended(is_error=True) == ("error", "tool_error")

    def test_with_an_exception(self, ended):
        """Its text may hold anything, so nothing of it is told."""
        assert ended(ValueError("secret")) == ("error", "tool_error")

    def test_refused(self, ended):
        refusal = InsufficientScope("scope_missing", scopes=frozenset())
        assert ended(refusal) == ("denied", "scope_missing")

    def test_cut_off(self, ended):
        assert ended(asyncio.CancelledError()) == ("error", "cancelled")

    def test_without_a_reporter(self, make_token):
        with CallWatch(None, make_token(), CALL):
            pass


def test_a_call_does_not_wait(inbox, make_reporter, make_token):
    """Whatever the other side does: ten thousand calls while it hangs cost microseconds each."""
    inbox.hold.clear()
    reporter, token = make_reporter(), make_token()
    reporter.report(token, CALL, "ok")
    inbox.wait(1)
    began = time.thread_time()
    for _ in range(5000):
        reporter.report(token, CALL, "ok")
    assert time.thread_time() - began < 1.0
    inbox.hold.set()
    deadline = time.monotonic() + 20
    while sum(len(it["outcomes"]) for it in inbox.batches()) < 5001:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert reporter.lost == 0


LATER = {
    "unavailable": (503, {"retry-after": "1"}, b'{"error":"temporarily_unavailable"}'),
    "too-many": (429, {"retry-after": "1"}, b'{"error":"temporarily_unavailable"}'),
    "unknown-client": (401, {}, b'{"error":"invalid_client"}'),
    "not-registered-for-it": (400, {}, b'{"error":"unauthorized_client"}'),
    "a-proxy": (400, {}, b"<html>"),
    "no-such-place": (404, {}, b'{"error":"not_found"}'),
    "elsewhere": (307, {"location": "https://elsewhere.example/"}, b""),
    "broken": (500, {}, b"\xff"),
}


@pytest.mark.parametrize("name", LATER)
def test_what_is_not_the_batchs_fault_is_tried_again(inbox, make_reporter, make_token, name):
    """The same batch under the same name, with a fresh proof of who sends it."""
    inbox.answers = [LATER[name]]
    reporter = make_reporter()
    reporter.report(make_token(), CALL, "ok")
    inbox.wait(2)
    first, second = inbox.batches()
    assert first == second
    assertions = {form["client_assertion"] for _, form in inbox.forms}
    assert len(assertions) == 2
    assert reporter.lost == 0


@pytest.mark.parametrize("status", [400, 413])
def test_a_batch_that_is_refused_is_dropped_and_counted(
    inbox, make_reporter, make_token, status, caplog
):
    """One bad batch holds up no other, and nothing goes silently."""
    inbox.answers = [(status, {}, b'{"error":"invalid_request"}')]
    reporter = make_reporter()
    reporter.report(make_token(), CALL, "ok")
    inbox.wait(1)
    deadline = time.monotonic() + 10
    while reporter.lost == 0:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert reporter.lost == 1
    assert "1 outcomes were dropped" in caplog.text
    reporter.report(make_token(), CALL, "error", "tool_error")
    inbox.wait(2)
    second = inbox.batches()[1]
    assert (second["sequence"], second["lost"]) == (2, 1)


def test_it_backs_off(issuer_url, inbox, make_reporter, make_token, caplog):
    """A server that is away is not asked more often the longer it is away."""
    caplog.set_level(logging.WARNING)
    inbox.answers = [(503, {}, b"")] * 3
    make_reporter().report(make_token(), CALL, "ok")
    inbox.wait(4)
    pauses = [record.args[1] for record in caplog.records if "outcomes wait" in record.message]
    assert len(pauses) == 3
    for pause, longest in zip(pauses, (1, 2, 4), strict=True):
        assert longest / 2 <= pause <= longest


def test_retry_after_is_heeded_within_reason(inbox, make_reporter, make_token, caplog):
    caplog.set_level(logging.WARNING)
    inbox.answers = [(503, {"retry-after": "86400"}, b"")]
    make_reporter().report(make_token(), CALL, "ok")
    inbox.wait(1)
    deadline = time.monotonic() + 10
    while "for 300.0 s" not in caplog.text:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_what_memory_cannot_hold_is_dropped_oldest_first_and_counted(
    inbox, make_reporter, make_token, tmp_path
):
    """As when the disk is full: a bound, a count, and calls go on."""
    (tmp_path / "spool").write_text("a file where the folder should be")
    reporter = make_reporter(memory=10)
    for number in range(25):
        reporter.report(make_token(), ToolCall(f"tool_{number}", {}), "ok")
    assert reporter.lost == 15
    time.sleep(0.1)
    (tmp_path / "spool").unlink()
    inbox.wait(1)
    [batch] = inbox.batches()
    assert [it["tool"] for it in batch["outcomes"]] == [f"tool_{n}" for n in range(15, 25)]
    assert batch["lost"] == 15


def test_a_full_spool_drops_the_oldest_and_says_so(inbox, make_reporter, make_token, caplog):
    inbox.hold.clear()
    reporter = make_reporter(max_spooled=5)
    reporter.report(make_token(), ToolCall("first", {}), "ok")
    inbox.wait(1)
    for number in range(12):
        reporter.report(make_token(), ToolCall(f"tool_{number}", {}), "ok")
    deadline = time.monotonic() + 10
    while reporter.lost < 7:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    inbox.hold.set()
    inbox.wait(2)
    batch = inbox.batches()[1]
    assert [it["tool"] for it in batch["outcomes"]] == [f"tool_{n}" for n in range(7, 12)]
    assert batch["lost"] == reporter.lost == 7
    assert "dropped unreported" in caplog.text


def test_what_a_process_could_not_send_the_next_one_sends(
    inbox, issuer_url, make_reporter, make_token
):
    """Survives restarts: of the same process, and of one that ran beside it."""
    one, two = (make_reporter("http://127.0.0.1:9") for _ in range(2))
    for reporter, tool in ((one, "one"), (two, "two")):
        reporter.report(make_token(), ToolCall(tool, {}), "ok")
        deadline = time.monotonic() + 10
        while reporter._spool is None or reporter._spool.is_empty:
            assert time.monotonic() < deadline
            time.sleep(0.01)
    one.close()
    two.close()
    make_reporter().start()
    inbox.wait(2)
    told = [(it["reporter"], it["outcomes"][0]["tool"]) for it in inbox.batches()]
    assert sorted(tool for _, tool in told) == ["one", "two"]
    assert len({reporter for reporter, _ in told}) == 2


def test_nothing_is_read_from_a_key_that_is_not_there(
    inbox, make_reporter, make_token, tmp_path, caplog
):
    """The server runs on, the log says why, and all of it is sent when the key is back."""
    key = (tmp_path / "key.jwk").read_bytes()
    (tmp_path / "key.jwk").unlink()
    make_reporter().report(make_token(), CALL, "ok")
    deadline = time.monotonic() + 10
    while "the key cannot be read" not in caplog.text:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    (tmp_path / "key.jwk").write_bytes(key)
    inbox.wait(1)


def test_nothing_secret_is_in_the_spool(make_reporter, make_token, tmp_path):
    """Neither the key nor a token nor an argument, whatever became of the calls."""
    reporter = make_reporter("http://127.0.0.1:9", digest_arguments=True)
    token = make_token(claims={"sub": "alice", "email": "alice@corp.example"})
    reporter.report(token, CALL, "ok")
    reporter.report(token, CALL, "denied", "scope_missing")
    reporter.close()
    spooled = b"".join(path.read_bytes() for path in (tmp_path / "spool").iterdir())
    assert b"read_logs" in spooled
    private = json.loads((tmp_path / "key.jwk").read_text())["d"]
    for secret in (private, "secret", "alice", "logs.read", "eyJ"):
        assert secret.encode() not in spooled


def test_threads_end_with_the_server(make_reporter, make_token):
    before = threading.active_count()
    reporter = make_reporter("http://127.0.0.1:9")
    reporter.report(make_token(), CALL, "ok")
    reporter.close()
    reporter.close()
    reporter.report(make_token(), CALL, "ok")
    assert threading.active_count() == before


class TestKeys:
    def test_a_new_key_is_its_owners_and_never_overwritten(self, tmp_path):
        public = make_key(tmp_path / "k")
        assert (tmp_path / "k").stat().st_mode & 0o077 == 0
        [entry] = public["keys"]
        assert "d" not in entry
        assert load_key(tmp_path / "k").key_id == entry["kid"]
        with pytest.raises(FileExistsError):
            make_key(tmp_path / "k")

    @pytest.mark.parametrize(
        "text",
        ["", "{}", "[]", "-----BEGIN", '{"kty":"oct","k":"AA"}', '{"kty":"EC","crv":"P-256"}'],
    )
    def test_what_is_no_key_is_refused_without_being_told(self, tmp_path, text):
        (tmp_path / "k").write_text(text)
        with pytest.raises(ValueError, match="holds no") as refused:
            load_key(tmp_path / "k")
        assert "AA" not in str(refused.value)

    def test_a_public_key_signs_nothing(self, tmp_path):
        [entry] = make_key(tmp_path / "k")["keys"]
        (tmp_path / "public").write_text(json.dumps(entry))
        with pytest.raises(ValueError, match="holds no private key"):
            load_key(tmp_path / "public")


class TestTraces:
    """S14: of the call, or of the request it came in."""

    def body(self, *metas):
        messages = [
            {"method": "tools/call", "params": {"name": "t", "_meta": meta}} for meta in metas
        ]
        return json.dumps(messages).encode()

    def test_a_calls_own_goes_before_the_requests(self):
        calls = read_body(self.body({"traceparent": OTHER_TRACE}, {}), TRACEPARENT).calls
        assert [call.traceparent for call in calls] == [OTHER_TRACE, TRACEPARENT]

    @pytest.mark.parametrize("meta", [None, "x", [], {"traceparent": 1}, {"traceparent": "00-x"}])
    def test_what_is_none_is_not_told(self, meta):
        [call] = read_body(self.body(meta)).calls
        assert call.traceparent is None


@pytest.mark.anyio
async def test_what_the_edge_refuses_is_reported(inbox, issuer_url, make_reporter, make_edge):
    """M8, M9: a forbidden attempt never reaches the server, and is told all the same."""
    edge = make_edge()
    edge.app.reporter = make_reporter()
    for tool in ("purge_logs", "debug_shell"):
        message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": tool}}
        answer = await edge.post(message, headers=[("traceparent", TRACEPARENT)])
        assert answer.status_code == 403
    inbox.wait(1)
    edge.app.reporter.close()
    told = [outcome for batch in inbox.batches() for outcome in batch["outcomes"]]
    assert Counter((it["tool"], it["outcome"], it["reason"]) for it in told) == {
        ("purge_logs", "denied", "scope_missing"): 1,
        ("debug_shell", "denied", "tool_undeclared"): 1,
    }
    assert {it["traceparent"] for it in told} == {TRACEPARENT}
    assert {it["jti"] for it in told} == {"j1"}


@pytest.mark.anyio
async def test_who_is_not_let_in_is_not_reported(inbox, make_reporter, make_edge):
    """D4: what a stranger can cause fills no table."""
    edge = make_edge()
    edge.app.reporter = make_reporter()
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "x"}}
    assert (await edge.post(message, token="x.y.z")).status_code == 401
    edge.app.reporter.close()
    assert inbox.forms == []


def test_reports_need_a_server_whose_calls_can_be_seen(issuer, tmp_path):
    reports = Reports(client_id="cli_1", key="k", spool=tmp_path)
    with pytest.raises(TypeError, match="MCPServer or a FastMCP"):
        protect(
            lambda *_: None, issuer=issuer.url, resource=RESOURCE, tools={"t": "s"}, reports=reports
        )
