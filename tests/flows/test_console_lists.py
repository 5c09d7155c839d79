"""Every list of the console is searched, filtered, paged and exported (issue 6, part 1; L7)."""

import re
from datetime import timedelta
from functools import partial

from authz.admin import changes, client_trust, groups, reviews, role_changes, versions
from authz.web.console import pages
from tests.support.connections import connection
from tests.support.console import administrator, at

NO_LISTS = {
    *("", "matrix", "simulator", "explain", "cut-off", "offboarding", "story", "readiness"),
    *("settings", "tenants"),
}
"""Of the navigation: what is about one thing. Tenants are a list that the base address alone has."""
LISTS = [it.path for it in pages.PAGES if it.is_listed and it.path not in NO_LISTS]


def names(page):
    """Of the rows of a list, without what is beside a name."""
    body = page.text.partition("<tbody>")[2].partition("</tbody>")[0]
    cells = re.findall(r'<th scope="row">(.*?)</th>', body, re.S)
    return [re.sub(r"<[^>]+>", " ", it).split()[0] for it in cells]


def test_every_list_has_a_search_a_filter_and_an_export(harness):
    browser = administrator(harness)
    assert {"servers", "people", "audit", "targets", "keys", "versions"} <= set(LISTS)
    for path in LISTS:
        page = at(browser, path)
        forms = re.findall(r'<form class="search" role="search" method="get".*?</form>', page.text, re.S)  # fmt: skip
        assert len(forms) == 1, path
        assert "<input" in forms[0], path
        assert "<select" in forms[0], path
        assert 'name="format" value="csv"' in forms[0], path
        sheet = at(browser, f"{path}?format=csv")
        assert sheet.response.headers["content-type"].startswith("text/csv"), path


def test_no_list_takes_a_cursor_that_it_did_not_give(harness):
    """Each goes on behind a place, so each has one that is wrong."""
    browser = administrator(harness)
    for path in LISTS:
        assert at(browser, f"{path}?after=*").status == 400, path


def test_a_list_that_is_read_whole_goes_on_behind_fifty_rows(harness):
    with harness.server.database.write() as tx:
        operator = harness.server.operator()
        for number in range(60):
            pattern = f"https://c{number:02}.example/client.json"
            client_trust.set_rule(tx, operator, harness.tenant_id, pattern=pattern, verdict="allow")
    browser = administrator(harness)
    first = at(browser, "client-trust?verdict=allow")
    assert len(names(first)) == 50
    [onward] = re.findall(r'rel="next" href="[^"]*console/([^"]+)"', first.text)
    assert "verdict=allow" in onward
    second = at(browser, onward.replace("&amp;", "&"))
    assert len(names(second)) == 10
    assert not set(names(first)) & set(names(second))
    assert "First page" in second.text
    assert 'rel="next"' not in second.text
    assert len(at(browser, "client-trust?format=csv").text.splitlines()) == 61


def test_roles_and_groups_are_filtered_by_whether_anybody_has_them(harness):
    harness.change(role_changes.add, name="spare", description="", includes=(), scopes=())
    team = harness.change(groups.add, name="team")
    harness.change(groups.add_member, group=team.id, user="dev@example.com")
    harness.change(groups.add, name="void")
    browser = administrator(harness)
    assert names(at(browser, "roles?held=no")) == ["spare"]
    assert names(at(browser, "roles?held=yes")) == ["developer", "sre"]
    assert names(at(browser, "groups?people=no")) == ["void"]
    assert names(at(browser, "groups?people=yes&q=t")) == ["team"]
    assert at(browser, "groups?people=no&format=csv").text.splitlines()[1:] == ["void,0"]


def test_changes_and_versions_are_searched(harness):
    later = harness.clock() + timedelta(days=1)
    for role, reason in (("sre", "on call"), ("developer", "joins us")):
        given = {"role": role, "kind": "user", "holder": "sre@example.com"}
        proposed = {"operation": "roles.bind", "arguments": given, "reason": reason}
        harness.change(partial(changes.propose, **proposed, activate_at=later))
    browser = administrator(harness)
    page = at(browser, "changes?q=ON+Call")
    assert ("on call" in page.text, "joins us" in page.text) == (True, False)
    assert "No change is like that" in at(browser, "changes?q=100%25").text
    first = harness.change(versions.record).version
    harness.clock.advance(seconds=5)
    harness.change(role_changes.add, name="spare", description="", includes=(), scopes=())
    second = harness.change(versions.record).version
    assert names(at(browser, "versions")) == [str(second), str(first)]
    assert names(at(browser, "versions?area=mapping")) == []
    assert str(second) in names(at(browser, "versions?area=role&q=role.add"))
    assert "No version matches" in at(browser, "versions?q=nobody").text


def test_sessions_are_filtered_by_where_they_come_from(harness):
    with harness.server.database.write() as tx:
        tx.add(connection(harness.tenant_id, "okta", harness.clock()))
    browser = administrator(harness)
    assert names(at(browser, "sessions?through=local")) == ["dev@example.com"]
    assert "Nobody came that way" in at(browser, "sessions?through=okta").text
    assert "dev@example.com" not in at(browser, "sessions?through=okta&format=csv").text


def test_what_a_review_is_about_is_filtered_by_the_answer(harness):
    due = harness.clock() + timedelta(days=7)
    review = harness.change(reviews.start, name="Quarter", due_at=due).id
    item = harness.ask(reviews.page, review).rows[0]
    harness.change(reviews.keep, item.id)
    browser = administrator(harness)
    assert item.label in at(browser, f"reviews/{review}?show=kept").text
    assert item.label in at(browser, f"reviews/{review}?show=decided").text
    assert item.label not in at(browser, f"reviews/{review}?show=removed").text
    assert item.label not in at(browser, f"reviews/{review}").text
