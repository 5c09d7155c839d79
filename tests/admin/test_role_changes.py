"""One role at a time: the same rules as for a whole file, and nothing else changes (L4)."""

import pytest

from authz.admin import groups, resources, role_changes, role_view, roles, users
from authz.admin.role_matrix import held, matrix
from authz.admin.scopes import NewScope
from authz.errors import Conflict, Invalid, NotFound

URL = "https://mcp.example/mcp"


@pytest.fixture
def server(desk):
    scopes = [NewScope(name="logs.read", risk="read"), NewScope(name="logs.write")]
    return desk.do(resources.add, identifier=URL, name="", owner="", scopes=scopes)


def made(desk, name, **values):
    return desk.do(role_changes.add, name=name, **values)


def entry(desk, name):
    return desk.ask(roles.export).roles[name]


def test_a_role_is_added_described_and_renamed_with_its_holders(desk):
    made(desk, "base", scopes=frozenset({"logs.read"}))
    role = made(desk, "dev", description="Developers", includes=frozenset({"base"}))
    assert entry(desk, "dev").includes == {"base"}
    desk.do(users.add, login="a@x", name="", password_hash=None)
    desk.do(roles.bind, role="dev", kind="user", holder="a@x")
    renamed = desk.do(role_changes.change, "dev", name="developer", description="They develop")
    assert (renamed.id, renamed.includes) == (role.id, ["base"])
    assert entry(desk, "developer").description == "They develop"
    [holder] = desk.ask(role_view.holders, role.id).rows
    assert (holder.kind, holder.name) == ("user", "a@x")
    desk.do(role_changes.change, "developer", includes=frozenset())
    assert entry(desk, "developer").includes == frozenset()
    assert entry(desk, "developer").description == "They develop"


@pytest.mark.parametrize(
    ("values", "error", "sentence"),
    [
        ({"name": "base"}, Conflict, "there is a role 'base' already"),
        ({"name": "a b"}, Invalid, "cannot name a role"),
        ({"name": ""}, Invalid, "cannot name a role"),
        ({"name": "x" * 129}, Invalid, "cannot name a role"),
        ({"name": "x", "description": "a\nb"}, Invalid, "one line"),
        ({"name": "x", "description": "a" * 501}, Invalid, "500 characters"),
        ({"name": "x", "scopes": frozenset({"a b"})}, Invalid, "not the name of a scope"),
        ({"name": "x", "scopes": frozenset({"openid"})}, Invalid, "not the name of a scope"),
        ({"name": "x", "scopes": frozenset({"authz.read"})}, Invalid, "not the name of a scope"),
        ({"name": "x", "includes": frozenset({"none"})}, NotFound, "there is no role 'none'"),
        ({"name": "x", "includes": frozenset({"admin/owner"})}, NotFound, "there is no role"),
    ],
    ids=range(11),
)
def test_what_cannot_be_a_role_is_refused_and_nothing_is_left(desk, values, error, sentence):
    made(desk, "base")
    with pytest.raises(error, match=sentence):
        made(desk, **values)
    assert list(desk.ask(roles.export).roles) == ["base"]


def test_a_circle_is_refused(desk):
    made(desk, "a")
    made(desk, "b", includes=frozenset({"a"}))
    made(desk, "c", includes=frozenset({"b"}))
    with pytest.raises(Invalid, match="in a circle: "):
        desk.do(role_changes.change, "a", includes=frozenset({"c"}))
    with pytest.raises(Invalid, match="circle"):
        desk.do(role_changes.change, "a", includes=frozenset({"a"}))
    assert entry(desk, "a").includes == frozenset()


def test_what_a_role_holds_at_one_server_is_not_what_it_holds_everywhere(desk, server):
    made(desk, "dev", scopes=frozenset({"logs.read"}))
    changed = desk.do(role_changes.set_scopes, "dev", scopes=frozenset({"logs.write"}), server=URL)
    assert (changed.gained, changed.lost) == (["logs.write"], [])
    assert entry(desk, "dev").scopes == {"logs.read"}
    assert entry(desk, "dev").at == {URL: frozenset({"logs.write"})}
    changed = desk.do(role_changes.set_scopes, "dev", scopes=frozenset({"files.read"}))
    assert (changed.gained, changed.lost) == (["files.read"], ["logs.read"])
    with pytest.raises(NotFound, match="there is no MCP server"):
        desk.do(role_changes.set_scopes, "dev", scopes=frozenset(), server="https://x.example")


def test_the_matrix_is_one_change(desk, server):
    for name in ("dev", "ops", "idle"):
        made(desk, name)
    before = desk.configuration().tenant.version
    changed = desk.do(
        role_changes.set_matrix,
        server=server.id,
        roles={"dev": frozenset({"logs.read"}), "ops": frozenset({"logs.write"})},
    )
    assert [(it.role, it.gained) for it in changed] == [
        ("dev", ["logs.read"]),
        ("ops", ["logs.write"]),
    ]
    assert desk.configuration().tenant.version == before + 1
    again = {"dev": frozenset({"logs.read"})}
    assert desk.do(role_changes.set_matrix, server=server.id, roles=again) == []
    assert desk.configuration().tenant.version == before + 1
    with pytest.raises(NotFound):
        desk.do(
            role_changes.set_matrix,
            server=server.id,
            roles={"dev": frozenset(), "none": frozenset()},
        )
    assert entry(desk, "dev").at == {URL: frozenset({"logs.read"})}


def test_the_matrix_says_where_each_scope_is_from(desk, server):
    made(desk, "base", scopes=frozenset({"logs.read"}))
    made(desk, "dev", includes=frozenset({"base"}))
    desk.do(role_changes.set_scopes, "dev", scopes=frozenset({"logs.write", "old"}), server=URL)
    policy = desk.configuration().policy
    found = desk.ask(matrix, policy, server.id)
    cells = {
        (row.name, it.scope): (it.is_here, it.is_everywhere, it.through)
        for row in found.rows.rows
        for it in row.cells
    }
    assert cells == {
        ("base", "logs.read"): (False, True, None),
        ("base", "logs.write"): (False, False, None),
        ("dev", "logs.read"): (False, False, "base"),
        ("dev", "logs.write"): (True, False, None),
    }
    [dev] = [row for row in found.rows.rows if row.name == "dev"]
    assert desk.ask(held, server.id, [dev.id])[dev.id].undeclared == {"old"}
    assert [row.name for row in desk.ask(matrix, policy, server.id, q="DEV").rows.rows] == ["dev"]


def test_a_removed_role_takes_its_bindings_along(desk):
    made(desk, "base")
    made(desk, "dev", includes=frozenset({"base"}))
    for name in ("one", "two"):
        desk.do(groups.add, name=name)
        desk.do(roles.bind, role="base", kind="group", holder=name)
    assert desk.do(role_changes.remove, "base").bindings == 2
    assert list(desk.ask(roles.export).roles) == ["dev"]
    assert entry(desk, "dev").includes == frozenset()
    with pytest.raises(NotFound):
        desk.do(role_changes.remove, "base")


def test_people_are_counted_once_however_they_hold_it(desk):
    role = made(desk, "dev")
    desk.do(groups.add, name="team")
    desk.do(roles.bind, role="dev", kind="group", holder="team")
    for login in ("a@x", "b@x"):
        desk.do(users.add, login=login, name="", password_hash=None)
        desk.do(groups.add_member, group="team", user=login)
    desk.do(roles.bind, role="dev", kind="user", holder="a@x")
    shown = desk.ask(role_view.show, role.id)
    assert (shown.reach, shown.holders) == (2, {"group": 1, "user": 1})
    [line] = desk.ask(role_view.page, q="DE").rows
    assert line.holders == shown.holders


def test_roles_are_paged_by_name(desk):
    for number in range(5):
        made(desk, f"r{number}")
    first = desk.ask(role_view.page, limit=2)
    second = desk.ask(role_view.page, limit=2, after=first.next)
    third = desk.ask(role_view.page, limit=2, after=second.next)
    found = [it.name for part in (first, second, third) for it in part.rows]
    assert found == [f"r{number}" for number in range(5)]
    assert third.next is None


def test_another_tenants_role_is_not_there(desk, make_desk):
    """M1, ATK-68."""
    other = make_desk()
    role = other.do(role_changes.add, name="dev")
    for question in (role_view.show,):
        with pytest.raises(NotFound):
            desk.ask(question, role.id)
    assert desk.ask(role_view.holders, role.id).rows == []
    with pytest.raises(NotFound):
        desk.do(role_changes.remove, "dev")
