"""An authorization server that is not ours: it redeems ID-JAGs rightly, but for the faults it is told to have.

Written from the drafts with nothing of `authz` in it, so that the lab is judged by something it did not help to build.
"""

import asyncio
import base64
import hashlib
import hmac
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl, unquote_plus

import httpx2
from joserfc import jws
from joserfc.jwk import ECKey

JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
PROFILE = "urn:ietf:params:oauth:grant-profile:id-jag"
GRANT, REQUEST, CLIENT = "invalid_grant", "invalid_request", "invalid_client"


class Refused(Exception):
    def __init__(self, error: str, why: str = "", status: int = 400) -> None:
        super().__init__(error)
        self.error, self.why, self.status = error, why, status


@dataclass
class FakeServer:
    """`clients` are secrets by client id; None is a public client. `granted` may redeem assertions."""

    issuer: str
    jwks_uri: str
    trusted: Mapping[str, str | None]
    """The customer that is ours, by issuer; None where there are no customers."""
    closed: str
    clients: Mapping[str, str | None]
    granted: frozenset[str]
    resources: tuple[str, ...]
    scopes: frozenset[str]
    known_scopes: frozenset[str]
    clock: Callable[[], datetime]
    faults: frozenset[str] = frozenset()
    known: frozenset[str] = frozenset({"lab-known"})
    key: ECKey = field(default_factory=lambda: ECKey.generate_key("P-256", {"kid": "fake"}))
    spent: set[str] = field(default_factory=set)
    addresses: dict[str, str] = field(default_factory=dict)
    keys: dict[str, ECKey] = field(default_factory=dict)
    fetched_at: float = float("-inf")
    proofs: list[str] = field(default_factory=list)
    """The `DPoP` headers of the request under way; requests with proofs come one by one."""
    jkt: str | None = None

    def has(self, fault: str) -> bool:
        return fault in self.faults

    # -- HTTP -------------------------------------------------------------------------------------------------

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", True
        self.proofs = [v.decode() for n, v in scope["headers"] if n.lower() == b"dpop"]
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        headers = {name.decode().lower(): value.decode() for name, value in scope["headers"]}
        query = scope["query_string"].decode()
        status, document = await self._route(scope["method"], scope["path"], query, headers, body)
        raw = json.dumps(document).encode()
        sent = [(b"content-type", b"application/json")]
        if not self.has("stored"):
            sent.append((b"cache-control", b"no-store"))
        await send({"type": "http.response.start", "status": status, "headers": sent})
        await send({"type": "http.response.body", "body": raw})

    async def _route(
        self, method: str, path: str, query: str, headers: Mapping[str, str], body: bytes
    ) -> tuple[int, Mapping[str, Any]]:
        if path == "/.well-known/oauth-authorization-server":
            return 200, self._metadata()
        if path == "/keys":
            return 200, {"keys": [self.key.as_dict(private=self.has("private key"))]}
        if path != "/token":
            return 404, {"error": "not_found"}
        try:
            return 200, await self._token(self._form(method, query, headers, body), headers)
        except Refused as refused:
            said = refused.why if self.has("oracle") else "no"
            return refused.status, {"error": refused.error, "error_description": said}

    def _metadata(self) -> Mapping[str, Any]:
        document = {
            "issuer": f"{self.issuer}/" if self.has("issuer spelling") else self.issuer,
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
            "grant_types_supported": [] if self.has("silent") else [JWT_BEARER],
            "authorization_grant_profiles_supported": [] if self.has("silent") else [PROFILE],
        }
        if not self.has("no dpop"):
            document["dpop_signing_alg_values_supported"] = ["ES256"]
        return document | ({"trusted_issuers": list(self.trusted)} if self.has("leak") else {})

    def _form(
        self, method: str, query: str, headers: Mapping[str, str], body: bytes
    ) -> dict[str, str]:
        if method == "GET" and not self.has("get"):
            raise Refused(REQUEST, "method", 405)
        pairs = parse_qsl(query) if method == "GET" or self.has("query") else []
        if headers.get("content-type") == "application/json":
            if not self.has("json"):
                raise Refused(REQUEST, "json")
            pairs += list(json.loads(body).items())
        else:
            pairs += parse_qsl(body.decode(), keep_blank_values=True)
        if len(dict(pairs)) != len(pairs) and not self.has("duplicates"):
            raise Refused(REQUEST, "twice")
        return dict(pairs)

    # -- the grant --------------------------------------------------------------------------------------------

    async def _token(self, form: dict[str, str], headers: Mapping[str, str]) -> Mapping[str, Any]:
        if self.has("refuses everything"):
            raise Refused(GRANT, "no")
        if self.has("grants everything"):
            return self._answer("lab-client", "x", self.resources[0], self.scopes, {"jti": form})
        client = self._client(form, headers)
        if form.get("grant_type") != JWT_BEARER and not self.has("any grant"):
            raise Refused("unsupported_grant_type")
        if client not in self.granted and not self.has("unregistered"):
            raise Refused("unauthorized_client")
        text = form.get("assertion")
        if not text:
            raise Refused(REQUEST if text is None else GRANT, "assertion")
        header, claims = self._parts(text)
        if self.has("burns"):
            self._spend(claims)
        if self.has("fetches issuers") and str(claims.get("iss")) not in self.trusted:
            await self._ask(f"{claims.get('iss')}/.well-known/openid-configuration")
        await self._verify(text, header, claims)
        self.jkt = self._proved()
        self._check_names(header, claims, client)
        self._check_times(claims)
        subject = self._subject(claims)
        resource = self._resource(claims, form)
        scopes = self._scopes(claims, form)
        if self.has("race"):
            if self._name(claims) in self.spent:
                raise Refused(GRANT, "replay")
            await asyncio.sleep(0.02)
            self.spent.add(self._name(claims))
        elif not self.has("burns") and not self.has("replay"):
            self._spend(claims)
        return self._answer(client, subject, resource, scopes, claims)

    def _client(self, form: Mapping[str, str], headers: Mapping[str, str]) -> str:
        client_id, secret = form.get("client_id"), form.get("client_secret")
        sent = headers.get("authorization", "")
        if sent.startswith("Basic "):
            if secret is not None and not self.has("two methods"):
                raise Refused(REQUEST, "two methods")
            named, _, secret = base64.b64decode(sent[6:]).decode().partition(":")
            client_id, secret = unquote_plus(named), unquote_plus(secret)
        if client_id is None and self.has("nobody"):
            client_id, secret = "lab-client", self.clients["lab-client"]
        if client_id not in self.clients:
            raise Refused(CLIENT, "client", 401)
        wanted = self.clients[client_id]
        if wanted is None and not self.has("public"):
            raise Refused("unauthorized_client", "public")
        if secret != wanted and not (self.has("secret") and secret) and not self.has("no secret"):
            raise Refused(CLIENT, "secret", 401)
        return client_id

    def _parts(self, text: str) -> tuple[dict[str, Any], dict[str, Any]]:
        try:
            if text.startswith("{") and self.has("json form"):
                parts = json.loads(text)
                text = f"{parts['protected']}.{parts['payload']}.{parts['signature']}"
            header, claims, _ = text.split(".")
            read = [json.loads(_decode(part)) for part in (header, claims)]
            assert all(isinstance(part, dict) for part in read)
        except (ValueError, KeyError, AssertionError):
            raise Refused(GRANT, "form") from None
        return read[0], read[1]

    async def _verify(
        self, text: str, header: Mapping[str, Any], claims: Mapping[str, Any]
    ) -> None:
        if text.startswith("{"):
            parts = json.loads(text)
            text = f"{parts['protected']}.{parts['payload']}.{parts['signature']}"
        signed, _, encoded = text.rpartition(".")
        algorithm = header.get("alg")
        if self.has("none") and str(algorithm).lower() == "none":
            return
        key = await self._key(header)
        if self.has("hmac") and algorithm == "HS256":
            mac = hmac.digest(key.as_pem(private=False), signed.encode(), "sha256")
            if hmac.compare_digest(mac, _decode(encoded)):
                return
            raise Refused(GRANT, "hmac")
        if algorithm != "ES256" and not self.has("algorithm of the key"):
            raise Refused(GRANT, "alg")
        if not self.has("crit") and "crit" in header:
            raise Refused(GRANT, "crit")
        verifier = jws.JWSRegistry.algorithms["ES256"]
        if not self.has("signature") and not verifier.verify(
            signed.encode(), _decode(encoded), key
        ):
            raise Refused(GRANT, "signature")

    async def _key(self, header: Mapping[str, Any]) -> ECKey:
        if self.has("own key") and "jwk" in header:
            return ECKey.import_key(header["jwk"])
        if self.has("fetches keys") and "jku" in header:
            await self._ask(header["jku"])
        if not {"jwk", "jku", "x5u", "x5c"}.isdisjoint(header):
            raise Refused(GRANT, "header")
        kid, now = header.get("kid"), self.clock().timestamp()
        age = now - self.fetched_at
        if self.has("stale keys") and self.keys:
            age = 0
        if age > 300 or (kid not in self.keys and (age > 30 or self.has("flood"))):
            found = (await self._ask(self.jwks_uri))["keys"]
            kept = self.keys if self.has("keeps keys") else {}
            self.keys = kept | {one["kid"]: ECKey.import_key(one) for one in found}
            self.fetched_at = now
        if kid not in self.keys:
            raise Refused(GRANT, "kid")
        return self.keys[kid]

    async def _ask(self, url: str) -> Any:
        if not re.match(r"http://127\.0\.0\.1:[0-9]+/", url):
            return {}
        async with httpx2.AsyncClient(trust_env=False) as http:
            return (await http.get(url)).json()

    def _check_names(
        self, header: Mapping[str, Any], claims: Mapping[str, Any], client: str
    ) -> None:
        typ = str(header.get("typ", ""))
        if not self.has("one spelling"):
            typ = typ.lower().removeprefix("application/")
        if typ != "oauth-id-jag+jwt" and not self.has("typ"):
            raise Refused(GRANT, "typ")
        if self._trust(claims) is None:
            raise Refused(GRANT, "iss")
        audience = claims.get("aud")
        may_be_list = not self.has("one spelling") and (
            isinstance(audience, list) and (len(audience) == 1 or self.has("aud member"))
        )
        if may_be_list:
            audience = self.issuer if self.issuer in audience else None
        if (
            self.has("aud prefix")
            and isinstance(audience, str)
            and audience.startswith(self.issuer)
        ):
            audience = self.issuer
        if audience != self.issuer:
            raise Refused(GRANT, "aud")
        if claims.get("client_id") != client and not self.has("relay"):
            raise Refused(GRANT, "client_id")
        for name in ("sub", "jti"):
            value = claims.get(name)
            is_text = isinstance(value, str) and 1 <= len(value) <= 256
            if not is_text and not self.has(name):
                raise Refused(GRANT, name)
        if "cnf" in claims and not self.has("cnf"):
            bound = claims["cnf"]
            if not isinstance(bound, dict) or bound.keys() != {"jkt"} or self.jkt is None:
                raise Refused(GRANT, "cnf")
            if bound["jkt"] != self.jkt and not self.has("cnf of another key"):
                raise Refused(GRANT, "cnf")
        if "aud_tenant" in claims and not self.has("aud_tenant"):
            raise Refused(GRANT, "aud_tenant")
        if "authorization_details" in claims and not self.has("details"):
            raise Refused("invalid_authorization_details")
        if "sub_id" in claims and not self.has("sub_id"):
            raise Refused(GRANT, "sub_id")

    def _proved(self) -> str | None:
        """The thumbprint of the key of a good proof (RFC 9449 §4.3)."""
        if not self.proofs or self.has("no dpop"):
            return None
        header, claims = self._parts(self.proofs[0])
        key = ECKey.import_key(header["jwk"])
        signed, _, encoded = self.proofs[0].rpartition(".")
        verifier = jws.JWSRegistry.algorithms["ES256"]
        good = verifier.verify(signed.encode(), _decode(encoded), key)
        good &= claims["htm"] == "POST" or self.has("htm")
        good &= claims["htu"] == f"{self.issuer}/token" or self.has("htu")
        good &= claims["jti"] not in self.spent or self.has("proof replay")
        if not good:
            raise Refused("invalid_dpop_proof")
        self.spent.add(claims["jti"])
        return key.thumbprint()

    def _trust(self, claims: Mapping[str, Any]) -> str | None:
        issuer = claims.get("iss")
        if self.has("iss prefix") and isinstance(issuer, str):
            issuer = next((it for it in sorted(self.trusted) if issuer.startswith(it)), issuer)
        if not isinstance(issuer, str) or issuer not in self.trusted:
            return None
        if claims.get("tenant") != self.trusted[issuer] and not self.has("tenant"):
            return None
        return issuer

    def _check_times(self, claims: Mapping[str, Any]) -> None:
        now = self.clock().timestamp()
        for name in ("exp", "iat"):
            value = claims.get(name)
            if type(value) not in (int, float) or not 0 < value < 1e11:
                if not self.has("types of times"):
                    raise Refused(GRANT, name)
                return
        if claims["exp"] <= now and not self.has("exp"):
            raise Refused(GRANT, "exp")
        leeway = 0 if self.has("no leeway") else 60
        if claims["iat"] > now + leeway and not self.has("iat"):
            raise Refused(GRANT, "iat")
        if claims.get("nbf", 0) > now + 60 and not self.has("nbf"):
            raise Refused(GRANT, "nbf")
        if claims["exp"] - claims["iat"] > 3600 and not self.has("lifetime"):
            raise Refused(GRANT, "lifetime")

    def _subject(self, claims: Mapping[str, Any]) -> str:
        name = f"{claims.get('iss')} {claims.get('tenant')} {claims.get('sub')}"
        if self.has("one account"):
            name = "everybody"
        if self.has("bare subjects"):
            name = str(claims.get("sub"))
        is_stranger = claims["iss"] == self.closed and claims["sub"] not in self.known
        if is_stranger and not self.has("makes accounts"):
            raise Refused(GRANT, "subject")
        if self.has("actor") and "act" in claims:
            name = claims["act"]["sub"]
        subject = hashlib.sha256(name.encode()).hexdigest()[:16]
        if self.has("aud_sub") and "aud_sub" in claims:
            subject = claims["aud_sub"]
        if self.has("sub_id") and "sub_id" in claims:
            subject = json.dumps(claims["sub_id"])
        if self.has("email") and "email" in claims:
            subject = self.addresses.setdefault(claims["email"], subject)
        return subject

    def _resource(self, claims: Mapping[str, Any], form: Mapping[str, str]) -> Any:
        named = claims.get("resource")
        if self.has("one spelling") and isinstance(named, list) and len(named) == 1:
            raise Refused(GRANT, "list")
        named = [named] if isinstance(named, str) else named
        asked = form.get("resource")
        if self.has("no resource parameter") and asked is not None:
            raise Refused(REQUEST, "resource")
        if named is None:
            if not self.has("no resource"):
                raise Refused("invalid_target", "none")
            return list(self.resources)
        if self.has("resource of the request") and asked is not None:
            return asked
        if not isinstance(named, list) or not named or len(set(named)) != len(named):
            raise Refused(GRANT, "resource")
        if self.has("resource prefix"):
            named = [next((r for r in self.resources if str(n).startswith(r)), n) for n in named]
        known = [one for one in named if one in self.resources]
        if not known or (known != named and not self.has("some resource")):
            raise Refused("invalid_target", "resource")
        if asked is not None and asked not in known:
            raise Refused("invalid_target", "asked")
        return asked or known[0]

    def _scopes(self, claims: Mapping[str, Any], form: Mapping[str, str]) -> frozenset[str]:
        value = claims.get("scope")
        if not isinstance(value, str) or '"' in value:
            if not self.has("types of scopes"):
                raise Refused("invalid_scope", "type")
            value = " ".join(value) if isinstance(value, list) else str(value)
        asserted = frozenset(value.split())
        wanted = frozenset(form["scope"].split()) if "scope" in form else asserted
        if self.has("roles of the assertion") and "admin" in claims.get("roles", ()):
            return self.known_scopes
        if self.has("all that is asserted"):
            wanted = asserted
        allowed = wanted if self.has("scope of the request") else asserted & wanted
        if self.has("unknown scopes"):
            return allowed
        allowed &= self.known_scopes if self.has("policy") else self.scopes
        if not allowed:
            raise Refused("invalid_scope", "nothing")
        return allowed

    def _spend(self, claims: Mapping[str, Any]) -> None:
        name = self._name(claims)
        if name in self.spent:
            raise Refused(GRANT, "replay")
        self.spent.add(name)

    def _name(self, claims: Mapping[str, Any]) -> str:
        issuer = "" if self.has("bare jti") else claims.get("iss")
        return f"{issuer} {claims.get('jti')}"

    def _answer(
        self,
        client: str,
        subject: str,
        resource: Any,
        scopes: frozenset[str],
        claims: Mapping[str, Any],
    ) -> Mapping[str, Any]:
        now = int(self.clock().timestamp())
        seconds = 86_400 if self.has("long tokens") else 600
        said = {
            "iss": self.issuer,
            "sub": subject,
            "aud": self.issuer if self.has("wrong audience") else resource,
            "client_id": "somebody" if self.has("wrong client") else client,
            "scope": " ".join(sorted(scopes)),
            "jti": hashlib.sha256(f"{claims.get('jti')}{now}".encode()).hexdigest(),
            "iat": now,
            "exp": now + seconds,
            **{name: claims[name] for name in ("auth_time", "acr", "amr") if name in claims},
        }
        if self.has("other acr") and "acr" in said:
            said["acr"] = "urn:lab:weak"
        if self.jkt is not None and not self.has("unbound"):
            said["cnf"] = {"jkt": self.jkt}
        header = {"alg": "ES256", "typ": "JWT" if self.has("kind") else "at+jwt", "kid": "fake"}
        signed = f"{_encode(json.dumps(header).encode())}.{_encode(json.dumps(said).encode())}"
        signer = ECKey.generate_key("P-256") if self.has("other key") else self.key
        signature = jws.JWSRegistry.algorithms["ES256"].sign(signed.encode(), signer)
        token = f"{signed}.{_encode(signature)}"
        answer = {
            "access_token": hashlib.sha256(token.encode()).hexdigest()
            if self.has("opaque")
            else token,
            "token_type": "Bearer" if self.jkt is None or self.has("plain type") else "DPoP",
            "expires_in": seconds,
            "scope": said["scope"],
            "resource": resource,
        }
        if self.has("odd answer"):
            answer["expires_in"] = "600"
        if self.has("untold"):
            answer = {n: v for n, v in answer.items() if n not in ("scope", "resource")}
        if self.has("refresh"):
            answer["refresh_token"] = "rt"
        return answer


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _decode(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
