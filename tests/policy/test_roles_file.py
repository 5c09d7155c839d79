import time
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authz.directory.users import normal_login
from authz.errors import Invalid
from authz.policy import yaml_nodes
from authz.policy.requirements import Requirement, is_acr
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
            requires: {acr: [urn:authz:acr:mfa, phr], max_age: 3600, connection: okta}
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
        requires=Requirement(frozenset({"urn:authz:acr:mfa", "phr"}), 3600, frozenset({"okta"})),
    )
    assert file.bindings == (
        BindingEntry(
            "sre",
            users=frozenset({"sre@example.com"}),
            groups=frozenset({"oncall"}),
            until=datetime(2026, 12, 31, tzinfo=UTC),
        ),
    )
    assert file.bindings[0].until.tzinfo is UTC


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


LIST = "a list is expected here, such as [logs.read, logs.write]"
MAP = "names with values are expected here (`name: value`)"
UNTIL = "write date, time and zone: 2026-12-31T00:00:00Z"
WRITTEN = "roles:\n  a:\n    "
BOUND = "roles: {a: [x]}\nbindings:\n- "


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "the file is empty; `roles: {}` says that there are to be no roles"),
        ("{}", "the file has no `roles`; `roles: {}` says that there are to be none"),
        ("\n- a", f"line 2: the file: {MAP}"),
        ("a: [x]\na: [y]", "line 2: the file has 'a' twice"),
        ("1: [x]", "line 1: a key of the file: YAML reads '1' as int; put it in quotes"),
        ("a: [x]\nb: y", "line 1: the file has the unknown key 'a'; known: bindings, roles"),
        ("roles: [a]", f"line 1: `roles`: {MAP}"),
        (f"{WRITTEN}x", f"line 3: the role 'a': {MAP}"),
        (
            f"{WRITTEN}scope: [x]",
            (
                "line 3: the role 'a' has the unknown key 'scope'; known: "
                "at, description, includes, requires, scopes"
            ),
        ),
        (f"{WRITTEN}- x\n    - x", "line 4: the scopes of the role 'a' name 'x' twice"),
        (f"{WRITTEN}- ''", "line 3: the scopes of the role 'a' hold an empty name"),
        (f"{WRITTEN}- [x]", "line 3: the scopes of the role 'a': a word is expected here"),
        (f"{WRITTEN}scopes: [x, x]", "line 3: the scopes of the role 'a' name 'x' twice"),
        (f"{WRITTEN}scopes: x", f"line 3: the scopes of the role 'a': {LIST}"),
        (
            f"{WRITTEN}- '*'",
            "line 3: '*' in the role 'a' is not the name of a scope; wildcards are not read",
        ),
        (f"{WRITTEN}includes: x", f"line 3: `includes` of the role 'a': {LIST}"),
        (f"{WRITTEN}includes: [b]", "the role 'a' includes 'b', which the file does not have"),
        (f"{WRITTEN}description: []", "line 3: the role 'a': a word is expected here"),
        (
            f"{WRITTEN}description: {'x' * 501}",
            "line 3: the description of the role 'a' has 500 characters at most",
        ),
        (
            f'{WRITTEN}description: "a\\tb"',
            "line 3: the description of the role 'a' has a character that is not printed; use one line",
        ),
        (f"{WRITTEN}requires: x", f"line 3: `requires` of the role 'a': {MAP}"),
        (
            f"{WRITTEN}requires: {{amr: x}}",
            (
                "line 3: `requires` of the role 'a' has the unknown key 'amr'; known: "
                "acr, connection, max_age"
            ),
        ),
        (
            f"{WRITTEN}requires: {{}}",
            (
                "line 3: `requires` of the role 'a': `requires` is an object with some of acr, max_age "
                "and connection"
            ),
        ),
        (
            f"{WRITTEN}requires: {{acr: 1}}",
            "line 3: `acr` in `requires` of the role 'a': YAML reads '1' as int; put it in quotes",
        ),
        (
            f"{WRITTEN}requires: {{acr: {{}}}}",
            f"line 3: `acr` in `requires` of the role 'a': {LIST}",
        ),
        (
            f"{WRITTEN}requires: {{connection: [a, a]}}",
            "line 3: `connection` in `requires` of the role 'a' name 'a' twice",
        ),
        (
            f"{WRITTEN}requires: {{connection: []}}",
            "line 3: `requires` of the role 'a': `connection` in `requires` holds 1 to 20 values",
        ),
        *(
            (
                f"{WRITTEN}requires: {{max_age: {written}}}",
                (
                    f"line 3: `max_age` in `requires` of the role 'a': a whole number is expected here, "
                    f"not '{written}'"
                ),
            )
            for written in ("1.5", "5m", "0300", "0x3c", "1:00", "1_000", "yes")
        ),
        (
            f"{WRITTEN}requires: {{max_age: '60'}}",
            "line 3: `max_age` in `requires` of the role 'a': a whole number is expected here, not '60'",
        ),
        (
            f"{WRITTEN}requires: {{max_age: [60]}}",
            "line 3: `max_age` in `requires` of the role 'a': a whole number is expected here",
        ),
        (
            f"{WRITTEN}requires: {{max_age: -1}}",
            (
                "line 3: `requires` of the role 'a': `max_age` in `requires` is -1; 60 to 31622400 "
                "seconds are possible"
            ),
        ),
        (
            f'{WRITTEN}- "x\\0"',
            "line 3: the scopes of the role 'a': 'x\\x00' has a character that cannot be stored",
        ),
        (
            "roles:\n  a b: [x]",
            "line 2: 'a b' cannot name a role: letters, digits and ._:/@-, 128 at most",
        ),
        (f"{WRITTEN}at: x", f"line 3: `at` of the role 'a': {MAP}"),
        (
            f"{WRITTEN}at: {{mcp: [x]}}",
            "line 3: resource 'mcp' is not absolute; start with the scheme",
        ),
        (
            f"{WRITTEN}at: {{https://a.example: [x, x]}}",
            "line 3: the scopes of the role 'a' at https://a.example name 'x' twice",
        ),
        (
            f"{WRITTEN}at: {{https://a.example: []}}",
            "line 3: the role 'a' names no scope at https://a.example; leave the line out",
        ),
        (
            f"{WRITTEN}at:\n     https://a.example: [x]\n     https://A.example/: [y]",
            "line 5: the role 'a' names the server 'https://A.example/' twice",
        ),
        ("roles: {a: [x]}\nbindings: a", f"line 2: `bindings`: {LIST}"),
        (f"{BOUND}a", f"line 3: a binding: {MAP}"),
        (f"{BOUND}users: [u]", "line 3: the binding names no `role`"),
        (f"{BOUND}role: [a]", "line 3: `role` of a binding: a word is expected here"),
        (f"{BOUND}role: b", "line 3: the binding is for 'b', which is not in `roles`"),
        (
            f"{BOUND}role: a\n  user: [u]",
            "line 4: a binding has the unknown key 'user'; known: clients, groups, role, until, users",
        ),
        (f"{BOUND}role: a\n  users: u", f"line 4: users of the binding of 'a': {LIST}"),
        (f"{BOUND}role: a\n  groups: u", f"line 4: groups of the binding of 'a': {LIST}"),
        (f"{BOUND}role: a\n  clients: u", f"line 4: clients of the binding of 'a': {LIST}"),
        (
            f"{BOUND}role: a",
            "line 3: the binding of 'a' names neither `users` nor `groups` nor `clients`",
        ),
        (
            f"{BOUND}{{role: a, users: [u]}}\n- {{role: a, users: [U]}}",
            "line 4: the user 'u' is bound to 'a' twice",
        ),
        (
            f"{BOUND}{{role: a, groups: [u]}}\n- {{role: a, groups: [u]}}",
            "line 4: the group 'u' is bound to 'a' twice",
        ),
        (
            f"{BOUND}{{role: a, clients: [u]}}\n- {{role: a, clients: [u]}}",
            "line 4: the client 'u' is bound to 'a' twice",
        ),
        (
            f"{BOUND}{{role: a, users: [u], until: soon}}",
            f"line 3: `until` of the binding of 'a' is 'soon'; {UNTIL}",
        ),
        (
            f"{BOUND}{{role: a, users: [u], until: 7}}",
            f"line 3: `until` of the binding of 'a' is ''; {UNTIL}",
        ),
        (
            f"{BOUND}{{role: a, users: [u], until: [x]}}",
            f"line 3: `until` of the binding of 'a' is ''; {UNTIL}",
        ),
        (
            f"{BOUND}{{role: a, users: [u], until: 9999-12-31T23:59:59-01:00}}",
            f"line 3: `until` of the binding of 'a' is '9999-12-31T23:59:59-01:00'; {UNTIL}",
        ),
        ("roles: {a: &x [y]}", "line 1: anchors and aliases (& and *) are not read; write it out"),
        (f"\n\nroles: {'[' * 8}x{']' * 8}", "line 3: nested too deep"),
        (f"roles: {'[' * 7}x{']' * 7}", f"line 1: `roles`: {MAP}"),
        ("roles: !x {a: [y]}", f"line 1: `roles`: {MAP}"),
        ("roles: {a: !x [y]}", f"line 1: the scopes of the role 'a': {LIST}"),
        (f"[{'x, ' * 20}{'[' * 12}{']' * 13}", "line 1: nested too deep"),
        (f"{'[' * 8}x, [x]{']' * 8}", "line 1: nested too deep"),
        ("\na: @x", "line 2: not valid YAML: found character '@' that cannot start any token"),
        ("\nroles: {a: [x]", "line 2: not valid YAML: expected ',' or '}', but got '<stream end>'"),
        (
            "roles: \x00",
            (
                "not valid YAML: unacceptable character #x0000: special characters are not allowed "
                'in "<unicode string>", position 7'
            ),
        ),
        ('roles: "\\UFFFFFFFF"', "not valid YAML: an escape or a number is out of range"),
        ("#" * 1_000_001, "the roles file has 1000001 characters; 1000000 are possible"),
    ],
    ids=lambda text: text[:60],
)
def test_a_refusal_says_where_what_and_what_else(text, sentence):
    """L10: an operator reads this beside the file, and nothing else."""
    with pytest.raises(Invalid) as refused:
        parse(text)
    assert str(refused.value) == sentence


@pytest.mark.parametrize(
    ("text", "name", "role"),
    [
        ("a: [x] #".ljust(1_000_000, "x"), "a", RoleEntry(scopes=frozenset("x"))),
        (f"roles: {{{'a' * 128}: []}}", "a" * 128, RoleEntry()),
        (f"{WRITTEN}description: ' {'x' * 500} '", "a", RoleEntry(description="x" * 500)),
        (
            f"{WRITTEN}at: {{https://A.example: [x]}}",
            "a",
            RoleEntry(at={"https://A.example": frozenset("x")}),
        ),
    ],
    ids=["text", "name", "description", "server"],
)
def test_what_is_just_possible(text, name, role):
    """S3: at each limit, and a server as it was written."""
    assert parse(text).roles == {name: role}


@pytest.mark.parametrize(
    ("file", "text"),
    [
        (RolesFile({}), "roles: {}\n"),
        (RolesFile({}, ()), "roles: {}\nbindings: []\n"),
        (
            RolesFile(
                {"b": RoleEntry(scopes=frozenset({"y", "x"})), "a": RoleEntry()},
            ),
            "roles:\n  a: []\n  b: [x, y]\n",
        ),
        (
            RolesFile(
                {
                    "sre": RoleEntry(
                        description="Bereitschaft für alle",
                        includes=frozenset({"b", "a"}),
                        scopes=frozenset({"y", "x"}),
                        at={
                            "https://b.example": frozenset({"z"}),
                            "https://a.example": frozenset({"y", "x"}),
                        },
                    ),
                    "b": RoleEntry(),
                    "a": RoleEntry(
                        requires=Requirement(frozenset({"q", "p"}), 60, frozenset({"okta"}))
                    ),
                },
                (
                    BindingEntry(
                        "sre",
                        users=frozenset({"v", "u"}),
                        groups=frozenset({"h", "g"}),
                        clients=frozenset({"d", "c"}),
                        until=datetime(2026, 12, 31, 1, tzinfo=timezone(timedelta(hours=1))),
                    ),
                    BindingEntry("sre", groups=frozenset({"i"})),
                ),
            ),
            """\
roles:
  a:
    requires:
      acr: [p, q]
      max_age: 60
      connection: [okta]
  b: []
  sre:
    description: Bereitschaft für alle
    includes: [a, b]
    scopes: [x, y]
    at:
      https://a.example: [x, y]
      https://b.example: [z]
bindings:
- role: sre
  users: [u, v]
  groups: [g, h]
  clients: [c, d]
  until: '2026-12-31T00:00:00Z'
- role: sre
  groups: [i]
""",
        ),
    ],
    ids=["empty", "no bindings", "short", "full"],
)
def test_a_file_is_written_as_a_person_would(file, text):
    """L10: in a fixed order, so that two exports can be compared line by line."""
    assert dump(file) == text
    assert parse(text) == file


def test_a_moment_is_written_in_utc_wherever_this_runs(monkeypatch):
    """L10."""
    until = datetime(2026, 12, 31, 1, tzinfo=timezone(timedelta(hours=1)))
    file = RolesFile({"a": RoleEntry()}, (BindingEntry("a", frozenset({"u"}), until=until),))
    with monkeypatch.context() as patched:
        patched.setenv("TZ", "Asia/Kolkata")
        time.tzset()
        text = dump(file)
    time.tzset()
    assert "until: '2026-12-31T00:00:00Z'" in text


def test_a_file_of_the_longest_length_is_read(monkeypatch):
    """ATK-63."""
    monkeypatch.setattr(yaml_nodes, "MAX_CHARS", 12)
    assert parse("r: [a]".ljust(12)).roles.keys() == {"r"}
    with pytest.raises(Invalid, match=r"^the roles file has 13 characters; 12 are possible$"):
        parse("r: [a]".ljust(13))


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

required = st.none() | st.builds(
    Requirement,
    acr=st.none()
    | st.frozensets(
        st.from_regex(r"[!-~]{1,9}", fullmatch=True).filter(is_acr), min_size=1, max_size=3
    ),
    max_age=st.none() | st.integers(60, 31_622_400),
    connection=st.none() | st.frozensets(st.sampled_from(["local", "okta", "1"]), min_size=1),
).filter(lambda it: it != Requirement())


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
            requires=draw(required),
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
