"""Made by somebody else, or only looking signed."""

import json

from joserfc.jwk import ECKey

from authz.lab import forge
from authz.lab.defects.row import Defect, defects
from authz.lab.judgement import GRANT, REQUEST
from authz.lab.statement import STRANGER, Statement


def _unsigned(it: Statement, **header: object) -> str:
    return forge.unsigned(it.headed(**header).header, it.claims)


def _with_hmac(it: Statement, secret: bytes) -> str:
    return forge.sign_with_secret(secret, it.headed(alg="HS256").header, it.claims)


def _public_pem(it: Statement) -> bytes:
    return ECKey.import_key(forge.public_jwk(it.key)).as_pem()


def _public_json(it: Statement) -> bytes:
    return json.dumps(forge.public_jwk(it.key)).encode()


def _by_stranger(it: Statement, **header: object) -> str:
    """By the stranger's key, which the header brings along, points to or names."""
    return it.headed(**header).sign_as_stranger()


def _tampered(it: Statement) -> str:
    return forge.with_other_claims(it.sign(), {**it.claims, "sub": "lab-somebody-else"})


DEFECTS: tuple[Defect, ...] = (
    *defects(
        "IDJAG-51 EMA-07",
        "RFC 7521 §5.2; RFC 7523 §3",
        ("signature-stranger", "by a stranger in its name", lambda it: it.sign_as_stranger()),
        ("signature-tampered", "changed after it was signed", _tampered),
        ("signature-absent", "without its signature", _unsigned),
        ("header-crit", "with an unknown `crit`", lambda it: it.headed(crit=["x"], x=1).sign()),
    ),
    *defects(
        "IDJAG-51 EMA-20",
        "RFC 7521 §5.2",
        (
            "issuer-stranger",
            "by an issuer nobody trusts",
            lambda it: it.saying(iss=STRANGER).sign_as_stranger(),
        ),
    ),
    *defects(
        "IDJAG-52 EMA-07",
        "RFC 8725bis §3.1; EMA §7.4.1",
        ("alg-none", "of the algorithm `none`", lambda it: _unsigned(it, alg="none")),
        ("alg-none-case", "of the algorithm `nOnE`", lambda it: _unsigned(it, alg="nOnE")),
        ("alg-absent", "without an algorithm", lambda it: it.headed(alg=None).sign()),
        ("alg-other", "that claims another algorithm", lambda it: it.headed(alg="RS256").sign()),
        ("hmac-pem", "by HMAC with the public key", lambda it: _with_hmac(it, _public_pem(it))),
        ("hmac-jwk", "by HMAC with the public JWK", lambda it: _with_hmac(it, _public_json(it))),
        ("hmac-empty", "by HMAC with no secret", lambda it: _with_hmac(it, b"")),
    ),
    *defects(
        "IDJAG-53 EMA-07",
        "RFC 8725bis §3.10; EMA §7.4.1",
        (
            "header-jwk",
            "by the key it brings along",
            lambda it: _by_stranger(it, jwk=forge.public_jwk(it.stranger)),
        ),
        (
            "header-jku",
            "by a key behind its own `jku`",
            lambda it: _by_stranger(it, jku=f"{STRANGER}/jwks"),
        ),
        (
            "header-x5u",
            "by a key behind its own `x5u`",
            lambda it: _by_stranger(it, x5u=f"{STRANGER}/key.pem"),
        ),
        ("header-x5c", "by a certificate's key", lambda it: _by_stranger(it, x5c=["MIIB"])),
        ("kid-unknown", "by a key nobody published", lambda it: _by_stranger(it, kid="lab-new")),
        (
            "kid-path",
            "by a key that is named like a file",
            lambda it: _by_stranger(it, kid="../../../../dev/null"),
        ),
    ),
    *defects(
        "IDJAG-51",
        "RFC 7523 §3; RFC 7521 §4.1.1",
        (
            "form-json",
            "in the JSON form of a JWS",
            lambda it: forge.flattened(it.key, it.header, it.claims),
        ),
        ("form-garbage", "that is no JWT", lambda _: "not.a.jwt"),
        codes=GRANT | REQUEST,
    ),
)
