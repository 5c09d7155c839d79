"""An MCP server and an authorization server without a fault, to put one fault into."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from authz.doctor.checks import Report, judge
from authz.doctor.profiles import CLIENTS
from authz.doctor.walk import walk
from tests.support.client_keys import ClientKey
from tests.support.web import FakeWeb, Reply, Seen

MCP, AUTH = "mcp.example", "auth.example"
PRM = "/.well-known/oauth-protected-resource"
AS, OIDC = "/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"
CORS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Expose-Headers": "WWW-Authenticate",
}
PREFLIGHT = {
    **CORS,
    "Access-Control-Allow-Headers": "Authorization, Content-Type, MCP-Protocol-Version",
}
KEY = ClientKey().public


def reply(value: object, status: int = 200, **headers: str) -> Reply:
    """JSON that pages may read."""
    return Reply(
        status,
        json.dumps(value).encode(),
        {"Content-Type": "application/json", **CORS, **headers},
    )


@dataclass
class World:
    """Two hosts; a fault changes `resource`, `server`, `challenge` or an entry of `answers`."""

    web: FakeWeb
    path: str = "/mcp"
    issuer_path: str = "/t/a"
    resource: dict[str, Any] = field(default_factory=dict)
    server: dict[str, Any] = field(default_factory=dict)
    challenge: str | None = None
    answers: dict[tuple[str, str, str], Reply] = field(default_factory=dict)
    bad_token: Reply | None = None
    echoes_origin: bool = False
    refuses_pages: set[tuple[str, str]] = field(default_factory=set)
    url: str = ""
    mcp: str = MCP
    auth: str = AUTH

    def __post_init__(self) -> None:
        self.url = self.url or self.web.url(self.mcp, self.path)
        issuer = self.issuer
        self.resource = {
            "resource": self.url,
            "authorization_servers": [issuer],
            "scopes_supported": ["logs.read"],
            "bearer_methods_supported": ["header"],
        }
        self.server = {
            "issuer": issuer,
            "authorization_endpoint": f"{issuer}/authorize",
            "token_endpoint": f"{issuer}/token",
            "jwks_uri": f"{issuer}/jwks",
            "registration_endpoint": f"{issuer}/register",
            "revocation_endpoint": f"{issuer}/revoke",
            "scopes_supported": ["offline_access"],
            "response_types_supported": ["code"],
            "grant_types_supported": ["authorization_code", "refresh_token", "client_credentials"],
            "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": ["none", "private_key_jwt"],
            "token_endpoint_auth_signing_alg_values_supported": ["ES256", "RS256"],
            "authorization_response_iss_parameter_supported": True,
            "client_id_metadata_document_supported": True,
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["ES256"],
        }
        prm = self.web.url(self.mcp, f"{PRM}{self.path}")
        self.challenge = f'Bearer resource_metadata="{prm}", scope="logs.read"'
        self.web.serve(self.mcp, self._answer)
        self.web.serve(self.auth, self._answer)

    @property
    def issuer(self) -> str:
        return self.web.url(self.auth, self.issuer_path)

    def at(self, host: str, path: str, answer: Reply, method: str = "GET") -> None:
        """Answer so at one address."""
        self.answers[method, host, path] = answer

    def _answer(self, seen: Seen) -> Reply:
        found = self._reply(seen)
        if not self.echoes_origin:
            return found
        headers = {n: v for n, v in found.headers.items() if n != "Access-Control-Allow-Origin"}
        if "origin" in seen.headers:
            headers["Access-Control-Allow-Origin"] = seen.headers["origin"]
        return replace(found, headers=headers)

    def _reply(self, seen: Seen) -> Reply:
        path = seen.target
        if self.bad_token is not None and "authorization" in seen.headers:
            return self.bad_token
        if (seen.host, path) in self.refuses_pages and seen.headers.get("origin"):
            return Reply(403)
        given = self.answers.get((seen.method, seen.host, path))
        if given is not None:
            return given
        if seen.method == "OPTIONS":
            return Reply(204, headers=PREFLIGHT)
        found = self._documents().get((seen.method, seen.host, path))
        return found() if found else reply({"error": "not_found"}, 404)

    def _documents(self) -> dict[tuple[str, str, str], Callable[[], Reply]]:
        challenge = {} if self.challenge is None else {"WWW-Authenticate": self.challenge}
        return {
            ("POST", self.mcp, self.path): lambda: reply({}, 401, **challenge),
            ("GET", self.mcp, f"{PRM}{self.path}"): lambda: reply(self.resource),
            ("GET", self.auth, f"{AS}{self.issuer_path}"): lambda: reply(self.server),
            ("GET", self.auth, f"{OIDC}{self.issuer_path}"): lambda: reply(self.server),
            ("GET", self.auth, f"{self.issuer_path}{OIDC}"): lambda: reply(self.server),
            ("GET", self.auth, f"{self.issuer_path}/jwks"): lambda: reply({"keys": [KEY]}),
            ("POST", self.auth, f"{self.issuer_path}/token"): lambda: reply(
                {"error": "invalid_client"}, 401
            ),
        }

    def examine(self, *clients: str) -> Report:
        """What doctor finds."""
        network = self.web.network()
        try:
            found = network.run_blocking(walk(network, self.url))
        finally:
            network.close()
        return judge(found, {name: CLIENTS[name] for name in clients or CLIENTS})
