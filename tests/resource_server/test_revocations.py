"""The feed as a server follows it: what was ended is refused, and without fresh news everything is (item 5, E10)."""

import asyncio
import base64
import hashlib
import time

import pytest

from authz.resource_server import (
    InvalidToken,
    RemoteKeys,
    RevocationFeed,
    Revocations,
    RevocationsUnavailable,
    TokenVerifier,
    protect,
    revocations,
)
from authz.resource_server.revoked import RevokedTokens

pytestmark = pytest.mark.anyio
RESOURCE = "https://mcp.example/mcp"


def digest(value):
    return hashlib.sha256(value.encode()).hexdigest()


def settings(**changes):
    values = {"client_id": "mcp server", "client_secret": "cls_s:cr%t", **changes}
    return Revocations(**values)


class Following:
    """A verifier that follows the feed of `issuer`."""

    def __init__(self, issuer, ticks=time.monotonic, **changes):
        self.issuer = issuer
        keys = RemoteKeys(issuer.url)
        self.verifier = TokenVerifier(keys, resource=RESOURCE, revocations=settings(**changes))
        self.feed = self.verifier.feed = RevocationFeed(
            keys, settings(**changes), clock=time.time, ticks=ticks
        )

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        await self.feed.stop()

    async def refusal(self, **claims):
        """Why a token is refused; None if it is good."""
        try:
            await self.verifier.verify(self.issuer.token(**claims))
        except (InvalidToken, RevocationsUnavailable) as refused:
            return refused.reason
        return None

    async def until(self, expected, **claims):
        """The same, once the next answers have come."""
        for _ in range(200):
            found = await self.refusal(**claims)
            if found == expected:
                break
            await asyncio.sleep(0.02)
        return found


@pytest.fixture
def feed(issuer):
    return issuer.feed.open()


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(revocations, "FIRST_ANSWER", 0.4)
    monkeypatch.setattr(revocations, "RETRIES", (0.02,))


@pytest.mark.parametrize(
    ("entry", "dead", "alive"),
    [
        ({"grant_id": "g1"}, {"grant_id": "g1"}, {"grant_id": "g2"}),
        ({"jti": "j7"}, {"jti": "j7"}, {"jti": "j8"}),
        (
            {"claim": "client_id", "sha256": digest("cli"), "before_version": 7},
            {"policy_version": 6},
            {"policy_version": 7},
        ),
        (
            {"claim": "client_id", "sha256": digest("cli"), "before_version": 7},
            {},
            {"client_id": "other"},
        ),
        (
            {"claim": "aud", "sha256": digest(RESOURCE), "before_version": 7},
            {"aud": [RESOURCE], "policy_version": True},
            {"policy_version": 8},
        ),
        (
            {"claim": "connection", "sha256": digest("corp"), "before_version": 7},
            {"connection": "corp", "policy_version": "9"},
            {"connection": ["other"], "policy_version": 1},
        ),
    ],
)
async def test_what_the_feed_names_is_dead(issuer, feed, entry, dead, alive):
    async with Following(issuer) as following:
        assert await following.refusal(**dead) is None
        feed.add(**entry)
        assert await following.until("revoked", **dead) == "revoked"
        assert await following.refusal(**alive) is None


async def test_what_ended_before_the_start_is_known_with_the_first_answer(issuer, feed):
    feed.at_once = 2
    for n in range(5):
        feed.add(grant_id=f"g{n}")
    async with Following(issuer) as following:
        assert [await following.refusal(grant_id=f"g{n}") for n in range(6)] == ["revoked"] * 5 + [
            None
        ]


async def test_it_shows_who_it_is_in_the_header_and_goes_on_where_it_was(issuer, feed):
    """RFC 6749 section 2.3.1: both parts are form-encoded first."""
    feed.add(jti="x")
    async with Following(issuer) as following:
        assert await following.refusal() is None
        feed.add(jti="y")
        await following.until("revoked", jti="y")
    header, fields = feed.asked[0]
    assert base64.b64decode(header.removeprefix("Basic ")) == b"mcp+server:cls_s%3Acr%25t"
    assert fields == {"wait": "0"}
    assert feed.asked[1][1] == {"after": "1", "wait": "10"}


async def test_one_connection_whatever_the_number_of_calls(issuer, feed):
    async with Following(issuer) as following:
        assert set(await asyncio.gather(*[following.refusal() for _ in range(50)])) == {None}
        assert len(feed.asked) <= 2


# -- without news -----------------------------------------------------------------------------------------


async def test_before_the_first_answer_nobody_is_let_in(issuer, feed, impatient):
    feed.status = 500
    async with Following(issuer) as following:
        assert await following.refusal() == "feed_unread"
        feed.status = 200
        assert await following.until(None) is None


async def test_old_news_are_none_until_there_are_new_ones(issuer, feed, ticks, impatient):
    async with Following(issuer, ticks, max_staleness=3) as following:
        assert await following.refusal() is None
        feed.status = 503
        await asyncio.sleep(1.2)
        ticks.now += 3
        assert await following.refusal() is None
        ticks.now += 0.1
        assert await following.refusal() == "feed_stale"
        feed.status = 200
        assert await following.until(None) is None


async def test_an_answer_counts_from_when_it_was_asked_for(issuer, feed, ticks, impatient):
    """However long it was on the way, and whatever the server claims to have waited."""
    async with Following(issuer, ticks) as following:
        feed.changes = {"waited": 1000.0}
        assert await following.refusal() is None
        assert following.feed.staleness == 0


async def test_a_part_is_not_the_whole(issuer, feed, impatient):
    feed.changes = {"has_more": True}
    async with Following(issuer) as following:
        assert await following.refusal() == "feed_stale"


@pytest.mark.parametrize(
    "spoil",
    [
        {"changes": {"iss": "https://other.example"}},
        {"changes": {"aud": "somebody"}},
        {"changes": {"aud": ["mcp server"]}},
        {"changes": {"iat": 5}},
        {"changes": {"iat": True}},
        {"changes": {"iat": ...}},
        {"changes": {"entries": ...}},
        {"changes": {"entries": {}}},
        {"changes": {"entries": ["g1"]}},
        {"changes": {"entries": [{"n": 1, "exp": 5}]}},
        {"changes": {"entries": [{"n": 1, "exp": 5, "user": "u"}]}},
        {"changes": {"entries": [{"n": 1, "grant_id": "g"}]}},
        {"changes": {"entries": [{"n": 1, "exp": 1e300, "grant_id": "g"}]}},
        {"changes": {"entries": [{"n": 1, "exp": 5, "grant_id": ""}]}},
        {"changes": {"entries": [{"n": 1, "exp": 5, "claim": "aud", "sha256": "x"}]}},
        {
            "changes": {
                "entries": [{"n": 1, "exp": 5, "claim": "aud", "sha256": "0" * 64}],
            }
        },
        {"changes": {"upto": -1}},
        {"changes": {"upto": True}},
        {"changes": {"upto": ...}},
        {"changes": {"has_more": "no"}},
        {"changes": {"waited": -1}},
        {"changes": {"waited": ...}},
        {"header": {"typ": "at+jwt"}},
        {"header": {"typ": "token-introspection+jwt"}},
        {"header": {"kid": "unheard-of"}},
        {"header": {"alg": "none"}},
        {"header": {"jku": "https://evil.example/jwks"}},
        {"status": 401},
        {"status": 404},
        {"status": 302},
    ],
    ids=lambda spoil: str(next(iter(spoil.values())))[:60].replace("Ellipsis", "absent"),
)
async def test_an_answer_that_cannot_be_trusted_is_none(issuer, feed, impatient, spoil):
    """Also one with an entry that this version does not understand: it may be about any token."""
    for name, value in spoil.items():
        setattr(feed, name, value)
    async with Following(issuer) as following:
        assert await following.refusal() in ("feed_unread", "feed_stale")


async def test_another_key_signs_nothing(issuer, feed, forge, impatient):
    feed.key = forge.new_key("EC", "k1")
    async with Following(issuer) as following:
        assert await following.refusal() == "feed_unread"


@pytest.mark.parametrize("url", [None, 5, "http://127.0.0.1:1/feed", "https://other.example/feed"])
async def test_the_feed_is_at_the_issuers_own_origin(issuer, impatient, url):
    """The secret goes there."""
    issuer.metadata["revocation_feed_endpoint"] = url
    async with Following(issuer) as following:
        assert await following.refusal() == "feed_unread"
    assert issuer.feed.asked == []


async def test_a_token_that_is_no_good_learns_nothing_of_the_feed(issuer, feed, impatient):
    feed.status = 500
    async with Following(issuer) as following:
        assert await following.refusal(exp=5) == "expired"
        assert await following.refusal(aud="x") == "aud_mismatch"


# -- at the edge ------------------------------------------------------------------------------------------


async def test_callers_are_told_to_come_back(make_edge, issuer, feed, impatient):
    edge = make_edge()
    edge.app.verifier.feed = RevocationFeed(edge.app.verifier.keys, settings(), clock=time.time)
    feed.status = 500
    listing = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    answer = await edge.post(listing)
    assert answer.status_code == 503
    assert answer.headers["retry-after"]
    assert "www-authenticate" not in answer.headers
    assert edge.seen == []
    feed.status = 200
    for _ in range(100):
        answer = await edge.post(listing)
        if answer.status_code == 200:
            break
        await asyncio.sleep(0.02)
    assert answer.status_code == 200
    feed.add(grant_id="g1")
    token = issuer.token(grant_id="g1")
    for _ in range(100):
        answer = await edge.post(listing, token=token)
        if answer.status_code == 401:
            break
        await asyncio.sleep(0.02)
    assert answer.status_code == 401
    assert 'error="invalid_token"' in answer.headers["www-authenticate"]
    await edge.app.verifier.feed.stop()


async def test_the_feed_is_followed_as_long_as_the_app_lives(issuer, feed):
    """Read before the first request, and no longer than the last."""

    async def app(scope, receive, send):
        assert scope["type"] == "lifespan"
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})

    protected = protect(
        app, issuer=issuer.url, resource=RESOURCE, tools={"t": "s"}, revocations=settings()
    )
    down = asyncio.Event()
    turns = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])

    async def receive():
        message = next(turns)
        if message["type"] == "lifespan.shutdown":
            await down.wait()
        return message

    async def send(_):
        pass

    life = asyncio.create_task(protected({"type": "lifespan"}, receive, send))
    for _ in range(500):
        if protected.verifier.feed.staleness < 5:
            break
        await asyncio.sleep(0.02)
    assert protected.verifier.feed.staleness < 5
    down.set()
    await life
    await asyncio.sleep(0.2)  # what was on its way is counted when it arrives
    before = len(feed.asked)
    feed.add(jti="x")
    await asyncio.sleep(0.2)
    assert len(feed.asked) == before


# -- settings and memory ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes", [{"client_id": ""}, {"client_secret": ""}, {"max_staleness": 2.9}]
)
def test_settings_that_cannot_work(changes):
    with pytest.raises(ValueError, match="revocations"):
        settings(**changes)


@pytest.mark.parametrize(("limit", "wait"), [(3, 1), (30, 10), (600, 20)])
def test_two_of_three_polls_may_be_lost(limit, wait):
    assert settings(max_staleness=limit).wait == wait


def test_the_secret_is_not_shown():
    assert "cls_s" not in repr(settings())


def test_what_is_over_is_forgotten(make_token):
    known = RevokedTokens()
    known.add([{"exp": 100, "grant_id": "g"}, {"exp": 200, "jti": "j"}])
    known.add([{"exp": 300, "claim": "aud", "sha256": digest("a"), "before_version": 3}])
    known.forget(150)
    assert (known.grants, list(known.tokens), len(known.switches)) == ({}, ["j"], 1)
    assert known.covers(make_token())
    known.forget(350)
    assert not known.covers(make_token())
    assert known.switches == {}


def test_the_later_of_two_switches_counts():
    known = RevokedTokens()
    for version, until in ((9, 500), (4, 900)):
        known.add(
            [{"exp": until, "claim": "aud", "sha256": digest("a"), "before_version": version}]
        )
    assert known.switches == {("aud", digest("a")): (9, 900)}
