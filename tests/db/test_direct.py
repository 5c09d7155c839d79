"""Statements of the lane in a session: the same rows, in the session's own transaction, on both engines."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from authz.db import direct
from authz.db.models import Lease, ReplayKey, User
from authz.db.statements import AnyOf, Delete, Insert, Query, Update

NOW = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
LEASES = Query(
    select(Lease.name, Lease.holder, Lease.expires_at)
    .where(AnyOf(Lease.name, "names"))
    .order_by(Lease.name)
    .with_for_update()
)
INSERT = Insert(Lease.__table__)
MOVE = Update(Lease.__table__, keys=["name"], assign=["holder", "expires_at"])
HOSTILE = [
    "%s",
    "100%",
    "%(x)s",
    "$1",
    "?",
    ":x",
    "a'b",
    '"',
    "\\",
    "{}",
    "ü\U0001f600",
    "line\nbreak",
]


def test_what_is_written_is_there_for_the_session_and_after_it(database):
    with database.write() as tx:
        direct.write(tx, INSERT([("b", "h", NOW), ("a", "h", NOW)]))
        assert direct.fetch(tx, LEASES(names=["a", "b", "c"])) == [("a", "h", NOW), ("b", "h", NOW)]
    with database.read() as tx:
        assert tx.get_one(Lease, "a").expires_at == NOW


def test_several_at_once(database):
    later = NOW + timedelta(days=1)
    with database.write() as tx:
        direct.write(tx, INSERT([("a", "h", NOW), ("b", "h", NOW)]))
        direct.write(
            tx,
            MOVE([("a", "i", later)]),
            Insert(ReplayKey.__table__)([("t", "k", NOW)]),
            Delete(Lease.__table__, ["name"])([("b",)]),
        )
        assert direct.fetch(tx, LEASES(names=["a", "b"])) == [("a", "i", later)]
        assert tx.get_one(ReplayKey, ("t", "k")).expires_at == NOW


def test_a_failure_undoes_all_of_it(database):
    with database.write() as tx:
        direct.write(tx, INSERT([("a", "h", NOW)]))
    with pytest.raises(IntegrityError), database.write() as tx:
        direct.write(tx, Insert(ReplayKey.__table__)([("t", "k", NOW)]), INSERT([("a", "i", NOW)]))
    with database.read() as tx:
        assert direct.fetch(tx, LEASES(names=["a"])) == [("a", "h", NOW)]
        assert tx.get(ReplayKey, ("t", "k")) is None


@pytest.mark.parametrize("text", HOSTILE)
def test_values_are_never_text_of_the_statement(database, text):
    """ATK-43."""
    with database.write() as tx:
        direct.write(
            tx, INSERT([(text, text, NOW)]), Insert(ReplayKey.__table__)([("t", text, NOW)])
        )
        assert direct.fetch(tx, LEASES(names=[text])) == [(text, text, NOW)]
        assert tx.get_one(ReplayKey, ("t", text)).key == text


def test_every_kind_of_column(database):
    """Nothing, truths, numbers and moments come back as what they were."""
    user = {
        "id": "usr_1",
        "tenant_id": "t",
        "login": "ada",
        "email": None,
        "name": "",
        "password_hash": None,
        "status": "active",
        "is_break_glass": True,
        "cut_at": None,
        "created_at": NOW,
        "updated_at": NOW,
    }
    with database.write() as tx:
        row = tuple(user.get(column.name) for column in User.__table__.columns)
        direct.write(tx, Insert(User.__table__)([row]))
        found = tx.get_one(User, "usr_1")
    assert {name: getattr(found, name) for name in user} == user
    query = Query(
        select(User.is_break_glass, User.cut_at, User.created_at).where(AnyOf(User.id, "ids"))
    )
    with database.read() as tx:
        rows = direct.fetch(tx, query(ids=["usr_1"]))
    assert [(bool(flag), cut, made) for flag, cut, made in rows] == [(True, None, NOW)]
