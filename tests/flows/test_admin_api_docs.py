"""What docs/admin-api.md says to type works as it stands, but for the host."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from authz.admin import admins
from tests.support import admin_api as api

TEXT = (Path(__file__).parents[2] / "docs" / "admin-api.md").read_text(encoding="utf-8")
HOST = "https://auth.example.com"
TOKEN_OF = f"{sys.executable} -c 'import json, sys; print(json.load(sys.stdin)[\"access_token\"])'"


@pytest.fixture
def default(server):
    made = api.of_default_tenant(server)
    yield made
    made.harness.http.close()


def written():
    """The blocks for a shell, in order, without the commands of the machine itself."""
    blocks = re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL)
    return [re.sub(r"^authz .*?[^\\]\n", "", it, flags=re.DOTALL | re.MULTILINE) for it in blocks]


def test_what_is_written_can_be_typed(server, default):
    harness = default.harness
    harness.add_user("ana@example.com")
    made = harness.add_client(
        client_id="deploy",
        auth_method="client_secret_basic",
        grant_types=("client_credentials",),
        redirect_uris=(),
        scope_ceiling=frozenset({"authz.read", "authz.policy.write"}),
    )
    harness.change(admins.grant, role="policy-author", kind="client", holder="deploy")
    script = "\n".join(["set -eo pipefail", 'curl() { command curl -f "$@"; }', *written()])
    script = script.replace(HOST, server.base).replace("jq -r .access_token", TOKEN_OF)
    # Changing a client takes more than the program of the example may.
    script = script.replace("ETAG=", f"TOKEN={default.token}\nETAG=", 1)
    done = subprocess.run(
        ["bash", "-c", script],
        env={"PATH": os.environ["PATH"], "SECRET": made.secret},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    assert '"name":"api:deploy"' in done.stdout
    assert '"login":"ana@example.com"' in done.stdout
    assert '"scope_ceiling":["authz.read"]' in done.stdout
    assert '"resource_name":"Administration"' in done.stdout
