"""What ships: the wheel holds what the server needs, and serves from an empty folder."""

import json
import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
import venv
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from authz import __version__
from tests.support.postgres import free_port

ROOT = Path(__file__).parents[1]
READY_WITHIN_SECONDS = 30

pytestmark = pytest.mark.slow


def _run(*command: str | Path, cwd: Path) -> str:
    result = subprocess.run(command, cwd=cwd, env=_environment(), capture_output=True, text=True)
    assert result.returncode == 0, f"{command} failed:\n{result.stdout}{result.stderr}"
    return result.stdout


def _environment() -> dict[str, str]:
    # What would let the checkout, or the settings of a developer, shine through.
    hidden = ("PYTHONPATH", "VIRTUAL_ENV")
    return {k: v for k, v in os.environ.items() if k not in hidden and not k.startswith("AUTHZ_")}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    _run(
        *(sys.executable, "-m", "build", "--wheel", "--no-isolation"),
        *("--outdir", folder, ROOT),
        cwd=folder,
    )
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def contents(wheel) -> list[str]:
    return zipfile.ZipFile(wheel).namelist()


@pytest.fixture(scope="module")
def programs(wheel, tmp_path_factory) -> Path:
    """The programs of an empty virtual environment with the wheel and its locked dependencies."""
    folder = tmp_path_factory.mktemp("venv")
    venv.create(folder, symlinks=True, with_pip=True)
    programs = folder / "bin"
    pip = [programs / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    # As operators do: the lock is complete, and pip check says so below.
    _run(*pip, "--require-hashes", "--no-deps", "-r", ROOT / "requirements/runtime.txt", cwd=folder)
    _run(*pip, "--no-deps", "--no-index", wheel, cwd=folder)
    return programs


def test_the_wheel_holds_every_template_and_migration(contents):
    expected = {
        f"authz/_data/{path.relative_to(ROOT).as_posix()}"
        for folder in ("templates", "alembic")
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert "authz/_data/alembic/env.py" in expected
    assert any(name.startswith("authz/_data/templates/") for name in expected)
    assert sorted(expected - set(contents)) == []


def test_the_wheel_puts_nothing_beside_our_package(contents):
    tops = {name.partition("/")[0] for name in contents}
    # A folder `alembic` in site-packages would shadow the library of that name.
    assert {top for top in tops if not top.endswith(".dist-info")} == {"authz"}


def test_the_wheel_is_marked_as_typed_and_carries_the_licence(contents):
    assert "authz/py.typed" in contents
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in contents)


def test_the_locked_dependencies_are_complete(programs, tmp_path):
    _run(programs / "python", "-m", "pip", "check", cwd=tmp_path)


def test_the_server_starts_from_an_empty_folder(programs, tmp_path):
    issuer = f"http://127.0.0.1:{free_port()}"
    _run(programs / "authz", "init", "--issuer", issuer, "--development", cwd=tmp_path)
    assert (tmp_path / "authz.toml").is_file()
    # The key-encryption key is nobody else's to read.
    assert (tmp_path / "authz.key").stat().st_mode & 0o077 == 0
    with _serving(programs, tmp_path, issuer) as metadata:
        assert metadata["issuer"] == issuer


def test_the_image_has_what_the_server_needs_and_no_tool(programs, tmp_path):
    """What its last stage starts from serves, with this as the whole file system and as the image's user."""
    root, user = tmp_path / "root", 10001
    _run(programs / "python", ROOT / "deploy/image/collect.py", root, cwd=tmp_path)
    tools = [it for it in root.rglob("*bin/*") if it.is_file()]
    assert {re.sub(r"[\d.]", "", it.name) for it in tools} == {"authz", "python"}
    (root / programs.parent.relative_to("/")).chmod(0o755)
    if os.geteuid() == 0:
        inside = ["chroot", f"--userspec={user}:{user}", root]
        # Where it starts; in the image that is /var/lib/authz.
        os.chown(root, user, user)
    else:
        inside = ["unshare", "--map-root-user", "chroot", root]
    authz = [*inside, programs / "authz"]
    assert __version__ in _run(*authz, "--version", cwd=tmp_path)
    port = free_port()
    issuer = f"http://127.0.0.1:{port}"
    _run(*authz, "init", "--issuer", issuer, "--development", cwd=tmp_path)
    asked = re.search(r"^    CMD (\[.+\])$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    python, *health = json.loads(asked[1])
    health[1] = health[1].replace("os.environ['AUTHZ__SERVER__PORT']", f"'{port}'")
    assert python == "python"
    with _serving(programs, tmp_path, issuer, inside=inside) as metadata:
        assert metadata["issuer"] == issuer
        _run(*inside, programs / python, *health, cwd=tmp_path)


@contextmanager
def _serving(
    programs: Path, folder: Path, issuer: str, *, inside: Sequence[str | Path] = ()
) -> Iterator[dict[str, object]]:
    """Run `authz serve` in `folder`; yield its metadata when it answers, then stop it politely."""
    started = time.monotonic()
    log = folder / "log"
    with log.open("w") as output:
        server = subprocess.Popen(
            [*inside, programs / "authz", "serve"],
            cwd=folder,
            env=_environment(),
            stdout=output,
            stderr=output,
        )
    try:
        metadata = None
        while metadata is None:
            metadata = _find_metadata(issuer)
            waited = time.monotonic() - started
            assert server.poll() is None, f"the server ended:\n{log.read_text()}"
            assert waited < READY_WITHIN_SECONDS, f"the server is not ready:\n{log.read_text()}"
            time.sleep(0.02)
        print(f"authz serve: start to ready in {waited:.2f} s, with an empty database")
        yield metadata
        server.terminate()
        # Uvicorn shuts down, then lets the signal end the process.
        assert server.wait(timeout=READY_WITHIN_SECONDS) in {0, -15}, log.read_text()
    finally:
        server.kill()
        server.wait()


def _find_metadata(issuer: str) -> dict[str, object] | None:
    try:
        with urllib.request.urlopen(f"{issuer}/.well-known/oauth-authorization-server") as answer:
            assert answer.status == 200
            found: dict[str, object] = json.load(answer)
            return found
    except urllib.error.HTTPError:
        raise
    except urllib.error.URLError:
        return None  # not listening yet
