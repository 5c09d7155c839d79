import asyncio
import gzip
import socket
import threading
import time
from datetime import timedelta

import pytest

from authz.errors import ConfigurationError
from authz.net import NetworkConfig, NetworkError, Profile
from authz.net.dial import resolve_by_system
from authz.transactions import marked_open
from tests.support.web import FakeWeb, Reply

PUBLIC, OPERATOR = Profile.PUBLIC, Profile.OPERATOR
HOST = "client.example"


@pytest.fixture
def fetch(web):
    """Fetch once: a URL, and settings of the network after a bar."""

    def run(url, *, profile=PUBLIC, max_bytes=5000, network=None, **settings):
        door = network or web.network(**settings)
        try:
            return asyncio.run(
                door.fetch(url, profile=profile, max_bytes=max_bytes, timeout=timedelta(seconds=3))
            )
        finally:
            door.close()

    return run


@pytest.fixture
def refused(fetch):
    def run(url, **wishes):
        with pytest.raises(NetworkError) as failure:
            fetch(url, **wishes)
        return failure.value.reason

    return run


def test_an_answer_is_returned_as_it_came(web, fetch):
    web.serve(HOST, Reply(404, b"gone", {"X-A": "1", "x-a": "2"}))
    answer = fetch(web.url(HOST, "/a%2fb?q=%7e"))
    assert (answer.status, answer.body, answer.headers["x-a"]) == (404, b"gone", "1, 2")
    (seen,) = web.requests
    assert (seen.method, seen.target) == ("GET", "/a%2fb?q=%7e")
    assert seen.headers["host"] == f"{HOST}:{web.port}"
    assert seen.headers["accept"] == "application/json"
    assert seen.headers["accept-encoding"] == "identity"
    assert "cookie" not in seen.headers


def test_a_body_is_posted(web):
    web.serve(HOST, lambda seen: Reply(200, seen.body))

    async def post():
        return await web.network().fetch(
            web.url(HOST, "/token"),
            profile=OPERATOR,
            max_bytes=100,
            method="POST",
            headers={"Content-Type": "application/x-www-form-urlencoded"},
            content=b"a=1",
        )

    assert asyncio.run(post()).body == b"a=1"
    assert web.requests[0].headers["content-type"] == "application/x-www-form-urlencoded"


# Addresses: CIMD-14, ATK-47


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("https://127.0.0.1/c", "address_refused"),
        ("https://[::1]/c", "address_refused"),
        ("https://[::ffff:127.0.0.1]/c", "address_refused"),
        ("https://[64:ff9b::7f00:1]/c", "address_refused"),
        ("https://[fd00:ec2::254]/c", "address_refused"),
        ("https://169.254.169.254/latest/meta-data", "address_refused"),
        ("https://10.0.0.1/c", "address_refused"),
        ("https://100.64.0.1/c", "address_refused"),
        ("https://2130706433/c", "bad_url"),
        ("https://0x7f.1/c", "bad_url"),
        ("https://017700000001/c", "bad_url"),
        ("https://127.1/c", "bad_url"),
        ("https://localhost./c", "bad_url"),
        ("https://[fe80::1%25eth0]/c", "bad_url"),
        ("https://client.example\\@127.0.0.1/c", "bad_url"),
        ("https://user@client.example/c", "bad_url"),
        ("http://client.example/c", "not_https"),
        ("http://localhost/c", "not_https"),
        ("ftp://client.example/c", "not_https"),
        ("file:///etc/passwd", "not_https"),
        ("gopher://client.example:70/x", "not_https"),
        ("https://client.example:22/c", "port_refused"),
        ("https://client.example:80/c", "port_refused"),
        ("https://client.example:1023/c", "port_refused"),
    ],
)
def test_what_is_refused_before_anything_is_resolved(web, refused, url, reason):
    assert refused(url, allow_loopback=False) == reason
    assert web.resolutions == []


@pytest.mark.parametrize(
    "answers",
    [
        ["127.0.0.1"],
        ["::1"],
        ["10.0.0.1"],
        ["169.254.169.254"],
        ["fe80::1%eth0"],
        ["::ffff:10.0.0.1"],
        ["64:ff9b::a00:1"],
        ["8.8.8.8", "10.0.0.1"],
        ["2606:4700::1111", "::1", "8.8.8.8"],
    ],
)
def test_one_bad_answer_refuses_the_name(refused, answers):
    url = "https://client.example/c"
    assert refused(url, allow_loopback=False, resolve=lambda _h, _p: answers) == "address_refused"


def test_an_operators_host_may_be_private_but_never_metadata(refused):
    url = "https://idp.internal/c"
    wishes = {"profile": OPERATOR, "allow_loopback": False}
    assert refused(url, resolve=lambda _h, _p: ["169.254.169.254"], **wishes) == "address_refused"
    assert refused("https://169.254.169.254/", **wishes) == "address_refused"
    assert refused("https://127.0.0.1/", **wishes) == "address_refused"


def test_the_systems_resolver_is_vetted_too(refused):
    url = "https://localhost:8443/c"
    assert refused(url, allow_loopback=False, resolve=resolve_by_system) == "address_refused"


def test_a_name_that_changes_its_answer_is_resolved_once(web, fetch):
    answers = [["127.0.0.1"], ["169.254.169.254"]]
    web.serve(HOST, Reply(200, b"{}"))
    asked = []

    def rebinding(host, _):
        asked.append(host)
        return answers[min(len(asked), len(answers)) - 1]

    assert fetch(web.url(HOST), resolve=rebinding).status == 200
    assert asked == [HOST]


def test_a_name_that_turns_to_loopback_is_refused_on_the_next_fetch(web):
    answers = iter([["8.8.8.8", "127.0.0.1"], ["127.0.0.1"]])
    network = web.network(allow_loopback=False, resolve=lambda _h, _p: next(answers))
    for _ in range(2):
        with pytest.raises(NetworkError) as failure:
            asyncio.run(network.fetch("https://a.example/", profile=PUBLIC, max_bytes=1))
        assert failure.value.reason == "address_refused"
    network.close()


def test_the_next_address_is_tried_when_one_is_silent(web, fetch):
    web.serve(HOST, Reply(200, b"{}"))
    assert fetch(web.url(HOST), resolve=lambda _h, _p: ["127.0.0.9", "127.0.0.1"]).status == 200


@pytest.mark.parametrize("failure", [socket.gaierror(-2, "no name"), UnicodeError("label")])
def test_a_name_without_an_address(refused, failure):
    def broken(_host, _port):
        raise failure

    assert refused("https://client.example/", resolve=broken) == "dns"
    assert refused("https://client.example/", resolve=lambda _h, _p: []) == "dns"


def test_a_closed_port(web, refused):
    closed = socket.create_server(("127.0.0.1", 0))
    port = closed.getsockname()[1]
    closed.close()
    assert refused(f"https://{HOST}:{port}/", resolve=lambda _h, _p: ["127.0.0.1"]) == "connect"


def test_a_host_that_nobody_serves_fails_the_test(web, fetch):
    with pytest.raises(AssertionError, match=r"nothing in this test serves typo\.example"):
        fetch(web.url("typo.example"))
    with pytest.raises(AssertionError, match=r"typo\.example"):
        web.close()
    web._unexpected.clear()


# TLS


def test_a_certificate_for_another_name_is_refused(web, refused):
    web.serve(HOST, Reply(200), certificate_for="other.example")
    assert refused(web.url(HOST)) == "tls"
    assert web.requests == []


def test_an_unknown_authority_is_refused(web, refused):
    web.serve(HOST, Reply(200))
    assert refused(web.url(HOST), ca_file=None) == "tls"


def test_a_literal_address_needs_a_certificate_for_it(web, fetch):
    web.serve("127.0.0.1", Reply(200, b"x"))
    assert fetch(web.url("127.0.0.1")).body == b"x"
    assert web.resolutions == []


def test_http_is_for_loopback_in_development():
    with FakeWeb(tls=False) as web:
        web.serve("localhost", Reply(200, b"x"))
        network = web.network()
        url = web.url("localhost")
        assert asyncio.run(network.fetch(url, profile=PUBLIC, max_bytes=9)).body == b"x"
        with pytest.raises(NetworkError) as failure:
            asyncio.run(network.fetch(web.url(HOST), profile=PUBLIC, max_bytes=9))
        assert failure.value.reason == "not_https"
        network.close()


# Answers: CIMD-05, CIMD-17


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_only_its_status(web, fetch, status):
    web.serve(HOST, Reply(status, b"", {"Location": "https://127.0.0.1/secret"}))
    assert fetch(web.url(HOST)).status == status
    assert len(web.requests) == 1


def test_cookies_are_not_kept(web, fetch):
    web.serve(HOST, Reply(200, b"", {"Set-Cookie": "a=b"}))
    network = web.network()
    fetch(web.url(HOST), network=network)
    assert "cookie" not in web.requests[0].headers


def test_the_size_limit_is_exact(web, fetch, refused):
    web.serve(HOST, Reply(200, b"x" * 100))
    assert len(fetch(web.url(HOST), max_bytes=100).body) == 100
    assert refused(web.url(HOST), max_bytes=99) == "too_large"


def test_an_endless_body_is_cut_while_reading(web, refused):
    web.serve(HOST, Reply(200, endless=True))
    assert refused(web.url(HOST)) == "too_large"


@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate, gzip"])
def test_a_compressed_answer_is_refused_unread(web, refused, encoding):
    bomb = gzip.compress(b"\0" * 1_000_000)
    web.serve(HOST, Reply(200, bomb, {"Content-Encoding": encoding}))
    assert refused(web.url(HOST)) == "encoded"


def test_too_many_headers_are_refused(web, refused):
    web.serve(HOST, Reply(200, b"", {f"X-{n}": "y" * 1000 for n in range(20)}))
    assert refused(web.url(HOST)) == "headers_too_large"
    web.serve(HOST, Reply(200, b"", {"X": "y" * 200_000}))
    assert refused(web.url(HOST)) == "protocol"


def test_what_is_not_http_is_refused(web, refused):
    web.serve(HOST, Reply(200, b"x", {"Content-Length": "nonsense"}))
    assert refused(web.url(HOST)) == "protocol"


@pytest.mark.parametrize("reply", [Reply(200, b"x" * 100, drip=0.02), Reply(200, delay=30)])
def test_a_slow_host_meets_the_total_deadline(web, reply):
    web.serve(HOST, reply)
    network = web.network()
    began = time.monotonic()
    with pytest.raises(NetworkError) as failure:
        asyncio.run(
            network.fetch(
                web.url(HOST), profile=PUBLIC, max_bytes=500, timeout=timedelta(seconds=0.3)
            )
        )
    assert failure.value.reason == "timeout"
    assert time.monotonic() - began < 1.5
    network.close()


def test_a_host_that_never_shakes_hands_keeps_none_of_our_sockets(web):
    silent = socket.create_server(("127.0.0.1", 0))
    network = web.network(resolve=lambda _h, _p: ["127.0.0.1"])
    url = f"https://{HOST}:{silent.getsockname()[1]}/"

    async def ask():
        with pytest.raises(NetworkError) as failure:
            await network.fetch(url, profile=PUBLIC, max_bytes=9, timeout=timedelta(seconds=0.2))
        await asyncio.sleep(0.05)
        connection, _ = silent.accept()
        with connection:
            connection.settimeout(0.5)
            while connection.recv(65536):
                pass
        return failure.value.reason

    assert asyncio.run(ask()) == "timeout"
    silent.close()
    network.close()


def test_a_failure_never_quotes_the_answer(web, fetch):
    web.serve(HOST, Reply(200, b"hunter2" * 100))
    with pytest.raises(NetworkError) as failure:
        fetch(web.url(HOST), max_bytes=50)
    assert "hunter2" not in str(failure.value)
    assert HOST in str(failure.value)


# The environment and the operator's proxy: CIMD-16


def test_proxies_of_the_environment_are_ignored(web, fetch, monkeypatch):
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
        monkeypatch.setenv(name.lower(), "http://127.0.0.1:9")
    web.serve(HOST, Reply(200, b"{}"))
    assert fetch(web.url(HOST)).status == 200


def test_the_operators_proxy_is_asked_by_name(web, refused):
    with FakeWeb(tls=False) as proxy:
        proxy.serve(HOST, Reply(403))
        at = f"http://us%40er:pw@127.0.0.1:{proxy.port}"
        assert refused(f"https://{HOST}/c", proxy=at) == "proxy"
        (seen,) = proxy.requests
        assert (seen.method, seen.target) == ("CONNECT", f"{HOST}:443")
        assert seen.headers["proxy-authorization"] == "Basic dXNAZXI6cHc="
        assert web.resolutions == []
        assert refused("https://10.0.0.1/c", proxy=at) == "address_refused"
        assert len(proxy.requests) == 1


def test_a_proxy_of_another_kind_is_a_configuration_error():
    with pytest.raises(ConfigurationError) as refused:
        NetworkConfig(proxy="socks5://user:hunter2@127.0.0.1:1080")
    assert "hunter2" not in str(refused.value)


# Limits: CIMD-17, ATK-48


def test_a_slow_host_keeps_its_own_queue(web):
    web.serve("slow.example", Reply(200, delay=30))
    web.serve(HOST, Reply(200, b"{}"))
    network = web.network(fetches_at_once=4, fetches_at_once_per_host=2)

    async def storm():
        slow = [
            asyncio.create_task(
                network.fetch(web.url("slow.example", f"/{n}"), profile=PUBLIC, max_bytes=9)
            )
            for n in range(20)
        ]
        while web.count("slow.example") < 2:  # noqa: ASYNC110 - the server is another thread
            await asyncio.sleep(0.01)
        answer = await network.fetch(web.url(HOST), profile=PUBLIC, max_bytes=9)
        under_way = (sum(not task.done() for task in slow), web.count("slow.example"))
        for task in slow:
            task.cancel()
        await asyncio.gather(*slow, return_exceptions=True)
        return answer, under_way

    answer, under_way = asyncio.run(storm())
    assert answer.status == 200
    # Two are asked, fourteen wait, and four were refused: a slow host has a short queue of its own (ATK-48).
    assert under_way == (16, 2)
    network.close()


def test_a_crowd_is_refused_rather_than_queued_without_end(web):
    web.serve(HOST, Reply(200, delay=30))
    network = web.network(fetches_at_once=1)

    async def crowd():
        fetches = [
            network.fetch(
                web.url(HOST), profile=PUBLIC, max_bytes=9, timeout=timedelta(seconds=0.3)
            )
            for _ in range(12)
        ]
        return await asyncio.gather(*fetches, return_exceptions=True)

    reasons = sorted(failure.reason for failure in asyncio.run(crowd()))
    assert reasons == ["busy"] * 4 + ["timeout"] * 8
    network.close()


def test_a_host_has_a_budget_per_minute(web):
    web.serve(HOST, Reply(200, b"{}"))
    web.serve("other.example", Reply(200, b"{}"))
    network = web.network(public_fetches_per_host_per_minute=2)

    async def ask(host, profile=PUBLIC):
        return (await network.fetch(web.url(host), profile=profile, max_bytes=9)).status

    async def spree():
        assert [await ask(HOST), await ask(HOST)] == [200, 200]
        with pytest.raises(NetworkError) as failure:
            await ask(HOST.upper())
        assert failure.value.reason == "over_budget"
        assert await ask("other.example") == 200
        assert await ask(HOST, OPERATOR) == 200

    asyncio.run(spree())
    assert web.count(HOST) == 3
    network.close()


# Transactions and threads: architecture D3


def test_no_request_leaves_inside_a_transaction(web, fetch):
    web.serve(HOST, Reply(200))
    with marked_open(), pytest.raises(RuntimeError, match="inside a database transaction"):
        fetch(web.url(HOST))
    assert web.requests == []


def test_a_thread_fetches_through_the_servers_loop(web):
    web.serve(HOST, Reply(200, b"{}"))
    network = web.network()
    loop = asyncio.new_event_loop()
    server = threading.Thread(target=loop.run_forever)
    server.start()
    network.start(loop)
    work = network.fetch(web.url(HOST), profile=PUBLIC, max_bytes=9)
    assert network.run_blocking(work).status == 200
    loop.call_soon_threadsafe(loop.stop)
    server.join()
    loop.close()
    network.close()


def test_the_command_line_fetches_without_a_loop(web):
    web.serve(HOST, Reply(200, b"{}"))
    network = web.network()
    for _ in range(2):
        work = network.fetch(web.url(HOST), profile=PUBLIC, max_bytes=9)
        assert network.run_blocking(work).status == 200
    network.close()
