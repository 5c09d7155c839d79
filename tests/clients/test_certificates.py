"""Certificates as a proxy hands them over: what is read, what is believed of it, and what is compared (RFC 8705)."""

import base64
import contextlib
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given, settings
from hypothesis import strategies as st

from authz.clients.certificates import (
    MAX_HEADER_CHARS,
    Authorities,
    CertificateError,
    carries,
    check_name,
    is_published,
    matches,
    read_certificate,
)
from authz.errors import ConfigurationError
from tests.support.certificates import Authority, dns, email, ip, self_signed, uri, weak_key

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
AUTHORITY = Authority(NOW)
CERTIFICATE = AUTHORITY.issue()
PEM = CERTIFICATE.certificate.public_bytes(Encoding.PEM).decode()


def refused(header, now=NOW):
    with pytest.raises(CertificateError) as caught:
        read_certificate(header, now)
    return caught.value.reason


@pytest.mark.parametrize(
    "header",
    [CERTIFICATE.rfc9440, CERTIFICATE.nginx, PEM, quote(PEM), PEM.replace("\n", "\r\n")],
    ids=["rfc9440", "nginx", "pem", "pem-quoted", "pem-crlf"],
)
def test_what_proxies_send_is_read(header):
    """MTLS-01, MTLS-02: the thumbprint is of the certificate's own bytes."""
    found = read_certificate(header, NOW)
    assert found.der == CERTIFICATE.der
    assert found.thumbprint == CERTIFICATE.thumbprint


@pytest.mark.parametrize(
    "header",
    [
        "x",
        ":",
        "::",
        ":AAAA:",
        ":!!!!:",
        CERTIFICATE.rfc9440[:-1],
        CERTIFICATE.rfc9440[1:],
        "x" + CERTIFICATE.rfc9440[1:],
        CERTIFICATE.rfc9440[:-1] + "x",
        CERTIFICATE.rfc9440.replace("M", "!M", 1),
        "%ff" + quote(PEM),
        CERTIFICATE.rfc9440.replace("=", "")[:-9] + ":",
        f":{base64.b64encode(CERTIFICATE.der + b'x').decode()}:",
        f":{base64.b64encode(CERTIFICATE.der[:-1]).decode()}:",
        f"{CERTIFICATE.rfc9440}, {CERTIFICATE.rfc9440}",
        PEM + PEM,
        "x" + PEM,
        PEM.replace("CERTIFICATE", "PUBLIC KEY"),
        "Hash=abc;Cert=" + quote(PEM),
        "é",
    ],
    ids=range(20),
)
def test_anything_else_is_not(header):
    """MTLS-04, ATK-63: one certificate, whole, and nothing round it."""
    assert refused(header) == "certificate_malformed"


def test_a_header_has_a_limit():
    """ATK-63."""
    assert refused(":" + "A" * MAX_HEADER_CHARS + ":") == "certificate_too_long"


@settings(deadline=None)
@given(
    st.text(max_size=200)
    | st.binary(max_size=200).map(lambda b: f":{base64.b64encode(b).decode()}:")
)
def test_whatever_is_sent_is_refused_with_a_reason(header):
    """ATK-63."""
    assert refused(header) == "certificate_malformed"


@pytest.mark.filterwarnings("ignore")  # the library remarks on oddities that it reads all the same
@pytest.mark.parametrize("bit", [0, 1, 3, 5, 7])
def test_a_certificate_with_a_flipped_bit_vouches_for_nobody(bit):
    """MTLS-01, ATK-63: what is signed stays as it was or is trusted by nobody; no other error wherever the bit is."""
    issued = AUTHORITY.issue(names=NAMES)
    authorities = Authorities((AUTHORITY.certificate,))
    assert authorities.issued(read_certificate(issued.rfc9440, NOW), NOW)
    for at in range(len(issued.der)):
        der = bytearray(issued.der)
        der[at] ^= 1 << bit
        header = f":{base64.b64encode(der).decode()}:"
        with contextlib.suppress(CertificateError):
            found = read_certificate(header, NOW)
            # The count of unused bits before the signature is the one place outside of what is signed.
            same = found.parsed.tbs_certificate_bytes == issued.certificate.tbs_certificate_bytes
            assert same or not authorities.issued(found, NOW), at
            matches(found, {"tls_client_auth_san_dns": "app.example"})
            matches(found, {"tls_client_auth_subject_dn": "CN=app,O=Acme,C=DE"})


def test_a_certificate_counts_while_it_is_valid():
    """MTLS-01: to the second at both ends."""
    header = AUTHORITY.issue(begins=timedelta(0), ends=timedelta(hours=1)).rfc9440
    for good in (NOW, NOW + timedelta(hours=1)):
        assert read_certificate(header, good)
    for bad in (NOW - timedelta(seconds=1), NOW + timedelta(hours=1, seconds=1)):
        assert refused(header, bad) == "certificate_not_valid_now"


def test_a_weak_key_does_not_count():
    """FAPI-06."""
    assert refused(AUTHORITY.issue(key=weak_key()).rfc9440) == "certificate_weak"


@pytest.mark.parametrize(
    ("issued", "is_good"),
    [
        (AUTHORITY.issue(), True),
        (AUTHORITY.issue(is_for=None), True),
        (AUTHORITY.issue(is_for=ExtendedKeyUsageOID.SERVER_AUTH), False),
        (AUTHORITY.issue(is_authority=True), False),
        (Authority(NOW).issue(), False),
        (Authority(NOW, "Another").issue(), False),
        (self_signed(NOW), False),
        (self_signed(NOW, "CN=Test Authority"), False),
    ],
    ids=["client", "any use", "server", "authority", "same name", "another", "self", "self-named"],
)
def test_only_an_authority_vouches(issued, is_good):
    """MTLS-01: by its key, not by its name; for use by clients."""
    found = read_certificate(issued.rfc9440, NOW)
    assert Authorities((AUTHORITY.certificate,)).issued(found, NOW) is is_good
    assert Authorities().issued(found, NOW) is False


def test_an_expired_authority_vouches_for_nobody():
    """MTLS-01."""
    found = read_certificate(AUTHORITY.issue().rfc9440, NOW)
    authorities = Authorities((AUTHORITY.certificate,))
    assert authorities.issued(found, NOW + timedelta(days=3650))
    assert not authorities.issued(found, NOW + timedelta(days=3651))
    assert not authorities.issued(found, NOW - timedelta(days=1))


def test_the_file_of_authorities_is_checked_at_start(tmp_path):
    """MTLS-01: a leaf in it would vouch for nothing, silently."""
    path = tmp_path / "ca.pem"
    for content in ("", "nonsense"):
        path.write_text(content)
        with pytest.raises(ConfigurationError, match="holds no PEM certificates"):
            Authorities.load(path)
    with pytest.raises(ConfigurationError, match="client_certificate_authorities"):
        Authorities.load(tmp_path / "missing.pem")
    path.write_text(PEM)
    with pytest.raises(ConfigurationError, match="CN=app,O=Acme,C=DE"):
        Authorities.load(path)
    assert Authorities.load(AUTHORITY.write(path)).issued(
        read_certificate(CERTIFICATE.rfc9440, NOW), NOW
    )


NAMES = (
    dns("app.example"),
    uri("spiffe://acme/app"),
    ip("192.0.2.7"),
    ip("2001:db8::7"),
    email("app@acme.example"),
)


@pytest.mark.parametrize(
    ("rule", "fits"),
    [
        ({"tls_client_auth_subject_dn": "CN=app,O=Acme,C=DE"}, True),
        ({"tls_client_auth_subject_dn": "CN=app, O=Acme, C=DE"}, False),
        ({"tls_client_auth_subject_dn": "C=DE,O=Acme,CN=app"}, False),
        ({"tls_client_auth_subject_dn": "CN=app,O=Acme"}, False),
        ({"tls_client_auth_subject_dn": "CN=app"}, False),
        ({"tls_client_auth_subject_dn": "CN=App,O=Acme,C=DE"}, False),
        ({"tls_client_auth_subject_dn": "CN=app+O=Acme,C=DE"}, False),
        ({"tls_client_auth_subject_dn": "CN=app,O=Acme,C=DE,C=DE"}, False),
        ({"tls_client_auth_subject_dn": "2.5.4.3=app,O=Acme,C=DE"}, True),
        ({"tls_client_auth_subject_dn": "nonsense"}, False),
        ({"tls_client_auth_subject_dn": ""}, False),
        ({"tls_client_auth_subject_dn": ["CN=app,O=Acme,C=DE"]}, False),
        ({"tls_client_auth_san_dns": "app.example"}, True),
        ({"tls_client_auth_san_dns": "*.example"}, False),
        ({"tls_client_auth_san_dns": "APP.example"}, False),
        ({"tls_client_auth_san_dns": "example"}, False),
        ({"tls_client_auth_san_dns": "app@acme.example"}, False),
        ({"tls_client_auth_san_uri": "spiffe://acme/app"}, True),
        ({"tls_client_auth_san_uri": "spiffe://acme/app/"}, False),
        ({"tls_client_auth_san_uri": "app.example"}, False),
        ({"tls_client_auth_san_ip": "192.0.2.7"}, True),
        ({"tls_client_auth_san_ip": "2001:db8::7"}, True),
        ({"tls_client_auth_san_ip": "192.0.2.8"}, False),
        ({"tls_client_auth_san_email": "app@acme.example"}, True),
        ({"tls_client_auth_san_email": "acme.example"}, False),
        ({}, False),
        ({"tls_client_auth_san_dns": "app.example", "tls_client_auth_san_ip": "192.0.2.7"}, False),
    ],
    ids=str,
)
def test_the_registered_name_is_compared_whole(rule, fits):
    """MTLS-01: exactly one rule, each kind of name for itself, nothing folded."""
    found = read_certificate(AUTHORITY.issue(names=NAMES).rfc9440, NOW)
    assert matches(found, rule) is fits


def test_a_certificate_without_names_has_none():
    """MTLS-01."""
    found = read_certificate(AUTHORITY.issue().rfc9440, NOW)
    assert not matches(found, {"tls_client_auth_san_dns": "app.example"})


@pytest.mark.parametrize(
    ("name", "value", "is_good"),
    [
        ("tls_client_auth_subject_dn", "CN=app,O=Acme\\, Inc.,C=DE", True),
        ("tls_client_auth_subject_dn", "app", False),
        ("tls_client_auth_subject_dn", "", False),
        ("tls_client_auth_san_dns", "app.example", True),
        ("tls_client_auth_san_dns", "app\x00.example", False),
        ("tls_client_auth_san_ip", "192.0.2.7", True),
        ("tls_client_auth_san_ip", "2001:DB8::7", False),
        ("tls_client_auth_san_ip", "app", False),
    ],
)
def test_a_name_that_could_never_match_is_not_registered(name, value, is_good):
    """MTLS-01."""
    if is_good:
        check_name(name, value)
        return
    with pytest.raises(ValueError, match=r"^(it has|write it|'app')"):
        check_name(name, value)


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("tls_client_auth_san_dns", "", "it has 1 to 1024 printable characters"),
        ("tls_client_auth_san_dns", "x" * 1025, "it has 1 to 1024 printable characters"),
        ("tls_client_auth_san_uri", "x\x7f", "it has 1 to 1024 printable characters"),
        ("tls_client_auth_subject_dn", "app", "write it CN=app,O=Acme,C=DE (RFC 4514)"),
        ("tls_client_auth_san_ip", "2001:DB8::7", "write it 2001:db8::7"),
    ],
)
def test_a_name_is_refused_with_what_to_write(name, value, sentence):
    """MTLS-01."""
    with pytest.raises(ValueError, match=r"^(it has|write it)") as refused:
        check_name(name, value)
    assert str(refused.value) == sentence


def test_the_longest_name_is_registered():
    """MTLS-01: and only an address is read as one."""
    check_name("tls_client_auth_san_dns", "x" * 1024)
    check_name("tls_client_auth_san_uri", "2001:DB8::7")


def test_a_refusal_and_a_certificate_print_what_logs_may_hold():
    """MTLS-02, ATK-66: a reason, a thumbprint."""
    with pytest.raises(CertificateError) as refused_one:
        read_certificate("x", NOW)
    assert str(refused_one.value) == "certificate_malformed"
    found = read_certificate(CERTIFICATE.rfc9440, NOW)
    assert repr(found) == f"Certificate('{CERTIFICATE.thumbprint}')"


def test_a_header_of_the_longest_length_is_read():
    """ATK-63: the bound is on what was sent, before anything is looked at."""
    padded = CERTIFICATE.rfc9440.ljust(MAX_HEADER_CHARS)
    assert read_certificate(padded, NOW).der == CERTIFICATE.der
    assert refused(padded + " ") == "certificate_too_long"


def test_an_rsa_key_of_2048_bits_counts():
    """FAPI-06."""
    strong = rsa.generate_private_key(65537, 2048)
    assert read_certificate(AUTHORITY.issue(key=strong).rfc9440, NOW)


def test_an_authority_counts_while_it_is_valid():
    """MTLS-01: to the second at both ends."""
    found = read_certificate(CERTIFICATE.rfc9440, NOW)
    authorities = Authorities((AUTHORITY.certificate,))
    begins = AUTHORITY.certificate.not_valid_before_utc
    ends = AUTHORITY.certificate.not_valid_after_utc
    second = timedelta(seconds=1)
    moments = (begins - second, begins, ends, ends + second)
    assert [authorities.issued(found, at) for at in moments] == [False, True, True, False]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("", "{path} holds no PEM certificates: "),
        (PEM, "'CN=app,O=Acme,C=DE' is not the certificate of an authority"),
    ],
    ids=["empty", "leaf"],
)
def test_a_file_of_authorities_is_refused_by_its_setting(tmp_path, content, sentence):
    """MTLS-01: at start, and the setting is named."""
    path = tmp_path / "ca.pem"
    path.write_text(content)
    with pytest.raises(ConfigurationError) as caught:
        Authorities.load(path)
    prefix = "server.client_certificate_authorities: "
    assert str(caught.value).startswith(prefix + sentence.format(path=path))
    assert "None" not in str(caught.value)


OTHER = AUTHORITY.issue()


def key_with(chain):
    """A key as a client publishes it, with this `x5c`."""
    [members] = CERTIFICATE.jwks["keys"]
    members = {name: value for name, value in members.items() if name != "x5c"}
    return _Published({**members, **({} if chain is None else {"x5c": chain})})


class _Published:
    def __init__(self, members):
        self.members = members

    def as_dict(self, *, private):
        assert private is False
        return self.members


def text(issued):
    return base64.b64encode(issued.der).decode()


@pytest.mark.parametrize(
    ("chain", "is_carried"),
    [
        ([text(CERTIFICATE)], True),
        ([text(CERTIFICATE), text(OTHER)], True),
        ([text(OTHER), text(CERTIFICATE)], False),
        ([text(OTHER)], False),
        ([], False),
        (None, False),
        (text(CERTIFICATE), False),
        ([7], False),
        (["!"], False),
        (["é"], False),
        ([text(CERTIFICATE) + "\n"], False),
    ],
    ids=range(11),
)
def test_a_published_certificate_is_compared_whole(chain, is_carried):
    """MTLS-01, RFC 8705 §2.2.2: the first of `x5c`, as standard base64 and nothing round it."""
    found = read_certificate(CERTIFICATE.rfc9440, NOW)
    assert carries(key_with(chain), found) is is_carried
    assert is_published(found, [key_with([text(OTHER)]), key_with(chain)]) is is_carried
    assert is_published(found, []) is False
