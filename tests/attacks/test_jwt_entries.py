"""What an attacker does to a JWT, at every place that takes one (specs.md 7.3: ATK-41 to ATK-46)."""

import base64
import json
import time
import zlib

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from joserfc.jwk import ECKey, RSAKey

from tests.support.client_keys import ClientKey
from tests.support.harness import ONE_ADDRESS, Harness, running
from tests.support.jwt_entries import Places, b64, part, spell
from tests.support.web import Reply

ENTRIES = [
    "assertion at /token",
    "assertion at /introspect",
    "assertion at /revoke",
    "assertion at /par",
    "assertion at /device_authorization",
    "proof at /token",
    "proof at /par",
    "assertion grant at /token",
    "workload grant at /token",
    "logout token at a connection",
    "event at a stream",
    "batch at /outcomes",
    "token at /introspect",
    "token at /revoke",
    "token at an MCP server",
    "answer of the feed at an MCP server",
    "token to exchange at /token",
    "ID token to exchange at /token",
    "token at /userinfo",
]
RECORDED = (
    *("token at /introspect", "token at /revoke", "token at /userinfo"),
    "token to exchange at /token",
)
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""Of P-256."""


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """One tenant whose every entrance is known. Nothing here depends on the database."""
    folder = tmp_path_factory.mktemp("entries")
    # All of it is one client within one minute of a clock that stands still.
    limits = {**ONE_ADDRESS, "failures_per_client_and_address": 0, "failures_per_client": 0}
    with running(folder, f"sqlite:///{folder / 'authz.db'}", limits=limits) as server:
        harness = Harness(server)
        made = Places(harness)
        made.by_name = {entry.name: entry for entry in made.entries()}
        yield made
        harness.close()


@pytest.fixture(params=ENTRIES)
def entry(request, places):
    return places.by_name[request.param]


def refuses(entry, text):
    """Refused as the sender's mistake, in a moment, and with nothing of it in the answer."""
    began = time.monotonic()
    verdict = entry.send(text)
    assert not verdict.accepted, text[:200]
    assert verdict.status < 500
    assert time.monotonic() - began < 5
    assert "attacker" not in verdict.body
    return verdict


def test_the_list_of_entries_is_whole(places):
    assert list(places.by_name) == ENTRIES


def test_a_genuine_one_is_accepted(entry):
    """Without which no refusal below would mean anything."""
    verdict = entry.send(entry.genuine())
    assert verdict.accepted, verdict


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "nOnE", ""])
def test_no_signature_is_no_signature(entry, algorithm):
    """ATK-41: with nothing in its place, or with the one of another header."""
    header, claims = entry.make()
    unsigned = {**header, "alg": algorithm}
    refuses(entry, spell(unsigned, claims, key=lambda _: b""))
    refuses(entry, spell(unsigned, claims, key=entry.key, algorithm="ES256"))


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
def test_a_public_key_is_no_secret(entry, algorithm):
    """ATK-41: whatever spelling of the public key is taken for the secret of a MAC."""
    public = entry.key.get_op_key("verify")
    secrets = [
        json.dumps(entry.key.as_dict(private=False)).encode(),
        public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint),
        b"",
    ]
    for secret in secrets:
        header, claims = entry.make()
        refuses(entry, spell({**header, "alg": algorithm}, claims, key=secret))


@pytest.mark.parametrize(
    "algorithm",
    [
        "RS256",
        "PS256",
        "ES384",
        "ES512",
        "ES256K",
        "Ed25519",
        "EdDSA",
        "RSA1_5",
        None,
        1,
        ["ES256"],
    ],
)
def test_an_algorithm_and_a_key_belong_together(entry, algorithm):
    """ATK-41: a good signature of this very key under the name of another algorithm."""
    header, claims = entry.make()
    refuses(entry, spell({**header, "alg": algorithm}, claims, key=entry.key, algorithm="ES256"))


@pytest.mark.parametrize("member", ["jku", "x5u", "x5c", "jwk", "x5t#S256"])
def test_a_key_that_the_header_brings_counts_nowhere(places, entry, member):
    """ATK-42: signed by the attacker, who offers the key to verify it; nothing is asked of its host."""
    own = ECKey.generate_key("P-256")
    host = f"keys.{places.harness.host}"
    places.harness.web.serve(host, Reply.json({"keys": [own.as_dict(private=False)]}))
    offered = {
        "jku": places.harness.web.url(host, "/jwks"),
        "x5u": places.harness.web.url(host, "/chain"),
        "x5c": [base64.b64encode(b"a certificate").decode()],
        "jwk": own.as_dict(private=False),
        "x5t#S256": own.thumbprint(),
    }
    header, claims = entry.make()
    if member == "jwk" and "jwk" in header:
        # A proof of possession shows the key it was made with: another key is another proof, not a forgery.
        refuses(entry, spell({**header, "jwk": offered["jwk"]}, claims, key=entry.key))
    else:
        refuses(entry, spell({**header, member: offered[member]}, claims, key=own))
    assert places.harness.web.count(host) == 0


NAMES = [
    *("../../../../etc/passwd", "/dev/null", "' OR 1=1 --", "%00", "\x00", "a\nb", "k" * 100_000),
    *("", "*", "null", 0, True, None, [], ["k1"], {"k": 1}, "\ud800", "K1", "k1 "),
]


@pytest.mark.parametrize("name", NAMES, ids=lambda name: ascii(name)[:16])
def test_a_key_is_found_by_its_exact_name_or_not_at_all(entry, name):
    """ATK-43: signed by a stranger's key, so whatever the name leads to has to refuse it."""
    header, claims = entry.make()
    if "jwk" in header:
        # A proof names no key; what it says there is not looked up.
        claims["jti"] = ""
    refuses(entry, spell({**header, "kid": name}, claims, key=ECKey.generate_key("P-256")))


def test_of_two_keys_with_one_name_the_right_one_counts(places):
    """ATK-43: the order in which a client lists them decides nothing."""
    harness = places.harness
    one, two = ClientKey(kid="same"), ClientKey(kid="same")
    for listed in ([one, two], [two, one]):
        jwks = {"keys": [key.public for key in listed]}
        client_id = harness.add_client(auth_method="private_key_jwt", jwks=jwks).client.id
        for key in listed:
            fields = key.fields(client_id, harness.issuer, harness.clock())
            assert harness.post("/revoke", {"token": "x", **fields}).status == 200
        stranger = ClientKey(kid="same").fields(client_id, harness.issuer, harness.clock())
        assert harness.post("/revoke", {"token": "x", **stranger}).reason == "jwt_signature"


@pytest.mark.parametrize(
    "member",
    [
        {"crit": ["exp"], "exp": 1},
        {"crit": []},
        {"b64": False, "crit": ["b64"]},
        {"b64": False},
        {"zip": "DEF"},
    ],
    ids=str,
)
def test_a_header_that_changes_the_rules_is_refused(entry, member):
    """ATK-44: correctly signed."""
    header, claims = entry.make()
    refuses(entry, spell({**header, **member}, claims, key=entry.key))


def serializations(entry):
    """A genuine one in every form but the compact one, and the compact one damaged."""
    text = entry.genuine()
    head, body, signature = text.split(".")
    yield json.dumps({"protected": head, "payload": body, "signature": signature})
    yield json.dumps({"payload": body, "signatures": [{"protected": head, "signature": signature}]})
    yield from (f"{text}.", f".{text}", f"{text}.e30", f"{head}.{body}", f"{head}..{signature}")
    yield from (f"{head}=.{body}.{signature}", f"{head}.{body}.{signature}==", f"{head}.{body}.")
    yield from (f"{text}\n", f"{text} ", f"{head}.{body}. {signature}", f"Bearer {text}")
    yield f"{head}.{body}.{signature[:-1]}{'B' if signature[-1] != 'B' else 'C'}"
    # The same value, spelled with bits that decode to nothing.
    yield f"{head}.{body}.{signature[:-1]}{chr(ord(signature[-1]) + 1)}"


def test_only_the_compact_form_in_its_one_spelling(entry):
    """ATK-44."""
    for text in serializations(entry):
        # A header's value ends where it ends: HTTP takes blanks around it away, and has no lines in it.
        if text.strip() != text and entry.name.startswith(("proof", "token at /userinfo")):
            continue
        refuses(entry, text)


def test_a_jwt_in_a_jwt_is_not_opened(entry):
    """ATK-44."""
    header, _ = entry.make()
    inner = entry.genuine().encode()
    for outer in ({**header, "cty": "JWT"}, header):
        refuses(entry, spell(outer, inner, key=entry.key))
        refuses(entry, spell(outer, json.dumps(inner.decode()).encode(), key=entry.key))


def test_a_member_is_said_once(entry):
    """ATK-44: readers that take the first and readers that take the last would disagree."""
    header, claims = entry.make()
    again = json.dumps(claims)[:-1] + f', "iat": {json.dumps(claims["iat"])}}}'
    refuses(entry, spell(header, again.encode(), key=entry.key))
    for member in ('"alg": "ES256"', '"alg": "none"', '"typ": "JWT"'):
        doubled = json.dumps(header)[:-1] + f", {member}}}"
        refuses(entry, spell(doubled.encode(), claims, key=entry.key, algorithm="ES256"))


PAYLOADS = [
    *(b"", b"null", b"[]", b'"x"', b"1", b"{", b"{}", b"\xff\xfe", b"\xef\xbb\xbf{}", b"{}{}"),
    *(b"[" * 7000, b'{"a":' * 1500, b'{"exp": ' + b"9" * 5000 + b"}", b"{} "),
]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "utf-8-sig", "latin-1"])
def test_text_is_utf_8(entry, encoding):
    """ATK-44: what some readers guess, others refuse."""
    header, claims = entry.make()
    text = json.dumps({**claims, "name": "\u00fc"}, ensure_ascii=False).encode(encoding)
    refuses(entry, spell(header, text, key=entry.key))
    text = json.dumps({**header, "name": "\u00fc"}, ensure_ascii=False).encode(encoding)
    refuses(entry, spell(text, claims, key=entry.key, algorithm="ES256"))


@pytest.mark.parametrize("payload", PAYLOADS, ids=lambda payload: ascii(payload[:12]))
def test_claims_that_are_no_object_are_refused(entry, payload):
    """ATK-44: correctly signed, and never a failure of the server."""
    header, _ = entry.make()
    refuses(entry, spell(header, payload, key=entry.key))


NUMBERS = [
    "1e400",
    "-1e400",
    "1e300",
    "9" * 400,
    "-1",
    "NaN",
    "Infinity",
    '"2030"',
    "true",
    "[1]",
    "{}",
]


@pytest.mark.parametrize("number", NUMBERS, ids=lambda number: number[:8])
def test_a_date_is_a_number_that_a_clock_can_show(entry, number):
    """ATK-44: at the member that ends it, or the one that dates it."""
    header, claims = entry.make()
    if entry.name in RECORDED:
        # Whether a token still stands is known by its record; its own dates were written by this server.
        claims["jti"] = "unknown"
    name = "exp" if "exp" in claims else "iat"
    text = json.dumps({**claims, name: 0}).replace(f'"{name}": 0', f'"{name}": {number}')
    refuses(entry, spell(header, text.encode(), key=entry.key))


@pytest.mark.parametrize(
    ("r", "s"),
    [(0, 0), (0, 1), (1, 0), (ORDER, 1), (1, ORDER), (ORDER, ORDER), (2**256 - 1, 2**256 - 1)],
)
def test_a_signature_that_means_nothing_means_nothing(entry, r, s):
    """ATK-45: CVE-2022-21449."""
    header, claims = entry.make()
    refuses(entry, spell(header, claims, key=lambda _: r.to_bytes(32) + s.to_bytes(32)))
    refuses(entry, spell(header, claims, key=lambda _: encode_dss_signature(r, s)))


P256 = ECKey.generate_key("P-256").as_dict(private=False)
RSA = RSAKey.generate_key(2048).as_dict(private=False)
WEAK_KEYS = {
    "a point off the curve": {**P256, "y": P256["x"]},
    "a point of another curve": {**P256, "crv": "P-384"},
    "a curve nobody has": {**P256, "crv": "P-257"},
    "a curve for payments": {**P256, "crv": "secp256k1"},
    "a point at infinity": {**P256, "x": b64(bytes(32)), "y": b64(bytes(32))},
    "RSA with 512 bits": {**RSA, "n": b64(b"\xff" * 64)},
    "RSA with 65536 bits": {**RSA, "n": b64(b"\xff" * 8192)},
    "RSA with exponent 1": {**RSA, "e": b64(b"\x01")},
    "RSA with an even exponent": {**RSA, "e": b64(b"\x01\x00\x00")},
    "RSA with a huge exponent": {**RSA, "e": b64(b"\xff" * 255)},
    "a key for an exchange": {"kty": "OKP", "crv": "X25519", "x": b64(bytes(32))},
    "a short Edwards point": {"kty": "OKP", "crv": "Ed25519", "x": b64(bytes(31))},
    "a symmetric key": {"kty": "oct", "k": b64(b"secret")},
    "a private key": ECKey.generate_key("P-256").as_dict(private=True),
}


@pytest.mark.parametrize("name", WEAK_KEYS)
def test_a_weak_key_is_no_key(places, name):
    """ATK-45: in a proof, and in the key set of a client."""
    harness = places.harness
    proof = places.by_name["proof at /token"]
    header, claims = proof.make()
    refuses(proof, spell({**header, "jwk": WEAK_KEYS[name]}, claims, key=proof.key))
    host = f"weak-{list(WEAK_KEYS).index(name)}.{harness.host}"
    harness.web.serve(host, Reply.json({"keys": [WEAK_KEYS[name]]}))
    client_id = harness.add_client(
        auth_method="private_key_jwt", jwks_uri=harness.web.url(host, "/jwks")
    ).client.id
    fields = ClientKey().fields(client_id, harness.issuer, harness.clock())
    answer = harness.post("/revoke", {"token": "x", **fields})
    assert (answer.status, answer.error) == (401, "invalid_client")


SMALL_ORDER = [
    *("01" + "00" * 31, "00" * 32, "ec" + "ff" * 30 + "7f"),
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    *("ed" + "ff" * 30 + "7f", "ee" + "ff" * 30 + "7f"),
]


@pytest.mark.parametrize("sign", [0, 0x80])
@pytest.mark.parametrize("point", SMALL_ORDER)
def test_a_point_of_small_order_is_no_key(places, point, sign):
    """ATK-45: under the neutral one, one signature fits all that was never signed; the others need a few tries."""
    proof = places.by_name["proof at /token"]
    raw = bytes.fromhex(point)
    jwk = {"kty": "OKP", "crv": "Ed25519", "x": b64(raw[:-1] + bytes([raw[-1] | sign]))}
    for algorithm in ("Ed25519", "EdDSA"):
        header, claims = proof.make()
        text = spell(
            {**header, "alg": algorithm, "jwk": jwk},
            claims,
            key=lambda _: b"\x01" + bytes(63),
        )
        assert refuses(proof, text).reason == "dpop_jwk_weak"


BOMBS = [
    {"alg": "PBES2-HS256+A128KW", "enc": "A128GCM", "p2c": 10**9, "p2s": b64(b"salt")},
    {"alg": "dir", "enc": "A128GCM", "zip": "DEF"},
    {"alg": "RSA-OAEP", "enc": "A256GCM"},
]


@pytest.mark.parametrize("header", BOMBS, ids=lambda header: header["alg"])
def test_nothing_encrypted_is_decrypted(entry, header):
    """ATK-46: five parts, or an encryption's header on a signed one; neither is work."""
    bomb = b64(zlib.compress(bytes(1_000_000)))
    refuses(entry, ".".join([part(header), "", b64(bytes(12)), bomb, b64(bytes(16))]))
    genuine, claims = entry.make()
    refuses(entry, spell({**genuine, **header}, claims, key=entry.key, algorithm="ES256"))
