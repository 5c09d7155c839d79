"""Every route of the admin API, generated from its registry: who may, who may not, and whose things are whose (V3)."""

import pytest
from sqlalchemy import func, select

from authz.admin.deciding import DECISIONS, load
from authz.admin.operations import OPERATIONS
from authz.db.models import AuditEvent, Tenant
from authz.policy.administration import ADMIN_ROLES, Permission
from authz.web.api.addresses import method_of
from authz.web.api.kit import Change
from authz.web.api.registry import API
from tests.support import admin_api as api
from tests.support.admin_scene import Scene

ROUTES = [route for area in API.values() for route in area]
OWN = [it for it in ROUTES if not it.is_of_base]
NAMED = [it for it in OWN if "{" in it.path]


def takes(route):
    """The permission."""
    if isinstance(route, Change):
        return load(route.operation).permission
    return route.permission


def lacking(route, held):
    """The first permission that is asked for and not held."""
    besides = load(route.operation).besides if isinstance(route, Change) else ()
    return next((it for it in (takes(route), *sorted(besides)) if it not in held), None)


def told(route):
    return f"{method_of(route)} {route.path}"


def test_every_operation_has_a_route_and_every_address_one_way_to_be_read():
    reached = [it.operation for it in ROUTES if isinstance(it, Change)]
    assert set(reached) == OPERATIONS.keys() | DECISIONS.keys()
    assert len(reached) == len(set(reached))
    places = [told(it) for it in ROUTES]
    assert len(places) == len(set(places))
    shapes = {}
    for route in ROUTES:
        shape = "/".join("{}" if it.startswith("{") else it for it in route.path.split("/"))
        assert shapes.setdefault(shape, route.path) == route.path, "one name for one segment"


def test_what_is_changed_in_place_has_to_have_been_seen():
    for route in ROUTES:
        if isinstance(route, Change):
            assert (route.thing is not None) is (route.method != "POST"), told(route)


def test_without_a_token_nothing_is_told(harness):
    scene, nobody = Scene(harness), api.stranger(harness)
    for route in OWN:
        answer = nobody.ask(method_of(route), scene.way(route))
        assert answer.status == 401, told(route)
        challenge = answer.response.headers["www-authenticate"]
        assert challenge.startswith('Bearer realm="authz", resource_metadata="')
        assert "error" not in challenge
        assert answer.response.headers["content-type"] == "application/problem+json"
        assert "access-control-allow-origin" not in answer.response.headers


@pytest.mark.parametrize("role", ADMIN_ROLES)
def test_each_admin_role_does_what_its_permissions_allow_and_nothing_else(harness, role):
    """The body is one that no operation takes: whoever may is told so, whoever may not is told what it takes."""
    scene = Scene(harness)
    caller = api.client(harness, role)
    held = ADMIN_ROLES[role].permissions
    for route in OWN:
        body = {"surprise": True} if isinstance(route, Change) else None
        answer = caller.ask(method_of(route), scene.way(route), body, if_match="*")
        missing = lacking(route, held)
        if missing is None:
            assert answer.status in (200, 400), (told(route), answer.response.text)
            assert (answer.status == 400) is isinstance(route, Change), told(route)
        else:
            assert answer.status == 403, (told(route), answer.response.text)
            assert answer.json["permission"] == missing
            challenge = answer.response.headers["www-authenticate"]
            assert f'error="insufficient_scope", scope="{missing}"' in challenge


def test_a_token_holds_no_more_than_was_asked_for(harness):
    scene = Scene(harness)
    owner = api.client(harness, "owner")
    owner.token = api.token_of(harness, owner, scope=Permission.READ).access_token
    for route in OWN:
        body = {"surprise": True} if isinstance(route, Change) else None
        answer = owner.ask(method_of(route), scene.way(route), body, if_match="*")
        right = 400 if isinstance(route, Change) else 200
        assert answer.status == (right if takes(route) is Permission.READ else 403), told(route)


def test_tenants_are_the_default_tenants_alone(harness):
    owner = api.client(harness, "owner")
    for route in ROUTES:
        if route.is_of_base:
            way = route.path.replace("{slug}", harness.slug)
            assert owner.ask(method_of(route), way, {}, if_match="*").status == 404


def test_another_tenants_token_opens_nothing(harness, other_harness):
    scene = Scene(harness)
    theirs = api.client(other_harness, "owner")
    theirs.harness = harness
    before = state(harness)
    for route in OWN:
        body = scene.body(route) if isinstance(route, Change) else None
        answer = theirs.ask(method_of(route), scene.way(route), body, if_match="*")
        assert (answer.status, answer.reason) == (401, "token_unknown"), told(route)
    assert state(harness) == before


def test_another_tenants_things_are_not_found(harness, other_harness):
    """IDOR: the right request of an owner of one tenant, with the names and ids of another one's things."""
    victim = Scene(other_harness)
    owner = api.client(harness, "owner")
    before = state(other_harness)
    for route in NAMED:
        body = victim.body(route) if isinstance(route, Change) else None
        way = victim.way(route)
        answer = owner.ask(method_of(route), way, body, if_match="*")
        assert answer.status == 404, (told(route), answer.response.text)
        assert answer.response.headers["content-type"] == "application/problem+json"
    assert state(other_harness) == before


# What a body names besides the address, by operation: another tenant's of these is not found either.
MEANT = {
    "audit_holds.place": ("person",),
    "groups.add_member": ("user",),
    "agents.add": ("owner",),
    "agents.give_client": ("client_id",),
    "delegations.add": ("client_id", "from_server"),
    "resources.set_client": ("client_id",),
    "roles.bind": ("holder",),
    "mappings.add": ("connection", "group"),
    "domains.add": ("connection",),
    "signal_streams.add": ("connection",),
    "admins.grant": ("holder",),
    "workload_trust.allow": ("resources",),
    "trust.change": ("resources",),
}


@pytest.mark.parametrize("operation", sorted(MEANT))
def test_what_a_body_names_is_ones_own_as_well(harness, other_harness, operation):
    own, victim = Scene(harness), Scene(other_harness)
    owner = api.client(harness, "owner")
    [route] = [it for it in OWN if isinstance(it, Change) and it.operation == operation]
    right = own.body(route)
    theirs = {
        **victim.body(route),
        "user": victim.user_id,
        "holder": victim.user_id,
        "person": victim.user_id,
    }
    for member in MEANT[operation]:
        before = state(harness), state(other_harness)
        wanted = {**right, member: theirs[member]}
        answer = owner.ask(method_of(route), own.way(route), wanted, if_match="*")
        assert answer.status == 404, (member, answer.response.text)
        assert (state(harness), state(other_harness)) == before


def state(harness):
    """What a change would move: the version, and the trail but for tokens."""
    with harness.server.database.read() as tx:
        tenant_id = harness.tenant_id
        version = tx.scalars(select(Tenant.config_version).where(Tenant.id == tenant_id)).one()
        changes = tx.scalars(
            select(func.count())
            .select_from(AuditEvent)
            .where(AuditEvent.tenant_id == tenant_id, AuditEvent.kind == "admin.changed")
        ).one()
    return version, changes
