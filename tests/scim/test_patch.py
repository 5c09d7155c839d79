"""PATCH without a database: what a document and the members of a group are afterwards (RFC 7644 §3.5.2, M3)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authz.scim.errors import ScimError
from authz.scim.patch import MemberChange, patch_group, patch_user
from authz.scim.schema import ENTERPRISE

BEFORE = {
    "userName": "ada",
    "active": True,
    "name": {"givenName": "Ada", "familyName": "King"},
    "emails": [
        {"value": "w@corp.example", "type": "work", "primary": True},
        {"value": "h@corp.example", "type": "home"},
    ],
    ENTERPRISE: {"department": "D", "manager": {"value": "m"}},
}
WORK, HOME = BEFORE["emails"]


def op(op_, path=None, *value):
    made = {"op": op_}
    if path is not None:
        made["path"] = path
    if value:
        made["value"] = value[0]
    return made


@pytest.mark.parametrize(
    ("operations", "changed"),
    [
        ([op("replace", "active", False)], {"active": False}),
        ([op("Replace", "active", "False")], {"active": False}),
        ([op("replace", "active", "TRUE")], {}),
        ([op("replace", None, {"active": False})], {"active": False}),
        ([op("add", None, {"Active": False})], {"active": False}),
        ([op("add", "title", "x")], {"title": "x"}),
        ([op("add", "title", "x"), op("remove", "title")], {}),
        ([op("replace", "name.givenName", "B")], {"name": {"givenName": "B", "familyName": "King"}}),
        ([op("replace", "name", {"givenName": "B"})], {"name": {"givenName": "B", "familyName": "King"}}),
        ([op("replace", None, {"name.familyName": "B"})], {"name": {"givenName": "Ada", "familyName": "B"}}),
        ([op("remove", "name")], {"name": None}),
        ([op("remove", "name.givenName")], {"name": {"familyName": "King"}}),
        ([op("replace", 'emails[type eq "work"].value', "x@y")], {"emails": [{**WORK, "value": "x@y"}, HOME]}),
        ([op("add", 'emails[type eq "other"].value', "o@y")],
         {"emails": [WORK, HOME, {"value": "o@y", "type": "other"}]}),
        ([op("remove", 'emails[type eq "home"]')], {"emails": [WORK]}),
        ([op("remove", 'emails[value co "corp"]')], {"emails": None}),
        ([op("remove", "emails", [{"value": "h@corp.example"}])], {"emails": [WORK]}),
        ([op("remove", 'emails[type eq "pager"]')], {}),
        ([op("add", 'emails[type eq "work"].colour', "x")], {}),
        ([op("replace", "emails", [HOME])], {"emails": [HOME]}),
        ([op("add", "emails", [{"value": "n@y", "primary": True}])],
         {"emails": [{**WORK, "primary": False}, HOME, {"value": "n@y", "primary": True}]}),
        ([op("add", "emails", [WORK])], {}),
        ([op("replace", f"{ENTERPRISE}:department", "E")],
         {ENTERPRISE: {"department": "E", "manager": {"value": "m"}}}),
        ([op("replace", None, {ENTERPRISE: {"department": "E"}})],
         {ENTERPRISE: {"department": "E", "manager": {"value": "m"}}}),
        ([op("remove", ENTERPRISE)], {ENTERPRISE: None}),
        ([op("replace", None, {"id": "x", "meta": {}, "schemas": [], "groups": [], "title": "x"})], {"title": "x"}),
        ([op("replace", "password", "x"), op("add", ["nothing", "like", "it"][0], 1)], {}),
        ([op("replace", None, {"password": "x", "urn:x:y:z": {"a": 1}})], {}),
        ([op("add", "externalId", "e")], {"externalId": "e"}),
        ([op("remove", "externalId")], {}),
    ],
)  # fmt: skip
def test_a_user_afterwards(operations, changed):
    expected = {name: it for name, it in {**BEFORE, **changed}.items() if it is not None}
    assert patch_user(BEFORE, {"Operations": operations}) == expected


@pytest.mark.parametrize(
    ("operations", "reason"),
    [
        ([op("remove", "userName")], "mutability"),
        ([op("replace", "userName", None)], "mutability"),
        ([op("remove", "active")], "mutability"),
        ([op("replace", "id", "x")], "mutability"),
        ([op("add", "groups", [{"value": "g"}])], "mutability"),
        ([op("replace", "meta.created", "x")], "mutability"),
        ([op("replace", "active", 0)], "invalid_value"),
        ([op("replace", "active", "no")], "invalid_value"),
        ([op("replace", "userName", 7)], "invalid_value"),
        ([op("replace", "emails", "x@y")], "invalid_value"),
        ([op("replace", "name", "x")], "invalid_value"),
        ([op("add", "title")], "invalid_value"),
        ([op("add", "title", None)], "invalid_value"),
        ([op("replace", "title")], "invalid_value"),
        ([op("add", "emails", [{"value": "a", "primary": True}, {"value": "b", "primary": True}])], "invalid_value"),
        ([op("add", 'emails[type co "nothing"].value', "x")], "no_target"),
        ([op("remove")], "no_target"),
        ([op("replace", "emails[", "x")], "invalid_path"),
        ([op("replace", "a b", "x")], "invalid_path"),
        ([op("replace", "x" * 600, "x")], "path_length"),
        ([op("replace", "", "x")], "path_length"),
        ([op("add", 'emails[type eq "\\u0000"].value', "x@y")], "text_not_storable"),
        ([op("add", 'emails[type eq "\\ud800"].value', "x@y")], "invalid_value"),
        ([op("add", "externalId", "x" * 513)], "external_id_length"),
        ([op("add", "title", "x" * 33_000)], "resource_too_large"),
        ([op("copy", "title", "x")], "operation_unknown"),
        ([{"path": "title"}], "operation_unknown"),
        ([{"op": "add", "OP": "add"}], "attribute_twice"),
        (["x"], "operation_malformed"),
        ([], "operations_missing"),
        ("x", "operations_missing"),
    ],
)  # fmt: skip
def test_a_change_of_a_user_that_is_refused(operations, reason):
    if operations and isinstance(operations, list):
        operations = [op("add", "title", "first"), *operations]
    with pytest.raises(ScimError) as refused:
        patch_user(BEFORE, {"Operations": operations})
    assert refused.value.reason == reason
    assert refused.value.detail.isprintable()
    assert "pydantic" not in refused.value.detail


def ids(*names):
    return frozenset(names)


def member(*names):
    return [{"value": it} for it in names]


@pytest.mark.parametrize(
    ("operations", "after"),
    [
        ([op("add", "members", member("c"))], ids("a", "b", "c")),
        ([op("add", "members", {"value": "c"})], ids("a", "b", "c")),
        ([op("Add", "MEMBERS", member("a"))], ids("a", "b")),
        ([op("add", None, {"members": member("c")})], ids("a", "b", "c")),
        ([op("replace", None, {"Members": member("c")})], ids("c")),
        ([op("replace", "members", member("c"))], ids("c")),
        ([op("replace", "members", [])], ids()),
        ([op("replace", "members", None)], ids()),
        ([op("remove", "members")], ids()),
        ([op("remove", "members", None)], ids("a", "b")),
        ([op("remove", "members", [])], ids("a", "b")),
        ([op("remove", "members", member("a", "z"))], ids("b")),
        ([op("remove", 'members[value eq "a"]')], ids("b")),
        ([op("remove", 'members[value eq "a" or value eq "b"]')], ids()),
        ([op("remove", 'urn:ietf:params:scim:schemas:core:2.0:Group:members[value eq "a"]')], ids("b")),
        ([op("remove", "members"), op("add", "members", member("a"))], ids("a")),
        ([op("add", "members", member("c")), op("remove", "members", member("c"))], ids("a", "b")),
        ([op("remove", "members", member("a")), op("add", "members", member("a"))], ids("a", "b")),
    ],
)  # fmt: skip
def test_who_is_in_a_group_afterwards(operations, after):
    document, change = patch_group({"displayName": "g"}, {"Operations": operations})
    assert document == {"displayName": "g"}
    assert change.of(ids("a", "b")) == after


def test_a_group_and_its_members_in_one_message():
    value = {"id": "grp_x", "displayName": "new", "externalId": "e", "members": member("c")}
    document, change = patch_group(
        {"displayName": "g"}, {"operations": [op("replace", None, value)]}
    )
    assert document == {"displayName": "new", "externalId": "e"}
    assert change == MemberChange.exactly(ids("c"))


NAMES = st.frozensets(st.sampled_from("abcd"), max_size=4)
STEPS = st.lists(st.tuples(st.sampled_from(["adding", "removing", "exactly"]), NAMES), max_size=6)


@given(NAMES, STEPS)
def test_many_steps_are_one_change(current, steps):
    """The change that is kept says the same as the steps, one after the other."""
    change, after = MemberChange(), current
    for name, names in steps:
        change = getattr(change, name)(names)
        after = {"adding": after | names, "removing": after - names, "exactly": names}[name]
    assert change.of(current) == after
