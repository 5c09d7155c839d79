"""Telling the trail to other programs: in order, at least once, and slowing nobody (ATK-67)."""

import base64
import hashlib
import hmac
import json
import re
from datetime import UTC, datetime

import pytest

from authz import audit
from authz.admin import audit_sinks, groups
from authz.audit.delivery import Delivery, pause_after
from authz.audit.events import SessionEnded, TokenRefused
from authz.audit.formats import FORMATS
from authz.audit.formats.told import Told
from authz.audit.reading import PAGE, Stored
from authz.audit.sinks import Way, open_sink
from authz.audit.sinks.otlp import _rejected
from authz.errors import ConfigurationError
from authz.settings import AuditSettings, AuditSink
from tests.admin.conftest import desk, make_desk, services
from tests.support.syslog import HOST, SyslogServer
from tests.support.web import FakeWeb, Reply

__all__ = ["desk", "make_desk", "services"]
SECRET = b"of the webhook"


@pytest.fixture
def web():
    with FakeWeb() as made:
        yield made


@pytest.fixture
def syslog():
    made = SyslogServer()
    yield made
    made.close()


def secret(reference):
    if reference != "env:HOOK":
        raise ConfigurationError(f"the secret {reference} is not set")
    return SECRET


def reader(desk, network, holder="one", **settings):
    """A sink of this tenant, begun: what happens from now on is its."""
    told = AuditSink(name=f"s-{desk.slug}", tenants=(desk.slug,), **settings)
    sink = open_sink(told, Way(network, secret, lambda: desk.now))
    made = Delivery(told, sink, desk.services.database, lambda: desk.now, holder)
    assert made.turn() == 0
    return made


def add(desk, *names):
    for name in names:
        desk.do(groups.add, name=name)


def state(desk, delivery):
    with desk.services.database.read() as tx:
        (line,) = audit_sinks.list_(tx, AuditSettings(sink=(delivery.settings,)))
    return line


def test_a_file_gets_each_event_in_order_and_is_opened_again_after_rotation(desk, tmp_path):
    path = tmp_path / "audit.jsonl"
    to_file = reader(desk, desk.services.network, kind="file", path=path)
    add(desk, "a", "b", "c")
    assert (to_file.turn(), to_file.turn()) == (3, 0)
    one, two, three = map(json.loads, path.read_text().splitlines())
    assert [it["body"]["detail"]["values"]["name"] for it in (one, two, three)] == ["a", "b", "c"]
    text = path.read_text().splitlines()[1].partition('"body":')[2][:-1]
    chained = f"{one['hash']}\n{text}".encode()
    assert hashlib.sha256(chained).hexdigest() == two["hash"]
    path.rename(tmp_path / "audit.1")
    add(desk, "d")
    assert to_file.turn() == 1
    assert len(path.read_text().splitlines()) == 1
    assert path.stat().st_mode & 0o077 == 0
    # A full disk cut a line: the event comes again, whole.
    path.write_text('{"hash":"cut')
    add(desk, "e")
    assert to_file.turn() == 1
    assert json.loads(path.read_text().splitlines()[1])["body"]["detail"]["values"]["name"] == "e"


def test_what_takes_several_pages_is_told_in_one_turn_and_what_comes_meanwhile_in_the_next(
    desk, tmp_path, monkeypatch
):
    """While grants are issued something always waits: a turn that read until nothing does would never end."""
    path = tmp_path / "audit.jsonl"
    to_file = reader(desk, desk.services.network, kind="file", path=path)
    events = [SessionEnded(subject=f"usr_{number}") for number in range(PAGE + 10)]
    with desk.services.database.write() as tx:
        key = desk.operator.audit_key(tx, desk.tenant_id)
        audit.record(tx, desk.tenant_id, *events, key=key, now=desk.now)
    send = to_file.sink.send

    def meanwhile(page):
        send(page)
        add(desk, f"came-{path.stat().st_size}")

    monkeypatch.setattr(type(to_file.sink), "send", lambda _, page: meanwhile(page))
    assert to_file.turn() == PAGE + 10 + 1
    monkeypatch.undo()
    assert to_file.turn() == 1


def test_a_webhook_that_is_down_loses_nothing_and_gets_it_signed(desk, web):
    answers = [Reply(503), Reply(200), Reply(204)]
    web.serve("hook.example", lambda _: answers.pop(0))
    to_hook = reader(
        desk, web.network(), kind="webhook", url=web.url("hook.example", "/in"), secret="env:HOOK"
    )
    assert state(desk, to_hook).state == "delivering"
    add(desk, "a", "b")
    assert to_hook.turn() == 0
    failed = state(desk, to_hook)
    assert (failed.state, failed.lag, failed.last_failure) == ("failing", 2, "status_503")
    assert to_hook.turn() == 0  # not before its time
    assert len(web.requests) == 1
    desk.wait(seconds=2)
    add(desk, "between")
    assert to_hook.turn() == 3
    assert (state(desk, to_hook).state, state(desk, to_hook).lag) == ("delivering", 0)
    add(desk, "c")
    assert to_hook.turn() == 1
    first, again, last = web.requests
    # Another delivery than the one that failed, and the events in both say that they are the same.
    assert again.body.startswith(first.body)
    assert len({it.headers["webhook-id"] for it in web.requests}) == 3
    told = [json.loads(line)["body"]["position"] for line in (again.body + last.body).splitlines()]
    assert told == sorted(set(told))
    for seen in web.requests:
        name, moment = seen.headers["webhook-id"], seen.headers["webhook-timestamp"]
        tag = hmac.digest(SECRET, f"{name}.{moment}.".encode() + seen.body, "sha256")
        assert seen.headers["webhook-signature"] == f"v1,{base64.b64encode(tag).decode()}"
        assert SECRET not in seen.body


def test_syslog_counts_when_the_other_side_has_read_all(desk, syslog):
    web = FakeWeb()
    network = web.network(resolve=lambda host, port: ["127.0.0.1"])
    url = f"syslog+tls://{HOST}:{syslog.port}"
    to_syslog = reader(desk, network, kind="syslog", url=url, ca_file=syslog.ca_file, format="cef")
    syslog.hangs_up = True
    add(desk, "a", "b")
    assert to_syslog.turn() == 0
    assert state(desk, to_syslog).failures == 1
    syslog.hangs_up = False
    desk.wait(seconds=2)
    assert to_syslog.turn() == 2
    assert len(syslog.messages) == 2
    for message in syslog.messages:
        assert re.fullmatch(
            r"<110>1 2026-03-01T12:00:0\d\.0+Z - mcp-authz - admin\.changed "
            r'\[meta sequenceId="\d+"\] CEF:0\|mcp-authz\|mcp-authz\|[^|]+\|admin\.changed\|.*',
            message,
        )
    stranger = reader(desk, network, kind="syslog", url=url, ca_file=web.ca_file, holder="two")
    add(desk, "c")
    assert stranger.turn() == 0
    assert state(desk, stranger).last_failure == "tls"
    web.close()


def test_opentelemetry_gets_log_records(desk, web):
    from google.protobuf.json_format import ParseDict
    from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

    partly = Reply.json({"partialSuccess": {"rejectedLogRecords": "1"}})
    answers = [partly, Reply.json({})]
    web.serve("otel.example", lambda _: answers.pop(0))
    url = web.url("otel.example", "/v1/logs")
    to_collector = reader(desk, web.network(), kind="otlp", url=url, secret="env:HOOK")
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    refuse(desk, trace=f"{trace}-00f067aa0ba902b7")
    assert to_collector.turn() == 0
    assert state(desk, to_collector).last_failure == "partly_rejected"
    desk.wait(seconds=2)
    assert to_collector.turn() == 1
    seen = web.requests[-1]
    assert seen.headers["authorization"] == f"Bearer {SECRET.decode()}"
    sent = json.loads(seen.body)
    [record] = sent["resourceLogs"][0]["scopeLogs"][0]["logRecords"]
    assert (record["traceId"], record["severityText"]) == (trace, "WARN")
    parsed = ParseDict(sent, ExportLogsServiceRequest())
    [log] = parsed.resource_logs[0].scope_logs[0].log_records
    attributes = {it.key: it.value.string_value for it in log.attributes}
    assert attributes["event.name"] == "token.refused"
    assert attributes["authz.reason"] == "code_spent"
    assert log.time_unix_nano == int(desk.now.timestamp() - 2) * 10**9


def refuse(desk, **fields):
    event = TokenRefused(
        **{
            "client": "cli_1",
            "grant_type": "authorization_code",
            "error": "invalid_grant",
            "reason": "code_spent",
            **fields,
        }
    )
    with desk.services.database.write() as tx:
        key = desk.operator.audit_key(tx, desk.tenant_id)
        audit.record(tx, desk.tenant_id, event, key=key, now=desk.now)


def test_a_sink_gets_what_it_asks_for_and_history_only_if_it_says_so(desk, tmp_path):
    add(desk, "before")
    some = reader(
        desk, desk.services.network, kind="file", path=tmp_path / "some", kinds=("token.*",)
    )
    add(desk, "a")
    refuse(desk)
    assert some.turn() == 1
    assert "token.refused" in (tmp_path / "some").read_text()
    told = AuditSink(
        name=f"all-{desk.slug}",
        tenants=(desk.slug,),
        kind="file",
        path=tmp_path / "all",
        from_start=True,
    )
    sink = open_sink(told, Way(desk.services.network, secret, lambda: desk.now))
    everything = Delivery(told, sink, desk.services.database, lambda: desk.now, "one")
    assert everything.turn() == 4


def test_one_of_many_processes_tells_it(desk, tmp_path):
    """By a lease; whoever tells at the same moment takes nothing from the other's place."""
    from authz.db.leases import acquire

    it = reader(desk, desk.services.network, kind="file", path=tmp_path / "x")
    add(desk, "a")
    name, until = f"audit-sink:{it.settings.name}", desk.now.replace(year=2027)
    assert desk.sql(lambda tx: acquire(tx, name, holder="two", until=until, now=desk.now))
    assert it.turn() == 0
    desk.now = until
    assert it.turn() == 1


def test_pauses_grow_to_a_bound():
    seconds = [pause_after(n).total_seconds() for n in (1, 2, 3, 6, 7, 100)]
    assert seconds == [2, 4, 8, 64, 120, 120]


# -- formats ----------------------------------------------------------------------------------------------


def event(kind="token.refused", at=datetime(2026, 3, 1, 12, tzinfo=UTC), **body):
    said = {
        "strand": "main",
        "position": 7,
        "kind": kind,
        "subject": "usr_1",
        "client": "https://c.example/a=b|c",
        "agent": None,
        "actor": None,
        "detail": {"reason": "a\nb=c\\d"},
        **body,
    }
    return Told(Stored("ten_1", "main", 7, at, kind, json.dumps(said), "f" * 64))


@pytest.mark.parametrize("name", FORMATS)
def test_an_event_is_one_line_whatever_is_in_it(name):
    """ATK-67: what people write into names forges no second event and no field."""
    line = FORMATS[name].render(event())
    assert "\n" not in line
    assert "\r" not in line
    if name == "cef":
        assert r"reason=a\nb\=c\\d" in line
        assert r"cs1=https://c.example/a\=b|c" in line
        assert line.startswith("CEF:0|mcp-authz|mcp-authz|")
    else:
        assert json.loads(line)


@pytest.mark.parametrize(
    ("kind", "type_uid", "severity", "status"),
    [
        ("token.issued", 300399, 1, 1),
        ("token.refused", 300399, 2, 2),
        ("login.succeeded", 300201, 1, 1),
        ("login.failed", 300201, 2, 2),
        ("session.ended", 300202, 1, 1),
        ("consent.granted", 300501, 1, 1),
        ("admin.changed", 300403, 1, 1),
        ("alert.raised", 200401, 4, 1),
        ("audit.strand_opened", 300399, 1, 1),
    ],
)
def test_ocsf_classes(kind, type_uid, severity, status):
    told = json.loads(FORMATS["ocsf"].render(event(kind)))
    assert told["type_uid"] == type_uid == told["class_uid"] * 100 + told["activity_id"]
    assert told["category_uid"] == told["class_uid"] // 1000
    assert (told["severity_id"], told["status_id"]) == (severity, status)
    assert told["time"] == 1772366400000
    assert told["metadata"]["version"] == "1.6.0"
    assert told["metadata"]["uid"] == "ten_1/main/7"
    # S1: the three are apart, and a missing agent is an explicit null.
    assert {"subject", "client", "agent"} <= told["unmapped"].keys()
    assert told["unmapped"]["agent"] is None


@pytest.mark.parametrize(
    "body",
    [
        "",
        "[]",
        "{",
        '{"a":\n1}',
        '{"client":"\\ud800","detail":{"reason":"\\uDFFF","resource":"\\ud83d\\ude00"}}',
        '{"client":{"a":1},"subject":7,"detail":{"reason":["x"]},"trace":"x-y"}',
    ],
    ids=["empty", "list", "broken", "lines", "half", "kinds"],
)
def test_an_event_somebody_wrote_over_stops_no_sink(desk, tmp_path, body):
    """Nor what comes behind it, in any format, whatever the sink has to encode."""
    at = datetime(2026, 3, 1, tzinfo=UTC)
    it = Told(Stored("ten_1", "main", 7, at, "token issued\n", body, "x"))
    way = Way(desk.services.network, secret, lambda: desk.now)
    for name in FORMATS:
        path = tmp_path / name
        to_file = AuditSink(name="x", kind="file", path=path, format=name)
        open_sink(to_file, way).send([it, event()])
        assert len(path.read_text(encoding="utf-8").splitlines()) == 2
        to_syslog = AuditSink(name="x", kind="syslog", url="syslog+tls://x", format=name)
        assert b" - token_issued_ [meta" in open_sink(to_syslog, way)._framed(it)
        to_otlp = AuditSink(name="x", kind="otlp", url="https://x", format=name)
        sent = json.dumps(open_sink(to_otlp, way)._request([it]))
        assert "\\ud800" not in sent.replace("\\\\ud800", "")  # as text of a body it may be there
        [record] = json.loads(sent)["resourceLogs"][0]["scopeLogs"][0]["logRecords"]
        assert "traceId" not in record
        assert all(isinstance(v["value"]["stringValue"], str) for v in record["attributes"])


@pytest.mark.parametrize("name", FORMATS)
def test_an_event_of_any_depth_is_told(name):
    at = datetime(2026, 3, 1, tzinfo=UTC)
    for depth in range(600, 1000, 3):
        body = '{"detail":{"scopes":[' + '{"a":' * depth + "1" + "}" * depth + "]}}"
        told = Told(Stored("ten_1", "main", 7, at, "token.issued", body, "x"))
        assert FORMATS[name].line(told).encode()


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"[" * 100_000, b'{"partialSuccess":[]}'])
def test_an_answer_that_is_none_rejects_nothing(body):
    assert not _rejected(body)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"kind": "file"}, "takes path"),
        ({"kind": "file", "path": "x", "url": "https://x"}, "takes path"),
        ({"kind": "syslog", "url": "syslog://x"}, r"begins with syslog\+tls://"),
        ({"kind": "webhook", "url": "https://x"}, "takes a secret"),
        ({"kind": "otlp", "url": "https://x", "secret": "literal"}, "pattern"),
        ({"kind": "file", "path": "x", "name": "alerts"}, "cannot be called alerts"),
        ({"kind": "file", "path": "x", "kinds": ["nonsense"]}, "pattern"),
    ],
)
def test_a_sink_that_cannot_work_is_refused_at_start(settings, said):
    with pytest.raises(ValueError, match=said):
        AuditSink.model_validate({"name": "x", **settings})
