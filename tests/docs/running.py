"""Runs what a page says to type: in order, in one shell, at an installation of its own, against a real server.

`given.toml` says what a page takes for granted, and what its placeholders stand for. Programs of others that a page
calls (`kubectl`, `claude` …) do nothing here.
"""

import contextlib
import os
import re
import shlex
import signal
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.docs.written import SHELL, Block, blocks, name_of
from tests.support.warm_cli import SHIM

HERE = Path(__file__).parent
GIVEN: dict[str, Any] = tomllib.loads((HERE / "given.toml").read_text(encoding="utf-8"))
OTHERS = (
    "claude",
    "code",
    "npx",
    "npm",
    "pip",
    "kubectl",
    "spire-agent",
    "docker",
    "helm",
    "systemctl",
)
PRELUDE = r"""
set -eEuo pipefail
trap 'echo "STOPPED AT line $AT" >&2' ERR
AT=given
curl() { command curl -f "$@"; }
wait_for() { for _ in $(seq 400); do
    if command curl -s -o /dev/null "$1"; then return 0; fi
    if ! kill -0 "$RUNNING"; then return 1; fi
    sleep 0.05
done; return 1; }
RUNNING=
run() { # what is kept running, one at a time for each address: address, command
    local name=RUNNING_$(echo "$1" | tr -c 'a-zA-Z0-9\n' _)
    if [ -n "${!name:-}" ]; then kill "${!name}"; wait "${!name}" || true; fi
    eval "$2" > "$name.log" 2>&1 &
    RUNNING=$!; eval "$name=$!"
    wait_for "$1" || { cat "$name.log" >&2; return 1; }
}
"""


@dataclass(frozen=True)
class World:
    """What all pages share: a warm `authz`, an installation to copy, addresses on loopback."""

    folder: Path
    socket: Path
    replaced: Mapping[str, str]
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Ran:
    """What came of a page."""

    code: int
    out: str
    folder: Path


def given_of(page: Path) -> dict[str, Any]:
    """What `given.toml` says of a page."""
    return GIVEN.get(name_of(page), {})  # type: ignore[no-any-return]


def script_of(page: Path, world: World) -> str:
    """One script, that says where it is."""
    given = given_of(page)
    parts = [PRELUDE, *(f"{it}() {{ :; }}" for it in OTHERS if it not in given.get("real", ()))]
    if not given.get("empty"):
        parts.append(f"cp {world.folder}/template/* .")
    if given.get("serve"):
        parts.append(_line("authz serve", given))
    parts.append(_replaced(given.get("before", ""), given, world))
    for block in sorted(
        blocks(page), key=lambda it: it.file in (None, "authz.toml")
    ):  # files first
        parts += _typed(block, given, world)
    return "\n".join(parts)


def _typed(block: Block, given: Mapping[str, Any], world: World) -> list[str]:
    if block.file is not None and block.file != "authz.toml":
        text = _replaced(block.text, given, world)
        made = f"mkdir -p {shlex.quote(str(Path(block.file).parent))}"
        return [made, f"cat > {shlex.quote(block.file)} <<'END OF FILE'\n{text}END OF FILE"]
    if block.kind not in SHELL or block.not_run:
        return []
    lines = [_line(it, given) for it in block.commands.splitlines()]
    text = _replaced("\n".join(lines), given, world)
    prepared = [
        _replaced(first, given, world)
        for start, first in given.get("at", {}).items()
        if block.commands.startswith(start)
    ]
    return [f"AT={block.line}", *prepared, text]


def _line(line: str, given: Mapping[str, Any]) -> str:
    """A command that goes on until it is stopped goes on behind the others."""
    kept = {**GIVEN["kept"], **given.get("kept", {})}
    command = re.sub(r"\s+#.*$", "", line.strip())
    return f"run {kept[command]} {shlex.quote(command)}" if command in kept else line


def _replaced(text: str, given: Mapping[str, Any], world: World) -> str:
    for old, new in {**given.get("replace", {}), **world.replaced}.items():
        text = text.replace(old, new)
    return text


def run_page(page: Path, world: World, folder: Path) -> Ran:
    """All of a page's commands."""
    given = given_of(page)
    script = world.folder / f"{name_of(page).replace('/', '-')}.sh"
    script.write_text(_replaced(script_of(page, world), {}, world), encoding="utf-8")
    environment = {
        "PATH": f"{world.folder}/bin:{os.environ['PATH']}",
        "HOME": str(folder),
        "LANG": "C.UTF-8",
        "AUTHZ_WARM": str(world.socket),
        "PYTHONPATH": str(HERE.parents[1]),
        **world.environment,
        **GIVEN["environment"],
        **given.get("environment", {}),
    }
    out = script.with_suffix(".out")
    with out.open("wb") as output:
        shell = subprocess.Popen(
            ["bash", str(script)],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            code = shell.wait(120)
        finally:
            with contextlib.suppress(ProcessLookupError):  # what was kept running
                os.killpg(shell.pid, signal.SIGTERM)
            shell.wait(20)
    return Ran(code, out.read_text(encoding="utf-8", errors="replace"), folder)


def install_shims(folder: Path) -> None:
    """`authz` and `python` as pages call them."""
    folder.mkdir()
    (folder / "authz").write_text(SHIM)
    (folder / "authz").chmod(0o755)
    for name in ("python", "python3"):
        (folder / name).write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
        (folder / name).chmod(0o755)
