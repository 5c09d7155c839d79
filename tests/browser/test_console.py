"""The jobs of administrators at the real console, in headless Chromium."""

import pytest

from authz.admin import admins
from scripts.demo_parts.installation import ROOT
from tests.support.chromium import IMAGES, drive
from tests.support.connections import connection
from tests.support.harness import PASSWORD, Harness

pytestmark = [pytest.mark.browser, pytest.mark.slow]

OWNER, PERSON, REFUSED = "olga@example.com", "dev@example.com", "newcomer@example.com"
SERVER = "https://files.example/mcp"
MAX_IMAGE_BYTES = 70_000
PAGES = (
    *("overview", "servers", "server", "mistake", "roles", "role", "matrix", "effect", "mappings"),
    "groups",
    *("simulator", "simulator-mistake", "why", "people", "person", "administrators", "agents"),
)


@pytest.fixture(scope="module")
def met(server, chromium):
    """What the administrator met, by job."""
    harness = Harness(server)
    for login in (OWNER, REFUSED):
        harness.add_user(login)
    harness.change(admins.grant, role="owner", kind="user", holder=OWNER)
    # Somebody without a role tried to connect.
    assert harness.browser(REFUSED).authorize().error == "access_denied"
    # What the first page has to tell.
    harness.tokens("sre@example.com")
    assert harness.redeem("ac_nothing").reason == "code_unknown"
    with server.database.write() as tx:
        tx.add(connection(harness.tenant_id, "okta", harness.clock()))
    found = drive(
        "console.mjs",
        chromium,
        issuer=harness.issuer,
        login=OWNER,
        password=PASSWORD,
        person=PERSON,
        refused=REFUSED,
        server=SERVER,
    )
    harness.close()
    # The browser says of a form that was refused that it is a conflict, which is what is shown.
    assert [it for it in found["faults"] if "status of 409" not in it] == []
    return found


def test_an_mcp_server_is_onboarded(job):
    found = job("onboard")
    assert "Declare its scopes next" in found["registered"]
    assert found["scopes"] == ["files.read", "files.write"]
    assert found["credential"] == ["github", "env:AUTHZ_SECRET_GITHUB", "files.read"]


def test_what_is_refused_is_said_beside_the_field_where_one_goes_on(job):
    found = job("makeAMistake")
    assert (found["invalid"], found["value"]) == ("true", SERVER)
    assert f"the server '{SERVER}' is registered already" in " ".join(found["beside"])


def test_a_role_is_defined(job):
    found = job("defineARole")
    assert "They hold the role" in found["bound"]
    assert found["gains"][:4] == ["files.read", SERVER, "1: dev@example.com", ""]
    assert "Saved as one change" in found["saved"]
    assert found["ticked"]


def test_a_group_is_mapped(job):
    found = job("mapAGroup")
    assert "next sign-in" in found["added"]
    assert found["row"][:3] == ["okta", "groups", "Readers"]
    assert "reader" in found["row"][4]


def test_a_token_is_predicted_while_one_types(job):
    found = job("predictAToken")
    assert found["granted"] == ["files.read", "role reader", "read", "list_files read_file"]
    assert found["refused"] == [
        "files.write",
        "no role of this person holds it",
        "No role holds it yet",
    ]


def test_what_is_wrong_is_said_beside_its_field_while_one_types(job):
    wrong = job("predictAToken")["wrong"]
    assert "there is no user" in wrong["beside"][0]
    assert wrong["describedBy"].split() == ["user-wrong", "user-hint"]
    assert (wrong["stays"], wrong["left"]) == (True, 0)


def test_why_a_call_was_refused_is_found_out(job):
    found = job("findOutWhy")
    assert len(found["refusal"]) == 1
    assert found["person"] == REFUSED
    assert "One of the roles reader" in found["help"]


def test_what_somebody_may_do_is_on_their_page(job):
    found = job("lookAtPeople")
    assert [it for it in found["may"] if SERVER in it and "role reader" in it]
    assert found["asked"] == "no-such-role"


@pytest.mark.parametrize("view", ["wide", "narrow"])
@pytest.mark.parametrize("page", PAGES)
def test_axe_finds_nothing_and_nothing_sticks_out(met, page, view):
    assert met["views"][f"{page} {view}"] == {"axe": [], "sideways": 0}


@pytest.mark.parametrize("page", PAGES)
def test_the_guide_shows_each_page(page):
    image = IMAGES / f"console-{page}.png"
    assert image.stat().st_size < MAX_IMAGE_BYTES
    assert f"](images/{image.name})" in (ROOT / "docs" / "console.md").read_text()
