"""Inputs that get far into a parser: where Hypothesis and atheris begin. Regressions stand in `test_targets`."""

import json
from datetime import timedelta

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from authz.resource_server.dpop import access_token_hash
from tests.support.arrange import REDIRECT, challenge
from tests.support.configured import CLIENT, ISSUER, NOW, RESOURCE, fixed_key

SEPARATOR = b"\x1f"
_AT = int(NOW.timestamp())
_KEY = fixed_key().as_dict(private=False)
_RSA = "u" * 342 + "_"
_ED25519 = {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _signed(header: dict[str, object], claims: dict[str, object]) -> bytes:
    return _json(header) + SEPARATOR + _json(claims)


_CLIENT_CLAIMS = {
    "iss": CLIENT.id,
    "sub": CLIENT.id,
    "aud": ISSUER,
    "jti": "j1",
    "iat": _AT,
    "nbf": _AT,
    "exp": _AT + 60,
}
_PROOF_HEADER = {"typ": "dpop+jwt", "alg": "ES256", "jwk": _KEY}
_PROOF = {"htm": "POST", "htu": f"{ISSUER}/token", "iat": _AT, "jti": "p1"}
_ACCESS = {
    "iss": ISSUER,
    "aud": RESOURCE.identifier,
    "sub": "usr_1",
    "client_id": "cli_1",
    "jti": "at_1",
    "iat": _AT,
    "exp": _AT + 600,
    "auth_time": _AT,
    "scope": "logs.read logs.write",
    "amr": ["pwd"],
    "act": {"sub": "agt_1"},
}

ASSERTIONS = (
    _signed({"alg": "ES256", "typ": "JWT"}, _CLIENT_CLAIMS),
    _signed({"alg": "ES256", "kid": "k"}, {**_CLIENT_CLAIMS, "aud": [ISSUER]}),
    _signed({"alg": "none"}, _CLIENT_CLAIMS),
    b"eyJhbGciOiJub25lIn0.e30.",
)
PROOFS = (
    _signed(_PROOF_HEADER, _PROOF),
    _signed({**_PROOF_HEADER, "jwk": {**_KEY, "alg": "ES256"}}, {**_PROOF, "nonce": "n"}),
    _signed({**_PROOF_HEADER, "alg": "Ed25519", "jwk": _ED25519}, _PROOF),
)
TOKENS = (*ASSERTIONS, b"e30.e30.", b"..", b"e30.e30.e30.e30")
ACCESS_TOKENS = (_signed({"alg": "ES256", "typ": "at+jwt", "kid": "k"}, _ACCESS), *TOKENS)
CLAIMS = (_json(_ACCESS), _json({**_ACCESS, "nbf": 1.5, "tenant": "t", "grant_id": "g"}))
JWKS = (
    _json({"keys": [{**_KEY, "kid": "a", "use": "sig", "alg": "ES256"}]}),
    _json({"keys": [{**_ED25519, "kid": "b", "key_ops": ["verify"]}]}),
    _json({"keys": [{"kty": "RSA", "kid": "c", "n": _RSA, "e": "AQAB"}]}),
    _json({"keys": [{"kty": "EC", "kid": "d", "crv": "P-256", "x": "AA", "y": "AA"}]}),
    _json({"keys": [{"kty": "oct", "k": "AA"}, {"kty": "RSA", "n": "AQAB", "e": "AQ", "d": "AA"}]}),
)
CREDENTIALS = (
    b"Basic Y2xpOnNlY3JldA==",
    b"basic Y2xpJTNBMTpzJTJGZWMrcmV0" + SEPARATOR + b"cli:1",
    SEPARATOR + b"cli" + SEPARATOR + b"secret",
    SEPARATOR * 3 + b"eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJjbGkifQ.",
    b"Bearer x",
)
_DOCUMENT = {
    "client_id": "https://app.example/client.json",
    "client_name": "An application",
    "redirect_uris": [REDIRECT, "http://127.0.0.1:9/back", "cursor://auth/back"],
    "grant_types": ["authorization_code", "refresh_token"],
    "token_endpoint_auth_method": "none",
    "logo_uri": "https://app.example/logo.png",
    "client_uri": "https://app.example/",
}
DOCUMENTS = (
    _json(_DOCUMENT),
    _json({**_DOCUMENT, "token_endpoint_auth_method": "private_key_jwt", "jwks": {"keys": [_KEY]}}),
    _json({**_DOCUMENT, "jwks_uri": "https://app.example/jwks", "client_secret": "x"}),
)
_REGISTRATION = {
    **_DOCUMENT,
    "response_types": ["code"],
    "application_type": "native",
    "scope": "logs.read offline_access",
    "software_id": "app",
    "software_version": "1",
}
REGISTRATIONS = (
    _json(_REGISTRATION),
    _json({"redirect_uris": ["https://app.example/back"]}),
    _json(
        {
            **_REGISTRATION,
            "token_endpoint_auth_method": "private_key_jwt",
            "jwks": {"keys": [_KEY]},
            "token_endpoint_auth_signing_alg": "ES256",
        }
    ),
    _json({**_REGISTRATION, "application_type": "web", "software_statement": "x"}),
)
UPDATES = (
    _json({**_REGISTRATION, "client_id": CLIENT.id}),
    _json({"client_id": CLIENT.id, "client_secret": "s3cret"}),
    _json({"client_id": CLIENT.id, "registration_access_token": "x"}),
)
URLS = (
    RESOURCE.identifier.encode(),
    b"https://AS.example:443/a/../b%2e/?q=%7e#f",
    b"http://127.0.0.1:8080/back" + SEPARATOR + b"http://127.0.0.1:9/back",
    b"http://[::1]/x",
    b"https://[2001:DB8::1]:8443//x/",
    b"cursor://auth/back?x=1&",
    b"https://a@b/",
    b"https://0x7f.1/",
    b"https://app.example/client.json",
    b"javascript:alert(1)",
)
QUERIES = (
    f"response_type=code&client_id=cli_1&redirect_uri={REDIRECT}&code_challenge={challenge()}"
    "&code_challenge_method=S256&state=x%20y&scope=logs.read+offline_access&prompt=login&max_age=0"
    f"&resource={RESOURCE.identifier}".encode(),
    f"response_type=code&redirect_uri=http://127.0.0.1:99/back&code_challenge={challenge()}"
    "&code_challenge_method=S256&login_hint=%C3%A9".encode(),
    b"a=1&a=2&b=&%00=&=",
    b"scope=logs.read&resource=https%3A%2F%2Fmcp.example%2Fmcp&resource=x",
)
FORMS = (
    b"application/x-www-form-urlencoded" + SEPARATOR + b"a=1&b" + SEPARATOR + b"=2",
    b"application/x-www-form-urlencoded; charset=utf-8" + SEPARATOR + QUERIES[2],
    b"application/json" + SEPARATOR + b'{"a":' + SEPARATOR + b"[1]}",
    b"multipart/form-data; boundary=x" + SEPARATOR + b"--x--",
)
JSON = (
    b'{"a":[1,2.5,-3e2,true,null,"\\u00e9\\ud83d\\ude00"],"b":{"c":{}}}',
    b'{"a":1,"a":2}',
    b'{"a":NaN}',
    b'{"a":1e999}',
    b'{"a":"\\ud800"}',
    b"\xef\xbb\xbf{}",
    b"[" * 40,
)
VERIFIERS = (challenge().encode(), b"a" * 43, b"a" * 128, b"~" * 43)
REFRESH_TOKENS = (b"azr_grt_x.1.mac", b"azr_grt_x.1000000000.mac", b"azr_a.01.m", b"azr_a.1.m.n")
SCOPES = (b"logs.read logs.write offline_access", b"a  b", b'"', b"a" * 128)
ROLES = (
    b"developer: [logs.read]\n",
    b"""
roles:
  developer: {scopes: [logs.read], description: Reads, at: {"https://mcp.example/mcp": [logs.write]}}
  lead: {includes: [developer]}
bindings:
  - {role: lead, users: [Ann@example.com], groups: ["Ops & co"], clients: [cli_1]}
  - {role: developer, users: [bob], until: 2026-12-31T00:00:00Z}
""",
    b'roles: {"a": ["\\x41"], b: &x [y], c: *x}',
    b"%YAML 1.2\n---\nroles: {}\n",
    b"roles: !!map {a: !!seq [b], c: |\n x}",
)
HEADERS = (
    b"public, max-age=300" + SEPARATOR + b"application/json; charset=utf-8",
    b'no-store, max-age="60"' + SEPARATOR + b"application/jwk-set+json",
    b"max-age=99999999999999999999" + SEPARATOR + b"text/html",
)
ARRAYS = (
    b"plain",
    b'quo"te' + SEPARATOR + b"back\\slash" + SEPARATOR + b"\x1e" + SEPARATOR + b"",
    b"{a,b}" + SEPARATOR + b"NULL" + SEPARATOR + "é".encode(),
    b"a\x00b",
)
AUDIT = (
    b"e30.eyJwb3NpdGlvbiI6MX0."
    + SEPARATOR
    + b'{"position":1,"previous":"","heads":{"main":[1,"00"]}}',
    b"x" + SEPARATOR + b'{"position":1,"heads":{"main":[true,[]],"b":[1]}}',
    b"" + SEPARATOR + b'{"position":1,"previous":"","heads":[]}',
)
ADDRESSES = (
    b"192.0.2.1",
    b"192.0.2.1:5000",
    b"[2001:db8::1]:443",
    b"2001:db8:1:2:3:4:5:6",
    b"::ffff:192.0.2.1",
    b"fe80::1%eth0",
    b"unknown",
)
CHALLENGES = (
    b'Bearer error="invalid_token", resource_metadata="https://mcp.example/.well-known/x"',
    b'Basic realm="a, bearer x", BEARER scope = "a\\"b" , error=x',
)
STREAMS = (
    b'event: message\ndata: {"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"secret"},'
    + SEPARATOR
    + b'{"name":"open"}]}}\n\n',
    b'data: {"result":{"tools":[]}}\r' + SEPARATOR + b"\n\r\n: ping\n\nid: 1\ndata: tools\n\n",
    b'data: [{"result":{"tools":[{"name":"secret"}],"cacheScope":"public"}}]\n\n',
)
MESSAGES = (
    b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","arguments":{}}}',
    b'[{"jsonrpc":"2.0","id":"a","method":"tools/list"},{"method":"tools/call","params":[]}]',
    b'{"id":true,"method":null}',
)
BEARERS = (
    SEPARATOR + b"Bearer abc.def-_~+/==",
    b"access_token=x" + SEPARATOR + b"Bearer a",
    SEPARATOR + b"bearer  a" + SEPARATOR + b"Bearer b",
    b"%61ccess_token=&" + SEPARATOR + b"Basic x",
)
_DETAIL = {"type": "mcp_tool", "locations": [RESOURCE.identifier], "tool": "rotate"}
DETAILS = (
    _json([_DETAIL]),
    _json([{**_DETAIL, "arguments": {"b": ["1", "2"], "a": ["x"]}}, {**_DETAIL, "tool": "drop"}]),
    _json([{**_DETAIL, "locations": ["https://MCP.example:443/mcp"], "actions": ["read"]}]),
)
RESOURCE_PROOFS = (
    _signed(
        _PROOF_HEADER,
        {**_PROOF, "htu": RESOURCE.identifier, "ath": access_token_hash("tok")},
    ),
    *PROOFS,
)
USER_CODES = (b"BCDF-GHJK", b"bcdf ghjk", b"BCDFGHJ", "\u017f\u00df\u2013".encode())


def _certificate() -> x509.Certificate:
    name = x509.Name.from_rfc4514_string("CN=app,O=Acme,C=DE")
    names = [x509.DNSName("app.example"), x509.UniformResourceIdentifier("https://app.example/")]
    key = fixed_key().private_key
    return (
        x509.CertificateBuilder(name, name, key.public_key(), 1, NOW, NOW + timedelta(1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, SHA256(), ecdsa_deterministic=True)
    )


CERTIFICATES = (
    _certificate().public_bytes(Encoding.DER),
    _certificate().public_bytes(Encoding.PEM),
)
