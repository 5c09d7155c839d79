"""Groups of a company's directory, and what being in one gives: L5, L6, M3, and no group of another source's."""

import itertools

import pytest
from sqlalchemy import insert, select

from authz.admin import groups, mappings, roles
from authz.db.models import Group, GroupMapping, GroupMember, RoleBinding
from authz.db.models.user import LOCAL, SCIM
from authz.scim.groups import MAX_LISTED_MEMBERS
from tests.support.scim import GROUP, USER, add_connection, directory

READ = "logs.read offline_access"


@pytest.fixture
def scim(harness):
    return directory(harness)


@pytest.fixture
def people(scim):
    """Three of them, by first name."""
    return {name: scim.create(f"{name}@corp.example").id for name in ("ada", "bob", "cyd")}


def members(scim, group_id):
    return {it["value"] for it in scim.get(f"Groups/{group_id}").json["members"]}


def sources(harness, group_id):
    with harness.server.database.read() as tx:
        rows = tx.execute(
            select(GroupMember.user_id, GroupMember.source).where(GroupMember.group_id == group_id)
        )
        return {tuple(it) for it in rows}


def told(harness, start=0):
    """What the trail says of groups: (what, subject)."""
    events = [it for it in harness.events("scim.changed") if "group." in it["detail"]["what"]]
    return [(it["detail"]["what"], it["subject"]) for it in events[start:]]


def test_a_group_is_made_with_its_members(harness, scim, people):
    made = scim.create_group(
        externalId="g-1", members=[{"value": people["ada"], "display": "Ada", "$ref": None}]
    )
    assert made.status == 201
    assert made.id.startswith("grp_")
    assert made.json["members"] == [
        {"value": people["ada"], "$ref": f"{scim.base}/Users/{people['ada']}", "type": "User"}
    ]
    again = scim.get(f"Groups/{made.id}")
    assert again.json == made.json
    assert (made.json["displayName"], made.json["externalId"]) == ("engineering", "g-1")
    assert sources(harness, made.id) == {(people["ada"], SCIM)}
    assert told(harness) == [("group.create", None), ("group.member_add", people["ada"])]
    [shown] = scim.get(f"Users/{people['ada']}").json["groups"]
    assert (shown["value"], shown["display"]) == (made.id, "engineering")
    without = scim.get(f"Groups/{made.id}?excludedAttributes=members").json
    assert "members" not in without


@pytest.mark.parametrize(
    ("body", "refusal"),
    [
        ({}, (400, "invalidValue", "invalid_value")),
        ({"displayName": "grp_x"}, (400, "invalidValue", "group_name_malformed")),
        ({"displayName": "   "}, (400, "invalidValue", "group_name_malformed")),
        ({"displayName": "x" * 255}, (400, "invalidValue", "group_name_malformed")),
        ({"displayName": "x", "members": [{"value": "usr_nobody"}]}, (400, "invalidValue", "member_unknown")),
        ({"displayName": "x", "members": ["usr_a"]}, (400, "invalidValue", "member_malformed")),
        ({"displayName": "x", "members": [{"value": 7}]}, (400, "invalidValue", "member_malformed")),
        ({"displayName": "x", "members": [{"value": "g", "type": "Group"}]}, (400, "invalidValue", "member_not_user")),
        ({"displayName": "x", "members": [], "Members": []}, (400, "invalidSyntax", "attribute_twice")),
    ],
    ids=["nothing", "id", "space", "long", "nobody", "text", "number", "group", "twice"],
)  # fmt: skip
def test_a_group_that_cannot_be_is_refused(scim, body, refusal):
    assert scim.ask("POST", "Groups", {"schemas": [GROUP], **body}).refusal == refusal
    assert scim.get("Groups").json["totalResults"] == 0


def test_a_name_is_one_group(scim):
    made = scim.create_group("engineering")
    taken = (409, "uniqueness", "group_not_unique")
    assert scim.create_group("engineering").refusal == taken
    other = scim.create_group("design")
    rename = {"op": "replace", "path": "displayName", "value": "engineering"}
    assert scim.patch(f"Groups/{other.id}", rename).refusal == taken
    assert scim.get(f"Groups/{made.id}").json["displayName"] == "engineering"


def test_members_come_and_go(harness, scim, people):
    ada, bob, cyd = people.values()
    group = f"Groups/{scim.create_group().id}"
    start = len(told(harness))
    group_id = group.removeprefix("Groups/")

    def after(*operations):
        answer = scim.patch(group, *operations)
        assert (answer.status, answer.response.content) == (204, b"")
        return members(scim, group_id)

    add, remove = {"op": "add", "path": "members"}, {"op": "remove", "path": "members"}
    assert after({**add, "value": [{"value": ada}, {"value": bob}]}) == {ada, bob}
    assert after({**add, "value": [{"value": ada}]}) == {ada, bob}
    assert after({"op": "remove", "path": f'members[value eq "{ada}"]'}) == {bob}
    assert after({**remove, "value": [{"value": bob}]}, {**add, "value": {"value": cyd}}) == {cyd}
    assert after({"op": "replace", "path": "members", "value": [{"value": ada}]}) == {ada}
    assert after({"op": "add", "value": {"members": [{"value": bob}]}}) == {ada, bob}
    assert after(remove) == set()
    assert after({**remove, "value": [{"value": ada}]}) == set()
    put = scim.ask("PUT", group, {"displayName": "engineering", "members": [{"value": cyd}]})
    assert {it["value"] for it in put.json["members"]} == {cyd}
    assert scim.ask("PUT", group, {"displayName": "engineering"}).status == 200
    assert members(scim, group_id) == {cyd}
    scim.ask("PUT", group, {"displayName": "engineering", "members": []})
    assert members(scim, group_id) == set()
    moved = [f"{what.rpartition('_')[2]} {subject}" for what, subject in told(harness, start)]
    assert moved == [
        *sorted([f"add {ada}", f"add {bob}"]),
        f"remove {ada}",
        f"add {cyd}", f"remove {bob}",
        f"add {ada}", f"remove {cyd}",
        f"add {bob}",
        *sorted([f"remove {ada}", f"remove {bob}"]),
        f"add {cyd}", f"remove {cyd}",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("operation", "refusal"),
    [
        ({"op": "add", "path": "members"}, (400, "invalidValue", "member_value_missing")),
        ({"op": "add", "path": "members", "value": None}, (400, "invalidValue", "member_value_missing")),
        ({"op": "replace", "path": "members"}, (400, "invalidValue", "member_value_missing")),
        ({"op": "add", "path": "members", "value": "x"}, (400, "invalidValue", "member_malformed")),
        ({"op": "add", "path": "members[value eq \"x\"]", "value": {}}, (400, "invalidPath", "member_path")),
        ({"op": "replace", "path": "members.value", "value": "x"}, (400, "invalidPath", "member_path")),
        ({"op": "remove", "path": "members[type eq \"User\"]"}, (400, "invalidFilter", "member_filter")),
        ({"op": "remove", "path": "members[value co \"u\"]"}, (400, "invalidFilter", "member_filter")),
        ({"op": "remove", "path": "members["}, (400, "invalidPath", "invalid_path")),
        ({"op": "remove", "path": "displayName"}, (400, "mutability", "mutability")),
        ({"op": "remove"}, (400, "noTarget", "no_target")),
        ({"op": "move", "path": "members"}, (400, "invalidSyntax", "operation_unknown")),
        ({"op": "add", "path": 7, "value": []}, (400, "invalidPath", "path_length")),
        ("remove", (400, "invalidSyntax", "operation_malformed")),
        ({"op": "replace", "path": "meta.version", "value": "x"}, (400, "mutability", "mutability")),
    ],
    ids=[
        "no value", "null", "replace nothing", "text", "selected", "sub-attribute", "by type", "contains", "half",
        "no name", "nothing", "another verb", "number", "no object", "ours",
    ],
)  # fmt: skip
def test_a_change_that_cannot_be_is_refused(scim, people, operation, refusal):
    made = scim.create_group(members=[{"value": people["ada"]}])
    first = {"op": "remove", "path": "members"}
    assert scim.patch(f"Groups/{made.id}", first, operation).refusal == refusal
    assert members(scim, made.id) == {people["ada"]}


def test_hundreds_at_once(scim):
    operations = [
        {"method": "POST", "path": "/Users", "bulkId": str(n), "data": {"userName": f"m{n:03}"}}
        for n in range(600)
    ]
    results = scim.ask("POST", "Bulk", {"Operations": operations}).json["Operations"]
    ids = [it["location"].rpartition("/")[2] for it in results]
    made = scim.create_group(members=[{"value": it} for it in ids])
    assert members(scim, made.id) == set(ids)
    gone = {"op": "remove", "path": "members", "value": [{"value": it} for it in ids[:590]]}
    scim.patch(f"Groups/{made.id}", gone)
    assert members(scim, made.id) == set(ids[590:])


# -- other sources ----------------------------------------------------------------------------------------


def test_what_other_sources_say_stays(harness, scim, people):
    made = scim.create_group(members=[{"value": people["ada"]}, {"value": people["bob"]}])
    harness.change(groups.add_member, group="engineering", user="ada@corp.example")
    harness.change(groups.add_member, group="engineering", user="dev@example.com")
    assert members(scim, made.id) == {people["ada"], people["bob"]}  # its own, and no other
    scim.ask("PUT", f"Groups/{made.id}", {"displayName": "engineering", "members": []})
    kept = {(people["ada"], LOCAL), (harness.users["dev"], LOCAL)}
    assert sources(harness, made.id) == kept
    scim.ask("DELETE", f"Users/{people['ada']}")
    assert sources(harness, made.id) == kept


def test_an_operator_s_group_is_filled_and_not_renamed_or_removed(harness, scim, people):
    own = harness.change(groups.add, name="operators")
    [found] = scim.find("Groups", 'displayName eq "OPERATORS"').resources
    assert found["id"] == own.id
    path = f"Groups/{own.id}"
    add = {"op": "add", "path": "members", "value": [{"value": people["ada"]}]}
    assert scim.patch(path, add).status == 204
    assert members(scim, own.id) == {people["ada"]}
    refused = (403, None, "group_of_operator")
    rename = {"op": "replace", "value": {"id": own.id, "displayName": "admins"}}
    assert scim.patch(path, rename).refusal == refused
    assert scim.ask("DELETE", path).refusal == refused
    same = {"op": "replace", "value": {"id": own.id, "displayName": "operators"}}
    assert scim.patch(path, same).status == 204  # Okta says the name with every change


def test_an_operator_s_group_that_is_removed_can_be_provisioned(harness, scim):
    own = harness.change(groups.add, name="operators")
    named = {"op": "add", "path": "externalId", "value": "g-7"}
    assert scim.patch(f"Groups/{own.id}", named).status == 204
    assert scim.create_group("else", externalId="g-7").refusal[1] == "uniqueness"
    harness.change(groups.remove, group="operators")
    made = scim.create_group("operators", externalId="g-7")
    assert (made.status, made.json["externalId"]) == (201, "g-7")
    assert made.id != own.id


def test_a_group_of_one_connection_is_not_another_s(harness, people):
    add_connection(harness, "okta")
    add_connection(harness, "entra")
    okta, entra = directory(harness, "okta"), directory(harness, "entra")
    made = okta.create_group(externalId="g")
    refused = (403, None, "group_of_other_connection")
    path = f"Groups/{made.id}"
    assert entra.get(path).status == 200
    assert "externalId" not in entra.get(path).json
    assert entra.patch(path, {"op": "remove", "path": "members"}).refusal == refused
    assert entra.ask("PUT", path, {"displayName": "x"}).refusal == refused
    assert entra.ask("DELETE", path).refusal == refused


# -- what it gives ----------------------------------------------------------------------------------------


def scopes_of(harness, answer):
    return set(harness.claims(answer.access_token)["scope"].split())


def test_being_in_a_group_gives_its_roles_with_the_next_token(harness, scim):
    """L5, L6: in gives at the next sign-in, out narrows the next refresh, and cuts nothing."""
    group = f"Groups/{scim.create_group('responders').id}"
    harness.change(roles.bind, role="sre", kind="group", holder="responders")
    dev = harness.users["dev"]
    wish = "logs.read logs.debug.write offline_access"
    assert "logs.debug.write" not in scopes_of(harness, harness.tokens(scope=wish))

    scim.patch(group, {"op": "add", "path": "members", "value": [{"value": dev}]})
    granted = harness.tokens(scope=wish)
    assert "logs.debug.write" in scopes_of(harness, granted)

    scim.patch(group, {"op": "remove", "path": f'members[value eq "{dev}"]'})
    refreshed = harness.refresh(granted.refresh_token)
    assert refreshed.ok
    assert "logs.read" in scopes_of(harness, refreshed)
    assert "logs.debug.write" not in scopes_of(harness, refreshed)


def test_a_deleted_group_takes_its_roles_with_it(harness, scim):
    made = scim.create_group("responders", members=[{"value": harness.users["dev"]}])
    harness.change(roles.bind, role="sre", kind="group", holder="responders")
    granted = harness.tokens(scope="logs.read logs.debug.write offline_access")
    assert "logs.debug.write" in scopes_of(harness, granted)
    add_connection(harness, "okta")
    rule = {"connection": "okta", "claim": "groups", "value": "r", "group": "responders"}
    harness.change(mappings.add, **rule)
    version = harness.tenant().config_version
    assert scim.ask("DELETE", f"Groups/{made.id}").status == 204
    assert harness.tenant().config_version == version + 1
    assert scim.get(f"Groups/{made.id}").status == 404
    refreshed = harness.refresh(granted.refresh_token)
    assert "logs.debug.write" not in scopes_of(harness, refreshed)
    with harness.server.database.read() as tx:
        bound = tx.scalars(select(RoleBinding).where(RoleBinding.subject_id == made.id)).all()
        mapped = tx.scalars(select(GroupMapping).where(GroupMapping.group_id == made.id)).all()
    assert (bound, mapped) == ([], [])
    assert sources(harness, made.id) == set()
    assert told(harness)[-1] == ("group.delete", None)


def test_a_rename_reaches_the_snapshot_when_a_role_is_bound(harness, scim):
    made = scim.create_group("responders")
    rename = {"op": "replace", "path": "displayName", "value": "first responders"}
    version = harness.tenant().config_version
    scim.patch(f"Groups/{made.id}", rename)
    assert harness.tenant().config_version == version
    harness.change(roles.bind, role="sre", kind="group", holder="first responders")
    version = harness.tenant().config_version
    scim.patch(f"Groups/{made.id}", {**rename, "value": "responders"})
    assert harness.tenant().config_version == version + 1


def test_versions_of_a_group(scim, people):
    made = scim.create_group()
    tag = made.response.headers["etag"]
    path = f"Groups/{made.id}"
    add = {"op": "add", "path": "members", "value": [{"value": people["ada"]}]}
    changed = scim.patch(path, add, If_Match=tag)
    newer = changed.response.headers["etag"]
    assert newer != tag
    assert scim.patch(path, add).response.headers["etag"] == newer
    assert scim.patch(path, add, If_Match=tag).refusal == (412, None, "version_outdated")
    shown = scim.patch(f"{path}?attributes=displayName", {"op": "remove", "path": "members"})
    assert (shown.status, shown.json["displayName"]) == (200, "engineering")


def test_a_page_has_not_all_members_of_all_groups(scim, harness):
    """More than a directory reads of one answer: 100 groups of the same 201 people."""
    everybody = [
        harness.add_user(f"p{n}@corp.example") for n in range(MAX_LISTED_MEMBERS // 100 + 1)
    ]
    own = {"tenant_id": harness.tenant_id}
    names = [f"grp_{harness.slug}_{n}" for n in range(100)]
    pairs = itertools.product(names, everybody)
    with harness.server.database.write() as tx:
        made = [{**own, "id": it, "name": it, "created_at": harness.clock()} for it in names]
        tx.execute(insert(Group), made)
        rows = [
            {**own, "group_id": group, "user_id": user, "source": SCIM} for group, user in pairs
        ]
        tx.execute(insert(GroupMember), rows)
    assert scim.get("Groups").refusal == (400, "tooMany", "members_too_many")
    assert scim.get("Groups?excludedAttributes=members").json["totalResults"] == len(names)
    assert len(scim.get("Groups?count=99").json["Resources"]) == 99
    assert len(scim.get(f"Groups/{names[0]}").json["members"]) == len(everybody)


def test_somebody_who_is_disabled_stays_a_member(scim, people):
    made = scim.create_group(members=[{"value": people["ada"]}])
    scim.deactivate(people["ada"])
    assert members(scim, made.id) == {people["ada"]}
    body = {"schemas": [USER], "userName": "ada@corp.example", "active": True}
    scim.ask("PUT", f"Users/{people['ada']}", body)
    assert members(scim, made.id) == {people["ada"]}
    scim.ask("DELETE", f"Users/{people['ada']}")
    assert members(scim, made.id) == set()
