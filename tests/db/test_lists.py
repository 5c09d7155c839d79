"""Lists as one parameter, and rows as one array a column, mean the same on both engines."""

from datetime import UTC, datetime, timedelta
from threading import Barrier, Thread

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select

from authz.db.claims import claim
from authz.db.lists import among, insert_all
from authz.db.models import Departure, ReplayKey

NOW = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
HOSTILE = [
    '"',
    "\\",
    "{a,b}",
    "NULL",
    "",
    " ",
    "ü\U0001f600",
    "a'b",
    "%s",
    "$1",
    "line\nbreak",
    "{}",
]


def departure(name, **changed):
    values = {
        "id": name,
        "tenant_id": "t",
        "user_id": "u",
        "source": "scim",
        "because": "user_disabled",
        "signalled_at": NOW,
        "occurred_at": None,
        "ended_at": NOW + timedelta(seconds=1),
        "sessions": 1,
        "families": 2,
        "codes": 0,
        "tokens": 3,
    }
    return {**values, **changed}


def read(database):
    with database.read() as tx:
        rows = tx.scalars(select(Departure).order_by(Departure.id)).all()
    return {row.id: {name: getattr(row, name) for name in departure("x")} for row in rows}


def test_every_value_comes_back_as_it_went(database):
    rows = [departure(f"d{n}", user_id=text, because=text) for n, text in enumerate(HOSTILE)]
    rows[0]["occurred_at"] = NOW - timedelta(days=1)
    rows[1]["sessions"] = 2**31 - 1
    with database.write() as tx:
        insert_all(tx, Departure, rows)
        insert_all(tx, Departure, [])
    assert read(database) == {row["id"]: row for row in rows}


@settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=20)))
def test_whatever_the_texts_are(database, texts):
    rows = [departure(f"d{n}", user_id=text) for n, text in enumerate(texts)]
    with database.write() as tx:
        tx.execute(delete(Departure))
        insert_all(tx, Departure, rows)
        found = set(tx.scalars(select(Departure.id).where(among(tx, Departure.user_id, texts))))
    assert found == {row["id"] for row in rows}


def test_one_of_many(database):
    """More than any engine takes as parameters."""
    rows = [departure(f"d{n}", user_id=f"u{n}") for n in range(20)]
    with database.write() as tx:
        insert_all(tx, Departure, rows)
        many = [f"u{n}" for n in range(10, 100_000)]
        found = set(tx.scalars(select(Departure.id).where(among(tx, Departure.user_id, many))))
        none = tx.scalars(select(Departure.id).where(among(tx, Departure.user_id, []))).all()
    assert found == {f"d{n}" for n in range(10, 20)}
    assert none == []


def test_a_row_too_many_inserts_none(database):
    with pytest.raises(Exception, match=r"(?i)unique"), database.write() as tx:
        insert_all(tx, Departure, [departure("d1"), departure("d1")])
    assert read(database) == {}


def test_a_key_is_claimed_once(database):
    keys = [("k2", NOW), ("k1", NOW)]
    with database.write() as tx:
        assert claim(tx, "t", keys) == {"k1", "k2"}
        assert claim(tx, "t", [*keys, ("k3", NOW)]) == {"k3"}
        # Of another tenant it is another one.
        assert claim(tx, "other", keys) == {"k1", "k2"}
        assert claim(tx, "t", []) == set()
    with database.read() as tx:
        assert tx.get_one(ReplayKey, ("t", "k1")).expires_at == NOW


def test_of_two_at_once_one_claims_it(database):
    won, barrier = [], Barrier(8)

    def run():
        barrier.wait()
        with database.write() as tx:
            won.extend(claim(tx, "t", [(f"k{n}", NOW) for n in range(20)]))

    threads = [Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(won) == sorted(f"k{n}" for n in range(20))


def test_what_is_rolled_back_was_not_claimed(database):
    def claim_and_fail():
        with database.write() as tx:
            claim(tx, "t", [("k1", NOW)])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        claim_and_fail()
    with database.write() as tx:
        assert claim(tx, "t", [("k1", NOW)]) == {"k1"}
