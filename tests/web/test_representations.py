"""Entity tags and the conditions that name them (RFC 9110 §8.8.3, §13.1), by table (pure)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authz.web.api.problems import Refused
from authz.web.api.representations import check_seen, is_known, shown

NOW = shown({"name": "x", "count": 1})


def refusal(if_match, *, may_see=True):
    with pytest.raises(Refused) as refused:
        check_seen(if_match, NOW, may_see=may_see)
    return refused.value


@pytest.mark.parametrize(
    "if_match", ["*", " * ", NOW.tag, f'"a", {NOW.tag}', f"{NOW.tag},", f' {NOW.tag} , "b"']
)
def test_who_saw_it_may_change_it(if_match):
    check_seen(if_match, NOW, may_see=True)


@pytest.mark.parametrize(
    ("if_match", "status"),
    [
        (None, 428),
        ('"a"', 412),
        (f"W/{NOW.tag}", 412),
        ("", 412),
        ('""', 412),
        (NOW.tag.strip('"'), 400),
        ("'a'", 400),
        ('"a" "b"', 400),
        ('"a', 400),
    ],
)
def test_who_did_not_may_not(if_match, status):
    assert refusal(if_match).status == status


def test_what_there_is_is_told_to_who_may_read():
    assert refusal('"a"').more == {"current": {"name": "x", "count": 1}}
    assert refusal('"a"').headers == {"etag": NOW.tag}
    assert refusal('"a"', may_see=False).more == {}


@pytest.mark.parametrize(
    ("if_none_match", "known"),
    [(None, False), ("*", True), (NOW.tag, True), (f"W/{NOW.tag}", True), ('"a"', False)],
)
def test_what_is_known_is_compared_weakly(if_none_match, known):
    assert is_known(if_none_match, NOW) is known


def test_a_tag_is_of_what_is_shown_and_of_nothing_else():
    assert shown({"a": 1, "b": 2}, frozenset({"b"})).tag == shown({"a": 1}).tag
    assert shown({"a": 1}).tag != shown({"a": 2}).tag


@given(st.text(max_size=40))
def test_a_condition_is_a_condition_or_refused(header):
    try:
        check_seen(header, NOW, may_see=False)
        status = 200
    except Refused as error:
        status = error.status
    assert status in ((200,) if header.strip() == "*" or NOW.tag in header else (400, 412))
