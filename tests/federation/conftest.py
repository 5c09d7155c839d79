import pytest

from tests.support.oidc_scene import Scene
from tests.support.web import FakeWeb


@pytest.fixture(scope="module")
def web():
    """One for all tests of a module: certificates take longer to make than sign-ins."""
    with FakeWeb() as made:
        yield made


@pytest.fixture(scope="module")
def network(web):
    made = web.network()
    yield made
    made.close()


@pytest.fixture
def scene(web, network):
    return Scene(web, network)


@pytest.fixture
def idp(scene):
    return scene.idp()
