"""The MCP project's own conformance tool, in its mode for authorization servers."""

import json

import pytest

from scripts.demo_parts.installation import free_port
from tests.interop.scene import JAVASCRIPT, PUBLIC, drive, node

pytestmark = [pytest.mark.interop, pytest.mark.slow]

TOOL = JAVASCRIPT / "node_modules" / "@modelcontextprotocol" / "conformance" / "dist" / "index.js"
EXPECTED = {
    "authorization-server-metadata",
    "authorization-server-metadata-cimd",
    "authorization-code-grant",
}


@pytest.mark.parametrize("issuer", ["root", "path"])
def test_every_check_succeeds(scene, issuer, tmp_path):
    tenant = getattr(scene, issuer)
    options = {
        "--url": tenant.issuer,
        "--client-id": PUBLIC,
        "--resource": tenant.mcp_url,
        "-p": str(free_port()),
        "-o": str(tmp_path),
    }
    command = [node(), str(TOOL), "authorization"]
    driven = drive(
        [*command, *(part for pair in options.items() for part in pair)],
        scene.person(),
        folder=tmp_path,
    )
    assert driven.code == 0, driven.output
    checks = [
        check
        for file in tmp_path.rglob("checks.json")
        for check in json.loads(file.read_text(encoding="utf-8"))
    ]
    faults = [check for check in checks if check["status"] not in ("SUCCESS", "INFO")]
    assert not faults, faults
    assert {check["id"] for check in checks if check["status"] == "SUCCESS"} >= EXPECTED


def test_our_workload_is_one_for_other_servers_too(scene, tmp_path):
    """WIF-01, WIF-04, CONF `auth/wif-jwt-bearer`: what reaches our token endpoint in `test_mcp_typescript_sdk` is no
    dialect of ours."""
    script = JAVASCRIPT / "mcp_workload.mjs"
    command = [node(), str(TOOL), "client", "--command", f"{node()} {script}"]
    options = ["--scenario", "auth/wif-jwt-bearer", "-o", str(tmp_path)]
    driven = drive([*command, *options], scene.person(), folder=tmp_path)
    assert driven.code == 0, driven.output
    [file] = tmp_path.rglob("checks.json")
    checks = json.loads(file.read_text(encoding="utf-8"))
    assert not [it for it in checks if it["status"] in ("FAILURE", "WARNING")], checks
    assert "wif-assertion-verified" in {it["id"] for it in checks if it["status"] == "SUCCESS"}
