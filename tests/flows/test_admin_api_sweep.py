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


# fmt: off
PLAIN = frozenset({
    "activate_at", "algorithm", "allowed", "any_scope", "at", "at_once", "audience", "auth_method",
    "authorization", "carries", "certificate_bound", "certificate_name", "claim", "client_trust",
    "client_uri", "contract", "cut_now", "days", "description", "disable", "document_digest",
    "dormant_after_days", "dpop_bound", "due_at", "emergency", "expires_at", "fapi", "grant_types",
    "identifier", "identity", "is_default", "is_listed", "issuer", "jwks", "jwks_uri", "kind", "lifetime",
    "links_by_email", "login", "mandatory", "max_depth", "metadata", "mode", "name", "no_end", "note",
    "operation", "overlap", "password", "pattern", "percent", "poll_token", "poll_url", "preset",
    "provisions", "purpose", "push_only", "reason", "redirect_uris", "reference", "risk", "scope_ceiling",
    "scopes", "seen", "slug", "state", "status", "there", "token_endpoint", "token_endpoint_audience",
    "tools", "until", "url", "uses", "value", "verdict", "wanted",
})
"""Members of bodies that name nothing that is there."""
# fmt: on
FREE = {
    ("clients.add", "client_id"),  # of a new one
    ("resources.add", "owner"),  # any text
    ("resources.set_owner", "owner"),
    ("admins.grant", "role"),  # one of a fixed list
    ("connections.add", "settings"),
    ("connections.change", "settings"),
}
"""Those that name something elsewhere, but not here."""


BY_ID = {("reviews.start", "server")}


def _people(member):
    return [lambda _, it: {member: it.user_id}, lambda _, it: {member: f"{it.mark}@corp.example"}]


def _servers(member):
    return [lambda _, it: {member: it.servers[0]}, lambda _, it: {member: it.urls[0]}]


# How a body says each kind of thing: patches of the right one, of what is one's own and of what is theirs.
NAMING = {
    "user": _people("user"),
    "person": _people("person"),
    "owner": _people("owner"),
    "holder": [
        *_people("holder"),
        lambda _, it: {"kind": "group", "holder": it.path["group"]},
        lambda _, it: {"kind": "group", "holder": f"{it.mark}-team"},
        lambda _, it: {"kind": "client", "holder": it.client},
    ],
    "group": [lambda _, it: {"group": it.path["group"]}],
    "resources.groups": [lambda _, it: {"state": "canary", "groups": [it.path["group"]]}],
    "clients.groups": [lambda _, it: {"groups": [it.path["group"]]}],
    "role": [lambda _, it: {"role": it.path["role"], "group": None}],
    "roles": [lambda _, it: {"roles": {it.path["role"]: ["logs.read"]}}],
    "includes": [lambda own, it: {"name": f"{own.mark}-more", "includes": [it.path["role"]]}],
    "client_id": [lambda _, it: {"client_id": it.client}],
    "clients": [lambda _, it: {"clients": [it.registered("more", "client_secret_basic")]}],
    "connection": [lambda _, it: {"connection": it.path["connection"]}],
    "server": _servers("server"),
    "servers": [lambda _, it: {"servers": [it.urls[0]]}, lambda _, it: {"servers": it.servers}],
    "from_server": _servers("from_server"),
    "to_server": _servers("to_server"),
    "issued_by": [lambda _, it: {"issued_by": it.path["target"]}],
    "requires": [lambda _, it: {"requires": {"connection": [it.path["connection"]]}}],
    "required": [lambda _, it: {"connection": [it.path["connection"]]}],
    "arguments": [
        lambda _, it: {"arguments": {"role": it.path["role"], "required": {"max_age": 600}}}
    ],
    "rule": [
        lambda _, it: {"resources": [it.urls[0]]},
        lambda _, it: {"scopes": [], "roles": [it.path["role"]]},
    ],
    "file": [
        lambda own, it: {"roles": {own.path["role"]: {"at": {it.urls[0]: ["logs.read"]}}}},
        lambda own, it: _bound(own, users=[f"{it.mark}@corp.example"]),
        lambda own, it: _bound(own, groups=[f"{it.mark}-team"]),
        lambda own, it: _bound(own, clients=[it.client]),
    ],
    "trust.settings": [lambda _, it: {"resources": [it.urls[0]]}],
    "workload_trust.settings": [lambda _, it: {"rules": [it.rule("router")]}],
    "targets.settings": [lambda _, it: {"clients": {it.client: "theirs"}}],
}


def _bound(own, **holders):
    return {"bindings": [{"role": own.path["role"], **holders}]}


def naming():
    """Of each change: every member of its body that names something, and how."""
    for route in OWN:
        if not isinstance(route, Change):
            continue
        for member in load(route.operation).reader.members:
            name = member.rstrip("_")
            if name in {*route.inputs.values(), *PLAIN} or (route.operation, name) in FREE:
                continue
            own = f"{route.operation.partition('.')[0]}.{name}"
            key = own if own in NAMING else name
            by_id = (route.operation, name) in BY_ID
            yield route, name, NAMING[key][:1] if by_id else NAMING[key]


def patched(route, member, right, patch):
    """The right body, which says one thing otherwise."""
    if member == "settings" and route.body is None:
        return {**right, member: {**right[member], **patch}}
    return {**(right or {}), **patch}


def test_every_member_of_a_body_names_something_or_is_known_not_to():
    assert len(list(naming())) > 40
    assert not PLAIN & NAMING.keys()


def test_nothing_of_another_tenant_is_found_by_what_a_body_says(harness, other_harness):
    """IDOR: the right request for one's own thing, which names another tenant's somewhere in its body."""
    own, victim = Scene(harness), Scene(other_harness)
    owner = api.client(harness, "owner")
    for route, member, patches in naming():
        for number, patch in enumerate(patches):
            theirs = patch(own, victim)
            before = state(harness), state(other_harness)
            body = patched(route, member, own.body(route), theirs)
            answer = owner.ask(method_of(route), own.way(route), body, if_match="*")
            said = (told(route), member, number, answer.response.text)
            assert answer.status == 404, said
            assert (state(harness), state(other_harness)) == before, said


def test_the_same_of_ones_own_is_found(harness):
    """What the test before this one sends is refused for whose it is, and for nothing else."""
    own = Scene(harness)
    owner = api.client(harness, "owner")
    for route, member, patches in naming():
        for number, patch in enumerate(patches):
            body = patched(route, member, own.body(route), patch(own, own))
            if route.operation != "roles.import":  # takes the other roles away
                answer = owner.ask(method_of(route), own.way(route), body, if_match="*")
                assert answer.status in (200, 201, 204, 409), (
                    told(route),
                    member,
                    number,
                    answer.response.text,
                )


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
