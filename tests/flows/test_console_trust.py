"""ID-JAG issuers, workloads, targets and delegations in the console."""

import re

import pytest

from authz.admin import delegations, targets, trust, workload_trust
from tests.support.console import EVIL, administrator, at
from tests.support.harness import RESOURCE, SCOPES
from tests.support.workloads import RULE

ISSUER = "https://idp.example"
KEYS = {"jwks_uri": "https://idp.example/keys"}
PEOPLE = {
    **KEYS,
    "scope_ceiling_bound": "no",
    "max_lifetime_seconds": "900",
    "assertion_reuse": "deny",
    "algorithms": ["ES256", "RS256", "PS256", "EdDSA"],
}
"""What the form of an issuer sends where nobody changes anything but the address of its keys."""
OTHER = "https://tickets.example/mcp"


def added(browser):
    """An issuer that is trusted about people."""
    form = {"slug": "partner", "issuer": ISSUER, "connection": "", **PEOPLE}
    answer = at(browser, "id-jag-trust/add", **form)
    assert answer.status == 303, answer.text
    return "id-jag-trust/partner"


def kept(page):
    """What a form says that it showed."""
    found = re.findall(r'name="(was_[a-z_]+)" value="([^"]*)"', page.text)
    return {name: value.replace("&#34;", '"') for name, value in found}


def settings(harness, slug):
    """As they are stored."""
    return harness.ask(trust.show, slug).settings


def test_an_issuer_is_trusted_changed_and_forgotten(harness):
    browser = administrator(harness)
    one = added(browser)
    assert dict(settings(harness, "partner")) == KEYS
    page = at(browser, one)
    assert page.status == 200
    assert ISSUER in page.text
    was = kept(page)
    wider = {**was, **PEOPLE, "max_lifetime_seconds": "120", "tenants": "acme\n"}
    assert at(browser, f"{one}/settings", **wider).status == 303
    assert settings(harness, "partner")["max_lifetime_seconds"] == 120
    assert settings(harness, "partner")["tenants"] == ["acme"]
    clash = at(browser, f"{one}/settings", **wider)
    assert clash.status == 409
    assert "Somebody else changed this meanwhile" in clash.text
    assert "Longest lifetime, in seconds" in clash.text
    assert "Our tenant at it" in clash.text
    assert "Address of its keys" not in clash.text
    assert at(browser, f"{one}/settings", **kept(at(browser, one)), **PEOPLE).status == 303
    assert dict(settings(harness, "partner")) == KEYS
    assert "are refused from now on" in at(browser, f"{one}/status", status="disabled").text
    assert at(browser, f"{one}/status", status="disabled", sure="yes").status == 303
    assert harness.ask(trust.show, "partner").status == "disabled"
    assert at(browser, f"{one}/status", status="active").status == 303
    assert at(browser, f"{one}/remove", sure="yes").status == 303
    assert at(browser, one).status == 404


@pytest.mark.parametrize(
    ("changed", "field", "sentence"),
    [
        ({"slug": "No Name"}, "slug", "Lower-case letters"),
        ({"issuer": "ftp://x.example"}, "issuer", "is not an https URL"),
        ({"jwks_uri": "http://x.example/keys"}, "jwks_uri", "“Address of its keys”"),
        ({"jwks_uri": "", "jwks": EVIL}, "jwks", "This is not a key set"),
        ({"jwks_uri": ""}, "jwks_uri", "“Or its keys, pinned”"),
        ({"max_lifetime_seconds": "ten"}, "max_lifetime_seconds", "is a whole number"),
        ({"max_lifetime_seconds": "86400"}, "max_lifetime_seconds", "is 1 to 3600"),
        ({"algorithms": "HS256"}, "algorithms", "algorithms of a trusted issuer are some of"),
        ({"scope_ceiling_bound": "yes", "scope_ceiling": '"'}, "scope_ceiling", "is not a scope"),
        ({"saml_issuer": "x"}, "saml_issuer", "goes with subject"),
        ({"subject": "mail"}, "subject", "is one of"),
        ({"assertion_reuse": "ever"}, "assertion_reuse", "is one of"),
    ],
)
def test_what_is_wrong_is_said_beside_its_field(harness, changed, field, sentence):
    form = {"slug": "partner", "issuer": ISSUER, "connection": "", **PEOPLE, **changed}
    answer = at(administrator(harness), "id-jag-trust/add", **form)
    assert answer.status == 400
    beside = re.search(rf'id="add-{field}-wrong"><bdi>([^<]*)<', answer.text)
    assert sentence in beside[1]
    assert "<script>alert" not in answer.text
    assert harness.ask(trust.list_) == []


def test_what_an_entry_would_accept_is_shown_before_it_is_stored(harness):
    browser = administrator(harness)
    form = {"slug": "partner", "issuer": ISSUER, **PEOPLE, "preview": "yes"}
    bounded = {"scope_ceiling_bound": "yes", "scope_ceiling": "logs.read", "tenants": "acme"}
    shown = at(browser, "id-jag-trust/add", **{**form, **bounded})
    assert shown.status == 200
    assert "Nothing is stored yet" in shown.text
    for told in (f"{harness.issuer}, alone", "at most logs.read", "<bdi>acme</bdi>"):
        assert told in shown.text
    assert 'value="partner"' in shown.text
    assert harness.ask(trust.list_) == []
    unbounded = at(browser, "id-jag-trust/add", **form)
    assert "whatever the roles of the person give" in unbounded.text
    assert "must not be there" in unbounded.text


def test_no_scope_at_all_is_another_bound_than_none(harness):
    browser = administrator(harness)
    one = added(browser)
    bound = {**kept(at(browser, one)), **PEOPLE, "scope_ceiling_bound": "yes"}
    assert at(browser, f"{one}/settings", **bound).status == 303
    assert settings(harness, "partner")["scope_ceiling"] == []
    assert "none at all" in at(browser, one).text


def platform(browser):
    """A platform that is trusted about workloads."""
    form = {"slug": "cluster", "preset": "", "issuer": "https://cluster.example", **KEYS}
    limits = {"algorithms": "ES256", "max_lifetime_seconds": "900", "assertion_reuse": "deny"}
    answer = at(browser, "workload-trust/add", **form, **limits)
    assert answer.status == 303, answer.text
    return "workload-trust/cluster"


RULE_FORM = {
    "name": RULE["name"],
    "subject": RULE["subject"],
    "claims": "kubernetes.io > namespace = agents",
    "resources": RESOURCE,
    "roles": "developer",
}


def test_a_workload_is_allowed_changed_and_its_rule_taken_away(harness):
    browser = administrator(harness)
    one = platform(browser)
    shown = at(browser, f"{one}/allow", **RULE_FORM, preview="yes")
    assert "kubernetes.io &gt; namespace = agents gets roles developer" in shown.text
    assert settings(harness, "cluster").get("rules", []) == []
    assert at(browser, f"{one}/allow", **RULE_FORM).status == 303
    rule = settings(harness, "cluster")["rules"][0]
    assert rule == {**RULE, "claims": {"kubernetes.io": {"namespace": ["agents"]}}}
    page = at(browser, f"{one}?rule={RULE['name']}")
    assert RULE["subject"] in page.text
    assert f'value="{RESOURCE}" checked' in page.text
    assert ">kubernetes.io &gt; namespace = agents</textarea>" in page.text
    both = f"{RULE_FORM['claims']}\nkubernetes.io > namespace = tools"
    assert at(browser, f"{one}/allow", **{**RULE_FORM, "claims": both}).status == 303
    claims = settings(harness, "cluster")["rules"][0]["claims"]
    assert claims == {"kubernetes.io": {"namespace": ["agents", "tools"]}}
    limits = {"algorithms": "ES256", "max_lifetime_seconds": "60", "assertion_reuse": "deny"}
    changed = at(browser, f"{one}/settings", **kept(page), **KEYS, **limits)
    assert changed.status == 303
    assert settings(harness, "cluster")["max_lifetime_seconds"] == 60
    assert len(settings(harness, "cluster")["rules"]) == 1
    assert at(browser, "id-jag-trust/cluster").status == 404
    asked = at(browser, f"{one}/disallow", name=RULE["name"])
    assert "gets no tokens any more" in asked.text
    assert at(browser, f"{one}/disallow", name=RULE["name"], sure="yes").status == 303
    assert settings(harness, "cluster").get("rules", []) == []
    assert "end at once" in at(browser, f"{one}/remove", sent="1").text


@pytest.mark.parametrize(
    ("changed", "field", "sentence"),
    [
        ({"claims": "agents"}, "claims", "Write it as CLAIM = VALUE"),
        ({"claims": "a = 1\na > b = 2"}, "claims", "has a value of its own"),
        ({"claims": "sub = x"}, "claims", "cannot say anything of"),
        ({"subject": "*:*"}, "subject", "names nobody"),
        ({"name": "No Name"}, "name", "is not a name for a workload"),
        ({"name": ""}, "name", "is empty; fill it in"),
        ({"scopes": "logs.read"}, "roles", "gives roles or scopes"),
        ({"resources": ""}, "resources", "names no MCP server"),
    ],
)
def test_what_is_wrong_with_a_rule_is_said_beside_its_field(harness, changed, field, sentence):
    browser = administrator(harness)
    one = platform(browser)
    answer = at(browser, f"{one}/allow", **{**RULE_FORM, **changed})
    assert answer.status == 400
    assert sentence in re.search(rf'id="allow-{field}-wrong"><bdi>([^<]*)<', answer.text)[1]
    assert settings(harness, "cluster").get("rules", []) == []


def test_a_known_platform_brings_its_settings(harness):
    browser = administrator(harness)
    limits = {k: PEOPLE[k] for k in ("max_lifetime_seconds", "assertion_reuse", "algorithms")}
    form = {"slug": "builds", "preset": "github-actions", "issuer": "", **limits}
    assert at(browser, "workload-trust/add", **form).status == 303
    found = harness.ask(trust.show, "builds")
    assert found.issuer == "https://token.actions.githubusercontent.com"
    assert found.settings["algorithms"] == ["RS256"]
    asked = at(browser, "workload-trust/add", **{**form, "slug": "k", "preset": "kubernetes"})
    assert "issuer for each installation" in asked.text


def test_a_target_is_known_and_clients_are_mapped(harness):
    browser = administrator(harness)
    said = {"scope_ceiling_bound": "no", "lifetime_seconds": "300"}
    form = {"slug": "vendor", "issuer": "https://vendor.example", **said}
    shown = at(browser, "targets/add", **form, preview="yes")
    assert "https://vendor.example" in shown.text
    assert harness.ask(targets.list_) == []
    assert at(browser, "targets/add", **form).status == 303
    one = "targets/vendor"
    assert at(browser, f"{one}/client", client_id=harness.client_id, there="ours").status == 303
    assert harness.ask(targets.show, "vendor").settings["clients"] == {harness.client_id: "ours"}
    page = at(browser, one)
    assert harness.client_id in page.text
    changed = at(browser, f"{one}/settings", **kept(page), **said, tells_email="yes")
    assert changed.status == 303
    assert dict(harness.ask(targets.show, "vendor").settings) == {
        "clients": {harness.client_id: "ours"},
        "tells_email": True,
    }
    wrong = {**kept(at(browser, one)), **said, "lifetime_seconds": "9"}
    assert "is 30 to 900" in at(browser, f"{one}/settings", **wrong).text
    gone = f"{one}/no-client"
    assert "gets no assertion" in at(browser, gone, client_id=harness.client_id).text
    assert at(browser, gone, client_id=harness.client_id, sure="yes").status == 303
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


def ticked(page, name):
    """What the form sends of boxes that nobody touches."""
    return re.findall(rf'name="{name}" value="([^"]*)" checked', page.text)


def test_a_server_that_is_no_choice_stays_where_an_entry_names_it(harness):
    """Else a save of something else made an entry for one server an entry for all of them."""
    browser = administrator(harness)
    vendor = {"issuer": "https://vendor.example", "own_issuer": harness.issuer}
    harness.change(targets.add, slug="vendor", settings={}, **vendor)
    harness.add_resource(OTHER, scopes=SCOPES, issued_by="vendor")
    one = added(browser)
    harness.change(trust.change, "partner", {"resources": [OTHER]})
    page = at(browser, one)
    assert ticked(page, "resources") == [OTHER]
    sent = {**kept(page), **PEOPLE, "resources": ticked(page, "resources")}
    assert at(browser, f"{one}/settings", **sent).status == 303
    assert settings(harness, "partner")["resources"] == [OTHER]
    place = platform(browser)
    rule = {**RULE, "resources": [RESOURCE, OTHER]}
    harness.change(workload_trust.allow, "cluster", rule)
    for page in (
        at(browser, f"{place}?rule={RULE['name']}"),
        at(browser, f"{place}/allow", **{**RULE_FORM, "resources": rule["resources"]}, preview="yes"),
    ):  # fmt: skip
        assert ticked(page, "resources") == [RESOURCE, OTHER]


def test_who_may_not_changes_no_trust(harness):
    added(administrator(harness, login="sre@example.com"))
    browser = administrator(harness, "auditor")
    assert at(browser, "id-jag-trust/partner/remove", sure="yes").status == 403
    assert at(browser, "id-jag-trust/partner/status", status="disabled", sure="yes").status == 403
    form = {"slug": "x", "issuer": "https://x.example", **PEOPLE, "lifetime_seconds": "300"}
    for page in ("id-jag-trust", "workload-trust", "targets"):
        assert at(browser, f"{page}/add", **form).status == 403
    assert harness.ask(trust.show, "partner").status == "active"


def test_another_tenants_trust_is_not_there(harness, other_harness):
    one = added(administrator(other_harness))
    browser = administrator(harness)
    assert at(browser, one).status == 404
    for act in ("remove", "status", "settings"):
        fields = {"sure": "yes", "status": "disabled", **PEOPLE}
        assert at(browser, f"{one}/{act}", **fields).status == 404
    assert at(browser, "targets/vendor").status == 404
    assert other_harness.ask(trust.show, "partner").status == "active"
