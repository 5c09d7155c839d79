"""The console: who gets in, what they see, and that nothing happens to them unasked."""

import itertools
import re
from datetime import timedelta
from functools import partial

import pytest

from authz.admin import (
    admins,
    agents,
    changes,
    credentials,
    groups,
    resources,
    reviews,
    roles,
    targets,
    trust,
    users,
    versions,
    workload_trust,
)
from authz.admin.scopes import NewScope
from authz.policy.administration import ADMIN_ROLES, Permission
from authz.web.console import pages
from tests.support.connections import connection
from tests.support.console import EVIL, administrator
from tests.support.harness import PASSWORD, RESOURCE

NUMBERS = itertools.count()


def _agent(harness):
    added = {"slug": f"a{next(NUMBERS)}", "purpose": "Looks", "owner": "sre@example.com"}
    return harness.change(agents.add, **added, servers=[RESOURCE]).id


def _trusted(harness):
    """An identity provider, and an entry of each kind of trust; answers the name of all of them."""
    slug, keys = f"x{next(NUMBERS)}", {"jwks_uri": "https://idp.example/keys"}
    with harness.server.database.write() as tx:
        tx.add(connection(harness.tenant_id, f"{slug}-idp", harness.clock()))
    harness.change(trust.add, slug=slug, issuer=f"https://{slug}.example", settings=keys)
    workloads = f"https://{slug}.platform.example"
    harness.change(workload_trust.add, slug=f"{slug}-w", issuer=workloads, settings=keys)
    harness.change(
        targets.add,
        slug=slug,
        issuer=f"https://{slug}.vendor.example",
        own_issuer=harness.issuer,
        settings={},
    )
    return slug


def _asked_for(harness):
    """A change that waits for its moment."""
    given = {"role": "sre", "kind": "user", "holder": "dev@example.com"}
    later = harness.clock() + timedelta(days=1)
    made = {
        "operation": "roles.bind",
        "arguments": given,
        "reason": "because",
        "activate_at": later,
    }
    return harness.change(partial(changes.propose, **made)).id


def _review(harness):
    due = harness.clock() + timedelta(days=1)
    return harness.change(reviews.start, name=f"r{next(NUMBERS)}", due_at=due).id


def _version(harness):
    harness.change(versions.record)
    return harness.ask(versions.page).rows[0].version


def addresses(harness):
    """Every page, with something that is there where the path names something."""
    trusted = _trusted(harness)
    known = {
        "connections/{id}": f"connections/{trusted}-idp",
        "id-jag-trust/{id}": f"id-jag-trust/{trusted}",
        "workload-trust/{id}": f"workload-trust/{trusted}-w",
        "targets/{id}": f"targets/{trusted}",
        "servers/{id}": f"servers/{harness.resource.id}",
        "clients/one": f"clients/one?id={harness.client_id}",
        "people/{id}": f"people/{harness.users['sre']}",
        "groups/{id}": f"groups/{harness.change(groups.add, name=f'g{next(NUMBERS)}').id}",
        "agents/{id}": f"agents/{_agent(harness)}",
        "roles/{id}": f"roles/{harness.ask(roles.list_)[0].id}",
        "changes/{id}": f"changes/{_asked_for(harness)}",
        "reviews/{id}": f"reviews/{_review(harness)}",
        "versions/{version}": f"versions/{_version(harness)}",
        "audit/event": "audit/event?strand=main&position=1",
    }
    return [
        (page, f"{harness.issuer}/console/{known.get(page.path, page.path)}".rstrip("/"))
        for page in pages.PAGES
    ]


def test_the_console_asks_who_it_is_and_goes_on_where_one_was_going(harness):
    harness.change(admins.grant, role="owner", kind="user", holder="dev@example.com")
    browser = harness.browser()
    asked = browser.get(f"{harness.issuer}/console/servers?q=mcp&status=active")
    assert asked.status == 200
    assert "Sign in" in asked.text
    landed = browser.sign_in(asked)
    assert landed.status == 200
    assert str(landed.response.url).endswith("/console/servers?q=mcp&status=active")
    assert RESOURCE in landed.text


@pytest.mark.parametrize(
    "place",
    ["//evil.example/", "https://evil.example", "..//x", "servers#x", "\\evil.example", "a b"],
)
def test_signing_in_leads_nowhere_but_the_console(harness, place):
    """ATK-07: the place goes through the browser."""
    harness.change(admins.grant, role="owner", kind="user", holder="dev@example.com")
    browser = harness.browser()
    posted = browser.post(
        f"{harness.issuer}/login",
        {
            "login": "dev@example.com",
            "password": PASSWORD,
            "then": "console",
            "continue": f"to={place.replace('#', '%23')}",
        },
    )
    assert posted.status == 303
    assert posted.location == f"/t/{harness.slug}/console"


def test_whoever_administers_nothing_is_told_so(harness):
    browser = administrator(harness, role=None)
    assert browser.landed.status == 403
    assert "You do not administer anything here" in browser.landed.text
    assert browser.landed.reason == "no_admin_role"


def test_who_is_unbound_is_out_with_the_next_request(harness):
    browser = administrator(harness)
    assert browser.get(f"{harness.issuer}/console").status == 200
    harness.change(admins.revoke, role="owner", kind="user", holder="dev@example.com")
    assert browser.get(f"{harness.issuer}/console").status == 403


def test_who_is_disabled_is_asked_who_they_are(harness):
    browser = administrator(harness)
    harness.change(users.disable, "dev@example.com")
    assert "Sign in" in browser.get(f"{harness.issuer}/console").text


def test_every_page_is_there_for_an_owner(harness):
    browser = administrator(harness)
    for page, address in addresses(harness):
        # That of administering tenants is left to nobody but at the base address.
        expected = 403 if page.permission == Permission.TENANTS_WRITE else 200
        assert browser.get(address).status == expected, address


@pytest.mark.only("sqlite")  # what a role may see is not asked of the database
@pytest.mark.parametrize("role", [it for it in ADMIN_ROLES if it != "owner"])
def test_a_page_is_for_whoever_may_see_it(harness, role):
    """Every page for an auditor, who changes nothing; for the others each that is refused, and one of each kind."""
    browser = administrator(harness, role)
    held = ADMIN_ROLES[role].permissions - {Permission.TENANTS_WRITE}
    seen = set()
    for page, address in addresses(harness):
        expected = 200 if page.permission in held else 403
        if role == "auditor" or expected == 403 or page.permission not in seen:
            assert browser.get(address).status == expected, address
        seen.add(page.permission)


def test_the_navigation_has_what_one_may_see(harness):
    browser = administrator(harness, "key-custodian")
    shown = re.findall(r'href="[^"]*/console/([a-z-]+)"', browser.landed.text)
    allowed = ADMIN_ROLES["key-custodian"].permissions
    expected = {it.path for it in pages.PAGES if it.is_listed and it.permission in allowed}
    assert set(shown) <= expected
    assert expected - {""} <= set(shown)


def posts(harness):
    """Every form there is."""
    for page, address in addresses(harness):
        for act in page.acts:
            path, mark, query = address.partition("?")
            yield f"{path}/{act.name}{mark}{query}"


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
    ],
)
def test_a_form_of_another_site_changes_nothing(harness, headers):
    """ATK-14, on every form there is."""
    browser = administrator(harness)
    found = list(posts(harness))
    assert found
    before = harness.tenant().config_version
    for address in found:
        answer = browser.post(address, {"sure": "yes"}, **headers)
        assert (answer.status, answer.reason) == (403, "foreign_form"), address
    assert harness.tenant().config_version == before


def test_nothing_of_another_tenant_is_there_on_any_page(harness, other_harness):
    """IDOR, on every page and form that names something."""
    browser = administrator(harness)
    found = [
        (page, address.replace(other_harness.issuer, harness.issuer))
        for page, address in addresses(other_harness)
        if "{" in page.path or "?id=" in address
    ]
    assert found
    before = other_harness.tenant().config_version
    for page, address in found:
        assert browser.get(address).status == 404, address
        path, mark, query = address.partition("?")
        for act in page.acts:
            form = f"{path}/{act.name}{mark}{query}"
            assert browser.post(form, {"sure": "yes"}).status in (400, 404), form
    assert other_harness.tenant().config_version == before


def test_a_form_without_its_origin_changes_nothing(harness):
    browser = administrator(harness)
    for address in posts(harness):
        response = browser.http.post(address, data={"sure": "yes"})
        assert response.status_code == 403, address


def test_a_change_that_was_not_permitted_is_refused_by_the_operation(harness):
    browser = administrator(harness, "auditor")
    before = harness.ask(resources.list_)
    answer = browser.post(
        f"{harness.issuer}/console/servers/add", {"identifier": "https://other.example/mcp"}
    )
    assert answer.status == 403
    assert str(Permission.POLICY_WRITE) in answer.text
    assert harness.ask(resources.list_) == before


def test_a_change_takes_a_fresh_sign_in(harness):
    browser = administrator(harness)
    harness.clock.advance(minutes=16)
    assert "ask you to sign in again" in browser.get(f"{harness.issuer}/console/servers").text
    form = {"identifier": "https://other.example/mcp"}
    asked = browser.post(f"{harness.issuer}/console/servers/add", form)
    assert "Sign in" in asked.text
    assert len(harness.ask(resources.list_)) == 1
    back = browser.sign_in(asked)
    assert str(back.response.url).endswith("/console/servers")
    assert browser.post(f"{harness.issuer}/console/servers/add", form).status == 303


def test_a_mistake_is_said_beside_what_was_typed(harness):
    browser = administrator(harness)
    answer = browser.post(
        f"{harness.issuer}/console/servers/add", {"identifier": "not a url", "name": "Mine"}
    )
    assert answer.status == 400
    assert 'role="alert"' in answer.text
    assert 'value="not a url"' in answer.text
    assert 'value="Mine"' in answer.text
    missing = browser.post(f"{harness.issuer}/console/servers/add", {"name": "Mine"})
    assert 'aria-invalid="true"' in missing.text
    assert "The address is empty; fill it in" in missing.text


def test_a_destructive_act_asks_and_says_what_it_affects(harness):
    browser = administrator(harness)
    address = f"{harness.issuer}/console/servers/{harness.resource.id}"
    asked = browser.post(f"{address}/status", {"status": "disabled"})
    assert asked.status == 200
    assert "Every access token for" in asked.text
    assert harness.ask(resources.list_)[0].status == "active"
    done = browser.post(f"{address}/status", {"status": "disabled", "sure": "yes"})
    assert done.status == 303
    assert harness.ask(resources.list_)[0].status == "disabled"
    assert (
        "switched off and its tokens ended" in browser.get(harness.server.base + done.location).text
    )


def test_a_server_is_let_have_a_credential_and_has_it_taken_away(harness):
    """V4: by reference; removing it asks first."""
    browser = administrator(harness)
    address = f"{harness.issuer}/console/servers/{harness.resource.id}"
    assert "No credential" in browser.get(address).text
    form = {"credential": "github", "reference": "env:AUTHZ_SECRET_GITHUB", "takes": "logs.read"}
    done = browser.post(f"{address}/credential", form)
    assert done.status == 303
    page = browser.get(harness.server.base + done.location)
    assert "its own client gets it, for such tokens, and nobody else" in page.text
    assert "env:AUTHZ_SECRET_GITHUB" in page.text
    assert "released to nobody" in page.text, "the server has no client of its own yet"
    literal = browser.post(f"{address}/credential", {**form, "reference": "ghp_the_secret"})
    assert "what was given is not a secret reference" in literal.text
    assert "ghp_the_secret" not in literal.text
    stolen = browser.post(f"{address}/credential", {**form, "reference": "file:authz.key"})
    assert "not a secret that administrators may refer to" in stolen.text
    asked = browser.post(f"{address}/credential-remove", {"credential": "github"})
    assert asked.status == 200
    assert "good until the secret is rotated" in asked.text
    assert [it.name for it in harness.ask(credentials.list_)] == ["github"]
    sure = {"credential": "github", "sure": "yes"}
    assert browser.post(f"{address}/credential-remove", sure).status == 303
    assert harness.ask(credentials.list_) == []


def test_who_may_not_name_secrets_is_offered_no_form_for_it(harness):
    browser = administrator(harness, "policy-author")
    page = browser.get(f"{harness.issuer}/console/servers/{harness.resource.id}")
    assert "Declare a scope" in page.text
    assert "Let it have a credential" not in page.text


def test_what_strangers_wrote_is_text(harness):
    """Stored XSS, in each field of what a page shows."""
    made = harness.change(
        resources.add,
        identifier="https://evil.example/mcp",
        name=EVIL,
        owner=EVIL,
        scopes=[NewScope(name="x.read", description=EVIL, tools=(EVIL,))],
    )
    browser = administrator(harness)
    for address in ("servers", f"servers/{made.id}"):
        page = browser.get(f"{harness.issuer}/console/{address}")
        assert page.status == 200
        assert "<script>alert" not in page.text
        assert "&lt;script&gt;alert" in page.text


def test_another_tenants_server_is_not_there(harness, other_harness):
    browser = administrator(harness)
    for address in (other_harness.resource.id, "res_nothing"):
        page = browser.get(f"{harness.issuer}/console/servers/{address}")
        assert page.status == 404
    elsewhere = browser.get(f"{other_harness.issuer}/console")
    assert "Sign in" in elsewhere.text


def test_a_list_is_exported_without_formulas(harness):
    harness.change(
        resources.add, identifier="https://evil.example/mcp", name="=1+1", owner="", scopes=[]
    )
    browser = administrator(harness)
    sheet = browser.get(f"{harness.issuer}/console/servers?format=csv")
    assert sheet.response.headers["content-type"].startswith("text/csv")
    assert "https://evil.example/mcp,'=1+1," in sheet.text


def test_pages_load_from_here_alone(harness):
    browser = administrator(harness)
    headers = browser.landed.response.headers
    assert "script-src 'self'" in headers["content-security-policy"]
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers["cache-control"] == "no-store"
    assert not re.search(r"<script(?![^>]*src=)|\son[a-z]+=", browser.landed.text)
