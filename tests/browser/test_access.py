"""Clients, access and keys at the real console, and a person at their own page, in headless Chromium."""

import pytest

from authz.admin import admins
from authz.db.models import ClientRequest
from tests.support.chromium import IMAGES, ROOT, drive
from tests.support.harness import PASSWORD, RESOURCE, Harness

pytestmark = [pytest.mark.browser, pytest.mark.slow]

MAX_IMAGE_BYTES = 100_000
OWNER, PERSON, WANTED = "olga@example.com", "dev@example.com", "https://wanted.example/client.json"
PAGES = (
    *("requests", "trust-rules", "clients", "client", "self-registration", "account", "disconnect"),
    *(
        "grants",
        "sessions",
        "cut-off",
        "offboarding",
        "audit",
        "event",
        "story",
        "keys",
        "settings",
    ),
    *("connections", "connect", "connection", "domains", "provisioning", "signals"),
    *("issuer-preview", "issuer", "issuers", "workload", "workloads", "targets", "delegations"),
    *("readiness", "reviews"),
)


@pytest.fixture(scope="module")
def met(server, chromium):
    """What they met, by job."""
    harness = Harness(server)
    harness.add_user(OWNER)
    harness.change(admins.grant, role="owner", kind="user", holder=OWNER)
    harness.tokens(PERSON)
    harness.tokens(PERSON, client_id=harness.add_client(name="Other client").client.id)
    harness.set_trust("allow_list")
    with server.database.write() as tx:
        tx.add(
            ClientRequest(
                tenant_id=harness.tenant_id,
                client_id=WANTED,
                user_id=harness.users["dev"],
                status="open",
                created_at=harness.clock(),
            )
        )
    found = drive(
        "access.mjs",
        chromium,
        issuer=harness.issuer,
        owner=OWNER,
        person=PERSON,
        wanted=WANTED,
        password=PASSWORD,
        server=RESOURCE,
    )
    harness.close()
    assert found["faults"] == []
    return found


def test_a_client_is_approved(job):
    found = job("approveAClient")
    assert "Whoever asked for it can use it now" in found["said"]
    assert found["rules"] == [WANTED]


def test_an_application_is_disconnected_by_the_person(job):
    found = job("disconnectAnApplication")
    assert sorted(found["before"]) == ["Other client", "Test client"]
    assert found["asked"] == "Disconnect Other client?"
    assert found["loses"] == ["Read logs"]
    assert "has to ask you again" in found["said"]
    assert found["after"] == ["Test client"]


def test_somebody_is_cut_off(job):
    found = job("cutSomebodyOff")
    assert found["affects"][0] == f"Ends 1 grant of {PERSON}, with every token of them."
    assert "the account is disabled" in found["said"]
    assert found["figures"] == ["0 live grants", "0 sessions"]


def test_what_was_done_is_found_in_the_trail(job):
    found = job("findItInTheTrail")
    assert found["kind"] == "admin.changed unaltered"
    assert "token.issued" in found["told"]
    assert found["told"][-1].startswith("admin.changed")


def test_a_key_is_rotated(job):
    found = job("rotateAKey")
    assert found["affects"][0].startswith("The new key is published now and signs from")
    assert "The list says when it signs" in found["said"]
    assert found["states"] == ["active", "published"]


def test_a_provider_is_connected(job):
    found = job("connectAProvider")
    assert "Enter the addresses below" in found["said"]
    assert found["record"][0] == "_authz-challenge.corp.example"


def test_an_issuer_is_trusted_after_a_look_at_what_it_could_do(job):
    found = job("trustAnIssuer")
    assert found["foreseen"] == ["at most logs.read"]
    assert "It is trusted from now on" in found["said"]
    claims = "system:serviceaccount:agents:routerkubernetes.io > namespace = agents"
    assert found["allowed"][:3] == [claims, RESOURCE, "developer"]
    job("lookAtTheRest")


@pytest.mark.parametrize("view", ["wide", "narrow"])
@pytest.mark.parametrize("page", PAGES)
def test_axe_finds_nothing_and_nothing_sticks_out(met, page, view):
    assert met["views"][f"{page} {view}"] == {"axe": [], "sideways": 0}


@pytest.mark.parametrize("page", PAGES)
def test_the_guide_shows_each_page(page):
    image = IMAGES / f"console-{page}.png"
    assert image.exists()
    assert f"](images/{image.name})" in (ROOT / "docs" / "console.md").read_text()


@pytest.mark.parametrize("image", sorted(it.name for it in IMAGES.glob("*.png")))
def test_images_of_the_guides_are_small(image):
    assert (IMAGES / image).stat().st_size < MAX_IMAGE_BYTES
