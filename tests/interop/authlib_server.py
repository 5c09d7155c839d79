"""An authorization server on Authlib's `IDJAGGrant`, written as its documentation says: a peer for the lab."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

import httpx2
from authlib.oauth2.drafts.id_jag import IDJAGGrant
from authlib.oauth2.rfc6749 import AuthorizationServer, OAuth2Request
from authlib.oauth2.rfc6749.errors import InvalidGrantError
from authlib.oauth2.rfc6749.models import ClientMixin
from authlib.oauth2.rfc6749.requests import BasicOAuth2Payload
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet

JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
PROFILE = "urn:ietf:params:oauth:grant-profile:id-jag"


@dataclass
class Client(ClientMixin):
    client_id: str
    secret: str | None
    grants: frozenset[str]

    def get_client_id(self) -> str:
        return self.client_id

    def get_allowed_scope(self, scope: str) -> str:
        return scope

    def check_client_secret(self, client_secret: str) -> bool:
        return client_secret == self.secret

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        return method == ("none" if self.secret is None else "client_secret_basic")

    def check_grant_type(self, grant_type: str) -> bool:
        return grant_type in self.grants


@dataclass(frozen=True)
class User:
    subject: str


class Request(OAuth2Request):
    """Authlib asks the framework for the form."""

    def __init__(self, method: str, uri: str, headers: Mapping[str, str], body: str) -> None:
        super().__init__(method, uri, headers=dict(headers))
        self._form = {name: values[0] for name, values in parse_qs(body).items()}
        self.payload = BasicOAuth2Payload(self._form)

    @property
    def form(self) -> Mapping[str, str]:
        return self._form

    @property
    def args(self) -> Mapping[str, str]:
        return {}


@dataclass
class AuthlibServer(AuthorizationServer):
    """What the documentation leaves to the developer: clients, keys, people, policy, tokens, HTTP."""

    issuer: str
    jwks_uri: str
    trusted: tuple[str, ...]
    clients: Mapping[str, Client]
    resources: tuple[str, ...]
    allowed: frozenset[str]
    key: ECKey = field(default_factory=lambda: ECKey.generate_key("P-256", {"kid": "authlib"}))
    seen: set[tuple[str, str]] = field(default_factory=set)
    keys: KeySet | None = None
    fetched_at: float = float("-inf")

    def __post_init__(self) -> None:
        super().__init__()
        self.register_grant(Grant)
        self.register_token_generator("default", self._issue)

    # -- what Authlib calls -----------------------------------------------------------------------------------

    def query_client(self, client_id: str) -> Client | None:
        return self.clients.get(client_id)

    def save_token(self, token: Any, request: Any) -> None:
        """Nothing is kept."""

    def send_signal(self, name: str, *args: Any, **kwargs: Any) -> None:
        """Nobody listens."""

    def create_oauth2_request(self, request: Request) -> Request:
        self.request = request
        return request

    def handle_response(self, status: int, body: Any, headers: Any) -> Any:
        return status, body, headers

    def _issue(self, grant_type: str, client: Client, user: User, scope: str, **_: Any) -> Any:
        now = int(time.time())
        claims = {
            "iss": self.issuer,
            "sub": user.subject,
            "aud": self.request.id_jag_claims["resource"],
            "client_id": client.client_id,
            "scope": scope,
            "jti": f"{now}-{len(self.seen)}",
            "iat": now,
            "exp": now + 600,
        }
        token = jwt.encode({"alg": "ES256", "typ": "at+jwt", "kid": "authlib"}, claims, self.key)
        return {"access_token": token, "token_type": "Bearer", "expires_in": 600, "scope": scope}

    # -- HTTP -------------------------------------------------------------------------------------------------

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        status, document, headers = await self._answer(scope, body.decode())
        sent = [(name.lower().encode(), str(value).encode()) for name, value in headers]
        await send({"type": "http.response.start", "status": status, "headers": sent})
        raw = json.dumps(dict(document)).encode()
        await send({"type": "http.response.body", "body": raw})

    async def _answer(self, scope: Any, body: str) -> Any:
        plain = [("content-type", "application/json")]
        if scope["path"] == "/.well-known/oauth-authorization-server":
            return 200, self._metadata(), plain
        if scope["path"] == "/jwks":
            return 200, {"keys": [self.key.as_dict(private=False)]}, plain
        if scope["path"] != "/token":
            return 404, {"error": "not_found"}, plain
        # Before Authlib, which is synchronous, asks for them.
        if time.monotonic() > self.fetched_at + 300:
            async with httpx2.AsyncClient(trust_env=False) as http:
                self.keys = KeySet.import_key_set((await http.get(self.jwks_uri)).json())
            self.fetched_at = time.monotonic()
        headers = {n.decode().title(): v.decode() for n, v in scope["headers"]}
        uri = f"{self.issuer}/token"
        return self.create_token_response(Request(scope["method"], uri, headers, body))

    def _metadata(self) -> Mapping[str, Any]:
        return {
            "issuer": self.issuer,
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/jwks",
            "grant_types_supported": [JWT_BEARER],
            "authorization_grant_profiles_supported": [PROFILE],
        }


class Grant(IDJAGGrant):
    """The hooks that a developer has to fill in."""

    def get_audiences(self) -> list[str]:
        return [self.server.issuer]

    def resolve_issuer_key(self, issuer: str, headers: Mapping[str, Any]) -> KeySet:
        if issuer not in self.server.trusted:
            raise InvalidGrantError(description="Unknown issuer")
        return self.server.keys

    def authenticate_user(self, subject: str) -> User:
        return User(f"{self.request.id_jag_claims['iss']} {subject}")

    def check_jti(self, claims: Mapping[str, Any], jti: str) -> bool:
        name = (claims["iss"], str(jti))
        if name in self.server.seen:
            return False
        self.server.seen.add(name)
        return True

    def check_id_jag_permission(self, client: Client, user: User, scopes: list[str]) -> bool:
        resource = self.request.id_jag_claims.get("resource")
        asked = self.request.payload.data.get("resource", resource)
        return (
            isinstance(resource, str)
            and resource in self.server.resources
            and asked == resource
            and set(scopes) <= self.server.allowed
        )
