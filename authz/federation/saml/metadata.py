"""Metadata, ours and theirs: what an identity provider is told of us, and what an operator imports of it (SAML-09)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cryptography import x509
from lxml import etree

from authz.errors import Invalid
from authz.federation.connector import Tools, Upstream
from authz.federation.saml import settings as saml_settings
from authz.federation.saml.certificates import as_pem, bare, fingerprint, read_certificate
from authz.federation.saml.documents import (
    Element,
    Limits,
    SamlError,
    check_ids,
    parse,
    text_of,
)
from authz.federation.saml.encryption import CIPHERS, OAEP
from authz.federation.saml.names import (
    ENCRYPTION,
    METADATA,
    POST,
    PROTOCOL,
    REDIRECT,
    SIGNATURE,
    ds,
    md,
)
from authz.federation.saml.signatures import signed
from authz.federation.saml.times import read_moment
from authz.net import NetworkError, Profile

METADATA_LIMITS = Limits(max_bytes=1024 * 1024, max_elements=20_000, drops_comments=True)
_KIND = "application/samlmetadata+xml, application/xml, text/xml"


@dataclass(frozen=True)
class IdpMetadata:
    """What is taken from somebody's metadata. How strictly we check them is never among it (CVE-2026-16443)."""

    entity_id: str
    sso_url: str
    certificates: tuple[str, ...]
    valid_until: datetime | None = None

    @property
    def members(self) -> Mapping[str, Any]:
        """Of the settings of a connection."""
        return {
            "entity_id": self.entity_id,
            "sso_url": self.sso_url,
            "certificates": list(self.certificates),
        }


@dataclass(frozen=True)
class Change:
    """One thing that differs, for an operator to read."""

    member: str
    before: str | None
    after: str | None


@dataclass(frozen=True)
class Refreshed:
    """What the metadata says now, and what is new in it; nothing is stored yet."""

    settings: Mapping[str, Any]
    """All settings of the connection, with the members of the metadata put in."""
    changes: tuple[Change, ...]
    valid_until: datetime | None


def sp_metadata(upstream: Upstream) -> bytes:
    """Ours, for this one connection. It holds nothing secret."""
    settings = saml_settings.read(upstream.settings)
    root = etree.Element(
        md("EntityDescriptor"),
        {"entityID": upstream.entity_id},
        nsmap={"md": METADATA, "ds": SIGNATURE, "xenc": ENCRYPTION},
    )
    role = etree.SubElement(
        root,
        md("SPSSODescriptor"),
        {
            "AuthnRequestsSigned": "true" if settings.signing_key else "false",
            "WantAssertionsSigned": "true",
            "protocolSupportEnumeration": PROTOCOL,
        },
    )
    if settings.signing_certificate is not None:
        _key_descriptor(role, "signing", settings.signing_certificate)
    if settings.encryption_certificate is not None:
        described = _key_descriptor(role, "encryption", settings.encryption_certificate)
        for name in (*reversed(CIPHERS), OAEP):
            etree.SubElement(described, md("EncryptionMethod"), {"Algorithm": name})
    if settings.name_id_format is not None:
        etree.SubElement(role, md("NameIDFormat")).text = settings.name_id_format
    etree.SubElement(
        role,
        md("AssertionConsumerService"),
        {"Binding": POST, "Location": upstream.acs_url, "index": "0", "isDefault": "true"},
    )
    return etree.tostring(root, encoding="utf-8", xml_declaration=True, pretty_print=True)


def _key_descriptor(role: Element, use: str, pem: str) -> Element:
    described = etree.SubElement(role, md("KeyDescriptor"), {"use": use})
    data = etree.SubElement(etree.SubElement(described, ds("KeyInfo")), ds("X509Data"))
    etree.SubElement(data, ds("X509Certificate")).text = bare(read_certificate(pem))
    return described


def read_idp_metadata(xml: bytes, now: datetime, *, pinned: str | None = None) -> IdpMetadata:
    """What the metadata of one identity provider says. With `pinned`, it has to be signed with that certificate.

    Raises Invalid with a sentence for the operator.
    """
    try:
        root = parse(xml, METADATA_LIMITS)
        check_ids(root)
        if root.tag != md("EntityDescriptor"):
            raise Invalid("the metadata is not one EntityDescriptor; ask for that of one provider")
        if pinned is not None:
            root = signed(root, [read_certificate(pinned)], now)
        return _read(root, now)
    except SamlError as error:
        raise Invalid(f"the metadata cannot be used: {error.reason}") from None


def _read(root: Element, now: datetime) -> IdpMetadata:
    roles = [
        it
        for it in root
        if it.tag == md("IDPSSODescriptor")
        and PROTOCOL in (it.get("protocolSupportEnumeration") or "").split()
    ]
    if len(roles) != 1:
        raise Invalid("the metadata does not describe one SAML 2.0 identity provider")
    role = roles[0]
    ends = [
        read_moment(it.get("validUntil"), "valid_until")
        for it in (root, role)
        if it.get("validUntil") is not None
    ]
    if any(it <= now for it in ends):
        raise Invalid(f"the metadata was good until {min(ends).isoformat()}; get a newer one")
    places = [
        it.get("Location")
        for it in role
        if it.tag == md("SingleSignOnService") and it.get("Binding") == REDIRECT
    ]
    if len(places) != 1 or not places[0]:
        raise Invalid("the metadata does not name one sign-on URL for the HTTP-Redirect binding")
    found = IdpMetadata(
        entity_id=root.get("entityID") or "",
        sso_url=str(places[0]),
        certificates=tuple(as_pem(it) for it in _signing_certificates(role)),
        valid_until=min(ends, default=None),
    )
    # By the rules of the settings, so that nothing is imported that could not be written.
    saml_settings.check(found.members, "generic")
    return found


def _signing_certificates(role: Element) -> list[x509.Certificate]:
    found: dict[str, x509.Certificate] = {}
    for described in role:
        if described.tag != md("KeyDescriptor") or described.get("use", "signing") != "signing":
            continue
        for element in described.iter(ds("X509Certificate")):
            try:
                certificate = read_certificate(text_of(element, "certificate_malformed"))
            except ValueError as error:
                raise Invalid(f"a signing certificate of the metadata {error}") from None
            found.setdefault(fingerprint(certificate), certificate)
    if not found:
        raise Invalid("the metadata names no signing certificate")
    return list(found.values())


def refresh_idp_metadata(tools: Tools, settings: Mapping[str, Any], now: datetime) -> Refreshed:
    """Fetch the metadata of a connection again, and say what became different. Raises Invalid, NetworkError.

    Another entity is another identity provider, and never a refresh. Certificates are replaced as a whole: one that
    the provider took back is taken back here.
    """
    before = saml_settings.read(settings)
    if before.metadata_url is None:
        raise Invalid("metadata_url is not set for this connection")
    fetched = tools.network.run_blocking(
        tools.network.fetch(
            before.metadata_url,
            profile=Profile.OPERATOR,
            max_bytes=METADATA_LIMITS.max_bytes,
            accept=_KIND,
        )
    )
    if fetched.status != 200:
        raise NetworkError(f"the metadata was answered with {fetched.status}", reason="status")
    found = read_idp_metadata(fetched.body, now, pinned=before.metadata_certificate)
    if found.entity_id != before.entity_id:
        raise Invalid("the metadata is of another entity; add a connection for it instead")
    after = before.model_copy(update={"sso_url": found.sso_url, "certificates": found.certificates})
    return Refreshed(after.model_dump(mode="json"), _changes(before, after), found.valid_until)


def _changes(
    before: saml_settings.SamlSettings, after: saml_settings.SamlSettings
) -> tuple[Change, ...]:
    changes = []
    if before.sso_url != after.sso_url:
        changes.append(Change("sso_url", before.sso_url, after.sso_url))
    old, new = _described(before.trusted), _described(after.trusted)
    changes += [Change("certificates", text, None) for text in old if text not in new]
    changes += [Change("certificates", None, text) for text in new if text not in old]
    return tuple(changes)


def _described(certificates: Sequence[x509.Certificate]) -> list[str]:
    return [
        f"{it.subject.rfc4514_string()}, until {it.not_valid_after_utc.date()}, SHA-256 {fingerprint(it)}"
        for it in certificates
    ]
