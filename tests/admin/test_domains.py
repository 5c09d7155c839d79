"""Domains and mappings: proved by DNS, explicit, and gone when they are taken back."""

import pytest
from sqlalchemy import select

from authz.admin import domains, groups, mappings, roles, users
from authz.db.models import Connection, GroupMember, Role, RoleBinding
from authz.errors import Conflict, Invalid, NotFound
from authz.federation.connections import of_login
from tests.support.connections import connection


@pytest.fixture
def okta(desk):
    row = connection(desk.tenant_id, "okta", desk.now)
    desk.sql(lambda tx: tx.add(row))
    return row


def leads(desk, login):
    def work(tx):
        found = of_login(tx, desk.tenant_id, login)
        return None if found is None else found.slug

    return desk.sql(work)


def test_a_domain_leads_nowhere_until_it_is_proved(desk, okta):
    line = desk.do(domains.add, name="Corp.Example.", connection="okta")
    assert (line.name, line.record_name) == ("corp.example", "_authz-challenge.corp.example")
    assert leads(desk, "a@corp.example") is None
    with pytest.raises(Invalid, match="2 other records"):
        desk.do(domains.verify, "corp.example", ["v=spf1", line.record_value + "x"])
    desk.do(domains.verify, "corp.example", ["v=spf1", line.record_value])
    assert leads(desk, "A@CORP.example") == "okta"


@pytest.mark.parametrize(
    "login",
    [
        "a@sub.corp.example",
        "a@corp.example.evil",
        "a@ycorp.example",
        "corp.example",
        "@corp.example",
    ],
)
def test_a_domain_is_matched_whole(desk, okta, login):
    """M2: no suffix, no account needed."""
    line = desk.do(domains.add, name="corp.example", connection="okta")
    desk.do(domains.verify, "corp.example", [line.record_value])
    assert leads(desk, login) is None


def test_a_connection_that_is_off_leads_nowhere(desk, okta):
    line = desk.do(domains.add, name="corp.example", connection="okta")
    desk.do(domains.verify, "corp.example", [line.record_value])
    desk.sql(lambda tx: setattr(tx.get_one(Connection, okta.id), "status", "disabled"))
    assert leads(desk, "a@corp.example") is None


def test_only_a_proved_domain_can_be_mandatory(desk, okta):
    line = desk.do(domains.add, name="corp.example", connection="okta")
    with pytest.raises(Invalid, match="not verified"):
        desk.do(domains.set_mandatory, "corp.example", mandatory=True)
    desk.do(domains.verify, "corp.example", [line.record_value])
    assert desk.do(domains.set_mandatory, "corp.example", mandatory=True).is_mandatory
    assert not desk.do(domains.set_mandatory, "corp.example", mandatory=False).is_mandatory


def test_a_domain_has_one_connection(desk, okta):
    desk.do(domains.add, name="corp.example", connection="okta")
    with pytest.raises(Conflict, match="belongs to a connection already"):
        desk.do(domains.add, name="CORP.example", connection="okta")
    desk.do(domains.remove, "corp.example")
    with pytest.raises(NotFound):
        desk.do(domains.remove, "corp.example")
    assert desk.ask(domains.list_) == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        "example",
        "corp example.com",
        "a@corp.example",
        "-a.example",
        "a_.example",
        "1.2.3.4",
        "*.example",
        "https://corp.example",
        "a." + "x" * 64 + ".example",
        "x." * 130 + "example",
    ],
)
def test_what_is_no_domain_is_refused(desk, okta, text):
    with pytest.raises(Invalid, match="is not a domain"):
        desk.do(domains.add, name=text, connection="okta")


def test_a_domain_of_other_letters_is_kept_as_dns_spells_it():
    assert domains.check_name("bücher.example") == "xn--bcher-kva.example"


def test_a_mapping_to_a_role_holds_it_through_a_group_of_its_own(desk, okta):
    role = Role(id=f"rol_{desk.slug}", tenant_id=desk.tenant_id, name="sre", description="")
    desk.sql(lambda tx: tx.add(role))
    line = desk.do(mappings.add, connection="okta", claim="groups", value="g-1", role="sre")
    assert (line.group, line.roles) == ("okta: groups=g-1", ["sre"])
    assert desk.ask(mappings.list_) == [line]
    holders = desk.sql(
        lambda tx: tx.scalars(
            select(RoleBinding.subject_kind).where(RoleBinding.role_id == role.id)
        ).all()
    )
    assert holders == ["group"]
    assert [it.groups for it in desk.ask(roles.list_)] == [["okta: groups=g-1"]]


def test_a_mapping_that_goes_takes_its_memberships_along(desk, okta):
    group = desk.do(groups.add, name="sre")
    user = desk.do(users.add, login="a@corp.example", name="", password_hash=None)
    line = desk.do(mappings.add, connection="okta", claim="groups", value="g", group="sre")
    for source in (okta.id, "local"):
        member = GroupMember(
            group_id=group.id, user_id=user.id, source=source, tenant_id=desk.tenant_id
        )
        desk.sql(lambda tx, member=member: tx.add(member))
    desk.do(mappings.remove, line.id)
    left = desk.sql(lambda tx: tx.scalars(select(GroupMember.source)).all())
    assert okta.id not in left
    assert desk.ask(groups.show, "sre").members == ["a@corp.example"]


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"group": "sre", "role": "sre"}, "one of them"),
        ({}, "one of them"),
        ({"group": "sre", "claim": ""}, "claim of a mapping"),
        ({"group": "sre", "value": "x" * 257}, "value of a mapping"),
        ({"group": "sre", "value": "a\x00"}, "value of a mapping"),
    ],
)
def test_a_mapping_that_says_nothing_clear_is_refused(desk, okta, given, why):
    desk.do(groups.add, name="sre")
    with pytest.raises(Invalid, match=why):
        desk.do(mappings.add, **{"connection": "okta", "claim": "groups", "value": "g", **given})


def test_the_same_mapping_twice_is_a_conflict(desk, okta):
    desk.do(groups.add, name="sre")
    desk.do(mappings.add, connection="okta", claim="groups", value="g", group="sre")
    with pytest.raises(Conflict, match="leads to sre already"):
        desk.do(mappings.add, connection="okta", claim="groups", value="g", group="sre")
    with pytest.raises(NotFound):
        desk.do(mappings.remove, "map_unknown")
