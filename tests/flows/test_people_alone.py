"""Somebody's own row decides, whatever else was ended beside it, wherever something stands on a person (ATK-59)."""

import pytest
from sqlalchemy import update

from authz.admin import resources
from authz.db.models import User
from tests.support.basic import basic
from tests.support.devices import allow, ask
from tests.support.harness import RESOURCE


def is_disabled(harness):
    return {"status": "disabled"}


def is_cut(harness):
    """Sign-ins of before count no more."""
    harness.clock.advance(seconds=1)
    return {"cut_at": harness.clock()}


def alter(harness, login, values):
    """The row alone: no grant, code or session is ended with it."""
    with harness.server.database.write() as tx:
        tx.execute(update(User).where(User.id == harness.users[login]).values(**values))


def code(harness):
    value = harness.code()
    return lambda: outcome(harness.redeem(value))


def refresh_token(harness):
    first = harness.redeem(harness.code())
    return lambda: outcome(harness.refresh(first.refresh_token))


def device_code(harness):
    device = ask(harness, scope="logs.read")
    allow(device)
    return lambda: outcome(device.poll())


def outcome(answer):
    return True if answer.ok else answer.reason


def access_token(harness):
    made = harness.add_client(auth_method="client_secret_basic")
    harness.change(resources.set_client, RESOURCE, made.client.id)
    token = harness.redeem(harness.code()).access_token
    fields = {"token": token}
    return lambda: harness.post("/introspect", fields, **basic(made)).json["active"]


@pytest.mark.parametrize("change", [is_disabled, is_cut])
@pytest.mark.parametrize(
    ("held", "refusal"),
    [
        (code, "subject_disabled"),
        (refresh_token, "subject_disabled"),
        (device_code, "subject_disabled"),
        (access_token, False),
    ],
)
def test_nothing_stands_on_somebody_who_is_gone(harness, held, change, refusal):
    present = held(harness)
    alter(harness, "dev", change(harness))
    assert present() == refusal


@pytest.mark.parametrize("held", [code, refresh_token, device_code, access_token])
def test_it_is_nobody_elses_row(harness, held):
    present = held(harness)
    alter(harness, "sre", is_disabled(harness))
    assert present() is True
