"""Proofs of possession at the MCP server (RFC 9449 sections 4.3 and 7, SEP-1932; DPOP-01, 05, 07, 08, ATK-72)."""

import time

import pytest

from authz.resource_server import InvalidProof, InvalidToken, RemoteKeys, TokenVerifier
from authz.resource_server.dpop import MAX_HEADER_LENGTH, WINDOW, Proof, read_proof
from authz.resource_server.proof_memory import ProofMemory

pytestmark = pytest.mark.anyio
RESOURCE = "https://mcp.example/mcp"
METADATA = "https://mcp.example/.well-known/oauth-protected-resource/mcp"
ALGS = 'algs="ES256 ES384 PS256 Ed25519 EdDSA RS256"'
LIST = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
CALL = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "tools/call",
    "params": {"name": "purge_logs", "arguments": {}},
}


@pytest.fixture
def bound(issuer, holder):
    """A token that is bound to the key of `holder`."""
    return issuer.token(cnf=holder.confirmation)


async def refused(verifier, token, proofs, error=InvalidProof):
    with pytest.raises(error) as caught:
        await verifier.verify_bound(token, proofs, "POST")
    assert caught.value.status == 401
    return caught.value.reason


# --- the proof, check by check


@pytest.mark.parametrize(
    ("kty", "algorithm"),
    [
        ("EC", "ES256"),
        ("P-384", "ES384"),
        ("RSA", "PS256"),
        ("RSA", "RS256"),
        ("OKP", "Ed25519"),
        ("OKP", "EdDSA"),
    ],
)
async def test_each_algorithm_is_accepted(issuer, verifier, make_holder, kty, algorithm):
    """DPOP-01, DPOP-07: an RSA key makes a header that joserfc's own limit would refuse."""
    holder = make_holder(kty, algorithm)
    token = issuer.token(cnf=holder.confirmation)
    proof = holder.proof(token)
    assert kty != "RSA" or proof.index(".") > 512
    judged = await verifier.verify_bound(token, [proof], "POST")
    assert judged.key_thumbprint == holder.thumbprint


@pytest.mark.slow
async def test_a_proof_with_a_large_rsa_key_is_accepted(issuer, verifier, make_holder, forge):
    """DPOP-07."""
    holder = make_holder(key=forge.new_key("RSA-4096", "mine"), algorithm="PS256")
    token = issuer.token(cnf=holder.confirmation)
    proof = holder.proof(token)
    assert proof.index(".") > 1000
    assert await verifier.verify_bound(token, [proof], "POST")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"typ": "JWT"}, "typ_wrong"),
        ({"typ": "at+jwt"}, "typ_wrong"),
        ({"typ": ...}, "typ_wrong"),
        ({"typ": ["dpop+jwt"]}, "typ_wrong"),
        ({"alg": "none"}, "alg_not_allowed"),
        ({"alg": "HS256"}, "alg_not_allowed"),
        ({"alg": "ES512"}, "alg_not_allowed"),
        ({"alg": "es256"}, "alg_not_allowed"),
        ({"alg": ["ES256"]}, "alg_not_allowed"),
        ({"alg": ...}, "alg_not_allowed"),
        ({"alg": "ES384"}, "alg_not_of_key"),
        ({"alg": "RS256"}, "alg_not_of_key"),
        ({"alg": "EdDSA"}, "alg_not_of_key"),
        ({"jwk": ...}, "jwk_missing"),
        ({"jwk": "x"}, "jwk_missing"),
        ({"jwk": {}}, "jwk_unsupported"),
        ({"jwk": {"kty": "oct", "k": "AAAA"}}, "jwk_private"),
        ({"jwk": {"kty": "oct"}}, "jwk_unsupported"),
        ({"jwk": {"kty": "EC", "crv": "P-521", "x": "AAAA", "y": "AAAA"}}, "jwk_unsupported"),
        ({"jwk": {"kty": "EC", "crv": "P-256", "x": "AAAA", "y": "AAAA"}}, "jwk_unsupported"),
        ({"jwk": {"kty": "RSA", "n": "y" + "A" * 170, "e": "AQAB"}}, "jwk_unsupported"),
        ({"jku": "https://evil.example/jwks"}, "header_forbidden"),
        ({"x5c": ["AAAA"]}, "header_forbidden"),
        ({"crit": ["b64"]}, "header_forbidden"),
        ({"b64": False}, "header_forbidden"),
        ({"note": "n" * MAX_HEADER_LENGTH}, "proof_too_long"),
    ],
)
async def test_a_header_that_is_not_of_a_proof_is_refused(
    verifier, holder, bound, changes, expected
):
    proof = holder.proof(bound, header=changes)
    assert await refused(verifier, bound, [proof]) == expected


async def test_a_private_key_in_the_header_is_refused(verifier, holder, bound):
    """RFC 9449 section 4.3: a client that publishes its key has lost it."""
    jwk = {name: value for name, value in holder.key.items() if name != "kid"}
    assert (
        await refused(verifier, bound, [holder.proof(bound, header={"jwk": jwk})]) == "jwk_private"
    )


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"htm": "GET"}, "htm_wrong"),
        ({"htm": "post"}, "htm_wrong"),
        ({"htm": ["POST"]}, "htm_wrong"),
        ({"htm": ...}, "htm_wrong"),
        ({"htu": "https://mcp.example/other"}, "htu_wrong"),
        ({"htu": "https://mcp.example/mcp/"}, "htu_wrong"),
        ({"htu": "https://mcp.example/MCP"}, "htu_wrong"),
        ({"htu": "https://mcp.example/x/../mcp"}, "htu_wrong"),
        ({"htu": "https://mcp.example"}, "htu_wrong"),
        ({"htu": "http://mcp.example/mcp"}, "htu_wrong"),
        ({"htu": "https://mcp.example:8443/mcp"}, "htu_wrong"),
        ({"htu": "https://mcp.example:x/mcp"}, "htu_wrong"),
        ({"htu": "https://mcp.example.evil.example/mcp"}, "htu_wrong"),
        ({"htu": "https://user@mcp.example/mcp"}, "htu_wrong"),
        ({"htu": "https://mcp.example\\@evil.example/mcp"}, "htu_wrong"),
        ({"htu": "https://mcp.example/m\tcp"}, "htu_wrong"),
        ({"htu": " https://mcp.example/mcp"}, "htu_wrong"),
        ({"htu": "https://[mcp.example/mcp"}, "htu_wrong"),
        ({"htu": "/mcp"}, "htu_wrong"),
        ({"htu": ["https://mcp.example/mcp"]}, "htu_wrong"),
        ({"htu": ...}, "htu_wrong"),
        ({"iat": ...}, "iat_malformed"),
        ({"iat": True}, "iat_malformed"),
        ({"iat": "1"}, "iat_malformed"),
        ({"iat": 1}, "iat_outside_window"),
        ({"iat": -(10**400)}, "iat_outside_window"),
        ({"iat": 10**400}, "iat_outside_window"),
        ({"iat": 1e300}, "iat_outside_window"),
        ({"jti": ...}, "jti_malformed"),
        ({"jti": 1}, "jti_malformed"),
        ({"jti": ""}, "jti_malformed"),
        ({"jti": "j" * 257}, "jti_malformed"),
        ({"ath": ...}, "ath_wrong"),
        ({"ath": "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo"}, "ath_wrong"),
        ({"ath": ["x"]}, "ath_wrong"),
    ],
)
async def test_a_proof_of_another_request_is_refused(verifier, holder, bound, changes, expected):
    """DPOP-01, DPOP-08: one negative for each check."""
    assert await refused(verifier, bound, [holder.proof(bound, **changes)]) == expected


@pytest.mark.parametrize(
    ("resource", "claimed"),
    [
        (RESOURCE, "https://mcp.example/mcp?session=1"),
        (RESOURCE, "https://mcp.example/mcp#x"),
        (RESOURCE, "HTTPS://MCP.EXAMPLE:443/mcp"),
        ("https://mcp.example", "https://mcp.example/"),
        ("https://mcp.example/", "https://mcp.example"),
        ("https://mcp.example/a%2fb", "https://mcp.example/a%2Fb"),
        ("http://127.0.0.1:8000/mcp", "http://127.0.0.1:8000/mcp"),
        ("https://[::1]:8000/mcp", "https://[::1]:8000/mcp"),
    ],
)
def test_the_same_url_in_another_spelling_is_the_same(holder, resource, claimed):
    """RFC 9449 section 4.3: without query and fragment, normalised."""
    proof = holder.proof("t", htu=claimed)
    assert read_proof(
        [proof],
        token="t",
        key_thumbprint=holder.thumbprint,
        method="POST",
        resource=resource,
        now=time.time(),
    )


@pytest.mark.parametrize(
    ("offset", "expected"),
    [
        (-WINDOW, None),
        (-WINDOW - 1, "iat_outside_window"),
        (WINDOW, None),
        (WINDOW + 1, "iat_outside_window"),
    ],
)
async def test_the_window_is_five_minutes_either_way(issuer, holder, offset, expected):
    """DPOP-08."""
    now = int(time.time())
    verifier = TokenVerifier(RemoteKeys(issuer.url), resource=RESOURCE, clock=lambda: float(now))
    token = issuer.token(cnf=holder.confirmation, iat=now, exp=now + 60)
    proof = holder.proof(token, iat=now + offset)
    if expected is None:
        assert await verifier.verify_bound(token, [proof], "POST")
        assert await refused(verifier, token, [proof]) == "proof_replayed"
    else:
        assert await refused(verifier, token, [proof]) == expected


async def test_there_is_one_proof_and_it_is_compact(verifier, holder, bound):
    first, second = holder.proof(bound), holder.proof(bound)
    assert await refused(verifier, bound, []) == "proof_missing"
    assert await refused(verifier, bound, [first, second]) == "two_proofs"
    assert await refused(verifier, bound, [f"{first}, {second}"]) == "not_compact"
    for broken in ("", "x", "a.b.c", first + "=", "\u00e9" + first):
        reason = await refused(verifier, bound, [broken])
        assert reason in {"not_compact", "segment_malformed", "header_not_json"}
    assert await refused(verifier, bound, [first + "A" * 8192]) == "proof_too_long"


@pytest.mark.parametrize(
    "payload", [b'{"htm":"POST","htm":"GET"}', b"[]", b"{", b'{"iat":NaN}', b'{"iat":1e999}']
)
async def test_claims_with_two_readings_are_refused(verifier, holder, bound, forge, payload):
    jwk = {name: value for name, value in forge.public(holder.key).items() if name != "kid"}
    header = {"typ": "dpop+jwt", "alg": "ES256", "jwk": jwk}
    proof = forge(header, payload, holder.key, "ES256")
    assert await refused(verifier, bound, [proof]) == "claims_not_json"


async def test_the_signature_is_that_of_the_key_in_the_header(verifier, holder, bound, forge):
    stranger = forge.new_key("EC", "mine")
    proof = holder.proof(bound, key=stranger)
    assert await refused(verifier, bound, [proof]) == "signature_wrong"


async def test_the_key_is_the_one_that_the_token_names(issuer, verifier, holder, make_holder):
    """RFC 9449 section 7.1: the token is what is wrong then."""
    thief = make_holder()
    token = issuer.token(cnf=holder.confirmation)
    assert await refused(verifier, token, [thief.proof(token)], InvalidToken) == "key_not_bound"


async def test_a_proof_goes_with_one_token(issuer, verifier, holder, bound):
    other = issuer.token(cnf=holder.confirmation, jti="j2")
    assert await refused(verifier, bound, [holder.proof(other)]) == "ath_wrong"


async def test_a_proof_works_once_and_only_a_good_one_is_spent(verifier, holder, bound):
    """DPOP-01: `jti` unused."""
    with pytest.raises(InvalidProof):
        await verifier.verify_bound(bound, [holder.proof(bound, jti="one", htm="GET")], "POST")
    proof = holder.proof(bound, jti="one")
    assert await verifier.verify_bound(bound, [proof], "POST")
    assert await refused(verifier, bound, [proof]) == "proof_replayed"
    assert await refused(verifier, bound, [holder.proof(bound, jti="one")]) == "proof_replayed"
    assert await verifier.verify_bound(bound, [holder.proof(bound, jti="two")], "POST")


async def test_the_jti_of_one_client_is_not_that_of_another(issuer, verifier, make_holder):
    for holder in (make_holder(), make_holder()):
        token = issuer.token(cnf=holder.confirmation)
        assert await verifier.verify_bound(token, [holder.proof(token, jti="1")], "POST")


# --- what is remembered


def proof_of(key, number, issued_at=0.0):
    return Proof(key_thumbprint=key, issued_at=issued_at, digest=number.to_bytes(8, "big"))


def spent(memory, proof, now=0.0):
    with pytest.raises(InvalidProof) as refusal:
        memory.spend(proof, now)
    return refusal.value.reason


def test_memory_is_given_back_when_the_window_is_over():
    memory = ProofMemory(limit=2)
    for round_number in range(5):
        now = round_number * (2 * WINDOW + 1.0)
        for number in (1, 2):
            memory.spend(proof_of(f"key{number}", number, now), now)
        assert spent(memory, proof_of("key3", 3, now), now) == "proof_memory_full"
        assert spent(memory, proof_of("key1", 1, now), now + WINDOW) == "proof_replayed"


def test_a_full_memory_forgets_no_proof_that_would_still_be_accepted():
    """The busy client's own window shrinks; nobody else's does."""
    memory = ProofMemory(limit=100)
    memory.spend(proof_of("quiet", 0, 0.0), 0.0)
    used = [proof_of("busy", number, number / 100) for number in range(1, 1000)]
    for proof in used:
        memory.spend(proof, 10.0)
    assert {spent(memory, proof, 10.0) for proof in used} == {"proof_replayed"}
    assert spent(memory, proof_of("quiet", 0, 0.0), 10.0) == "proof_replayed"
    memory.spend(proof_of("quiet", 1, 0.0), 10.0)
    memory.spend(proof_of("busy", 1000, 10.0), 10.0)


# --- over HTTP


async def test_a_bound_token_and_its_proof_reach_the_app(edge, holder, bound):
    answer = await edge.request("POST", headers=holder.headers(bound), json=LIST)
    assert answer.status_code == 200
    assert edge.seen[0][0]["authz.token"].key_thumbprint == holder.thumbprint
    for method in ("GET", "DELETE"):
        headers = holder.headers(bound, htm=method)
        assert (await edge.request(method, headers=headers)).status_code == 200


async def test_the_host_header_does_not_choose_the_url(edge, holder, bound):
    """A proof made for another server is no good here, whatever Host says; a proxy may change Host."""
    elsewhere = holder.headers(bound, htu="https://evil.example/mcp")
    headers = [*elsewhere, ("host", "evil.example"), ("x-forwarded-host", "evil.example")]
    answer = await edge.request("POST", headers=headers, json=LIST)
    assert (answer.status_code, edge.seen) == (401, [])
    headers = [*holder.headers(bound), ("host", "10.0.0.7:8000")]
    assert (await edge.request("POST", headers=headers, json=LIST)).status_code == 200


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda h, t: h.headers(t, htm="GET"), "invalid_dpop_proof"),
        (lambda h, t: h.headers(t)[:1], "invalid_dpop_proof"),
        (lambda h, t: [*h.headers(t), ("dpop", h.proof(t))], "invalid_dpop_proof"),
        (lambda h, t: [("authorization", "DPoP x"), ("dpop", h.proof("x"))], "invalid_token"),
    ],
)
async def test_the_error_stands_with_the_scheme_that_was_used(edge, holder, bound, change, error):
    """RFC 9449 section 7.1; both challenges carry what a client needs to find its way."""
    answer = await edge.request("POST", headers=change(holder, bound), json=LIST)
    assert answer.status_code == 401
    assert answer.headers.get_list("www-authenticate") == [
        f'Bearer scope="logs.read logs.write", resource_metadata="{METADATA}"',
        f'DPoP error="{error}", scope="logs.read logs.write", resource_metadata="{METADATA}", {ALGS}',
    ]
    assert answer.json()["error"]["data"] == {"error": error}
    assert edge.seen == []


async def test_a_bound_token_is_no_bearer_token(edge, issuer, holder, bound):
    """ATK-72: whoever has the token alone has nothing, with a proof beside it or without."""
    for headers in ([], [("dpop", holder.proof(bound))]):
        answer = await edge.request("POST", token=bound, headers=headers, json=LIST)
        assert answer.status_code == 401
        assert 'Bearer error="invalid_token"' in answer.headers["www-authenticate"]
    assert edge.seen == []


async def test_an_unbound_token_is_no_dpop_token(edge, issuer, holder):
    """RFC 9449 section 7.1: a proof with a key of the caller's choice proves nothing about the token."""
    token = issuer.token()
    answer = await edge.request("POST", headers=holder.headers(token), json=LIST)
    assert answer.status_code == 401
    assert 'DPoP error="invalid_token"' in answer.headers["www-authenticate"]
    assert edge.seen == []


async def test_a_proof_is_needed_for_each_request(edge, holder, bound):
    headers = holder.headers(bound)
    assert (await edge.request("POST", headers=headers, json=LIST)).status_code == 200
    assert (await edge.request("POST", headers=headers, json=LIST)).status_code == 401
    assert len(edge.seen) == 1


async def test_a_missing_scope_is_challenged_under_both_schemes(edge, holder, bound):
    answer = await edge.request("POST", headers=holder.headers(bound), json=CALL)
    assert answer.status_code == 403
    assert answer.headers.get_list("www-authenticate") == [
        f'Bearer scope="logs.read logs.write", resource_metadata="{METADATA}"',
        (
            'DPoP error="insufficient_scope", scope="logs.read logs.write", '
            f'resource_metadata="{METADATA}", {ALGS}'
        ),
    ]


async def test_where_proofs_are_required_no_bearer_token_is_taken(make_edge, issuer, holder, bound):
    """ATK-72: a client that drops its proof is not served, and told which scheme is."""
    edge = make_edge(require_dpop=True)
    for token in (issuer.token(), bound):
        answer = await edge.request("POST", token=token, json=LIST)
        assert answer.status_code == 401
        assert answer.headers.get_list("www-authenticate") == [
            (
                'DPoP error="invalid_token", scope="logs.read logs.write", '
                f'resource_metadata="{METADATA}", {ALGS}'
            )
        ]
    assert (await edge.request("POST", json=LIST)).headers["www-authenticate"].startswith("DPoP sc")
    assert edge.seen == []
    assert (await edge.request("POST", headers=holder.headers(bound), json=LIST)).status_code == 200


async def test_the_metadata_says_whether_proofs_are_required(make_edge):
    """DPOP-05: asymmetric algorithms only."""
    for required in (True, False):
        document = (await make_edge(require_dpop=required).request("GET", METADATA)).json()
        algorithms = document["dpop_signing_alg_values_supported"]
        assert "ES256" in algorithms
        assert not [name for name in algorithms if name == "none" or name.startswith("HS")]
        assert document.get("dpop_bound_access_tokens_required", False) is required
