"""What a connection may do before there is a request: slow, huge and endless ones, over raw sockets (ATK-63)."""

import itertools
import time
from datetime import timedelta

import pytest

from tests.support.harness import ONE_ADDRESS, running
from tests.support.sockets import wire

TIMEOUT = 0.5
FORM = b"Content-Type: application/x-www-form-urlencoded\r\n"
POST = b"POST /token HTTP/1.1\r\nHost: x\r\n" + FORM


@pytest.fixture(scope="module")
def hasty(tmp_path_factory):
    """A server that gives a message half a second; engines make no difference here."""
    folder = tmp_path_factory.mktemp("hasty")
    limits = {**ONE_ADDRESS, "read_timeout": timedelta(seconds=TIMEOUT)}
    with running(folder, f"sqlite:///{folder / 'authz.db'}", limits=limits) as made:
        yield made


def ended_in_time(began):
    """After the timeout and not much later, on a machine that does other things as well."""
    return TIMEOUT * 0.8 < time.monotonic() - began < TIMEOUT + 4


def test_a_silent_connection_is_ended(hasty):
    began = time.monotonic()
    with wire(hasty.port) as connection:
        assert connection.read() == b""
    assert ended_in_time(began)


@pytest.mark.parametrize(
    ("first", "piece"),
    [
        (b"", b"\r\n"),
        (b"GET /", b"X"),
        (b"GET / HTTP/1.1\r\nHost: x\r\n", b"X"),
        (POST + b"Content-Length: 9\r\n", b"X"),
    ],
    ids=["nothing", "line", "headers", "post"],
)
def test_a_head_that_drips_is_ended(hasty, first, piece):
    """Slow loris: each byte comes soon after the last, and the end never."""
    began = time.monotonic()
    with wire(hasty.port) as connection:
        connection.send(first)
        assert connection.drip(itertools.repeat(piece, 1000), 0.02) < 300
    assert ended_in_time(began)


@pytest.mark.parametrize(
    "head",
    [POST + b"Content-Length: 5000\r\n\r\n", POST + b"Transfer-Encoding: chunked\r\n\r\n"],
    ids=["length", "chunked"],
)
def test_a_body_that_drips_is_ended(hasty, head):
    began = time.monotonic()
    piece = b"a" if b"Length" in head else b"1\r\na\r\n"
    with wire(hasty.port) as connection:
        connection.send(head)
        assert connection.drip(itertools.repeat(piece, 1000), 0.02) < 300
    assert ended_in_time(began)


def test_a_body_that_nobody_reads_is_ended_too(hasty):
    """The answer has left, the sender goes on: uvicorn would let it."""
    with wire(hasty.port) as connection:
        connection.send(b"GET /health HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n")
        assert connection.read_head().startswith(b"HTTP/1.1 ")
        assert connection.drip(itertools.repeat(b"a", 1000), 0.02) < 300


def test_a_second_request_has_its_own_time_and_limit(hasty):
    """A connection that was honest once may not be slow afterwards; one that is honest stays open past the timeout."""
    request = POST + b"Content-Length: 1\r\n\r\na"
    with wire(hasty.port) as connection:
        for _ in range(4):
            connection.send(request)
            assert connection.read_head().startswith(b"HTTP/1.1 401")
            time.sleep(TIMEOUT * 0.6)
        began = time.monotonic()
        connection.send(b"POST /token HTTP/1.1\r\n")
        assert connection.read() == b""
        assert ended_in_time(began)
    with wire(hasty.port) as connection:
        connection.send(request)
        connection.read_head()
        began = time.monotonic()
        assert connection.drip(itertools.repeat(b"\r\n", 1000), 0.02) < 300
        assert ended_in_time(began)


def test_an_announced_body_is_refused_unread(hasty):
    """ATK-63: 413 early; not one byte of the hundred megabytes was sent."""
    with wire(hasty.port) as connection:
        connection.send(POST + b"Content-Length: 104857600\r\n\r\n")
        answer = connection.read()
    assert answer.startswith(b"HTTP/1.1 413")
    assert b"connection: close" in answer.lower()
    assert b'"error":"invalid_request"' in answer


def test_a_hundred_megabytes_are_not_taken(hasty):
    with wire(hasty.port) as connection:
        connection.send(POST + b"Content-Length: 104857600\r\n\r\n")
        sent = sum(connection.send(b"a" * 1_000_000) for _ in range(100))
    assert sent < 20


def test_chunks_without_end_are_refused(hasty):
    with wire(hasty.port) as connection:
        connection.send(POST + b"Transfer-Encoding: chunked\r\n\r\n")
        chunk = b"2000\r\n" + b"a" * 8192 + b"\r\n"
        sent = sum(connection.send(chunk) for _ in range(1000))
        assert sent < 500
        assert b"413" in connection.read()[:40] or sent


def test_a_body_of_single_bytes_is_refused(hasty):
    """Each chunk costs a call: a thousand of them are no form."""
    with wire(hasty.port) as connection:
        connection.send(POST + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\na\r\n" * 1025)
        assert connection.read().startswith(b"HTTP/1.1 400")


@pytest.mark.parametrize(
    "head",
    [
        b"GET /?" + b"q" * 300_000,
        b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 300_000,
        b"GET / HTTP/1.1\r\nHost: x\r\n" + b"a: b\r\n" * 50_000,
        b"GET / HTTP/1.1\r\nHost: x\r\nCookie: " + b"a=b; " * 60_000,
    ],
    ids=["url", "value", "number", "cookies"],
)
def test_a_head_has_a_size(hasty, head):
    """uvicorn would gather all of it, and join a URL as often as a piece arrives."""
    with wire(hasty.port) as connection:
        connection.send(head)
        assert connection.read().startswith((b"HTTP/1.1 431", b"HTTP/1.1 400")) or not head


def test_a_large_honest_request_arrives_in_one_piece(hasty):
    """A query of 9 KB and a body of 60 KB, sent at once: within every limit."""
    body = b"grant_type=x&client_id=y&" + b"z" * 100
    body += b"&a=" + b"a" * 8000 + b"&b=" + b"b" * 8000 + b"&c=" + b"c" * 8000
    with wire(hasty.port) as connection:
        head = b"POST /token?" + b"q" * 9000 + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        connection.send(head + FORM + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        answer = connection.read()
    assert answer.startswith(b"HTTP/1.1 401")


def test_a_hundred_thousand_fields_are_refused(hasty):
    """ATK-63: within the size, by their number; beyond it, by the size."""
    for body, status in ((b"&" * 60_000, b"400"), (b"a=1&" * 100_000, b"413")):
        with wire(hasty.port) as connection:
            connection.send(POST + b"Content-Length: %d\r\n\r\n" % len(body) + body)
            assert connection.read_head().startswith(b"HTTP/1.1 " + status)


def test_who_hangs_up_in_the_middle_is_no_failure_of_ours(hasty):
    from tests.support.harness import LOG

    mark = len(LOG.events)
    with wire(hasty.port) as connection:
        connection.send(POST + b"Content-Length: 100\r\n\r\nabc")
    until = time.monotonic() + 5
    while time.monotonic() < until and len(LOG.events) == mark:
        time.sleep(0.01)
    assert [event["reason"] for event in LOG.events[mark:]] == ["body_incomplete"]
