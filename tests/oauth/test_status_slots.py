"""Places in token status lists: each for one token, and nothing to be read from them (TSL-03)."""

from datetime import timedelta

import pytest

from authz.oauth.status_slots import MAX_AGE, SIZE, KeptSlot, StatusSlots, uri_of
from tests.support.configured import ISSUER, NOW


def test_every_place_once():
    """TSL-03: drawn without putting back, to the last one; then another list."""
    slots = StatusSlots()
    drawn = [slots.draw("res", NOW) for _ in range(SIZE + 1)]
    first = drawn[:SIZE]
    assert {it.list_id for it in first} == {first[0].list_id}
    places = [it.place for it in first]
    assert sorted(places) == list(range(SIZE))
    # In no order: who comes after whom is nobody's business.
    assert places not in (list(range(SIZE)), list(reversed(range(SIZE))))
    assert drawn[SIZE].list_id != first[0].list_id


@pytest.mark.parametrize(
    ("later", "is_same"),
    [
        (MAX_AGE / 2, True),
        (MAX_AGE - timedelta(microseconds=1), True),
        (MAX_AGE, False),
    ],
)
def test_a_list_is_left_behind_after_an_hour(later, is_same):
    slots = StatusSlots()
    first = slots.draw("res", NOW)
    assert (slots.draw("res", NOW + later).list_id == first.list_id) is is_same


def test_each_server_and_each_process_has_its_own():
    """One server does not learn how many tokens another gets, and processes need not ask each other."""
    one, other = StatusSlots(), StatusSlots()
    drawn = [one.draw("res", NOW), one.draw("other", NOW), other.draw("res", NOW)]
    assert len({it.list_id for it in drawn}) == 3
    assert all(it.list_id.startswith("stl_") for it in drawn)
    assert uri_of(ISSUER, "stl_1") == f"{ISSUER}/status/stl_1"


def test_a_request_that_is_decided_again_keeps_its_place():
    kept = KeptSlot(StatusSlots())
    first = kept.draw("res", NOW)
    assert kept.draw("res", NOW + MAX_AGE) == first
    assert kept.draw("other", NOW).list_id != first.list_id
