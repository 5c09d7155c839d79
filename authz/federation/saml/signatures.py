"""XML signatures: what may be signed how, and what comes back is only what was signed (SAML-01 to -03).

The one importer of signxml. It hears of one element at a time, alone in a document of its own, so nothing that stands
around the element in a message can have a part in the answer; what it answers was parsed from the very bytes of which
the digest was taken (ATK-30).
"""

from collections.abc import Sequence
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from lxml import etree
from signxml.algorithms import DigestAlgorithm, SignatureMethod
from signxml.exceptions import InvalidDigest, InvalidSignature, SignXMLException
from signxml.verifier import SignatureConfiguration, VerifyResult, XMLVerifier

from authz.federation.saml.certificates import current
from authz.federation.saml.documents import (
    Element,
    SamlError,
    children,
    decode_text,
    maybe,
    new_parser,
    one,
    own_id,
    serialized,
)
from authz.federation.saml.names import EXCLUSIVE, SIGNATURE, ds

METHODS = frozenset(
    {
        SignatureMethod.RSA_SHA256,
        SignatureMethod.RSA_SHA384,
        SignatureMethod.RSA_SHA512,
        SignatureMethod.SHA256_RSA_MGF1,
        SignatureMethod.SHA384_RSA_MGF1,
        SignatureMethod.SHA512_RSA_MGF1,
        SignatureMethod.ECDSA_SHA256,
        SignatureMethod.ECDSA_SHA384,
        SignatureMethod.ECDSA_SHA512,
    }
)
DIGESTS = frozenset({DigestAlgorithm.SHA256, DigestAlgorithm.SHA384, DigestAlgorithm.SHA512})
_METHODS = {it.value: it for it in METHODS}
_DIGEST_NAMES = frozenset(it.value for it in DIGESTS)
_TRANSFORMS = [f"{SIGNATURE}enveloped-signature", EXCLUSIVE]
_PREFIXES = f"{{{EXCLUSIVE}}}InclusiveNamespaces"
_MAX_PREFIX_CHARS = 256
_MAX_KEY_INFO = 64
_SHAPE = "signature_malformed"


def signature_of(element: Element) -> Element | None:
    """The signature that an element has of itself."""
    return next((child for child in element if child.tag == ds("Signature")), None)


def signed(element: Element, certificates: Sequence[x509.Certificate], now: datetime) -> Element:
    """The element as it was signed under one of the certificates, and nothing but that. Raises SamlError."""
    signature = signature_of(element)
    if signature is None:
        raise SamlError("signature_missing")
    if sum(child.tag == ds("Signature") for child in element) != 1:
        raise SamlError(_SHAPE)
    method = _check(signature, own_id(element))
    # By kind beforehand: a library that is asked to try a key for another algorithm has to be trusted to refuse.
    fitting = [it for it in current(certificates, now) if _fits(it, method)]
    alone = serialized(element)
    for certificate in fitting:
        result = _verified(alone, certificate, method, now)
        if result is not None:
            return _covered(element, result)
    raise SamlError("signature_wrong")


def _fits(certificate: x509.Certificate, method: SignatureMethod) -> bool:
    is_curve = isinstance(certificate.public_key(), ec.EllipticCurvePublicKey)
    return is_curve == method.name.startswith("ECDSA")


def _check(signature: Element, signed_id: str) -> SignatureMethod:
    """That a signature says nothing but the few things it may say."""
    parts = children(
        signature, [one(ds("SignedInfo")), one(ds("SignatureValue")), maybe(ds("KeyInfo"))], _SHAPE
    )
    # Nothing of it is believed (SAML-01), but the library copies and searches it (ATK-62).
    if any(len(list(it.iter())) > _MAX_KEY_INFO for it in parts[ds("KeyInfo")]):
        raise SamlError(_SHAPE)
    said = children(
        parts[ds("SignedInfo")][0],
        [one(ds("CanonicalizationMethod")), one(ds("SignatureMethod")), one(ds("Reference"))],
        _SHAPE,
    )
    canonicalization = said[ds("CanonicalizationMethod")][0]
    if _algorithm(canonicalization, _PREFIXES) != EXCLUSIVE:
        raise SamlError("signature_canonicalization_refused")
    method = _METHODS.get(_algorithm(said[ds("SignatureMethod")][0]))
    if method is None:
        raise SamlError("signature_method_refused")
    reference = said[ds("Reference")][0]
    if reference.get("URI") != f"#{signed_id}" or set(reference.attrib) != {"URI"}:
        raise SamlError("signature_of_another_element")
    parts |= children(
        reference,
        [one(ds("Transforms")), one(ds("DigestMethod")), one(ds("DigestValue"))],
        _SHAPE,
    )
    transforms = list(parts[ds("Transforms")][0])
    if [_algorithm(it, _PREFIXES) for it in transforms] != _TRANSFORMS or any(
        it.tag != ds("Transform") for it in transforms
    ):
        raise SamlError("signature_transform_refused")
    if _algorithm(parts[ds("DigestMethod")][0]) not in _DIGEST_NAMES:
        raise SamlError("signature_digest_refused")
    for name in ("SignatureValue", "DigestValue"):
        if not decode_text(parts[ds(name)][0], _SHAPE):
            raise SamlError(_SHAPE)
    return method


def _algorithm(element: Element, *may_hold: str) -> str:
    """Its algorithm, if it has no parameters but those that are expected."""
    found = children(element, [maybe(name) for name in may_hold], _SHAPE)
    if set(element.attrib) != {"Algorithm"}:
        raise SamlError(_SHAPE)
    for prefixes in found.get(_PREFIXES, ()):
        # Each prefix is looked up at each element, before anybody has proved anything (ATK-62).
        if len(prefixes) or len(prefixes.get("PrefixList", "")) > _MAX_PREFIX_CHARS:
            raise SamlError(_SHAPE)
    return str(element.get("Algorithm"))


def _verified(
    alone: bytes, certificate: x509.Certificate, method: SignatureMethod, now: datetime
) -> VerifyResult | None:
    """What was signed; None under another key. Raises SamlError."""
    try:
        result = XMLVerifier().verify(
            alone,
            # Given, so that whatever certificate or key the document brings along is not read (SAML-01).
            x509_cert=certificate,
            parser=new_parser(),
            id_attribute="ID",
            expect_config=SignatureConfiguration(
                require_x509=True,
                location="./",
                expect_references=1,
                signature_methods=frozenset({method}),
                digest_algorithms=DIGESTS,
                ignore_ambiguous_key_info=True,
                verification_time=now,
            ),
        )
    except InvalidDigest:
        raise SamlError("signature_digest_wrong") from None
    except InvalidSignature:
        return None
    except (SignXMLException, etree.LxmlError, ValueError):
        raise SamlError(_SHAPE) from None
    if isinstance(result, list):
        raise SamlError(_SHAPE)
    return result


def _covered(element: Element, result: VerifyResult) -> Element:
    found = result.signed_xml
    if found is None or found.tag != element.tag or found.get("ID") != own_id(element):
        raise SamlError("signature_of_another_element")
    return found
