import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from authz.errors import InvalidRequest
from authz.oauth import pkce
from authz.oauth.params import MAX_PARAMETERS, MAX_VALUE_CHARS, Params
from tests.support.harness import VERIFIER, challenge


def test_an_empty_value_is_an_absent_one_and_still_counts_as_sent():
    """O21-06."""
    params = Params([("a", ""), ("b", "1"), ("a", "2")])
    assert params.find("a") is None
    assert params.repeated == {"a"}
    with pytest.raises(InvalidRequest, match=r"a parameter is repeated \[parameter_repeated\]"):
        params.refuse_repeated()
    with pytest.raises(InvalidRequest, match=r"c is missing \[c_missing\]"):
        params.require("c")
    assert params.require("b") == "1"


def test_sizes_have_bounds():
    """ATK-63."""
    Params([("a", "x" * MAX_VALUE_CHARS)])
    Params([("assertion", "x" * MAX_VALUE_CHARS * 2)])
    Params((str(n), "") for n in range(MAX_PARAMETERS))
    for name, chars in (("a", MAX_VALUE_CHARS), ("assertion", MAX_VALUE_CHARS * 2)):
        with pytest.raises(InvalidRequest, match=r"a parameter is too long \[parameter_too_long\]"):
            Params([(name, "x" * (chars + 1))])
    with pytest.raises(InvalidRequest, match=r"too many parameters \[parameters_too_many\]"):
        Params((str(n), "") for n in range(MAX_PARAMETERS + 1))


def test_what_a_grant_did_not_declare_is_dropped():
    """RFC 6749 3.2."""
    assert Params([("a", "1"), ("b", "2")]).only(frozenset({"a"})).as_dict() == {"a": "1"}


pairs = st.lists(st.tuples(st.sampled_from("abcd"), st.text(max_size=5)), max_size=8)


@settings(deadline=None)
@given(pairs)
def test_the_first_value_counts_and_every_repetition_is_known(sent):
    """ATK-10."""
    params = Params(sent)
    names = [name for name, _ in sent]
    assert params.repeated == {name for name in names if names.count(name) > 1}
    assert params.as_dict() == dict(reversed(sent))


def test_the_example_of_the_specification():
    """RFC 7636 appendix B."""
    assert challenge(VERIFIER) == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
    assert pkce.matches(VERIFIER, challenge(VERIFIER))


@settings(deadline=None)
@given(st.from_regex(pkce._VERIFIER, fullmatch=True), st.from_regex(pkce._VERIFIER, fullmatch=True))
def test_only_the_verifier_matches_its_challenge(verifier, other):
    """O21-03."""
    made = challenge(verifier)
    assert pkce.is_verifier(verifier)
    assert pkce.is_challenge(made)
    assert pkce.matches(verifier, made)
    assert pkce.matches(other, made) is (other == verifier)
    assert not pkce.matches(made, made)


@pytest.mark.parametrize(
    "text", ["", "a" * 42, "a" * 129, "a" * 43 + "\n", "ä" * 43, "a" * 42 + "=", "a" * 42 + "+"]
)
def test_what_is_no_verifier(text):
    """O21-03."""
    assert not pkce.is_verifier(text)
