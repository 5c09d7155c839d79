"""What an operator may write about a SAML connection, and what each mistake is answered with."""

import subprocess
import sys
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519

from authz.errors import Invalid
from authz.federation.saml_presets import PERSISTENT, PRESETS
from tests.support.configured import NOW
from tests.support.saml_idp import SamlIdp, certificate_of, key_of, pem_of
from tests.support.saml_sp import Connection, encryption, signing


@pytest.fixture(scope="module")
def connector():
    return Connection().connector


@pytest.fixture(scope="module")
def good():
    return SamlIdp().settings()


def test_what_is_not_said_is_what_is_careful(connector, good):
    stored = connector.check(good, "generic")
    assert stored["signed"] == "assertion"
    assert stored["unsolicited"] is False
    assert stored["email_is_verified"] is False
    assert stored["name_id_format"] == PERSISTENT
    assert stored["subject_attribute"] is None
    # What is stored is what would be stored again.
    assert connector.check(stored, "generic") == stored


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_a_preset_is_a_beginning(connector, good, preset):
    stored = connector.check(good, preset)
    assert stored["email_attribute"] == PRESETS[preset].email
    assert stored["subject_attribute"] == PRESETS[preset].subject
    other = connector.check({**good, "email_attribute": "m", "subject_attribute": None}, preset)
    assert (other["email_attribute"], other["subject_attribute"]) == ("m", None)


def test_certificates_may_be_pasted_as_consoles_show_them(connector, good):
    pem = good["certificates"][0]
    bare = "".join(pem.split("\n")[1:-2])
    for text in (bare, f"\n{pem}\n", pem.replace("\n", "\r\n")):
        assert connector.check({**good, "certificates": [text]}, "generic")["certificates"] == [pem]


def _ed25519():
    key = ed25519.Ed25519PrivateKey.generate()
    name = x509.Name.from_rfc4514_string("CN=idp.example")
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).serial_number(1)
    builder = builder.public_key(key.public_key()).not_valid_before(NOW)
    return pem_of(builder.not_valid_after(NOW + timedelta(days=1)).sign(key, None))


def _with(**changed):
    return lambda good: {**good, **changed}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (_with(entity_id=""), "entity_id"),
        (_with(entity_id="x" * 1025), "entity_id"),
        (_with(entity_id=" https://idp.example"), "entity_id has characters that nobody sees"),
        (_with(entity_id="https://idp.example\u200b"), "entity_id has characters"),
        (lambda good: {n: v for n, v in good.items() if n != "entity_id"}, "entity_id is missing"),
        (_with(sso_url="http://idp.example/sso"), "sso_url is not an https URL"),
        (_with(sso_url="javascript:alert(1)"), "sso_url"),
        (_with(sso_url="https://user@idp.example/"), "sso_url"),
        (_with(sso_url="https://idp.example/#x"), "sso_url has a fragment"),
        (_with(certificates=[]), "certificates"),
        (_with(certificates=["x"]), "certificates.0 is not one X.509 certificate"),
        (_with(certificates=["QUJD"]), "certificates.0 is not one X.509 certificate"),
        (_with(certificates=["-----BEGIN PRIVATE KEY-----"]), "certificates.0 is not one"),
        (lambda good: {**good, "certificates": good["certificates"] * 11}, "certificates"),
        (
            lambda good: {**good, "certificates": ["".join(good["certificates"] * 2)]},
            "certificates.0 is not one X.509 certificate",
        ),
        (
            lambda good: {**good, "certificates": [pem_of(certificate_of(key_of("w", "rsa1024")))]},
            "certificates.0 has a weak or unusual key",
        ),
        (
            lambda good: {**good, "certificates": [pem_of(certificate_of(key_of("w", "p192")))]},
            "certificates.0 has a weak or unusual key",
        ),
        (
            lambda good: {**good, "certificates": [_ed25519()]},
            "certificates.0 has a weak or unusual key",
        ),
        (_with(signed="nothing"), "signed"),
        (_with(signed=False), "signed"),
        (_with(unsolicited="false"), "unsolicited"),
        (_with(email_is_verified=1), "email_is_verified"),
        (_with(wantAssertionsSigned=False), "wantAssertionsSigned is not a setting of SAML"),
        (_with(signing_key="env:SP"), "signing_key and signing_certificate go together"),
        (_with(decryption_keys=["env:SP"]), "decryption_keys and encryption_certificate go"),
        (_with(metadata_url="http://idp.example/"), "metadata_url is not an https URL"),
        (
            lambda good: {**good, "metadata_certificate": good["certificates"][0]},
            "metadata_certificate goes with metadata_url",
        ),
        (_with(subject_attribute=""), "subject_attribute"),
    ],
    ids=range(28),
)
def test_a_mistake_is_named(connector, good, change, sentence):
    with pytest.raises(Invalid) as refused:
        connector.check(change(good), "generic")
    assert str(refused.value).startswith(sentence)


def test_an_unknown_preset_is_named(connector, good):
    with pytest.raises(
        Invalid, match=r"preset 'onelogin' is not one of generic, adfs, entra, okta"
    ):
        connector.check(good, "onelogin")


@pytest.mark.parametrize("name", ["signing_key", "decryption_keys"])
def test_a_secret_is_never_written_into_the_settings(connector, good, name):
    secret = pem_of(key_of("sp"))
    value = [secret] if name == "decryption_keys" else secret
    with pytest.raises(Invalid) as refused:
        connector.check({**good, **signing(), **encryption(), name: value}, "generic")
    assert "is not a secret reference" in str(refused.value)
    assert "PRIVATE" not in str(refused.value)


def test_loopback_needs_no_tls(connector, good):
    """For a test identity provider on the same machine."""
    assert connector.check({**good, "sso_url": "http://127.0.0.1:8080/sso"}, "generic")


@pytest.mark.parametrize("package", ["lxml", "signxml"])
def test_without_its_packages_the_kind_is_one_clear_error(package):
    """The extra `saml` is optional; what is missing is named, and nothing else of the server minds."""
    code = f"""
import sys
sys.modules[{package!r}] = None
from authz.errors import ConfigurationError
from authz.federation.registry import Connectors
try:
    Connectors(None).of("saml")
except ConfigurationError as error:
    print(error)
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert f"need the package {package}" in ran.stdout
    assert "extra saml" in ran.stdout
