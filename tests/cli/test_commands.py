"""Every command says what it did, in words and in JSON, and refuses with a sentence."""

import json
import re
import subprocess
import sys
from dataclasses import replace

import pytest
import yaml

from authz import entropy
from authz.admin import changes, registration
from authz.admin.operator import Operator, load_tenant
from authz.clients.metadata import Rules
from authz.clients.registration import registered_metadata
from authz.keys import PURPOSES, describe, generate
from authz.services import open_services
from authz.settings import load

URL = "https://mcp.example/mcp"
DOCUMENT = "https://app.example/client.json"


def refused(shown):
    """The error of a command that ran with --json."""
    assert shown.out == ""
    return json.loads(shown.err)


def test_people(cli):
    user = cli.json("users", "add", "Dev@Example.com", "--name", "Dev Eloper")
    assert (user["login"], user["has_password"]) == ("dev@example.com", False)
    assert "Next: authz users password x@x" in cli.run("users", "add", "x@x").out
    assert cli.json("users", "password", "dev@example.com", "--password-stdin", stdin="12345678\n")
    assert cli.json("users", "show", "dev@example.com")["live_grants"] == 0
    assert re.search(r"live grants: +0\n", cli.run("users", "show", user["id"]).out)
    assert cli.json("users", "disable", "dev@example.com")["user"]["status"] == "disabled"
    assert cli.json("users", "enable", "dev@example.com")["status"] == "active"
    assert [u["login"] for u in cli.json("users", "list", "--match", "dev")] == ["dev@example.com"]
    assert "The first 1;" in cli.run("users", "list", "--limit", "1").out


def test_a_password_comes_from_a_prompt_a_pipe_or_a_reference_but_never_an_argument(cli):
    cli.run("users", "add", "a@x", "--password-prompt", stdin="12345678\n12345678\n")
    cli.environment["SECRET_WORD"] = "correct horse"
    assert cli.json("users", "add", "b@x", "--password-from", "env:SECRET_WORD")["has_password"]
    cli.run("users", "password", "b@x", stdin="12345678\n12345678\n")
    cli.run("users", "add", "c@x", "--password", "12345678", code=2)
    cli.run("users", "add", "c@x", "--password-stdin", "--password-from", "env:X", code=2)
    assert "is not set" in cli.run("users", "add", "c@x", "--password-from", "env:NONE", code=3).err
    assert "too short" in cli.run("users", "add", "c@x", "--password-stdin", stdin="\n", code=1).err


@pytest.mark.parametrize(
    ("arguments", "kind", "sentence"),
    [
        (["users", "show", "nobody"], "not_found", "there is no user 'nobody'; `authz users list`"),
        (["users", "add", "a b"], "invalid", "the login 'a b' has a space"),
        (["groups", "members", "list", "none"], "not_found", "there is no group 'none'"),
        (["clients", "show", "none"], "not_found", "there is no client 'none'"),
        (["clients", "approve", DOCUMENT], "not_found", "nobody asked for"),
        (["clients", "add", "A"], "invalid", "needs at least one redirect URI"),
        (["resources", "show", URL], "not_found", "there is no MCP server"),
        (["resources", "add", "mcp", "--scope", "a"], "invalid", "is not absolute"),
        (["roles", "bind", "none", "--user", "a"], "not_found", "there is no role 'none'"),
        (["keys", "rotate", "--algorithm", "HS256"], "invalid", "not 'HS256'"),
        (["explain", "none"], "not_found", "no access token with the jti 'none'"),
    ],
)
def test_a_refusal_is_exit_1_and_one_sentence(cli, arguments, kind, sentence):
    error = refused(cli.run(*arguments, "--json", code=1))
    assert error["kind"] == kind
    assert sentence in error["error"]
    assert cli.run(*arguments, code=1).err == f"Error: {error['error']}\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["users", "show"],
        ["users", "nope"],
        ["nope"],
        ["roles", "bind", "a"],
        ["roles", "bind", "a", "--user", "a", "--group", "b"],
        ["roles", "bind", "a", "--user", "a", "--until", "tomorrow"],
        ["roles", "import", "/no/such/file"],
        ["clients", "ceiling", "a"],
        ["clients", "groups", "a"],
        ["clients", "groups", "a", "--group", "b", "--everybody"],
        ["clients", "rotate-secret", "a", "--overlap", "soon"],
        ["keys", "rotate", "--now", "--at", "2026-12-31T00:00:00Z"],
        ["resources", "add", URL, "--scope", "a,rsik=read"],
    ],
)
def test_wrong_usage_is_exit_2(cli, arguments):
    cli.run(*arguments, code=2)


def test_an_unknown_tenant_is_named(installation):
    from tests.cli.conftest import Cli

    shown = Cli(installation.config, "nowhere").run("users", "list", "--json", code=1)
    assert "there is no tenant 'nowhere'; `authz tenants list`" in refused(shown)["error"]


def test_tenants(installation, cli):
    slug, cli.tenant = cli.tenant, None
    (line,) = [t for t in cli.json("tenants", "list") if t["slug"] == slug]
    assert line["issuer"] == f"https://authz.example/t/{slug}"
    assert cli.json("tenants", "rename", slug, "Northwind")["name"] == "Northwind"
    (line,) = [t for t in cli.json("tenants", "list") if t["slug"] == slug]
    assert line["name"] == "Northwind"
    assert cli.json("tenants", "trust", slug, "deny_list")["client_trust"] == "deny_list"
    assert cli.json("tenants", "disable", slug)["status"] == "disabled"
    assert "is active" in cli.run("tenants", "enable", slug).out
    assert "exists already" in cli.run("tenants", "add", slug, code=1).err
    assert "'closed' is not one of" in cli.run("tenants", "trust", slug, "closed", code=1).err


def test_registration_and_its_tokens(installation, cli):
    slug, cli.tenant = cli.tenant, None
    assert (
        "'closed' is not one of" in cli.run("tenants", "registration", slug, "closed", code=1).err
    )
    shown = cli.run("tenants", "registration", slug, "token").out
    assert f"Next: authz clients tokens add NAME --tenant {slug}" in shown
    (line,) = [t for t in cli.json("tenants", "list") if t["slug"] == slug]
    assert line["registration"] == "token"
    cli.tenant = slug
    assert "No token" in cli.run("clients", "tokens", "list").out
    made = cli.json("clients", "tokens", "add", "Team", "--uses", "3", "--expires", "1h")
    assert made["token"].startswith("iat_")
    assert "not shown again" in cli.run("clients", "tokens", "add", "B", "--expires", "never").out
    later = [
        cli.run("clients", "tokens", "list").out,
        cli.run("clients", "tokens", "list", "--json").out,
        cli.run("audit", "export").out,
    ]
    assert not any(made["token"] in text or entropy.digest(made["token"]) in text for text in later)
    team, b = cli.json("clients", "tokens", "list")
    assert (team["remaining"], b["remaining"], b["expires_at"]) == (3, None, None)
    assert "Revoked Team" in cli.run("clients", "tokens", "revoke", made["id"]).out
    assert "revoked already" in cli.run("clients", "tokens", "revoke", made["id"], code=1).err
    assert "there is no" in cli.run("clients", "tokens", "revoke", "itk_x", code=1).err
    for wrong in (["--uses", "0"], ["--expires", "0"]):
        cli.run("clients", "tokens", "add", "C", *wrong, code=1)


def test_a_client_that_registered_itself_is_vouched_for_by_name(cli):
    settings = load(cli.config, environment={})
    body = {"redirect_uris": ["https://app.example/cb"], "client_name": "App"}
    with open_services(settings) as services, services.database.write() as tx:
        operator = Operator.local("test", services.clock(), services.envelope)
        tenant_id = load_tenant(tx, cli.tenant).id
        client_id = registration.register(
            tx,
            operator,
            tenant_id,
            registered_metadata(body, Rules(), is_invited=True),
            network="192.0.2.1",
            limits=settings.registration,
        ).client_id
    assert cli.json("clients", "show", client_id)["status"] == "known"
    assert "people see App as reviewed" in cli.run("clients", "approve", client_id).out
    (line,) = cli.json("clients", "list")
    assert (line["kind"], line["status"]) == ("dynamic", "active")
    assert "is active, not waiting" in cli.run("clients", "approve", client_id, code=1).err


def test_groups(cli):
    cli.run("users", "add", "a@x")
    assert cli.json("groups", "add", "oncall")["members"] == 0
    assert cli.json("groups", "members", "add", "oncall", "a@x")["members"] == ["a@x"]
    assert "a@x" in cli.run("groups", "members", "list", "oncall").out
    assert "oncall" in cli.run("groups", "list").out
    assert cli.json("groups", "members", "remove", "oncall", "a@x")["members"] == []


def test_a_secret_is_printed_once(cli):
    arguments = ("--redirect-uri", "https://a.example/cb", "--auth", "client_secret_basic")
    made = cli.json("clients", "add", "App", "--id", "app", *arguments)
    secret = made["client_secret"]
    assert secret.startswith("cls_")
    later = [
        cli.run("clients", "show", "app").out,
        cli.run("clients", "list").out,
        cli.run("clients", "show", "app", "--json").out,
        cli.run("audit", "export").out,
    ]
    assert not any(secret in text or entropy.digest(secret) in text for text in later)
    rotated = cli.run("clients", "rotate-secret", "app", "--overlap", "30m").out
    assert "not stored and not shown again" in rotated
    assert secret not in rotated
    assert len(cli.json("clients", "show", "app")["secrets"]) == 2


def test_clients(cli, tmp_path):
    jwks = tmp_path / "jwks.json"
    jwks.write_text(json.dumps({"keys": [describe(generate("ES256"), "ES256")[1]]}))
    made = cli.json(
        "clients", "add", "Robot", "--auth", "private_key_jwt", "--jwks", jwks,
        "--grant-type", "client_credentials", "--ceiling", "logs.read",
    )  # fmt: skip
    shown = cli.json("clients", "show", made["id"])
    assert shown["metadata"]["grant_types"] == ["client_credentials"]
    assert shown["scope_ceiling"] == ["logs.read"]
    assert "no bound" in cli.run("clients", "ceiling", made["id"], "--none").out
    ceiling = cli.json("clients", "ceiling", made["id"], "--scope", "b", "--scope", "a")
    assert ceiling["scope_ceiling"] == ["a", "b"]
    cli.json("groups", "add", "on-call")
    limited = cli.run("clients", "groups", made["id"], "--group", "on-call").out
    assert f"{made['id']} is for people in on-call" in limited
    assert cli.json("clients", "show", made["id"])["groups"] == ["on-call"]
    assert cli.json("clients", "groups", made["id"], "--everybody")["groups"] is None
    assert "0 grants revoked" in cli.run("clients", "block", made["id"]).out
    assert cli.json("clients", "unblock", made["id"])["status"] == "active"
    assert cli.json("clients", "remove", made["id"])["removed"]
    assert cli.json("clients", "list") == []
    jwks.write_text("[]")
    refused_ = cli.run(
        "clients", "add", "R", "--auth", "private_key_jwt", "--jwks", jwks, code=1
    ).err
    assert "holds no JSON object" in refused_


def test_clients_that_are_held_to_more(cli, tmp_path):
    """JB-28, MTLS-01, PAR-04, FAPI-01: what the options make of the metadata, and the turns of the switch."""
    jwks = tmp_path / "jwks.json"
    jwks.write_text(json.dumps({"keys": [describe(generate("ES256"), "ES256")[1]]}))
    signing = ["--auth", "private_key_jwt", "--jwks", jwks, "--redirect-uri", "https://a.example/"]

    def added(name, *arguments):
        made = cli.json("clients", "add", name, *arguments)
        return cli.json("clients", "show", made["id"])["metadata"]

    strict = added("Bank", *signing, "--fapi", "--dpop-bound", "--push-only")
    assert strict["fapi"] is strict["dpop_bound_access_tokens"] is True
    assert strict["require_pushed_authorization_requests"] is True
    tls = ["--auth", "tls_client_auth", "--grant-type", "client_credentials"]
    named = added("Robot", *tls, "--tls-subject-dn", "CN=app,O=Acme", "--certificate-bound")
    assert named["tls_client_auth_subject_dn"] == "CN=app,O=Acme"
    assert named["tls_client_certificate_bound_access_tokens"] is True
    twice = ["--tls-san-dns", "a.example", "--tls-san-ip", "192.0.2.1"]
    assert "one name" in cli.run("clients", "add", "R", *tls, *twice, code=2).err

    late = cli.json("clients", "add", "Late", *signing, "--token-endpoint-audience")["id"]
    assert "name the issuer." in cli.run("clients", "audience", late, "--issuer").out
    assert "token_endpoint_audience" not in cli.json("clients", "show", late)["metadata"]
    found = cli.json("clients", "audience", late, "--token-endpoint")
    assert found["metadata"]["token_endpoint_audience"] is True


def test_trust_rules(cli):
    assert cli.json("clients", "allow", "*.app.example")["verdict"] == "allow"
    assert "is denied" in cli.run("clients", "deny", "evil.example").out
    assert [r["pattern"] for r in cli.json("clients", "rules")] == ["*.app.example", "evil.example"]
    assert cli.json("clients", "unlist", "*.app.example")["removed"] == "allow"
    assert cli.json("clients", "requests") == []
    assert cli.run("clients", "requests", "--all").out == "No request.\n"


def test_resources(cli):
    line = cli.json("resources", "add", URL, "--scope", "a", "--name", "Logs", "--owner", "ops")
    assert (line["name"], line["owner"]) == ("Logs", "ops")
    added = cli.json("resources", "scope", "add", URL, "b.c", "--risk", "read", "--tool", "t")
    assert added["tools"] == ["t"]
    edited = cli.json("resources", "scope", "edit", URL, "b.c", "--default", "--no-tools")
    assert (edited["is_default"], edited["tools"], edited["risk"]) == (True, [], "read")
    assert edited["requires"] is None
    asked = ["--requires-acr", "phr", "--requires-acr", "phrh", "--requires-max-age", "5m"]
    asked += ["--requires-connection", "local"]
    edited = cli.json("resources", "scope", "edit", URL, "b.c", *asked)
    required = {"acr": ["phr", "phrh"], "max_age": 300, "connection": ["local"]}
    assert edited["requires"] == required
    told = "acr phr or phrh, signed in 300 seconds ago at most, through local"
    assert told in cli.run("resources", "show", URL).out
    cli.run(
        "resources",
        "scope",
        "edit",
        URL,
        "b.c",
        "--requires-max-age",
        "60",
        "--requires-nothing",
        code=2,
    )
    cli.run("resources", "scope", "edit", URL, "b.c", "--requires-max-age", "1s", code=1)
    edited = cli.json("resources", "scope", "edit", URL, "b.c", "--requires-nothing")
    assert edited["requires"] is None
    added = cli.json("resources", "scope", "add", URL, "d", "--requires-max-age", "2h")
    assert added["requires"] == {"max_age": 7200}
    assert cli.json("resources", "scope", "remove", URL, "a")["removed"]
    assert cli.json("resources", "default", line["id"])["is_default"]
    assert cli.json("resources", "disable", URL)["status"] == "disabled"
    assert cli.json("resources", "enable", URL)["status"] == "active"
    assert cli.json("resources", "owner", URL, "sec")["owner"] == "sec"
    text = cli.run("resources", "show", URL).out
    assert "https://mcp.example/.well-known/oauth-protected-resource/mcp" in text
    document = json.loads(text[text.index("{") :])
    assert document["authorization_servers"] == [f"https://authz.example/t/{cli.tenant}"]


def test_roles_travel_as_a_file(cli, tmp_path):
    cli.run("resources", "add", URL, "--scope", "a", "--scope", "b")
    cli.run("users", "add", "x@x")
    text = f"""
roles:
  one: [a]
  two: {{includes: [one], at: {{{URL}: [b]}}, description: 'Both: yes'}}
bindings:
  - {{role: two, users: [x@x], until: 2099-01-01T00:00:00Z}}
"""
    first = cli.json("roles", "import", "-", stdin=text)
    assert first["added"] == ["one", "two"]
    assert first["bound"][0]["holder"] == "x@x"
    exported = cli.run("roles", "export").out
    assert yaml.safe_load(exported)["roles"]["one"] == ["a"]
    cli.run("roles", "export", "--output", tmp_path / "out.yaml")
    assert (tmp_path / "out.yaml").read_text() == exported
    assert "Nothing changed." in cli.run("roles", "import", tmp_path / "out.yaml").out
    told = cli.run("roles", "import", "-", stdin="roles: {two: [a, nope]}").out
    assert "- role one" in told
    assert f"~ role two: +a, +nope, -b at {URL}, -includes one, description" in told
    assert "Warning: no MCP server declares 'nope'" in told
    assert cli.json("roles", "list")[0]["users"] == ["x@x"]
    # S13: nobody at an identity provider says so.
    assert [(it["role"], it["holder"]) for it in cli.json("roles", "local")] == [("two", "x@x")]
    assert "BREAK-GLASS" in cli.run("roles", "local").out
    assert "Unbound two for the user x@x" in cli.run("roles", "unbind", "two", "--user", "x@x").out


def test_a_role_requires_something_of_the_sign_in(cli):
    """S15."""
    cli.run("roles", "import", "-", stdin="one: [a]")
    asked = ["--requires-acr", "phr", "--requires-max-age", "1h", "--requires-connection", "local"]
    told = cli.run("roles", "require", "one", *asked).out
    required = "acr phr, signed in 3600 seconds ago at most, through local"
    assert f"one requires {required}." in told
    assert required in cli.run("roles", "list").out
    exported = yaml.safe_load(cli.run("roles", "export").out)["roles"]["one"]
    assert exported["requires"] == {"acr": ["phr"], "max_age": 3600, "connection": ["local"]}
    cli.run("roles", "require", "one", code=2)
    cli.run("roles", "require", "one", "--requires-acr", "a", "--requires-nothing", code=2)
    cli.run("roles", "require", "one", "--requires-acr", "a b", code=1)
    cli.run("roles", "require", "one", "--requires-connection", "okta", code=1)
    assert cli.json("roles", "require", "one", "--requires-nothing")["requires"] is None
    assert cli.json("roles", "list")[0]["requires"] is None


def test_a_circle_of_roles_is_refused_with_its_chain(cli):
    text = "roles: {a: {includes: [b]}, b: {includes: [a]}}"
    assert "a -> b -> a" in cli.run("roles", "import", "-", stdin=text, code=1).err


def test_keys(cli):
    every = [algorithm for algorithms in PURPOSES.values() for algorithm in algorithms]
    assert len(cli.json("keys", "list")) == len(every)
    new = cli.json("keys", "rotate", "--algorithm", "RS256")
    states = {line["id"]: line["state"] for line in cli.json("keys", "list")}
    assert states[new["id"]] == "published"
    assert "signs from" in cli.run("keys", "rotate", "--purpose", "audit", "--now").out
    planned = cli.json("keys", "rotate", "--at", "2099-01-01T00:00:00Z")
    assert planned["publish_at"] == "2099-01-01T00:00:00Z"


def test_the_trail(cli, tmp_path):
    cli.run("groups", "add", "a")
    point = cli.json("audit", "checkpoint")
    assert point["checkpoint"] == 1
    assert cli.json("audit", "checkpoint") == {"checkpoint": None}
    found = cli.json("audit", "verify")
    assert (found["events"], found["checkpoints"], found["fault"]) == (2, 1, None)
    lines = [json.loads(line) for line in cli.run("audit", "export").out.splitlines()]
    assert [line["event"] for line in lines if "event" in line] == [1, 2]
    assert [it["statement"] for it in lines if "checkpoint" in it] == [point["statement"]]


def test_an_export_is_checked_with_python_alone(cli, tmp_path):
    """Item 11: two files are enough, on a machine that has nothing of this server."""
    cli.run("groups", "add", "a")
    cli.run("audit", "checkpoint")
    trail, program = tmp_path / "trail.jsonl", tmp_path / "verify.py"
    told = cli.json("audit", "export", "--output", trail, "--verifier", program)
    assert (told["events"], told["lines"]) == (2, len(trail.read_text().splitlines()))

    def verified(*arguments):
        alone = [sys.executable, "-I", "-S", str(program), str(trail), *arguments]
        return subprocess.run(alone, cwd=tmp_path, env={}, capture_output=True, text=True)

    held = verified()
    assert (held.returncode, held.stderr) == (0, "")
    assert held.stdout.startswith("The trail holds: 2 events in 1 strands, 1 checkpoints")
    keys = [it["id"] for it in cli.json("keys", "list") if it["purpose"] == "audit"]
    assert keys[0] in held.stdout
    assert verified("--trust", keys[0]).returncode == 0
    assert "not one you trust" in verified("--trust", "another").stdout
    trail.write_text(trail.read_text().replace("group.add", "group.cut"))
    broken = verified()
    assert broken.returncode == 1
    assert "event 2 of strand main was changed" in broken.stdout
    none = cli.run("audit", "export", "--since", "2099-01-01T00:00:00Z").out
    assert not any("event" in json.loads(line) for line in none.splitlines())


def test_a_broken_trail_is_exit_1_and_named(cli):
    from sqlalchemy import delete, select

    from authz.db.models import AuditEvent, Tenant
    from authz.services import open_services
    from authz.settings import load

    cli.run("groups", "add", "a")
    cli.run("groups", "add", "b")
    with open_services(load(cli.config)) as services, services.database.write() as tx:
        tenant_id = tx.scalars(select(Tenant.id).where(Tenant.slug == cli.tenant)).one()
        tx.execute(
            delete(AuditEvent).where(AuditEvent.tenant_id == tenant_id, AuditEvent.position == 3)
        )
    assert "strand main, position 3: truncated" in cli.run("audit", "verify", code=1).out
    found = cli.json("audit", "verify", code=1)
    assert found["fault"] == {"strand": "main", "position": 3, "what": "truncated"}


def test_a_change_is_approved_as_what_was_seen(cli):
    cli.run("resources", "add", URL, "--scope", "logs.read")
    settings = load(cli.config)
    with open_services(settings) as services, services.database.write() as tx:
        author = Operator.local("somebody", services.clock(), services.envelope)
        asked = changes.propose(
            tx, replace(author, needs_second=True), load_tenant(tx, cli.tenant).id,
            operation="resources.set_name", arguments={"reference": URL, "name": "Logs"}, reason="why",
        ).id  # fmt: skip
    seen = re.search(r"--seen ([0-9a-f]{64})`", cli.run("changes", "show", asked).out)[1]
    refused = cli.run("changes", "approve", asked, "--seen", "0" * 64, code=1).err
    assert "not what you saw" in refused
    assert "Nobody gains" in cli.run("changes", "foresee", asked).out
    assert cli.json("changes", "approve", asked, "--seen", seen)["status"] == "applied"


def test_a_name_does_not_steer_the_terminal():
    from authz.cli.output import cell, table

    assert cell("a\x1b[2Jb") == "a\\x1b[2Jb"
    assert "\x1b" not in table(("X",), [("\x1b]0;x\x07",)], empty="")


def test_help_names_every_command_and_the_exit_codes():
    from typer.testing import CliRunner

    from authz.cli import COMMANDS, app

    shown = CliRunner().invoke(app, ["--help"]).stdout
    assert all(f"\n  {name} " in shown for name in COMMANDS)
    assert "Exit codes: 0 done" in shown
    for name in COMMANDS:
        page = CliRunner().invoke(app, [name, "--help"])
        assert page.exit_code == 0
        assert "Exit codes: 0 done" in page.stdout


def test_every_command_is_in_the_guide():
    import importlib
    from pathlib import Path

    import typer

    from authz.cli import COMMANDS

    guide = Path("docs/cli.md").read_text()

    def walk(command, path):
        for name, child in getattr(command, "commands", {}).items():
            yield from walk(child, f"{path} {name}")
        if not hasattr(command, "commands"):
            yield path, [o for p in command.params for o in getattr(p, "opts", [])]

    for name, (entry, _) in COMMANDS.items():
        module, _, attribute = entry.partition(":")
        command = typer.main.get_command(getattr(importlib.import_module(module), attribute))
        for path, options in walk(command, f"authz {name}"):
            assert f"`{path}" in guide, path
            for option in options:
                if option.startswith("--"):
                    assert option in guide, (path, option)


def test_the_trail_is_searched(cli):
    cli.run("users", "add", "ada@corp.example")
    for name in ("a", "b"):
        cli.run("groups", "add", name)
    page = cli.json("audit", "search", "--user", "ada@corp.example", "--kind", "admin.changed")
    assert [entry["detail"]["what"] for entry in page["entries"]] == ["user.add"]
    assert (page["next"], list(page["names"].values())) == (None, ["ada@corp.example"])
    shown = cli.run("audit", "search", "--user", "ada@corp.example").out
    assert "ada@corp.example by cli:" in shown
    first = cli.json("audit", "search", "--limit", "2", "--since", "2026-01-01T00:00:00Z")
    assert f"--after {first['next']}" in cli.run("audit", "search", "--limit", "2").out
    rest = cli.json("audit", "search", "--after", first["next"])
    whole = cli.json("audit", "search")
    assert [*first["entries"], *rest["entries"]] == whole["entries"]
    assert [it["detail"]["what"] for it in first["entries"]] == ["group.add", "group.add"]
    assert "No event answers" in cli.run("audit", "search", "--actor", "nobody").out
    refused = cli.run("audit", "search", "--after", "here", code=1)
    assert "not where a page of the trail ends" in refused.err


def test_a_token_is_foreseen(cli):
    """Item 4: as `explain` tells it afterwards."""
    cli.json("users", "add", "x@x", "--password-stdin", stdin="12345678\n")
    cli.run("resources", "add", URL, "--scope", "a,default,tool=look", "--scope", "b,risk=write")
    cli.run("roles", "import", "-", stdin="roles: {one: [a], two: [b]}")
    cli.run("roles", "bind", "one", "--user", "x@x")
    found = cli.json("simulate", "x@x", "--server", URL)
    assert [it["scope"] for it in found["granted"]] == ["a"]
    assert [(it["scope"], it["roles"]) for it in found["refused"]] == [("b", ["two"])]
    assert found["is_token"]
    assert found["claims"]["scope"] == "a"
    told = cli.run("simulate", "x@x", "--server", URL, "--signed-in-ago", "1h").out
    assert "a: role one; tools: look" in told
    assert "b: no role of this person holds it; these roles do: two" in told
    assert "as asked: at " in told
    assert cli.json("simulate", "x@x", "--server", URL, "--defaults")["requested"] is None
    unmet = cli.run("simulate", "x@x", "--server", URL, "--scope", "nope").out
    assert "No token at all: the resource has none of these scopes." in unmet
    cli.run("simulate", "x@x", code=2)
    cli.run("simulate", "x@x", "--server", URL, "--defaults", "--scope", "a", code=2)
    cli.run("simulate", "--server", URL, code=1)


def test_readiness_is_told_with_a_way_out(cli):
    told = cli.run("doctor", "--readiness", code=1).out
    assert "FAIL  Identity: " in told
    assert "way out: " in told
    assert "of 8 parts are well." in told
    value = cli.json("doctor", "--readiness", code=1)
    assert (value["passed"], len(value["parts"])) == (False, 8)
    cli.run("doctor", "https://mcp.example", "--readiness", code=2)


def test_an_installation_is_told_with_evidence(cli):
    """ATK-74; part 7 of what operators need: without a URL, each check, its evidence and the way out."""
    value = cli.json("doctor", "--installation")
    assert value["passed"] is True
    states = {(it["name"], it["state"]) for it in value["checks"]}
    assert {("Mode", "good"), ("Secrets", "good"), ("Database", "good"), ("Keys", "good")} <= states
    # Nobody answers at this issuer: said, with what to do, and no reason to fail.
    [address] = [it for it in value["checks"] if it["name"] == "Address"]
    assert (address["state"], bool(address["do"])) == ("look", True)
    assert "ok    Migrations: the database is at revision" in cli.run("doctor").out
    cli.run("doctor", "--installation", "--readiness", code=2)


def test_references_that_are_in_the_database_are_read_too(cli, monkeypatch):
    """V5, V7: named with where they are used, never with what they hold."""
    monkeypatch.setenv("IDP_THERE", "hunter2")
    for slug, name in (("one", "IDP_THERE"), ("two", "IDP_GONE"), ("off", "IDP_OFF")):
        secret = f"client_secret=env:{name}"
        issuer = ("--set", f"issuer=https://{slug}.example", "--set", "client_id=authz")
        given = ("--kind", "oidc", "--preset", "generic", *issuer, "--set", secret)
        cli.run("connections", "add", slug, *given)
    cli.run("connections", "disable", "off")
    cli.run("resources", "add", "https://saas.example/mcp", "--scope", "a.read")
    cli.run("credentials", "add", "https://saas.example/mcp", "saas", "env:SAAS_GONE")
    told = [it for it in cli.json("doctor")["checks"] if it["name"] == "Stored secrets"]
    own = [it for it in told if f"tenant {cli.tenant}," in it["said"]]
    assert [(it["state"], bool(it["do"])) for it in own] == [("look", True)] * 2
    assert f"tenant {cli.tenant}, connection two: " in own[0]["said"]
    assert f"tenant {cli.tenant}, credential saas of https://saas.example/mcp: " in own[1]["said"]
    assert "env:IDP_GONE" in own[0]["said"]
    assert "hunter2" not in str(told)
    assert "IDP_OFF" not in str(told)


def test_a_server_gets_the_secret_of_a_system_behind_it(cli):
    """V4: by reference; who gets it, and for which tokens, is said when it is named."""
    server = "https://saas.example/mcp"
    cli.run("resources", "add", server, "--scope", "a.read", "--scope", "b.read")
    assert "No server gets a credential" in cli.run("credentials", "list").out
    given = ("add", server, "saas", "vault:acme/saas#key", "--scope", "a.read", "--scope", "b.read")
    told = cli.run("credentials", *given).out
    assert "saas of https://saas.example/mcp is what vault:acme/saas#key holds" in told
    assert "Nobody gets it yet: `authz resources client" in told
    made = cli.json("clients", "add", "Server", "--auth", "client_secret_basic",
                    "--grant-type", "client_credentials")["id"]  # fmt: skip
    cli.run("resources", "client", server, made)
    told = cli.run("credentials", "add", server, "other", "file:/run/secrets/other").out
    assert f"Its own client {made} gets it for a token for it, by token exchange." in told
    assert (
        "has a credential 'other' already"
        in cli.run("credentials", "add", server, "other", "env:X", code=1).err
    )
    assert (
        "is not a secret reference"
        in cli.run("credentials", "add", server, "third", "ghp_literal", code=1).err
    )
    lines = cli.json("credentials", "list", "--server", server)
    assert [(it["name"], it["scopes"], it["client_id"]) for it in lines] == [
        ("other", [], made),
        ("saas", ["a.read", "b.read"], made),
    ]
    assert "any token" in cli.run("credentials", "list").out
    assert "gets saas no more" in cli.run("credentials", "remove", server, "saas").out
    assert [it["name"] for it in cli.json("credentials", "list")] == ["other"]


def test_retention_and_holds_of_the_trail(cli):
    assert "for 400 days" in cli.run("audit", "retention", "400").out
    assert "for ever" in cli.run("audit", "retention", "never").out
    assert "no number of days" in cli.run("audit", "retention", "soon", code=1).err
    cli.run("users", "add", "ada@corp.example")
    placed = cli.json("audit", "hold", "--user", "ada@corp.example", "--reason", "case 7")
    assert placed["id"] in cli.run("audit", "holds").out
    assert cli.json("audit", "holds")[0]["login"] == "ada@corp.example"
    assert "Released" in cli.run("audit", "release", placed["id"]).out
    assert cli.json("audit", "holds")[0]["is_active"] is False
