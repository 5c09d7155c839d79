"""A SAML identity provider for tests: it says whatever it is told to, and signs all of it with keys of its own.

    idp = SamlIdp()
    sent = idp.respond(upstream, in_response_to="id_1", name_id="ada")       # as a form field
    root = idp.response(upstream, Said(audiences=(("https://other",),)))     # as a tree, to be bent further

It shares no code with what it tests: canonical XML by lxml, keys by cryptography, and the rest by hand.
"""

import base64
import functools
import hashlib
import hmac
import os
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from lxml import etree

from authz.federation.connector import Upstream
from tests.support.configured import NOW

P = "{urn:oasis:names:tc:SAML:2.0:protocol}"
A = "{urn:oasis:names:tc:SAML:2.0:assertion}"
D = "{http://www.w3.org/2000/09/xmldsig#}"
X = "{http://www.w3.org/2001/04/xmlenc#}"
X11 = "{http://www.w3.org/2009/xmlenc11#}"
EXCLUSIVE = "http://www.w3.org/2001/10/xml-exc-c14n#"
ENVELOPED = f"{D[1:-1]}enveloped-signature"
MORE = "http://www.w3.org/2001/04/xmldsig-more#"
ENC, ENC11 = X[1:-1], X11[1:-1]
NAMESPACES = {"samlp": P[1:-1], "saml": A[1:-1]}
FORMATS = "urn:oasis:names:tc:SAML:2.0:nameid-format"
CLASSES = "urn:oasis:names:tc:SAML:2.0:ac:classes"
STATUSES = "urn:oasis:names:tc:SAML:2.0:status"
BEARER = "urn:oasis:names:tc:SAML:2.0:cm:bearer"
ENTITY_ID = "https://idp.example/saml"
SSO_URL = "https://idp.example/sso"

Element = Any
Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey

DIGESTS: Mapping[str, str] = {
    f"{ENC}sha256": "sha256",
    f"{MORE}sha384": "sha384",
    f"{ENC}sha512": "sha512",
    f"{D[1:-1]}sha1": "sha1",
}
_HASHES: Mapping[str, Any] = {
    "sha1": hashes.SHA1,
    "sha256": hashes.SHA256,
    "sha384": hashes.SHA384,
    "sha512": hashes.SHA512,
}


@functools.cache
def key_of(name: str, kind: str = "rsa2048") -> Key:
    """The key of this name, the same one wherever a test process asks for it."""
    if kind.startswith("rsa"):
        return rsa.generate_private_key(65537, int(kind[3:]))
    return ec.generate_private_key({"p256": ec.SECP256R1, "p192": ec.SECP192R1}[kind]())


def certificate_of(
    key: Key,
    *,
    name: str = "idp.example",
    begins: datetime = NOW - timedelta(days=30),
    ends: datetime = NOW + timedelta(days=365),
) -> x509.Certificate:
    """A self-signed certificate, as identity providers have them; of one key always the same one."""
    serial = int.from_bytes(hashlib.sha256(public_pem(key)).digest()[:8], "big")
    subject = x509.Name.from_rfc4514_string(f"CN={name}")
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(begins)
        .not_valid_after(ends)
        .sign(key, hashes.SHA256(), ecdsa_deterministic=_is_curve(key) or None)
    )


def _is_curve(key: Key) -> bool:
    return isinstance(key, ec.EllipticCurvePrivateKey)


def pem_of(thing: x509.Certificate | Key) -> str:
    """A certificate or a private key, in PEM."""
    if isinstance(thing, x509.Certificate):
        return thing.public_bytes(Encoding.PEM).decode()
    return thing.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def moment(at: datetime | str | None) -> str | None:
    """As `xs:dateTime`; text stays as it is."""
    return at.strftime("%Y-%m-%dT%H:%M:%SZ") if isinstance(at, datetime) else at


@dataclass(frozen=True)
class How:
    """How something is signed."""

    method: str = f"{MORE}rsa-sha256"
    digest: str = f"{ENC}sha256"
    canonicalization: str = EXCLUSIVE
    transforms: Sequence[str] = (ENVELOPED, EXCLUSIVE)
    prefixes: str | None = None
    uri: str | None = None
    """Instead of `#ID`."""
    embeds: x509.Certificate | None = None
    """In KeyInfo."""
    key: Key | bytes | None = None
    """Instead of the identity provider's; bytes are the secret of an HMAC."""
    before_value: Callable[[Element], None] | None = None
    """Changes SignedInfo before it is signed."""


@dataclass(frozen=True)
class Said:
    """Everything a response says; None leaves a thing out."""

    in_response_to: str | None = "id_1"
    confirmed_in_response_to: str | None = "="
    """`=`: the same."""
    now: datetime = NOW
    issuer: str | None = ENTITY_ID
    response_issuer: str | None = ENTITY_ID
    destination: str | None = "acs"
    """`acs`: the connection's own."""
    recipient: str | None = "acs"
    audiences: Sequence[Sequence[str]] = (("=",),)
    """One list for each restriction; `=`: ours."""
    status: Sequence[str] = (f"{STATUSES}:Success",)
    version: str = "2.0"
    assertion_version: str = "2.0"
    issued: datetime | str | None = "now"
    assertion_issued: datetime | str | None = "now"
    not_before: datetime | str | None = NOW - timedelta(minutes=5)
    not_on_or_after: datetime | str | None = NOW + timedelta(minutes=5)
    confirmed_not_before: datetime | str | None = None
    confirmed_not_on_or_after: datetime | str | None = NOW + timedelta(minutes=5)
    confirmation: str = BEARER
    name_id: str | None = "ada-7"
    name_id_format: str | None = f"{FORMATS}:persistent"
    name_qualifier: str | None = None
    sp_name_qualifier: str | None = None
    attributes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    authn_instant: datetime | str | None = NOW - timedelta(minutes=1)
    session_index: str | None = "_session_1"
    session_ends: datetime | str | None = None
    context: str | None = f"{CLASSES}:PasswordProtectedTransport"
    response_id: str = "_response_1"
    assertion_id: str = "_assertion_1"


class SamlIdp:
    """One identity provider: an entity, a key, a certificate."""

    def __init__(
        self, entity_id: str = ENTITY_ID, *, key: Key | None = None, now: datetime = NOW
    ) -> None:
        self.entity_id = entity_id
        self.key = key or key_of("idp")
        month, year = timedelta(days=30), timedelta(days=365)
        self.certificate = certificate_of(self.key, name="idp", begins=now - month, ends=now + year)

    def settings(self, **more: Any) -> dict[str, Any]:
        """What an operator writes to connect it."""
        return {
            "entity_id": self.entity_id,
            "sso_url": SSO_URL,
            "certificates": [pem_of(self.certificate)],
            **more,
        }

    def respond(
        self,
        upstream: Upstream,
        said: Said | None = None,
        *,
        signs: Sequence[str] = ("assertion",),
        how: How | None = None,
        bend: Callable[[Element], None] | None = None,
        **more: Any,
    ) -> str:
        """A signed response as a form field; `bend` changes it before it is signed."""
        root = self.response(upstream, replace(said or Said(), **more))
        if bend is not None:
            bend(root)
        self.sign_parts(root, signs, how)
        return posted(root)

    def sign_parts(self, root: Element, signs: Sequence[str], how: How | None = None) -> None:
        """Sign the assertion, the response, or both, from the inside out."""
        for part in ("assertion", "response"):
            if part in signs:
                self.sign(root if part == "response" else root.find(f"{A}Assertion"), how)

    def response(self, upstream: Upstream, said: Said) -> Element:
        """The unsigned tree."""
        destination = upstream.acs_url if said.destination == "acs" else said.destination
        root = etree.Element(f"{P}Response", nsmap=NAMESPACES)
        _set(root, ID=said.response_id, Version=said.version, Destination=destination)
        _set(root, IssueInstant=_when(said.issued, said), InResponseTo=said.in_response_to)
        if said.response_issuer is not None:
            etree.SubElement(root, f"{A}Issuer").text = said.response_issuer
        code = etree.SubElement(root, f"{P}Status")
        for value in said.status:
            code = etree.SubElement(code, f"{P}StatusCode", Value=value)
        root.append(self.assertion(upstream, said))
        return root

    def assertion(self, upstream: Upstream, said: Said) -> Element:
        """The unsigned assertion by itself."""
        root = etree.Element(f"{A}Assertion", nsmap={"saml": A[1:-1]})
        _set(root, ID=said.assertion_id, Version=said.assertion_version)
        _set(root, IssueInstant=_when(said.assertion_issued, said))
        if said.issuer is not None:
            etree.SubElement(root, f"{A}Issuer").text = said.issuer
        _subject(etree.SubElement(root, f"{A}Subject"), upstream, said)
        conditions = etree.SubElement(root, f"{A}Conditions")
        _set(conditions, NotBefore=moment(said.not_before))
        _set(conditions, NotOnOrAfter=moment(said.not_on_or_after))
        for audiences in said.audiences:
            restriction = etree.SubElement(conditions, f"{A}AudienceRestriction")
            for audience in audiences:
                text = upstream.entity_id if audience == "=" else audience
                etree.SubElement(restriction, f"{A}Audience").text = text
        statement = etree.SubElement(root, f"{A}AuthnStatement")
        _set(statement, AuthnInstant=moment(said.authn_instant), SessionIndex=said.session_index)
        _set(statement, SessionNotOnOrAfter=moment(said.session_ends))
        context = etree.SubElement(statement, f"{A}AuthnContext")
        if said.context is not None:
            etree.SubElement(context, f"{A}AuthnContextClassRef").text = said.context
        if said.attributes:
            _attributes(etree.SubElement(root, f"{A}AttributeStatement"), said.attributes)
        return root

    def sign(self, element: Element, how: How | None = None) -> Element:
        """Put a signature of itself behind the Issuer of an element; the signature."""
        how = how or How()
        signature = self.signature(element, how)
        issuer = element.find(f"{A}Issuer")
        element.insert(0 if issuer is None else 1, signature)
        return signature

    def signature(self, element: Element, how: How) -> Element:
        """A signature of an element that does not have one yet."""
        root = etree.Element(f"{D}Signature", nsmap={"ds": D[1:-1]})
        signed = etree.SubElement(root, f"{D}SignedInfo")
        _with_prefixes(
            etree.SubElement(signed, f"{D}CanonicalizationMethod", Algorithm=how.canonicalization),
            how.canonicalization,
            None,
        )
        etree.SubElement(signed, f"{D}SignatureMethod", Algorithm=how.method)
        uri = f"#{element.get('ID')}" if how.uri is None else how.uri
        reference = etree.SubElement(signed, f"{D}Reference", URI=uri)
        transforms = etree.SubElement(reference, f"{D}Transforms")
        for algorithm in how.transforms:
            made = etree.SubElement(transforms, f"{D}Transform", Algorithm=algorithm)
            _with_prefixes(made, algorithm, how.prefixes)
        etree.SubElement(reference, f"{D}DigestMethod", Algorithm=how.digest)
        digest = hashlib.new(DIGESTS[how.digest], canonical(element, how.prefixes)).digest()
        etree.SubElement(reference, f"{D}DigestValue").text = _b64(digest)
        if how.before_value is not None:
            how.before_value(signed)
        value = self._value(canonical(signed), how)
        etree.SubElement(root, f"{D}SignatureValue").text = _b64(value)
        if how.embeds is not None:
            data = etree.SubElement(etree.SubElement(root, f"{D}KeyInfo"), f"{D}X509Data")
            der = how.embeds.public_bytes(Encoding.DER)
            etree.SubElement(data, f"{D}X509Certificate").text = _b64(der)
        return root

    def _value(self, data: bytes, how: How) -> bytes:
        key = self.key if how.key is None else how.key
        name = next((it for it in _HASHES if how.method.lower().find(it) >= 0), "sha256")
        if isinstance(key, bytes):
            return hmac.digest(key, data, name)
        algorithm = _HASHES[name]()
        if isinstance(key, ec.EllipticCurvePrivateKey):
            made = ec.ECDSA(algorithm, deterministic_signing=True)
            size = (key.key_size + 7) // 8
            numbers = utils.decode_dss_signature(key.sign(data, made))
            return b"".join(number.to_bytes(size, "big") for number in numbers)
        if how.method.endswith("MGF1"):
            pss = padding.PSS(padding.MGF1(algorithm), algorithm.digest_size)
            return key.sign(data, pss, algorithm)
        return key.sign(data, padding.PKCS1v15(), algorithm)

    def metadata(
        self, *, signed: bool = False, bend: Callable[[Element], None] | None = None
    ) -> bytes:
        """What it publishes."""
        md = "{urn:oasis:names:tc:SAML:2.0:metadata}"
        root = etree.Element(f"{md}EntityDescriptor", nsmap={"md": md[1:-1]}, ID="_metadata_1")
        root.set("entityID", self.entity_id)
        role = etree.SubElement(root, f"{md}IDPSSODescriptor", protocolSupportEnumeration=P[1:-1])
        described = etree.SubElement(role, f"{md}KeyDescriptor", use="signing")
        data = etree.SubElement(etree.SubElement(described, f"{D}KeyInfo"), f"{D}X509Data")
        der = self.certificate.public_bytes(Encoding.DER)
        etree.SubElement(data, f"{D}X509Certificate").text = f"\n{_b64(der)}\n"
        bindings = "urn:oasis:names:tc:SAML:2.0:bindings"
        for binding in ("HTTP-POST", "HTTP-Redirect"):
            etree.SubElement(
                role, f"{md}SingleSignOnService", Binding=f"{bindings}:{binding}", Location=SSO_URL
            )
        if bend is not None:
            bend(root)
        if signed:
            self.sign(root)
        return etree.tostring(root)


@dataclass(frozen=True)
class Sealing:
    """How an assertion is encrypted."""

    cipher: str = f"{ENC11}aes256-gcm"
    wrap: str = f"{ENC}rsa-oaep-mgf1p"
    digest: str | None = None
    mask: str | None = None
    outside: bool = False
    """Whether the wrapped key stands beside the data instead of inside."""


def seal(root: Element, public_key: Any, how: Sealing | None = None) -> None:
    """Replace the assertion of a response by what only the holder of a key can read."""
    assertion = root.find(f"{A}Assertion")
    root.replace(assertion, sealed(etree.tostring(assertion, with_tail=False), public_key, how))


def sealed(plain: bytes, public_key: Any, how: Sealing | None = None) -> Element:
    """An EncryptedAssertion of whatever bytes."""
    how = how or Sealing()
    size = {"128": 16, "192": 24, "256": 32}[how.cipher.rpartition("aes")[2][:3]]
    key = os.urandom(size)
    digest = hashes.SHA256() if (how.digest or "").endswith("sha256") else hashes.SHA1()
    mask = hashes.SHA256() if (how.mask or "").endswith("sha256") else hashes.SHA1()
    scheme: Any = padding.OAEP(padding.MGF1(mask), digest, None)
    if "oaep" not in how.wrap:
        scheme = padding.PKCS1v15()
    outer = etree.Element(f"{A}EncryptedAssertion", nsmap={"saml": A[1:-1]})
    data = etree.SubElement(outer, f"{X}EncryptedData", Type=f"{ENC}Element", nsmap={"xenc": ENC})
    etree.SubElement(data, f"{X}EncryptionMethod", Algorithm=how.cipher)
    parent = outer if how.outside else etree.SubElement(data, f"{D}KeyInfo")
    wrapped = etree.SubElement(parent, f"{X}EncryptedKey")
    method = etree.SubElement(wrapped, f"{X}EncryptionMethod", Algorithm=how.wrap)
    if how.digest:
        etree.SubElement(method, f"{D}DigestMethod", Algorithm=how.digest)
    if how.mask:
        etree.SubElement(method, f"{X11}MGF", Algorithm=how.mask)
    _cipher_value(wrapped, public_key.encrypt(key, scheme))
    _cipher_value(data, _encrypted(plain, key, how.cipher))
    return outer


def _encrypted(plain: bytes, key: bytes, cipher: str) -> bytes:
    if cipher.endswith("gcm"):
        nonce = os.urandom(12)
        return nonce + AESGCM(key).encrypt(nonce, plain, None)
    missing = 16 - len(plain) % 16
    vector = os.urandom(16)
    machine = Cipher(algorithms.AES(key), modes.CBC(vector)).encryptor()
    padded = plain + bytes(missing - 1) + bytes([missing])
    return vector + machine.update(padded) + machine.finalize()


def canonical(element: Element, prefixes: str | None = None) -> bytes:
    """Exclusive canonical XML of an element by itself."""
    alone = etree.fromstring(etree.tostring(element, with_tail=False))
    return etree.tostring(
        alone,
        method="c14n",
        exclusive=True,
        with_comments=False,
        inclusive_ns_prefixes=prefixes.split() if prefixes else None,
    )


def posted(root: Element) -> str:
    """As the value of `SAMLResponse`."""
    return _b64(etree.tostring(root))


def read_request(url: str) -> tuple[Element, dict[str, str]]:
    """The AuthnRequest in a URL, and the parameters beside it."""
    parameters = dict(parse_qsl(urlsplit(url).query, strict_parsing=True))
    raw = zlib.decompress(base64.b64decode(parameters["SAMLRequest"], validate=True), wbits=-15)
    return etree.fromstring(raw), parameters


def public_pem(key: Key) -> bytes:
    """A public key as everybody can have it."""
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def _subject(subject: Element, upstream: Upstream, said: Said) -> None:
    if said.name_id is not None:
        name = etree.SubElement(subject, f"{A}NameID")
        name.text = said.name_id
        _set(name, Format=said.name_id_format, NameQualifier=said.name_qualifier)
        _set(name, SPNameQualifier=said.sp_name_qualifier)
    confirmation = etree.SubElement(subject, f"{A}SubjectConfirmation", Method=said.confirmation)
    data = etree.SubElement(confirmation, f"{A}SubjectConfirmationData")
    answered = said.confirmed_in_response_to
    _set(
        data,
        InResponseTo=said.in_response_to if answered == "=" else answered,
        Recipient=upstream.acs_url if said.recipient == "acs" else said.recipient,
        NotBefore=moment(said.confirmed_not_before),
        NotOnOrAfter=moment(said.confirmed_not_on_or_after),
    )


def _attributes(statement: Element, attributes: Mapping[str, Sequence[str]]) -> None:
    for name, values in attributes.items():
        attribute = etree.SubElement(statement, f"{A}Attribute", Name=name)
        for value in values:
            etree.SubElement(attribute, f"{A}AttributeValue").text = value


def _with_prefixes(element: Element, algorithm: str, prefixes: str | None) -> None:
    if prefixes is not None and algorithm == EXCLUSIVE:
        etree.SubElement(
            element,
            f"{{{EXCLUSIVE}}}InclusiveNamespaces",
            {"PrefixList": prefixes},
            nsmap={"ec": EXCLUSIVE},
        )


def _cipher_value(parent: Element, value: bytes) -> None:
    data = etree.SubElement(parent, f"{X}CipherData")
    etree.SubElement(data, f"{X}CipherValue").text = _b64(value)


def _when(at: datetime | str | None, said: Said) -> str | None:
    return moment(said.now if at == "now" else at)


def _set(element: Element, **attributes: str | None) -> None:
    for name, value in attributes.items():
        if value is not None:
            element.set(name, value)


def _b64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()
