"""Long work shows how far it is: at a terminal, and nowhere else."""

import os
import pty
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

AUTHZ = [sys.executable, "-m", "authz.cli"]


def watched(cli, *arguments):
    """Run a command whose errors go to a terminal; answers its standard output and what was on the screen."""
    screen, terminal = pty.openpty()
    options = ["--config", str(cli.config), "--tenant", cli.tenant]
    try:
        done = subprocess.run(
            [*AUTHZ, *arguments, *options],
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=terminal,
            text=True,
            timeout=60,
        )
        os.close(terminal)
        return done.stdout, drained(screen)
    finally:
        os.close(screen)


def drained(screen):
    """All that was drawn; a pty that nobody holds any more answers with an error."""
    found = b""
    try:
        while part := os.read(screen, 4096):
            found += part
    except OSError:
        pass
    return found.decode()


def test_a_trail_that_is_checked_is_counted_on_the_screen(cli):
    cli.run("users", "add", "a@x")
    out, screen = watched(cli, "audit", "verify")
    events = cli.json("audit", "verify")["events"]
    assert out.startswith("The trail holds")
    assert f"{events}/{events}" in screen
    # What is drawn over a line is gone before anything else comes.
    assert screen.endswith("\x1b[K")
    silent = cli.run("audit", "verify")
    assert silent.err == ""
    told, screen = watched(cli, "audit", "verify", "--json")
    assert (told[0], screen) == ("{", "")


def test_a_trail_that_is_exported_is_counted_on_the_screen(cli, tmp_path):
    cli.run("users", "add", "a@x")
    file = tmp_path / "trail.jsonl"
    out, screen = watched(cli, "audit", "export", "--output", str(file))
    events = file.read_text().count('{"event": ')
    assert f"Wrote {events} events" in out
    assert f"{events}/{events}" in screen
    assert watched(cli, "audit", "export", "--output", str(file), "--json")[1] == ""


def test_a_plan_says_what_it_is_doing(cli, tmp_path):
    (tmp_path / "roles.yaml").write_text("roles:\n  reader:\n    description: Reads\n")
    cli.run("users", "add", "a@x")
    out, screen = watched(cli, "plan", str(tmp_path))
    assert "reader" in out
    assert "counting 1 people" in screen
    _, screen = watched(cli, "plan", str(tmp_path), "--json")
    assert screen == ""
