"""The command line as a process of its own."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import httpx2
import pytest

from tests.cli.conftest import Cli

pytestmark = pytest.mark.slow
COMMAND = [sys.executable, "-m", "authz.cli"]


def environment():
    return {k: v for k, v in os.environ.items() if not k.startswith("AUTHZ_")} | {
        "PYTHONPATH": str(Path.cwd()),
        "PYTHONUNBUFFERED": "1",
    }


def authz(*arguments, cwd=None):
    return subprocess.run(
        [*COMMAND, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=environment(),
        cwd=cwd,
    )


def test_an_error_is_a_sentence_and_never_a_traceback(tmp_path):
    done = authz("users", "list", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.startswith("Error: server.issuer is not set")
    assert "Traceback" not in done.stderr
    assert authz("users", "nope", cwd=tmp_path).returncode == 2


def test_json_is_the_only_thing_on_standard_output(tmp_path):
    assert authz("init", "--development", cwd=tmp_path).returncode == 0
    done = authz("db", "upgrade", "--json", cwd=tmp_path)
    assert json.loads(done.stdout)["created_default_tenant"] is True
    assert done.stderr == ""


def test_help_does_not_load_the_database_libraries():
    script = (
        "import sys; sys.argv = ['authz', '--help']\n"
        "from authz.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "assert 'sqlalchemy' not in sys.modules and 'pydantic' not in sys.modules"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=False,
        env=environment(),
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture
def serving():
    started = []

    def start(*arguments, cwd):
        process = subprocess.Popen(
            [*COMMAND, "serve", "--port", "0", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(),
            cwd=cwd,
        )
        started.append(process)
        timer = threading.Timer(60, process.kill)
        timer.start()
        lines = []
        for line in process.stdout:
            lines.append(line)
            if line.startswith("Listening on "):
                break
        timer.cancel()
        assert lines, process.stderr.read()
        return process, lines

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


def metadata(address):
    # The socket is bound before the server answers, so the first request may wait, but is not refused.
    transport = httpx2.HTTPTransport(retries=20)
    with httpx2.Client(transport=transport, timeout=30) as client:
        return client.get(f"{address}/.well-known/oauth-authorization-server")


def test_serve_makes_a_sqlite_installation_ready_and_answers(tmp_path, serving):
    assert authz("init", "--development", cwd=tmp_path).returncode == 0
    process, lines = serving(cwd=tmp_path)
    assert lines[0].startswith("Upgraded the database from revision none (empty) to ")
    assert lines[1] == "Created the tenant 'default' with its signing keys.\n"
    found = re.fullmatch(r"Listening on (http://127\.0\.0\.1:\d+), issuer (\S+)\n", lines[2])
    answer = metadata(found[1])
    assert answer.json()["issuer"] == found[2] == "http://127.0.0.1:8080"
    assert "server" not in answer.headers
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=30)
    assert "Traceback" not in err
    assert process.returncode in (0, -signal.SIGTERM)


def test_serve_says_when_the_port_is_taken(tmp_path, serving):
    authz("init", "--development", cwd=tmp_path)
    _, lines = serving(cwd=tmp_path)
    port = re.search(r":(\d+),", lines[-1])[1]
    second = authz("serve", "--port", port, cwd=tmp_path)
    assert second.returncode == 3
    assert "cannot be listened on" in second.stderr
    assert "Traceback" not in second.stderr


def test_serve_runs_several_workers_on_postgresql(empty, serving):
    if "sqlite" in empty.json("config", "show")["database"]["url"]:
        cli = Cli(empty.config)
        cli.environment["AUTHZ__SERVER__WORKERS"] = "2"
        assert "SQLite serves one process" in cli.run("serve", code=3).err
        return
    process, lines = serving(
        "--config", str(empty.config), "--workers", "2", "--upgrade", cwd=empty.config.parent
    )
    address = re.search(r"Listening on (\S+),", lines[-1])[1]
    assert {metadata(address).json()["issuer"] for _ in range(4)} == {"https://authz.example"}
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=30)
    assert "Traceback" not in err
