"""What travels to PostgreSQL and back without the driver's help is what was meant."""

import asyncio
from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy import select

from authz.db.batch import Lane, Phase, Worker, open_runner
from authz.db.models import Lease, TokenFamily
from authz.db.statements import AnyOf, Insert, Query

NOW = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
INSERT = Insert(Lease.__table__)
INSERT_FAMILIES = Insert(TokenFamily.__table__)
ALL = Query(
    select(Lease.name, Lease.holder, Lease.expires_at)
    .where(AnyOf(Lease.name, "names"))
    .order_by(Lease.name)
)
FAMILIES = Query(select(*TokenFamily.__table__.c).where(AnyOf(TokenFamily.id, "ids")))
HARD = [
    "",
    " ",
    "NULL",
    "null",
    '"',
    '"","',
    "\\",
    '\\"',
    "\\\\",
    "{}",
    "{a,b}",
    "a,b",
    "'; DROP TABLE leases; --",
    "$1 %s %(names)s :name ?",
    "\t\r\n\x01\x7f",
    "é ñ 漢字 🔑",
]


def run(database, calls):
    """The rows of each call, in one transaction."""

    def program(jobs):
        rows = yield Phase(jobs[0], commit=True)
        return [rows]

    async def main():
        lane = Lane([Worker(open_runner(database), program)])
        await lane.start()
        try:
            return await lane.submit(calls)
        finally:
            await lane.close()

    return asyncio.run(main())


@pytest.mark.parametrize("together", [True, False])
def test_every_text_arrives_as_it_is(database, together):
    rows = [(f"n{i:02}", text, NOW) for i, text in enumerate(HARD)]
    batches = [rows] if together else [[row] for row in rows]
    run(database, [INSERT(batch) for batch in batches])
    assert run(database, [ALL(names=[name for name, _, _ in rows])]) == [rows]


def test_every_text_can_be_asked_for(database):
    rows = sorted((text, "x", NOW) for text in HARD)
    run(database, [INSERT(rows)])
    for row in rows:
        assert run(database, [ALL(names=[row[0]])]) == [[row]]
    assert run(database, [ALL(names=[])]) == [[]]


def test_a_moment_of_another_zone_is_the_same_moment(database):
    there = NOW.astimezone(timezone(timedelta(hours=5, minutes=30)))
    ((found,),) = run(database, [INSERT([("a", "x", there)]), ALL(names=["a"])])[1:]
    assert found[2] == NOW
    assert found[2].utcoffset() == timedelta(0)


def test_a_naive_moment_is_refused(database):
    with pytest.raises(ValueError, match="naive"):
        run(database, [INSERT([("a", "x", NOW.replace(tzinfo=None))])])


def test_every_kind_of_column_comes_back(database):
    """Text, a set of scopes, JSON, a boolean, a number, moments, and nothing."""

    def family(id_, amr, generation, refreshable, revoked_at, because):
        names = (id_, "t", "c", "u", "r", frozenset({"b", "a"}), refreshable, "s", generation, NOW)
        cnf, details = {"jkt": "x"}, [{"type": "mcp_tool"}]
        signed_in = (NOW, None, amr, "con_1", None, NOW)
        return (*names, *signed_in, cnf, details, NOW, NOW, NOW, revoked_at, because)

    rows = [
        family("f1", ["pwd", 'a "quoted" \\ one'], 1, True, None, None),
        family("f2", [], 2**40, False, NOW, "because"),
        family("f3", [], 3, True, None, "NULL"),
    ]
    run(database, [INSERT_FAMILIES(rows)])
    (found,) = run(database, [FAMILIES(ids=["f1", "f2", "f3"])])
    assert sorted(found) == rows
