"""The administration of a tenant as a resource, and the roles that hold its scopes."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from authz.directory.assurance import Authentication
from authz.policy import Ceiling, Reason, Subject, client_ceiling, decide
from authz.policy.administration import (
    ADMIN_ID,
    ADMIN_PREFIX,
    ADMIN_ROLES,
    Permission,
    admin_roles,
    administration_resource,
)
from authz.policy.rollout import READ
from authz.policy.snapshot import Resource
from tests.support.policies import bare_policy

NOW = datetime(2026, 1, 2, tzinfo=UTC)
SERVER = administration_resource("https://authz.example", is_default_tenant=True)
LOGS = Resource("res_1", "https://logs.example", "https://logs.example/", "Logs")
PERMISSIONS = {str(it) for it in Permission}


def decision_of(*administrators, subject="usr_1", groups=(), signed_in=True):
    policy = bare_policy(
        administration=SERVER,
        admin_roles=admin_roles(),
        administrators=administrators,
    )
    return decide(
        policy,
        Subject(
            subject,
            authentication=Authentication(NOW) if signed_in else None,
            groups=frozenset(groups),
        ),
        SERVER,
        client="cli_1",
        requested=frozenset(PERMISSIONS),
        ceilings=(),
        now=NOW,
    )


def test_the_administration_is_the_audience_of_tokens_for_the_admin_api():
    assert (SERVER.id, SERVER.is_administration) == (ADMIN_ID, True)
    assert SERVER.identifier == SERVER.canonical == "https://authz.example/api/admin"


def test_every_permission_is_a_scope_that_people_can_read():
    """In a request that names none, looking is all that is asked for; none counts as reading in a rollout."""
    assert {name: it.name for name, it in SERVER.scopes.items()} == {it: it for it in PERMISSIONS}
    assert [it.name for it in SERVER.scopes.values() if it.is_default] == ["authz.read"]
    assert {it.risk for it in SERVER.scopes.values()} == {"administration"} != {READ}
    words = [it.description for it in SERVER.scopes.values()]
    assert all(words)
    assert len(set(words)) == len(PERMISSIONS)


def test_only_the_tenant_at_the_base_address_administers_tenants():
    other = administration_resource("https://authz.example/t/corp", is_default_tenant=False)
    assert other.identifier == "https://authz.example/t/corp/api/admin"
    assert SERVER.scopes.keys() - other.scopes.keys() == {"authz.tenants.write"}
    assert other.scopes.keys() <= SERVER.scopes.keys()


def test_scopes_of_the_administration_are_told_apart_from_those_of_mcp_servers():
    assert all(it.startswith(ADMIN_PREFIX) for it in PERMISSIONS)


def test_policy_knows_admin_roles_by_the_names_that_are_told():
    ids = {f"admin/{name}" for name in ADMIN_ROLES}
    assert {id_: (it.id, it.name) for id_, it in admin_roles().items()} == {
        id_: (id_, id_) for id_ in ids
    }


@pytest.mark.parametrize("name", ADMIN_ROLES)
def test_an_admin_role_holds_its_permissions_and_no_others(name):
    """And it is told why, as of any other server."""
    decision = decision_of(("user", "usr_1", f"admin/{name}", None, None))
    held = {str(it) for it in ADMIN_ROLES[name].permissions}
    assert decision.sources == dict.fromkeys(held, f"role admin/{name}")
    assert decision.removed == dict.fromkeys(PERMISSIONS - held, "role_missing")


@pytest.mark.parametrize(
    ("kind", "signed_in", "source"),
    [
        ("user", True, "role admin/auditor"),
        ("user", False, None),
        ("client", False, "role admin/auditor"),
        ("client", True, None),
        ("group", True, "role admin/auditor through group Auditors"),
        ("group", False, "role admin/auditor through group Auditors"),
    ],
)
def test_an_admin_role_of_a_program_is_not_that_of_a_person(kind, signed_in, source):
    """Whoever did not sign in is a client, and is not taken for a person of that id. Other groups give nothing."""
    who = "g2" if kind == "group" else "x"
    name = "Auditors" if kind == "group" else None
    decision = decision_of(
        (kind, who, "admin/auditor", None, name),
        subject="x",
        groups=["g1", "g2", "g3"],
        signed_in=signed_in,
    )
    assert set(decision.sources.values()) == ({source} if source else set())


@pytest.mark.parametrize(
    ("scopes", "resource", "bound"),
    [
        (None, SERVER, frozenset()),
        (frozenset(), SERVER, frozenset()),
        (frozenset({"authz.read", "x"}), SERVER, frozenset({"authz.read", "x"})),
        (None, LOGS, None),
        (frozenset(), LOGS, frozenset()),
        (frozenset({"x"}), LOGS, frozenset({"x"})),
        (frozenset({"x"}), replace(LOGS, is_builtin=True), None),
    ],
)
def test_a_client_administers_nothing_that_its_ceiling_does_not_name(scopes, resource, bound):
    """ATK-38: where nobody bounded a client, it is no tool of administration."""
    assert client_ceiling(scopes, resource) == Ceiling(Reason.CLIENT_CEILING, bound)


@pytest.mark.parametrize(("later", "why"), [(timedelta(0), "role_expired"), (timedelta(1), None)])
@pytest.mark.parametrize("kind", ["user", "group"])
def test_an_admin_role_ends_when_it_was_given_until_then(kind, later, why):
    who, name = ("g1", "Auditors") if kind == "group" else ("usr_1", None)
    decision = decision_of((kind, who, "admin/auditor", NOW + later, name), groups=["g1"])
    assert decision.removed.get("authz.read") == why
