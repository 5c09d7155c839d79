"""ID-JAG issuers, workloads, targets and delegations in the console (issue 6)."""

import json

import pytest

from authz.admin import delegations, targets, trust
from tests.support.console import EVIL, administrator, at
from tests.support.harness import RESOURCE, SCOPES
from tests.support.workloads import RULE

ISSUER = "https://idp.example"
JWKS = '{"jwks_uri": "https://idp.example/keys"}'
OTHER = "https://tickets.example/mcp"


def added(browser):
    """An issuer that is trusted about people."""
    form = {"slug": "partner", "issuer": ISSUER, "connection": "", "settings": JWKS}
    answer = at(browser, "id-jag-trust/add", **form)
    assert answer.status == 303, answer.text
    return "id-jag-trust/partner"


def settings(harness, slug):
    """As they are stored."""
    return harness.ask(trust.show, slug).settings


def test_an_issuer_is_trusted_changed_and_forgotten(harness):
    browser = administrator(harness)
    one = added(browser)
    page = at(browser, one)
    assert page.status == 200
    assert ISSUER in page.text
    assert "jwks_uri" in page.text
    was = json.dumps(settings(harness, "partner"), indent=2, sort_keys=True)
    wider = json.dumps({**settings(harness, "partner"), "max_lifetime_seconds": 120})
    form = {"was_settings": was, "settings": wider}
    assert at(browser, f"{one}/settings", **form).status == 303
    assert settings(harness, "partner")["max_lifetime_seconds"] == 120
    clash = at(browser, f"{one}/settings", **form)
    assert clash.status == 409
    assert "Somebody else changed this meanwhile" in clash.text
    now = json.dumps(settings(harness, "partner"), indent=2, sort_keys=True)
    assert at(browser, f"{one}/settings", was_settings=now, settings=JWKS).status == 303
    assert "max_lifetime_seconds" not in settings(harness, "partner")
    assert "are refused from now on" in at(browser, f"{one}/status", status="disabled").text
    assert at(browser, f"{one}/status", status="disabled", sure="yes").status == 303
    assert harness.ask(trust.show, "partner").status == "disabled"
    assert at(browser, f"{one}/status", status="active").status == 303
    assert at(browser, f"{one}/remove", sure="yes").status == 303
    assert at(browser, one).status == 404


@pytest.mark.parametrize("text", ["[]", "{", '{"a": 1, "a": 2}', EVIL])
def test_settings_that_are_no_object_are_said_beside_the_field(harness, text):
    form = {"slug": "partner", "issuer": ISSUER, "connection": "", "settings": text}
    answer = at(administrator(harness), "id-jag-trust/add", **form)
    assert answer.status == 400
    assert "This is not a JSON object" in answer.text
    assert 'aria-invalid="true"' in answer.text
    assert "<script>alert" not in answer.text


def test_a_workload_is_allowed_and_its_rule_taken_away(harness):
    browser = administrator(harness)
    form = {
        "slug": "cluster",
        "preset": "",
        "issuer": "https://cluster.example",
        "settings": '{"jwks_uri": "https://cluster.example/keys"}',
    }
    assert at(browser, "workload-trust/add", **form).status == 303
    one = "workload-trust/cluster"
    assert at(browser, f"{one}/allow", rule=json.dumps(RULE)).status == 303
    page = at(browser, one)
    assert RULE["subject"] in page.text
    assert "cluster" in at(browser, "workload-trust").text
    assert (
        "cluster"
        not in at(browser, "id-jag-trust?q=cluster")
        .text.partition("<h1>")[2]
        .partition("data-live-region")[2]
    )
    asked = at(browser, f"{one}/disallow", name=RULE["name"])
    assert "gets no tokens any more" in asked.text
    assert at(browser, f"{one}/disallow", name=RULE["name"], sure="yes").status == 303
    assert settings(harness, "cluster").get("rules", []) == []
    assert "end at once" in at(browser, f"{one}/remove", sent="1").text


def test_a_target_is_known_and_clients_are_mapped(harness):
    browser = administrator(harness)
    form = {"slug": "vendor", "issuer": "https://vendor.example", "settings": "{}"}
    assert at(browser, "targets/add", **form).status == 303
    one = "targets/vendor"
    assert at(browser, f"{one}/client", client_id=harness.client_id, there="ours").status == 303
    assert harness.ask(targets.show, "vendor").settings["clients"] == {harness.client_id: "ours"}
    was = json.dumps(harness.ask(targets.show, "vendor").settings, indent=2, sort_keys=True)
    changed = at(browser, f"{one}/settings", was_settings=was, settings='{"tells_email": true}')
    assert changed.status == 303
    assert dict(harness.ask(targets.show, "vendor").settings) == {"tells_email": True}
    assert at(browser, f"{one}/status", status="disabled", sure="yes").status == 303
    assert harness.ask(targets.show, "vendor").status == "disabled"
    assert at(browser, f"{one}/remove", sure="yes").status == 303
    own = {**form, "issuer": harness.issuer}
    assert at(browser, "targets/add", **own).status == 400


def test_tokens_are_exchanged_by_a_rule(harness):
    harness.add_resource(OTHER, scopes=SCOPES)
    made = harness.add_client(
        name="Ops",
        redirect_uris=(),
        auth_method="client_secret_basic",
        grant_types=("urn:ietf:params:oauth:grant-type:token-exchange",),
    )
    browser = administrator(harness)
    form = {
        "client_id": made.client.id,
        "from_server": RESOURCE,
        "to_server": OTHER,
        "carries": "logs.read = logs.read analytics.query",
        "max_depth": "2",
    }
    wrong = at(browser, "delegations/add", **{**form, "carries": "logs.read"})
    assert wrong.status == 400
    assert 'aria-invalid="true"' in wrong.text
    assert at(browser, "delegations/add", **{**form, "max_depth": "99"}).status == 400
    assert at(browser, "delegations/add", **form).status == 303
    line = harness.ask(delegations.list_)[0]
    assert line.carries == {"logs.read": ["analytics.query", "logs.read"]}
    assert made.client.id in at(browser, "delegations").text
    assert "exchanges no token" in at(browser, "delegations/remove", id=line.id).text
    assert at(browser, "delegations/remove", id=line.id, sure="yes").status == 303
    assert harness.ask(delegations.list_) == []


def test_who_may_not_changes_no_trust(harness):
    added(administrator(harness, login="sre@example.com"))
    browser = administrator(harness, "auditor")
    assert at(browser, "id-jag-trust/partner/remove", sure="yes").status == 403
    assert at(browser, "id-jag-trust/partner/status", status="disabled", sure="yes").status == 403
    form = {"slug": "x", "issuer": "https://x.example", "settings": "{}"}
    for page in ("id-jag-trust", "workload-trust", "targets"):
        assert at(browser, f"{page}/add", **form).status == 403
    assert harness.ask(trust.show, "partner").status == "active"


def test_another_tenants_trust_is_not_there(harness, other_harness):
    one = added(administrator(other_harness))
    browser = administrator(harness)
    assert at(browser, one).status == 404
    for act in ("remove", "status", "settings"):
        fields = {"sure": "yes", "status": "disabled", "settings": "{}"}
        assert at(browser, f"{one}/{act}", **fields).status == 404
    assert at(browser, "targets/vendor").status == 404
    assert other_harness.ask(trust.show, "partner").status == "active"
