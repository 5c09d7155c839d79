from datetime import timedelta

import pytest

from authz.admin import groups, resources, roles, scopes, users
from authz.admin.conditions import ANY_SIGN_IN
from authz.admin.roles_import import import_file
from authz.admin.scopes import NewScope
from authz.db.models import Tenant
from authz.directory.assurance import PASSWORD, Authentication
from authz.errors import Invalid, NotFound
from authz.policy import Reason, Subject, decide
from authz.policy.requirements import Requirement
from authz.policy.roles_file import dump, parse
from authz.policy.snapshot import HeldRole
from tests.support.connections import connection

URL = "https://mcp.example/mcp"
OTHER = "https://other.example/mcp"
SHORT = (
    "roles: {developer: [logs.read, analytics.query], "
    "sre: [logs.read, logs.debug.write, incidents.trigger]}"
)
FULL = """
roles:
  developer: [logs.read, analytics.query]
  sre:
    description: Site reliability
    includes: [developer]
    scopes: [logs.debug.write]
    at:
      https://mcp.example/mcp: [incidents.trigger]
    requires: {max_age: 3600, connection: local}
bindings:
  - role: sre
    users: [sre@example.com]
    groups: [oncall]
    until: 2026-12-31T00:00:00Z
"""
FIVE = frozenset(
    {"logs.read", "analytics.query", "logs.debug.write", "incidents.trigger", "admin.all"}
)


@pytest.fixture(autouse=True)
def place(desk):
    for url in (URL, OTHER):
        declared = [NewScope(name=name) for name in sorted(FIVE)]
        desk.do(resources.add, identifier=url, name="", scopes=declared)
    desk.do(users.add, login="sre@example.com", name="", password_hash=None)
    desk.do(groups.add, name="oncall")


def load(desk, text):
    return desk.do(import_file, parse(text))


def granted(desk, role, url=URL, *, at=0):
    """What somebody of this role gets, by a password this many seconds ago; None: nobody signed in."""
    policy = desk.configuration().policy
    id_ = next(r.id for r in policy.roles.values() if r.name == role)
    return decide(
        policy,
        Subject(
            "usr_x",
            roles=(HeldRole(id_),),
            authentication=None
            if at is None
            else Authentication(desk.now - timedelta(seconds=at), PASSWORD),
        ),
        policy.find_resource(url),
        client="cli_x",
        requested=FIVE,
        ceilings=(),
        now=desk.now,
    )


def version(desk):
    return desk.sql(lambda tx: tx.get_one(Tenant, desk.tenant_id).config_version)


@pytest.mark.parametrize("text", [SHORT, SHORT.removeprefix("roles: ")])
def test_the_short_form_means_what_it_says(desk, text):
    diff = load(desk, text)
    assert (diff.added, diff.removed, diff.changed) == (["developer", "sre"], [], [])
    assert granted(desk, "developer").granted == {"logs.read", "analytics.query"}
    assert granted(desk, "sre").granted == {"logs.read", "logs.debug.write", "incidents.trigger"}
    assert granted(desk, "sre", OTHER).granted == granted(desk, "sre").granted
    assert granted(desk, "developer").removed["admin.all"] is Reason.ROLE_MISSING


def test_the_full_form_includes_and_places(desk):
    load(desk, FULL)
    assert set(granted(desk, "sre", at=None).removed.values()) == {
        Reason.ROLE_MISSING,
        Reason.CONNECTION_NOT_ALLOWED,
    }
    here = granted(desk, "sre")
    assert here.granted == FIVE - {"admin.all"}
    assert here.sources["logs.read"] == "role sre (includes developer)"
    assert "incidents.trigger" not in granted(desk, "sre", OTHER).granted
    line = desk.ask(roles.list_)[1]
    assert line.scopes == ["logs.debug.write", f"incidents.trigger at {URL}"]
    assert (line.users, line.groups) == (["sre@example.com"], ["oncall"])
    assert line.requires == Requirement(max_age=3600, connection=frozenset({"local"}))


def test_export_and_import_again_change_nothing(desk):
    load(desk, FULL)
    before = version(desk)
    text = dump(desk.ask(roles.export))
    assert parse(text) == parse(FULL)
    assert load(desk, text).is_empty
    assert version(desk) == before, "nothing changed, so nothing is reloaded or recorded"


def test_a_role_that_keeps_its_name_keeps_its_id_and_holders(desk):
    load(desk, FULL)
    ids = {line.name: line.id for line in desk.ask(roles.list_)}
    diff = load(desk, "roles: {sre: [logs.read], analyst: [analytics.query]}")
    assert (diff.added, diff.removed) == (["analyst"], ["developer"])
    (change,) = diff.changed
    assert change.name == "sre"
    assert change.gained == ["logs.read"]
    assert change.lost == [
        f"incidents.trigger at {URL}",
        "includes developer",
        "logs.debug.write",
        "requires signed in 3600 seconds ago at most, through local",
    ]
    assert change.description_changed
    after = {line.name: line for line in desk.ask(roles.list_)}
    assert after["sre"].id == ids["sre"]
    assert after["sre"].users == ["sre@example.com"], "the file says nothing about bindings"
    assert granted(desk, "sre").granted == {"logs.read"}


def test_a_removed_role_takes_its_bindings_along_and_says_so(desk):
    load(desk, FULL)
    diff = load(desk, "roles: {developer: [logs.read]}")
    assert sorted(f"{line.kind} {line.holder}" for line in diff.unbound) == [
        "group oncall",
        "user sre@example.com",
    ]
    assert desk.ask(roles.export).bindings == ()


def test_bindings_are_replaced_if_the_file_has_any(desk):
    load(desk, FULL)
    diff = load(
        desk, FULL.partition("bindings:")[0] + "bindings: [{role: developer, groups: [oncall]}]"
    )
    assert [str(line) for line in diff.bound] == ["developer for the group oncall"]
    assert len(diff.unbound) == 2
    assert load(desk, FULL.partition("bindings:")[0] + "bindings: []").bound == []
    assert desk.ask(roles.export).bindings == ()


def test_a_new_end_replaces_the_binding(desk):
    load(desk, FULL)
    diff = load(desk, FULL.replace("2026-12-31", "2027-12-31"))
    assert len(diff.bound) == len(diff.unbound) == 2
    (binding,) = desk.ask(roles.export).bindings
    assert binding.until.year == 2027


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("roles: {a: {at: {https://no.example: [x]}}}", "'https://no.example', which is not reg"),
        (
            "roles: {a: {scopes: [x], requires: {connection: [local, okta]}}}",
            "no connection 'okta' to require; there are: local$",
        ),
        ("roles: {a: [x]}\nbindings: [{role: a, users: [no@x]}]", "users that do not exist: no@x"),
        ("roles: {a: [x]}\nbindings: [{role: a, groups: [ops]}]", "groups that do not exist: ops"),
    ],
)
def test_a_file_that_names_what_is_not_there_changes_nothing(desk, text, why):
    load(desk, SHORT)
    before = version(desk)
    with pytest.raises(NotFound, match=why):
        load(desk, text)
    assert version(desk) == before
    assert [line.name for line in desk.ask(roles.list_)] == ["developer", "sre"]


def test_scopes_that_nothing_declares_are_warned_of(desk):
    diff = load(desk, f"roles: {{a: {{scopes: [logs.raed], at: {{{URL}: [nope]}}}}}}")
    assert [warning.split(",")[0] for warning in diff.warnings] == [
        "no MCP server declares 'logs.raed'",
        f"{URL} does not declare 'nope'",
    ]


def test_a_server_may_be_spelled_differently_and_is_the_same(desk):
    load(desk, f"roles: {{a: {{at: {{{URL}: [logs.read]}}}}}}")
    again = "roles: {a: {at: {'https://MCP.example:443/mcp': [logs.read]}}}"
    assert load(desk, again).is_empty


def test_a_requirement_of_a_role_is_imported_changed_and_taken_away(desk):
    """S15: by a file or by itself; the file tells both."""
    desk.sql(lambda tx: tx.add(connection(desk.tenant_id, "okta", desk.now)))
    load(desk, SHORT)
    diff = load(
        desk,
        SHORT.replace("[logs.read, a", "{requires: {max_age: 60}, scopes: [logs.read, a").replace(
            "], sre", "]}, sre"
        ),
    )
    (change,) = diff.changed
    assert change.gained == ["requires signed in 60 seconds ago at most"]
    assert change.lost == []
    assert granted(desk, "developer", at=60).granted == {"logs.read", "analytics.query"}
    assert granted(desk, "developer", at=61).removed["logs.read"] == "authentication_too_old"
    required = Requirement(frozenset({"phr"}), None, frozenset({"okta", "local"}))
    assert desk.do(roles.require, role="developer", required=required) == required
    assert granted(desk, "developer").removed["logs.read"] == "acr_insufficient"
    assert desk.ask(roles.export).roles["developer"].requires == required
    assert load(desk, dump(desk.ask(roles.export))).is_empty
    unknown = Requirement(connection=frozenset({"entra"}))
    with pytest.raises(
        NotFound, match=r"no connection 'entra' to require; there are: local, okta$"
    ):
        desk.do(roles.require, role="developer", required=unknown)
    with pytest.raises(NotFound, match="no role 'nope'"):
        desk.do(roles.require, role="nope", required=required)
    assert desk.do(roles.require, role="developer", required=ANY_SIGN_IN) is None
    assert desk.ask(roles.export).roles["developer"].requires is None
    assert granted(desk, "developer", at=None).granted == {"logs.read", "analytics.query"}


def test_a_role_is_bound_until_a_moment(desk):
    load(desk, SHORT)
    end = desk.now + timedelta(days=1)
    given = {"role": "sre", "kind": "user", "holder": "SRE@example.com"}
    assert desk.do(roles.bind, **given, until=end).expires_at == end
    assert desk.do(roles.bind, **given).expires_at is None
    (binding,) = desk.ask(roles.export).bindings
    assert (binding.users, binding.until) == ({"sre@example.com"}, None)
    with pytest.raises(Invalid, match="in the past"):
        desk.do(roles.bind, **given, until=desk.now)
    desk.do(roles.unbind, **given)
    with pytest.raises(NotFound, match="does not hold the role"):
        desk.do(roles.unbind, **given)


def test_a_group_gives_its_role_to_policy(desk):
    load(desk, SHORT)
    desk.do(roles.bind, role="sre", kind="group", holder="oncall")
    policy = desk.configuration().policy
    assert list(policy.groups.values()) == ["oncall"]
    with pytest.raises(NotFound, match="no role 'nope'"):
        desk.do(roles.bind, role="nope", kind="group", holder="oncall")


def test_a_removed_scope_names_the_roles_that_would_hold_it_again(desk):
    load(desk, FULL)
    server = desk.ask(resources.load, URL).id
    assert desk.do(scopes.remove_scope, server, "incidents.trigger") == ["sre"]
    assert desk.do(scopes.remove_scope, server, "logs.read") == ["developer"]
    assert desk.do(scopes.remove_scope, server, "admin.all") == []


def test_many_roles_and_bindings_are_one_import(desk):
    people = [f"p{n}@x" for n in range(600)]

    def add_people(tx, operator, tenant_id):
        for login in people:
            users.add(tx, operator, tenant_id, login=login, name="", password_hash=None)

    desk.do(add_people)
    names = ", ".join(people)
    text = "roles: {" + ", ".join(f"r{n}: [a, b, c]" for n in range(50)) + "}"
    diff = load(desk, f"{text}\nbindings: [{{role: r0, users: [{names}]}}]")
    assert (len(diff.added), len(diff.bound)) == (50, 600)
