"""What may be required of a sign-in (S15), what it means, and what two requirements are together."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authz.directory.assurance import MFA, PASSWORD, UNKNOWN_TIME, Authentication
from authz.errors import Invalid
from authz.policy.requirements import (
    Requirement,
    as_json,
    both,
    is_acr,
    is_implied,
    parse,
    read_recorded,
    unmet,
    ways_to_meet,
)

NOW = datetime(2026, 1, 2, tzinfo=UTC)
TICK = timedelta(microseconds=1)
MINUTE = timedelta(minutes=1)
ACRS, PLACES, AGES = ("a", "b", "c"), ("local", "okta", "entra"), (60, 120, 3600)
requirements = st.none() | st.builds(
    Requirement,
    acr=st.none() | st.frozensets(st.sampled_from(ACRS)),
    max_age=st.none() | st.sampled_from(AGES),
    connection=st.none() | st.frozensets(st.sampled_from(PLACES)),
).filter(lambda it: it != Requirement())
sign_ins = st.tuples(
    st.builds(
        Authentication,
        st.sampled_from([NOW - timedelta(seconds=age) for age in (0, 60, 61, 120, 3600, 3601)]),
        st.none() | st.sampled_from(ACRS),
    ),
    st.sampled_from(PLACES),
) | st.just((None, None))


def met(requirement, sign_in):
    return requirement is None or unmet(requirement, *sign_in, NOW) is None


# -- reading ----------------------------------------------------------------------------------------------

LONG = "a" * 128


@pytest.mark.parametrize(
    ("value", "read", "written"),
    [
        ({"acr": "phr"}, Requirement(acr=frozenset({"phr"})), {"acr": ["phr"]}),
        ({"acr": ["b", "a"]}, Requirement(acr=frozenset({"a", "b"})), {"acr": ["a", "b"]}),
        ({"acr": [f"!#[]~{LONG[5:]}"]}, Requirement(acr=frozenset({f"!#[]~{LONG[5:]}"})), None),
        ({"max_age": 60}, Requirement(max_age=60), {"max_age": 60}),
        ({"max_age": 31_622_400}, Requirement(max_age=31_622_400), None),
        (
            {"connection": "local"},
            Requirement(connection=frozenset({"local"})),
            {"connection": ["local"]},
        ),
        (
            {"connection": ["okta", "entra-1"], "acr": ["a"], "max_age": 300},
            Requirement(frozenset({"a"}), 300, frozenset({"okta", "entra-1"})),
            {"acr": ["a"], "max_age": 300, "connection": ["entra-1", "okta"]},
        ),
        ({"acr": [str(n) for n in range(20)]}, None, None),
    ],
)
def test_what_is_read(value, read, written):
    """S15: and it is written as it was read."""
    found = parse(value)
    assert read in (None, found)
    assert parse(as_json(found)) == found
    assert written in (None, as_json(found))


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (None, "an object with some of acr, max_age and connection"),
        ({}, "an object with some of acr, max_age and connection"),
        ([], "an object with some of acr, max_age and connection"),
        ("acr", "an object with some of acr, max_age and connection"),
        ({"acr": "a", "amr": "b"}, "unknown member 'amr'"),
        ({"acr": None}, "`acr` in `requires` holds 1 to 20 values"),
        ({"acr": []}, "`acr` in `requires` holds 1 to 20 values"),
        ({"acr": {"a": 1}}, "`acr` in `requires` holds 1 to 20 values"),
        ({"acr": [str(n) for n in range(21)]}, "`acr` in `requires` holds 1 to 20 values"),
        ({"acr": ["a", "a"]}, "`acr` in `requires` holds a value twice"),
        ({"acr": [1]}, "1 in `requires` is not an acr"),
        ({"acr": ""}, "'' in `requires` is not an acr"),
        ({"acr": "a b"}, "'a b' in `requires` is not an acr"),
        ({"acr": 'a"'}, "is not an acr"),
        ({"acr": "a\\"}, "is not an acr"),
        ({"acr": "é"}, "is not an acr"),
        ({"acr": "a\n"}, "is not an acr"),
        ({"acr": f"{LONG}a"}, "is not an acr"),
        ({"max_age": 59}, "`max_age` in `requires` is 59; 60 to 31622400 seconds"),
        ({"max_age": 31_622_401}, "60 to 31622400 seconds"),
        ({"max_age": -60}, "60 to 31622400 seconds"),
        ({"max_age": True}, "`max_age` in `requires` is True"),
        ({"max_age": 60.0}, "`max_age` in `requires` is 60.0"),
        ({"max_age": "60"}, "`max_age` in `requires` is '60'"),
        ({"max_age": None}, "`max_age` in `requires` is None"),
        ({"connection": []}, "`connection` in `requires` holds 1 to 20 values"),
        ({"connection": "Okta"}, "'Okta' in `requires` is not the slug of a connection"),
        ({"connection": "-"}, "is not the slug of a connection"),
        ({"connection": ["okta", "okta"]}, "`connection` in `requires` holds a value twice"),
    ],
)
def test_what_is_refused(value, sentence):
    with pytest.raises(Invalid) as refusal:
        parse(value)
    assert sentence in str(refusal.value)
    about_one = isinstance(value, dict) and len(value) == 1
    assert refusal.value.field == (next(iter(value)) if about_one else "")


@pytest.mark.parametrize(
    ("requirement", "told"),
    [
        (Requirement(max_age=300), "signed in 300 seconds ago at most"),
        (
            Requirement(frozenset({"b", "a"}), 60, frozenset({"okta", "local"})),
            "acr a or b, signed in 60 seconds ago at most, through local or okta",
        ),
        (Requirement(frozenset(), None, frozenset()), "acr of no kind, through nobody"),
    ],
)
def test_how_it_is_told(requirement, told):
    assert str(requirement) == told


# -- meaning ----------------------------------------------------------------------------------------------

EVERYTHING = Requirement(frozenset({"mfa", "key"}), 60, frozenset({"okta", "local"}))


@pytest.mark.parametrize(
    ("requirement", "authentication", "connection", "lacking"),
    [
        (EVERYTHING, Authentication(NOW - MINUTE, "mfa"), "okta", None),
        (EVERYTHING, Authentication(NOW, "key"), "local", None),
        (EVERYTHING, Authentication(NOW + MINUTE, "key"), "local", None),
        (EVERYTHING, Authentication(NOW - MINUTE - TICK, "mfa"), "okta", "authentication_too_old"),
        (EVERYTHING, Authentication(UNKNOWN_TIME, "mfa"), "okta", "authentication_too_old"),
        (EVERYTHING, Authentication(UNKNOWN_TIME, "pwd"), "okta", "acr_insufficient"),
        (EVERYTHING, Authentication(NOW, "MFA"), "okta", "acr_insufficient"),
        (EVERYTHING, Authentication(NOW, None), "okta", "acr_insufficient"),
        (EVERYTHING, Authentication(UNKNOWN_TIME, None), "entra", "connection_not_allowed"),
        (EVERYTHING, Authentication(NOW, "mfa"), None, "connection_not_allowed"),
        (EVERYTHING, None, None, "connection_not_allowed"),
        (Requirement(acr=frozenset({"mfa"})), None, None, "acr_insufficient"),
        (Requirement(max_age=60), None, None, "authentication_too_old"),
        (Requirement(acr=frozenset()), Authentication(NOW, "a"), "okta", "acr_insufficient"),
        (
            Requirement(connection=frozenset()),
            Authentication(NOW, "a"),
            "okta",
            "connection_not_allowed",
        ),
    ],
)
def test_what_a_sign_in_lacks(requirement, authentication, connection, lacking):
    """S15, M7: exact names, no leeway in time, and nothing for nobody."""
    assert unmet(requirement, authentication, connection, NOW) == lacking


@pytest.mark.parametrize(
    ("one", "other", "together"),
    [
        (Requirement(max_age=60), Requirement(max_age=120), Requirement(max_age=60)),
        (
            Requirement(frozenset({"a", "b"}), None, frozenset({"okta"})),
            Requirement(frozenset({"b", "c"}), 60),
            Requirement(frozenset({"b"}), 60, frozenset({"okta"})),
        ),
        (
            Requirement(connection=frozenset({"okta"})),
            Requirement(connection=frozenset({"entra"})),
            Requirement(connection=frozenset()),
        ),
        (Requirement(max_age=60), None, Requirement(max_age=60)),
        (None, None, None),
    ],
)
def test_several_requirements_are_one(one, other, together):
    """S15: those that contradict each other are met by nobody."""
    assert both(one, other) == both(other, one) == together


@given(requirements, requirements, sign_ins)
def test_both_are_met_by_whoever_meets_each(one, other, sign_in):
    assert met(both(one, other), sign_in) is (met(one, sign_in) and met(other, sign_in))
    assert both(one, other) == both(other, one)


@given(requirements, requirements, requirements)
def test_requirements_add_up_in_any_order(one, other, third):
    assert both(both(one, other), third) == both(one, both(other, third))
    assert both(one, one) == one


@given(requirements, requirements, sign_ins)
def test_who_meets_more_meets_less(one, other, sign_in):
    assert is_implied(None, one)
    assert is_implied(one, both(one, other))
    if is_implied(one, other) and met(other, sign_in):
        assert met(one, sign_in)


@pytest.mark.parametrize(
    ("requirement", "connections", "ways"),
    [
        (Requirement(max_age=60), (), {"local"}),
        (Requirement(max_age=60), ("okta",), {"local", "okta"}),
        (Requirement(acr=frozenset({PASSWORD, "phr"})), (), {"local"}),
        (Requirement(acr=frozenset({MFA})), (), set()),
        (Requirement(acr=frozenset({MFA})), ("okta",), {"okta"}),
        (Requirement(acr=frozenset()), ("okta",), set()),
        (Requirement(connection=frozenset({"okta"})), (), set()),
        (Requirement(connection=frozenset({"okta"})), ("entra",), set()),
        (Requirement(connection=frozenset({"okta", "entra"})), ("entra",), {"entra"}),
        (Requirement(connection=frozenset({"local"})), ("okta",), {"local"}),
        (Requirement(frozenset({MFA}), None, frozenset({"local"})), ("okta",), set()),
        (Requirement(frozenset({MFA}), None, frozenset({"local", "okta"})), ("okta",), {"okta"}),
        (Requirement(connection=frozenset()), ("okta",), set()),
    ],
)
def test_where_a_sign_in_could_do(requirement, connections, ways):
    """SUA-01: nobody is asked to sign in for nothing. The local directory knows passwords alone."""
    assert ways_to_meet(requirement, connections) == ways


@pytest.mark.parametrize(
    ("text", "may_be_one"),
    [(PASSWORD, True), ("0", True), ("a b", False), ("", False), ("a\x7f", False), ('"', False)],
)
def test_names_that_a_request_and_a_challenge_can_carry(text, may_be_one):
    """RFC 9470 section 3."""
    assert is_acr(text) is may_be_one


@pytest.mark.parametrize(
    "requirement",
    [
        Requirement(),
        Requirement(acr=frozenset({"a", "b"})),
        Requirement(acr=frozenset()),
        Requirement(max_age=60),
        Requirement(connection=frozenset({"okta"})),
        Requirement(frozenset({"a"}), 60, frozenset()),
    ],
    ids=str,
)
def test_what_was_recorded_is_read_again(requirement):
    """Item 4: also what nobody meets, which nobody could write."""
    assert read_recorded(as_json(requirement)) == requirement
