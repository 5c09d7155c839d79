"""`authz lab` at somebody else's server: what is up, what is told, and how it ends."""

import asyncio
import json
import os
import signal
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import quote

import httpx2
import pytest
from typer.testing import CliRunner

from authz.cli import app
from authz.clock import system_clock
from authz.lab.applications import READ, WITHHELD, WRITE
from authz.lab.bench import JWT_BEARER
from authz.lab.identity_provider import CUSTOMER, IdentityProvider
from authz.lab.serving import listening, serving
from tests.lab.fake_server import FakeServer
from tests.support.postgres import free_port

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
SECRET = "s3cret/with:signs&and=more"
NAMES = ("good", "aud-two", "client-wrong-secret", "tool-called", "keys-new")


def fake(url, port, *faults):
    """A server that was told of the lab at these ports."""
    idp, mcp = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{port + 1}"
    return FakeServer(
        issuer=url,
        jwks_uri=f"{idp}/jwks",
        trusted={idp: None, f"{idp}/many": CUSTOMER},
        closed=f"{idp}/closed",
        clients={"lab-client": SECRET},
        granted=frozenset({"lab-client"}),
        resources=(f"{mcp}/mcp", f"{mcp}/other"),
        scopes=frozenset({READ, WRITE}),
        known_scopes=frozenset({READ, WRITE, WITHHELD}),
        clock=system_clock,
        faults=frozenset(faults),
    )


async def start(folder, *arguments):
    environment = {n: v for n, v in os.environ.items() if not n.startswith("AUTHZ_")}
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "authz.cli", "lab", *arguments),
        cwd=folder,
        env={**environment, "PYTHONPATH": str(ROOT), "LAB_SECRET": SECRET, "PYTHONUNBUFFERED": "1"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def run(folder, *arguments):
    """The command line as an operator has it; answers code, output and errors."""
    process = await start(folder, *arguments)
    out, err = await asyncio.wait_for(process.communicate(), 120)
    return process.returncode, out.decode(), err.decode()


@asynccontextmanager
async def up(folder, *arguments):
    """`authz lab up`, with what it has told."""
    process = await start(folder, "up", *arguments)
    told = b""
    try:
        while b"Ctrl-C" not in told:
            line = await asyncio.wait_for(process.stdout.readline(), 60)
            assert line, (await process.stderr.read()).decode()
            told += line
        yield told.decode()
    finally:
        process.send_signal(signal.SIGINT)
        out, err = await asyncio.wait_for(process.communicate(), 60)
    assert (process.returncode, out, err) == (0, b"Stopped.\n", b"")


def asked(url, port, *names):
    """`run` against a server, with the secret in the environment."""
    only = [part for name in names for part in ("--only", name)]
    credentials = ("--client-id", "lab-client", "--client-secret-from", "env:LAB_SECRET")
    return ("run", "--issuer", url, *credentials, "--port", str(port), *only)


def test_a_lab_that_is_up_is_used_and_one_that_is_not_is_started(tmp_path):
    async def main():
        port = free_port()
        with listening() as own:
            async with serving(fake(own.url, port), own):
                async with up(tmp_path, "--issuer", own.url, "--port", str(port)) as told:
                    while_up = await run(tmp_path, *asked(own.url, port, *NAMES[:-1]))
                alone = await run(tmp_path, *asked(own.url, port, *NAMES), "--json")
        return port, own.url, told, while_up, alone

    port, url, told, while_up, alone = asyncio.run(main())
    assert f"authz trust add lab --issuer http://127.0.0.1:{port} " in told
    assert f"authz lab run --issuer {url} " in told
    assert while_up[0] == 0, while_up
    assert "pass   aud-two" in while_up[1]
    assert while_up[1].endswith("4 scenarios: 4 passed.\n")
    found = json.loads(alone[1])
    assert [it["outcome"] for it in found["scenarios"]] == [*["passed"] * 4, "not offered"]
    assert "--patience 60s" in found["scenarios"][-1]["why"]
    # The keys outlive the process: what was registered stays right.
    folder = tmp_path / "authz-lab"
    assert (folder / "keys.json").stat().st_mode & 0o077 == 0
    assert folder.stat().st_mode & 0o077 == 0
    assert len(json.loads((folder / "jwks.json").read_text())["keys"]) == 1
    assert SECRET not in "".join([told, *while_up[1:], *alone[1:]])


def test_what_fails_is_told_with_its_clause_and_the_exit_code(tmp_path):
    async def main():
        port = free_port()
        with listening() as own:
            async with serving(fake(own.url, port, "aud member", "replay"), own):
                arguments = asked(own.url, port, "good", "aud-two", "replay")
                return await run(tmp_path, *arguments, "--junit", "lab.xml")

    code, out, err = asyncio.run(main())
    assert (code, err) == (1, "")
    assert "FAIL   aud-two                 it is redeemed for a token\n" in out
    assert "is refused (must: ID-JAG §4.4.1)" in out
    assert "short  replay" in out
    assert out.endswith("3 scenarios: 1 passed, 1 failed, 1 falls short.\n")
    assert "it is redeemed for a token (must: ID-JAG" in (tmp_path / "lab.xml").read_text()


@pytest.mark.parametrize(
    ("arguments", "code", "why"),
    [
        (
            ("assertion", "--issuer", "https://a.example", "--client-id", "c", "--defect", "no"),
            2,
            "there is no defect 'no'",
        ),
        (("run",), 2, "say --issuer and --client-id, or --with-server"),
        (("run", "--with-server", "--issuer", "https://a.example"), 2, "brings its issuer"),
        (("run", "--with-server", "--only", "nonsense"), 2, "authz lab list"),
        (
            ("run", "--issuer", "https://a.example", "--client-id", "c"),
            1,
            "say where its secret is",
        ),
        (
            ("run", "--issuer", "https://a.example", "--client-id", "c", "--auth", "magic"),
            1,
            "is not one of client_secret_basic",
        ),
        (
            (
                *("run", "--issuer", "https://a.example", "--client-id", "c"),
                *("--client-secret-from", "hunter2"),
            ),
            3,
            "not a secret reference",
        ),
        (
            (
                *("run", "--issuer", "https://a.example", "--client-id", "c"),
                *("--client-secret-from", "env:LAB_SECRET", "--settings", "wrong.json"),
            ),
            1,
            "other_client.secret in wrong.json",
        ),
        (
            (
                *("run", "--issuer", "http://127.0.0.1:9", "--client-id", "c"),
                *("--client-secret-from", "env:LAB_SECRET"),
            ),
            1,
            "publishes no metadata with a token endpoint",
        ),
    ],
    ids=["defect", "nothing", "both", "only", "secret", "method", "literal", "settings", "nobody"],
)
def test_what_cannot_be_run_is_said_in_a_sentence(tmp_path, monkeypatch, arguments, code, why):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LAB_SECRET", SECRET)
    wrong = {"other_client": {"id": "lab-other", "secret": "hunter2"}}
    (tmp_path / "wrong.json").write_text(json.dumps(wrong))
    found = CliRunner().invoke(app, ["lab", *arguments, "--port", str(free_port())])
    assert (found.exit_code, found.stdout) == (code, ""), found.output
    assert isinstance(found.exception, SystemExit)
    assert why in " ".join(found.stderr.replace("│", " ").split())
    if "--settings" in arguments:
        assert "hunter2" not in found.stderr


def test_one_assertion_can_be_tried_by_hand(tmp_path):
    """Good once, and with the defect that was asked for."""

    async def main():
        port = free_port()
        told = ("--client-id", "lab-client", "--port", str(port))
        with listening() as own:
            server = fake(own.url, port)
            idp = IdentityProvider.open(
                tmp_path / "authz-lab", f"http://127.0.0.1:{port}", local_url=""
            )
            server.keys, server.fetched_at = {idp.key.kid: idp.key}, system_clock().timestamp()
            async with serving(server, own), httpx2.AsyncClient(trust_env=False) as http:

                async def redeemed(*more):
                    code, out, err = await run(
                        tmp_path, "assertion", "--issuer", own.url, *told, *more
                    )
                    assert (code, err) == (0, "")
                    form = {"grant_type": JWT_BEARER, "assertion": out.strip()}
                    auth = ("lab-client", quote(SECRET, safe=""))
                    return await http.post(f"{own.url}/token", data=form, auth=auth)

                return await redeemed(), await redeemed("--defect", "aud-two")

    good, bad = asyncio.run(main())
    assert good.json()["scope"] == f"{READ} {WRITE}"
    assert bad.json()["error"] == "invalid_grant"


def test_the_list_has_every_scenario_with_its_clause():
    found = CliRunner().invoke(app, ["lab", "list", "--json"])
    assert found.exit_code == 0
    listed = json.loads(found.stdout)
    assert len(listed) > 150
    assert all(it["clause"] and it["title"] and it["level"] in ("must", "should") for it in listed)
