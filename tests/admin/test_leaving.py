from datetime import timedelta

import pytest

from authz import entropy
from authz.admin import leaving, users
from authz.admin.leaving import percentile, report
from authz.db.models import Departure, User


def add(desk, login="dev@example.com"):
    return desk.do(users.add, login=login, name="", password_hash=None)


def departure(desk, user_id, seconds, **changed):
    values = {
        "source": "scim",
        "because": "user_disabled",
        "sessions": 1,
        "families": 3,
        "codes": 0,
        "tokens": 3,
        **changed,
    }
    row = Departure(
        id=entropy.new_id("dep"),
        tenant_id=desk.tenant_id,
        user_id=user_id,
        signalled_at=desk.now - timedelta(seconds=seconds),
        occurred_at=None,
        ended_at=desk.now,
        **values,
    )
    desk.sql(lambda tx: tx.add(row))


def test_an_operator_ends_access_and_leaves_the_account_open_or_not(desk):
    user = add(desk)
    family, session = desk.give_family(user.id), desk.give_session(user.id)
    done = desk.do(leaving.end_access, user.login)
    assert (done.login, done.status, done.sessions, done.grants) == (user.login, "active", 1, 1)
    assert desk.family(family).revoked_because == "access_ended"
    assert desk.session(session).ended_at == desk.now
    assert desk.sql(lambda tx: tx.get_one(User, user.id).cut_at) == desk.now
    desk.wait(seconds=1)
    done = desk.do(leaving.end_access, user.id, disable=True)
    assert (done.status, done.sessions, done.grants) == ("disabled", 0, 0)


def test_the_cut_never_goes_back(desk):
    """Two ends at once: the one that began earlier may be written later."""
    user = add(desk)
    desk.wait(minutes=1)
    desk.do(leaving.end_access, user.id)
    later = desk.now
    desk.wait(minutes=-1)
    desk.do(leaving.end_access, user.id)
    assert desk.sql(lambda tx: tx.get_one(User, user.id).cut_at) == later


def test_the_clock_by_source_and_the_slowest(desk):
    user = add(desk)
    for seconds in range(1, 101):
        departure(desk, user.id, seconds / 10)
    departure(desk, user.id, 0.25, source="operator", because="access_ended", tokens=7)
    found = desk.ask(report, desk.now - timedelta(days=1), slowest=3)
    operator, scim = found.sources
    assert (scim.source, scim.events) == ("scim", 100)
    assert (scim.p50, scim.p99, scim.worst) == (5.0, 9.9, 10.0)
    assert (scim.sessions, scim.grants, scim.tokens) == (100, 300, 300)
    assert (operator.events, operator.p50, operator.p99, operator.tokens) == (1, 0.25, 0.25, 7)
    assert [line.seconds for line in found.slowest] == [10.0, 9.9, 9.8]
    assert found.slowest[0].user_id == user.id


def test_the_slowest_are_found_among_many(desk):
    user = add(desk)
    for seconds in (*range(200), 1000, *range(200)):
        departure(desk, user.id, seconds)
    assert desk.ask(report, desk.now, slowest=2).slowest[0].seconds == 1000
    assert desk.ask(report, desk.now, slowest=0).slowest == []


def test_the_clock_looks_back_as_far_as_it_is_told_and_at_one_tenant(desk, services):
    user = add(desk)
    departure(desk, user.id, 5)
    desk.wait(hours=1)
    assert desk.ask(report, desk.now - timedelta(hours=2)).sources[0].events == 1
    assert desk.ask(report, desk.now).sources == []
    with services.database.read() as tx:
        assert report(tx, "ten_other", desk.now - timedelta(days=9)).sources == []


@pytest.mark.parametrize(
    ("values", "part", "expected"),
    [([1.0], 0.5, 1.0), ([1.0], 0.99, 1.0), ([1.0, 2.0], 0.5, 1.0), ([1.0, 2.0], 0.99, 2.0)],
)
def test_a_percentile_is_a_value_that_was(values, part, expected):
    assert percentile(values, part) == expected
