"""A response and the one assertion in it: found, verified, and then only what was verified (SAML-01, SAML-02)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa

from authz.federation.saml.documents import (
    Element,
    SamlError,
    check_ids,
    children,
    local_name,
    maybe,
    one,
    parse,
)
from authz.federation.saml.encryption import decrypted
from authz.federation.saml.names import SUCCESS, a, ds, p
from authz.federation.saml.signatures import signature_of, signed

_RESPONSE = (
    maybe(a("Issuer")),
    maybe(ds("Signature")),
    maybe(p("Extensions")),
    one(p("Status")),
    maybe(a("Assertion"), a("EncryptedAssertion")),
)
_SHAPE = "response_malformed"
_STATUSES = {
    "AuthnFailed": "upstream_sign_in_failed",
    "InvalidNameIDPolicy": "upstream_name_id_policy_refused",
    "NoAuthnContext": "upstream_context_not_met",
    "NoPassive": "upstream_interaction_needed",
    "RequestDenied": "upstream_request_denied",
    "RequestUnsupported": "upstream_request_unsupported",
    "UnknownPrincipal": "upstream_person_unknown",
}


@dataclass(frozen=True)
class Trust:
    """What a response of one connection has to be signed with, and what it may be encrypted for."""

    certificates: Sequence[x509.Certificate]
    decryption_keys: Sequence[rsa.RSAPrivateKey]
    signed: Literal["assertion", "response"]


@dataclass(frozen=True)
class Verified:
    """A response whose assertion is signed; whether the response is as well, `signed` has asked."""

    response: Element
    """Signed or not: what it says may refuse a sign-in, and never makes one."""
    assertion: Element


def verified(raw: bytes, trust: Trust, now: datetime) -> Verified:
    """Read a response and verify every signature it has. Raises SamlError."""
    root = parse(raw)
    parts = _check_document(root)
    _check_status(parts[p("Status")][0])
    response = root
    # One that is there has to be right even where none is asked for: it was put there to be read.
    if signature_of(root) is not None:
        response = signed(root, trust.certificates, now)
    elif trust.signed == "response":
        raise SamlError("signature_missing")
    encrypted = parts[a("EncryptedAssertion")]
    if encrypted:
        # Anybody can encrypt for us: the signature is inside, or there is none (CVE-2026-2092).
        inside = decrypted(encrypted[0], trust.decryption_keys)
        _check_assertion_document(inside)
        return Verified(response, signed(inside, trust.certificates, now))
    if not parts[a("Assertion")]:
        raise SamlError("assertion_missing")
    # Each signature is verified on the document as it came: canonical XML of the one forgets prefixes of the other.
    assertion = parts[a("Assertion")][0]
    if signature_of(assertion) is not None or trust.signed == "assertion":
        return Verified(response, signed(assertion, trust.certificates, now))
    return Verified(response, children(response, _RESPONSE, _SHAPE)[a("Assertion")][0])


def _check_document(root: Element) -> dict[str, list[Element]]:
    """That there is one response, one assertion, and no signature but on these two."""
    if root.tag != p("Response"):
        raise SamlError(_SHAPE)
    check_ids(root)
    # By local name, in whatever namespace and wherever: moved into Extensions, Object or a value (ATK-30).
    found = [local_name(it) for it in root.iter() if isinstance(it.tag, str)]
    if found.count("Response") != 1:
        raise SamlError("response_ambiguous")
    if found.count("Assertion") + found.count("EncryptedAssertion") > 1:
        raise SamlError("assertion_ambiguous")
    _check_signatures(root, found.count("Signature"))
    return children(root, _RESPONSE, _SHAPE)


def _check_assertion_document(root: Element) -> None:
    found = [local_name(it) for it in root.iter()]
    if found.count("Assertion") != 1 or {"Response", "EncryptedAssertion"} & set(found):
        raise SamlError("assertion_ambiguous")
    _check_signatures(root, found.count("Signature"))


def _check_signatures(root: Element, count: int) -> None:
    owners = [root, *(child for child in root if child.tag == a("Assertion"))]
    if count != sum(child.tag == ds("Signature") for owner in owners for child in owner):
        raise SamlError("signature_misplaced")


def _check_status(status: Element) -> None:
    """What the identity provider says of failure is not signed by most, and needs not be: nobody gets in by it."""
    codes = [child for child in status if child.tag == p("StatusCode")]
    if len(codes) != 1:
        raise SamlError("status_malformed")
    if codes[0].get("Value") == SUCCESS:
        return
    detail = next((str(it.get("Value")) for it in codes[0] if it.tag == p("StatusCode")), "")
    raise SamlError(_STATUSES.get(detail.rpartition(":")[2], "upstream_error"))
