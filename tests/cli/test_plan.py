"""`authz plan`, `apply`, `diff`, `export`, `schema`: what is printed and how they exit (L10)."""

import json
from dataclasses import replace

import pytest
import yaml
from jsonschema import Draft202012Validator
from typer.testing import CliRunner

from authz.cli import app
from authz.cli.run import UNAPPROVED
from authz.policy.code.reading import KEYS

SERVER = "https://mcp.example/mcp"
ROLES = """
roles: {developer: [logs.read]}
bindings: [{role: developer, groups: [Staff]}]
"""
RESOURCES = f"""
resources:
  {SERVER}:
    name: Logs
    scopes: {{logs.read: {{risk: read, default: true}}, logs.write: {{}}}}
"""


@pytest.fixture
def place(cli, tmp_path):
    """A tenant with two people in a group, and a directory of policy beside it."""
    for login in ("ada", "bob"):
        cli.run("users", "add", f"{login}@corp.example")
    cli.run("groups", "add", "Staff")
    for login in ("ada", "bob"):
        cli.run("groups", "members", "add", "Staff", f"{login}@corp.example")
    folder = tmp_path / "policy"
    folder.mkdir()
    (folder / "resources.yaml").write_text(RESOURCES)
    (folder / "roles.yaml").write_text(ROLES)
    return folder


def approve(cli, folder, code=UNAPPROVED):
    """The approval file of the plan of now."""
    digest = cli.json("plan", folder, code=code)["digest"]
    file = folder.parent / "approval.yaml"
    file.write_text(
        f"plan: {digest}\napproved_by: ada@corp.example\napproved_at: 2026-01-01T00:00:00Z\n"
    )
    return file


def test_a_plan_tells_changes_and_people_and_asks_for_an_approval(cli, place):
    shown = cli.run("plan", place, code=UNAPPROVED).out
    assert shown.splitlines()[:5] == [
        "resources",
        f"  + {SERVER}",
        "roles",
        "  + developer",
        "  + developer for the group Staff",
    ]
    assert f"{SERVER}\n  logs.read: 2 gain\n      + ada@corp.example, bob@corp.example\n" in shown
    assert "Access grows.\nPlan: sha256:" in shown
    assert "Refused by `authz apply`: access grows, and nobody approved it" in shown
    few = cli.run("plan", place, "--names", "1", code=UNAPPROVED).out
    assert "      + ada@corp.example and 1 more\n" in few
    approval = approve(cli, place)
    assert "Refused" not in cli.run("plan", place, "--approval", approval).out
    assert cli.json("resources", "list") == [], "a plan changes nothing"


def test_a_plan_for_programs_has_every_name(cli, place):
    value = cli.json("plan", place, code=UNAPPROVED)
    assert value["grows"] is True
    assert [(it["verb"], it["kind"], it["name"], it["widens"]) for it in value["changes"]] == [
        ("add", "resources", SERVER, False),
        ("add", "roles", "developer", False),
        ("add", "roles", "developer for the group Staff", False),
    ]
    (access,) = value["access"]
    assert access["scope"] == "logs.read"
    assert access["gained"] == {"count": 2, "names": ["ada@corp.example", "bob@corp.example"]}
    (access,) = cli.json("plan", place, "--names", "1", code=UNAPPROVED)["access"]
    assert access["gained"] == {"count": 2, "names": ["ada@corp.example"]}


def test_applying_takes_an_approval_where_access_grows_and_says_what_it_did(cli, place):
    refused = cli.run("apply", place, "--yes", code=UNAPPROVED)
    assert refused.out.startswith("Not applied: access grows, and nobody approved it")
    assert cli.json("apply", place, code=UNAPPROVED)["error"].startswith("access grows")
    approval = approve(cli, place)
    done = cli.run("apply", place, "--approval", approval, "--yes").out
    assert "logs.read: 2 gain" in done
    assert done.endswith("Applied; the next token and refresh obey it.\n")
    assert cli.run("diff", place).out == "No drift: policy is what the directory says.\n"
    assert cli.run("plan", place).out == "No change: policy is what the directory says.\n"
    again = cli.run("apply", place, "--yes").out
    assert again == "Nothing to do: policy is what the directory says.\n"
    events = cli.run("audit", "export").out
    assert events.count('\\"what\\":\\"policy.apply\\"') == 1


def test_applying_asks_after_showing_the_plan(cli, place):
    approval = approve(cli, place)
    declined = cli.run("apply", place, "--approval", approval, stdin="n\n", code=1)
    assert "Apply this? [y/N]" in declined.out
    assert "logs.read: 2 gain" in declined.out
    assert cli.json("resources", "list") == []
    unapproved = cli.run("apply", place, stdin="", code=UNAPPROVED)
    assert "Apply this?" not in unapproved.out
    cli.run("apply", place, "--approval", approval, stdin="y\n")
    assert [it["identifier"] for it in cli.json("resources", "list")] == [SERVER]
    assert "No change" in cli.run("apply", place, stdin="").out


def test_a_plan_is_applied_by_its_digest_alone(cli, place):
    approval = approve(cli, place)
    digest = yaml.safe_load(approval.read_text())["plan"]
    other = f"sha256:{'0' * 64}"
    said = cli.run("apply", place, "--plan", other, "--approval", approval, code=1).err
    assert f"the plan is {digest} now, not {other}" in said
    cli.run("apply", place, "--plan", digest, "--approval", approval)


def test_drift_is_an_exit_code_and_counts_nobody(cli, place):
    cli.run("apply", place, "--approval", approve(cli, place), "--yes")
    cli.run("resources", "scope", "edit", SERVER, "logs.write", "--description", "Write logs")
    cli.run("roles", "bind", "developer", "--user", "ada@corp.example")
    shown = cli.run("diff", place, code=1).out
    assert shown == (
        "resources\n"
        f"  ~ {SERVER}\n"
        "      scopes.logs.write.description: Write logs -> nothing\n"
        "roles\n"
        "  - developer for the user ada@corp.example\n"
        "`authz apply` makes it so; `authz export` makes the directory so.\n"
    )
    value = cli.json("diff", place, code=1)
    assert [it["verb"] for it in value["changes"]] == ["change", "remove"]
    cli.run("apply", place, "--yes")  # nobody gains by it
    cli.run("diff", place)


def test_an_export_is_nothing_to_do_and_replaces_nothing_unasked(cli, place, tmp_path):
    cli.run("apply", place, "--approval", approve(cli, place), "--yes")
    out = tmp_path / "out"
    assert cli.json("export", out)["files"] == sorted(f"{key}.yaml" for key in KEYS)
    cli.run("diff", out)
    before = {file.name: file.read_text() for file in out.iterdir()}
    refused = cli.run("export", out, code=1).err
    assert "what they say would be said twice" in refused
    (out / "mappings-2.yaml").write_text("mappings: []")
    cli.run("export", out, "--force")
    assert {file.name: file.read_text() for file in out.iterdir()} == before
    (out / "mine.yaml").write_text("client_rules: {}")
    assert "has mine.yaml" in cli.run("export", out, "--force", code=1).err


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.yaml", "roles: {a: [x]", "a.yaml:1:15: not valid YAML"),
        ("a.yaml", "clients:\n  a: {naem: A}\n  b: 3", "a.yaml:2:7: clients.a has the unknown key"),
        ("a.yml", "roles: {}", "a.yml is not read; call it *.yaml"),
        ("a.txt", "roles: {}", "there is no *.yaml file in the directory"),
    ],
    ids=["broken", "unknown key", "yml", "none"],
)
@pytest.mark.parametrize("command", ["plan", "apply", "diff"])
def test_what_is_wrong_is_told_with_file_line_and_column(cli, tmp_path, command, name, text, said):
    folder = tmp_path / "policy"
    folder.mkdir()
    (folder / name).write_text(text)
    assert said in cli.run(command, folder, code=1).err


def test_what_is_not_there_is_said(cli, tmp_path):
    assert "there is no directory" in cli.run("plan", tmp_path / "none", code=1).err
    shown = cli.run("plan", tmp_path / "none", "--json", code=1).err
    assert json.loads(shown)["kind"] == "not_found"


def test_the_short_roles_file_alone_is_a_plan(cli, tmp_path):
    file = tmp_path / "roles.yaml"
    file.write_text("developer: [logs.read, analytics.query]")
    assert "  + developer\n" in cli.run("plan", file).out
    cli.run("apply", file, "--yes")
    cli.run("diff", file)
    assert [it["name"] for it in cli.json("roles", "list")] == ["developer"]


def test_secrets_are_made_and_never_printed(cli, tmp_path):
    file = tmp_path / "clients.yaml"
    file.write_text(
        "clients:\n  job: {name: Job, grant_types: [client_credentials], auth_method: client_secret_basic}"
    )
    digest = cli.json("plan", file, code=UNAPPROVED)["digest"]
    approval = tmp_path / "approval.yaml"
    approval.write_text(f"plan: {digest}\napproved_by: x\napproved_at: 2026-01-01T00:00:00Z\n")
    shown = cli.run("apply", file, "--approval", approval, "--yes").out
    assert "  + job !\n" in shown
    assert "Changes that open access to whoever comes: 1, marked with !" in shown
    assert "authz clients rotate-secret job" in shown
    assert "cls_" not in shown
    assert "cls_" in cli.run("clients", "rotate-secret", "job").out


def test_the_schema_is_printed_for_editors(cli):
    cli = replace(cli, tenant=None)
    value = json.loads(cli.run("schema", "policy").out)
    Draft202012Validator.check_schema(value)
    assert set(value["properties"]) >= {"roles", "bindings", "resources", "clients"}
    assert cli.json("schema", "policy") == value
    assert "there is one schema" in cli.run("schema", "other", code=2).err


@pytest.mark.parametrize("command", ["plan", "apply", "diff", "export", "schema"])
def test_exit_codes_are_in_the_help(command):
    page = CliRunner().invoke(app, [command, "--help"])
    shown = " ".join(page.stdout.split())
    assert "4 access would grow and nobody approved it" in shown
