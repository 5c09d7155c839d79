"""`authz signals`, `authz offboarding`, `authz users end-access`."""

import json

import pytest

OKTA = ("--issuer", "https://example.okta.com", "--jwks-uri", "https://example.okta.com/keys")


@pytest.fixture
def connected(cli):
    settings = ("issuer=https://idp.example", "client_id=x", "client_secret=env:SECRET")
    options = [part for setting in settings for part in ("--set", setting)]
    cli.run("connections", "add", "corp", "--kind", "oidc", *options)
    return cli


def test_a_stream_and_its_token(connected):
    made = connected.json("signals", "add", "okta", "--connection", "corp", *OKTA)
    assert made["token"].startswith("sgt_")
    assert made["endpoint_url"].endswith("/signals/okta")
    assert made["audience"] == made["endpoint_url"].removesuffix("/signals/okta")
    shown = connected.run("signals", "rotate-token", "okta").out
    assert "authorization_header: Bearer sgt_" in shown
    assert "not shown again" in shown
    assert made["token"] not in shown
    listed = connected.run("signals", "list").out
    assert "okta" in listed
    assert "sgt_" not in listed
    assert "disabled" in connected.run("signals", "disable", "okta").out
    assert connected.json("signals", "list")[0]["status"] == "disabled"
    assert connected.json("signals", "enable", "okta")["status"] == "active"
    assert "Removed" in connected.run("signals", "remove", "okta").out
    assert "No stream" in connected.run("signals", "list").out


def test_a_stream_that_is_polled(connected):
    poll = ("--poll-url", "https://example.okta.com/poll", "--poll-token-ref", "env:TOKEN")
    shown = connected.run("signals", "add", "okta", "--connection", "corp", *OKTA, *poll).out
    assert "asked every 15 seconds" in shown
    assert "sgt_" not in shown
    assert connected.json("signals", "list")[0]["delivery"] == "poll"


def test_what_is_refused(connected):
    shown = connected.run("signals", "add", "okta", "--connection", "no", *OKTA, "--json", code=1)
    assert json.loads(shown.err)["kind"] == "not_found"
    connected.run("signals", "remove", "okta", code=1)
    connected.run("offboarding", "--since", "soon", code=2)


def test_ending_access_and_the_clock(cli):
    cli.run("users", "add", "ada@example.com")
    assert "Nobody's access has ended" in cli.run("offboarding").out
    done = cli.json("users", "end-access", "ada@example.com")
    assert (done["status"], done["sessions"]) == ("active", 0)
    assert "disabled" in cli.run("users", "end-access", "ada@example.com", "--disable").out
    found = cli.json("offboarding", "--since", "1h")
    [source] = found["sources"]
    assert (source["source"], source["events"]) == ("operator", 2)
    assert len(found["slowest"]) == 2
    shown = cli.run("offboarding", "--since", "2020-01-01T00:00:00Z", "--slowest", "1").out
    assert "P99" in shown
    assert "operator" in shown
