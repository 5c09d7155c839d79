"""What travels to PostgreSQL and back without the driver's help is what was meant."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy import select, text

from authz.db import Database
from authz.db.batch import Lane, Phase, Worker, open_runner
from authz.db.models import Lease, TokenFamily
from authz.db.statements import AnyOf, Insert, Query
from authz.oauth.rows.codes import CODES
from tests.support.databases import migrated_url

NOW = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
INSERT = Insert(Lease.__table__)
INSERT_FAMILIES = Insert(TokenFamily.__table__)
ALL = Query(
    select(Lease.name, Lease.holder, Lease.expires_at)
    .where(AnyOf(Lease.name, "names"))
    .order_by(Lease.name)
)
FAMILIES = Query(select(*TokenFamily.__table__.c).where(AnyOf(TokenFamily.id, "ids")))
FILL = """INSERT INTO authorization_codes (digest, tenant_id, client_id, user_id, resource_id, redirect_uri,
code_challenge, scopes, offline_access, auth_time, amr, signed_in_at, created_at, expires_at)
SELECT n, 't', 'c', 'u', 'r', 'u', 'c', '[]', false, now(), '[]', now(), now(), now() FROM generate_series(1, 5000) n"""
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


@dataclass(frozen=True)
class Explained:
    """Tells how a prepared statement is carried out, over the connection that prepared it."""

    name: str
    values = ()

    @property
    def statement(self):
        return self

    @property
    def wire_text(self):
        return f"EXPLAIN EXECUTE {self.name}('{{x}}')".encode()

    def encoded(self):
        return []

    def wire_rows(self, rows):
        return rows


@pytest.mark.postgresql
def test_a_plan_made_for_an_empty_table_does_not_last(tmp_path, worker, monkeypatch):
    """To read the codes in the order of their people is no worse than by key, where there are none."""

    async def plan(pipeline):
        pipeline.begin()
        pipeline.send(CODES(codes=["x"]))
        name = pipeline._names[CODES.wire_text].decode()
        pipeline.send(Explained(name))
        pipeline.command(b"COMMIT")
        _, rows = await pipeline.exchange()
        return "\n".join(line for (line,) in rows)

    async def plans(database):
        monkeypatch.setattr("authz.db.pipeline._PLANS_LAST_SECONDS", 3600)
        pipeline = await open_runner(database)._connected()
        try:
            with database.write() as tx:
                # Nobody else counts the rows meanwhile.
                tx.execute(text("ALTER TABLE authorization_codes SET (autovacuum_enabled = false)"))
            with database.write() as tx:
                tx.execute(text("ANALYZE authorization_codes"))
            before = await plan(pipeline)
            with database.write() as tx:
                tx.execute(text(FILL))
            lasting = await plan(pipeline)
            monkeypatch.setattr("authz.db.pipeline._PLANS_LAST_SECONDS", 0)
            return before, lasting, await plan(pipeline)
        finally:
            await pipeline.close()

    with migrated_url("postgresql", tmp_path, f"authz_plans_{worker}") as url:
        database = Database(url)
        try:
            before, lasting, after = asyncio.run(plans(database))
        finally:
            database.close()
    by_key = "Index Cond: ((digest)::text = ANY"
    assert by_key not in before
    assert by_key not in lasting
    assert by_key in after
