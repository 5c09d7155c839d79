"""User codes as people type them, and what may leave through the device grant (pure)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authz import entropy
from authz.oauth.devices import ceiling, shown_user_code, user_code_digest
from authz.policy import Reason
from authz.policy.snapshot import Resource, Scope

separators = st.text("- .\u2013_", max_size=2)


@given(st.text(entropy.USER_CODE_LETTERS, min_size=8, max_size=8), st.data())
def test_every_spelling_of_a_code_is_the_same_code(letters, data):
    """RFC 8628 §6.1: case and separators do not matter."""
    typed = "".join(
        data.draw(separators) + data.draw(st.sampled_from([letter, letter.lower()]))
        for letter in letters
    )
    assert user_code_digest(typed) == entropy.digest(letters)
    assert shown_user_code(typed) == f"{letters[:4]}-{letters[4:]}"


@given(st.text(max_size=40))
def test_anything_typed_is_a_code_of_eight_letters_or_none(typed):
    shown = shown_user_code(typed)
    assert (user_code_digest(typed) is None) == (shown == "")
    if shown:
        assert set(shown.replace("-", "")) <= set(entropy.USER_CODE_LETTERS)
        assert len(shown) == 9


@pytest.mark.parametrize(
    "typed", ["", "BCDF-GHJ", "BCDF-GHJKL", "BCDF-GHJA", "BCDF-GHJ1", "-" * 33]
)
def test_what_cannot_be_a_code_is_none(typed):
    assert user_code_digest(typed) is None
    assert shown_user_code(typed) == ""


@pytest.mark.parametrize("typed", ["bcdfghjk", "BCDF-GHJK", "BCDF-GHJK".ljust(32, "-")])
def test_a_code_is_shown_as_the_device_shows_it(typed):
    """RFC 8628 §3.3.1: in two halves, whatever stands between them."""
    assert shown_user_code(typed) == "BCDF-GHJK"
    assert user_code_digest(typed) == entropy.digest("BCDFGHJK")


@given(
    st.text(entropy.USER_CODE_LETTERS, min_size=8, max_size=8),
    st.text(entropy.USER_CODE_LETTERS, min_size=8, max_size=8),
)
def test_two_codes_never_share_a_digest(left, right):
    assert (user_code_digest(left) == user_code_digest(right)) is (left == right)


def test_what_is_destructive_stays_below_the_ceiling():
    """DEV-03."""
    made = [Scope("a", risk="read"), Scope("b", risk="write"), Scope("c", risk="destructive")]
    resource = Resource(
        "res", "https://a.example", "https://a.example", "A", scopes={s.name: s for s in made}
    )
    bound = ceiling(resource)
    assert (bound.reason, bound.scopes) == (Reason.DEVICE_CEILING, {"a", "b"})
