"""Who may provision, how lists and versions work, and every refusal in SCIM's own form (M1, M3, RFC 7644)."""

import json
from datetime import timedelta

import pytest
from sqlalchemy import select

from authz.admin import groups, scim_tokens, users
from authz.db.models import Connection, ScimToken, User
from tests.support.harness import LOG, Harness, running
from tests.support.scim import (
    ENTERPRISE,
    GROUP,
    PATCH,
    USER,
    Directory,
    add_connection,
    add_token,
    directory,
)


@pytest.fixture
def scim(harness):
    return directory(harness)


@pytest.fixture
def other(server):
    """Another tenant of the same server."""
    made = Harness(server)
    yield made
    made.close()


# -- the token --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "reason", "challenge"),
    [
        (None, "bearer_missing", 'Bearer realm="authz"'),
        ("Bearer wrong", "scim_token_refused", 'Bearer realm="authz", error="invalid_token"'),
        ("Basic YTpi", "bearer_malformed", 'Bearer realm="authz", error="invalid_token"'),
        ("Bearer", "bearer_malformed", 'Bearer realm="authz", error="invalid_token"'),
    ],
)
def test_nobody_gets_in_without_a_token(harness, scim, header, reason, challenge):
    """Casdoor CVE-2025-4210: every address, the ones that describe as well."""
    headers = {} if header is None else {"Authorization": header}
    for path in ("Users", "Groups", "Schemas", "ServiceProviderConfig", "Me", "Bulk", "nowhere"):
        mark = len(LOG.events)
        answer = harness.http.get(f"{scim.base}/{path}", headers=headers)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == challenge
        assert answer.headers["content-type"] == "application/scim+json"
        assert [it["reason"] for it in LOG.events[mark:] if "reason" in it] == [reason]


@pytest.mark.parametrize("end", ["revoke", "expire", "connection"])
def test_a_token_that_is_over_is_nobody_s(harness, end):
    row = add_connection(harness)
    made = harness.change(
        scim_tokens.add, name="okta", connection="okta", lifetime=timedelta(minutes=5)
    )
    scim = Directory(harness, made.token)
    assert scim.get("Users").status == 200
    if end == "revoke":
        harness.change(scim_tokens.revoke, made.line.id)
    elif end == "expire":
        harness.clock.advance(minutes=5)
    else:
        with harness.server.database.write() as tx:
            tx.get_one(Connection, row.id).status = "disabled"
    assert scim.get("Users").refusal == (401, None, "scim_token_refused")


def test_an_end_within_the_minute_of_memory_is_an_end(harness):
    made = harness.change(
        scim_tokens.add, name="okta", connection=None, lifetime=timedelta(seconds=30)
    )
    scim = Directory(harness, made.token)
    assert scim.get("Users").status == 200
    harness.clock.advance(seconds=29)
    assert scim.get("Users").status == 200
    harness.clock.advance(seconds=1)
    assert scim.get("Users").refusal == (401, None, "scim_token_refused")


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "ServiceProviderConfig", None),
        ("GET", "Nothing", None),
        ("PATCH", "Users", {}),
        ("GET", "Users?filter=(", None),
        ("POST", "Users", {"userName": 7}),
        ("POST", "Users", {"userName": "new@corp.example"}),
        ("POST", "Bulk", {"Operations": "none"}),
        ("POST", "Bulk", {"Operations": [{"method": "POST", "path": "/Users", "data": {}}]}),
        ("DELETE", "Users/usr_x", None),
        ("GET", "Me", None),
    ],
)
def test_whoever_was_known_a_moment_ago_is_told_nothing_else(harness, method, path, body):
    """Neither what there is, nor what is wrong with the request."""
    made = harness.change(scim_tokens.add, name="okta", connection=None, lifetime=None)
    scim = Directory(harness, made.token)
    assert scim.get("Users").status == 200
    harness.change(scim_tokens.revoke, made.line.id)
    for _ in range(2):
        answer = scim.ask(method, path, body)
        assert answer.refusal == (401, None, "scim_token_refused")


def test_a_change_of_something_else_is_no_matter(harness, scim):
    """What was admitted before it is admitted again, in the same request."""
    for name in ("one", "two"):
        assert scim.get("Users").status == 200
        harness.change(groups.add, name=name)
        assert scim.create(f"{name}@corp.example").status == 201


def test_a_token_is_stored_by_digest_and_its_use_is_noted_once_a_minute(harness, scim):
    def used():
        with harness.server.database.read() as tx:
            rows = tx.scalars(select(ScimToken).where(ScimToken.tenant_id == harness.tenant_id))
            [row] = rows.all()
        assert scim.token not in json.dumps([row.digest, row.name, row.id])
        return row.last_used_at

    assert used() is None
    scim.get("Users")
    first = used()
    assert first == harness.clock()
    harness.clock.advance(seconds=59)
    scim.get("Users")
    assert used() == first
    harness.clock.advance(seconds=1)
    scim.get("Users")
    assert used() == harness.clock()


def test_a_token_is_good_at_its_tenant_alone(harness, scim, other):
    """M1: tokens, ids, filters, members, bulk."""
    theirs = directory(other)
    person = theirs.create("eve@other.example", externalId="e-1").id
    group = theirs.create_group("others").id
    foreign = Directory(other, scim.token)
    assert foreign.get("Users").refusal == (401, None, "scim_token_refused")
    before = theirs.get(f"Users/{person}").json, theirs.get(f"Groups/{group}").json

    for path in (f"Users/{person}", f"Groups/{group}"):
        body = {"schemas": [USER], "userName": "x", "displayName": "x"}
        remove = {"op": "remove", "path": "externalId"}
        assert scim.get(path).status == 404
        assert scim.ask("PUT", path, body).status == 404
        assert scim.patch(path, remove).status == 404
        assert scim.ask("DELETE", path).status == 404
        bulk = {"Operations": [{"method": "DELETE", "path": f"/{path}"}]}
        [result] = scim.ask("POST", "Bulk", bulk).json["Operations"]
        assert result["status"] == "404"
    for kind, filter_ in (
        ("Users", f'id eq "{person}"'),
        ("Users", 'externalId eq "e-1"'),
        ("Users", 'userName co "eve"'),
        ("Groups", 'displayName eq "others"'),
        ("Groups", f'members eq "{person}"'),
    ):
        assert scim.find(kind, filter_).json["totalResults"] == 0
    added = scim.create_group(members=[{"value": person}])
    assert added.refusal == (400, "invalidValue", "member_unknown")
    assert (theirs.get(f"Users/{person}").json, theirs.get(f"Groups/{group}").json) == before


def test_the_same_names_at_two_tenants_are_two_people(scim, other):
    """M1, better-auth CVE-2026-67330: externalId and userName are a tenant's own."""
    theirs = directory(other)
    ours, them = (it.create("ada@corp.example", externalId="1") for it in (scim, theirs))
    assert ours.status == them.status == 201
    assert ours.id != them.id
    assert theirs.deactivate(them.id).json["active"] is False
    assert scim.get(f"Users/{ours.id}").json["active"] is True


def test_a_disabled_tenant_has_no_directory(harness, scim):
    harness.disable()
    assert scim.get("Users").refusal == (404, None, "tenant_unknown")


def test_a_client_that_asks_too_often_is_told_to_wait(tmp_path):
    """By token, not by what it asks; a wrong token costs its address."""
    limits = {"provisioning_per_client": 2, "failures_per_address": 3}
    with running(tmp_path, f"sqlite:///{tmp_path / 'own.db'}", limits=limits) as server:
        harness = Harness(server)
        scim = directory(harness)
        assert [scim.get("Users").status for _ in range(3)] == [200, 200, 429]
        refused = scim.get("Groups")
        assert refused.refusal == (429, None, "provisioning_per_client")
        assert int(refused.response.headers["retry-after"]) > 0
        assert directory(harness).get("Users").status == 200
        harness.close()


# -- what is read -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "content_type", "refusal"),
    [
        (b"", "application/scim+json", (400, "invalidSyntax", "body_missing")),
        (b"{", "application/scim+json", (400, "invalidSyntax", "body_not_json")),
        (b"[]", "application/scim+json", (400, "invalidSyntax", "body_not_json")),
        (b'{"a":1,"a":2}', "application/json", (400, "invalidSyntax", "body_not_json")),
        (b'{"userName":"\\u0000"}', "application/json", (400, "invalidSyntax", "body_not_json")),
        (b"{}", "text/plain", (415, None, "content_type")),
        (b"a=1", "application/x-www-form-urlencoded", (415, None, "content_type")),
        (b"{}", "application/json", (400, "invalidValue", "invalid_value")),
        (b'{"userName":7}', "application/json", (400, "invalidValue", "invalid_value")),
        (b'{"userName":"a b"}', "application/json", (400, "invalidValue", "user_name_malformed")),
        (b'{"userName":" "}', "application/json", (400, "invalidValue", "user_name_malformed")),
        (b'{"userName":"usr_x"}', "application/json", (400, "invalidValue", "user_name_like_id")),
        (b'{"userName":"x","active":1}', "application/json", (400, "invalidValue", "invalid_value")),
        (b'{"userName":"x","externalId":1}', "application/json", (400, "invalidValue", "invalid_value")),
        (b'{"userName":"x","externalId":""}', "application/json", (400, "invalidValue", "external_id_length")),
        (b'{"userName":"x","active":true,"Active":false}', "application/json",
         (400, "invalidSyntax", "attribute_twice")),
        (b'{"userName":"x","title":"' + b"t" * 40_000 + b'"}', "application/json", (413, None, "resource_too_large")),
        (b'{"userName":"' + b"x" * 1_100_000 + b'"}', "application/json", (413, None, "body_too_large")),
    ],
    ids=[
        "nothing", "half", "list", "twice", "nul", "text", "form", "no name", "number for a name",
        "space in the name", "empty name", "name like an id", "number for true",
        "number for externalId", "empty externalId", "two capitalisations", "too large", "much too large",
    ],
)  # fmt: skip
def test_a_user_that_cannot_be_is_refused(harness, scim, body, content_type, refusal):
    before = harness.count(User)
    answer = scim.ask("POST", "Users", body, Content_Type=content_type)
    assert answer.refusal == refusal
    assert harness.count(User) == before


@pytest.mark.parametrize(
    ("path", "refusal"),
    [
        ("Users/usr_nobody", (404, None, "user_unknown")),
        ("Groups/grp_none", (404, None, "group_unknown")),
        ("Users/", (404, None, "path_unknown")),
        ("Users/a/b", (404, None, "path_unknown")),
        ("Users/a%2Fb", (404, None, "path_unknown")),
        ("Users/%00", (404, None, "path_unknown")),
        ("Users/a%3Fb", (404, None, "user_unknown")),
        ("nowhere", (404, None, "path_unknown")),
        ("Me", (501, None, "me")),
        ("Bulk", (405, None, "method_unknown")),
        ("Users/.search", (405, None, "method_unknown")),
        ("Schemas/urn:x", (404, None, "discovery_unknown")),
        ("Schemas?filter=id+pr", (403, None, "filter_on_discovery")),
        ("Users?count=x", (400, "invalidValue", "listing_malformed")),
        ("Users?startIndex=1.5", (400, "invalidValue", "listing_malformed")),
        ("Users?count=1&count=2", (400, "invalidSyntax", "parameter_repeated")),
        ("Users?sortBy=title", (400, "invalidPath", "sort_by")),
        ("Users?sortBy=userName&sortOrder=up", (400, "invalidValue", "sort_order")),
        ("Users?attributes=id&excludedAttributes=name", (400, "invalidValue", "selection_twice")),
        ("Users?filter=%00", (400, "invalidSyntax", "parameter_nul")),
    ],
)
def test_what_is_not_there_is_told_in_its_own_form(scim, path, refusal):
    assert scim.get(path).refusal == refusal


@pytest.mark.parametrize(
    "body",
    [
        {"filter": 5},
        {"count": True},
        {"startIndex": "one"},
        {"attributes": 7},
        {"attributes": [7]},
        {"attributes": [f"a{n}" for n in range(100)]},
    ],
    ids=lambda it: next(iter(it)),
)
def test_a_malformed_search_is_refused(scim, body):
    for path in (".search", "Users/.search", "Groups/.search"):
        status, scim_type, _ = scim.ask("POST", path, body).refusal
        assert (status, scim_type) == (400, "invalidValue")


def test_head_is_a_get_without_a_body(scim):
    person = scim.create().id
    answer = scim.ask("HEAD", f"Users/{person}")
    assert (answer.status, answer.response.content) == (200, b"")
    assert answer.response.headers["etag"]


def test_nothing_of_this_is_for_browsers(harness, scim):
    answer = scim.get("Users", Origin="https://evil.example")
    assert "access-control-allow-origin" not in answer.response.headers
    assert answer.response.headers["cache-control"] == "no-store"


def test_logs_and_refusals_name_nobody(harness, scim):
    mark = len(LOG.events)
    scim.create("ada@corp.example")
    scim.create("ada@corp.example")
    scim.find("Users", 'title eq "ada@corp.example"')
    scim.create("ada @corp.example")
    assert "ada" not in json.dumps([str(it) for it in LOG.events[mark:]])
    assert scim.token not in json.dumps([str(it) for it in LOG.events[mark:]])


# -- lists and versions -----------------------------------------------------------------------------------


def test_pages(scim, harness):
    names = [f"p{n}@corp.example" for n in range(7)]
    for name in names:
        scim.create(name)
    found = []
    for start in (1, 4, 7):
        page = scim.find("Users", 'userName sw "p"', startIndex=start, count=3)
        assert (page.json["totalResults"], page.json["startIndex"]) == (7, start)
        assert page.json["itemsPerPage"] == len(page.resources)
        found += [it["userName"] for it in page.resources]
    assert found == names
    beyond = scim.find("Users", 'userName sw "p"', startIndex=100)
    assert (beyond.json["totalResults"], beyond.resources) == (7, [])
    for count in (0, -5):
        none = scim.find("Users", 'userName sw "p"', count=count)
        assert (none.json["totalResults"], none.resources) == (7, [])
    first = scim.find("Users", 'userName sw "p"', startIndex=-3, count=1)
    assert [it["userName"] for it in first.resources] == names[:1]


def test_pages_are_bounded(scim, harness):
    operations = [
        {"method": "POST", "path": "/Users", "bulkId": str(n), "data": {"userName": f"m{n:03}"}}
        for n in range(201)
    ]
    scim.ask("POST", "Bulk", {"Operations": operations})
    page = scim.find("Users", 'userName sw "m"', count=10_000)
    assert page.json["totalResults"] == 201
    assert len(page.resources) == 200
    assert len(scim.find("Users", 'userName sw "m"').resources) == 100


def test_lists_are_sorted_by_what_has_an_index(scim):
    for name in ("b@corp.example", "c@corp.example", "a@corp.example"):
        scim.create(name)
        scim.create_group(name[0])
    for kind, attribute in (("Users", "userName"), ("Groups", "displayName")):
        query = f"sortBy={attribute}&sortOrder=descending"
        found = [it[attribute][0] for it in scim.get(f"{kind}?{query}").resources]
        assert [it for it in found if it in "abc"] == ["c", "b", "a"]
    ids = [it["id"] for it in scim.get("Users?sortBy=id").resources]
    assert len(ids) >= 3
    assert set(ids) == {it["id"] for it in scim.get("Users").resources}


def test_a_search_looks_through_all_types(scim):
    ada = scim.create(displayName="x").id
    group = scim.create_group("x").id
    scim.create_group("y")
    found = scim.ask("POST", ".search", {"filter": 'displayName eq "x"'})
    assert [it["id"] for it in found.resources] == [ada, group]
    assert found.json["totalResults"] == 2
    second = scim.ask("POST", ".search", {"filter": 'displayName eq "x"', "startIndex": 2})
    assert [it["id"] for it in second.resources] == [group]
    # What the other type alone has is a value that nobody has (RFC 7644 §3.4.2.1).
    named = scim.ask("POST", ".search", {"filter": 'userName eq "ada@corp.example"'})
    assert [it["id"] for it in named.resources] == [ada]
    rest = scim.ask("POST", ".search", {"filter": f'not (members pr) and id eq "{group}"'})
    assert [it["id"] for it in rest.resources] == [group]


def test_versions(scim):
    created = scim.create(title="Clerk")
    person = f"Users/{created.id}"
    tag = created.response.headers["etag"]
    assert created.json["meta"]["version"] == tag
    assert created.response.headers["location"] == created.json["meta"]["location"]
    assert scim.get(person, If_None_Match=tag).status == 304
    assert scim.get(person, If_None_Match='W/"0.0"').status == 200

    change = {"op": "replace", "path": "title", "value": "Chief"}
    changed = scim.patch(person, change, If_Match=f'W/"9.9", {tag}')
    assert changed.status == 200
    newer = changed.response.headers["etag"]
    assert newer != tag
    outdated = (412, None, "version_outdated")
    assert scim.patch(person, change, If_Match=tag).refusal == outdated
    body = {"schemas": [USER], "userName": "ada@corp.example"}
    assert scim.ask("PUT", person, body, If_Match=tag).refusal == outdated
    assert scim.ask("DELETE", person, If_Match=tag).refusal == outdated
    assert scim.get(person).json["title"] == "Chief"
    assert scim.patch(person, change).response.headers["etag"] == newer  # nothing changed
    assert scim.ask("DELETE", person, If_Match="*").status == 204


def test_what_others_change_is_another_version(harness, scim):
    tag = scim.create().response.headers["etag"]
    harness.clock.advance(seconds=1)
    harness.change(users.disable, "ada@corp.example")
    [found] = scim.find("Users", 'userName eq "ada@corp.example"').resources
    assert found["meta"]["version"] != tag


def test_parts_of_a_resource(scim):
    created = scim.create(
        displayName="Ada",
        name={"givenName": "Ada", "familyName": "King"},
        emails=[{"value": "ada@corp.example", "type": "work"}],
        **{ENTERPRISE: {"department": "D", "division": "V"}},
    )
    person = f"Users/{created.id}"

    def parts(**query):
        pairs = "&".join(f"{name}={value}" for name, value in query.items())
        return scim.get(f"{person}?{pairs}").json

    always = {"schemas": [USER, ENTERPRISE], "id": created.id}
    assert parts(attributes="userName") == {**always, "userName": "ada@corp.example"}
    assert parts(attributes="NAME.givenname,emails.value") == {
        **always,
        "name": {"givenName": "Ada"},
        "emails": [{"value": "ada@corp.example"}],
    }
    assert parts(attributes=f"{ENTERPRISE}:department") == {
        **always,
        ENTERPRISE: {"department": "D"},
    }
    assert parts(attributes=f"{USER}:displayName,nowhere")["displayName"] == "Ada"
    less = parts(excludedAttributes=f"id,meta,name.familyName,emails,{ENTERPRISE}")
    assert less == {
        **always,
        "userName": "ada@corp.example",
        "displayName": "Ada",
        "name": {"givenName": "Ada"},
        "active": True,
    }
    change = {"op": "replace", "path": "title", "value": "x"}
    assert scim.patch(f"{person}?attributes=title", change).json == {**always, "title": "x"}


def test_what_the_server_says_of_itself(scim):
    config = scim.get("ServiceProviderConfig").json
    told = {name: it["supported"] for name, it in config.items() if "supported" in (it or {})}
    assert told == {
        "patch": True, "bulk": True, "filter": True, "sort": True, "etag": True,
        "changePassword": False,
    }  # fmt: skip
    assert config["bulk"] == {"supported": True, "maxOperations": 1000, "maxPayloadSize": 1048576}
    assert config["meta"]["location"] == f"{scim.base}/ServiceProviderConfig"
    types = scim.get("ResourceTypes").resources
    assert [(it["id"], it["endpoint"]) for it in types] == [
        ("User", "/Users"),
        ("Group", "/Groups"),
    ]
    schemas = {it["id"]: it for it in scim.get("Schemas").resources}
    assert list(schemas) == [USER, GROUP, ENTERPRISE]
    assert scim.get(f"Schemas/{USER}").json == schemas[USER]
    names = {it["name"] for it in schemas[USER]["attributes"]}
    assert "userName" in names
    assert "password" not in names


def test_a_patch_message_has_its_own_limits(scim):
    person = f"Users/{scim.create().id}"
    change = {"op": "replace", "path": "title", "value": "x"}
    assert scim.patch(person, *[change] * 101).refusal == (413, None, "operations_too_many")
    empty = scim.ask("PATCH", person, {"schemas": [PATCH]})
    assert empty.refusal == (400, "invalidSyntax", "operations_missing")


def test_tokens_are_made_and_revoked_on_record(harness):
    add_connection(harness)
    add_token(harness, "okta")
    [line] = scim_tokens_of(harness)
    assert (line.connection, line.name, line.revoked_at) == ("okta", "directory", None)
    harness.change(scim_tokens.revoke, line.id)
    [line] = scim_tokens_of(harness)
    assert line.revoked_at == harness.clock()
    told = [
        (it["detail"]["what"], it["detail"]["target"])
        for it in harness.events("admin.changed")
        if it["detail"]["what"].startswith("scim_token")
    ]
    assert told == [("scim_token.add", line.id), ("scim_token.revoke", line.id)]


def scim_tokens_of(harness):
    with harness.server.database.read() as tx:
        return scim_tokens.list_(tx, harness.tenant_id)
