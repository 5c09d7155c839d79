"""Encrypted assertions: AES-GCM under a key wrapped with RSA-OAEP, and nothing that has padding to probe (SAML-10).

CBC is not among them: whoever learns which of two things went wrong with a changed ciphertext reads all of it (ATK-35).
Here everything that can go wrong between the ciphertext and the parsed assertion is one reason, and a key that does not
unwrap is replaced by a random one, so that the work is the same as well.
"""

from collections.abc import Sequence
from contextlib import suppress

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from authz import entropy
from authz.federation.saml.documents import (
    Element,
    SamlError,
    check_ids,
    children,
    decode_text,
    maybe,
    one,
    parse,
    several,
)
from authz.federation.saml.names import ENCRYPTION, ENCRYPTION_11, SIGNATURE, a, ds, xenc

REFUSED = "encrypted_assertion_refused"
"""For a wrong key, a changed ciphertext and what is not an assertion inside: nobody learns which."""
CIPHERS = {
    f"{ENCRYPTION_11}aes128-gcm": 16,
    f"{ENCRYPTION_11}aes192-gcm": 24,
    f"{ENCRYPTION_11}aes256-gcm": 32,
}
OAEP, OAEP_11 = f"{ENCRYPTION}rsa-oaep-mgf1p", f"{ENCRYPTION_11}rsa-oaep"
# Of OAEP nothing rests on collisions, and SHA-1 is what everybody wraps with who says nothing else.
_SHA1 = hashes.SHA1
_DIGESTS: dict[str, type[hashes.HashAlgorithm]] = {
    f"{SIGNATURE}sha1": _SHA1,
    f"{ENCRYPTION}sha256": hashes.SHA256,
    "http://www.w3.org/2001/04/xmldsig-more#sha384": hashes.SHA384,
    f"{ENCRYPTION}sha512": hashes.SHA512,
}
_MASKS: dict[str, type[hashes.HashAlgorithm]] = {
    f"{ENCRYPTION_11}mgf1sha1": _SHA1,
    f"{ENCRYPTION_11}mgf1sha256": hashes.SHA256,
    f"{ENCRYPTION_11}mgf1sha384": hashes.SHA384,
    f"{ENCRYPTION_11}mgf1sha512": hashes.SHA512,
}
_MGF = f"{{{ENCRYPTION_11}}}MGF"
_SHAPE, _ALGORITHM = "encryption_malformed", "encryption_algorithm_refused"
_NONCE_BYTES = 12


def decrypted(encrypted: Element, keys: Sequence[rsa.RSAPrivateKey]) -> Element:
    """The assertion inside, as untrusted as it was outside: its signature is still to be verified. Raises SamlError."""
    if not keys:
        raise SamlError("encryption_not_configured")
    outer = children(encrypted, [one(xenc("EncryptedData")), maybe(xenc("EncryptedKey"))], _SHAPE)
    data = outer[xenc("EncryptedData")][0]
    parts = children(
        data,
        [one(xenc("EncryptionMethod")), maybe(ds("KeyInfo")), one(xenc("CipherData"))],
        _SHAPE,
    )
    size = CIPHERS.get(_algorithm(parts[xenc("EncryptionMethod")][0]))
    if size is None:
        raise SamlError(_ALGORITHM)
    sealed = _cipher_value(parts[xenc("CipherData")][0])
    wrapped = [
        *outer[xenc("EncryptedKey")],
        *(it for info in parts[ds("KeyInfo")] for it in info if it.tag == xenc("EncryptedKey")),
    ]
    if len(wrapped) != 1:
        raise SamlError(_SHAPE)
    scheme, value = _wrapped_key(wrapped[0])
    opened = [_open(sealed, _unwrap(key, scheme, value, size)) for key in keys]
    return _assertion(next((it for it in opened if it is not None), None))


def _wrapped_key(element: Element) -> tuple[padding.OAEP, bytes]:
    parts = children(
        element,
        [
            one(xenc("EncryptionMethod")),
            maybe(ds("KeyInfo")),
            one(xenc("CipherData")),
            maybe(xenc("ReferenceList")),
            maybe(xenc("CarriedKeyName")),
        ],
        _SHAPE,
    )
    return _scheme(parts[xenc("EncryptionMethod")][0]), _cipher_value(parts[xenc("CipherData")][0])


def _scheme(method: Element) -> padding.OAEP:
    name = method.get("Algorithm")
    if name not in {OAEP, OAEP_11}:
        raise SamlError(_ALGORITHM)
    said = children(method, [several(ds("DigestMethod"), _MGF, most=2)], _SHAPE)
    digests = [_DIGESTS.get(str(it.get("Algorithm"))) for it in said[ds("DigestMethod")]] or [_SHA1]
    masks = [_MASKS.get(str(it.get("Algorithm"))) for it in said[_MGF]] or [_SHA1]
    if len(digests) != 1 or len(masks) != 1 or (name == OAEP and said[_MGF]):
        raise SamlError(_SHAPE)
    digest, mask = digests[0], masks[0]
    if digest is None or mask is None:
        raise SamlError(_ALGORITHM)
    return padding.OAEP(padding.MGF1(mask()), digest(), label=None)


def _unwrap(key: rsa.RSAPrivateKey, scheme: padding.OAEP, wrapped: bytes, size: int) -> bytes:
    unwrapped = b""
    with suppress(ValueError):
        unwrapped = key.decrypt(wrapped, scheme)
    instead = entropy.new_key(size)
    return unwrapped if len(unwrapped) == size else instead


def _open(sealed: bytes, key: bytes) -> bytes | None:
    nonce, rest = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
    try:
        return AESGCM(key).decrypt(nonce, rest, None)
    except (InvalidTag, ValueError):
        return None


def _assertion(opened: bytes | None) -> Element:
    try:
        root = parse(opened or b"")
        check_ids(root)
    except SamlError:
        raise SamlError(REFUSED) from None
    if root.tag != a("Assertion"):
        raise SamlError(REFUSED)
    return root


def _cipher_value(data: Element) -> bytes:
    value = children(data, [one(xenc("CipherValue"))], _SHAPE)[xenc("CipherValue")][0]
    return decode_text(value, _SHAPE)


def _algorithm(method: Element) -> str:
    children(method, [], _SHAPE)
    return str(method.get("Algorithm"))
