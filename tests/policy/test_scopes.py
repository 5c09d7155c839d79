"""The grammar of scope strings (ATJ-07, ATK-57)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authz.policy.scopes import (
    MAX_CHARS,
    MAX_SCOPES,
    PROTOCOL_SCOPES,
    is_scope_name,
    parse_scope,
)

LONGEST = " ".join(["x" * 127] * (MAX_CHARS // 128 - 1) + ["y" * 128])


@pytest.mark.parametrize(
    ("text", "scopes"),
    [
        ("a", {"a"}),
        ("a b", {"a", "b"}),
        ("a a", {"a"}),
        ("logs.read tools:call/x-y_z", {"logs.read", "tools:call/x-y_z"}),
        ("!#[]~", {"!#[]~"}),
        (LONGEST, {"x" * 127, "y" * 128}),
        (" ".join(f"s{n}" for n in range(MAX_SCOPES)), {f"s{n}" for n in range(MAX_SCOPES)}),
    ],
)
def test_what_a_request_may_say(text, scopes):
    assert parse_scope(text) == scopes


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        " a",
        "a ",
        "a  b",
        "a\tb",
        "a\nb",
        'a"b',
        "a\\b",
        "a\x00",
        "a\x7f",
        "ä",
        "a\u00a0b",
        "a\u2003b",
        "x" * 129,
        "x " * 2048 + "y",
        " ".join(f"s{n}" for n in range(MAX_SCOPES + 1)),
        "a" * (MAX_CHARS + 1),
        LONGEST + " z",
    ],
)
def test_what_it_may_not(text):
    """A tool named `x admin` or `x"` or with a Unicode space cannot become a second scope."""
    with pytest.raises(ValueError, match=r"^scope is (too long|malformed)$"):
        parse_scope(text)


@given(st.text(max_size=60))
def test_every_token_of_an_accepted_text_is_in_it_as_it_stands(text):
    try:
        scopes = parse_scope(text)
    except ValueError:
        return
    assert scopes == set(text.split(" "))
    assert all(token.isascii() and token.isprintable() for token in scopes)


@pytest.mark.parametrize("name", ["a", "logs.read", "A-1_b:c/d", "x" * 128, "0"])
def test_names_a_server_may_declare(name):
    assert is_scope_name(name)


@pytest.mark.parametrize(
    "name",
    ["", "*", "logs.*", ".a", "-a", "a b", "a\n", 'a"', "ä", "x" * 129, *sorted(PROTOCOL_SCOPES)],
)
def test_names_it_may_not(name):
    """S6, ATK-57: no wildcard, no protocol scope."""
    assert not is_scope_name(name)


@given(st.text(max_size=140))
def test_a_declared_name_can_always_be_asked_for(name):
    if is_scope_name(name):
        assert parse_scope(name) == {name}
