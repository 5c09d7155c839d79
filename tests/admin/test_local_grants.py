"""Which roles are held because of what was put there here, and not at the identity provider (S13)."""

from datetime import timedelta

from authz.admin import admins, clients, groups, local_grants, readiness, roles, users
from authz.admin.client_metadata import Registration
from authz.admin.roles_import import import_file
from authz.db.models import GroupMember
from authz.directory import users as directory
from authz.policy.roles_file import parse
from tests.support.connections import connection

CI = Registration(name="ci", auth_method="client_secret_basic", grant_types=("client_credentials",))


def found(desk):
    return [
        (it.role, it.is_admin, it.holder, it.group) for it in desk.ask(local_grants.list_, desk.now)
    ]


def said(desk):
    report = desk.ask(readiness.judge, desk.now)
    identity = next(it for it in report.parts if it.name == "Identity")
    return next(it for it in identity.checks if "put there here" in it.evidence)


def test_every_way_to_a_role_that_begins_here_is_listed(desk):
    """S13: also admin roles, programs and who was put into a group; not who the company says is in it."""
    desk.do(import_file, parse("roles: {sre: [logs.read], analyst: [logs.read]}"))
    for login in ("direct@x", "put@x", "scim@x", "mapped@x", "both@x", "glass@x", "ended@x"):
        desk.do(users.add, login=login, name="", password_hash="$argon2id$x")
    desk.do(clients.add, CI, client_id="ci")
    team = desk.do(groups.add, name="team")
    desk.do(roles.bind, role="sre", kind="group", holder="team", until=None)
    desk.do(admins.grant, role="auditor", kind="group", holder="team")
    assert found(desk) == []
    assert said(desk).passed

    corp = connection(desk.tenant_id, "corp", desk.now)
    desk.sql(lambda tx: tx.add(corp))

    def says(source, login):
        def work(tx):
            user = directory.load(tx, desk.tenant_id, login)
            tx.add(
                GroupMember(
                    group_id=team.id, user_id=user.id, source=source, tenant_id=desk.tenant_id
                )
            )

        desk.sql(work)

    says("scim", "scim@x")
    says(corp.id, "mapped@x")
    says("scim", "both@x")
    desk.do(groups.add_member, group="team", user="both@x")
    assert found(desk) == []

    desk.do(groups.add_member, group="team", user="put@x")
    soon = desk.now + timedelta(hours=1)
    desk.do(roles.bind, role="analyst", kind="user", holder="direct@x", until=None)
    desk.do(roles.bind, role="analyst", kind="user", holder="ended@x", until=soon)
    desk.do(roles.bind, role="analyst", kind="client", holder="ci", until=None)
    desk.do(admins.grant, role="owner", kind="user", holder="glass@x")
    desk.do(users.set_break_glass, "glass@x", allowed=True)
    assert ("analyst", False, "ended@x", None) in found(desk)
    desk.wait(hours=2)
    assert found(desk) == [
        ("analyst", False, "ci", None),
        ("analyst", False, "direct@x", None),
        ("sre", False, "put@x", "team"),
        ("auditor", True, "put@x", "team"),
        ("owner", True, "glass@x", None),
    ]
    assert desk.ask(local_grants.count_of_people, desk.now) == 3
    check = said(desk)
    assert not check.passed
    assert check.evidence.startswith("3 roles are held because of what was put there here")
    assert "authz roles local" in check.way_out


def test_another_tenants_are_not_listed(desk, make_desk):
    """S13."""
    desk.do(import_file, parse("roles: {sre: [logs.read]}"))
    desk.do(users.add, login="direct@x", name="", password_hash=None)
    desk.do(roles.bind, role="sre", kind="user", holder="direct@x", until=None)
    assert len(found(desk)) == 1
    assert found(make_desk()) == []
