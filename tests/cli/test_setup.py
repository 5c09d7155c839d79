"""An installation from nothing, and what is said when something is missing."""

import json
import stat
import tomllib

import pytest

from authz.settings import load
from tests.cli.conftest import Cli


def test_init_writes_what_can_be_loaded(tmp_path):
    cli = Cli(tmp_path / "authz.toml")
    shown = cli.run("init", "--issuer", "https://as.example")
    settings = load(tmp_path / "authz.toml", environment={})
    assert settings.server.issuer == "https://as.example"
    assert not settings.server.development
    key = tmp_path / "authz.key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "authz.toml").stat().st_mode) == 0o600
    assert "Next: authz db upgrade" in shown.out
    assert key.read_text().strip() not in shown.out


def test_init_for_development_listens_where_the_issuer_says(tmp_path):
    Cli(tmp_path / "a.toml").run("init", "--development", "--issuer", "http://127.0.0.1:9000")
    server = tomllib.loads((tmp_path / "a.toml").read_text())["server"]
    assert server == {"issuer": "http://127.0.0.1:9000", "development": True, "port": 9000}


def test_init_overwrites_nothing(tmp_path):
    cli = Cli(tmp_path / "authz.toml")
    cli.run("init", "--development")
    before = (tmp_path / "authz.key").read_bytes()
    assert "authz.toml exists already" in cli.run("init", "--development", code=1).err
    (tmp_path / "authz.toml").unlink()
    assert "authz.key exists already" in cli.run("init", "--development", code=1).err
    assert (tmp_path / "authz.key").read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "code", "why"),
    [
        ([], 2, "say where clients reach this server"),
        (["--issuer", "http://as.example"], 3, "'http://as.example' is not https"),
        (["--issuer", "https://as.example/"], 3, "ends with a slash"),
        (["--issuer", "https://as.example", "--development"], 3, "is not on loopback"),
        (["--issuer", "https://as.example", "--database", "mysql://x"], 3, "use sqlite:///PATH"),
    ],
)
def test_init_leaves_nothing_behind_when_it_refuses(tmp_path, arguments, code, why):
    shown = Cli(tmp_path / "authz.toml").run("init", *arguments, code=code)
    assert why in " ".join(shown.err.replace("│", " ").split())
    assert list(tmp_path.iterdir()) == []


def test_init_says_where_it_cannot_write(tmp_path):
    shown = Cli(tmp_path / "no" / "authz.toml").run("init", "--development", code=3)
    assert "cannot be written: No such file or directory" in shown.err


def test_upgrade_makes_tables_and_the_default_tenant_once(empty):
    assert "at revision none (empty)" in empty.run("db", "check", code=3).err
    first = empty.json("db", "upgrade")
    assert (first["before"], first["created_default_tenant"]) == (None, True)
    again = empty.json("db", "upgrade")
    assert (again["before"], again["created_default_tenant"]) == (first["after"], False)
    assert empty.json("db", "check")["revision"] == first["after"]
    (tenant,) = empty.json("tenants", "list")
    assert (tenant["slug"], tenant["issuer"]) == ("default", "https://authz.example")
    assert tenant["client_trust"] == "allow_list"
    assert empty.json("config", "check")["tenants"] == ["default"]


def test_a_server_is_set_up_by_a_script(empty, tmp_path):
    """Init, upgrade, server, roles, people, client: no prompt, and every answer is JSON."""
    roles = tmp_path / "roles.yaml"
    roles.write_text(
        "roles: {developer: [logs.read, analytics.query], "
        "sre: [logs.read, logs.debug.write, incidents.trigger]}"
    )
    empty.run("db", "upgrade")
    server = empty.json(
        "resources", "add", "https://mcp.example/mcp", "--default",
        "--scope", "logs.read,default,risk=read,tool=read_logs,description=Read logs, all of them",
        "--scope", "analytics.query,risk=read",
        "--scope", "logs.debug.write",
        "--scope", "incidents.trigger,risk=destructive",
    )  # fmt: skip
    assert server["scopes"] == 4
    assert empty.json("roles", "import", roles)["added"] == ["developer", "sre"]
    user = empty.json(
        "users", "add", "sre@example.com", "--password-stdin", stdin="correct horse\n"
    )
    assert user["has_password"]
    assert (
        empty.json("roles", "bind", "sre", "--user", "sre@example.com")["holder"] == user["login"]
    )
    client = empty.json("clients", "add", "Editor", "--redirect-uri", "http://127.0.0.1/cb")
    assert client["client_secret"] is None
    assert empty.json("audit", "verify")["fault"] is None
    shown = empty.json("resources", "show", "https://mcp.example/mcp")
    assert shown["scopes"][3]["description"] == "Read logs, all of them"
    assert shown["metadata"]["authorization_servers"] == ["https://authz.example"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["users", "list"],
        ["serve"],
        ["db", "upgrade"],
        ["config", "check"],
        ["config", "show"],
        ["roles", "export"],
    ],
)
def test_a_missing_configuration_is_exit_3(tmp_path, arguments):
    shown = Cli(tmp_path / "authz.toml").run(*arguments, code=3)
    assert "authz.toml does not exist; run `authz init`" in shown.err
    assert shown.out == ""


def test_a_wrong_setting_is_exit_3_and_named(tmp_path):
    (tmp_path / "authz.toml").write_text("[server]\nissuer = 'https://a.example'\nprot = 1\n")
    shown = Cli(tmp_path / "authz.toml").run("users", "list", code=3)
    assert "server.prot: is not a setting" in shown.err


def test_a_missing_key_is_exit_3_and_named(empty):
    empty.config.with_name("authz.key").unlink()
    shown = empty.run("db", "upgrade", "--json", code=3)
    assert json.loads(shown.err)["kind"] == "configuration"
    assert "authz.key does not exist" in json.loads(shown.err)["error"]
    assert shown.out == ""


def test_another_key_opens_nothing(empty):
    from authz.envelope import new_encoded_key

    empty.run("db", "upgrade")
    empty.config.with_name("authz.key").write_bytes(new_encoded_key())
    assert "does not open this database's secrets" in empty.run("config", "check", code=3).err


def test_a_database_without_tables_says_what_to_run(empty):
    assert "run `authz db upgrade`" in empty.run("users", "list", code=3).err


def test_a_database_that_is_not_there_is_exit_3_without_its_password(tmp_path):
    cli = Cli(tmp_path / "authz.toml")
    url = "postgresql://me:geheim@127.0.0.1:1/nothing"
    cli.run("init", "--issuer", "https://as.example", "--database", url)
    shown = cli.run("db", "upgrade", code=3)
    assert "me:***@127.0.0.1:1" in shown.err
    assert "geheim" not in shown.err + cli.run("config", "show").out


def test_settings_are_shown_as_they_are_in_force(empty):
    empty.environment["AUTHZ__SERVER__PORT"] = "9000"
    assert empty.json("config", "show")["server"]["port"] == 9000


@pytest.mark.only("postgresql")
def test_serve_does_not_upgrade_postgresql_by_itself(empty):
    assert "run `authz db upgrade`" in empty.run("serve", "--port", "0", code=3).err
