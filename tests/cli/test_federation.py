"""`authz connections`, `domains`, `mappings` and `trust`: what an operator types, and what each command says next."""

import json

import pytest

from tests.support.client_keys import ClientKey
from tests.support.saml_idp import SamlIdp

OKTA = ("--preset", "okta", "--set", "issuer=https://corp.okta.com", "--set", "client_id=0oa1")


@pytest.fixture
def okta(cli):
    return cli.run(
        *("connections", "add", "okta", *OKTA, "--name", "Okta", "--provision"),
        *("--set", "client_secret=env:OKTA_SECRET"),
    ).out


def test_a_connection_says_what_to_enter_over_there(cli, okta):
    base = f"https://authz.example/t/{cli.tenant}/federation/okta"
    assert f" {base}/callback\n" in okta
    assert f"Sign-in redirect URI: {base}/callback" in okta  # of the product's own steps
    assert "authz mappings add okta groups VALUE --role ROLE" in okta
    shown = cli.json("connections", "show", "okta")
    assert (shown["name"], shown["provisions"], shown["is_listed"]) == ("Okta", True, True)
    assert shown["settings"]["client_secret"] == "env:OKTA_SECRET"
    assert cli.json("connections", "refresh", "okta")["slug"] == "okta"


def test_a_connection_is_changed_switched_and_removed(cli, okta):
    cli.run("connections", "change", "okta", "--name", "Corp", "--no-button", "--no-provision")
    [line] = cli.json("connections", "list")
    assert (line["name"], line["is_listed"], line["provisions"]) == ("Corp", False, False)
    assert "refused from now on" in cli.run("connections", "disable", "okta").out
    assert cli.json("connections", "list")[0]["status"] == "disabled"
    cli.run("connections", "enable", "okta")
    cli.run("connections", "remove", "okta", "--yes")
    assert cli.json("connections", "list") == []


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("Okta!", *OKTA), "is not a name for a connection"),
        (("local", *OKTA), "is not a name for a connection"),
        (("x", "--kind", "ldap"), "is no kind of identity provider"),
        (("x", *OKTA, "--set", "colour=red"), "colour"),
        (("x", *OKTA, "--set", "client_secret=plain"), "client_secret"),
    ],
    ids=["name", "local", "kind", "unknown setting", "literal secret"],
)
def test_a_connection_that_cannot_be_is_refused(cli, arguments, why):
    assert why in cli.run("connections", "add", *arguments, code=1).err


def test_a_file_of_settings_that_is_not_there_is_a_sentence(cli, tmp_path):
    missing = str(tmp_path / "missing.json")
    given = ("--kind", "oidc", "--preset", "generic", "--settings", missing)
    said = cli.run("connections", "add", "x", *given, code=2).err
    assert f"{missing} cannot be read: No such file or directory" in " ".join(said.split())


def test_the_metadata_of_a_saml_provider_are_its_settings(cli, tmp_path):
    """SAML-09."""
    idp = SamlIdp()
    (tmp_path / "idp.xml").write_bytes(idp.metadata())
    given = ("--kind", "saml", "--preset", "adfs", "--metadata", str(tmp_path / "idp.xml"))
    made = cli.json("connections", "add", "adfs", *given)
    assert made["settings"]["entity_id"] == idp.entity_id
    assert made["addresses"]["acs_url"].endswith("/federation/adfs/acs")


def test_a_domain_is_claimed_with_a_record(cli, okta):
    said = cli.run("domains", "add", "corp.example", "okta").out
    [line] = cli.json("domains", "list")
    assert f"_authz-challenge.corp.example  TXT  {line['record_value']}" in said
    assert "not verified" in cli.run("domains", "mandatory", "corp.example", code=1).err
    cli.run("domains", "optional", "corp.example")
    cli.run("domains", "remove", "corp.example")
    assert cli.json("domains", "list") == []


def test_a_mapping_leads_to_a_group(cli, okta):
    cli.run("groups", "add", "oncall")
    said = cli.run("mappings", "add", "okta", "groups", "g-1", "--group", "oncall").out
    assert "Mapped groups=g-1 of okta to the group oncall" in said
    [line] = cli.json("mappings", "list")
    assert "means nothing now" in cli.run("mappings", "remove", line["id"]).out


def test_trust_says_which_audience_to_enter(cli, okta, tmp_path):
    uri = ("--jwks-uri", "https://idp.example/keys")
    said = cli.run("trust", "add", "idp", "--issuer", "https://idp.example", *uri).out
    assert f" https://authz.example/t/{cli.tenant}\n" in said
    (tmp_path / "more.json").write_text(json.dumps({"tenants": ["t1"]}))
    given = ("--connection", "okta", "--settings", str(tmp_path / "more.json"))
    cli.run("trust", "add", "two", "--issuer", "https://multi.example", *uri, *given)
    cli.run("trust", "change", "two", "--set", "max_lifetime_seconds=60", "--set", "tenants=null")
    shown = cli.json("trust", "show", "two")
    assert shown["settings"]["max_lifetime_seconds"] == 60
    assert "tenants" not in shown["settings"]
    cli.run("trust", "disable", "two")
    assert [it["status"] for it in cli.json("trust", "list")] == ["active", "disabled"]
    cli.run("trust", "enable", "two")
    cli.run("trust", "remove", "two")
    assert [it["slug"] for it in cli.json("trust", "list")] == ["idp"]


RULE = ("--resource", "https://mcp.example/mcp", "--role", "developer")


@pytest.fixture
def served(cli):
    """A server and a role that rules can speak of."""
    cli.run("resources", "add", "https://mcp.example/mcp", "--name", "Ops", "--scope", "logs.read")
    cli.run("roles", "import", "-", stdin="roles: {developer: [logs.read]}")
    return cli


def test_workloads_of_a_platform_are_let_in_one_by_one(served, tmp_path):
    """WIF-02: what is to be entered over there, what comes next here, and what to look at again."""
    cli = served
    said = cli.run("trust", "add", "ci", "--preset", "github-actions").out
    assert f" https://authz.example/t/{cli.tenant}\n" in said
    assert "id-token: write" in said
    assert f"the audience https://authz.example/t/{cli.tenant} (" in said
    assert "Warning: there are no rules" in said
    subject = ("--subject", "repo:acme/tools:pull_request")
    assert "take over" in cli.run("trust", "allow", "ci", "notes", *subject, *RULE, code=1).err
    pinned = (*subject, "--claim", 'repository_id="123"', *RULE)
    assert (
        "Warning: rule notes: pull requests"
        in cli.run("trust", "allow", "ci", "notes", *pinned).out
    )
    again = ("--subject", "repo:acme/tools:ref:refs/heads/main", "--claim", "repository_id=123")
    assert "Warning" not in cli.run("trust", "allow", "ci", "notes", *again, *RULE).out
    shown = cli.json("trust", "show", "ci")
    assert (shown["kind"], shown["connection"], shown["warnings"]) == ("workload", None, [])
    assert [it["subject"] for it in shown["settings"]["rules"]] == [again[1]]
    assert "rule notes: {" in cli.run("trust", "show", "ci").out
    assert "workloads" in cli.run("trust", "list").out
    cli.run("trust", "change", "ci", "--set", "max_lifetime_seconds=60")
    assert cli.json("trust", "show", "ci")["settings"]["max_lifetime_seconds"] == 60
    assert cli.run("trust", "disable", "ci").out == "Disabled ci.\n"
    assert "no rule 'other'" in cli.run("trust", "disallow", "ci", "other", code=1).err
    cli.run("trust", "disallow", "ci", "notes")
    assert "rules" not in cli.json("trust", "show", "ci")["settings"]
    cli.run("trust", "remove", "ci")
    assert cli.json("trust", "list") == []


def test_a_cluster_has_nested_claims_and_pinned_keys(served, tmp_path):
    cli, key = served, ClientKey("ES256")
    (tmp_path / "keys.json").write_text(json.dumps({"jwks": key.jwks}))
    given = ("--preset", "kubernetes", "--issuer", "https://kubernetes.default.svc.cluster.local")
    cli.run("trust", "add", "prod", *given, "--settings", str(tmp_path / "keys.json"))
    claim = '{"namespace": "agents", "serviceaccount": {"uid": ["u1", "u2"]}}'
    cli.run(
        *("trust", "allow", "prod", "router", "--subject", "system:serviceaccount:agents:router"),
        *("--claim", f"kubernetes.io={claim}", "--resource", "https://mcp.example/mcp"),
        *("--scope", "logs.read"),
    )
    settings = cli.json("trust", "show", "prod")["settings"]
    assert settings["rules"][0]["claims"] == {"kubernetes.io": json.loads(claim)}
    assert (settings["assertion_reuse"], settings["max_lifetime_seconds"]) == ("until_exp", 3600)


@pytest.mark.parametrize(
    ("arguments", "code", "why"),
    [
        (("--preset", "gitlab"), 1, "is not one of"),
        (("--workloads",), 1, "--issuer"),
        (("--preset", "spiffe", "--issuer", "spiffe://a.example"), 1, "pinned keys"),
        (("--preset", "github-actions", "--provision"), 2, "--provision"),
        (("--jwks-uri", "https://c.example/keys"), 2, "--issuer"),
    ],
    ids=["preset", "issuer", "keys", "people", "nobody"],
)
def test_an_issuer_of_workloads_that_cannot_be_is_refused(cli, arguments, code, why):
    assert why in cli.run("trust", "add", "x", *arguments, code=code).err
