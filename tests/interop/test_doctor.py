"""`authz doctor` finds nothing that stops a client at our own servers (features.md section 3 item 7)."""

import json

import pytest
from typer.testing import CliRunner

from authz.cli import app

pytestmark = [pytest.mark.interop]
# What is so on purpose, or because everything here is on one machine.
EXPECTED = {
    "server_local",
    "registration_by_hand",
    "headless_unsupported",
    "revocation_unsupported",
}


@pytest.mark.parametrize("tenant", ["root", "path"])
def test_nothing_stops_a_client_here(scene, tenant, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    url = getattr(scene, tenant).mcp_url
    result = CliRunner().invoke(app, ["doctor", url, "--json"])
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["authorization_servers"] == [getattr(scene, tenant).issuer]
    assert {finding["code"] for finding in found["findings"]} <= EXPECTED
