"""Encryption at rest (V1, ATK-69)."""

import base64

import pytest

from authz.envelope import Envelope, new_encoded_key
from authz.errors import ConfigurationError

SECRET = b"a secret of some length"


@pytest.fixture
def envelope():
    return Envelope(new_encoded_key())


def test_what_was_sealed_opens(envelope):
    sealed = envelope.seal(SECRET, "kind", "tenant", "row")
    assert envelope.open(sealed, "kind", "tenant", "row") == SECRET
    assert SECRET not in sealed


def test_no_two_sealings_are_alike(envelope):
    assert len({envelope.seal(SECRET, "a") for _ in range(100)}) == 100


@pytest.mark.parametrize(
    "context", [(), ("kind",), ("kind", "tenant", "other"), ("tenant", "kind", "row")]
)
def test_a_ciphertext_that_moved_does_not_open(envelope, context):
    sealed = envelope.seal(SECRET, "kind", "tenant", "row")
    with pytest.raises(ConfigurationError, match="does not open"):
        envelope.open(sealed, *context)


def test_every_flipped_bit_is_noticed(envelope):
    sealed = envelope.seal(SECRET, "kind")
    for index in range(len(sealed)):
        broken = bytearray(sealed)
        broken[index] ^= 1
        with pytest.raises(ConfigurationError):
            envelope.open(bytes(broken), "kind")


@pytest.mark.parametrize("sealed", [b"", b"\x01" + b"x" * 12, b"\x02" + b"x" * 60])
def test_what_was_never_sealed_is_refused(envelope, sealed):
    with pytest.raises(ConfigurationError):
        envelope.open(sealed, "kind")


def test_another_key_does_not_open(envelope):
    sealed = envelope.seal(SECRET, "kind")
    with pytest.raises(ConfigurationError, match=r"keys\.encryption_key"):
        Envelope(new_encoded_key()).open(sealed, "kind")


@pytest.mark.parametrize(
    "key",
    [
        b"",
        b"short",
        base64.b64encode(b"x" * 31),
        base64.b64encode(b"x" * 33),
        b"\xff" * 44,
        b"!" * 44,
    ],
)
def test_a_key_of_another_shape_is_refused_without_being_shown(key):
    """ATK-66, ATK-74."""
    with pytest.raises(ConfigurationError, match="32 bytes in base64") as refused:
        Envelope(key)
    assert not key or key.decode("latin-1") not in str(refused.value)


def test_it_does_not_print_itself(envelope):
    assert repr(envelope) == f"Envelope({envelope.name!r})"
