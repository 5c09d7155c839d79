"""`authz scim-tokens`: made and shown once, listed without secrets, revoked."""


def test_a_token_is_shown_once_and_told_apart_ever_after(cli):
    assert "No token; `authz scim-tokens add NAME`" in cli.run("scim-tokens", "list").out
    made = cli.json("scim-tokens", "add", "Okta", "--expires", "90d")
    assert made["token"].startswith("scm_")
    assert made["base_url"] == f"https://authz.example/t/{cli.tenant}/scim/v2"
    shown = cli.run("scim-tokens", "add", "Entra").out
    assert f"base_url: {made['base_url']}\ntoken: scm_" in shown
    assert "not shown again" in shown
    listed = cli.run("scim-tokens", "list").out + cli.run("scim-tokens", "list", "--json").out
    assert "scm_" not in listed
    okta, entra = cli.json("scim-tokens", "list")
    assert (okta["name"], okta["connection"], okta["last_used_at"]) == ("Okta", None, None)
    assert (okta["expires_at"] is None, entra["expires_at"]) == (False, None)
    assert "Revoked Okta" in cli.run("scim-tokens", "revoke", okta["id"]).out
    assert "revoked already" in cli.run("scim-tokens", "revoke", okta["id"], code=1).err
    assert cli.json("scim-tokens", "list")[0]["revoked_at"] is not None


def test_a_token_that_cannot_be_is_refused(cli):
    def refused(*arguments):
        return cli.run("scim-tokens", *arguments, code=1).err

    assert "there is no connection 'okta'" in refused("add", "x", "--connection", "okta")
    assert "1 to 200 printable" in refused("add", "")
    assert "longer than nothing" in refused("add", "x", "--expires", "0d")
    assert "there is no provisioning token 'stk_x'" in refused("revoke", "stk_x")
