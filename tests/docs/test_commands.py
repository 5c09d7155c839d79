"""Every command that the documents say to type is typed.

In order, page by page, in an installation on loopback. A block that cannot be run here has a comment before it that
says why (`<!-- not run: … -->`); its `authz` commands have to exist with these options nevertheless.
"""

import contextlib
import http.server
import json
import os
import re
import shlex
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest
import typer

from authz.settings import load
from scripts.reference_parts import events
from tests.docs.running import GIVEN, World, given_of, install_shims, run_page
from tests.docs.written import DOCS, PAGES, ROOT, SHELL, blocks, name_of, without_code
from tests.interop.scene import JAVASCRIPT, node
from tests.support.postgres import URL_VARIABLE, free_port, scratch_database

pytestmark = pytest.mark.slow
RUN = [
    pytest.param(page, marks=[getattr(pytest.mark, it) for it in given_of(page).get("marks", [])])
    for page in PAGES
    if any(it.kind in SHELL and not it.not_run for it in blocks(page))
    and not given_of(page).get("elsewhere")
]


class Metadata(http.server.BaseHTTPRequestHandler):
    """An MCP server as far as it says of itself: anybody may ask which issuer it trusts."""

    issuer = ""
    resource = ""

    def do_GET(self):
        document = {"resource": self.resource, "authorization_servers": [self.issuer]}
        document |= {"scopes_supported": ["logs.read", "incidents.trigger"]}
        found = self.path.startswith("/.well-known/oauth-protected-resource")
        body = json.dumps(document if found else {}).encode()
        self.send_response(200 if found else 404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def mcp():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Metadata) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/mcp"
        server.shutdown()


@pytest.fixture(scope="module")
def world(tmp_path_factory, mcp):
    folder = tmp_path_factory.mktemp("docs")
    issuer, own = f"http://127.0.0.1:{free_port()}", free_port()
    Metadata.issuer, Metadata.resource = issuer, mcp
    install_shims(folder / "bin")
    socket = folder / "warm"
    warm = subprocess.Popen(
        [sys.executable, "-m", "tests.support.warm_cli", str(socket)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
    )
    assert warm.stdout.readline() == b"ready\n"
    made = World(
        folder,
        socket,
        {
            "init --issuer https://auth.example.com": f"init --issuer {issuer} --development",
            "https://auth.example.com": issuer,
            "https://mcp.example/mcp": mcp,
            "127.0.0.1:8080": issuer.removeprefix("http://"),
            "https://mcp.example.com/mcp": mcp,
            "https://logs.example.com/mcp": f"http://127.0.0.1:{own}/mcp",
            "8000": str(own),
        },
        {"NODE_MODULES": str(JAVASCRIPT / "node_modules")},
    )
    (folder / "bin/node").symlink_to(node())
    try:
        (folder / "template").mkdir()
        done = run_page(HERE_TEMPLATE, made, folder / "template")
        assert done.code == 0, done.out
        yield made
    finally:
        warm.terminate()
        warm.wait(10)
        warm.stdout.close()


HERE_TEMPLATE = Path(__file__).with_name("template.md")


@pytest.mark.parametrize("page", RUN, ids=lambda it: name_of(it))
def test_what_a_page_says_to_type_works(world, page, tmp_path):
    with database_of(page) as replaced:
        done = run_page(page, replace(world, replaced={**world.replaced, **replaced}), tmp_path)
        check(world, page, done)


@contextlib.contextmanager
def database_of(page):
    if "database" not in given_of(page):
        yield {}
        return
    if URL_VARIABLE not in os.environ:
        pytest.fail(
            f"{URL_VARIABLE} is not set; run `python tests/support/postgres.py run -- pytest …`"
        )
    with scratch_database(os.environ[URL_VARIABLE], f"authz_{page.stem}_page") as url:
        yield {"postgresql://authz@db/authz": url}


def check(world, page, done):
    assert done.code == 0, done.out
    for text in given_of(page).get("expect", []):
        assert text in done.out
    check_the_trail(world, done.folder)


def check_the_trail(world, folder):
    """What the page did is in the trail, as docs/events.schema.json has it (S9)."""
    if not (folder / "authz.toml").exists():
        return
    done = subprocess.run(
        [world.folder / "bin" / "authz", "audit", "export"],
        cwd=folder,
        env={"AUTHZ_WARM": str(world.socket), "AUTHZ_SECRET_KEPT": "x"},
        capture_output=True,
        text=True,
        check=True,
    )
    schema = jsonschema.Draft202012Validator(json.loads(events.schema()))
    for line in done.stdout.splitlines():
        written = json.loads(line)
        if "event" in written:
            schema.validate(json.loads(written["body"]))


def commands():
    from authz.cli import app

    return typer.main.get_command(app)


def written_commands():
    """Every `authz …` of a block that is not run, one line each."""
    for page in PAGES:
        for block in blocks(page):
            if block.kind in ("sh", "console") and block.not_run:
                text = re.sub(r"\\\n\s*", " ", block.commands)
                for line in text.splitlines():
                    for found in re.findall(r"^(?:sudo -u \w+ )?authz ([^|;&)#>]+)", line):
                        yield f"{name_of(page)}:{block.line}", found


def test_commands_that_are_not_run_exist_with_these_options():
    wrong = [(where, it, why) for where, it in written_commands() if (why := defect(it))]
    assert wrong == []


INDENTED = re.compile(r"^ {4,}(?:authz|python3?|scripts/\S+|curl|\[\[?\w)[^\n]*", re.MULTILINE)
INLINE = re.compile(r"`authz ((?:[a-z][\w-]* ?)+)([^`]*)`")


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_that_are_named_in_prose_exist(page):
    if page == DOCS / "cli.md":
        return  # tests/cli/test_commands.py compares it with the commands, both ways
    wrong = []
    for words, rest in INLINE.findall(page.read_text(encoding="utf-8")):
        command, path = commands(), []
        context = typer.Context(command, info_name="authz")
        for word in words.split():
            if not hasattr(command, "commands"):
                break
            try:
                _, command, _ = command.resolve_command(context, [word])
            except Exception as error:
                wrong.append(f"authz {words}: {error}")
                break
            path.append(word)
        known = {option for it in command.params for option in getattr(it, "opts", ())}
        known |= {option for it in command.params for option in getattr(it, "secondary_opts", ())}
        for option in re.findall(r"--[a-z][\w-]*", rest):
            if option not in known | {"--help", "--version"}:
                wrong.append(f"authz {' '.join(path)} has no {option}")
    assert wrong == []


def defect(text):
    """What is wrong with the words of a command, but for their values."""
    command = commands()
    words = shlex.split(text)
    context = typer.Context(command, info_name="authz")
    while hasattr(command, "commands"):
        if not words:
            return "names no command"
        try:
            _, command, words = command.resolve_command(context, words)
        except Exception as error:
            return str(error)
    try:
        command.make_context("authz", list(words), resilient_parsing=False)
    except typer.Exit:
        return None
    except Exception as error:
        message = getattr(error, "message", str(error))
        return None if "does not exist" in message else message
    return None


def test_what_is_typed_says_so_and_what_is_not_run_says_why():
    for page in PAGES:
        for block in blocks(page):
            typed = re.match(r"(\$ )?(authz|curl|scripts/\w+) ", block.text)
            assert not typed or block.kind in SHELL, f"{page}:{block.line} is no `sh`"
            assert block.not_run is None or len(block.not_run.split()) >= 3, f"{page}:{block.line}"
        hidden = INDENTED.findall(without_code(page.read_text(encoding="utf-8")))
        assert not hidden, f"{page}: nothing looks at what is indented instead of fenced"


SETTINGS = [
    pytest.param(it, id=f"{name_of(it.page)}:{it.line}")
    for page in PAGES
    for it in blocks(page)
    if it.kind == "toml"
]


@pytest.mark.parametrize("block", SETTINGS)
def test_settings_that_are_shown_are_settings(block, tmp_path):
    """By themselves, or after the one line that every file has."""
    text = block.text
    if "[server]" not in text:
        text = f'server.issuer = "https://auth.example.com"\n{text}'
    (tmp_path / "authz.toml").write_text(text, encoding="utf-8")
    assert load(tmp_path / "authz.toml", environment={}).server.issuer


def test_nothing_is_given_for_nobody():
    pages = set(GIVEN) - {"kept", "environment"}
    assert pages <= {name_of(it) for it in PAGES} | {"tests/docs/template.md"}
