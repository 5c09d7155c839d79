"""Randomness, digests and MACs (O21-15, STK-02)."""

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authz import entropy

KEY = bytes(range(32))


@pytest.mark.parametrize(("make", "length"), [(entropy.new_token, 43), (entropy.new_id, 22)])
def test_fresh_values_never_repeat_and_are_url_safe(make, length):
    """O21-15: 256 bits for what is presented, 128 for what is shown."""
    made = [make("pre") for _ in range(2000)]
    assert len(set(made)) == 2000
    for text in made:
        prefix, _, rest = text.partition("_")
        assert (prefix, len(rest)) == ("pre", length)
        assert rest.replace("-", "").replace("_", "").isalnum()


def test_a_user_code_is_readable_and_uses_all_its_letters():
    """DEV-02, RFC 8628 §6.1: twenty letters at eight places, no vowel and so no word, none for another."""
    made = [entropy.new_user_code() for _ in range(2000)]
    assert len(set(made)) == 2000
    letters = [code.replace("-", "") for code in made]
    assert all(len(code) == 9 and code[4] == "-" for code in made)
    assert len(entropy.USER_CODE_LETTERS) == 20
    assert not set(entropy.USER_CODE_LETTERS) & set("AEIOUY01")
    for place in range(8):
        assert {code[place] for code in letters} == set(entropy.USER_CODE_LETTERS)


def test_bits_are_balanced():
    """A generator that is stuck or biased in any byte shows within a thousand keys."""
    keys = [entropy.new_key() for _ in range(1000)]
    assert {len(key) for key in keys} == {32}
    for position in range(32):
        assert len({key[position] for key in keys}) > 200


def test_a_digest_is_sha_256():
    assert entropy.digest("abc") == hashlib.sha256(b"abc").hexdigest()


@given(st.text(), st.text())
def test_equal_is_equality_for_any_text(left, right):
    try:
        left.encode(), right.encode()
    except UnicodeEncodeError:
        return
    assert entropy.equal(left, right) is (left == right)


def test_a_mac_is_hmac_sha_256():
    import base64

    tag = hmac.digest(KEY, b"a\x00b", "sha256")
    assert entropy.mac(KEY, "a", "b") == base64.urlsafe_b64encode(tag).rstrip(b"=").decode()


@given(
    st.lists(
        st.text(st.characters(exclude_characters="\x00", codec="utf-8")), min_size=1, max_size=4
    ),
    st.data(),
)
def test_no_two_lists_of_parts_share_a_mac(parts, data):
    """Moving the border between two parts makes another MAC."""
    joined = "".join(parts)
    cut = data.draw(st.integers(0, len(joined)))
    other = [joined[:cut], joined[cut:]]
    assert (entropy.mac(KEY, *parts) == entropy.mac(KEY, *other)) is (parts == other)


def test_nul_cannot_move_the_border():
    with pytest.raises(ValueError, match="NUL"):
        entropy.mac(KEY, "a\x00b")


def test_a_derived_identifier_is_the_same_for_the_same_parts():
    """decisions.md (Subjects): of its own kind, and as long as any."""
    made = entropy.derived_id("wkl", "tru_1", "router")
    assert made == entropy.derived_id("wkl", "tru_1", "router")
    assert len(made) == len(entropy.new_id("wkl"))
    others = [("tru_1r", "outer"), ("tru_1", "router", ""), ("router", "tru_1")]
    assert len({made, *(entropy.derived_id("wkl", *parts) for parts in others)}) == 4
    with pytest.raises(ValueError, match="NUL"):
        entropy.derived_id("wkl", "a\x00b")


def test_identifiers_made_together_are_as_random_as_those_made_apart():
    together = [name for _ in range(50) for name in entropy.new_ids("at", "grt", "s")]
    assert {name.partition("_")[0] for name in together} == {"at", "grt", "s"}
    assert {len(name.partition("_")[2]) for name in together} == {22}
    assert len({name.partition("_")[2] for name in together}) == 150
    assert entropy.new_ids() == []
