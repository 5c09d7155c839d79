"""JB-20 from the other side: we prove ourselves to a provider with a key of our own."""

import base64
import json
from datetime import timedelta
from urllib.parse import parse_qsl

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from joserfc import jwt
from joserfc.jwk import KeySet

from authz.federation.connector import MISCONFIGURED
from tests.support.client_keys import ClientKey
from tests.support.fake_idp import CLIENT_ID, signing_key
from tests.support.oidc_scene import DIRECTORY, OBJECT

ALGORITHMS = ["RS256", "ES256", "ES384", "Ed25519"]


def pem_of(key: ClientKey) -> bytes:
    return key.key.as_pem(private=True)


def jwk_of(key: ClientKey) -> bytes:
    return json.dumps(key.key.as_dict(private=True)).encode()


def certificate(key: ClientKey, now) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "mcp-authz")])
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.key.public_key)
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
        .sign(key.key.private_key, hashes.SHA256())
    )


def connected(scene, idp, secret: bytes, preset="generic", **settings):
    scene.secrets["env:KEY"] = secret
    return scene.upstream(idp, preset=preset, client_secret=None, private_key="env:KEY", **settings)


def request_of(idp):
    """The last one to its token endpoint."""
    return [seen for path, seen in idp.seen if path == "/token"][-1]


def assertion_of(idp):
    return dict(parse_qsl(request_of(idp).body.decode()))["client_assertion"]


@pytest.mark.parametrize("write", [pem_of, jwk_of], ids=["PEM", "JWK"])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_key_of_any_kind(scene, algorithm, write):
    key = signing_key(algorithm, "our-key")
    idp = scene.idp(auth_method="private_key_jwt", client_key=key)
    upstream = connected(scene, idp, write(key), key_id="our-key")
    assert scene.sign_in(idp, upstream).identity.subject == "person-1"
    assert request_of(idp).headers.get("authorization") is None


def test_what_we_say_of_ourselves(scene):
    """One audience, a minute, and an id that is never the same; by our clock."""
    key = signing_key("ES256", "our-key")
    idp = scene.idp(auth_method="private_key_jwt", client_key=key)
    upstream = connected(scene, idp, jwk_of(key))
    tokens = []
    for _ in range(2):
        scene.sign_in(idp, upstream)
        keys = KeySet.import_key_set(key.jwks)
        tokens.append(jwt.decode(assertion_of(idp), keys, algorithms=["ES256"]))
    now = int(scene.clock().timestamp())
    assert tokens[0].header == {"alg": "ES256", "typ": "JWT", "kid": "our-key"}
    first, second = (dict(token.claims) for token in tokens)
    assert first.pop("jti") != second.pop("jti")
    assert first == second
    assert first == {
        "iss": CLIENT_ID,
        "sub": CLIENT_ID,
        "aud": idp.issuer,
        "iat": now,
        "exp": now + 60,
    }


def test_another_algorithm_of_the_same_key(scene):
    key = signing_key("PS256", "our-key")
    idp = scene.idp(auth_method="private_key_jwt", client_key=key)
    upstream = connected(scene, idp, pem_of(key), key_id="our-key", assertion_algorithm="PS256")
    assert scene.sign_in(idp, upstream).identity.subject == "person-1"


def test_a_key_without_a_name_is_called_by_its_thumbprint(scene):
    key = signing_key("ES256", None)
    idp = scene.idp(auth_method="private_key_jwt", client_key=key)
    scene.sign_in(idp, connected(scene, idp, pem_of(key)))
    keys = KeySet.import_key_set(key.jwks)
    header = jwt.decode(assertion_of(idp), keys, algorithms=["ES256"]).header
    assert header["kid"] == key.key.thumbprint()


def test_entra_finds_the_certificate_by_its_thumbprint(scene):
    """Key and certificate in one file, in either order; for the token endpoint, as it insists."""
    key = signing_key("RS256", "our-key")
    cert = certificate(key, scene.clock())
    idp = scene.idp(
        "entra.example",
        f"/{DIRECTORY}/v2.0",
        person={"tid": DIRECTORY, "oid": OBJECT},
        auth_method="private_key_jwt",
        client_key=key,
    )
    idp.assertion_audience = idp.url("/token")
    pem = cert.public_bytes(Encoding.PEM)
    for data in (pem_of(key) + pem, pem + pem_of(key)):
        upstream = connected(scene, idp, data, "entra", key_id="our-key")
        assert scene.sign_in(idp, upstream).identity.subject == f"{DIRECTORY}:{OBJECT}"
        keys = KeySet.import_key_set(key.jwks)
        header = jwt.decode(assertion_of(idp), keys, algorithms=["RS256"]).header
        thumbprint = base64.urlsafe_b64decode(header["x5t#S256"] + "=")
        assert thumbprint == cert.fingerprint(hashes.SHA256())


ELLIPTIC = signing_key("ES256", "our-key")
BAD = {
    "nothing": b"",
    "no key": b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
    "no JSON": b"{",
    "a list": b"[]",
    "no kind": b"{}",
    "another kind": b'{"kty": "oct", "k": "AAAA"}',
    "a public PEM": ELLIPTIC.key.as_pem(private=False),
    "a public JWK": json.dumps(ELLIPTIC.public).encode(),
    "a curve that is not used": ec.generate_private_key(ec.SECP521R1()).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    ),
    "a broken certificate": pem_of(ELLIPTIC)
    + b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
}


@pytest.mark.parametrize("name", BAD)
def test_a_key_that_cannot_be_used(scene, name):
    idp = scene.idp(auth_method="private_key_jwt", client_key=ELLIPTIC)
    refused = scene.refusal(idp, connected(scene, idp, BAD[name]))
    assert (refused.reason, refused.sentence) == ("private_key_unusable", MISCONFIGURED)
    assert idp.count("/token") == 0


def test_an_algorithm_of_another_kind_of_key(scene):
    idp = scene.idp(auth_method="private_key_jwt", client_key=ELLIPTIC)
    upstream = connected(scene, idp, pem_of(ELLIPTIC), assertion_algorithm="RS256")
    assert scene.refusal(idp, upstream).reason == "private_key_algorithm"


def test_a_key_that_is_gone(scene):
    idp = scene.idp(auth_method="private_key_jwt", client_key=ELLIPTIC)
    upstream = connected(scene, idp, pem_of(ELLIPTIC))
    del scene.secrets["env:KEY"]
    assert scene.refusal(idp, upstream).reason == "client_secret_missing"
