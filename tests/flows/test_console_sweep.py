"""Every form of the console, as pages have them: what it says of another tenant's things is not found (V3)."""

import re

import pytest

from authz.admin import roles
from authz.policy.administration import Permission
from authz.web.console import pages
from tests.flows.test_admin_api_sweep import state
from tests.flows.test_console_fields import RIGHT, exchanging
from tests.support.admin_scene import Scene
from tests.support.console import administrator
from tests.support.forms import forms_of

PLAIN = {"form", "status", "allowed", "version", "kind", "seen", "contract"}
"""Hidden fields that name nothing."""
TYPED = {
    "user": [lambda it: {"user": it.user_id}, lambda it: {"user": _login(it)}],
    "person": [lambda it: {"person": it.user_id}, lambda it: {"person": _login(it)}],
    "owner": [lambda it: {"owner": it.user_id}, lambda it: {"owner": _login(it)}],
    "holder": [
        lambda it: {"kind": "user", "holder": _login(it)},
        lambda it: {"kind": "group", "holder": it.path["group"]},
        lambda it: {"kind": "client", "holder": it.client},
    ],
    "group": [lambda it: {"group": it.path["group"], "role": ""}],
    "groups": [lambda it: {"groups": f"{it.mark}-team"}],
    "role": [lambda it: {"role": it.path["role"]}],
    "roles": [lambda it: {"roles": it.path["role"], "scopes": ""}],
    "includes": [lambda it: {"includes": it.path["role"]}],
    "client": [lambda it: {"client": it.client}],
    "client_id": [lambda it: {"client_id": it.client}],
    "clients": [lambda it: {"clients": it.client}],
    "connection": [lambda it: {"connection": it.path["connection"]}],
    "server": [lambda it: {"server": it.servers[0]}],
    "servers": [lambda it: {"servers": it.urls[0]}],
    "resources": [lambda it: {"resources": it.urls[0]}],
    "from_server": [lambda it: {"from_server": it.urls[0]}],
    "to_server": [lambda it: {"to_server": it.urls[0]}],
}
"""Fields that one writes into or chooses from: how each may name a thing."""
FREE = {
    "clients/add client_id",  # of a new one
    "connect/add client_id",  # what we are called there
    "connections/{id}/settings client_id",
    "servers/add owner",  # any text
    "servers/{id}/owner owner",
    "id-jag-trust/add clients",  # identifiers, which may come to be
    "id-jag-trust/{id}/settings clients",
    "administrators/grant role",  # one of a fixed list
}


def _login(scene):
    return f"{scene.mark}@corp.example"


def _forms(harness, browser, scene):
    """Of every page, with this scene's things where the path names something: its place, where it goes, and itself."""
    path = scene.path
    known = {
        "connections/{id}": path["connection"],
        "id-jag-trust/{id}": path["entry"],
        "workload-trust/{id}": scene.workloads,
        "targets/{id}": path["target"],
        "servers/{id}": scene.servers[0],
        "clients/one": f"one?id={scene.client}",
        "people/{id}": scene.user_id,
        "groups/{id}": path["group"],
        "agents/{id}": path["agent"],
        "roles/{id}": harness.ask(roles.load, path["role"]).id,
        "changes/{id}": path["change"],
        "reviews/{id}": path["review"],
        "versions/{version}": path["version"],
    }
    for page in pages.PAGES:
        if page.permission == Permission.TENANTS_WRITE:
            continue
        parts = [*page.path.split("/")[:-1], known.get(page.path, page.path.rpartition("/")[2])]
        found = browser.get(f"{harness.issuer}/console/{'/'.join(parts)}".rstrip("/"))
        if found.status == 200:
            for form in forms_of(found.text):
                name = form.action.partition("?")[0].rpartition("/")[2]
                if form.method == "post" and name in {it.name for it in page.acts}:
                    yield f"{page.path}/{name}", form


@pytest.fixture
def both(harness, other_harness):
    """Two tenants with one of everything, and an owner of the first at work."""
    own, victim = Scene(harness), Scene(other_harness)
    exchanging(harness)
    return administrator(harness), own, victim


def _post(browser, harness, form, fields):
    return browser.post(harness.issuer.partition("/t/")[0] + form.action, fields)


@pytest.mark.only("sqlite")  # the same operations on every database
def test_what_a_button_says_is_not_found_in_another_tenant(harness, other_harness, both):
    """IDOR: the hidden fields of the other tenant's pages, sent to the same place of one's own."""
    browser, own, victim = both
    mine = {}
    for place, form in _forms(harness, browser, own):
        mine.setdefault(place, []).append(form)
    tried = set()
    for place, form in _forms(other_harness, administrator(other_harness), victim):
        hidden = {it.name: it.value for it in form.controls if it.kind == "hidden"}
        for name, value in hidden.items():
            known = {it for one in mine.get(place, ()) for it in one.values.get(name, ())}
            if name in PLAIN or name.startswith("was_") or place not in mine or value in known:
                continue
            before = state(harness), state(other_harness)
            sent = {it: said for it, said in form.values.items() if not it.startswith("was_")}
            # Of the matrix: rows in which something is ticked.
            ticked = dict.fromkeys(form.values.get("row", ()), "logs.read")
            answer = _post(browser, harness, mine[place][0], {**sent, **ticked, "sure": "yes"})
            assert answer.status in (400, 404), (place, name, answer.status)
            assert (state(harness), state(other_harness)) == before, (place, name)
            tried.add(place)
    assert len(tried) > 15, tried


@pytest.mark.only("sqlite")
def test_what_a_form_says_is_not_found_in_another_tenant(harness, other_harness, both):
    """IDOR: the right form of one's own thing, in which one field names another tenant's."""
    browser, own, victim = both
    tried = set()
    for place, form in _forms(harness, browser, own):
        names = {it.name for it in form.controls if it.kind != "hidden"}
        for name in names & TYPED.keys():
            if f"{place} {name}" in FREE:
                continue
            for number, patch in enumerate(TYPED[name]):
                before = state(harness), state(other_harness)
                right = {**form.values, **RIGHT.get(place, {}), "sure": "yes"}
                answer = _post(browser, harness, form, {**right, **patch(victim)})
                said = (place, name, number, answer.status)
                assert answer.status in (400, 404), said
                # It is that field which is refused, and nothing else.
                [wrong] = re.findall(r'class="field-wrong" id="([^"]+)-wrong"', answer.text)
                assert wrong.endswith(name), said
                assert (state(harness), state(other_harness)) == before, said
                tried.add((place, name))
    assert len(tried) > 15, tried
