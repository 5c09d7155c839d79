"""FakeIdp: an OpenID provider over real sockets and TLS that does everything right, and each wrong thing it is told to.

    idp = FakeIdp(web, clock)
    idp.claims["aud"] = "somebody else"     # from now on, in its ID tokens; None leaves a claim out
    params = idp.authorize(start.url)       # what a browser would bring back

It is as strict with us as a good provider is: client authentication, PKCE, redirect URI, one use of each code.
"""

import base64
import hashlib
import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl, unquote_plus, urlsplit

from joserfc import jws, jwt
from joserfc.jwk import KeySet

from authz.clock import Clock
from tests.support.client_keys import TYPE, ClientKey
from tests.support.web import FakeWeb, Reply, Seen

CLIENT_ID = "mcp-authz"
SECRET = "s3cret/with:signs&and=more"
DISCOVERY = "/.well-known/openid-configuration"
GROUPS = "/me/transitiveMemberOf/microsoft.graph.group"
_numbers = itertools.count(1)


@lru_cache
def signing_key(algorithm: str = "RS256", kid: str | None = "k1") -> ClientKey:
    """Made once per process: an RSA key takes longer than a sign-in."""
    return ClientKey(algorithm, kid)


def sign(key: ClientKey, header: Mapping[str, Any], claims: Mapping[str, Any] | bytes) -> str:
    """A compact JWS with exactly this header, however little sense it makes."""
    payload = claims if isinstance(claims, bytes) else json.dumps(claims).encode()
    signed = f"{_encode(json.dumps(header).encode())}.{_encode(payload)}"
    algorithm = jws.JWSRegistry.algorithms[header["alg"]]
    return f"{signed}.{_encode(algorithm.sign(signed.encode(), key.key))}"


def unsigned(header: Mapping[str, Any], claims: Mapping[str, Any], signature: str = "") -> str:
    """The same without asking any library whether that makes sense."""
    parts = [json.dumps(part).encode() for part in (header, claims)]
    return ".".join([*(_encode(part) for part in parts), signature])


@dataclass
class FakeIdp:
    """One provider. Everything that starts empty is for tests to fill."""

    web: FakeWeb
    clock: Clock
    host: str = "idp.example"
    path: str = ""
    key: ClientKey = field(default_factory=signing_key)
    person: dict[str, Any] = field(default_factory=dict)
    """Claims of whoever signs in, in every ID token."""
    auth_method: str = "client_secret_basic"
    client_key: ClientKey | None = None
    assertion_audience: str | None = None
    """Of `private_key_jwt`; its issuer if nobody says otherwise."""

    metadata: dict[str, Any] = field(default_factory=dict)
    claims: dict[str, Any] = field(default_factory=dict)
    """Instead of what belongs there; None leaves it out."""
    header: dict[str, Any] = field(default_factory=dict)
    forge: Callable[[dict[str, Any], dict[str, Any]], object] | None = None
    """Makes the whole ID token from header and claims."""
    jwks: object = None
    tokens: dict[str, Any] = field(default_factory=dict)
    userinfo: dict[str, Any] = field(default_factory=dict)
    answer: dict[str, str | None] = field(default_factory=dict)
    replies: dict[str, Reply] = field(default_factory=dict)
    """By path, instead of everything else."""
    group_pages: Sequence[Sequence[str]] = ()
    next_link: Callable[[str], object] = str
    """Makes a page's link from the right one."""

    asked: list[dict[str, str]] = field(default_factory=list)
    """The parameters of each authorization request."""
    seen: list[tuple[str, Seen]] = field(default_factory=list)
    """Path and request of everything that was asked over the network."""
    access_token: str = ""

    def __post_init__(self) -> None:
        self.issuer = self.web.url(self.host, self.path)
        self.person = {
            "sub": "person-1",
            "email": "dev@corp.example",
            "email_verified": True,
            "name": "Dev Eloper",
            **self.person,
        }
        self._codes: dict[str, dict[str, str]] = {}
        self.web.serve(self.host, self._handle)

    def url(self, path: str) -> str:
        """One of its endpoints."""
        return self.issuer.rstrip("/") + path

    def settings(self, **more: Any) -> dict[str, Any]:
        """What an operator writes to use it."""
        return {
            "issuer": self.issuer,
            "client_id": CLIENT_ID,
            "client_secret": "env:IDP_SECRET",
            **more,
        }

    def count(self, path: str) -> int:
        """How often an endpoint was asked."""
        return sum(place == path for place, _ in self.seen)

    def authorize(self, url: str) -> dict[str, str]:
        """What a browser that was sent to `url` comes back with, its person having signed in."""
        place, _, query = url.partition("?")
        assert place == self.url("/authorize"), url
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=True)
        request = dict(pairs)
        assert len(request) == len(pairs), f"a parameter is repeated: {query}"
        self.asked.append(request)
        code = f"code-{next(_numbers)}"
        self._codes[code] = request
        answer = {
            "code": code,
            "state": request["state"],
            "iss": self.issuer if self._metadata()[_NAMES_ISSUER] else None,
            **self.answer,
        }
        return {name: value for name, value in answer.items() if value is not None}

    # -- endpoints ----------------------------------------------------------------------------------------

    def _handle(self, seen: Seen) -> Reply:
        path = urlsplit(seen.target).path.removeprefix(self.path.rstrip("/"))
        self.seen.append((path, seen))
        if path in self.replies:
            return self.replies[path]
        if path == DISCOVERY:
            return Reply.json(_present(self._metadata()))
        if path == "/jwks":
            return Reply.json(self.jwks or {"keys": [self.key.public]})
        if path == "/token":
            return self._token(seen)
        if seen.headers.get("authorization") != f"Bearer {self.access_token}":
            return Reply.json({"error": "invalid_token"}, 401)
        if path == "/userinfo":
            return Reply.json(_present({"sub": self.person["sub"], **self.userinfo}))
        if path == f"/v1.0{GROUPS}":
            return self._groups(seen)
        return Reply(404)

    def _metadata(self) -> dict[str, Any]:
        return {
            "issuer": self.issuer,
            "authorization_endpoint": self.url("/authorize"),
            "token_endpoint": self.url("/token"),
            "jwks_uri": self.url("/jwks"),
            "userinfo_endpoint": self.url("/userinfo"),
            _NAMES_ISSUER: True,
            **self.metadata,
        }

    def _token(self, seen: Seen) -> Reply:
        pairs = parse_qsl(seen.body.decode(), keep_blank_values=True)
        form = dict(pairs)
        if len(form) != len(pairs) or seen.method != "POST":
            return _error("invalid_request")
        if not self._knows(seen, form):
            return _error("invalid_client", 401)
        request = self._codes.pop(form.get("code", ""), None)
        if (
            request is None
            or form.get("grant_type") != "authorization_code"
            or form.get("redirect_uri") != request["redirect_uri"]
            or _challenge(form.get("code_verifier", "")) != request["code_challenge"]
        ):
            return _error("invalid_grant")
        self.access_token = f"at-{next(_numbers)}"
        body = {
            "access_token": self.access_token,
            "token_type": "Bearer",
            "expires_in": 300,
            "id_token": self._id_token(request),
            **self.tokens,
        }
        return Reply.json(_present(body))

    def _id_token(self, request: Mapping[str, str]) -> object:
        now = int(self.clock().timestamp())
        claims = {
            "iss": self.issuer,
            "aud": request["client_id"],
            "iat": now,
            "exp": now + 300,
            "nonce": request["nonce"],
            **({"auth_time": now} if "max_age" in request else {}),
            **self.person,
            **self.claims,
        }
        header = {"alg": self.key.algorithm, "kid": self.key.kid, **self.header}
        if self.forge is not None:
            return self.forge(_present(header), _present(claims))
        return sign(self.key, _present(header), _present(claims))

    def _knows(self, seen: Seen, form: Mapping[str, str]) -> bool:
        sent = seen.headers.get("authorization")
        if self.auth_method == "client_secret_basic":
            decoded = base64.b64decode((sent or "").removeprefix("Basic ")).decode()
            client_id, _, secret = decoded.partition(":")
            proof = (unquote_plus(client_id), unquote_plus(secret))
            return proof == (CLIENT_ID, SECRET) and "client_secret" not in form
        if sent is not None:
            return False
        if self.auth_method == "client_secret_post":
            return (form.get("client_id"), form.get("client_secret")) == (CLIENT_ID, SECRET)
        return self._believes(form)

    def _believes(self, form: Mapping[str, str]) -> bool:
        assert self.client_key is not None
        keys = KeySet.import_key_set({"keys": [self.client_key.public]})
        algorithms = [self.client_key.algorithm]
        token = jwt.decode(form["client_assertion"], keys, algorithms=algorithms)
        now = self.clock().timestamp()
        return (
            form["client_assertion_type"] == TYPE
            and token.claims["iss"] == token.claims["sub"] == CLIENT_ID
            and token.claims["aud"] == (self.assertion_audience or self.issuer)
            and now - 60 <= token.claims["iat"] <= now < token.claims["exp"] <= now + 300
            and bool(token.claims["jti"])
        )

    def _groups(self, seen: Seen) -> Reply:
        query = dict(parse_qsl(urlsplit(seen.target).query, keep_blank_values=True))
        number = int(query.get("$skiptoken", "0"))
        body: dict[str, Any] = {"value": [{"id": it} for it in self.group_pages[number]]}
        if number + 1 < len(self.group_pages):
            place = self.url(f"/v1.0{GROUPS}?$select=id&$skiptoken={number + 1}")
            body["@odata.nextLink"] = self.next_link(place)
        return Reply.json(body)


_NAMES_ISSUER = "authorization_response_iss_parameter_supported"


def _present(members: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}


def _error(code: str, status: int = 400) -> Reply:
    return Reply.json({"error": code}, status)


def _challenge(verifier: str) -> str:
    return _encode(hashlib.sha256(verifier.encode()).digest())


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
