"""Keys, settings, tenants and readiness in the console."""

import csv
import io

import pytest
from sqlalchemy import select

from authz.admin import admins, installation, keys, resources, tenants, users
from authz.db.models import SigningKey, Tenant
from tests.support.console import EVIL, administrator, at
from tests.support.harness import PASSWORD


def test_a_key_is_rotated_after_saying_what_happens_when(harness):
    browser = administrator(harness, "key-custodian")
    page = at(browser, "keys")
    form = {"version": page.field("version"), "kind": "access_token ES256", "when": "ahead"}
    asked = at(browser, "keys/rotate", **form)
    assert "The new key is published now and signs from" in asked.text
    assert "stays published until" in asked.text
    before = harness.ask(keys.list_, harness.clock())
    assert at(browser, "keys/rotate", **form, sure="yes").status == 303
    after = harness.ask(keys.list_, harness.clock())
    new = [it for it in after if it.id not in {old.id for old in before}]
    assert [(it.purpose, it.algorithm, it.state) for it in new] == [
        ("access_token", "ES256", "published")
    ]
    again = at(browser, "keys/rotate", **form, sure="yes")
    assert again.status == 409
    assert "nothing was rotated" in again.text
    assert len(harness.ask(keys.list_, harness.clock())) == len(after)


def test_a_key_in_wrong_hands_is_replaced_at_once(harness):
    browser = administrator(harness, "key-custodian")
    form = {
        "version": at(browser, "keys").field("version"),
        "kind": "id_jag ES256",
        "when": "now",
    }
    assert "The new key signs at once" in at(browser, "keys/rotate", **form).text
    assert at(browser, "keys/rotate", **form, sure="yes").status == 303
    states = [it.state for it in harness.ask(keys.list_, harness.clock()) if it.purpose == "id_jag"]
    assert "active" in states
    assert at(browser, "keys/rotate", **{**form, "kind": "id_jag HS256"}).status == 400


def test_keys_are_searched_and_exported_and_never_shown(harness):
    browser = administrator(harness)
    sheet = at(browser, "keys?q=audit&format=csv").text
    assert [row["For"] for row in csv.DictReader(io.StringIO(sheet))] == ["audit"]
    with harness.server.database.read() as tx:
        rows = tx.scalars(select(SigningKey).where(SigningKey.tenant_id == harness.tenant_id)).all()
    page = at(browser, "keys").text
    for row in rows:
        assert row.id in page
        assert str(row.private_key) not in page


def test_rotation_takes_the_permission_and_a_fresh_sign_in(harness):
    auditor = administrator(harness, "auditor", "sre@example.com")
    version = str(len(harness.ask(keys.list_, harness.clock())))
    form = {"kind": "access_token ES256", "when": "now", "version": version, "sure": "yes"}
    assert at(auditor, "keys/rotate", **form).status == 403
    custodian = administrator(harness, "key-custodian")
    harness.clock.advance(minutes=16)
    assert at(custodian, "keys/rotate", **form).is_login
    assert len(harness.ask(keys.list_, harness.clock())) == int(version)


def test_a_tenant_is_renamed_but_not_over_somebody_else(harness):
    browser = administrator(harness, "operator")
    name = at(browser, "settings").field("was_name")
    assert at(browser, "settings/rename", was_name=name, name=EVIL).status == 303
    assert harness.tenant().name == EVIL
    for address in ("settings", ""):
        assert "<script>alert" not in at(browser, address).text
    clash = at(browser, "settings/rename", was_name=name, name="Mine")
    assert clash.status == 409
    assert "Mine" in clash.text
    assert at(browser, "settings/rename", was_name=EVIL, name="").status == 400
    assert harness.tenant().name == EVIL


def test_an_owner_demands_a_second_person(harness):
    """S17."""
    browser = administrator(harness)
    assert at(browser, "settings/change-control", mode="strange").status == 400
    assert at(browser, "settings/change-control", mode="two_person").status == 303
    assert harness.tenant().change_control == "two_person"
    operator = administrator(harness, "operator", "sre@example.com")
    assert at(operator, "settings/change-control", mode="off").status == 403
    assert harness.tenant().change_control == "two_person"


def test_other_tenants_are_nothing_of_a_tenant(harness, other_harness):
    """V3: only the tenant at the base address sees the others."""
    browser = administrator(harness)
    assert at(browser, "tenants").status == 403
    assert at(browser, "tenants/create", slug="x", name="X").status == 403
    answer = at(browser, "tenants/status", slug=other_harness.slug, status="disabled", sure="yes")
    assert answer.status == 403
    assert other_harness.tenant().status == "active"


@pytest.fixture
def base(harness):
    """An owner of the default tenant, at its console."""
    server, hashed = harness.server, users.hash_new_password(PASSWORD)
    with server.database.write() as tx:
        tenant_id = tx.scalars(select(Tenant.id).where(Tenant.slug == "default")).one()
        login = f"root-{harness.slug}@example.com"
        users.add(
            tx,
            server.operator(),
            tenant_id,
            login=login,
            name="Root",
            password_hash=hashed,
        )
        admins.grant(tx, server.operator(), tenant_id, role="owner", kind="user", holder=login)
    browser = harness.browser(login)
    page = browser.get(f"{server.base}/console/tenants")
    posted = browser.post(
        f"{server.base}/login",
        {
            "login": login,
            "password": PASSWORD,
            "continue": page.field("continue"),
            "then": page.field("then"),
        },
    )
    assert posted.status == 303
    return browser


def test_tenants_are_added_and_switched_off_at_the_base(harness, base):
    root = f"{harness.server.base}/console"
    slug = f"new-{harness.slug}"
    made = base.post(f"{root}/tenants/create", {"slug": slug, "name": EVIL})
    assert made.status == 303
    listed = base.get(f"{root}/tenants", q=slug)
    assert "<script>alert" not in listed.text
    assert f"/t/{slug}" in listed.text
    off = {"slug": slug, "status": "disabled"}
    assert "Every token of it ends at once" in base.post(f"{root}/tenants/status", off).text
    assert base.post(f"{root}/tenants/status", {**off, "sure": "yes"}).status == 303
    with harness.server.database.read() as tx:
        lines = {it.slug: it.status for it in tenants.list_(tx, harness.server.base)}
    assert lines[slug] == "disabled"
    own = base.post(f"{root}/tenants/status", {"slug": "default", "status": "disabled"})
    assert own.status == 400
    assert base.post(f"{root}/tenants/create", {"slug": "No!", "name": "x"}).status == 400


def test_the_settings_say_how_the_installation_stands(harness):
    page = at(administrator(harness, "auditor"), "settings")
    assert page.status == 200
    row = page.text.partition(">Migrations<")[2].partition("</tr>")[0]
    assert ">good<" in row


@pytest.mark.parametrize(
    ("values", "name", "state"),
    [
        ({"revision": "0001"}, "Migrations", "bad"),
        ({"revision": None}, "Migrations", "bad"),
        ({}, "Migrations", "good"),
        ({"engine": "sqlite"}, "Database", "look"),
        ({"issuer": "http://127.0.0.1"}, "Address", "look"),
        ({"development": True}, "Mode", "look"),
        ({}, "Mode", "good"),
    ],
)
def test_an_installation_is_judged(values, name, state):
    given = {
        "engine": "postgresql",
        "revision": "0015",
        "expected": "0015",
        "issuer": "https://auth.example",
        "development": False,
    }
    checks = installation.judge(**{**given, **values})
    assert {it.name: it.state for it in checks}[name] == state


def test_the_first_page_says_what_was_denied_and_how_ready_it_all_is(harness):
    """Part 1: denials by reason in words, expiring things, readiness, charts with the table behind them."""
    browser = administrator(harness)
    harness.tokens("sre@example.com")
    harness.change(resources.set_owner, harness.resource.id, "")
    assert harness.redeem("ac_nothing").reason == "code_unknown"
    page = browser.get(f"{harness.issuer}/console")
    assert "the code does not exist, or is past its record" in page.text
    assert "kind=token.refused&amp;reason=code_unknown" in page.text
    assert "1 in the last hour, 1 a minute at most" in page.text
    assert page.text.count("<rect") == 3
    assert "Nobody owns <a" in page.text
    assert "Readiness: " in page.text
    assert "Begin here" not in page.text


def test_an_empty_installation_says_where_to_begin(harness):
    for server in harness.ask(resources.list_):
        harness.change(resources.set_status, server.identifier, "disabled")
    page = administrator(harness).landed
    assert "Begin here" in page.text
    assert "Register an MCP server" in page.text
    assert "Nothing in the last hour" in page.text
