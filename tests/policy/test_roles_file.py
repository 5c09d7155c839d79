from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authz.directory.users import normal_login
from authz.errors import Invalid
from authz.policy.roles_file import BindingEntry, RoleEntry, RolesFile, dump, parse

SHORT = (
    "roles: {developer: [logs.read, analytics.query], "
    "sre: [logs.read, logs.debug.write, incidents.trigger]}"
)


@pytest.mark.parametrize(
    "text",
    [
        SHORT,
        SHORT.removeprefix("roles: "),
        "developer: [logs.read, analytics.query]\nsre: [logs.read, logs.debug.write, incidents.trigger]",
        SHORT.replace(": [", ": {scopes: [").replace("]", "]}"),
    ],
)
def test_the_short_form_is_read_as_it_stands(text):
    assert parse(text) == RolesFile(
        {
            "developer": RoleEntry(scopes=frozenset({"logs.read", "analytics.query"})),
            "sre": RoleEntry(
                scopes=frozenset({"logs.read", "logs.debug.write", "incidents.trigger"})
            ),
        },
        None,
    )


def test_the_full_form():
    file = parse(
        """
        roles:
          developer: [logs.read]
          sre:
            description: >
              Site reliability
            includes: [developer]
            scopes: [logs.debug.write]
            at:
              https://mcp.example/mcp: [incidents.trigger]
        bindings:
          - role: sre
            users: [SRE@Example.com]
            groups: [oncall]
            until: 2026-12-31T01:00:00+01:00
        """
    )
    assert file.roles["sre"] == RoleEntry(
        description="Site reliability",
        includes=frozenset({"developer"}),
        scopes=frozenset({"logs.debug.write"}),
        at={"https://mcp.example/mcp": frozenset({"incidents.trigger"})},
    )
    assert file.bindings == (
        BindingEntry(
            "sre",
            users=frozenset({"sre@example.com"}),
            groups=frozenset({"oncall"}),
            until=datetime(2026, 12, 31, tzinfo=UTC),
        ),
    )


def test_no_roles_has_to_be_said():
    assert parse("roles: {}") == RolesFile({}, None)
    assert parse("roles: {}\nbindings: []") == RolesFile({}, ())


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "the file is empty"),
        ("# nothing", "the file is empty"),
        ("{}", "has no `roles`"),
        ("bindings: []", "has no `roles`"),
        ("- a", "line 1: the file: names with values are expected"),
        ("roles: [a]", "line 1: `roles`: names with values"),
        ("rolse: {a: [b]}", "unknown key 'rolse'; known: bindings, roles"),
        ("roles: {}\nextra: 1", "line 2: the file has the unknown key 'extra'"),
        ("roles:\n  a: [x]\n  a: [y]", "line 3: `roles` has 'a' twice"),
        ("roles:\n  a:\n    scope: [x]", "line 3: the role 'a' has the unknown key 'scope'"),
        ("roles: {a: x}", "line 1: the role 'a': names with values"),
        ("roles: {a: [x, x]}", "name 'x' twice"),
        ("roles: {a: [[x]]}", "a word is expected"),
        ("roles: {a: ['*']}", r"'\*' in the role 'a' is not the name of a scope"),
        ("roles: {a: [openid]}", "'openid' in the role 'a' is not the name of a scope"),
        ("roles: {a: [yes]}", "YAML reads 'yes' as bool; put it in quotes"),
        ("roles: {a: [1.0]}", "YAML reads '1.0' as float"),
        ("roles: {7: [x]}", "YAML reads '7' as int"),
        ("roles: {'a b': [x]}", "'a b' cannot name a role"),
        ("roles: {a: {includes: [b]}}", "'a' includes 'b', which the file does not have"),
        ("roles: {a: {includes: [a]}}", "in a circle: a -> a"),
        (
            "roles: {a: {includes: [b]}, b: {includes: [c]}, c: {includes: [a]}}",
            "in a circle: a -> b -> c -> a",
        ),
        ("roles: {a: {at: {mcp: [x]}}}", "not absolute"),
        ("roles: {a: {at: {https://a.example: []}}}", "names no scope at"),
        ("roles: {a: {at: {https://a.example: [x], https://A.example/: [y]}}}", "twice"),
        ("roles: {a: {description: {}}}", "a word is expected"),
        (f"roles: {{a: {{description: {'x' * 501}}}}}", "500 characters at most"),
        ("roles: {a: [x]}\nbindings: [{users: [u]}]", "line 2: the binding names no `role`"),
        ("roles: {a: [x]}\nbindings: [{role: b, users: [u]}]", "'b', which is not in `roles`"),
        ("roles: {a: [x]}\nbindings: [{role: a}]", "neither `users` nor `groups`"),
        ("roles: {a: [x]}\nbindings: [{role: a, user: [u]}]", "unknown key 'user'"),
        ("roles: {a: [x]}\nbindings: [{role: a, users: u}]", "a list is expected"),
        (
            "roles: {a: [x]}\nbindings: [{role: a, users: [u]}, {role: a, users: [U]}]",
            "the user 'u' is bound to 'a' twice",
        ),
        ("roles: {a: [x]}\nbindings: [{role: a, users: [u], until: soon}]", "'soon'; write date"),
        ("roles: {a: [x]}\nbindings: [{role: a, users: [u], until: 2026-12-31}]", "write date"),
        (
            "roles: {a: [x]}\nbindings: [{role: a, users: [u], until: 2026-12-31T00:00:00}]",
            "time and zone",
        ),
        ("roles: {a: &x [y], b: *x}", "anchors and aliases"),
        ("roles: {a: {<<: {scopes: [x]}}}", "YAML reads '<<' as merge"),
        ("roles: !!python/object/apply:os.system [x]", "names with values"),
        ("roles: {a: !!python/object/apply:os.system [x]}", "a list is expected"),
        ("roles: {a: [!!python/name:os.system x]}", "put it in quotes"),
        ("roles: " + "[" * 5000, "nested too deep"),
        ("roles: {a: [x]", "line 1: not valid YAML"),
        ("roles: {}\n---\nroles: {}", "another document"),
        ("roles: \x00", "not valid YAML"),
        ("roles: {}" + " " * 1_000_000, "1000009 characters"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_place(text, why):
    with pytest.raises(Invalid, match=why):
        parse(text)


def test_a_thousand_levels_of_inclusion_are_refused_without_a_crash():
    levels = ", ".join(f"r{n}: {{includes: [r{n + 1}]}}" for n in range(3000))
    with pytest.raises(Invalid, match="hundreds deep"):
        parse(f"roles: {{{levels}, r3000: [x]}}")


def test_a_doubling_tree_of_aliases_costs_nothing():
    lines = ["a0: &a0 [x]"] + [f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 40)]
    with pytest.raises(Invalid, match="anchors and aliases"):
        parse("\n".join(lines))


names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._:/@-]{0,12}", fullmatch=True)
scopes = st.frozensets(
    st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,12}", fullmatch=True).filter(
        lambda name: name not in {"openid", "profile", "email", "address", "phone"}
    ),
    max_size=4,
)
words = st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "S"]), max_size=20)
urls = st.sampled_from(["https://a.example", "https://b.example/mcp", "http://localhost:8/x"])
zones = st.integers(-12, 12).map(lambda hours: timezone(timedelta(hours=hours)))
moments = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=zones)
holders = st.frozensets(words.filter(bool), max_size=3)
logins = holders.map(lambda found: frozenset(map(normal_login, found))).filter(
    lambda found: all(login and login == normal_login(login) for login in found)
)


@st.composite
def files(draw):
    known = draw(st.lists(names, max_size=5, unique=True))
    roles = {}
    for number, name in enumerate(known):
        earlier = st.sampled_from(known[:number]) if number else st.nothing()
        roles[name] = RoleEntry(
            description=draw(words).strip(),
            includes=draw(st.frozensets(earlier, max_size=2 if number else 0)),
            scopes=draw(scopes),
            at=draw(st.dictionaries(urls, scopes.filter(bool), max_size=2)),
        )
    bindings = None
    if draw(st.booleans()):
        bindings = tuple(
            BindingEntry(name, users, groups, until=draw(st.none() | moments))
            for name in known
            if (users := draw(logins)) | (groups := draw(holders))
        )
    return RolesFile(roles, bindings)


@given(files())
def test_what_is_written_is_read_again(file):
    assert parse(dump(file)) == file


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text):
    try:
        file = parse(text)
    except Invalid:
        return
    assert parse(dump(file)) == file
