"""The approval file of a plan."""

from datetime import UTC, datetime, timedelta

import pytest

from authz.errors import Invalid
from authz.policy.code import approval

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
DIGEST = f"sha256:{'a' * 64}"
BY, AT = "ada@corp.example", "2026-03-01T13:00:00+01:00"
GOOD = f"plan: {DIGEST}\napproved_by: {BY}\napproved_at: {AT}\n"


def test_an_approval_says_who_when_and_which_plan():
    assert approval.read(GOOD, NOW) == approval.Approval(DIGEST, BY, NOW)


@pytest.mark.parametrize("by", ["a", "a" * 254])
def test_whoever_approved_has_a_name_of_any_usual_length(by):
    assert approval.read(GOOD.replace(BY, f" {by} "), NOW).approved_by == by


def test_the_clocks_of_two_machines_may_differ_by_five_minutes():
    early = NOW - timedelta(minutes=5)
    assert approval.read(GOOD, early).approved_at == NOW
    with pytest.raises(Invalid, match="`approved_at` is in the future"):
        approval.read(GOOD, early - timedelta(microseconds=1))


def test_the_moment_is_recorded_in_utc_wherever_the_server_stands(elsewhere):
    assert approval.read(GOOD, NOW).approved_at.isoformat() == "2026-03-01T12:00:00+00:00"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "the approval file is empty"),
        (" " * 1_000_001, "the approval file has 1000001 characters"),
        ("- a", "line 1: the approval file: names with values are expected here"),
        (GOOD + "note: x\n", "line 4: the approval file has the unknown key 'note'"),
        (GOOD.partition("\n")[2], "line 1: the approval file has no `plan`"),
        (GOOD.replace(DIGEST, "[]"), "line 1: `plan`: a word is expected here"),
        (GOOD.replace("sha256:", "md5:"), "line 1: `plan` is 'md5:aaa"),
        (GOOD.replace(DIGEST, DIGEST + "a"), f"line 1: `plan` is '{DIGEST}a', not a digest"),
        (GOOD.replace(DIGEST, f"'{DIGEST} '"), f"line 1: `plan` is '{DIGEST} ', not a digest"),
        (GOOD.replace(BY, "[]"), "line 2: `approved_by`: a word is expected here"),
        (GOOD.replace(BY, "' '"), "line 2: `approved_by` says who"),
        (GOOD.replace(BY, "a" * 255), "line 2: `approved_by` says who"),
        (GOOD.replace(BY, '"a\\nb"'), "line 2: `approved_by` says who"),
        (GOOD.replace("+01:00", ""), "line 3: `approved_at` is '2026-03-01T13:00:00'; write"),
        (GOOD.replace(AT, "noon"), "line 3: `approved_at` is 'noon'; write"),
        (
            GOOD.replace(AT, "0001-01-01T00:00:00+01:00"),
            "line 3: `approved_at` is '0001-01-01T00:00:00+01:00'; write",
        ),
        (GOOD.replace("+01:00", "-01:00"), "line 3: `approved_at` is in the future"),
        (GOOD.replace(AT, "[]"), "line 3: `approved_at` is ''; write"),
    ],
)
def test_an_approval_that_says_less_is_none(text, said):
    with pytest.raises(Invalid) as caught:
        approval.read(text, NOW)
    assert str(caught.value).startswith(said)
