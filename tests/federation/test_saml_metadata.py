"""Metadata: ours as an identity provider reads it, and theirs as an operator imports and refreshes it (SAML-09)."""

import json
from datetime import timedelta

import pytest

from authz.errors import Invalid
from authz.federation.saml import read_idp_metadata, refresh_idp_metadata, sp_metadata
from authz.federation.saml.certificates import fingerprint
from authz.net import NetworkError
from tests.support.configured import NOW
from tests.support.saml_idp import (
    ENTITY_ID,
    SSO_URL,
    D,
    SamlIdp,
    certificate_of,
    etree,
    key_of,
    moment,
    pem_of,
)
from tests.support.saml_sp import Connection, encryption, signing, tools
from tests.support.web import FakeWeb, Reply

MD = "{urn:oasis:names:tc:SAML:2.0:metadata}"
ROLE = f"{MD}IDPSSODescriptor"
KIND = {"Content-Type": "application/samlmetadata+xml"}


def test_ours_says_where_answers_go_and_what_they_have_to_be():
    connection = Connection()
    root = etree.fromstring(sp_metadata(connection.upstream))
    assert root.get("entityID") == connection.upstream.entity_id
    role = root.find(f"{MD}SPSSODescriptor")
    assert role.get("WantAssertionsSigned") == "true"
    assert role.get("AuthnRequestsSigned") == "false"
    service = role.find(f"{MD}AssertionConsumerService")
    assert service.get("Location") == connection.upstream.acs_url
    assert service.get("Binding").endswith(":HTTP-POST")
    assert role.find(f"{MD}KeyDescriptor") is None


def test_ours_carries_certificates_and_no_reference():
    connection = Connection(settings={**signing(), **encryption()})
    raw = sp_metadata(connection.upstream)
    root = etree.fromstring(raw)
    role = root.find(f"{MD}SPSSODescriptor")
    assert role.get("AuthnRequestsSigned") == "true"
    uses = {it.get("use"): it for it in role.iterfind(f"{MD}KeyDescriptor")}
    assert set(uses) == {"signing", "encryption"}
    shown = uses["signing"].findtext(f".//{D}X509Certificate")
    stored = connection.upstream.settings["signing_certificate"]
    assert shown == "".join(stored.split("\n")[1:-2])
    offered = [it.get("Algorithm") for it in uses["encryption"].iterfind(f"{MD}EncryptionMethod")]
    assert not any("cbc" in it or "1_5" in it for it in offered)
    assert any("gcm" in it for it in offered)
    assert b"env:" not in raw


def test_theirs_is_entity_address_and_certificates():
    idp = SamlIdp()
    found = read_idp_metadata(idp.metadata(), NOW)
    assert found.members == {
        "entity_id": ENTITY_ID,
        "sso_url": SSO_URL,
        "certificates": [pem_of(idp.certificate)],
    }
    assert found.valid_until is None
    connection = Connection()
    stored = connection.connector.check(found.members, "generic")
    assert stored == connection.upstream.settings


def _set(path, **attributes):
    def bend(root):
        found = root if path == "." else root.find(path)
        for name, value in attributes.items():
            found.set(name, value)

    return bend


def _remove(path):
    def bend(root):
        for found in root.findall(path):
            found.getparent().remove(found)

    return bend


def _twice(path):
    def bend(root):
        found = root.find(path)
        found.addnext(etree.fromstring(etree.tostring(found)))

    return bend


def _weak(root):
    certificate = certificate_of(key_of("w", "rsa1024"))
    root.find(f".//{D}X509Certificate").text = "".join(pem_of(certificate).split("\n")[1:-2])


def _renamed(root):
    root.tag = f"{MD}EntitiesDescriptor"


@pytest.mark.parametrize(
    ("bend", "sentence"),
    [
        (_renamed, "the metadata is not one EntityDescriptor"),
        (_set(".", entityID=""), "entity_id"),
        (_set(".", validUntil=moment(NOW)), "the metadata was good until"),
        (_set(ROLE, validUntil=moment(NOW - timedelta(days=1))), "the metadata was good until"),
        (_set(".", validUntil="tomorrow"), "the metadata cannot be used: valid_until"),
        (_remove(ROLE), "the metadata does not describe one SAML 2.0 identity provider"),
        (_twice(ROLE), "the metadata does not describe one SAML 2.0 identity provider"),
        (_set(ROLE, protocolSupportEnumeration="urn:x"), "the metadata does not describe one"),
        (_remove(f".//{MD}SingleSignOnService"), "the metadata does not name one sign-on URL"),
        (_twice(f".//{MD}SingleSignOnService[2]"), "the metadata does not name one sign-on URL"),
        (_set(f".//{MD}SingleSignOnService[2]", Location="http://idp.example"), "sso_url"),
        (_set(f".//{MD}SingleSignOnService[2]", Location="javascript:1"), "sso_url"),
        (_remove(f".//{MD}KeyDescriptor"), "the metadata names no signing certificate"),
        (_set(f".//{MD}KeyDescriptor", use="encryption"), "the metadata names no signing"),
        (_weak, "a signing certificate of the metadata has a weak or unusual key"),
    ],
    ids=range(15),
)
def test_what_cannot_be_imported_is_named(bend, sentence):
    with pytest.raises(Invalid) as refused:
        read_idp_metadata(SamlIdp().metadata(bend=bend), NOW)
    assert str(refused.value).startswith(sentence)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"<!DOCTYPE x [<!ENTITY e SYSTEM 'file:///etc/passwd'>]><x>&e;</x>", "xml_dtd"),
        (b"not xml", "xml_malformed"),
        (b"<x xmlns='r'/>", "xml_relative_namespace"),
        (b"<x>" + b" " * 1024 * 1024 + b"</x>", "xml_too_large"),
        (b"<x>" + b"<y/>" * 20_000 + b"</x>", "xml_too_many"),
    ],
    ids=["dtd", "text", "namespace", "size", "elements"],
)
def test_metadata_is_parsed_like_everything_else(raw, reason):
    with pytest.raises(Invalid, match=f"^the metadata cannot be used: {reason}$"):
        read_idp_metadata(raw, NOW)


def test_comments_of_people_are_read_over():
    raw = (
        SamlIdp().metadata().replace(b"<ds:X509Certificate>", b"<ds:X509Certificate><!-- ours -->")
    )
    assert raw.startswith(b"<md:")
    raw = b"<?xml version='1.0'?>\n<!-- ours -->\n<?xml-stylesheet href='x'?>" + raw
    assert read_idp_metadata(raw, NOW).entity_id == ENTITY_ID


def test_several_certificates_are_taken_for_a_rollover():
    old, new = SamlIdp(key=key_of("older")), SamlIdp()

    def bend(root):
        described = root.find(f".//{MD}KeyDescriptor")
        del described.attrib["use"]
        more = etree.fromstring(etree.tostring(described))
        bare = "".join(pem_of(new.certificate).split("\n")[1:-2])
        more.find(f".//{D}X509Certificate").text = bare
        described.addnext(more)
        more.addnext(etree.fromstring(etree.tostring(described)))

    found = read_idp_metadata(old.metadata(bend=bend), NOW)
    assert found.certificates == (pem_of(old.certificate), pem_of(new.certificate))


def test_a_pin_is_what_metadata_has_to_be_signed_with():
    idp, stranger = SamlIdp(), SamlIdp(key=key_of("stranger"))
    pinned = pem_of(idp.certificate)
    assert read_idp_metadata(idp.metadata(signed=True), NOW, pinned=pinned).entity_id == ENTITY_ID
    for raw, reason in (
        (idp.metadata(), "signature_missing"),
        (stranger.metadata(signed=True), "signature_wrong"),
        (
            idp.metadata(signed=True).replace(b"idp.example/sso", b"evil.example/sso"),
            "signature_digest_wrong",
        ),
    ):
        with pytest.raises(Invalid, match=f"^the metadata cannot be used: {reason}$"):
            read_idp_metadata(raw, NOW, pinned=pinned)


def test_what_is_imported_of_a_signed_document_is_what_was_signed():
    """The metadata's own wrapping: a second role in front, outside of what the signature covers."""
    idp = SamlIdp()
    root = etree.fromstring(idp.metadata(signed=True))
    wrapper = etree.fromstring(SamlIdp(key=key_of("stranger")).metadata())
    wrapper.set("ID", "_evil")
    wrapper.append(root)
    with pytest.raises(Invalid, match=r"signature_missing$"):
        read_idp_metadata(etree.tostring(wrapper), NOW, pinned=pem_of(idp.certificate))


@pytest.fixture
def web():
    with FakeWeb() as made:
        yield made


def connected(web, **settings):
    url = web.url("idp.example", "/metadata")
    connection = Connection(settings={"metadata_url": url, **settings})
    return connection, tools(web.network())


def refreshed(web, raw, **settings):
    web.serve("idp.example", Reply(200, raw, KIND))
    connection, found = connected(web, **settings)
    return connection, refresh_idp_metadata(found, connection.upstream.settings, NOW)


def test_a_refresh_that_finds_nothing_new_says_so(web):
    connection, found = refreshed(web, SamlIdp().metadata())
    assert found.changes == ()
    assert found.settings == connection.upstream.settings
    assert web.requests[0].headers["accept"].startswith("application/samlmetadata+xml")


def test_a_refresh_shows_an_operator_what_is_different(web):
    old, new = SamlIdp(), SamlIdp(key=key_of("newer"))
    until = NOW + timedelta(days=7)

    def bend(root):
        root.set("validUntil", moment(until))
        root.find(f".//{MD}SingleSignOnService[2]").set("Location", "https://idp.example/new")

    connection, found = refreshed(web, new.metadata(bend=bend))
    told = [(it.member, it.before, it.after) for it in found.changes]
    assert told[0] == ("sso_url", SSO_URL, "https://idp.example/new")
    assert told[1][0] == told[2][0] == "certificates"
    assert fingerprint(old.certificate) in told[1][1]
    assert fingerprint(new.certificate) in told[2][2]
    assert (told[1][2], told[2][1]) == (None, None)
    assert found.valid_until == until
    # It can be stored as it is, and then the new key counts and the old one does not.
    assert json.loads(json.dumps(found.settings)) == found.settings
    changed = connection.with_settings(**found.settings)
    assert changed.outcome(new.respond(changed.upstream)) == "accepted"
    assert changed.outcome(old.respond(changed.upstream)) == "signature_wrong"


def test_a_refresh_never_touches_what_we_demand(web):
    """CVE-2026-16443: an import once switched the signature checks off."""

    def bend(root):
        role = root.find(ROLE)
        role.set("WantAuthnRequestsSigned", "false")
        role.set("WantAssertionsSigned", "false")
        extensions = etree.Element(f"{MD}Extensions")
        etree.SubElement(extensions, "{urn:x}signed").text = "nothing"
        role.insert(0, extensions)

    demanding = {"signed": "response", **signing(), **encryption(), "email_attribute": "mail"}
    connection, found = refreshed(web, SamlIdp().metadata(bend=bend), **demanding)
    before = connection.upstream.settings
    same = set(before) - {"sso_url", "certificates"}
    assert {name: found.settings[name] for name in same} == {name: before[name] for name in same}
    assert found.settings["signed"] == "response"


def test_another_entity_is_not_a_refresh(web):
    with pytest.raises(Invalid, match="of another entity"):
        refreshed(web, SamlIdp("https://other.example/saml").metadata())


def test_a_refresh_demands_the_pinned_signature(web):
    idp = SamlIdp()
    pin = {"metadata_certificate": pem_of(idp.certificate)}
    assert refreshed(web, idp.metadata(signed=True), **pin)[1].changes == ()
    with pytest.raises(Invalid, match="signature_missing"):
        refreshed(web, idp.metadata(), **pin)


def test_without_an_address_there_is_nothing_to_fetch():
    connection = Connection()
    with pytest.raises(Invalid, match="metadata_url is not set"):
        refresh_idp_metadata(tools(), connection.upstream.settings, NOW)


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (Reply(404), "status"),
        (Reply(302, b"", {"Location": "https://evil.example/"}), "status"),
        (Reply(200, b"x" * (1024 * 1024 + 1)), "too_large"),
    ],
    ids=["missing", "redirect", "size"],
)
def test_a_fetch_is_bounded_and_follows_nobody(web, reply, reason):
    web.serve("idp.example", reply)
    connection, found = connected(web)
    with pytest.raises(NetworkError) as failed:
        refresh_idp_metadata(found, connection.upstream.settings, NOW)
    assert failed.value.reason == reason
    assert web.count("evil.example") == 0


@pytest.mark.parametrize(
    "url", ["https://169.254.169.254/metadata", "https://[fe80::1]/metadata", "https://0.0.0.0/"]
)
def test_the_fetcher_does_not_go_where_it_must_not(url):
    """ATK-47."""
    connection = Connection(settings={"metadata_url": url})
    with pytest.raises(NetworkError) as failed:
        refresh_idp_metadata(tools(), connection.upstream.settings, NOW)
    assert failed.value.reason == "address_refused"
