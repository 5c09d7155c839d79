"""`authz doctor`: exit codes, both outputs, and that it needs no installation."""

import json

import pytest
from typer.testing import CliRunner

from authz.cli import app
from authz.doctor.profiles import CLIENTS
from tests.doctor.world import AS, World, reply
from tests.support.web import FakeWeb


@pytest.fixture(scope="module")
def web():
    with FakeWeb() as made:
        yield made


@pytest.fixture
def world(web, tmp_path, monkeypatch):
    """Both servers on localhost, and a working directory without a configuration."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("AUTHZ_CONFIG", raising=False)
    return World(web, mcp="localhost", auth="localhost")


def doctor(world, *options, code=0, url=None):
    arguments = ["doctor", url or world.url, "--ca-file", str(world.web.ca_file), *options]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == code, result.output
    return result


def test_a_good_server_is_exit_0_and_what_to_do_next(world):
    shown = doctor(world).stdout
    assert shown.splitlines()[0] == f"MCP server       {world.url}"
    assert f"issuer           {world.issuer}" in shown
    for profile in CLIENTS.values():
        assert f"{profile.title.ljust(21)}  yes" in shown
    # localhost is good for clients on this machine alone.
    assert "server_local (Claude (web, desktop), ChatGPT)" in shown
    assert "What stops clients" not in shown
    assert shown.endswith("Next: read the findings above, then sign in with one of them.\n")


def test_a_mistake_is_exit_1_with_value_and_way_out(world):
    world.server["issuer"] += "/"
    shown = doctor(world, code=1).stdout
    assert "  issuer_mismatch (every client)\n    `issuer` at " in shown
    assert f"'{world.issuer}/'" in shown
    assert "    Way out: Make `issuer` and the entry in `authorization_servers` the same" in shown
    assert shown.endswith(
        "0 of 12 clients connect. Next: mend the first finding, it may hide others, then run it "
        f"again:\n  authz doctor {world.url}\n"
    )
    # A URL stays whole, to be copied.
    assert world.web.url("localhost", f"{AS}/t/a") in shown.split()


def test_one_client_is_judged_alone(world):
    del world.server["code_challenge_methods_supported"]
    shown = doctor(world, "--client", "python-sdk").stdout
    assert shown.endswith("Next: sign in with one of them.\n")
    assert "ChatGPT" not in shown
    shown = doctor(world, "--client", "vscode", "--client", "python-sdk", code=1).stdout
    assert "pkce_unadvertised (VS Code)" in shown
    assert "1 of 2 clients connect" in shown
    refused = doctor(world, "--client", "netscape", code=2)
    assert "'netscape' is not one of claude-web," in refused.stderr


def test_json_is_one_document(world):
    world.server["revocation_endpoint"] = None
    world.at("localhost", "/t/a/jwks", reply({}, 404))
    found = json.loads(doctor(world, "--json", code=1).stdout)
    assert (found["url"], found["connects"]) == (world.url, False)
    assert found["authorization_servers"] == [world.issuer]
    assert [f["code"] for f in found["findings"]] == [
        "keys_unreadable",
        "server_local",
        "revocation_unsupported",
    ]
    assert found["findings"][0]["severity"] == "breaks"
    assert set(found["findings"][0]) == {"code", "severity", "clients", "sentence", "mend"}
    by_name = {verdict["client"]: verdict for verdict in found["clients"]}
    assert set(by_name) == set(CLIENTS)
    assert by_name["chatgpt"]["findings"] == [f["code"] for f in found["findings"]]
    assert by_name["cursor"]["registration"] == "registers"
    asked = {
        (request["method"], request["url"], request["status"]) for request in found["requests"]
    }
    assert ("POST", world.url, 401) in asked
    assert ("GET", f"{world.issuer}/jwks", 404) in asked


@pytest.mark.parametrize("url", ["mcp", "https://mcp.example/\n", "https://a@mcp.example/"])
def test_what_is_no_url_is_refused(world, url):
    assert doctor(world, url=url, code=1).stderr.startswith("Error: MCP server ")


def test_what_a_stranger_wrote_cannot_steer_the_terminal(world):
    world.server["issuer"] = "\x1b[2J\u202eevil"
    world.resource["resource"] = "\x1b]0;x\x07"
    shown = doctor(world, code=1).stdout
    assert "\x1b" not in shown
    assert "\u202e" not in shown


def test_a_configured_way_out_is_the_way_out(world, tmp_path):
    (tmp_path / "authz.toml").write_text(
        "[server]\nissuer = 'https://auth.example'\n[network]\nproxy = 'http://127.0.0.1:1'\n"
    )
    shown = doctor(world, code=1).stdout
    assert f"{world.url} could not be read (connect)." in shown


def test_a_server_on_the_internet_cannot_send_us_to_this_machine(world):
    """Only who asks about a server on loopback meets others there."""
    from authz.cli.doctor import _network
    from authz.cli.run import Run

    run = Run(None, "default", as_json=False)
    assert _network(run, "https://localhost/mcp", None).allow_loopback
    assert not _network(run, "https://mcp.example/mcp", None).allow_loopback
