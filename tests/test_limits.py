"""Counting: buckets, guesses and the budgets of each kind of work (O21-14, DEV-02, ATK-48)."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from authz import limits
from authz.errors import InvalidClient, InvalidGrant, InvalidRequest, TooManyRequests
from authz.limits import MAX_KEYS, Bucket, Limits
from authz.settings import LimitSettings
from tests.support.harness import TestClock

HERE, THERE = "192.0.2.1", "192.0.2.2"
FAILURES = (InvalidClient("no", reason="secret_wrong"), InvalidGrant("no", reason="code_unknown"))
SMALL = {
    "failures_per_client_and_address": 3,
    "failures_per_address": 6,
    "failures_per_client": 9,
    "requests_per_address": 100,
    "requests_per_client": 5,
    "pushes_per_address": 4,
    "pushes_of_public_clients": 6,
    "pages_per_address": 5,
    "pages_per_user": 3,
    "fetches_per_user": 2,
}


@pytest.fixture
def clock():
    return TestClock()


@pytest.fixture
def small(clock):
    return Limits(LimitSettings(**SMALL), clock)


def present(made, address=HERE, client="c", error=None, endpoint="token", confidential=True):
    """One request; answers the reason of a refusal, and whether it was a budget."""
    try:
        with made.attempt(endpoint, address) as attempt:
            if client is not None:
                attempt.names("tnt", client)
            if error is not None:
                raise error
            attempt.authenticated(is_confidential=confidential)
    except TooManyRequests as refused:
        return refused.reason if refused.status == 429 and refused.retry_after else "not 429"
    except (InvalidClient, InvalidGrant, InvalidRequest):
        return None
    return None


def test_a_bucket_gives_a_burst_and_then_one_at_a_time():
    bucket = Bucket(burst=3, every=timedelta(seconds=10))
    assert [bucket.take("k", 100.0) for _ in range(4)] == [0, 0, 0, 10]
    assert bucket.take("other", 100.0) == 0
    assert bucket.take("k", 109.0) == 1
    assert [bucket.take("k", 110.0) for _ in range(2)] == [0, 10]
    assert [bucket.take("k", 1000.0) for _ in range(4)] == [0, 0, 0, 10]
    bucket.give_back("k")
    assert [bucket.take("k", 1000.0) for _ in range(2)] == [0, 10]
    bucket.forget("k")
    assert bucket.wait("k", 1000.0) == 0


@settings(deadline=None)
@given(st.integers(1, 50), st.lists(st.floats(0, 30), min_size=1, max_size=200))
def test_no_pattern_gets_more_than_the_burst_and_the_rate(burst, pauses):
    """In any window: at most the burst and what time gave back; and the wait that was told is enough."""
    bucket = Bucket.per_minute(burst)
    now, granted = 1_800_000_000.0, []
    for pause in pauses:
        now += pause
        wait = bucket.take("k", now)
        assert bucket.wait("k", now) == wait or not wait
        if wait:
            assert bucket.wait("k", now + wait) == 0
        else:
            granted.append(now)
    for first, start in enumerate(granted):
        for last in range(first, len(granted)):
            assert last - first + 1 <= burst + (granted[last] - start) * burst / 60 + 0.001


def test_zero_is_no_limit():
    bucket = Bucket.per_minute(0)
    assert not any(bucket.take("k", 0.0) for _ in range(10_000))
    assert len(bucket) == 0


def test_a_million_keys_take_the_room_of_a_few_thousand():
    """ATK-61: and the one who is guessing is still remembered among thousands of others."""
    bucket = Bucket(burst=1, every=timedelta(seconds=60))
    for n in range(1_000_000):
        bucket.take(str(n), 0.0)
    assert len(bucket) <= 2 * MAX_KEYS
    assert bucket.take("guesser", 0.0) == 0
    for n in range(MAX_KEYS // 2):
        bucket.take(f"other {n}", 0.0)
    assert bucket.take("guesser", 0.0) == 60


def test_a_long_name_is_kept_short():
    assert limits.short("x" * 128) == "x" * 128
    assert len(limits.short("x" * 2048)) == 64
    assert limits.short("x" * 2048) != limits.short("y" * 2048)


@pytest.mark.parametrize("error", FAILURES, ids=lambda error: error.code)
def test_wrong_guesses_run_into_a_limit_and_right_ones_do_not(small, clock, error):
    """O21-14."""
    assert [present(small, error=error) for _ in range(3)] == [None] * 3
    assert present(small) == "failures_per_client_and_address"
    assert present(small, client="other") is None
    clock.advance(seconds=20)
    assert present(small) is None


def test_a_mistake_is_no_guess(small):
    malformed = InvalidRequest("no", reason="parameters_malformed")
    assert {present(small, error=malformed) for _ in range(50)} == {None}


def test_naming_a_client_from_elsewhere_locks_nobody_out(small):
    """O21-14: the owner has worked from its address before; a botnet that knows its name changes nothing there."""
    assert present(small, client="victim") is None
    for n in range(40):
        present(small, address=f"198.51.100.{n}", client="victim", error=FAILURES[0])
    assert present(small, address="198.51.100.99", client="victim") == "failures_per_client"
    assert present(small, client="victim") is None


def test_a_neighbour_at_the_same_address_locks_nobody_out(small):
    """O21-14: one company, one address; what one program there guesses at is its own."""
    assert present(small, client="victim") is None
    for n in range(20):
        present(small, client=f"guess{n}", error=FAILURES[0])
    assert present(small, client="new") == "failures_per_address"
    assert present(small, client="victim") is None
    assert present(small, address=THERE, client="new") is None


def test_who_names_nobody_spends_the_address(small):
    missing = InvalidClient("no", reason="client_missing")
    for _ in range(6):
        assert present(small, client=None, error=missing) is None
    assert present(small) == "failures_per_address"


def test_a_client_that_authenticated_has_a_budget_of_its_own(small):
    assert [present(small) for _ in range(6)] == [None] * 5 + ["requests_per_client"]
    assert present(small, client="other") is None


def test_the_name_of_a_client_spends_none_of_its_budget(small):
    """Only who has authenticated does: a name is public."""
    for n in range(40):
        present(small, address=f"198.51.100.{n}", error=InvalidRequest("no", reason="x"))
    assert present(small) is None


def test_requests_that_leave_rows_are_counted_by_address_and_in_all(small):
    """ATK-61."""
    push = {"endpoint": "par", "confidential": False}
    assert [present(small, **push) for _ in range(5)] == [None] * 4 + ["pushes_per_address"]
    elsewhere = [present(small, address=f"198.51.100.{n}", **push) for n in range(3)]
    assert elsewhere == [None, None, "pushes_of_public_clients"]
    assert present(small, address=THERE, endpoint="par") is None


def test_pages_are_counted_by_address_and_person(small):
    assert [admitted(small, address=HERE) for _ in range(6)] == [None] * 5 + ["pages_per_address"]
    assert [admitted(small, user="u") for _ in range(4)] == [None] * 3 + ["pages_per_user"]
    assert admitted(small, address=THERE, user="v") is None


def admitted(made, **who):
    try:
        made.admit("authorize", **who)
    except TooManyRequests as refused:
        return refused.reason
    return None


def test_fetches_are_counted_by_person(small, clock):
    """ATK-48, CIMD-19."""
    for _ in range(2):
        with small.fetching("tnt", "u"):
            pass
    with pytest.raises(TooManyRequests, match="fetches_per_user"):
        small.fetching("tnt", "u")
    clock.advance(seconds=30)
    with small.fetching("tnt", "u"):
        pass


def test_few_threads_wait_for_the_hosts_of_one_person_or_tenant(clock):
    """ATK-48: the others keep theirs."""
    made = Limits(LimitSettings(), clock)

    def wait(tenant, user, then):
        with made.fetching(tenant, user):
            return then()

    def nested(whom):
        if not whom:
            return None
        return wait(*whom[0], lambda: nested(whom[1:]))

    with pytest.raises(TooManyRequests, match="fetches_at_once"):
        nested([("a", "u")] * 4)
    with pytest.raises(TooManyRequests, match="fetches_at_once"):
        nested([("a", f"u{n}") for n in range(9)])
    nested([("a", f"u{n}") for n in range(8)] + [("b", "u")] * 3)
    with pytest.raises(TooManyRequests, match="fetches_at_once"):
        nested([(f"t{n}", "u") for n in range(21)])


def test_user_codes_cannot_be_guessed(clock):
    """DEV-02: ten at an address, twenty a person."""
    made = Limits(LimitSettings(), clock)
    for _ in range(10):
        made.guess_user_code("u", HERE)
    with pytest.raises(TooManyRequests, match="user_codes_per_user_and_address"):
        made.guess_user_code("u", HERE)
    made.guess_user_code("v", HERE)
    for n in range(20):
        made.guess_user_code("w", f"198.51.100.{n}")
    with pytest.raises(TooManyRequests, match="user_codes_per_user"):
        made.guess_user_code("w", "198.51.100.99")


def test_what_is_remembered_is_bounded_whatever_is_sent(small):
    """ATK-61."""
    for n in range(60_000):
        present(
            small, address=f"a{n}", client=f"https://h{n}.example/{'x' * 500}", error=FAILURES[0]
        )
    assert len(small) <= 2 * MAX_KEYS * 5


def test_the_machines_clock_is_read_directly():
    made = Limits(LimitSettings(requests_per_address=1), lambda: datetime.now(UTC))
    assert present(made) is None
    assert present(made) == "requests_per_address"


def assert_one(made, issuer, address=HERE, error=None, name="wkl_1"):
    """One request that brings an assertion and names nobody."""
    try:
        with made.attempt("token", address) as attempt:
            attempt.asserts("tnt", issuer)
            if error is not None:
                raise error
            attempt.authenticated(is_confidential=True, name=name)
    except TooManyRequests as refused:
        return refused.reason
    except InvalidGrant:
        return None
    return None


def test_wrong_assertions_count_at_their_address_alone(clock):
    """WIF-01, ATK-61: whoever sends rubbish in the name of an issuer shuts out nobody elsewhere."""
    made = Limits(LimitSettings(**{**SMALL, "failures_per_address": 0}), clock)
    rubbish = InvalidGrant("no", reason="jwt_signature")
    for number in range(20):
        address = f"198.51.100.{number}"
        told = [assert_one(made, "https://c.example", address, rubbish) for _ in range(4)]
        assert told == [None, None, None, "failures_per_client_and_address"]
    assert assert_one(made, "https://c.example", THERE) is None
    assert assert_one(made, "https://other.example", "198.51.100.1") is None


def test_right_assertions_count_against_the_workload(small):
    """Wherever it runs; its neighbours have budgets of their own."""
    told = [assert_one(small, "i", f"198.51.100.{n}") for n in range(6)]
    assert told == [None] * 5 + ["requests_per_client"]
    assert assert_one(small, "i", name="wkl_2") is None
