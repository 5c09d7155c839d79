"""Server processes for races and crashes: uvicorn with the application's factory, on one shared database."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from authz.admin import audit as trail
from authz.admin import clients, keys, resources, roles_import, tenants, users
from authz.admin.client_metadata import Registration
from authz.admin.operator import Operator
from authz.admin.scopes import NewScope
from authz.audit.verification import Verified
from authz.clock import system_clock
from authz.db import migrate
from authz.envelope import new_encoded_key
from authz.policy import roles_file
from authz.services import Services, open_services
from authz.settings import load
from tests.support import plain_http
from tests.support.arrange import REDIRECT, VERIFIER, add_code
from tests.support.databases import begin
from tests.support.postgres import free_port

ISSUER = "http://127.0.0.1:8080"
RESOURCE = "https://mcp.example/mcp"
_ROLES = """
roles: {developer: [logs.read, analytics.query]}
bindings: [{role: developer, users: [dev@example.com]}]
"""


class ServerProcess:
    """One process that serves an installation; `kill()` is kill -9."""

    def __init__(self, config: Path, port: int | None = None) -> None:
        self.port = port or free_port()
        self.base = f"http://127.0.0.1:{self.port}"
        self._log = config.with_name(f"server-{self.port}.log").open("wb")
        command = [sys.executable, "-m", "uvicorn", "--factory", "authz.app:create_app"]
        command += ["--port", str(self.port), "--log-level", "error", "--no-access-log"]
        self._process = subprocess.Popen(
            command,
            env={**os.environ, "AUTHZ_CONFIG": str(config)},
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )
        self._wait()

    def _wait(self) -> None:
        for _ in range(1500):
            if self._process.poll() is not None:
                text = Path(self._log.name).read_text(encoding="utf-8", errors="replace")
                raise RuntimeError(f"the server did not start: {text[-2000:]}")
            try:
                if plain_http.get(f"{self.base}/jwks").status_code == 200:
                    return
            except httpx2.TransportError:
                time.sleep(0.02)
        raise RuntimeError("the server did not start in time")

    def cpu_seconds(self) -> float:
        """What it has computed so far, in user and in kernel mode."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def kill(self) -> None:
        """No goodbye."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait(10)
        self._log.close()

    def stop(self) -> int:
        """SIGTERM; answers the exit code."""
        self._process.terminate()
        code = self._process.wait(30)
        self._log.close()
        return code


@dataclass
class Installation:
    """One database, one configuration file, one tenant with a server, a role, a person and a client."""

    config: Path
    services: Services
    tenant_id: str
    client_id: str
    user_id: str
    resource_id: str

    def code(self) -> str:
        """A fresh code."""
        return add_code(
            self.services.database,
            tenant_id=self.tenant_id,
            client_id=self.client_id,
            user_id=self.user_id,
            resource_id=self.resource_id,
            now=system_clock(),
        )

    def redemption(self, code: str) -> dict[str, str]:
        """The form."""
        return {
            "grant_type": "authorization_code",
            "client_id": self.client_id,
            "code": code,
            "code_verifier": VERIFIER,
        }

    def refreshing(self, token: str) -> dict[str, str]:
        """The form."""
        return {
            "grant_type": "refresh_token",
            "client_id": self.client_id,
            "refresh_token": token,
        }

    def verify(self) -> Verified:
        """The whole trail."""
        return verified(self.services, self.tenant_id)


def verified(services: Services, tenant_id: str) -> Verified:
    """The trail of a tenant."""
    with services.database.read() as tx:
        return trail.verify(tx, _operator(services), tenant_id)


def _operator(services: Services) -> Operator:
    return Operator.local("test", system_clock(), services.envelope)


@contextmanager
def installation(
    folder: Path, database_url: str, *, issuer: str = ISSUER, pooler: bool = False
) -> Iterator[Installation]:
    """Files and rows of an installation whose processes the caller starts."""
    (folder / "authz.key").write_bytes(new_encoded_key())
    config = folder / "authz.toml"
    config.write_text(
        f"[server]\nissuer = {json.dumps(issuer)}\ndevelopment = true\n"
        f"[database]\nurl = {json.dumps(database_url)}\npooler = {json.dumps(pooler)}\n"
    )
    begin(database_url)
    with open_services(load(config, environment={})) as services:
        migrate.upgrade(services.database)
        first_keys = keys.generate_first()
        operator = _operator(services)
        with services.database.write() as tx:
            tenant: Any = tenants.create(
                tx, operator, slug="default", name="Default", client_trust="open", keys=first_keys
            )
            resource = resources.add(
                tx,
                operator,
                tenant.id,
                identifier=RESOURCE,
                name="Operations",
                scopes=[
                    NewScope(name="logs.read", description="", risk="read", is_default=True),
                    NewScope(name="analytics.query", description="", risk="read"),
                ],
            )
            user = users.add(
                tx, operator, tenant.id, login="dev@example.com", name="Dev", password_hash=None
            )
            roles_import.import_file(tx, operator, tenant.id, roles_file.parse(_ROLES))
            registration = Registration(name="Client", redirect_uris=(REDIRECT,))
            client = clients.add(tx, operator, tenant.id, registration)
        yield Installation(
            config, services, str(tenant.id), client.client.id, str(user.id), str(resource.id)
        )
