"""Identity providers, domains, provisioning and signals in the console."""

import pytest

from authz.admin import connections, domains, scim_tokens, signal_streams
from tests.support.console import EVIL, administrator, at

OKTA = {
    "slug": "okta",
    "name": "Okta",
    "issuer": "https://corp.okta.com",
    "client_id": "abc",
    "client_secret": "env:AUTHZ_SECRET_OKTA",
    "is_listed": "yes",
}


def connect(harness, browser, **values):
    """One identity provider, by the form."""
    made = at(browser, "connect/add?preset=oidc:okta", **{**OKTA, **values})
    assert made.status == 303, made.text
    return harness.ask(connections.show, "okta", harness.issuer)


def test_a_provider_is_connected_by_the_form_of_its_product(harness):
    browser = administrator(harness)
    chosen = at(browser, "connections/begin", preset="oidc:okta")
    form = browser.get(harness.server.base + chosen.location)
    assert form.status == 200
    for name in ("issuer", "client_id", "client_secret", "groups_claim", "algorithms"):
        assert f'name="{name}"' in form.text
    made = connect(harness, browser, groups_claim="teams")
    assert made.settings["groups_claim"] == "teams"
    assert made.settings["client_secret"] == "env:AUTHZ_SECRET_OKTA"
    page = at(browser, "connections/okta")
    assert "env:AUTHZ_SECRET_OKTA" in page.text
    assert made.addresses["redirect_uri"] in page.text
    assert "okta" in at(browser, "connections").text


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ({"client_secret": "hunter2"}, "client_secret"),
        ({"issuer": "http://corp.okta.com"}, "issuer"),
        ({"slug": ""}, "slug"),
    ],
)
def test_a_mistake_is_said_beside_its_field(harness, values, name):
    """A secret that was typed where a reference belongs is not said again by the error."""
    answer = at(administrator(harness), "connect/add?preset=oidc:okta", **{**OKTA, **values})
    assert answer.status == 400
    wrong = answer.text.partition(f'name="{name}"')[2].partition("</div>")[0]
    assert "field-wrong" in wrong
    assert harness.ask(connections.list_) == []
    assert "hunter2" not in answer.text


def test_a_product_that_is_none_is_not_there(harness):
    browser = administrator(harness)
    assert at(browser, "connect?preset=oidc:nothing").status == 404
    assert at(browser, "connect/add?preset=x", **OKTA).status == 404


def test_settings_are_changed_but_not_over_somebody_else(harness):
    browser = administrator(harness)
    connect(harness, browser)
    page = at(browser, "connections/okta")
    kept = {name: page.field(name) for name in ("was_client_id", "was_issuer")}
    form = {**kept, "issuer": OKTA["issuer"], "client_id": "def"}
    assert at(browser, "connections/okta/settings", **form).status == 303
    assert harness.ask(connections.show, "okta", harness.issuer).settings["client_id"] == "def"
    clash = at(browser, "connections/okta/settings", **{**form, "client_id": "ghi"})
    assert clash.status == 409
    assert "Client identifier there" in clash.text
    assert harness.ask(connections.show, "okta", harness.issuer).settings["client_id"] == "def"


def test_a_provider_is_switched_off_on_and_removed(harness):
    browser = administrator(harness)
    connect(harness, browser)
    off = at(browser, "connections/okta/status", status="disabled")
    assert "0 people came that way" in off.text
    assert at(browser, "connections/okta/status", status="disabled", sure="yes").status == 303
    assert harness.ask(connections.list_)[0].status == "disabled"
    assert at(browser, "connections/okta/status", status="active").status == 303
    how = {"name": EVIL, "is_listed": "no", "provisions": "yes", "links_by_email": "no"}
    assert at(browser, "connections/okta/how", **how).status == 303
    line = harness.ask(connections.list_)[0]
    assert (line.name, line.is_listed, line.provisions) == (EVIL, False, True)
    for address in ("connections", "connections/okta", "domains", "scim-tokens"):
        assert "<script>alert" not in at(browser, address).text
    asked = at(browser, "connections/okta/remove", sent="1")
    assert "go with it" in asked.text
    assert at(browser, "connections/okta/remove", sure="yes").status == 303
    assert harness.ask(connections.list_) == []
    assert at(browser, "connections/okta").status == 404


def test_a_domain_shows_its_record_and_is_verified(harness):
    browser = administrator(harness)
    connect(harness, browser)
    added = at(browser, "domains/add", name="corp.example", connection="okta")
    assert added.status == 303
    line = harness.ask(domains.show, "corp.example")
    page = at(browser, "domains")
    assert line.record_name in page.text
    assert line.record_value in page.text
    early = at(browser, "domains/mandatory", name="corp.example", mandatory="yes", sure="yes")
    assert early.status == 400
    harness.change(domains.verify, "corp.example", [line.record_value])
    assert "verified" in at(browser, "domains?status=verified").text
    asked = at(browser, "domains/mandatory", name="corp.example", mandatory="yes")
    assert "Break-glass" in asked.text
    again = at(browser, "domains/mandatory", name="corp.example", mandatory="yes", sure="yes")
    assert again.status == 303
    assert harness.ask(domains.show, "corp.example").is_mandatory
    assert at(browser, "domains/remove", name="corp.example", sure="yes").status == 303
    assert at(browser, "domains/remove", name="corp.example").status == 404


def test_provisioning_tokens_are_shown_once_and_revoked(harness):
    browser = administrator(harness)
    made = at(browser, "scim-tokens/add", name=EVIL, connection="", days="90")
    assert made.status == 200
    token = made.text.partition(">Token<")[2].partition("<code>")[2].partition("<")[0]
    assert len(token) > 30
    listed = at(browser, "scim-tokens")
    assert token not in listed.text
    assert "<script>alert" not in listed.text
    line = harness.ask(scim_tokens.list_)[0]
    assert "writes nothing any more" in at(browser, "scim-tokens/revoke", id=line.id).text
    assert at(browser, "scim-tokens/revoke", id=line.id, sure="yes").status == 303
    assert harness.ask(scim_tokens.list_)[0].revoked_at is not None


def test_signals_are_received_and_stopped(harness):
    browser = administrator(harness)
    connect(harness, browser)
    form = {
        "slug": "okta-signals",
        "connection": "okta",
        "issuer": "https://corp.okta.com",
        "jwks_uri": "https://corp.okta.com/keys",
        "audience": harness.issuer,
    }
    made = at(browser, "signal-streams/add", **form)
    assert made.status == 200
    assert "<code>sgt_" in made.text
    missing = at(browser, "signal-streams/add", **{**form, "issuer": ""})
    assert missing.status == 400
    slug = {"slug": "okta-signals"}
    assert at(browser, "signal-streams/rotate", **slug, sure="yes").status == 200
    assert at(browser, "signal-streams/status", **slug, status="disabled").status == 303
    assert harness.ask(signal_streams.list_)[0].status == "disabled"
    assert at(browser, "signal-streams/remove", **slug, sure="yes").status == 303
    assert harness.ask(signal_streams.list_) == []


def test_who_may_not_changes_nothing(harness):
    connect(harness, administrator(harness, login="sre@example.com"))
    browser = administrator(harness, "auditor")
    assert at(browser, "connect?preset=oidc:okta").status == 403
    assert "Switch it off" not in at(browser, "connections/okta").text
    for act in ("connections/okta/status", "connections/okta/remove"):
        assert at(browser, act, status="disabled", sure="yes").status == 403
    assert at(browser, "domains/add", name="x.example", connection="okta").status == 403
    assert at(browser, "scim-tokens/add", name="x", connection="", days="90").status == 403
    assert harness.ask(connections.list_)[0].status == "active"


def test_another_tenants_providers_are_not_there(harness, other_harness):
    connect(other_harness, administrator(other_harness))
    browser = administrator(harness)
    assert at(browser, "connections/okta").status == 404
    assert at(browser, "connections/okta/remove", sure="yes").status == 404
    assert "okta" not in at(browser, "connections").text.partition("<table")[2]
    assert at(browser, "domains/add", name="x.example", connection="okta").status == 404
