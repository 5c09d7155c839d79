"""Bulk (RFC 7644 §3.7, M3): many operations, each by itself, and names for what does not exist yet."""

from contextlib import ExitStack

import pytest

from authz.db.models import User
from tests.support.scim import PATCH, directory


@pytest.fixture
def scim(harness):
    return directory(harness)


def user(name, bulk_id="u", **values):
    data = {"userName": f"{name}@corp.example", **values}
    return {"method": "POST", "path": "/Users", "bulkId": bulk_id, "data": data}


def group(*members, bulk_id="g", name="engineering"):
    data = {"displayName": name, "members": [{"value": it} for it in members]}
    return {"method": "POST", "path": "/Groups", "bulkId": bulk_id, "data": data}


def send(scim, *operations, **more):
    answer = scim.ask("POST", "Bulk", {"Operations": list(operations), **more})
    assert answer.status == 200, answer.json
    return answer.json["Operations"]


def statuses(results):
    return [int(it["status"]) for it in results]


def ids(results):
    return [it["location"].rpartition("/")[2] for it in results]


def test_a_person_and_their_group_at_once(scim):
    results = send(scim, user("ada"), group("bulkId:u"))
    assert statuses(results) == [201, 201]
    ada, made = ids(results)
    assert [it["value"] for it in scim.get(f"Groups/{made}").json["members"]] == [ada]
    first = results[0]
    assert (first["method"], first["bulkId"]) == ("POST", "u")
    assert first["version"] == scim.get(f"Users/{ada}").response.headers["etag"]


def test_what_comes_later_can_be_named_before(scim):
    """RFC 7644 §3.7.2: answers keep the order of the request."""
    operations = (group("bulkId:u", "bulkId:v"), user("ada"), user("bob", "v"))
    results = send(scim, *operations)
    assert statuses(results) == [201, 201, 201]
    made, *people = ids(results)
    assert {it["value"] for it in scim.get(f"Groups/{made}").json["members"]} == set(people)


def test_what_was_made_can_be_changed_and_removed(scim):
    deactivate = {"op": "replace", "path": "active", "value": False}
    patch = {"schemas": [PATCH], "Operations": [deactivate]}
    results = send(
        scim,
        user("ada"),
        {"method": "PATCH", "path": "/Users/bulkId:u", "data": patch},
        {"method": "PUT", "path": "/Users/bulkId:u", "data": {"userName": "king@corp.example"}},
        user("bob", "v"),
        {"method": "delete", "path": "/Users/bulkId:v"},
    )
    assert statuses(results) == [201, 200, 200, 201, 204]
    found = scim.get(f"Users/{ids(results)[0]}").json
    assert (found["userName"], found["active"]) == ("king@corp.example", False)
    assert scim.find("Users", 'userName sw "bob"').json["totalResults"] == 0


def test_one_that_fails_fails_alone(harness, scim):
    before = harness.count(User)
    results = send(scim, user("ada"), user("ada", "v"), user("bob", "w"), user("bad name", "x"))
    assert statuses(results) == [201, 409, 201, 400]
    assert results[1]["response"]["scimType"] == "uniqueness"
    assert "location" not in results[1]
    assert harness.count(User) == before + 2
    assert len(harness.events("scim.changed")) == 2


def test_after_so_many_errors_the_rest_is_left(scim):
    operations = [user("ada"), user("ada", "1"), user("ada", "2"), user("bob", "3")]
    assert statuses(send(scim, *operations, failOnErrors=2)) == [201, 409, 409]
    assert scim.find("Users", 'userName sw "bob"').json["totalResults"] == 0


@pytest.mark.parametrize(
    ("operations", "expected"),
    [
        ([group("bulkId:nobody")], [409]),
        ([user("ada", "u", externalId="bulkId:g"), group("bulkId:u", name="bulkId:u")], [409, 409]),
        ([{**user("bad name"), "bulkId": "u"}, group("bulkId:u")], [400, 409]),
        ([{"method": "DELETE", "path": "/Users/bulkId:u"}], [409]),
        ([{"method": "GET", "path": "/Users"}], [400]),
        ([{"method": "POST", "path": "/Users", "data": {"userName": "x"}}], [400]),
        ([{"method": "POST", "path": "/Users/usr_x", "bulkId": "u", "data": {}}], [400]),
        ([{"method": "PUT", "path": "/Users", "data": {}}], [400]),
        ([{"method": "POST", "path": "/Bulk", "bulkId": "u", "data": {}}], [400]),
        ([{"method": "POST", "path": "/Users/.search", "bulkId": "u", "data": {}}], [400]),
        ([{"method": "PUT", "path": "/Users/usr_x"}], [404]),
        ([{"method": "PATCH", "path": "/Groups/grp_x", "data": {}}], [404]),
        ([{"method": "DELETE", "path": "/Users/a/b"}], [404]),
        ([{"method": "POST", "path": "/Users", "bulkId": "u"}], [400]),
    ],
    ids=[
        "unknown name", "circle", "name of what failed", "unknown name in a path", "another method", "no bulkId",
        "POST at one", "PUT at all", "bulk in bulk", "search", "PUT of nobody", "PATCH of nothing", "deeper", "no data",
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_its_own_result(harness, scim, operations, expected):
    before = harness.count(User)
    assert statuses(send(scim, *operations)) == expected
    assert harness.count(User) == before


@pytest.mark.parametrize(
    ("body", "refusal"),
    [
        ({}, (400, "invalidSyntax", "bulk_operations_missing")),
        ({"Operations": []}, (400, "invalidSyntax", "bulk_operations_missing")),
        ({"Operations": {}}, (400, "invalidSyntax", "bulk_operations_missing")),
        ({"Operations": ["x"]}, (400, "invalidSyntax", "bulk_operation_malformed")),
        ({"Operations": [{"method": 7}]}, (400, "invalidSyntax", "bulk_operation_malformed")),
        ({"Operations": [user("a"), user("b")]}, (400, "invalidValue", "bulk_id_twice")),
        ({"Operations": [user("a")], "failOnErrors": 0}, (400, "invalidValue", "bulk_fail_on_errors")),
        ({"Operations": [user("a")], "failOnErrors": True}, (400, "invalidValue", "bulk_fail_on_errors")),
        ({"Operations": [{"method": "DELETE", "path": "/Users/x"}] * 1001}, (413, None, "bulk_too_many")),
    ],
    ids=["nothing", "none", "object", "text", "number", "twice", "no errors", "true", "too many"],
)  # fmt: skip
def test_a_request_that_cannot_be_read_does_nothing(harness, scim, body, refusal):
    before = harness.count(User)
    assert scim.ask("POST", "Bulk", body).refusal == refusal
    assert harness.count(User) == before


def test_versions_count_here_too(scim):
    made = scim.create()
    gone = {"method": "DELETE", "path": f"/Users/{made.id}"}
    [refused] = send(scim, {**gone, "version": 'W/"0.0"'})
    assert (refused["status"], refused["location"]) == ("412", made.json["meta"]["location"])
    assert statuses(send(scim, {**gone, "version": made.json["meta"]["version"]})) == [204]


def test_a_company_closes(harness, scim):
    """A hundred leave in one request; each is a departure of its own."""
    people = ids(send(scim, *(user(f"p{n}", str(n)) for n in range(100))))
    leave = {"Operations": [{"op": "replace", "value": {"active": False}}]}
    results = send(
        scim, *({"method": "PATCH", "path": f"/Users/{it}", "data": leave} for it in people)
    )
    assert set(statuses(results)) == {200}
    assert scim.find("Users", "active eq false").json["totalResults"] == 100
    assert {it["subject"] for it in harness.events("access.ended")} == set(people)


def test_few_are_at_it_at_once(harness, scim):
    """ATK-48: each holds a thread for as long as a thousand changes take."""
    body = {"Operations": [user("ada")]}
    with ExitStack() as others:
        for n in range(4):
            others.enter_context(harness.server.edge.limits.in_bulk(f"t{n}", harness.tenant_id))
        refused = scim.ask("POST", "Bulk", body)
        assert refused.refusal == (429, None, "bulk_at_once")
        assert int(refused.response.headers["retry-after"]) > 0
        assert scim.create("bob@corp.example").status == 201
    assert statuses(send(scim, user("ada"))) == [201]
