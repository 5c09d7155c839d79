import pytest

from tests.support.web import FakeWeb


@pytest.fixture
def web():
    with FakeWeb() as web:
        yield web
