"""The hash chain as pure functions: a head commits to everything before it (item 11)."""

import hashlib
from dataclasses import fields
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authz.audit import events
from authz.audit.chain import GENESIS, Gap, Head, append, first_fault, head_mac
from authz.audit.events import Event, FamilyRevoked, SessionEnded

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
KEY = b"k" * 32


def some(count):
    made = [
        FamilyRevoked(subject=f"usr_{n}", grant_id=f"grt_{n}", reason="x") for n in range(count)
    ]
    return append(made, Head(), tenant_id="ten_1", strand="main", at=NOW)


def as_rows(links):
    return [(link.position, link.body, link.hash) for link in links]


def test_the_documented_formula():
    links, head = some(2)
    before = GENESIS
    for number, link in enumerate(links, start=1):
        assert link.position == number
        before = hashlib.sha256(f"{before}\n{link.body}".encode()).hexdigest()
        assert link.hash == before
    assert head == Head(2, before)


def test_appending_in_two_steps_is_appending_at_once():
    both, end = some(2)
    first, head = append(
        [FamilyRevoked(subject="usr_0", grant_id="grt_0", reason="x")],
        Head(),
        tenant_id="ten_1",
        strand="main",
        at=NOW,
    )
    second, head = append(
        [FamilyRevoked(subject="usr_1", grant_id="grt_1", reason="x")],
        head,
        tenant_id="ten_1",
        strand="main",
        at=NOW,
    )
    assert [*first, *second] == both
    assert head == end


def test_a_whole_strand_holds():
    links, head = some(10)
    assert first_fault(iter(as_rows(links)), head) is None
    assert first_fault(iter([]), Head()) is None


@given(st.integers(1, 12), st.data())
def test_the_first_bad_position_is_named(count, data):
    """Edit, delete, truncate, reorder: whatever happens at n, n is the answer (item 11)."""
    links, head = some(count)
    rows = as_rows(links)
    n = data.draw(st.integers(0, count - 1))
    position, body, hash_ = rows[n]
    kind = data.draw(st.sampled_from(["body", "hash", "delete", "truncate", "swap"]))
    if kind == "body":
        rows[n] = (position, body.replace("usr_", "usr-"), hash_)
    elif kind == "hash":
        rows[n] = (position, body, hash_[::-1])
    elif kind == "delete":
        del rows[n]
    elif kind == "truncate":
        del rows[n:]
    else:
        other = data.draw(st.integers(0, count - 1).filter(lambda o: o != n)) if count > 1 else n
        if other == n:
            return
        n, other = sorted((n, other))
        rows[n], rows[other] = (
            (rows[n][0], *rows[other][1:]),
            (rows[other][0], *rows[n][1:]),
        )
    fault = first_fault(iter(rows), head)
    assert fault is not None
    assert fault[0] == n + 1


@pytest.mark.parametrize("is_at_the_end", [False, True])
def test_removed_events_that_are_none_lead_nowhere(is_at_the_end):
    """An intruder's row would send the reader back to where it is for ever (ATK-67)."""
    links, head = some(2)
    place = 2 if is_at_the_end else 1
    gap = Gap(links[place - 1].hash, Head(place, links[place - 1].hash))
    found = first_fault(iter(as_rows(links)), head, {place + 1: gap})
    assert found == (place, "what was removed behind it is nothing")


def test_a_head_binds_tenant_strand_position_and_hash():
    head = Head(3, "a" * 64)
    macs = {
        head_mac(KEY, "ten_1", "main", head),
        head_mac(b"j" * 32, "ten_1", "main", head),
        head_mac(KEY, "ten_2", "main", head),
        head_mac(KEY, "ten_1", "lane_x", head),
        head_mac(KEY, "ten_1", "main", Head(4, "a" * 64)),
        head_mac(KEY, "ten_1", "main", Head(3, "b" * 64)),
    }
    assert len(macs) == 6


def test_hostile_text_stays_inside_its_field():
    """ATK-67: a newline or quote in a value is escaped, so no event can look like two."""
    hostile = 'a\nb","kind":"token.issued\x00\u2028'
    links, _ = append([SessionEnded(subject=hostile)], Head(), tenant_id="t", strand="main", at=NOW)
    body = links[0].body
    assert "\n" not in body
    assert body.isascii()
    assert body.count('"kind":"') == 1


def all_events():
    return [
        kind for kind in vars(events).values() if isinstance(kind, type) and issubclass(kind, Event)
    ]


@pytest.mark.parametrize("kind", [k for k in all_events() if k is not Event])
def test_every_event_keeps_subject_client_and_agent_apart(kind):
    """S1, S9, M8: three fields, each explicit."""
    names = {f.name for f in fields(kind)}
    assert {"subject", "client", "agent", "actor"} <= names
    assert kind.kind.count(".") == 1


def test_kinds_are_single():
    kinds = [kind.kind for kind in all_events() if kind is not Event]
    assert len(set(kinds)) == len(kinds)
