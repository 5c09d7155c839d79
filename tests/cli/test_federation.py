"""`authz connections`, `domains`, `mappings` and `trust`: what an operator types, and what each command says next."""

import json

import pytest

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
