"""Transactions of the plain lane: commit at the end, nothing at an exception, nothing slow inside (architecture D3)."""

import asyncio
from datetime import UTC, datetime

import pytest
from sqlalchemy import select

from authz.db.models import Lease
from authz.jose import sign_jwt
from authz.keys import generate
from authz.passwords import hash_password
from authz.transactions import forbid_inside_transaction

NOW = datetime(2026, 1, 2, tzinfo=UTC)


def names(database):
    with database.read() as tx:
        return sorted(tx.scalars(select(Lease.name)))


def test_a_block_commits_at_its_end(database):
    with database.write() as tx:
        tx.add(Lease(name="a", holder="h", expires_at=NOW))
    assert names(database) == ["a"]


def test_an_exception_leaves_nothing(database):
    def failing():
        with database.write() as tx:
            tx.add(Lease(name="a", holder="h", expires_at=NOW))
            tx.flush()
            raise LookupError

    with pytest.raises(LookupError):
        failing()
    assert names(database) == []
    with database.write() as tx:
        tx.add(Lease(name="b", holder="h", expires_at=NOW))
    assert names(database) == ["b"]


def test_a_read_never_commits(database):
    with database.read() as tx:
        tx.add(Lease(name="a", holder="h", expires_at=NOW))
        tx.flush()
    assert names(database) == []


@pytest.mark.parametrize(
    "slow",
    [
        lambda: hash_password("correct horse"),
        lambda: sign_jwt(generate("ES256"), algorithm="ES256", key_id="k", typ="t", claims={}),
        lambda: forbid_inside_transaction("anything"),
    ],
    ids=["password", "signing", "anything"],
)
def test_nothing_slow_inside_a_write_block(database, slow):
    with database.write(), pytest.raises(RuntimeError, match="inside a database transaction"):
        slow()
    with database.read():
        forbid_inside_transaction("reading")
    forbid_inside_transaction("outside")


def test_the_mark_does_not_leak_into_other_tasks(database):
    async def other():
        forbid_inside_transaction("elsewhere")

    async def main():
        task = asyncio.create_task(other())
        with database.write():
            await task

    asyncio.run(main())


def test_a_rehearsal_does_it_all_and_keeps_nothing(database):
    with database.rehearse() as tx:
        tx.add(Lease(name="a", holder="h", expires_at=NOW))
        tx.flush()
        assert tx.scalars(select(Lease.name)).all() == ["a"]
    assert names(database) == []
    with pytest.raises(LookupError), database.rehearse():
        raise LookupError
    with database.write() as tx:
        tx.add(Lease(name="b", holder="h", expires_at=NOW))
    assert names(database) == ["b"]
