"""Statements of the token lane mean the same on both engines: every column type, there and back."""

import asyncio
import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy import literal, select, union_all

from authz.db.batch import LaneStatistics, Phase, open_runner
from authz.db.models import AuthorizationCode, Client, Lease, ReplayKey, SigningKey
from authz.db.statements import (
    AnyOf,
    AnyRowOf,
    Delete,
    Insert,
    InsertOnce,
    Query,
    Update,
    spelled_row,
)
from authz.db.types import UTCDateTime, canonical_json

NOW = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
EAST = timezone(timedelta(hours=5, minutes=30))


def run(database, call):
    """The call as the lane runs it, in a transaction of its own."""

    def program():
        rows = yield Phase([call], commit=True)
        return rows[0]

    async def main():
        runner = open_runner(database)
        try:
            return await runner.run(program(), LaneStatistics())
        finally:
            await runner.close()

    return asyncio.run(main())


def rows_of(model, **values):
    return tuple(
        values.get(column.name) if column.nullable else values[column.name]
        for column in model.__table__.c
    )


def code(digest, **changes):
    return rows_of(
        AuthorizationCode,
        **{
            "digest": digest,
            "tenant_id": "ten_1",
            "client_id": "https://client.example/c",
            "user_id": "usr_1",
            "resource_id": "res_1",
            "redirect_uri": "https://client.example/callback?a=1&b=ü",
            "code_challenge": "c" * 43,
            "scopes": frozenset({"b", "a"}),
            "requested": frozenset({"a"}),
            "offline_access": True,
            "auth_time": NOW,
            "amr": ["pwd", "otp"],
            "signed_in_at": NOW,
            "created_at": NOW,
            "expires_at": NOW,
            "spent_at": None,
            "family_id": None,
            **changes,
        },
    )


ALL_CODES = Query(
    select(*AuthorizationCode.__table__.c)
    .where(AnyOf(AuthorizationCode.digest, "digests"))
    .order_by(AuthorizationCode.digest)
)
INSERT_CODES = Insert(AuthorizationCode.__table__)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"scopes": frozenset(), "requested": frozenset()},
        {"requested": None},
        {"offline_access": False},
        {"amr": []},
        {"amr": ['"', "\\", "ü", "{", "a,b", "NULL"]},
        {"spent_at": NOW, "family_id": "grt_1"},
        {"redirect_uri": "{\"},',\\ \U0001f600 %s ?"},
        {"redirect_uri": ""},
        {"auth_time": NOW.replace(microsecond=0)},
    ],
)
def test_every_value_comes_back_as_it_went(database, changes):
    """None, sets, JSON, moments, booleans, and text that array literals would stumble over."""
    rows = [code("d1", **changes), code("d2")]
    run(database, INSERT_CODES(rows))
    back = run(database, ALL_CODES(digests=["d2", "d1", "d1", "absent"]))
    wanted = [tuple(row) for row in rows]
    assert [tuple(bool(v) if i == 9 else v for i, v in enumerate(row)) for row in back] == wanted


def test_a_moment_of_another_zone_is_the_same_moment(database):
    run(database, INSERT_CODES([code("d1", expires_at=NOW.astimezone(EAST))]))
    [row] = run(database, ALL_CODES(digests=["d1"]))
    expires_at = dict(zip(AuthorizationCode.__table__.c.keys(), row, strict=True))["expires_at"]
    assert expires_at == NOW
    assert expires_at.utcoffset() == timedelta(0)


def test_a_naive_moment_is_refused(database):
    with pytest.raises(ValueError, match="naive"):
        run(database, INSERT_CODES([code("d1", expires_at=datetime(2026, 1, 1))]))


def test_bytes_and_objects(database):
    """Written by the plain lane, read by the other."""
    common = {
        "tenant_id": "ten_1",
        "purpose": "access_token",
        "algorithm": "ES256",
        "public_jwk": {"kty": "EC", "x": 'q"\\'},
        "created_at": NOW,
        "publish_at": NOW,
        "activate_at": NOW,
    }
    with database.write() as tx:
        tx.add(SigningKey(id="kid1", private_key=bytes(range(256)), **common))
        tx.add(SigningKey(id="kid2", private_key=None, **common))
    query = Query(
        select(SigningKey.id, SigningKey.public_jwk, SigningKey.private_key, SigningKey.retire_at)
        .where(AnyOf(SigningKey.tenant_id, "tenants"))
        .order_by(SigningKey.id)
    )
    first, second = run(database, query(tenants=["ten_1"]))
    assert (first[1], bytes(first[2]), first[3]) == (common["public_jwk"], bytes(range(256)), None)
    assert second[2] is None


def test_lists_of_objects_and_a_renamed_column(database):
    """`Client.metadata_` is the column `metadata`."""
    row = rows_of(
        Client,
        tenant_id="ten_1",
        id="cli_1",
        kind="registered",
        status="active",
        name="Name",
        metadata={"redirect_uris": ["https://c.example/"]},
        secrets=[{"digest": "d", "expires_at": None}],
        scope_ceiling=None,
        fetched_at=None,
        fresh_until=None,
        created_at=NOW,
        updated_at=NOW,
    )
    run(database, Insert(Client.__table__)([row]))
    with database.read() as tx:
        client = tx.get(Client, ("ten_1", "cli_1"))
    assert client.metadata_ == {"redirect_uris": ["https://c.example/"]}
    assert client.secrets == [{"digest": "d", "expires_at": None}]
    assert client.scope_ceiling is None


def test_an_update_changes_the_named_rows_and_columns(database):
    run(database, INSERT_CODES([code(f"d{n}") for n in range(4)]))
    spend = Update(AuthorizationCode.__table__, keys=["digest"], assign=["spent_at", "family_id"])
    run(database, spend([("d1", NOW, "grt_1"), ("d3", None, "grt_3"), ("absent", NOW, "x")]))
    rows = run(database, ALL_CODES(digests=[f"d{n}" for n in range(4)]))
    assert [row[-2:] for row in rows] == [
        (None, None),
        (NOW, "grt_1"),
        (None, None),
        (None, "grt_3"),
    ]


def test_an_update_by_two_keys(database):
    once = InsertOnce(ReplayKey.__table__, "key")
    run(database, once([("t1", "k", NOW), ("t2", "k", NOW)]))
    later = NOW + timedelta(days=1)
    move = Update(ReplayKey.__table__, keys=["tenant_id", "key"], assign=["expires_at"])
    run(database, move([("t2", "k", later)]))
    query = Query(
        select(ReplayKey.expires_at)
        .where(AnyOf(ReplayKey.key, "keys"))
        .order_by(ReplayKey.tenant_id)
    )
    assert run(database, query(keys=["k"])) == [(NOW,), (later,)]


def test_insert_once_answers_only_what_was_new(database):
    """ATK-52: the insert itself decides who was first, also within one call."""
    once = InsertOnce(ReplayKey.__table__, "key")
    assert run(database, once([("t", "a", NOW), ("t", "b", NOW)])) == [("a",), ("b",)]
    assert run(database, once([("t", "b", NOW), ("t", "c", NOW), ("t", "c", NOW)])) == [("c",)]


def test_a_delete_takes_the_rows_with_both_keys(database):
    once = InsertOnce(ReplayKey.__table__, "key")
    run(database, once([("t1", "a", NOW), ("t1", "b", NOW), ("t2", "a", NOW)]))
    run(database, Delete(ReplayKey.__table__, ["tenant_id", "key"])([("t1", "a"), ("t3", "b")]))
    query = Query(
        select(ReplayKey.tenant_id, ReplayKey.key)
        .where(AnyOf(ReplayKey.key, "keys"))
        .order_by(ReplayKey.tenant_id)
    )
    assert run(database, query(keys=["a", "b"])) == [("t1", "b"), ("t2", "a")]


@pytest.mark.parametrize("odd", ["'", '"', "\\", "ü", "\U0001f511", "[", "null", "%s", "a b"])
def test_rows_are_matched_whole(database, odd):
    """No combination of what was asked for, and no spelling that reads as another."""
    once = InsertOnce(ReplayKey.__table__, "key")
    rows = [("t1", odd, NOW), ("t1", "b", NOW), ("t2", odd, NOW), ("t2", "b", NOW)]
    run(database, once(rows))
    query = Query(
        select(ReplayKey.tenant_id, ReplayKey.key)
        .where(AnyRowOf((ReplayKey.tenant_id, ReplayKey.key), "wanted"))
        .order_by(ReplayKey.tenant_id)
    )
    wanted = [spelled_row("t1", odd), spelled_row("t2", "b"), spelled_row("t3", "b")]
    assert run(database, query(wanted=wanted)) == [("t1", odd), ("t2", "b")]
    assert run(database, query(wanted=[])) == []


def test_a_refused_row_refuses_the_whole_call(database):
    run(database, INSERT_CODES([code("d1")]))
    with pytest.raises(Exception, match=r"(?i)unique"):
        run(database, INSERT_CODES([code("d0"), code("d1")]))
    assert len(run(database, ALL_CODES(digests=["d0", "d1"]))) == 1


@pytest.mark.parametrize("values", [[], ["'; DROP TABLE leases; --"], ['{"a"}', "%s", ":x", "?"]])
def test_values_are_never_text_of_the_statement(database, values):
    """ATK-43."""
    if values:
        run(database, Insert(Lease.__table__)([(v, "h", NOW) for v in values]))
    query = Query(select(Lease.name).where(AnyOf(Lease.name, "names")).order_by(Lease.name))
    assert sorted(name for (name,) in run(database, query(names=values))) == sorted(values)


def test_constants_and_unions(database):
    """What the lane's role query is made of: literals, a typed null, two lists of one name."""
    both = Query(
        union_all(
            select(literal("lease"), Lease.name, Lease.expires_at).where(AnyOf(Lease.name, "n")),
            select(literal("none"), Lease.name, literal(None, UTCDateTime)).where(
                AnyOf(Lease.name, "n")
            ),
        )
    )
    run(database, Insert(Lease.__table__)([("a", "h", NOW), ("b", "h", NOW)]))
    rows = run(database, both(n=["a"]))
    assert sorted(rows, key=str) == [("lease", "a", NOW), ("none", "a", None)]


def test_lists_are_sorted_and_single():
    """Locks are taken in one order everywhere."""
    query = Query(select(Lease.name).where(AnyOf(Lease.name, "names")))
    assert query(names=["b", "a", "b"]).values == {"names": ["a", "b"]}


def test_canonical_json_is_one_text_for_one_value():
    left = {"b": [1, {"z": None, "a": "ü"}], "a": True}
    right = json.loads(json.dumps({"a": True, "b": [1, {"a": "ü", "z": None}]}))
    assert canonical_json(left) == canonical_json(right)
    assert canonical_json(left) == '{"a":true,"b":[1,{"a":"\\u00fc","z":null}]}'
