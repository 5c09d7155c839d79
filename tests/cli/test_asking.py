"""What the command line asks before it ends something, and that shells complete it."""

import os
import pty
import subprocess
import sys

import pytest

AUTHZ = [sys.executable, "-m", "authz.cli"]


def at_a_terminal(cli, *arguments, typed):
    """Run a command as somebody at a keyboard; answers its exit code and all that was on the screen."""
    keyboard, terminal = pty.openpty()
    try:
        os.write(keyboard, typed.encode())
        options = ["--config", str(cli.config), "--tenant", cli.tenant]
        done = subprocess.run(
            [*AUTHZ, *arguments, *options],
            check=False,
            stdin=terminal,
            capture_output=True,
            text=True,
            timeout=60,
        )
    finally:
        os.close(keyboard)
        os.close(terminal)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.slow
def test_whoever_sits_there_is_told_what_ends_and_asked(cli):
    cli.run("users", "add", "a@x")
    code, said = at_a_terminal(cli, "users", "disable", "a@x", typed="n\n")
    assert code == 1
    assert "every grant, browser, code and live access token of the person ends" in said
    assert cli.json("users", "show", "a@x")["status"] == "active"
    code, _ = at_a_terminal(cli, "users", "disable", "a@x", typed="y\n")
    assert code == 0
    assert cli.json("users", "show", "a@x")["status"] == "disabled"


def test_scripts_are_not_asked(cli):
    cli.run("users", "add", "a@x")
    cli.run("users", "disable", "a@x", stdin="")
    assert cli.json("users", "show", "a@x")["status"] == "disabled"
    cli.run("users", "enable", "a@x")
    cli.run("users", "disable", "a@x", "--yes")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["ro"], ["roles"]),
        (["roles", ""], ["bind", "import", "unbind"]),
        (["roles", "bind", "--us"], ["--user"]),
    ],
)
def test_a_shell_completes_commands_and_options(words, expected):
    environment = {
        **os.environ,
        "_AUTHZ_COMPLETE": "complete_bash",
        "COMP_WORDS": " ".join(["authz", *words]),
        "COMP_CWORD": str(len(words)),
    }
    done = subprocess.run(AUTHZ, check=True, env=environment, capture_output=True, text=True)
    assert set(expected) <= set(done.stdout.split())
