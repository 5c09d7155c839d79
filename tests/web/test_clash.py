"""What two people typed at once, line by line."""

import pytest

from authz.web.console.clash import MOST_COMPARED, Clash

MANY = [f"theirs {n}" for n in range(MOST_COMPARED + 1)]


def rows(theirs, yours):
    return Clash("uris", "Addresses", "", "\n".join(theirs), "\r\n".join(yours)).lines


@pytest.mark.parametrize(
    ("theirs", "yours", "told"),
    [
        ("a", "b", ""),
        ("ab", "ab", "=a =b"),
        ("abc", "axc", "=a -b +x =c"),
        ("abcd", "acde", "=a -b =c =d +e"),
        ("ab", "", "-a -b"),
        ("aab", "ab", "=a -a =b"),
    ],
)
def test_lines_are_of_both_or_of_one(theirs, yours, told):
    sign = {"both": "=", "theirs": "-", "yours": "+"}
    assert " ".join(sign[whose] + line for whose, line in rows(theirs, yours)) == told


def test_of_too_many_lines_both_are_shown_whole():
    found = rows(["first", *MANY, "last"], ["first", MANY[7], "mine", "last"])
    assert [line for whose, line in found if whose != "yours"] == ["first", *MANY, "last"]
    assert [it for it in found if it[0] != "theirs"] == [
        ("both", "first"),
        ("yours", MANY[7]),
        ("yours", "mine"),
        ("both", "last"),
    ]
