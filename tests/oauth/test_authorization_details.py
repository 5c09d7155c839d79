"""Authorization details: what is read, what narrows, what falls (RAR-01, RAR-02, RAR-04)."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from authz.errors import InvalidAuthorizationDetails
from authz.oauth import authorization_details as rar
from authz.policy.snapshot import Resource, Scope

AT = "https://mcp.example/mcp"
SERVER = Resource(
    id="res_1",
    identifier=AT,
    canonical=AT,
    name="Operations",
    scopes={
        "logs.read": Scope("logs.read", tools=("search_logs",)),
        "incidents.trigger": Scope("incidents.trigger", tools=("trigger_incident", "page_team")),
        "incidents.admin": Scope("incidents.admin", tools=("page_team",)),
    },
)


def detail(tool="trigger_incident", **members):
    made = {"type": "mcp_tool", "locations": [AT], "tool": tool, **members}
    return {name: value for name, value in made.items() if value is not None}


def parse(*details):
    return rar.parse(json.dumps(details), SERVER)


def limit(tool="trigger_incident", **arguments):
    return rar.ToolLimit(AT, tool, {name: tuple(values) for name, values in arguments.items()})


def test_a_detail_is_read_and_written_as_it_was():
    """RAR-02: the shape MCP servers enforce."""
    asked = detail(arguments={"service": ["payments", "search"]})
    assert rar.as_json(parse(asked)) == [asked]
    assert rar.as_json(parse(detail())) == [detail()]
    assert rar.as_json(parse(detail(), detail())) == [detail()]
    assert rar.as_json(parse(detail(arguments={}))) == [detail()]
    assert rar.of_json(rar.as_json(parse(asked))) == parse(asked)
    assert rar.parse(None, SERVER) == ()
    assert rar.as_json(()) is None


@pytest.mark.parametrize(
    "arguments",
    [
        {"a": ["x"]},
        {"a" * 128: ["x" * 256]},
        {"a": [str(n) for n in range(50)]},
        {f"a{n:02}": ["x"] for n in range(20)},
    ],
    ids=["shortest", "longest", "most values", "most arguments"],
)
def test_the_most_that_a_detail_may_say(arguments):
    """RAR-01: at the edge of each bound."""
    assert parse(detail(arguments=arguments))[0].as_json() == detail(arguments=arguments)
    with pytest.raises(InvalidAuthorizationDetails):
        parse(detail(arguments={"a" * 129: ["x"]}))


def test_the_most_that_all_of_them_may_say():
    """RAR-01."""
    made = [detail(arguments={"a": [str(n)]}) for n in range(20)]
    assert len(parse(*made)) == 20
    text = json.dumps([detail()])
    assert rar.parse(text.ljust(rar.MAX_CHARS), SERVER) == parse(detail())
    with pytest.raises(InvalidAuthorizationDetails) as refused:
        rar.parse(text.ljust(rar.MAX_CHARS + 1), SERVER)
    assert refused.value.reason == "details_too_long"


def test_people_read_the_conditions_in_words():
    """RAR-02."""
    made = limit(service=["payments", "search"], at=["now"])
    assert made.conditions == [("service", "payments or search"), ("at", "now")]


def test_the_location_becomes_the_registered_spelling():
    assert parse(detail(locations=["HTTPS://MCP.example:443/mcp"]))[0].location == AT


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "details_not_json"),
        ("{}", "details_not_json"),
        ("null", "details_not_json"),
        ("[", "details_not_json"),
        ("[NaN]", "details_not_json"),
        ("[1e999]", "details_not_json"),
        ("[" * 30 + "]" * 30, "details_not_json"),
        ('[{"type":"mcp_tool","type":"mcp_tool"}]', "details_not_json"),
        ('["\\u0000"]', "details_not_json"),
        ("\ud800", "details_not_json"),
        ("[] []", "details_not_json"),
        ("[]", "details_count"),
        (json.dumps([detail()] * 21), "details_count"),
        (json.dumps([detail(arguments={"a": ["x" * 200] * 30})]), "details_too_long"),
        ("[1]", "details_member"),
        ("[[]]", "details_member"),
        ("[null]", "details_member"),
    ],
    ids=lambda it: repr(it)[:40],
)
def test_what_is_no_list_of_details_is_refused(text, reason):
    """RAR-01: one reading, or none."""
    with pytest.raises(InvalidAuthorizationDetails) as refused:
        rar.parse(text, SERVER)
    assert refused.value.reason == reason


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"type": "payment_initiation"}, "details_type"),
        ({"type": None}, "details_type"),
        ({"type": ["mcp_tool"]}, "details_type"),
        ({"actions": ["call"]}, "details_members"),
        ({"Arguments": {}}, "details_members"),
        ({"tool": None}, "details_members"),
        ({"locations": None}, "details_members"),
        ({"locations": []}, "details_location"),
        ({"locations": AT}, "details_location"),
        ({"locations": [AT, AT]}, "details_location"),
        ({"locations": [1]}, "details_location"),
        ({"locations": ["not a url"]}, "details_location"),
        ({"locations": ["https://other.example/mcp"]}, "details_location"),
        ({"tool": "delete_everything"}, "details_tool"),
        ({"tool": ""}, "details_tool"),
        ({"tool": ["trigger_incident"]}, "details_tool"),
        ({"arguments": []}, "details_arguments"),
        ({"arguments": {"service": "payments"}}, "details_arguments"),
        ({"arguments": {"service": []}}, "details_arguments"),
        ({"arguments": {"service": [1]}}, "details_arguments"),
        ({"arguments": {"service": ["payments", 1]}}, "details_arguments"),
        ({"arguments": {"service": ["payments"], "at": []}}, "details_arguments"),
        ({"arguments": {"service": [True]}}, "details_arguments"),
        ({"arguments": {"service": [""]}}, "details_arguments"),
        ({"arguments": {"service": ["x" * 257]}}, "details_arguments"),
        ({"arguments": {"service": ["a\u202eb"]}}, "details_arguments"),
        ({"arguments": {"service": ["x"] * 51}}, "details_arguments"),
        ({"arguments": {"": ["x"]}}, "details_arguments"),
        ({"arguments": {f"a{n}": ["x"] for n in range(21)}}, "details_arguments"),
    ],
    ids=str,
)
def test_a_detail_that_is_not_understood_is_refused(changes, reason):
    """RAR-01: what somebody wrote as a limit must not turn into none."""
    with pytest.raises(InvalidAuthorizationDetails) as refused:
        parse(detail(**changes))
    assert (refused.value.code, refused.value.reason) == ("invalid_authorization_details", reason)


@pytest.mark.parametrize(
    ("granted", "stands"),
    [
        ({"incidents.trigger"}, True),
        ({"incidents.admin"}, False),
        ({"logs.read"}, False),
        (set(), False),
    ],
)
def test_a_detail_falls_with_its_scope(granted, stands):
    limits = parse(detail())
    assert rar.standing(limits, SERVER, frozenset(granted)) == (limits if stands else ())


def test_a_limit_of_a_tool_that_nobody_declares_any_more_stays():
    """The server may still know the tool; a limit does no harm."""
    limits = (limit("gone"),)
    assert rar.standing(limits, SERVER, frozenset({"logs.read"})) == limits


def test_the_scopes_of_the_tools_that_are_named():
    assert rar.scopes_of(parse(detail()), SERVER) == {"incidents.trigger"}
    assert rar.scopes_of(parse(detail("page_team")), SERVER) == {
        "incidents.trigger",
        "incidents.admin",
    }


HELD = (limit(service=["payments", "search"]), limit("search_logs", level=["error"]))
BOTH = frozenset({"incidents.trigger", "logs.read"})


@pytest.mark.parametrize(
    ("asked", "scopes", "reason"),
    [
        (HELD, BOTH, None),
        ([limit(service=["search"]), HELD[1]], BOTH, None),
        ([limit(service=["search"], team=["sre"]), HELD[1]], BOTH, None),
        ([limit(service=["search"])], {"incidents.trigger"}, None),
        ([limit(service=["search"])], BOTH, "details_dropped"),
        ([limit(service=["search", "billing"]), HELD[1]], BOTH, "details_widened"),
        ([limit(team=["sre"]), HELD[1]], BOTH, "details_widened"),
        ([limit(), HELD[1]], BOTH, "details_widened"),
        ([*HELD, limit("page_team")], BOTH, "details_widened"),
    ],
)
def test_a_refresh_narrows_and_never_widens(asked, scopes, reason):
    """Dropping a limit would be the widest of all."""
    if reason is None:
        assert rar.narrowed(asked, HELD, SERVER, frozenset(scopes)) == tuple(asked)
        return
    with pytest.raises(InvalidAuthorizationDetails) as refused:
        rar.narrowed(asked, HELD, SERVER, frozenset(scopes))
    assert refused.value.reason == reason


def test_nothing_held_is_nothing_to_narrow():
    with pytest.raises(InvalidAuthorizationDetails):
        rar.narrowed([limit()], (), SERVER, BOTH)


names = st.sampled_from(["service", "team", "level"])
values = st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=3, unique=True)
limits = st.builds(
    lambda tool, arguments: limit(tool, **arguments),
    st.sampled_from(["trigger_incident", "search_logs"]),
    st.dictionaries(names, values, max_size=3),
)
calls = st.tuples(
    st.sampled_from(["trigger_incident", "search_logs"]),
    st.dictionaries(names, st.sampled_from(["a", "b", "c", "d"]), max_size=3),
)


def allows(details, call):
    """What an MCP server makes of the claim: the words of the module, spelled independently."""
    tool, arguments = call
    named = [one for one in details if one["tool"] == tool]
    return not named or any(
        all(arguments.get(n) in allowed for n, allowed in one.get("arguments", {}).items())
        for one in named
    )


@settings(deadline=None)
@given(st.lists(limits, min_size=1, max_size=4), st.lists(limits, min_size=1, max_size=4), calls)
def test_a_narrowed_claim_allows_no_call_that_the_held_one_refuses(held, asked, call):
    """RAR-02: whatever is asked for, or it is refused."""
    try:
        narrower = rar.narrowed(asked, held, SERVER, BOTH)
    except InvalidAuthorizationDetails:
        return
    if allows(rar.as_json(narrower), call):
        assert allows(rar.as_json(held), call)


@settings(deadline=None)
@given(st.lists(limits, max_size=4), calls)
def test_a_claim_says_the_same_after_storage(made, call):
    stored = json.loads(json.dumps(rar.as_json(made)))
    again = rar.of_json(stored)
    assert list(again) == made
    assert allows(rar.as_json(again) or [], call) is allows(stored or [], call)


@settings(deadline=None)
@given(st.text() | st.recursive(st.none() | st.text(), st.lists).map(json.dumps))
def test_no_text_does_anything_but_be_read_or_refused(text):
    try:
        found = rar.parse(text, SERVER)
    except InvalidAuthorizationDetails:
        return
    assert all(one.tool in ("search_logs", "trigger_incident", "page_team") for one in found)
