"""Forged, foreign and outdated tokens (MCP-RS-03; RFC 9068 section 4, RFC 8725)."""

import base64
import hashlib
import hmac
import json
import time

import pytest

from authz.resource_server import InvalidToken, KeysUnavailable, RemoteKeys, TokenVerifier
from authz.resource_server.access_token import LEEWAY

pytestmark = pytest.mark.anyio
RESOURCE = "https://mcp.example/mcp"


async def reason(verifier, token):
    with pytest.raises(InvalidToken) as refused:
        await verifier.verify(token)
    assert str(refused.value) == "The access token is not valid here."
    return refused.value.reason


async def test_a_good_token_becomes_a_value_without_the_token_in_it(issuer, verifier):
    raw = issuer.token(
        scope="logs.read logs.write",
        grant_id="g1",
        tenant="t1",
        act={"sub": "agent"},
        auth_time=5,
        acr="mfa",
        amr=["pwd", "otp"],
        extra=[1],
    )
    token = await verifier.verify(raw)
    assert (token.subject, token.client_id, token.jti) == ("alice", "cli", "j1")
    assert token.scopes == {"logs.read", "logs.write"}
    assert (token.issuer, token.resource) == (issuer.url, RESOURCE)
    assert (token.grant_id, token.tenant, token.actor) == ("g1", "t1", {"sub": "agent"})
    assert (token.acr, token.amr, token.auth_time.timestamp()) == ("mfa", ("pwd", "otp"), 5)
    assert token.claims["extra"] == [1]
    assert not any(part in repr(token) for part in raw.split("."))
    assert hash(token)
    with pytest.raises(AttributeError):
        token.subject = "bob"


@pytest.mark.parametrize(
    ("kty", "algorithm"), [("EC", "ES256"), ("RSA", "RS256"), ("OKP", "EdDSA")]
)
@pytest.mark.parametrize("typ", ["at+jwt", "AT+JWT", "application/at+jwt"])
async def test_the_three_algorithms_are_accepted(issuer, verifier, forge, kty, algorithm, typ):
    key = forge.new_key(kty, "other")
    issuer.jwks["keys"].append({**forge.public(key), "use": "sig", "alg": algorithm})
    header = issuer.header(alg=algorithm, typ=typ, kid="other")
    assert await verifier.verify(forge(header, issuer.claims(), key, algorithm))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"typ": "JWT"}, "typ_wrong"),
        ({"typ": ...}, "typ_wrong"),
        ({"typ": "at+jwt;x"}, "typ_wrong"),
        ({"typ": ["at+jwt"]}, "typ_wrong"),
        ({"alg": "none"}, "alg_not_allowed"),
        ({"alg": "HS256"}, "alg_not_allowed"),
        ({"alg": "ES384"}, "alg_not_allowed"),
        ({"alg": "es256"}, "alg_not_allowed"),
        ({"alg": ["ES256"]}, "alg_missing"),
        ({"alg": ...}, "alg_missing"),
        ({"alg": "RS256"}, "alg_not_of_key"),
        ({"alg": "EdDSA"}, "alg_not_of_key"),
        ({"kid": ...}, "kid_missing"),
        ({"kid": 1}, "kid_missing"),
        ({"kid": "unheard-of"}, "kid_unknown"),
        ({"jwk": {"kty": "oct", "k": "AAAA"}}, "header_forbidden"),
        ({"jku": "https://evil.example/jwks"}, "header_forbidden"),
        ({"x5u": "https://evil.example/c"}, "header_forbidden"),
        ({"x5c": ["AAAA"]}, "header_forbidden"),
        ({"crit": ["exp"]}, "header_forbidden"),
        ({"crit": []}, "header_forbidden"),
        ({"b64": False}, "header_forbidden"),
        ({"zip": "DEF"}, "header_forbidden"),
    ],
)
async def test_a_header_that_asks_for_something_else_is_refused(
    issuer, verifier, changes, expected
):
    assert await reason(verifier, issuer.token(header=changes)) == expected


async def test_a_header_longer_than_joserfcs_own_limit_is_fine(issuer, verifier):
    assert await verifier.verify(issuer.token(header={"x-note": "n" * 2000}))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"iss": "https://as.example"}, "iss_mismatch"),
        ({"iss": ...}, "iss_mismatch"),
        ({"aud": "https://mcp.example/other"}, "aud_mismatch"),
        ({"aud": RESOURCE + "/"}, "aud_mismatch"),
        ({"aud": "https://mcp.example"}, "aud_mismatch"),
        ({"aud": RESOURCE.upper()}, "aud_mismatch"),
        ({"aud": [RESOURCE, "https://other.example"]}, "aud_mismatch"),
        ({"aud": [RESOURCE, RESOURCE]}, "aud_mismatch"),
        ({"aud": []}, "aud_mismatch"),
        ({"aud": [[RESOURCE]]}, "aud_mismatch"),
        ({"aud": {RESOURCE: 1}}, "aud_mismatch"),
        ({"aud": ...}, "aud_mismatch"),
        ({"exp": ...}, "exp_malformed"),
        ({"exp": True}, "exp_malformed"),
        ({"exp": 1e300}, "exp_malformed"),
        ({"exp": -1}, "exp_malformed"),
        ({"exp": "9999999999"}, "exp_malformed"),
        ({"exp": None}, "exp_malformed"),
        ({"exp": 1}, "expired"),
        ({"iat": ...}, "iat_malformed"),
        ({"iat": True}, "iat_malformed"),
        ({"iat": 9999999999}, "iat_future"),
        ({"nbf": 9999999999}, "nbf_future"),
        ({"nbf": False}, "nbf_malformed"),
        ({"nbf": None}, "nbf_malformed"),
        ({"sub": ...}, "sub_malformed"),
        ({"sub": 7}, "sub_malformed"),
        ({"sub": ""}, "sub_malformed"),
        ({"client_id": ...}, "client_id_malformed"),
        ({"client_id": ["cli"]}, "client_id_malformed"),
        ({"jti": ...}, "jti_malformed"),
        ({"jti": 1}, "jti_malformed"),
        ({"scope": ["logs.read"]}, "scope_malformed"),
        ({"scope": ""}, "scope_malformed"),
        ({"scope": "a  b"}, "scope_malformed"),
        ({"scope": 'a"b'}, "scope_malformed"),
        ({"scope": "a\nb"}, "scope_malformed"),
        ({"scope": "a\u00e9"}, "scope_malformed"),
        ({"grant_id": 1}, "grant_id_malformed"),
        ({"tenant": {}}, "tenant_malformed"),
        ({"act": "agent"}, "act_malformed"),
        ({"auth_time": True}, "auth_time_malformed"),
        ({"acr": 1}, "acr_malformed"),
        ({"amr": "pwd"}, "amr_malformed"),
        ({"amr": [1]}, "amr_malformed"),
        ({"cnf": {"jkt": "x"}}, "sender_constrained"),
        ({"cnf": {"x5t#S256": "x"}}, "bound_to_certificate"),
        ({"cnf": {"x5t#S256": "x", "jkt": "x"}}, "bound_to_certificate"),
        ({"cnf": {"jkt": "x", "kid": "x"}}, "cnf_unknown"),
        ({"cnf": {"jwk": {}}}, "cnf_unknown"),
        ({"cnf": {}}, "cnf_unknown"),
        ({"cnf": {"jkt": 1}}, "jkt_malformed"),
        ({"cnf": None}, "cnf_malformed"),
        ({"cnf": "x"}, "cnf_malformed"),
        ({"exp": 10**400}, "exp_malformed"),
        ({"authorization_details": {}}, "authorization_details_malformed"),
        ({"authorization_details": None}, "authorization_details_malformed"),
        ({"authorization_details": ["mcp_tool"]}, "authorization_details_malformed"),
        ({"authorization_details": [{}]}, "authorization_details_malformed"),
        ({"authorization_details": [{"type": 1}]}, "authorization_details_malformed"),
        ({"authorization_details": [{"type": "mcp_tool"}]}, "authorization_details_malformed"),
        (
            {"authorization_details": [{"type": "mcp_tool", "tool": ["t"]}]},
            "authorization_details_malformed",
        ),
    ],
)
async def test_a_claim_that_does_not_fit_is_refused(issuer, verifier, changes, expected):
    assert await reason(verifier, issuer.token(**changes)) == expected


async def test_an_audience_may_be_a_list_of_one_and_scopes_may_be_absent(issuer, verifier):
    token = await verifier.verify(issuer.token(aud=[RESOURCE], scope=...))
    assert token.scopes == frozenset()


@pytest.mark.parametrize(
    ("claim", "offset", "expected"),
    [
        ("exp", -LEEWAY - 1, "expired"),
        ("exp", -LEEWAY, "expired"),
        ("exp", -LEEWAY + 1, None),
        ("iat", LEEWAY, None),
        ("iat", LEEWAY + 1, "iat_future"),
        ("nbf", LEEWAY, None),
        ("nbf", LEEWAY + 1, "nbf_future"),
    ],
)
async def test_the_leeway_is_one_constant(issuer, ticks, claim, offset, expected):
    now = int(time.time())
    fixed = TokenVerifier(RemoteKeys(issuer.url), resource=RESOURCE, clock=lambda: float(now))
    token = issuer.token(**{"iat": now, "exp": now + 60, claim: now + offset})
    if expected is None:
        assert await fixed.verify(token)
    else:
        assert await reason(fixed, token) == expected


async def test_an_unsigned_token_is_refused(issuer, verifier, forge):
    head = forge.segment(issuer.header(alg="none"))
    assert (
        await reason(verifier, f"{head}.{forge.segment(issuer.claims())}.") == "segment_malformed"
    )


async def test_the_public_key_is_no_hmac_secret(issuer, verifier, forge):
    """The confusion of RFC 8725 section 2.1, with the key in two spellings."""
    for secret in (
        json.dumps(issuer.jwks["keys"][0]).encode(),
        issuer.jwks["keys"][0]["x"].encode(),
    ):
        signing_input = (
            f"{forge.segment(issuer.header(alg='HS256'))}.{forge.segment(issuer.claims())}"
        )
        mac = hmac.new(secret, signing_input.encode(), hashlib.sha256).digest()
        assert await reason(verifier, f"{signing_input}.{forge.segment(mac)}") == "alg_not_allowed"


async def test_a_symmetric_key_in_the_key_set_is_ignored(issuer, verifier):
    issuer.jwks["keys"].append({"kty": "oct", "kid": "shared", "k": "c2VjcmV0", "alg": "ES256"})
    assert await reason(verifier, issuer.token(header={"kid": "shared"})) == "kid_unknown"


async def test_another_keys_signature_is_refused(issuer, verifier, forge):
    stranger = forge.new_key("EC", "k1")
    assert (
        await reason(verifier, forge(issuer.header(), issuer.claims(), stranger, "ES256"))
        == "signature_wrong"
    )


@pytest.mark.parametrize("signature", [b"\0" * 64, b"\xff" * 64, b"x", b"y" * 63, b"z" * 512])
@pytest.mark.parametrize(
    ("kty", "algorithm"), [("EC", "ES256"), ("RSA", "RS256"), ("OKP", "EdDSA")]
)
async def test_a_nonsense_signature_is_refused(issuer, verifier, forge, kty, algorithm, signature):
    issuer.jwks["keys"] = [forge.public(forge.new_key(kty, "k1"))]
    head = forge.segment(issuer.header(alg=algorithm))
    token = f"{head}.{forge.segment(issuer.claims())}.{forge.segment(signature)}"
    assert await reason(verifier, token) == "signature_wrong"


async def test_a_changed_claim_breaks_the_signature(issuer, verifier, forge):
    head, _, signature = issuer.token().split(".")
    forged = forge.segment(issuer.claims(sub="root"))
    assert await reason(verifier, f"{head}.{forged}.{signature}") == "signature_wrong"


@pytest.mark.parametrize(
    ("mutate", "expected"),
    [
        (lambda t: t + "A" * 16384, "token_too_long"),
        (lambda t: t + ".x", "not_compact"),
        (lambda t: t.rsplit(".", 1)[0], "not_compact"),
        (lambda t: json.dumps({"payload": t}), "segment_malformed"),
        (lambda t: t + "=", "segment_malformed"),
        (lambda t: t + "\n", "segment_malformed"),
        (lambda t: "." + t.split(".", 1)[1], "segment_malformed"),
        (lambda t: t[:-1] + "+", "segment_malformed"),
        (lambda t: "\u00e9" + t, "segment_malformed"),
        (lambda t: "bm90anNvbg." + t.split(".", 1)[1], "header_not_json"),
        (lambda t: "W10." + t.split(".", 1)[1], "header_not_json"),
    ],
)
async def test_only_the_compact_form_is_read(issuer, verifier, mutate, expected):
    assert await reason(verifier, mutate(issuer.token())) == expected


async def test_a_signature_has_one_spelling(issuer, verifier):
    """64 bytes end in four unused bits; setting one must not give a second good token."""
    token = issuer.token()
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    other = token[:-1] + alphabet[alphabet.index(token[-1]) + 1]
    assert base64.urlsafe_b64decode(other.rsplit(".")[-1] + "==") == base64.urlsafe_b64decode(
        token.rsplit(".")[-1] + "=="
    )
    assert await reason(verifier, other) == "segment_malformed"


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (b'{"sub":"alice","sub":"root"}', "claims_not_json"),
        (b'{"exp":NaN}', "claims_not_json"),
        (b'{"exp":Infinity}', "claims_not_json"),
        (b'{"exp":1e999}', "claims_not_json"),
        (b"[]", "claims_not_json"),
        ("{}".encode("utf-16"), "claims_not_json"),
        (b"\xef\xbb\xbf{}", "claims_not_json"),
        (b'{"exp":' + b"9" * 5000 + b"}", "claims_not_json"),
        (b"[" * 5000 + b"]" * 5000, "claims_not_json"),
    ],
)
async def test_claims_with_two_readings_are_refused(issuer, verifier, forge, payload, expected):
    assert await reason(verifier, forge(issuer.header(), payload, issuer.key, "ES256")) == expected


async def test_a_duplicate_header_member_is_refused(issuer, verifier, forge):
    header = b'{"alg":"ES256","alg":"none","typ":"at+jwt","kid":"k1"}'
    assert (
        await reason(verifier, forge(header, issuer.claims(), issuer.key, "ES256"))
        == "header_not_json"
    )


@pytest.mark.parametrize(
    "resource",
    [
        "http://mcp.example/mcp",
        "https://mcp.example/mcp#x",
        "https://mcp.example/mcp?x=1",
        "https://u:p@mcp.example/",
        "mcp",
        "https:///mcp",
        'https://mcp.example/"',
        "ftp://127.0.0.1/",
    ],
)
async def test_a_resource_that_is_no_https_identifier_stops_the_start(issuer, resource):
    with pytest.raises(ValueError, match="resource"):
        TokenVerifier(RemoteKeys(issuer.url), resource=resource)
    with pytest.raises(ValueError, match="issuer"):
        RemoteKeys(resource)


async def test_without_keys_no_token_is_called_invalid(issuer, verifier):
    issuer.raw["metadata"] = (500, {}, b"")
    with pytest.raises(KeysUnavailable) as refused:
        await verifier.verify(issuer.token())
    assert refused.value.reason == "keys_unavailable"
