"""The whole scene: an MCP server to register, roles, people, and a client.

Commands are lists of arguments for `authz`: the demo runs and shows them one by one, the tests all at once.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scripts.demo_parts.installation import running

DEV, SRE = "dev@example.com", "sre@example.com"
PASSWORDS = {DEV: "developer on duty", SRE: "engineer on call"}
ROLES = """\
roles:
  developer: [logs.read, analytics.query]
  sre: [logs.read, logs.debug.write, incidents.trigger]
"""
BINDINGS = f"""\
bindings:
  - {{role: developer, users: [{DEV}]}}
  - {{role: sre, users: [{SRE}]}}
"""
SCOPES = (
    "logs.read,default,risk=read,tool=read_logs,description=Read the logs of all services",
    "analytics.query,risk=read,tool=query_analytics,description=Query analytics",
    "logs.debug.write,risk=write,tool=set_debug_level,description=Change how much services log",
    "incidents.trigger,risk=destructive,tool=trigger_incident,description=Open incidents and wake people up",
)
INSPECTOR = "mcp-inspector"
INSPECTOR_REDIRECTS = (
    "http://localhost:6274/oauth/callback",
    "http://127.0.0.1:6276/oauth/callback",
)


@contextmanager
def sample_server(folder: Path, issuer: str, port: int) -> Iterator[str]:
    """The sample MCP server as a process of its own; answers its URL."""
    url = f"http://127.0.0.1:{port}/mcp"
    ready = f"http://127.0.0.1:{port}/.well-known/oauth-protected-resource/mcp"
    command = [sys.executable, "-m", "scripts.demo_parts.sample_server", issuer, url]
    with running(command, folder, f"mcp-{port}", ready):
        yield url


def add_resource(url: str) -> list[str]:
    """`authz` registers the MCP server: its own metadata is read and checked, its scopes get words and risk."""
    scopes = [part for scope in SCOPES for part in ("--scope", scope)]
    return ["resources", "add", url, "--read", "--default", *scopes]


def add_person(login: str) -> list[str]:
    """`authz` adds one of the two people; the password stands in the environment (`passwords`)."""
    return ["users", "add", login, "--password-from", f"env:{_variable(login)}"]


def passwords() -> dict[str, str]:
    """What the environment holds for `add_person`."""
    return {_variable(login): password for login, password in PASSWORDS.items()}


def import_roles(folder: Path) -> list[str]:
    """`authz` imports the roles and who holds them."""
    (folder / "roles.yaml").write_text(ROLES + BINDINGS)
    return ["roles", "import", "roles.yaml"]


def add_client(name: str, client_id: str, *redirects: str) -> list[str]:
    """`authz` registers a client that has no metadata document."""
    uris = [part for url in redirects for part in ("--redirect-uri", url)]
    return ["clients", "add", name, "--id", client_id, *uris]


def _variable(login: str) -> str:
    return f"PASSWORD_OF_{login.partition('@')[0].upper()}"
