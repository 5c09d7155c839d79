"""What a form of the console refuses is said beside the field it is about, whoever refuses it."""

from urllib.parse import urlencode

import pytest

from authz.admin import clients, roles, tenants
from authz.admin.client_metadata import Registration
from authz.oauth.grants.token_exchange import TOKEN_EXCHANGE
from authz.policy.administration import Permission
from tests.flows.test_console import addresses
from tests.support.console import administrator, at
from tests.support.forms import forms_of, invalid_in
from tests.support.harness import RESOURCE

BELL = "x\x07"
"""Wrong nearly everywhere: nobody sees it."""
TOO_MUCH = "x" * 10_000
WRONG = {
    "changes/{id}/refuse note": TOO_MUCH,
    "legal-holds/place reason": TOO_MUCH,
    "targets/{id}/client there": TOO_MUCH,
}
"""Of fields that take any line."""
_ISSUER = {
    "issuer": "https://idp.example",
    "client_id": "authz",
    "client_secret": "env:AUTHZ_SECRET_IDP",
}
_KEYS = {"issuer": "https://x.example", "jwks_uri": "https://x.example/keys"}
RIGHT = {
    "servers/add": {"identifier": "https://new.example/mcp"},
    "servers/{id}/declare": {"name": "logs.new"},
    "servers/{id}/rollout": {"state": "canary", "sure": "yes"},
    "servers/{id}/credential": {
        "credential": "github",
        "reference": "env:AUTHZ_SECRET_GITHUB",
        "takes": "logs.read",
    },
    "roles/add": {"name": "new"},
    "roles/{id}/bind": {"kind": "user", "holder": "dev@example.com"},
    "mappings/add": {"claim": "groups", "value": "team", "role": "sre"},
    "reviews/start": {"name": "Quarter", "due_at": "2099-12-31"},
    "people/add": {"login": "new@example.com"},
    "administrators/grant": {"holder": "dev@example.com"},
    "clients/add": {"name": "New", "redirect_uris": "https://app.example/callback"},
    "clients/add jwks_uri": {"auth_method": "private_key_jwt"},
    "clients/one/ceiling": {"bound": "yes"},
    "clients/one/groups": {"limited": "yes", "sure": "yes"},
    "agents/add": {"slug": "new", "purpose": "Looks", "owner": "dev@example.com"},
    "legal-holds/place": {"reason": "inquiry"},
    "connect/add": {"slug": "new", "name": "New", **_ISSUER},
    "connections/{id}/settings": _ISSUER,
    "domains/add": {"name": "new.example"},
    "scim-tokens/add": {"name": "New"},
    "signal-streams/add": {"slug": "new", "audience": "authz", **_KEYS},
    "id-jag-trust/add": {"slug": "new", "scope_ceiling_bound": "yes", **_KEYS},
    "id-jag-trust/{id}/settings": {"scope_ceiling_bound": "yes"},
    "workload-trust/add": {"slug": "new", **_KEYS},
    "workload-trust/{id}/allow": {
        "name": "new",
        "subject": "system:serviceaccount:x:y",
        "scopes": "logs.read",
        "resources": RESOURCE,
    },
    "targets/add": {"slug": "new", "issuer": "https://new.example", "scope_ceiling_bound": "yes"},
    "targets/{id}/client": {"client_id": "exchanging", "there": "theirs"},
    "targets/{id}/settings": {"scope_ceiling_bound": "yes"},
    "delegations/add": {"client_id": "exchanging", "carries": "logs.read = logs.read"},
}
"""What has to stand in the other fields, so that nothing but the one is wrong."""


ASKED = {"simulator": {"user": "dev@example.com"}}
"""The same of forms that ask and change nothing."""
SEARCHED = {
    *("audit actor", "audit client", "audit resource", "audit reason"),
    *("grants client", "explain client"),
}
"""What one asks for and need not be anything here: then nothing is found."""


def exchanging(harness):
    """A client that may exchange tokens."""
    registration = Registration(
        name="Exchanging",
        auth_method="client_secret_basic",
        grant_types=("client_credentials", TOKEN_EXCHANGE),
    )
    harness.change(clients.add, registration, client_id="exchanging")


def forms(harness, browser):
    """Every form that is sent and that one writes into: the page, the name of its act, and the form."""
    for page, address in addresses(harness):
        if page.permission == Permission.TENANTS_WRITE:
            continue
        for form in forms_of(browser.get(address).text):
            name = form.action.partition("?")[0].rpartition("/")[2]
            if form.method == "post" and form.typed and name in {it.name for it in page.acts}:
                yield f"{page.path}/{name}", form


@pytest.mark.only("sqlite")  # the same operations on every database
def test_every_field_one_writes_into_says_what_is_wrong_with_it(harness):
    exchanging(harness)
    browser = administrator(harness)
    base = harness.issuer.partition("/t/")[0]
    for place, form in forms(harness, browser):
        for name in form.typed:
            one = f"{place} {name}"
            right = {**form.values, **RIGHT.get(place, {}), **RIGHT.get(one, {})}
            answer = browser.post(base + form.action, {**right, name: WRONG.get(one, BELL)})
            assert answer.status in (400, 404, 409), one
            said_beside(answer, name, one)


def said_beside(answer, name, one):
    """Marked, told beside it, and where one goes on: there alone."""
    [marked] = invalid_in(answer.text)
    assert marked.name == name, (one, answer.text)
    assert "autofocus" in marked.attributes, one
    [told] = [it for it in marked.attributes["aria-describedby"].split() if "-wrong" in it]
    assert f'<p class="field-wrong" id="{told}">' in answer.text, one
    assert answer.text.count('class="field-wrong"') == 1, one


@pytest.mark.only("sqlite")
def test_every_field_one_asks_with_says_what_is_wrong_with_it(harness):
    """The simulator, why somebody was refused, the trail: their answer is asked for by an address."""
    browser = administrator(harness)
    tried = set()
    for page, address in addresses(harness):
        if page.permission == Permission.TENANTS_WRITE:
            continue
        for form in forms_of(browser.get(address).text):
            if form.method == "post":
                continue
            for name in form.typed:
                one = f"{page.path} {name}"
                if one in SEARCHED:
                    continue
                query = urlencode({**ASKED.get(page.path, {}), name: BELL})
                said_beside(at(browser, f"{page.path}?{query}"), name, one)
                tried.add(one)
    assert {"simulator user", "simulator minutes", "explain user", "explain jti"} <= tried
    assert {"audit since", "grants person", "cut-off person", "story of"} <= tried


def test_what_would_be_refused_anyhow_is_not_asked_for(harness):
    with harness.server.database.write() as tx:
        operator = harness.server.operator()
        tenants.set_change_control(tx, operator, slug=harness.slug, mode="two_person")
    browser = administrator(harness)
    role = harness.ask(roles.load, "developer").id
    for act, fields, name in (
        ("roles/add", {"name": "sre"}, "name"),
        (f"roles/{role}/bind", {"kind": "user", "holder": "nobody@example.com"}, "holder"),
        (f"roles/{role}/describe", {"name": "developer", "includes": "developer"}, "includes"),
    ):
        answer = at(browser, act, **fields)
        assert answer.status in (400, 404, 409), act
        assert [it.name for it in invalid_in(answer.text)] == [name]
    assert "Ask for this change" in at(browser, "roles/add", name="new").text
    assert "new" not in [it.name for it in harness.ask(roles.list_)]


@pytest.mark.parametrize(
    ("given", "name"),
    [({"reason": "because", "activate_at": "soon"}, "activate_at"), ({"reason": " "}, "reason")],
)
def test_a_change_that_is_not_asked_for_in_full_is_asked_for_again(harness, given, name):
    arguments = '{"role": "sre", "kind": "user", "holder": "dev@example.com"}'
    asked = {"operation": "roles.bind", "arguments": arguments, **given}
    answer = at(administrator(harness), "changes/propose", **asked)
    assert answer.status == 400
    assert [it.name for it in invalid_in(answer.text)] == [name]
    [form] = [it for it in forms_of(answer.text) if it.action.endswith("/propose")]
    assert form.values["arguments"] == [arguments]
