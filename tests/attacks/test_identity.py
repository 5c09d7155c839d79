"""One statement taken for another, one issuer taken for another (specs.md 7.2: ATK-36, ATK-39).

Statements of one issuer that are signed with one key: test_id_jags.py.
"""

import asyncio
import base64
import hashlib

import pytest

from authz.admin import audit_checkpoints, tenants
from authz.audit.checkpoints import next_checkpoint
from authz.resource_server import AccessError, KeysUnavailable, RemoteKeys, TokenVerifier
from tests.support.client_keys import TYPE
from tests.support.exchanges import REFRESH_TOKEN
from tests.support.harness import RESOURCE, VERIFIER
from tests.support.jwt_entries import Places, spell
from tests.support.leaving import SESSION_REVOKED
from tests.support.web import Reply


@pytest.fixture
def places(harness):
    """Every entrance of a tenant where one may register with a token."""
    server = harness.server
    with server.database.write() as tx:
        tenants.set_registration(tx, server.operator(), slug=harness.slug, mode="token")
    return Places(harness)


def kinds(places):
    """Everything that is signed here or shown here, each good for its own purpose."""
    harness, client = places.harness, places.authenticated
    redemption = {"grant_type": "authorization_code", "code_verifier": VERIFIER}
    code = harness.code(client_id=places.client_id)
    tokens = harness.token(client(**redemption, code=code))
    where = f"{harness.issuer}/token"
    code = harness.code(client_id=places.client_id)
    bound = harness.token(
        client(**redemption, code=code), DPoP=places.dpop_key.proof(where, harness.clock())
    )
    asked = {"grant_type": "client_credentials", "resource": RESOURCE}
    answer = harness.post(
        "/introspect",
        client(token=tokens.access_token),
        Accept="application/token-introspection+jwt",
    )
    person = places.sign_in(scope="openid logs.read")
    hashed = base64.urlsafe_b64encode(hashlib.sha256(bound.access_token.encode()).digest())
    with harness.server.database.read() as tx:
        ring = harness.server.services.configurations.find(tx, harness.slug).keys
        prepared = next_checkpoint(
            tx, harness.tenant_id, issuer=harness.issuer, now=harness.clock()
        )
    provider, at = places.provider, int(harness.clock().timestamp())
    nobody = {"format": "opaque", "id": "nobody"}
    upstream = {"iss": provider.issuer, "aud": provider.client_id, "sub": "nobody", "nonce": "n"}
    return {
        "logout token": provider.logout_token(sub="nobody"),
        "security event": provider.event(SESSION_REVOKED, nobody),
        "upstream ID token": provider.sign(
            {"typ": "JWT"}, {**upstream, "iat": at, "exp": at + 300, "jti": f"id-{at}"}
        ),
        "access token": tokens.access_token,
        "bound access token": bound.access_token,
        "client's own token": harness.token(client(**asked)).access_token,
        "userinfo token": places.sign_in(scope="openid", resource=None).access_token,
        "id token": person.json["id_token"],
        "ID-JAG of ours": places.id_jag_of_ours(person.json["id_token"]),
        "introspection answer": answer.response.text,
        "audit checkpoint": audit_checkpoints.sign(ring, prepared, harness.clock()),
        "workload's token": places.platform.assertion(harness),
        "ID-JAG": places.idp.assertion(harness, places.client_id, groups=["dev"]),
        "client assertion": places.client_key.sign(
            places.client_id, harness.issuer, harness.clock()
        ),
        "proof at /token": places.dpop_key.proof(where, harness.clock()),
        "proof at a server": places.dpop_key.proof(
            RESOURCE, harness.clock(), ath=hashed.rstrip(b"=").decode()
        ),
        "refresh token": tokens.refresh_token,
        "code": harness.code(client_id=places.client_id),
    }


def bound_use(places, token, proof):
    """What an MCP server makes of a bound token and this proof."""
    harness = places.harness
    verifier = TokenVerifier(
        RemoteKeys(harness.issuer), resource=RESOURCE, clock=lambda: harness.clock().timestamp()
    )
    try:
        asyncio.run(verifier.verify_bound(token, [proof], "POST"))
    except AccessError:
        return False
    return True


def consumers(places, bound):
    """Every place that takes one of them, and whether it took it."""
    harness, client = places.harness, places.authenticated
    taken = {entry.name: lambda text, e=entry: e.send(text).accepted for entry in places.entries()}

    def as_grant(name, kind):
        grant = {"grant_type": kind, "code_verifier": VERIFIER}
        return lambda text: harness.token(client(**grant, **{name: text})).ok

    def with_bearer(method, path):
        def send(text):
            url, own = f"{harness.issuer}{path}", {"Authorization": f"Bearer {text}"}
            return harness.http.request(method, url, headers=own, json={}).status_code < 400

        return send

    return {
        **taken,
        "proof at an MCP server": lambda text: bound_use(places, bound, text),
        "code": as_grant("code", "authorization_code"),
        "refresh token": as_grant("refresh_token", "refresh_token"),
        "device code": as_grant("device_code", "urn:ietf:params:oauth:grant-type:device_code"),
        "refresh token to exchange": lambda text: (
            places.exchange_for_id_jag(text, REFRESH_TOKEN).accepted
        ),
        "initial access token": with_bearer("POST", "/register"),
        "registration access token": with_bearer("GET", f"/register/{places.client_id}"),
        "pushed request": lambda text: (
            harness.browser().start(client_id=places.client_id, request_uri=text).is_login
        ),
    }


ASSERTION_CONSUMERS = {
    f"assertion at {path}"
    for path in ("/token", "/introspect", "/revoke", "/par", "/device_authorization")
}
RIGHT = {
    "logout token": {"logout token at a connection"},
    "security event": {"event at a stream"},
    # At the callback of its own sign-in alone, which has its nonce.
    "upstream ID token": set(),
    "access token": {
        *("token at /introspect", "token at /revoke", "token at an MCP server"),
        "token to exchange at /token",
    },
    # The client is the MCP server's as well here, and that one need not prove the key again.
    "bound access token": {
        *("token at /introspect", "token at /revoke", "token to exchange at /token"),
    },
    "client's own token": {"token at /introspect", "token at /revoke", "token at an MCP server"},
    "userinfo token": {"token at /introspect", "token at /revoke", "token at /userinfo"},
    "id token": {"ID token to exchange at /token"},
    "ID-JAG of ours": set(),
    "introspection answer": set(),
    "audit checkpoint": set(),
    "workload's token": {"workload grant at /token"},
    "ID-JAG": {"assertion grant at /token"},
    "client assertion": ASSERTION_CONSUMERS,
    "proof at /token": {"proof at /token"},
    "proof at a server": {"proof at an MCP server"},
    "refresh token": {
        *("token at /introspect", "token at /revoke", "refresh token"),
        "refresh token to exchange",
    },
    "code": {"code"},
}


@pytest.mark.parametrize("kind", RIGHT)
def test_each_statement_is_taken_for_what_it_is_and_nothing_else(places, kind):
    """ATK-36, JWT-01: each kind at each consumer."""
    taken, made = set(), kinds(places)
    for name in consumers(places, ""):
        if consumers(places, made["bound access token"])[name](made[kind]):
            taken.add(name)
            # Most of them work once.
            made = kinds(places)
    assert taken == RIGHT[kind]


def test_a_client_that_publishes_our_keys_gains_nothing(harness, places):
    """ATK-36: what this server signs verifies under them, and is refused for its type, and for its issuer as well."""
    keys = harness.http.get(f"{harness.issuer}/jwks").json()
    harness.web.serve(harness.host, Reply.json(keys))
    client_id = harness.add_client(
        auth_method="private_key_jwt", jwks_uri=harness.web.url(harness.host, "/jwks")
    ).client.id
    at = int(harness.clock().timestamp())

    def use(typ, issuer):
        claims = {"iss": issuer, "sub": client_id, "client_id": client_id, "aud": harness.issuer}
        claims |= {"iat": at, "exp": at + 60, "jti": "j"}
        text = spell({**places.own_header, "typ": typ}, claims, key=places.own_key)
        fields = {"client_assertion_type": TYPE, "client_assertion": text}
        return harness.post("/revoke", {"token": "x", **fields})

    for typ in ("at+jwt", "AT+JWT", "application/at+jwt", "token-introspection+jwt"):
        assert (use(typ, client_id).status, use(typ, client_id).reason) == (401, "jwt_typ")
    assert use("JWT", harness.issuer).reason == "jwt_iss"
    assert use("JWT", client_id).status == 200


LOOK_ALIKES = [
    *("{issuer}/", "{issuer}#", "{issuer}?", " {issuer}", "{issuer} ", "{upper}", "{issuer}/."),
    *("https{rest}", "HTTP{rest}", "http://localhost{tail}", "{base}:80{path}", "{base}/t//{slug}"),
    *("{base}/t/%74{slug}", "http://127.1{tail}", "http://a@127.0.0.1{tail}", "{issuer}\u200b"),
]


@pytest.mark.parametrize("spelling", LOOK_ALIKES, ids=ascii)
def test_an_issuer_that_looks_like_ours_is_another(harness, places, spelling):
    """ATK-39: compared as text, as the audience of an assertion and as the issuer that an MCP server trusts."""
    base, issuer = harness.server.base, harness.issuer
    tail = issuer.partition("127.0.0.1")[2]
    other = spelling.format(
        issuer=issuer,
        base=base,
        slug=harness.slug,
        path=f"/t/{harness.slug}",
        upper=issuer.upper(),
        rest=issuer.removeprefix("http"),
        tail=tail,
    )
    assert other != issuer
    fields = places.client_key.fields(places.client_id, other, harness.clock())
    answer = harness.post("/revoke", {"token": "x", **fields})
    assert (answer.status, answer.reason) == (401, "jwt_aud")
    token = harness.redeem(harness.code()).access_token
    try:
        keys = RemoteKeys(other)
    except ValueError:
        return
    verifier = TokenVerifier(keys, resource=RESOURCE, clock=lambda: harness.clock().timestamp())
    with pytest.raises((AccessError, KeysUnavailable)):
        asyncio.run(verifier.verify(token))
