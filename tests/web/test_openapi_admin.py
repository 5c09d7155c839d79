"""Every route of the admin API does what it is for, and answers as the description says."""

import pytest

from authz.admin import agents, client_view, clients, roles, versions
from authz.db.models import Agent, Client
from authz.policy.administration import ADMIN_PATH
from authz.policy.requirements import Requirement
from authz.web.api.addresses import method_of
from authz.web.api.kit import Change
from authz.web.api.registry import API
from authz.web.openapi_admin import name_of
from tests.support import admin_api as api
from tests.support.admin_scene import Scene
from tests.web.test_openapi import OPERATIONS

ROUTES = [it for area in API.values() for it in area if not it.is_of_base]
# What is at the other end is not there in a test: refused in the way that is described.
REFUSED = {
    "domains.verify": (502, 400),
    "connections.renew": (409,),
    "scopes.approve": (409,),  # nothing waits here: tests/flows/test_scope_contracts.py
}
# What the others could not go on after.
LAST = ("roles.import", "tenants.set_change_control", "keys.rotate")
ORDER = ("GET", "PUT", "PATCH", "POST", "DELETE")


@pytest.fixture(autouse=True)
def secret(monkeypatch):
    monkeypatch.setenv("AUTHZ_SECRET_IDP", "not a secret")


def place(route):
    """Reading first, and what takes away what others need last."""
    operation = route.operation if isinstance(route, Change) else ""
    at_the_end = LAST.index(operation) + 1 if operation in LAST else 0
    return at_the_end, ORDER.index(method_of(route)), "{" not in route.path, operation


def instead(scene, route, owner):
    """Another thing of the kind, where the route takes one in another state."""
    harness = scene.harness
    operation = route.operation if isinstance(route, Change) else None
    if operation == "clients.approve":
        return {"client": scene.waiting()}
    if operation == "clients.accept":
        return {"client": scene.waiting(accepted={"client_name": "before"})}
    if operation in ("clients.unblock", "clients.block", "clients.remove", "clients.rotate_secret"):
        client_id = scene.registered(operation.replace(".", "-"), "client_secret_basic")
        if operation == "clients.unblock":
            harness.change(clients.block, client_id)
        return {"client": client_id}
    if operation == "changes.withdraw":
        return {"change": scene.asked_for(f"api:{owner.name}")}
    if operation == "clients.set_audience":
        return {"client": keyed(scene)}
    if operation == "policy.revert":
        harness.change(versions.record)
        version = harness.ask(versions.page).rows[0].version
        required = Requirement(max_age=300)
        harness.change(roles.require, role=scene.path["role"], required=required)
        return {"version": str(version)}
    if operation == "agents.wake":
        with harness.server.database.write() as tx:
            row = agents.load(tx, harness.tenant_id, scene.path["agent"])
            tx.get_one(Agent, row.id).status = "dormant"
    return {}


def keyed(scene):
    client_id = scene.registered("keyed", "client_secret_basic")
    with scene.harness.server.database.write() as tx:
        row = tx.get_one(Client, (scene.harness.tenant_id, client_id))
        row.metadata_ = {**row.metadata_, "token_endpoint_auth_method": "private_key_jwt"}
    return client_id


def body_of(scene, route, more):
    if isinstance(route, Change) and route.operation == "clients.accept":
        with scene.harness.server.database.read() as tx:
            view = client_view.show(
                tx, scene.harness.tenant_id, more["client"], scene.harness.clock()
            )
        return {"document_digest": view.document_digest}
    return scene.body(route) if isinstance(route, Change) else None


@pytest.mark.only("postgresql")
def test_every_route_does_what_it_is_for(harness):
    harness.add_rsa_keys()
    scene, owner = Scene(harness), api.client(harness, "owner")
    done, wrong = set(), []
    for route in sorted(ROUTES, key=place):
        if method_of(route) in ("POST", "DELETE") and "{" in route.path:
            scene = Scene(harness)
        more = instead(scene, route, owner)
        answer = owner.ask(
            method_of(route), scene.way(route, **more), body_of(scene, route, more), if_match="*"
        )
        operation = route.operation if isinstance(route, Change) else ""
        if answer.status not in REFUSED.get(operation, (200, 201, 204)):
            wrong.append(f"{method_of(route)} {route.path}: {answer.response.text}")
        OPERATIONS[name_of(route)].validate_response(answer.response)
        done.add(name_of(route))
        if answer.status == 201:
            location = answer.response.headers["location"]
            assert owner.get(location).status == 200, location
    assert wrong == []
    assert done == {name_of(it) for it in ROUTES}


@pytest.fixture
def default(server):
    """An owner of the tenant at the base address."""
    made = api.of_default_tenant(server)
    yield made
    made.harness.http.close()


def test_the_default_tenant_has_tenants(server, default):
    """Made, shown, switched off, and nobody else's."""
    made = default.post("/tenants", {"slug": "made-by-api", "name": "Made"})
    assert made.status == 201, made.response.text
    OPERATIONS["admin_tenants_create"].validate_response(made.response)
    way = "/tenants/made-by-api"
    assert default.get(way).json["issuer"] == f"{server.base}/t/made-by-api"
    assert "made-by-api" in {it["slug"] for it in default.get("/tenants?limit=200").json["items"]}
    off = default.change("PUT", f"{way}/status", {"status": "disabled"}, way)
    assert (off.status, off.json["status"]) == (200, "disabled")
    answer = default.ask("GET", f"{server.base}/t/made-by-api{ADMIN_PATH}/v1/users")
    assert answer.status == 404
