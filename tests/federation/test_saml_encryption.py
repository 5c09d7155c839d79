"""Encrypted assertions, and what an attacker learns from sending them back changed: nothing (SAML-10, ATK-35)."""

import base64
import statistics
import time

import pytest

from authz.federation.saml.encryption import REFUSED
from tests.support.saml_idp import (
    ENC,
    ENC11,
    A,
    D,
    Said,
    SamlIdp,
    Sealing,
    X,
    etree,
    key_of,
    posted,
    seal,
    sealed,
)
from tests.support.saml_sp import Connection, encryption, our_key


@pytest.fixture(scope="module")
def connection():
    return Connection(settings=encryption())


def response(connection, how=None, *, signs=("assertion",), to=None, **said):
    """A response with an encrypted assertion that is signed inside."""
    root = connection.idp.response(connection.upstream, Said(**said))
    connection.idp.sign_parts(root, [it for it in signs if it == "assertion"])
    seal(root, (to or our_key()).public_key(), how)
    if "response" in signs:
        connection.idp.sign(root)
    return root


@pytest.mark.parametrize(
    "how",
    [
        Sealing(),
        Sealing(cipher=f"{ENC11}aes128-gcm"),
        Sealing(cipher=f"{ENC11}aes192-gcm", outside=True),
        Sealing(wrap=f"{ENC11}rsa-oaep", digest=f"{ENC}sha256", mask=f"{ENC11}mgf1sha256"),
        Sealing(digest=f"{ENC}sha256"),
        Sealing(digest=f"{D[1:-1]}sha1"),
    ],
    ids=["default", "128", "outside", "oaep-11", "sha256", "sha1"],
)
def test_what_is_read(connection, how):
    identity = connection.finish(posted(response(connection, how))).identity
    assert identity.subject.endswith('"ada-7"]')


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        (Sealing(cipher=f"{ENC}aes256-cbc"), "encryption_algorithm_refused"),
        (Sealing(cipher=f"{ENC}aes128-cbc"), "encryption_algorithm_refused"),
        (Sealing(wrap=f"{ENC}rsa-1_5"), "encryption_algorithm_refused"),
        (
            Sealing(digest="http://www.w3.org/2001/04/xmldsig-more#md5"),
            "encryption_algorithm_refused",
        ),
        (Sealing(mask=f"{ENC11}mgf1sha256"), "encryption_malformed"),
    ],
    ids=["cbc-256", "cbc-128", "pkcs1", "md5", "mask-without-name"],
)
def test_what_is_not(connection, how, reason):
    assert connection.outcome(posted(response(connection, how))) == reason


def test_a_connection_without_a_key_takes_none(connection):
    plain = Connection()
    assert plain.outcome(posted(response(connection))) == "encryption_not_configured"


def test_keys_roll_over(connection):
    changing = Connection(settings=encryption("env:SP", "env:OLD"))
    old = posted(response(connection, to=key_of("old")))
    assert changing.outcome(old) == "accepted"
    assert changing.outcome(posted(response(connection))) == "accepted"
    assert connection.outcome(old) == REFUSED


def test_a_key_that_cannot_be_had_is_our_own_fault(connection):
    unset = Connection(settings=encryption("env:GONE"))
    assert unset.outcome(posted(response(connection))) == "connection_misconfigured"


@pytest.mark.parametrize("signed", ["assertion", "response"])
def test_encrypted_is_not_signed(connection, signed):
    """CVE-2026-2092: anybody can encrypt for us, and sign around it what they cannot read."""
    asked = connection.with_settings(signed=signed)
    assert asked.outcome(posted(response(asked, signs=("response",)))) == "signature_missing"
    both = posted(response(asked, signs=("assertion", "response")))
    assert asked.outcome(both) == "accepted"


def test_what_was_encrypted_is_verified_like_everything_else(connection):
    stranger = SamlIdp(key=key_of("stranger"))
    root = stranger.response(connection.upstream, Said())
    stranger.sign_parts(root, ("assertion",))
    seal(root, our_key().public_key())
    assert connection.outcome(posted(root)) == "signature_wrong"
    assert connection.outcome(posted(response(connection, audiences=()))) == "audience_missing"
    doubled = connection.idp.response(connection.upstream, Said())
    connection.idp.sign_parts(doubled, ("assertion",))
    assertion = doubled.find(f"{A}Assertion")
    assertion.append(etree.fromstring(etree.tostring(assertion).replace(b"_assertion_1", b"_2")))
    seal(doubled, our_key().public_key())
    assert connection.outcome(posted(doubled)) == "assertion_ambiguous"


def _flip(path, byte):
    def change(root):
        value = root.find(path)
        raw = bytearray(base64.b64decode(value.text))
        raw[byte] ^= 1
        value.text = base64.b64encode(raw).decode()

    return change


def _cut(path, size):
    def change(root):
        value = root.find(path)
        value.text = base64.b64encode(base64.b64decode(value.text)[:size]).decode()

    return change


def _inside(plain):
    def change(root):
        root.replace(root.find(f"{A}EncryptedAssertion"), sealed(plain, our_key().public_key()))

    return change


KEY = f".//{X}EncryptedKey/{X}CipherData/{X}CipherValue"
DATA = f".//{X}EncryptedData/{X}CipherData/{X}CipherValue"
PROBES = [
    _flip(KEY, 0),
    _flip(KEY, -1),
    _cut(KEY, 16),
    _cut(KEY, 255),
    _flip(DATA, 0),
    _flip(DATA, 20),
    _flip(DATA, -1),
    _cut(DATA, 12),
    _cut(DATA, 5),
    _inside(b"<"),
    _inside(b""),
    _inside(b"\xff"),
    _inside(b"<!DOCTYPE x><x/>"),
    _inside(b"<Assertion/>"),
    _inside(b"<x><!-- --></x>"),
    _inside(f"<a:Assertion xmlns:a='{A[1:-1]}' ID='_1'><a:x ID='_1'/></a:Assertion>".encode()),
]


@pytest.mark.parametrize("change", PROBES, ids=range(len(PROBES)))
def test_probing_learns_nothing(connection, change):
    """ATK-35: a wrong key, a changed ciphertext and nonsense inside are one and the same, in the log as well."""
    root = response(connection)
    change(root)
    assert connection.outcome(posted(root)) == REFUSED


def test_a_key_that_does_not_unwrap_costs_what_one_that_does_costs(connection):
    """ATK-35: the data is decrypted in both cases, so the time does not tell which step failed."""

    def cost(change):
        root = response(connection)
        change(root)
        sent = posted(root)
        times = []
        for _ in range(25):
            began = time.thread_time()
            assert connection.outcome(sent) == REFUSED
            times.append(time.thread_time() - began)
        return statistics.median(times)

    wrong_key, wrong_data = cost(_flip(KEY, -1)), cost(_flip(DATA, -1))
    assert 0.5 < wrong_key / wrong_data < 2


@pytest.mark.parametrize(
    "bend",
    [
        lambda root: (
            root.find(f".//{X}EncryptionMethod")
            .getparent()
            .remove(root.find(f".//{X}EncryptionMethod"))
        ),
        lambda root: root.find(f".//{X}EncryptedData").append(etree.Element("{urn:x}y")),
        lambda root: root.find(f".//{D}KeyInfo").append(
            etree.fromstring(etree.tostring(root.find(f".//{X}EncryptedKey")))
        ),
        lambda root: root.find(f".//{D}KeyInfo").remove(root.find(f".//{X}EncryptedKey")),
        lambda root: setattr(root.find(KEY), "text", "?"),
    ],
    ids=["method", "extra", "two-keys", "no-key", "base64"],
)
def test_another_shape_is_refused(connection, bend):
    root = response(connection)
    bend(root)
    assert connection.outcome(posted(root)) == "encryption_malformed"


def test_two_encrypted_assertions_are_ambiguous(connection):
    root = response(connection)
    root.append(etree.fromstring(etree.tostring(root.find(f"{A}EncryptedAssertion"))))
    assert connection.outcome(posted(root)) == "assertion_ambiguous"
