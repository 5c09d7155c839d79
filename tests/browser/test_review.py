"""Two administrators who look at what the other changes, in headless Chromium (L6, S12, S17, V3)."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from authz.admin import admins, agents, groups, reviews, scopes, targets, users, versions
from authz.admin.scopes import ScopeChange
from authz.db.models import Tenant
from tests.support.chromium import IMAGES, ROOT, drive
from tests.support.harness import PASSWORD, RESOURCE, Harness

pytestmark = [pytest.mark.browser, pytest.mark.slow]

OWNER, SECOND, PERSON, BASE = (
    f"{it}@example.com" for it in ("olga", "sue", "dev", "root-of-reviews")
)
MAX_IMAGE_BYTES = 70_000
PAGES = (
    *(
        "merge",
        "tools-to-approve",
        "change-settings",
        "propose",
        "changes",
        "change",
        "versions",
        "version",
        "sure",
    ),
    *("holds", "review", "group", "agent", "target", "tenants"),
)


def _fill(harness):
    """What there is to look at."""
    for login in (OWNER, SECOND):
        harness.add_user(login)
    harness.change(admins.grant, role="owner", kind="user", holder=OWNER)
    harness.change(admins.grant, role="approver", kind="user", holder=SECOND)
    tools = ScopeChange(tools=("read_logs", "tail_logs"))
    harness.change(scopes.edit_scope, harness.resource.id, "logs.read", tools)
    harness.change(versions.record)
    group = harness.change(groups.add, name="on-call")
    harness.change(groups.add_member, group=group.id, user=PERSON)
    about = {"slug": "triage", "purpose": "Sorts incidents", "owner": OWNER}
    harness.change(agents.add, **about, servers=[RESOURCE])
    vendor = {"slug": "vendor", "issuer": "https://auth.vendor.example"}
    harness.change(targets.add, **vendor, own_issuer=harness.issuer, settings={})
    due = harness.clock() + timedelta(days=30)
    harness.change(reviews.start, name="Fourth quarter", due_at=due)


def _root(server):
    """An owner of the tenant at the base address, which alone sees the others."""
    hashed = users.hash_new_password(PASSWORD)
    with server.database.write() as tx:
        base = tx.scalars(select(Tenant.id).where(Tenant.slug == "default")).one()
        operator = server.operator()
        users.add(tx, operator, base, login=BASE, name="Root", password_hash=hashed)
        admins.grant(tx, operator, base, role="owner", kind="user", holder=BASE)


@pytest.fixture(scope="module")
def met(server, chromium):
    """What they met, by job."""
    harness = Harness(server)
    _fill(harness)
    _root(server)
    found = drive(
        "review.mjs",
        chromium,
        issuer=harness.issuer,
        base=server.base,
        owner=OWNER,
        second=SECOND,
        person=PERSON,
        root=BASE,
        password=PASSWORD,
        server=RESOURCE,
    )
    found["slug"] = harness.slug
    harness.close()
    # The browser says of a merge page that it is a conflict, which is what is shown.
    assert [it for it in found["faults"] if "status of 409" not in it] == []
    return found


def test_two_edits_at_once_meet_on_a_page_that_can_be_read(job):
    found = job("mergeTwoEdits")
    assert found["heading"] == "Somebody else changed this meanwhile"
    assert found["sides"] == ["(empty)", "Whoever writes services", "Engineers"]
    assert "The role is changed" in found["said"]


def test_a_tool_that_was_added_to_a_scope_is_approved_by_somebody_else(job):
    found = job("reviewATool")
    assert "when tools that are added to scopes count" in found["mode"]
    assert found["waits"] == ["waits for a review"]
    assert "opens these tools as well" in found["said"]
    assert found["left"] == 0


def test_a_change_is_asked_for_looked_at_and_approved(job):
    found = job("reviewAChange")
    assert "how policy is changed from now on" in found["mode"]
    assert "asked for" in found["asked"]
    assert found["own"] == 0
    assert [it for it in found["gains"] if PERSON in it and "logs.debug.write" in it]
    assert found["said"] == "The change is made."
    assert found["heading"].endswith("applied")


def test_going_back_to_a_version_says_what_it_affects(job):
    found = job("goBackToAVersion")
    assert "logs.read" in found["changed"][0]
    assert "servers that were added are switched off" in found["affects"][1]


def test_the_trail_of_somebody_is_kept(job):
    found = job("keepTheTrail")
    assert "until the hold is released" in found["said"]
    assert found["hold"][:3] == [PERSON, "active", "Case 17, asked by the lawyers"]
    assert found["affects"][0].endswith("Case 17, asked by the lawyers")


def test_an_access_review_is_answered(job):
    found = job("answerAReview")
    assert found["open"] > 1
    assert (found["said"], found["left"]) == ("Kept.", found["open"] - 1)


def test_the_base_sees_all_tenants(met, job):
    assert {"default", met["slug"]} <= set(job("lookAtTheRest")["tenants"])


@pytest.mark.parametrize("view", ["wide", "narrow"])
@pytest.mark.parametrize("page", PAGES)
def test_axe_finds_nothing_and_nothing_sticks_out(met, page, view):
    assert met["views"][f"{page} {view}"] == {"axe": [], "sideways": 0}


@pytest.mark.parametrize("page", PAGES)
def test_the_guide_shows_each_page(page):
    image = IMAGES / f"console-{page}.png"
    assert image.stat().st_size < MAX_IMAGE_BYTES
    guide = (ROOT / "docs" / "console.md").read_text() + (
        ROOT / "docs" / "change-control.md"
    ).read_text()
    assert f"](images/{image.name})" in guide
