"""Fixtures of policy."""

import time

import pytest


@pytest.fixture
def elsewhere(monkeypatch):
    """The machine's clock shows another zone than UTC."""
    with monkeypatch.context() as patched:
        patched.setenv("TZ", "IST-5:30")
        time.tzset()
        yield
    time.tzset()
