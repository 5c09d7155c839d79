"""`attributes` and `excludedAttributes` (RFC 7644 §3.9), without a server."""

import pytest

from authz.scim.errors import ScimError
from authz.scim.schema import ENTERPRISE, USER
from authz.scim.selection import read_selection

WHOLE = {
    "schemas": [USER],
    "id": "u",
    "userName": "ada",
    "name": {"givenName": "Ada", "familyName": "King"},
    "emails": [{"value": "w", "type": "work"}, {"type": "home"}],
    ENTERPRISE: {"department": "D", "manager": {"value": "m", "$ref": "r"}},
    "meta": {"version": "v"},
}
ALWAYS = {"schemas": [USER], "id": "u"}


@pytest.mark.parametrize(
    ("wanted", "left"),
    [
        ("userName", {"userName": "ada"}),
        ("USERNAME, ,", {"userName": "ada"}),
        (["userName", "name.givenName"], {"userName": "ada", "name": {"givenName": "Ada"}}),
        ("name.nothing", {}),
        ("emails.value", {"emails": [{"value": "w"}]}),
        ("emails.type", {"emails": [{"type": "work"}, {"type": "home"}]}),
        (f"{USER}:userName", {"userName": "ada"}),
        (f"{USER}:name.givenName", {"name": {"givenName": "Ada"}}),
        (ENTERPRISE, {ENTERPRISE: WHOLE[ENTERPRISE]}),
        (f"{ENTERPRISE}:department", {ENTERPRISE: {"department": "D"}}),
        (f"{ENTERPRISE}:manager.$ref", {ENTERPRISE: {"manager": {"$ref": "r"}}}),
        ("department", {}),
        ("meta", {"meta": {"version": "v"}}),
        ("userName.x", {"userName": "ada"}),
    ],
    ids=str,
)
def test_what_is_wanted(wanted, left):
    assert read_selection(wanted, None).of(WHOLE, USER) == {**ALWAYS, **left}


@pytest.mark.parametrize(
    ("unwanted", "gone"),
    [
        ("userName", ("userName",)),
        ("schemas,id,meta", ("meta",)),
        ("emails", ("emails",)),
        (ENTERPRISE, (ENTERPRISE,)),
        ("nothing", ()),
    ],
    ids=str,
)
def test_what_is_not_wanted(unwanted, gone):
    left = {name: it for name, it in WHOLE.items() if name not in gone}
    assert read_selection(None, unwanted).of(WHOLE, USER) == left


def test_parts_that_are_not_wanted():
    left = read_selection(None, f"name.familyName,emails.type,{ENTERPRISE}:manager.value")
    assert left.of(WHOLE, USER) == {
        **WHOLE,
        "name": {"givenName": "Ada"},
        "emails": [{"value": "w"}],
        ENTERPRISE: {"department": "D", "manager": {"$ref": "r"}},
    }


@pytest.mark.parametrize(
    ("attributes", "excluded", "needs"),
    [
        (None, None, True),
        ("members", None, True),
        ("members.value", None, True),
        ("displayName", None, False),
        (None, "members", False),
        (None, "members.value", True),
        ("", "", True),
    ],
)
def test_what_has_to_be_looked_up(attributes, excluded, needs):
    assert read_selection(attributes, excluded).needs("members") is needs


@pytest.mark.parametrize(
    ("attributes", "excluded", "reason"),
    [
        ("a", "b", "selection_twice"),
        (7, None, "selection_malformed"),
        (["a", 7], None, "selection_malformed"),
        (None, ",".join("abcdefghij" * 7), "selection_malformed"),
    ],
)
def test_a_wish_that_is_refused(attributes, excluded, reason):
    with pytest.raises(ScimError) as refused:
        read_selection(attributes, excluded)
    assert refused.value.reason == reason
