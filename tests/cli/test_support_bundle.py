"""`authz support-bundle`: what is in the file, what is not, and that it can be had when something is down."""

import io
import json
import stat
import zipfile

import pytest
from typer.testing import CliRunner

from authz.cli import app
from authz.db import migrate
from authz.installation.bundle import WITHIN
from authz.jobs import JOBS
from tests.cli.conftest import Cli


def read(content):
    """Every document of a bundle."""
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        assert file.namelist() == ["README.txt", *WITHIN]
        return {name: json.loads(file.read(name)) for name in WITHIN}, file.read("README.txt")


def test_a_bundle_tells_how_the_installation_stands(installation, cli, tmp_path):
    """Issue 7, ATK-66: nothing of people and clients is in it, and nobody else on the machine reads it."""
    cli.run("users", "add", "ada@corp.example", "--name", "Ada Lovelace")
    cli.run("clients", "add", "Analytical Engine", "--redirect-uri", "https://engine.example/back")
    cli.run("keys", "rotate")
    target = tmp_path / "bundle.zip"
    told = installation.run("support-bundle", "--output", target).out
    assert "Not in it: secrets" in told
    assert "Next: read it" in told
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    found, readme = read(target.read_bytes())

    versions = found["versions.json"]
    assert versions["database"]["revision"] == versions["database"]["expected"] == migrate.head()
    assert versions["database"]["fits"] is True
    assert versions["packages"]["sqlalchemy"][0].isdigit()
    assert set(versions["extras"]) == {"aws", "pkcs11", "saml", "telemetry", "timestamps"}
    assert found["settings.json"]["keys"]["encryption_key"].startswith("file:/")
    assert ("Keys", "good") in {(it["name"], it["state"]) for it in found["doctor.json"]}
    tables = {it["table"]: it for it in found["tables.json"]}
    assert tables["users"]["rows"] >= 1
    assert tables["audit_events"]["more"] is False
    sizes = [it.get("bytes", 0) for it in found["tables.json"]]
    assert sum(sizes) > 100_000
    if versions["database"]["engine"] == "postgresql":
        assert all(size > 0 for size in sizes)
    assert set(JOBS) <= {it["job"] for it in found["jobs.json"]}
    assert found["audit.json"]["sinks"] == []
    assert found["audit.json"]["events_behind"]["checkpoints"] > 0
    keys = found["keys.json"][cli.tenant]["keys"]
    assert "published" in {it["state"] for it in keys}
    assert set(keys[0]) == {
        *("id", "purpose", "algorithm", "state", "activate_at", "retire_at", "gone_at", "backend")
    }
    key = (cli.config.parent / "authz.key").read_text().strip()
    everything = json.dumps(found) + readme.decode()
    for word in ("ada@", "Lovelace", "Analytical", "engine.example", key, '"d":'):
        assert word not in everything

    before = target.read_bytes()
    assert "is there already" in installation.run("support-bundle", "--output", target, code=3).err
    assert target.read_bytes() == before


def test_it_can_be_had_on_standard_output(installation):
    """The image has no shell, and its file system is read-only."""
    asked = ["support-bundle", "--output", "-", "--config", str(installation.config)]
    result = CliRunner().invoke(app, asked)
    assert result.exit_code == 0, result.output
    assert read(result.stdout_bytes)[0]["settings.json"]["server"]["workers"] == 1


@pytest.mark.parametrize("what", ["database", "secret"])
def test_it_can_be_had_when_something_is_down(tmp_path, what):
    """What cannot be found out is said in its place, and the rest is there."""
    cli = Cli(tmp_path / "authz.toml")
    cli.run("init", "--issuer", "https://authz.example")
    if what == "database":
        cli.environment["AUTHZ__DATABASE__URL"] = "postgresql://joe:hunter2@127.0.0.1:1/authz"
    else:
        (tmp_path / "authz.key").unlink()
    value = cli.json("support-bundle", "--output", tmp_path / "bundle.zip")
    found, _ = read((tmp_path / "bundle.zip").read_bytes())
    assert found["settings.json"]["log"]["level"] == "info"
    assert "hunter2" not in json.dumps(found)
    assert "joe" not in json.dumps(found)
    of_the_database = {"tables.json", "jobs.json", "audit.json", "keys.json"}
    if what == "database":
        assert value["missing"] == [name for name in WITHIN if name in of_the_database]
        assert ("Database", "bad") in {(it["name"], it["state"]) for it in found["doctor.json"]}
    else:
        assert set(value["missing"]) == {*of_the_database, "doctor.json"}
        assert "authz.key" in found["doctor.json"]["missing"]


def test_it_can_be_had_of_an_empty_database(empty, tmp_path):
    empty.run("support-bundle", "--output", tmp_path / "bundle.zip")
    found, _ = read((tmp_path / "bundle.zip").read_bytes())
    assert ("Migrations", "bad") in {(it["name"], it["state"]) for it in found["doctor.json"]}
    assert {it["rows"] for it in found["tables.json"] if it["table"]} == {None}
    assert found["versions.json"]["database"]["revision"] is None
