"""Every place where this product takes a JWT, and a genuine one for each.

A test damages a genuine header, claims and key, and asks whether the place accepts the outcome. The genuine ones are
made with the keys that count there, our own included, so that one damage alone decides.
"""

import asyncio
import base64
import hashlib
import hmac
import itertools
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from joserfc.jwk import Key
from joserfc.jws import JWSRegistry

from authz.admin import delegations, mappings, resources, roles, targets
from authz.admin.scopes import NewScope
from authz.errors import ConfigurationError
from authz.keys import ACCESS_TOKEN, ID_TOKEN
from authz.oauth.devices import DEVICE_GRANT
from authz.oauth.token_types import ACCESS_TOKEN_TYPE, ID_JAG_TYPE, ID_TOKEN_TYPE
from authz.resource_server import (
    AccessError,
    InvalidToken,
    RemoteKeys,
    RevocationFeed,
    Revocations,
    TokenVerifier,
)
from tests.support.arrange import VERIFIER
from tests.support.client_keys import TYPE, ClientKey
from tests.support.dpop_keys import DpopKey
from tests.support.exchanges import TOKEN_EXCHANGE
from tests.support.harness import RESOURCE, Answer, Harness
from tests.support.id_jags import JWT_BEARER, AssertingIdp
from tests.support.leaving import SESSION_REVOKED, Provider
from tests.support.workloads import Platform, ask

VENDOR = "https://auth.vendor.example"
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Verdict:
    """What a place made of what it was sent."""

    accepted: bool
    status: int
    body: str
    reason: str | None


@dataclass(frozen=True)
class Entry:
    """One place."""

    name: str
    key: Any
    """What signs a genuine one."""
    make: Callable[[], tuple[dict[str, Any], dict[str, Any]]]
    """Header and claims of a genuine one, another with each call."""
    send: Callable[[str], Verdict]

    def genuine(self) -> str:
        """One that is accepted."""
        return spell(*self.make(), key=self.key)


def b64(raw: bytes) -> str:
    """base64url without padding."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def part(value: Any) -> str:
    """A header or payload; bytes as they are."""
    return b64(value if isinstance(value, bytes) else json.dumps(value).encode())


def spell(header: Any, claims: Any, *, key: Any, algorithm: str | None = None) -> str:
    """A compact JWS put together by hand: nothing is checked, whatever the header says.

    `key` is a key, a secret for an HMAC, or the finished signature as a function of what is signed.
    """
    signed = f"{part(header)}.{part(claims)}"
    if isinstance(key, bytes):
        signature = hmac.new(key, signed.encode(), hashlib.sha256).digest()
    elif isinstance(key, Key):
        name = algorithm or header["alg"]
        signature = JWSRegistry.algorithms[name].sign(signed.encode(), key)
    else:
        signature = key(signed.encode())
    return f"{signed}.{b64(signature)}"


def signing_key(
    harness: Harness, purpose: str = ACCESS_TOKEN, typ: str = "at+jwt"
) -> tuple[Any, dict[str, Any]]:
    """The tenant's own key for a purpose, as nobody outside has it, and the header it signs with."""
    with harness.server.database.read() as tx:
        configuration = harness.server.services.configurations.find(tx, harness.slug)
    if configuration is None:
        raise ConfigurationError("the tenant is gone")
    ring = configuration.keys.signer(purpose, "ES256", harness.clock())
    return ring.key, {"typ": typ, "alg": "ES256", "kid": ring.life.key_id}


class Places:
    """The entries of one tenant, and who sends there."""

    def __init__(self, harness: Harness) -> None:
        self.harness = harness
        self.client_key, self.dpop_key = ClientKey(), DpopKey()
        made = harness.add_client(
            auth_method="private_key_jwt",
            jwks=self.client_key.jwks,
            grant_types=(
                "authorization_code",
                "refresh_token",
                "client_credentials",
                DEVICE_GRANT,
                JWT_BEARER,
                TOKEN_EXCHANGE,
            ),
        )
        self.client_id = str(made.client.id)
        harness.change(roles.bind, role="developer", kind="client", holder=self.client_id)
        harness.change(resources.set_client, RESOURCE, self.client_id)
        self.own_key, self.own_header = signing_key(harness)
        self.id_key, self.id_header = signing_key(harness, ID_TOKEN, "JWT")
        self._lead_onward()
        self._browser = harness.browser()
        self.idp = AssertingIdp()
        self.idp.trust_at(harness)
        harness.change(
            mappings.add, connection="corp", claim="groups", value="dev", role="developer"
        )

        self.platform = Platform()
        self.platform.trust_at(harness)
        self.provider = Provider(harness, "provider")
        self.provider.add_stream()

    def entries(self) -> list[Entry]:
        """All of them."""
        nothing = {"grant_type": "refresh_token", "refresh_token": "x"}
        return [
            self._assertion_at("/token", nothing),
            self._assertion_at("/introspect", {"token": "x"}),
            self._assertion_at("/revoke", {"token": "x"}),
            self._assertion_at("/par", self._request(self.client_id)),
            self._assertion_at("/device_authorization", {"resource": RESOURCE}),
            self._proof_at("/token", self._redemption),
            self._proof_at("/par", lambda: self._request(self.harness.client_id)),
            Entry("assertion grant at /token", self.idp.key.key, self._id_jag, self._redeem),
            Entry(
                "workload grant at /token",
                self.platform.key.key,
                lambda: self.platform.statement(self.harness, header={"typ": "JWT"}),
                lambda text: _granted(ask(self.harness, text)),
            ),
            Entry(
                "logout token at a connection",
                self.provider.key.key,
                self._logout_token,
                self._log_out,
            ),
            Entry("event at a stream", self.provider.key.key, self._event, self._tell),
            Entry("batch at /outcomes", self.client_key.key, self._batch, self._report),
            Entry("token at /introspect", self.own_key, self._token, self._introspect),
            Entry("token at /revoke", self.own_key, self._token, self._revoke),
            Entry("token at an MCP server", self.own_key, self._token, self._use),
            Entry("answer of the feed at an MCP server", self.own_key, self._news, self._follow),
            Entry("token to exchange at /token", self.own_key, self._token, self._exchange),
            Entry("ID token to exchange at /token", self.id_key, self._id_token, self._exchange_id),
            Entry("token at /userinfo", self.own_key, self._openid_token, self._ask_about_person),
        ]

    def authenticated(self, **fields: str) -> dict[str, str]:
        """Fields with a good assertion."""
        harness = self.harness
        return {
            **fields,
            **self.client_key.fields(self.client_id, harness.issuer, harness.clock()),
        }

    def _assertion_at(self, path: str, fields: Mapping[str, str]) -> Entry:
        def send(text: str) -> Verdict:
            sent = {**fields, "client_assertion_type": TYPE, "client_assertion": text}
            answer = self.harness.post(path, sent)
            accepted = answer.status in (200, 201) or answer.reason == "refresh_malformed"
            return _verdict(answer, accepted=accepted)

        return Entry(f"assertion at {path}", self.client_key.key, self._assertion, send)

    def _assertion(self) -> tuple[dict[str, Any], dict[str, Any]]:
        at = int(self.harness.clock().timestamp())
        who = {"iss": self.client_id, "sub": self.client_id, "aud": self.harness.issuer}
        when = {"iat": at, "exp": at + 60, "jti": f"entry-{next(_numbers)}"}
        return {"typ": "JWT", "alg": "ES256", "kid": "k1"}, {**who, **when}

    def _token(self) -> tuple[dict[str, Any], dict[str, Any]]:
        fields = {"code": self.harness.code(client_id=self.client_id), "code_verifier": VERIFIER}
        answer = self.harness.token(self.authenticated(grant_type="authorization_code", **fields))
        return dict(self.own_header), self.harness.claims(answer.access_token)

    def _proof_at(self, path: str, fields: Callable[[], Mapping[str, str]]) -> Entry:
        jwk = self.dpop_key.key.as_dict(private=False)
        where = {"htm": "POST", "htu": f"{self.harness.issuer}{path}"}

        def make() -> tuple[dict[str, Any], dict[str, Any]]:
            at = int(self.harness.clock().timestamp())
            claims = {**where, "iat": at, "jti": f"entry-{next(_numbers)}"}
            return {"typ": "dpop+jwt", "alg": "ES256", "jwk": jwk}, claims

        def send(text: str) -> Verdict:
            answer = self.harness.post(path, fields(), DPoP=text)
            return _verdict(answer, accepted=answer.status in (200, 201))

        return Entry(f"proof at {path}", self.dpop_key.key, make, send)

    def _request(self, client_id: str) -> dict[str, str]:
        return {**self.harness.request, "client_id": client_id}

    def _redemption(self) -> dict[str, str]:
        return {
            "grant_type": "authorization_code",
            "client_id": self.harness.client_id,
            "code": self.harness.code(),
            "code_verifier": VERIFIER,
        }

    def sign_in(self, **request: Any) -> Answer:
        """The tokens of a person who asks for these, with the client's proof."""
        page = self._browser.authorize(client_id=self.client_id, **request)
        fields = {"code": page.code, "code_verifier": VERIFIER}
        return self.harness.token(self.authenticated(grant_type="authorization_code", **fields))

    def _lead_onward(self) -> None:
        """Tokens of the server may be exchanged for narrower ones, and sign-ins for ID-JAGs."""
        harness = self.harness
        harness.change(
            delegations.add,
            client_id=self.client_id,
            from_server=RESOURCE,
            to_server=RESOURCE,
            carries={"logs.read": ["logs.read"]},
        )
        harness.change(
            targets.add,
            slug="vendor",
            issuer=VENDOR,
            own_issuer=harness.issuer,
            settings={"clients": {self.client_id: "theirs"}},
        )
        scope = NewScope(name="logs.read", description="Read", risk="read", is_default=True)
        harness.add_resource(f"{VENDOR}/mcp", scopes=(scope,), issued_by="vendor")

    def _exchange(self, text: str) -> Verdict:
        fields = {"subject_token": text, "subject_token_type": ACCESS_TOKEN_TYPE}
        return _granted(
            self.harness.token(
                self.authenticated(
                    grant_type=TOKEN_EXCHANGE, resource=RESOURCE, scope="logs.read", **fields
                )
            )
        )

    def _id_token(self) -> tuple[dict[str, Any], dict[str, Any]]:
        answer = self.sign_in(scope="openid logs.read")
        return dict(self.id_header), self.harness.claims(answer.json["id_token"], typ="JWT")

    def _exchange_id(self, text: str) -> Verdict:
        return self.exchange_for_id_jag(text, ID_TOKEN_TYPE)

    def id_jag_of_ours(self, id_token: str) -> str:
        """One that is issued here, for somebody else's server."""
        return self._asked_for_id_jag(id_token, ID_TOKEN_TYPE).access_token

    def exchange_for_id_jag(self, text: str, kind: str) -> Verdict:
        """What becomes of a subject token of this kind."""
        return _granted(self._asked_for_id_jag(text, kind))

    def _asked_for_id_jag(self, text: str, kind: str) -> Answer:
        fields = {"subject_token": text, "subject_token_type": kind, "audience": VENDOR}
        return self.harness.token(
            self.authenticated(
                grant_type=TOKEN_EXCHANGE, requested_token_type=ID_JAG_TYPE, **fields
            )
        )

    def _openid_token(self) -> tuple[dict[str, Any], dict[str, Any]]:
        answer = self.sign_in(scope="openid", resource=None)
        return dict(self.own_header), self.harness.claims(answer.access_token)

    def _ask_about_person(self, text: str) -> Verdict:
        harness = self.harness
        sent = {b"Authorization": b"Bearer " + text.encode("utf-8", "replace")}
        response = harness.http.get(f"{harness.issuer}/userinfo", headers=sent)
        return _verdict(Answer(response), accepted=response.status_code == 200)

    def _introspect(self, text: str) -> Verdict:
        answer = self.harness.post("/introspect", self.authenticated(token=text))
        return _verdict(answer, accepted=answer.ok and answer.json["active"])

    def _revoke(self, text: str) -> Verdict:
        before = self._revocations()
        answer = self.harness.post("/revoke", self.authenticated(token=text))
        return _verdict(answer, accepted=answer.ok and self._revocations() > before)

    def _revocations(self) -> int:
        return sum(len(self.harness.events(f"{what}.revoked")) for what in ("token", "grant"))

    def _id_jag(self) -> tuple[dict[str, Any], dict[str, Any]]:
        return self.idp.statement(self.harness, self.client_id, groups=["dev"])

    def _redeem(self, text: str) -> Verdict:
        return _granted(
            self.harness.token(self.authenticated(grant_type=JWT_BEARER, assertion=text))
        )

    def _logout_token(self) -> tuple[dict[str, Any], dict[str, Any]]:
        header = {"typ": "logout+jwt", "alg": "ES256", "kid": self.provider.key.kid}
        return header, self.provider.logout_claims(sub="nobody")

    def _log_out(self, text: str) -> Verdict:
        answer = self.provider.log_out(text)
        return _verdict(answer, accepted=answer.ok)

    def _batch(self) -> tuple[dict[str, Any], dict[str, Any]]:
        now, number = self.harness.clock().timestamp(), next(_numbers)
        what = {"resource": RESOURCE, "reporter": "rep_1", "sequence": number, "lost": 0}
        outcome = {"at": now, "jti": "at_1", "tool": "read_logs", "outcome": "ok"}
        whose = {"iss": self.client_id, "aud": self.harness.issuer, "iat": int(now)}
        header = {"typ": "tool-outcomes+jwt", "alg": "ES256", "kid": "k1"}
        return header, {**whose, "jti": f"bat_{number}", **what, "outcomes": [outcome]}

    def _report(self, text: str) -> Verdict:
        answer = self.harness.post("/outcomes", self.authenticated(batch=text))
        return _verdict(answer, accepted=answer.ok)

    def _event(self) -> tuple[dict[str, Any], dict[str, Any]]:
        header = {"typ": "secevent+jwt", "alg": "ES256", "kid": self.provider.key.kid}
        nobody = {"format": "opaque", "id": "nobody"}
        return header, self.provider.event_claims(SESSION_REVOKED, nobody)

    def _tell(self, text: str) -> Verdict:
        answer = self.provider.push(text)
        return _verdict(answer, accepted=answer.status == 202)

    def _use(self, text: str) -> Verdict:
        verifier = TokenVerifier(
            RemoteKeys(self.harness.issuer),
            resource=RESOURCE,
            clock=lambda: self.harness.clock().timestamp(),
        )
        try:
            asyncio.run(verifier.verify(text))
        except InvalidToken as error:
            return Verdict(False, 401, "", error.reason)
        return Verdict(True, 200, "", None)

    def _news(self) -> tuple[dict[str, Any], dict[str, Any]]:
        at = int(self.harness.clock().timestamp())
        who = {"iss": self.harness.issuer, "aud": self.client_id, "iat": at}
        what = {"as_of": at, "waited": 0, "upto": 0, "has_more": False, "entries": []}
        return {**self.own_header, "typ": "revocations+jwt"}, {**who, **what}

    def _follow(self, text: str) -> Verdict:
        keys = RemoteKeys(self.harness.issuer)
        settings = Revocations(self.client_id, "not asked for")
        feed = RevocationFeed(keys, settings, clock=lambda: self.harness.clock().timestamp())
        try:
            feed.take(asyncio.run(feed.verify(text)), 0)
        except AccessError as error:
            return Verdict(False, 401, "", error.reason)
        except ValueError as error:
            return Verdict(False, 400, "", str(error))
        return Verdict(True, 200, "", None)


def _granted(answer: Answer) -> Verdict:
    return _verdict(answer, accepted=answer.ok)


def _verdict(answer: Answer, *, accepted: bool) -> Verdict:
    return Verdict(accepted, answer.status, answer.response.text, answer.reason)
