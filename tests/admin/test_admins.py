"""Who administers, what each role may, and that nobody borrows a greater one (V3; features.md section 1.3)."""

from dataclasses import replace
from datetime import timedelta

import pytest

from authz.admin import admins, clients, groups, keys, roles, scopes, tenants, users
from authz.admin import resources as servers
from authz.admin.client_metadata import Registration
from authz.admin.operator import FRESH_FOR, Operator
from authz.admin.roles_import import import_file
from authz.admin.scopes import NewScope
from authz.directory.assurance import Authentication
from authz.errors import Conflict, Forbidden, Invalid, NotFound, StaleSignIn
from authz.policy import Reason, Subject, client_ceiling, decide
from authz.policy.administration import ADMIN_ID, ADMIN_ROLES, FRESH, Permission
from authz.policy.roles_file import parse
from authz.policy.snapshot import HeldRole

CI = Registration(name="ci", auth_method="client_secret_basic", grant_types=("client_credentials",))
URL = "https://logs.example.com/mcp"
HASH = "$argon2id$not-a-real-one"


def person(desk, login, *roles_, group=None):
    found = desk.do(users.add, login=login, name="", password_hash=None)
    for role in roles_:
        desk.do(admins.grant, role=role, kind="user", holder=login)
    return found


def acting(desk, role, *, signed_in=timedelta(0), **more):
    """Somebody with one admin role, as an operation sees them."""
    return Operator(
        f"console:{role}",
        desk.now,
        desk.services.envelope,
        ADMIN_ROLES[role].permissions,
        user_id="usr_somebody",
        home=desk.slug,
        authenticated_at=desk.now - signed_in,
        **more,
    )


def do_as(desk, operator, operation, *args, **kwargs):
    with desk.services.database.write() as tx:
        return operation(tx, operator, desk.tenant_id, *args, **kwargs)


def permissions(desk, user_id, *, group_ids=(), is_client=False, ceilings=()):
    policy = desk.configuration().policy
    resource = policy.resources[ADMIN_ID]
    subject = Subject(
        id=user_id,
        authentication=None if is_client else Authentication(desk.now),
        groups=frozenset(group_ids),
    )
    return decide(
        policy,
        subject,
        resource,
        client="console",
        requested=frozenset(resource.scopes),
        ceilings=ceilings,
        now=desk.now,
    )


def test_an_admin_role_gives_its_permissions_and_no_others(desk):
    auditor = person(desk, "auditor@example.com", "auditor")
    decision = permissions(desk, auditor.id)
    assert decision.granted == {"authz.read", "authz.audit.read"}
    assert decision.sources["authz.read"] == "role admin/auditor"
    assert decision.removed["authz.policy.write"] is Reason.ROLE_MISSING


def test_whoever_holds_none_administers_nothing(desk):
    nobody = person(desk, "nobody@example.com")
    assert permissions(desk, nobody.id).granted == frozenset()


def test_a_group_may_administer_and_is_named(desk):
    member = person(desk, "member@example.com")
    group = desk.do(groups.add, name="platform")
    desk.do(admins.grant, role="operator", kind="group", holder="platform")
    decision = permissions(desk, member.id, group_ids=[group.id])
    assert decision.sources["authz.clients.write"] == "role admin/operator through group platform"
    assert permissions(desk, member.id).granted == frozenset()


def test_a_binding_ends_by_the_clock(desk):
    found = person(desk, "temp@example.com")
    until = desk.now + timedelta(hours=1)
    desk.do(admins.grant, role="owner", kind="user", holder=found.login, until=until)
    assert "authz.keys.write" in permissions(desk, found.id).granted
    desk.wait(hours=1)
    decision = permissions(desk, found.id)
    assert decision.granted == frozenset()
    assert decision.removed["authz.keys.write"] is Reason.ROLE_EXPIRED


def test_a_client_is_not_taken_for_a_person_nor_a_person_for_a_client(desk):
    owner = person(desk, "owner@example.com", "owner")
    assert permissions(desk, owner.id, is_client=True).granted == frozenset()
    desk.do(clients.add, CI, client_id="ci")
    desk.do(admins.grant, role="auditor", kind="client", holder="ci")
    assert permissions(desk, "ci", is_client=True).granted
    assert permissions(desk, "ci").granted == frozenset()


@pytest.mark.parametrize("ceiling", [None, frozenset(), frozenset({"logs.read"})])
def test_a_client_that_is_not_told_so_is_no_tool_of_administration(desk, ceiling):
    """ATK-38: an owner's consent to a stranger's client opens nothing."""
    owner = person(desk, "owner@example.com", "owner")
    resource = desk.configuration().policy.resources[ADMIN_ID]
    decision = permissions(desk, owner.id, ceilings=(client_ceiling(ceiling, resource),))
    assert decision.granted == frozenset()
    assert set(decision.removed.values()) == {Reason.CLIENT_CEILING}


def test_a_client_has_what_its_ceiling_names(desk):
    owner = person(desk, "owner@example.com", "owner")
    resource = desk.configuration().policy.resources[ADMIN_ID]
    bound = client_ceiling(frozenset({"authz.read"}), resource)
    assert permissions(desk, owner.id, ceilings=(bound,)).granted == {"authz.read"}


def test_only_the_tenant_at_the_base_administers_tenants(desk):
    owner = person(desk, "owner@example.com", "owner")
    assert "authz.tenants.write" not in permissions(desk, owner.id).granted
    policy = desk.configuration().policy
    assert str(Permission.TENANTS_WRITE) not in policy.resources[ADMIN_ID].scopes


def test_the_administration_is_nobodys_default_server(desk):
    assert desk.configuration().policy.default_resource is None


def test_no_ordinary_role_reaches_the_administration(desk):
    """A policy author who writes the scope into a role, at every server or at this address, gets nothing."""
    author = person(desk, "author@example.com")
    roles_ = parse("roles: {sly: [authz.admins.write]}")
    desk.do(import_file, roles_)
    desk.do(roles.bind, role="sly", kind="user", holder=author.login)
    held = desk.configuration().policy
    role = next(it for it in held.roles.values() if it.name == "sly")
    decision = decide(
        held,
        Subject(id=author.id, authentication=Authentication(desk.now), roles=(HeldRole(role.id),)),
        held.resources[ADMIN_ID],
        client="console",
        requested=frozenset({"authz.admins.write"}),
        ceilings=(),
        now=desk.now,
    )
    assert decision.removed == {"authz.admins.write": Reason.ROLE_MISSING}


def test_no_server_declares_a_scope_that_looks_like_administration(desk):
    with pytest.raises(Invalid, match="begins like the scopes of administration"):
        desk.do(
            servers.add, identifier=URL, name="", owner="", scopes=[NewScope(name="authz.read")]
        )


@pytest.mark.parametrize("role", [name for name in ADMIN_ROLES if name != "owner"])
def test_no_role_but_the_owner_says_who_administers(desk, role):
    person(desk, "friend@example.com")
    with pytest.raises(Forbidden) as refused:
        do_as(
            desk, acting(desk, role), admins.grant,
            role="owner", kind="user", holder="friend@example.com",
        )  # fmt: skip
    assert refused.value.permission == Permission.ADMINS_WRITE
    assert desk.ask(admins.list_) == []


DUTIES = {
    "roles": (roles.bind, (), {"role": "r", "kind": "user", "holder": "dev@example.com"}),
    "keys": (keys.rotate, ([],), {"publish_ahead": FRESH_FOR, "longest_token": FRESH_FOR}),
    "users": (users.disable, ("dev@example.com",), {}),
}


@pytest.mark.parametrize(
    ("role", "duty"),
    [
        ("auditor", "roles"),
        ("key-custodian", "roles"),
        ("help-desk", "roles"),
        ("operator", "roles"),
        ("policy-author", "keys"),
        ("auditor", "keys"),
        ("key-custodian", "users"),
        ("policy-author", "users"),
    ],
)
def test_duties_are_separate(desk, role, duty):
    operation, args, named = DUTIES[duty]
    person(desk, "dev@example.com")
    with pytest.raises(Forbidden, match="which the admin roles"):
        do_as(desk, acting(desk, role), operation, *args, **named)


def test_nobody_writes_policy_and_approves_it():
    for role in ADMIN_ROLES.values():
        both = {Permission.POLICY_WRITE, Permission.POLICY_APPROVE} <= role.permissions
        assert both == (role.name == "owner")


@pytest.mark.parametrize("permission", sorted(FRESH))
def test_trust_keys_and_roles_take_a_fresh_sign_in(desk, permission):
    operator = replace(
        acting(desk, "owner", signed_in=FRESH_FOR), permissions=frozenset(Permission)
    )
    operator.must(permission)
    later = replace(operator, now=desk.now + timedelta(seconds=1))
    with pytest.raises(StaleSignIn, match="sign in again"):
        later.must(permission)


def test_what_is_not_of_trust_does_not_ask_again(desk):
    operator = acting(desk, "help-desk", signed_in=timedelta(hours=8))
    operator.must(Permission.PEOPLE_CUT)


@pytest.mark.parametrize("through", ["user", "group"])
def test_the_help_desk_does_not_become_an_owner(desk, through):
    owner = person(desk, "owner@example.com")
    if through == "user":
        desk.do(admins.grant, role="owner", kind="user", holder=owner.login)
    else:
        desk.do(groups.add, name="owners")
        desk.do(groups.add_member, group="owners", user=owner.login)
        desk.do(admins.grant, role="owner", kind="group", holder="owners")
    operator = acting(desk, "help-desk")
    for operation, args in (
        (users.set_password, (owner.login, HASH)),
        (users.disable, (owner.login,)),
        (users.enable, (owner.login,)),
    ):
        with pytest.raises(Forbidden) as refused:
            do_as(desk, operator, operation, *args)
        assert refused.value.permission == Permission.ADMINS_WRITE
    with pytest.raises(Forbidden):
        do_as(desk, operator, users.set_break_glass, owner.login, allowed=True)


def test_the_help_desk_puts_nobody_among_the_administrators(desk):
    desk.do(groups.add, name="owners")
    desk.do(groups.add, name="readers")
    person(desk, "friend@example.com")
    desk.do(admins.grant, role="owner", kind="group", holder="owners")
    operator = acting(desk, "help-desk")
    do_as(desk, operator, groups.add_member, group="readers", user="friend@example.com")
    with pytest.raises(Forbidden):
        do_as(desk, operator, groups.add_member, group="owners", user="friend@example.com")


def test_an_operator_does_not_arm_a_client(desk):
    desk.do(clients.add, CI, client_id="ci", scope_ceiling=frozenset({"authz.read"}))
    desk.do(clients.add, CI, client_id="plain")
    operator = acting(desk, "operator")
    with pytest.raises(Forbidden):  # its secret is the key to what it may
        do_as(desk, operator, clients.rotate_secret, "ci", overlap=timedelta(0))
    do_as(desk, operator, clients.rotate_secret, "plain", overlap=timedelta(0))
    with pytest.raises(Forbidden):
        do_as(desk, operator, clients.set_ceiling, "plain", frozenset({"authz.read"}))
    with pytest.raises(Forbidden):
        do_as(desk, operator, clients.add, CI, scope_ceiling=frozenset({"authz.read"}))
    with pytest.raises(Forbidden):  # who may administer through it
        do_as(desk, operator, clients.set_groups, "ci", None)
    do_as(desk, operator, clients.set_groups, "plain", frozenset())


def test_the_owner_of_a_server_changes_that_one(desk):
    mine = desk.do(servers.add, identifier=URL, name="", owner="me@example.com", scopes=[])
    other = desk.do(
        servers.add, identifier="https://other.example.com/mcp", name="", owner="", scopes=[]
    )
    operator = acting(desk, "server-owner", owned=frozenset({mine.id}))
    do_as(desk, operator, scopes.add_scope, mine.id, NewScope(name="logs.read"))
    do_as(desk, operator, servers.set_status, URL, "disabled")
    for operation, args in (
        (scopes.add_scope, (other.id, NewScope(name="logs.read"))),
        (servers.set_status, (other.id, "disabled")),
        (servers.set_owner, (mine.id, "somebody@example.com")),
    ):
        with pytest.raises(Forbidden):
            do_as(desk, operator, operation, *args)


def test_owning_a_server_is_nothing_without_the_role(desk):
    mine = desk.do(servers.add, identifier=URL, name="", owner="me@example.com", scopes=[])
    operator = acting(desk, "auditor", owned=frozenset({mine.id}))
    with pytest.raises(Forbidden):
        do_as(desk, operator, scopes.add_scope, mine.id, NewScope(name="logs.read"))


def test_a_scope_of_another_tenants_server_is_not_there(desk, make_desk):
    other = make_desk()
    server = other.do(
        servers.add, identifier=URL, name="", owner="", scopes=[NewScope(name="a.read")]
    )
    with pytest.raises(NotFound):
        desk.do(scopes.add_scope, server.id, NewScope(name="b.read"))
    with pytest.raises(NotFound):
        desk.do(scopes.remove_scope, server.id, "a.read")


def test_the_settings_of_another_tenant_are_not_ones_own(desk):
    operator = acting(desk, "operator")
    with desk.services.database.write() as tx:
        tenants.rename(tx, operator, slug=desk.slug, name="Ours")
        with pytest.raises(Forbidden) as refused:
            tenants.rename(tx, operator, slug="default", name="Theirs")
    assert refused.value.permission == Permission.TENANTS_WRITE


def test_the_last_owner_stays(desk):
    person(desk, "one@example.com", "owner")
    operator = acting(desk, "owner")
    with pytest.raises(Conflict, match="the last owner"):
        do_as(desk, operator, admins.revoke, role="owner", kind="user", holder="one@example.com")
    person(desk, "two@example.com", "owner")
    do_as(desk, operator, admins.revoke, role="owner", kind="user", holder="one@example.com")
    assert [it.holder for it in desk.ask(admins.list_)] == ["two@example.com"]


def test_what_is_not_there_is_named(desk):
    with pytest.raises(NotFound, match="there are owner, policy-author"):
        desk.do(admins.grant, role="king", kind="user", holder="x@example.com")
    with pytest.raises(Invalid, match="is not one of user, group, client"):
        desk.do(admins.grant, role="owner", kind="robot", holder="x")
    person(desk, "dev@example.com")
    with pytest.raises(NotFound, match="does not hold the admin role"):
        desk.do(admins.revoke, role="owner", kind="user", holder="dev@example.com")
