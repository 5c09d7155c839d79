import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from authz.net import Documents, NetworkError, Profile
from authz.net.documents import COOL_DOWN, REFRESH_INTERVAL
from authz.transactions import marked_open
from tests.support.web import Reply

PUBLIC, OPERATOR = Profile.PUBLIC, Profile.OPERATOR
HOST = "client.example"
FLOOR, CEILING = timedelta(minutes=5), timedelta(hours=24)
START = datetime(2026, 1, 1, tzinfo=UTC)


class Wall:
    """A clock that tests turn."""

    now = START

    def __call__(self):
        return self.now


def name_of(found):
    return found["name"]


def keys_of(found):
    return list(found["keys"])


class Reader:
    """A cache in front of a FakeWeb."""

    def __init__(self, web, **settings):
        self.web, self.wall = web, Wall()
        self.network = web.network()
        self.documents = Documents(self.network, self.wall, **settings)
        self.url = web.url(HOST, "/c")

    async def load(self, url=None, *, how="load", parse=name_of, max_bytes=5000, profile=PUBLIC):
        return await getattr(self.documents, how)(
            url or self.url,
            profile=profile,
            max_bytes=max_bytes,
            floor=FLOOR,
            ceiling=CEILING,
            parse=parse,
        )

    def __call__(self, url=None, **wishes):
        return asyncio.run(self.load(url, **wishes))

    def refused(self, url=None, **wishes):
        with pytest.raises(NetworkError) as failure:
            self(url, **wishes)
        return failure.value.reason

    def pass_time(self, **much):
        self.wall.now += timedelta(**much)


@pytest.fixture
def read(web):
    reader = Reader(web)
    yield reader
    reader.network.close()


def test_a_document_is_fetched_once_while_it_is_fresh(web, read):
    web.serve(HOST, Reply.json({"name": "a"}, cache_control="max-age=600"))
    first, second = read(), read()
    assert first.value == second.value == "a"
    assert (first.fetched_at, first.expires_at) == (START, START + timedelta(seconds=600))
    assert web.count(HOST) == 1
    read.pass_time(seconds=600)
    assert read().fetched_at == START + timedelta(seconds=600)
    assert web.count(HOST) == 2


# CIMD-18


@pytest.mark.parametrize(
    ("cache_control", "lifetime"),
    [
        (None, FLOOR),
        ("", FLOOR),
        ("max-age=0", FLOOR),
        ("max-age=60", FLOOR),
        ("max-age=900", timedelta(seconds=900)),
        ('public, Max-Age="900"', timedelta(seconds=900)),
        ("max-age=900, max-age=1200", timedelta(seconds=900)),
        ("max-age=315360000", CEILING),
        ("max-age=" + "9" * 5000, CEILING),
        ("max-age=-1", FLOOR),
        ("max-age=soon", FLOOR),
        ("s-maxage=900", FLOOR),
        ("no-store", FLOOR),
        ("no-store, max-age=900", FLOOR),
        ("max-age=900, no-cache", FLOOR),
        ("immutable", FLOOR),
    ],
)
def test_freshness_stays_between_floor_and_ceiling(web, read, cache_control, lifetime):
    headers = {} if cache_control is None else {"cache_control": cache_control}
    web.serve(HOST, Reply.json({"name": "a"}, **headers))
    assert read().expires_at - START == lifetime


# CIMD-05, CIMD-06


@pytest.mark.parametrize("status", [201, 204, 206, 301, 304, 404, 500])
def test_only_200_counts(web, read, status):
    web.serve(HOST, Reply.json({"name": "a"}, status=status))
    assert read.refused() == "status"


@pytest.mark.parametrize(
    "kind",
    [
        "application/json",
        "Application/JSON; charset=utf-8",
        "application/jwk-set+json",
        "application/client-metadata+json;x=y",
    ],
)
def test_json_like_types_are_read(web, read, kind):
    web.serve(HOST, Reply(200, b'{"name": "a"}', {"Content-Type": kind}))
    assert read().value == "a"


@pytest.mark.parametrize(
    "kind", ["text/html", "text/json", "application/jsonp", "application/x+json+x", "", "json"]
)
def test_other_types_are_not(web, read, kind):
    web.serve(HOST, Reply(200, b'{"name": "a"}', {"Content-Type": kind}))
    assert read.refused() == "content_type"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b'"a"',
        b"null",
        b'{"name": "a"} {}',
        b'\xef\xbb\xbf{"name": "a"}',
        b'{"name": "\xff"}',
        '{"name": "a"}'.encode("utf-16"),
        b'{"name": "a", "name": "b"}',
        b'{"name": "a", "x": {"y": 1, "y": 1}}',
        b'{"name": "a", "n\\u0061me": "b"}',
        b'{"name": NaN}',
        b'{"name": -Infinity}',
        b'{"name": 1e999}',
        b'{"name": ' + b"9" * 4400 + b"}",
        b'{"name": "\\u0000"}',
        b'{"name": "\\ud800"}',
        b'{"\\udfff": 1}',
        b'{"name": ' + b"[" * 30 + b"]" * 30 + b"}",
        b'{"a": "\\"' + b'{"a":[' * 30 + b"}",
        b'{"name": "' + b'\\"' * 2000,
        b'{"name": "\\',
        b'{"name": ' + b"[" * 2400 + b"]" * 2400 + b"}",
    ],
)
def test_json_with_two_readings_is_refused(web, read, body):
    web.serve(HOST, Reply(200, body, {"Content-Type": "application/json"}))
    assert read.refused() == "json"


def test_brackets_in_strings_have_no_depth(web, read):
    web.serve(HOST, Reply.json({"name": "[" * 99 + '"' + "{" * 99 + "\\\\"}))
    assert read().value.startswith("[[")


def test_a_deep_enough_document_is_read(web, read):
    web.serve(HOST, Reply.json({"name": [[[[{"a": "\u20ac \U0001f600"}]]]]}))
    assert read().value == [[[[{"a": "\u20ac \U0001f600"}]]]]


# CIMD-19, ATK-48


def test_a_failure_is_not_an_answer_but_delays_the_next_attempt(web, read):
    web.serve(HOST, Reply(500))
    assert read.refused() == "status"
    web.serve(HOST, Reply.json({"name": "mended"}))
    assert read.refused() == "cooling_down"
    assert web.count(HOST) == 1
    read.pass_time(seconds=COOL_DOWN.seconds)
    assert read().value == "mended"


def test_a_refused_document_is_asked_for_again_after_the_cool_down(web, read):
    web.serve(HOST, Reply.json({"nom": "a"}))
    for _ in range(3):
        with pytest.raises(KeyError):
            read()
    assert web.count(HOST) == 1
    web.serve(HOST, Reply.json({"name": "mended"}))
    read.pass_time(seconds=COOL_DOWN.seconds)
    assert read().value == "mended"


def test_refusing_a_document_as_one_kind_does_not_keep_it_from_another(web, read):
    web.serve(HOST, Reply.json({"name": "a"}))
    with pytest.raises(KeyError):
        read(parse=keys_of)
    assert read(max_bytes=100).value == "a"
    assert read.refused(max_bytes=5) == "too_large"
    assert web.count(HOST) == 1


def test_a_limit_of_one_caller_does_not_delay_another(web, read):
    web.serve(HOST, Reply.json({"name": "a"}))
    assert read.refused(max_bytes=5) == "too_large"
    assert read.refused(max_bytes=5) == "cooling_down"
    assert read().value == "a"


def test_one_url_read_as_two_kinds_never_mixes_their_values(web, read):
    web.serve(HOST, Reply.json({"name": "a", "keys": {"k": 1}}))
    assert [read().value, read(parse=keys_of).value, read().value] == ["a", ["k"], "a"]
    assert web.count(HOST) == 1


def test_a_value_is_parsed_once_for_the_same_function(web, read):
    web.serve(HOST, Reply.json({"name": "a"}))
    calls = []

    def parse(found):
        calls.append(found)
        return found["name"]

    assert [read(parse=parse).value for _ in range(3)] == ["a"] * 3
    assert len(calls) == 1


def test_an_expired_document_does_not_outlive_its_host(web, read):
    web.serve(HOST, Reply.json({"name": "a"}))
    read()
    web.serve(HOST, Reply(503))
    read.pass_time(minutes=6)
    assert read.refused() == "status"


# Single flight


def test_concurrent_callers_share_one_fetch(web, read):
    web.serve(HOST, replace(Reply.json({"name": "a"}), delay=0.2))

    async def crowd():
        return await asyncio.gather(*(read.load() for _ in range(50)))

    assert {document.value for document in asyncio.run(crowd())} == {"a"}
    assert web.count(HOST) == 1


def test_concurrent_callers_share_one_failure(web, read):
    web.serve(HOST, Reply(500, delay=0.2))

    async def crowd():
        return await asyncio.gather(*(read.load() for _ in range(5)), return_exceptions=True)

    assert [failure.reason for failure in asyncio.run(crowd())] == ["status"] * 5
    assert web.count(HOST) == 1


def test_a_caller_who_gives_up_does_not_take_the_document_from_others(web, read):
    web.serve(HOST, replace(Reply.json({"name": "a"}), delay=0.2))

    async def crowd():
        first, second = (asyncio.create_task(read.load()) for _ in range(2))
        await asyncio.sleep(0.05)
        first.cancel()
        return await asyncio.gather(first, second, return_exceptions=True)

    cancelled, document = asyncio.run(crowd())
    assert isinstance(cancelled, asyncio.CancelledError)
    assert document.value == "a"
    assert web.count(HOST) == 1


def test_nobody_waits_for_a_document_inside_a_transaction(web, read):
    web.serve(HOST, Reply.json({"name": "a"}))
    with marked_open(), pytest.raises(RuntimeError, match="inside a database transaction"):
        read()
    read()
    with marked_open():
        assert read().value == "a"


# ATK-49, ATK-50


def test_unknown_keys_cause_one_fetch_per_interval(web, read):
    web.serve(HOST, Reply.json({"name": "a"}, cache_control="max-age=3600"))
    read(how="load")
    for _ in range(1000):
        read(how="refresh")
    assert web.count(HOST) == 1
    web.serve(HOST, Reply.json({"name": "rotated"}))
    read.pass_time(seconds=REFRESH_INTERVAL.seconds)
    assert read(how="refresh").value == "rotated"
    assert read().value == "rotated"
    assert web.count(HOST) == 2


@pytest.mark.parametrize("broken", [Reply(500), Reply.json({"nom": "a"})])
def test_a_failing_refresh_costs_one_fetch_and_keeps_the_document(web, read, broken):
    web.serve(HOST, Reply.json({"name": "a"}))
    read()
    web.serve(HOST, broken)
    read.pass_time(seconds=REFRESH_INTERVAL.seconds)
    for _ in range(3):
        with pytest.raises((NetworkError, KeyError)):
            read(how="refresh")
    assert web.count(HOST) == 2
    assert read().value == "a"


# Bounds


def test_the_least_used_document_leaves_first(web):
    read = Reader(web, max_entries=2)
    web.serve(HOST, lambda seen: Reply.json({"name": seen.target}))
    one, two, three = (web.url(HOST, path) for path in ("/1", "/2", "/3"))
    for url in (one, two, one, three, one):
        read(url)
    assert web.count(HOST) == 3
    read(two)
    assert web.count(HOST) == 4
    read.network.close()


def test_strangers_do_not_push_out_what_operators_configured(web):
    read = Reader(web, max_entries=1)
    web.serve(HOST, lambda seen: Reply.json({"name": seen.target}))
    read(profile=OPERATOR)
    for n in range(5):
        read(web.url(HOST, f"/{n}"))
    assert web.count(HOST) == 6
    read(profile=OPERATOR)
    assert web.count(HOST) == 6
    read.network.close()
