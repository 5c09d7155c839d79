"""What is deployed: the unit, the image's rules and its bill of materials."""

import importlib.metadata
import json
import re
import subprocess
import sys
import tomllib
from ipaddress import ip_address, ip_network
from pathlib import Path

import yaml

from authz.settings import load

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
UNIT = ROOT / "deploy/systemd/mcp-authz.service"


def test_the_image_keeps_its_rules():
    """Not root, by number; nothing from an address; a health check that asks for readiness."""
    lines = re.findall(r"^([A-Z]+) (.+)$", DOCKERFILE, re.MULTILINE)
    assert [value for word, value in lines if word == "USER"] == ["10001:10001"]
    assert "ADD" not in {word for word, _ in lines}
    assert "://" not in "".join(value for word, value in lines if word in {"FROM", "COPY", "RUN"})
    assert "/health/ready" in DOCKERFILE
    installs = [it for it in DOCKERFILE.splitlines() if "pip install" in it]
    assert all("--require-hashes" in it or "--no-index" in it for it in installs)


def test_what_the_image_is_built_of_is_sent_to_the_builder():
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    sent = {it.removeprefix("!") for it in ignored if it.startswith("!")}
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE)
    assert {it for line in copied for it in line.split()} == sent
    assert all((ROOT / it).exists() for it in sent)


def test_every_extra_has_a_lock_that_the_image_may_be_built_with():
    """Of what was tested, and of nothing that ships already: an installation on top changes nothing."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    locks = {it.stem.removeprefix("extra-"): it for it in ROOT.glob("requirements/extra-*.txt")}
    assert locks.keys() == project["optional-dependencies"].keys() - {"saml"}
    tested, shipped = (
        pinned(ROOT / "requirements/dev.txt"),
        pinned(ROOT / "requirements/runtime.txt"),
    )
    for name, lock in locks.items():
        assert pinned(lock) <= tested, name
        assert not {it for it, _ in pinned(lock)} & {it for it, _ in shipped}, name


def pinned(lock):
    return set(
        re.findall(r"^([a-z0-9._-]+)==(\S+)", lock.read_text(encoding="utf-8"), re.MULTILINE)
    )


def test_locks_have_hashes_and_name_no_index():
    for lock in sorted((ROOT / "requirements").glob("*.txt")):
        text = lock.read_text(encoding="utf-8")
        assert "://" not in text, lock.name
        assert not re.search(r"^-", text, re.MULTILINE), lock.name
        entries = re.split(r"^(?=[a-z0-9])", text, flags=re.MULTILINE | re.IGNORECASE)[1:]
        assert entries
        assert [it.splitlines()[0] for it in entries if "--hash=sha256:" not in it] == [], lock.name


def test_the_bill_of_materials_names_what_is_installed_and_is_the_same_twice():
    command = [sys.executable, str(ROOT / "deploy/image/sbom.py")]
    first = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == first
    bill = json.loads(first)
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    assert bill["metadata"]["component"]["name"] == "mcp-authz"
    found = {it["name"]: it["version"] for it in bill["components"]}
    assert found["joserfc"] == importlib.metadata.version("joserfc")
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))
    references = [it["bom-ref"] for it in bill["components"]]
    assert len(set(references)) == len(references)


def test_the_unit_gives_the_server_nothing_it_does_without():
    unit = dict(
        line.split("=", 1)
        for line in UNIT.read_text(encoding="utf-8").splitlines()
        if "=" in line and not line.startswith("#")
    )
    assert unit["CapabilityBoundingSet"] == unit["AmbientCapabilities"] == ""
    assert unit["NoNewPrivileges"] == unit["PrivateUsers"] == unit["PrivateTmp"] == "yes"
    assert unit["ProtectSystem"] == "strict"
    # Account and program are those that docs/install.md makes.
    made = (ROOT / "docs/install.md").read_text(encoding="utf-8")
    assert re.search(rf"useradd .* {unit['User']}$", made, re.MULTILINE)
    program, _, command = unit["ExecStart"].partition("/bin/")
    assert (f"venv {program}\n" in made, command) == (True, "authz serve")


def test_the_composition_is_one_the_server_starts_with():
    """Its settings exist, its secrets are files, and nothing is published beyond this machine."""
    composition = yaml.safe_load((ROOT / "deploy/compose.yaml").read_text(encoding="utf-8"))
    services = composition["services"]
    environment = services["server"]["environment"]
    assert environment["AUTHZ__SERVER__ISSUER"].startswith("${AUTHZ_ISSUER:?")
    settings = load(
        None, environment={**environment, "AUTHZ__SERVER__ISSUER": "https://auth.example.com"}
    )
    (subnet,) = composition["networks"]["inside"]["ipam"]["config"]
    # Whoever comes through the published port comes from the gateway: believed as a proxy, and told no metrics.
    assert settings.server.trusted_proxies == (subnet["gateway"],)
    scraper = services["prometheus"]["networks"]["inside"]["ipv4_address"]
    assert [str(it) for it in settings.telemetry.metrics_networks] == [f"{scraper}/32"]
    assert ip_address(scraper) in ip_network(subnet["subnet"])
    assert settings.database.password == "file:/run/secrets/database"
    for name, service in services.items():
        assert set(service.get("secrets", ())) <= composition["secrets"].keys()
        assert all(it.startswith("127.0.0.1:") for it in service.get("ports", ())), name
        assert "no-new-privileges:true" in service["security_opt"], name
        assert service.get("read_only") or name == "postgres"
        assert not re.search(r"^[^/]*[.:][^/]*/", service["image"]), "an image names a host"
        assert "build" in service or ":" in service["image"], f"{name} is another one every day"
        for mounted in (it.split(":")[0] for it in service.get("volumes", ()) if it[:1] == "."):
            assert (ROOT / "deploy" / mounted).exists(), mounted
        for other, condition in service.get("depends_on", {}).items():
            assert condition == {"condition": "service_healthy"}
            assert other == "server" or "healthcheck" in services[other]
