"""What has to be signed, with what, and how (SAML-01, SAML-03, ATK-32, ATK-34)."""

import base64
from dataclasses import replace
from datetime import timedelta

import pytest

from tests.support.configured import NOW
from tests.support.saml_idp import (
    DIGESTS,
    ENC,
    ENVELOPED,
    EXCLUSIVE,
    MORE,
    A,
    D,
    How,
    Said,
    SamlIdp,
    certificate_of,
    etree,
    key_of,
    pem_of,
    posted,
    public_pem,
)
from tests.support.saml_sp import Connection

INCLUSIVE = "http://www.w3.org/TR/2001/REC-xml-c14n-20010315"
HOUR = timedelta(hours=1)


@pytest.fixture(scope="module")
def connection():
    return Connection()


@pytest.fixture(scope="module")
def around(connection):
    """The same connection, when the response has to be signed."""
    return connection.with_settings(signed="response")


@pytest.mark.parametrize(
    ("signs", "assertion", "response"),
    [
        ((), "signature_missing", "signature_missing"),
        (("assertion",), "accepted", "signature_missing"),
        (("response",), "signature_missing", "accepted"),
        (("assertion", "response"), "accepted", "accepted"),
    ],
    ids=["none", "assertion", "response", "both"],
)
def test_four_ways_to_sign(connection, around, signs, assertion, response):
    """ATK-32."""
    assert connection.outcome(connection.respond(signs=signs)) == assertion
    assert around.outcome(around.respond(signs=signs)) == response


@pytest.mark.parametrize("part", ["assertion", "response"])
def test_every_signature_that_is_there_has_to_be_right(connection, around, part):
    """One that is asked for and one that is not: a wrong one is a sign of somebody's hand."""
    for asked in (connection, around):
        root = asked.idp.response(asked.upstream, Said())
        asked.idp.sign_parts(root, ("assertion",), _wrong(part == "assertion"))
        asked.idp.sign_parts(root, ("response",), _wrong(part == "response"))
        assert asked.outcome(posted(root)) == "signature_wrong"


def _wrong(is_wrong):
    return How(key=key_of("stranger")) if is_wrong else How()


@pytest.mark.parametrize("path", [f".//{A}NameID", f".//{A}Audience", f"{A}Assertion/{A}Issuer"])
def test_what_was_changed_after_signing(connection, around, path):
    for asked, part in ((connection, "assertion"), (around, "response")):
        root = asked.idp.response(asked.upstream, Said())
        asked.idp.sign_parts(root, (part,))
        root.find(path).text += "x"
        assert asked.outcome(posted(root)) == "signature_digest_wrong"


def test_what_is_around_a_signed_assertion_may_refuse_and_never_admit(connection):
    root = connection.idp.response(connection.upstream, Said(in_response_to="id_2"))
    connection.idp.sign_parts(root, ("assertion",))
    root.set("InResponseTo", "id_1")
    assert connection.outcome(posted(root)) == "in_response_to_mismatch"


def test_a_certificate_that_the_response_brings_is_not_read(connection):
    """SAML-01, CVE-2026-9090: whoever signs can say with which key."""
    stranger = SamlIdp(key=key_of("stranger"))
    how = How(embeds=stranger.certificate)
    assert connection.outcome(stranger.respond(connection.upstream, how=how)) == "signature_wrong"
    assert connection.outcome(connection.respond(how=how)) == "accepted"
    # Nor is what it claims to be signed with.
    how = How(embeds=connection.idp.certificate)
    assert connection.outcome(stranger.respond(connection.upstream, how=how)) == "signature_wrong"


def test_what_stands_in_key_info_is_not_read(connection):
    root = connection.idp.response(connection.upstream, Said())
    connection.idp.sign_parts(root, ("assertion",))
    info = etree.SubElement(root.find(f".//{D}Signature"), f"{D}KeyInfo")
    etree.SubElement(info, f"{D}KeyName").text = "file:///etc/passwd"
    value = etree.SubElement(etree.SubElement(info, f"{D}KeyValue"), f"{D}RSAKeyValue")
    etree.SubElement(value, f"{D}Modulus").text = "AQAB"
    etree.SubElement(value, f"{D}Exponent").text = "AQAB"
    method = etree.SubElement(info, f"{D}RetrievalMethod", URI="https://evil.example/key")
    assert method.get("URI")
    assert connection.outcome(posted(root)) == "accepted"


@pytest.mark.parametrize(
    ("method", "key", "digest"),
    [
        (f"{MORE}rsa-sha256", "idp", f"{ENC}sha256"),
        (f"{MORE}rsa-sha384", "idp", f"{MORE}sha384"),
        (f"{MORE}rsa-sha512", "idp", f"{ENC}sha512"),
        ("http://www.w3.org/2007/05/xmldsig-more#sha256-rsa-MGF1", "idp", f"{ENC}sha256"),
        (f"{MORE}ecdsa-sha256", "curve", f"{ENC}sha256"),
    ],
    ids=["rsa-256", "rsa-384", "rsa-512", "pss", "ecdsa"],
)
def test_algorithms_that_are_good(method, key, digest):
    kind = "p256" if key == "curve" else "rsa2048"
    idp = Connection(SamlIdp(key=key_of(key, kind)))
    assert idp.outcome(idp.respond(how=How(method=method, digest=digest))) == "accepted"


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        (How(method=f"{D[1:-1]}rsa-sha1"), "signature_method_refused"),
        (How(method=f"{D[1:-1]}dsa-sha1"), "signature_method_refused"),
        (How(method="http://www.w3.org/2001/04/xmldsig-more#rsa-md5"), "signature_method_refused"),
        (How(method="none"), "signature_method_refused"),
        (How(digest=f"{D[1:-1]}sha1"), "signature_digest_refused"),
        (How(canonicalization=INCLUSIVE), "signature_canonicalization_refused"),
        (How(canonicalization=f"{EXCLUSIVE}WithComments"), "signature_canonicalization_refused"),
        (How(transforms=(ENVELOPED,)), "signature_transform_refused"),
        (How(transforms=(EXCLUSIVE,)), "signature_transform_refused"),
        (How(transforms=(EXCLUSIVE, ENVELOPED)), "signature_transform_refused"),
        (How(transforms=(ENVELOPED, EXCLUSIVE, EXCLUSIVE)), "signature_transform_refused"),
        (How(transforms=(ENVELOPED, INCLUSIVE)), "signature_transform_refused"),
        (How(transforms=(ENVELOPED, f"{EXCLUSIVE}WithComments")), "signature_transform_refused"),
        (How(transforms=()), "signature_transform_refused"),
        *(
            (How(transforms=(ENVELOPED, name, EXCLUSIVE)), "signature_transform_refused")
            for name in (
                "http://www.w3.org/TR/1999/REC-xslt-19991116",
                "http://www.w3.org/TR/1999/REC-xpath-19991116",
                "http://www.w3.org/2002/06/xmldsig-filter2",
                "http://www.w3.org/2000/09/xmldsig#base64",
                "http://www.w3.org/2002/07/decrypt#XML",
            )
        ),
        (How(uri=""), "signature_of_another_element"),
        (How(uri="_assertion_1"), "signature_of_another_element"),
        (How(uri="##_assertion_1"), "signature_of_another_element"),
        (How(uri="#_response_1"), "signature_of_another_element"),
        (How(uri="#xpointer(id('_assertion_1'))"), "signature_of_another_element"),
        (How(uri="https://idp.example/#_assertion_1"), "signature_of_another_element"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_algorithms_and_references_that_are_not(connection, how, reason):
    """SAML-03, ATK-34: each of them is otherwise a perfect signature."""
    assert connection.outcome(connection.respond(how=how)) == reason


@pytest.mark.parametrize("name", ["hmac-sha256", "hmac-sha1"])
def test_the_public_key_is_no_secret(connection, name):
    """SAML-03: an HMAC under what everybody knows."""
    prefix = D[1:-1] if name.endswith("sha1") else MORE
    for secret in (public_pem(connection.idp.key), pem_of(connection.idp.certificate).encode()):
        sent = connection.respond(how=How(method=f"{prefix}{name}", key=secret))
        assert connection.outcome(sent) == "signature_method_refused"


def test_a_method_has_no_parameters(connection):
    def truncated(signed):
        method = signed.find(f"{D}SignatureMethod")
        etree.SubElement(method, f"{D}HMACOutputLength").text = "1"

    sent = connection.respond(how=How(before_value=truncated))
    assert connection.outcome(sent) == "signature_malformed"


def _attribute(signed):
    signed.find(f".//{D}Transform").set("Parameter", "x")


@pytest.mark.parametrize(
    "how",
    [How(before_value=_attribute), How(prefixes=" ".join(f"a{n}" for n in range(100)))],
    ids=["attribute", "prefixes"],
)
def test_a_transform_has_few_parameters(connection, how):
    """ATK-62: and whoever has signed them."""
    assert connection.outcome(connection.respond(how=how)) == "signature_malformed"


def test_a_signature_is_of_its_schema(connection):
    root = connection.idp.response(connection.upstream, Said())
    connection.idp.sign_parts(root, ("assertion",))
    root.find(f".//{D}Signature").set("other", "x")
    assert connection.outcome(posted(root)) == "signature_malformed"


def test_a_key_is_used_for_its_own_algorithm(connection):
    """An RSA certificate with an ECDSA name on the signature, and the other way round."""
    curve = Connection(SamlIdp(key=key_of("curve", "p256")))
    named = How(method=f"{MORE}rsa-sha256")
    assert curve.outcome(curve.respond(how=named)) == "signature_wrong"
    named = How(method=f"{MORE}ecdsa-sha256")
    assert connection.outcome(connection.respond(how=named)) == "signature_wrong"


def _second_reference(signed):
    reference = signed.find(f"{D}Reference")
    signed.append(etree.fromstring(etree.tostring(reference)))


def _typed_reference(signed):
    signed.find(f"{D}Reference").set("Type", "http://www.w3.org/2000/09/xmldsig#Object")


def _no_reference(signed):
    signed.remove(signed.find(f"{D}Reference"))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (_second_reference, "signature_malformed"),
        (_no_reference, "signature_malformed"),
        (_typed_reference, "signature_of_another_element"),
    ],
    ids=["two", "none", "typed"],
)
def test_one_plain_reference(connection, change, reason):
    assert connection.outcome(connection.respond(how=How(before_value=change))) == reason


@pytest.mark.parametrize("name", ["SignatureValue", "DigestValue"])
@pytest.mark.parametrize("text", ["", "AAAA", "?", "<x/>"])
def test_values_that_are_none(connection, name, text):
    root = connection.idp.response(connection.upstream, Said())
    connection.idp.sign_parts(root, ("assertion",))
    value = root.find(f".//{D}{name}")
    value.text = "" if text == "<x/>" else text
    if text == "<x/>":
        etree.SubElement(value, f"{D}x")
    expected = "signature_wrong" if text == "AAAA" else "signature_malformed"
    assert connection.outcome(posted(root)) == expected


def test_a_signature_twice_is_none(connection):
    root = connection.idp.response(connection.upstream, Said())
    connection.idp.sign_parts(root, ("assertion",))
    signature = root.find(f".//{D}Signature")
    signature.addnext(etree.fromstring(etree.tostring(signature)))
    assert connection.outcome(posted(root)) == "signature_malformed"


def test_prefixes_that_count_are_inherited(connection):
    """Okta and OpenSAML name `xs` in InclusiveNamespaces; it is declared wherever they like."""

    def bend(root):
        value = root.find(f".//{A}AttributeValue")
        value.set("{http://www.w3.org/2001/XMLSchema-instance}type", "xs:string")

    root = connection.idp.response(connection.upstream, Said(attributes={"groups": ["dev"]}))
    text = etree.tostring(root).replace(
        b"<samlp:Response ", b'<samlp:Response xmlns:xs="http://www.w3.org/2001/XMLSchema" ', 1
    )
    root = etree.fromstring(text)
    bend(root)
    assertion = root.find(f"{A}Assertion")
    how = How(prefixes="xs")
    connection.idp.sign(assertion, how)
    connection.idp.sign(root, How())
    wants = frozenset({"groups"})
    finished = connection.finish(posted(root), wants=wants)
    assert finished.identity.claims == {"groups": ("dev",)}


def test_certificates_roll_over(connection):
    """SAML-09: both are believed while both are named, and the old one no longer than that."""
    old, new = SamlIdp(key=key_of("older")), connection.idp
    both = [pem_of(old.certificate), pem_of(new.certificate)]
    changing = connection.with_settings(certificates=both)
    assert changing.outcome(old.respond(changing.upstream)) == "accepted"
    assert changing.outcome(new.respond(changing.upstream)) == "accepted"
    assert connection.outcome(old.respond(connection.upstream)) == "signature_wrong"


def test_a_certificate_has_a_first_and_a_last_day(connection):
    """The decision is in the package's docstring."""
    key = connection.idp.key
    over = certificate_of(key, begins=NOW - 9 * HOUR, ends=NOW - HOUR)
    early = certificate_of(key, begins=NOW + HOUR)
    sent = connection.respond()
    for certificates, outcome in (
        ([over], "certificate_expired"),
        ([early], "certificate_expired"),
        ([over, early], "certificate_expired"),
        ([over, connection.idp.certificate], "accepted"),
    ):
        pinned = connection.with_settings(certificates=[pem_of(it) for it in certificates])
        assert pinned.outcome(sent) == outcome


def test_the_tests_can_sign_with_what_is_refused():
    """Otherwise a refusal would say nothing of the algorithm."""
    assert f"{D[1:-1]}sha1" in DIGESTS
    idp = SamlIdp()
    how = How(method=f"{D[1:-1]}rsa-sha1")
    root = etree.Element("x", ID="_1")
    value = idp.signature(root, how).findtext(f"{D}SignatureValue")
    other = idp.signature(root, replace(how, method=f"{MORE}rsa-sha256"))
    assert len(base64.b64decode(value)) == 256
    assert value != other.findtext(f"{D}SignatureValue")
