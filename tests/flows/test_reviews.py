"""Access reviews (S11)."""

from dataclasses import replace
from datetime import timedelta

import pytest

from authz.admin import resources, reviews, roles
from authz.admin.operator import Operator
from authz.admin.reviews import EXPIRED, KEPT, REMOVED
from authz.admin.roles_import import import_file
from authz.errors import Conflict, Forbidden, Invalid, NotFound
from authz.policy.administration import ADMIN_ROLES
from authz.policy.roles_file import parse
from tests.support.console import administrator, at
from tests.support.harness import RESOURCE


@pytest.fixture
def begun(harness):
    due = harness.clock() + timedelta(days=14)
    return harness.change(reviews.start, name="Quarter", due_at=due)


def open_items(harness, review, text=""):
    return [it for it in harness.ask(reviews.page, review.id, limit=200).rows if text in it.label]


def held(harness):
    return {it.name: it for it in harness.ask(roles.list_)}


def test_a_review_is_about_every_scope_and_everybody(harness, begun):
    labels = {it.label for it in open_items(harness, begun)}
    assert "developer: logs.read at every server" in labels
    assert "sre: held by the user sre@example.com" in labels
    assert len(labels) == begun.items == begun.open


def test_what_is_kept_stays_and_what_is_removed_goes(harness, begun):
    [kept] = open_items(harness, begun, "developer: logs.read")
    [gone] = open_items(harness, begun, "sre: incidents.trigger")
    [person] = open_items(harness, begun, "sre: held by the user")
    harness.change(reviews.keep, kept.id, note="needed")
    harness.change(reviews.remove, gone.id)
    harness.change(reviews.remove, person.id)
    assert "logs.read" in held(harness)["developer"].scopes
    assert "incidents.trigger" not in held(harness)["sre"].scopes
    assert held(harness)["sre"].users == []
    found = harness.ask(reviews.page, begun.id, decisions=(KEPT, REMOVED), limit=200).rows
    assert {it.decision for it in found} == {KEPT, REMOVED}
    with pytest.raises(Conflict, match="answered for this already"):
        harness.change(reviews.keep, gone.id)


def test_what_nobody_answers_for_ends_and_each_is_told(harness, begun):
    [kept] = open_items(harness, begun, "developer: logs.read")
    harness.change(reviews.keep, kept.id)
    with harness.server.database.write() as tx:
        early = harness.server.operator("job")
        assert reviews.expire_overdue(tx, early, harness.tenant_id) == 0
    harness.clock.advance(days=14)
    with harness.server.database.write() as tx:
        ended = reviews.expire_overdue(tx, harness.server.operator("job"), harness.tenant_id)
    assert ended == begun.items - 1
    assert [it.scopes for it in held(harness).values()].count([]) == len(held(harness)) - 1
    told = [
        it for it in harness.events("admin.changed") if it["detail"]["what"] == "review.expired"
    ]
    assert len(told) == ended
    line = harness.ask(reviews.show, begun.id)
    assert (line.open, line.kept, line.closed_at) == (0, 1, harness.clock())
    assert harness.ask(reviews.page, begun.id, decisions=(EXPIRED,)).rows


def test_a_token_is_without_what_was_removed(harness, begun):
    first = harness.tokens("sre@example.com", scope="logs.read incidents.trigger offline_access")
    assert "incidents.trigger" in first.scopes
    [item] = open_items(harness, begun, "sre: incidents.trigger")
    harness.change(reviews.remove, item.id)
    assert "incidents.trigger" not in harness.refresh(first.refresh_token).scopes


def test_what_went_by_itself_is_no_fault(harness, begun):
    [item] = open_items(harness, begun, "sre: held by the user")
    harness.change(roles.unbind, role="sre", kind="user", holder="sre@example.com")
    assert harness.change(reviews.remove, item.id).decision == "gone"


def test_a_review_of_one_server_is_about_what_reaches_it(harness):
    other = harness.change(
        resources.add, identifier="https://other.example/mcp", name="", owner="", scopes=[]
    )
    due = harness.clock() + timedelta(days=1)
    line = harness.change(reviews.start, name="Other", due_at=due, server=other.id)
    assert all(
        "at every server" in it.label or "held by" in it.label for it in open_items(harness, line)
    )
    with pytest.raises(NotFound):
        harness.change(reviews.start, name="x", due_at=due, server="res_nothing")
    with pytest.raises(Invalid, match="in the past"):
        harness.change(reviews.start, name="x", due_at=harness.clock())


def test_the_owner_of_a_server_answers_for_it_and_for_nothing_else(harness):
    harness.change(
        import_file,
        parse(f"roles: {{here: {{at: {{'{RESOURCE}': [logs.read]}}}}, any: [logs.read]}}"),
    )
    due = harness.clock() + timedelta(days=1)
    line = harness.change(reviews.start, name="Q", due_at=due)
    owner = Operator(
        "console:usr_1",
        harness.clock(),
        harness.server.services.envelope,
        ADMIN_ROLES["server-owner"].permissions,
        user_id="usr_1",
        owned=frozenset({harness.resource.id}),
        needs_second=True,
    )
    [mine], [other] = open_items(harness, line, "here: "), open_items(harness, line, "any: ")
    with harness.server.database.write() as tx:
        # Narrowing takes no second person.
        assert reviews.remove(tx, owner, harness.tenant_id, mine.id).decision == REMOVED
        with pytest.raises(Forbidden):
            reviews.keep(tx, owner, harness.tenant_id, other.id)
        with pytest.raises(Forbidden):
            reviews.keep(tx, replace(owner, owned=frozenset()), harness.tenant_id, other.id)


def test_another_tenants_review_is_not_there(harness, other_harness, begun):
    [item] = open_items(harness, begun, "sre: incidents.trigger")
    with pytest.raises(NotFound):
        other_harness.change(reviews.remove, item.id)
    with pytest.raises(NotFound):
        other_harness.ask(reviews.page, begun.id)


def test_reviews_are_searched_and_filtered_at_the_console(harness, begun):
    due = harness.clock() + timedelta(days=1)
    closed = harness.change(reviews.start, name="Of before", due_at=due)
    harness.clock.advance(days=2)
    with harness.server.database.write() as tx:
        reviews.expire_overdue(tx, harness.server.operator("job"), harness.tenant_id)
    browser = administrator(harness)

    def shown(query):
        page = at(browser, f"reviews?{query}").text
        return [it.name for it in (begun, closed) if f"reviews/{it.id}" in page]

    assert shown("") == ["Quarter", "Of before"]
    assert shown("q=quart") == shown("state=open") == ["Quarter"]
    assert shown("state=closed") == ["Of before"]
    assert shown("q=nothing") == []
    assert "No review matches" in at(browser, "reviews?q=nothing").text
    assert "Of before" not in at(browser, "reviews?q=quart&format=csv").text


def test_what_a_review_is_about_is_searched(harness, begun):
    browser = administrator(harness)
    page = at(browser, f"reviews/{begun.id}?q=HELD+by+the+user+sre").text
    assert "sre: held by the user sre@example.com" in page
    assert "developer: logs.read" not in page
    assert "Nothing matches" in at(browser, f"reviews/{begun.id}?q=%25").text
    sheet = at(browser, f"reviews/{begun.id}?q=logs.read&format=csv").text
    assert {line.split(",")[0] for line in sheet.splitlines()[1:]} == {
        it.label for it in open_items(harness, begun, "logs.read")
    }


def test_a_review_at_the_console(harness):
    browser = administrator(harness)
    day = (harness.clock() + timedelta(days=7)).date().isoformat()
    sent = at(browser, "reviews/start", name="<i>Quarter</i>", due_at=day, server="")
    assert sent.status == 303
    page = browser.get(harness.server.base + sent.location)
    assert "<i>Quarter" not in page.text
    place = sent.location.partition("/console/")[2].partition("?")[0]
    [review] = harness.ask(reviews.list_)
    [item] = open_items(harness, review, "sre: incidents.trigger")
    assert "Remove this access?" in at(browser, f"{place}/remove", item=item.id).text
    assert at(browser, f"{place}/remove", item=item.id, sure="yes").status == 303
    assert "incidents.trigger" not in held(harness)["sre"].scopes
    assert "sre: incidents.trigger" in at(browser, f"{place}?show=decided").text
    wrong = at(browser, "reviews/start", name="x", due_at="soon")
    assert (wrong.status, "is no day" in wrong.text) == (400, True)
