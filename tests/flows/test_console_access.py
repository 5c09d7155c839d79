"""Who has access now, and its end: grants, sessions, people cut off, and the clock of it (L7, M13)."""

import re

import pytest

from authz.admin import leaving
from tests.support.console import administrator, at
from tests.support.harness import RESOURCE


def people(page):
    """Whom a list names."""
    return re.findall(r'<th scope="row"><a [^>]*><bdi>([^<]*)', page.text)


def test_grants_are_found_by_person_client_and_server(harness):
    harness.tokens()
    harness.tokens("sre@example.com")
    other = harness.add_client(name="Other").client.id
    harness.tokens(client_id=other)
    browser = administrator(harness)
    assert sorted(people(at(browser, "grants"))) == ["dev@example.com"] * 2 + ["sre@example.com"]
    assert people(at(browser, "grants?person=sre@example.com")) == ["sre@example.com"]
    assert people(at(browser, f"grants?client={other}")) == ["dev@example.com"]
    assert len(people(at(browser, f"grants?server={harness.resource.id}"))) == 3
    assert people(at(browser, "grants?server=res_none")) == []
    nobody = at(browser, "grants?person=nobody@example.com")
    assert nobody.status == 404
    assert 'aria-invalid="true"' in nobody.text
    sheet = at(browser, "grants?format=csv&person=sre@example.com").text
    assert f"sre@example.com,{harness.client_id},{RESOURCE},logs.read," in sheet


def test_a_grant_leads_to_the_explanation_of_its_latest_token(harness):
    first = harness.tokens()
    harness.clock.advance(minutes=1)
    latest = harness.refresh(first.refresh_token)
    browser = administrator(harness)
    page = at(browser, "grants")
    jti = harness.claims(latest.access_token)["jti"]
    assert f"/console/explain?jti={jti}" in page.text


def test_one_grant_is_ended_after_asking(harness):
    tokens = [harness.tokens(), harness.tokens("sre@example.com")]
    grant = harness.claims(tokens[0].access_token)["grant_id"]
    browser = administrator(harness, "help-desk")
    asked = at(browser, "grants/end", id=grant)
    assert "dev@example.com loses 1 scope at" in asked.text
    assert at(browser, "grants/end", id=grant, sure="yes").status == 303
    assert not harness.refresh(tokens[0].refresh_token).ok
    assert harness.refresh(tokens[1].refresh_token).ok
    assert at(browser, "grants/end", id=grant, sure="yes").status == 404


def test_sessions_are_listed_and_ended(harness):
    harness.tokens()
    browser = administrator(harness, login="sre@example.com")
    assert sorted(people(at(browser, "sessions"))) == ["dev@example.com", "sre@example.com"]
    page = at(browser, "sessions?person=dev@example.com")
    assert people(page) == ["dev@example.com"]
    mark = page.field("mark")
    assert at(browser, "sessions/end", mark=mark).status == 303
    assert people(at(browser, "sessions?person=dev@example.com")) == []
    assert at(browser, "sessions/end", mark=mark).status == 404
    assert at(browser, "sessions/end", mark="%").status == 404
    assert harness.events("session.ended")[-1]["actor"].startswith("console:")
    assert at(browser, "sessions?format=csv").text.startswith("Person,Through,How")


def test_a_person_is_signed_out_everywhere(harness):
    tokens = [harness.tokens(), harness.tokens()]
    browser = administrator(harness, login="sre@example.com")
    asked = at(browser, "sessions/end-all", person="dev@example.com")
    assert "Signs dev@example.com out of 2 browsers" in asked.text
    done = at(browser, "sessions/end-all", person="dev@example.com", sure="yes")
    assert done.status == 303
    assert people(at(browser, "sessions?person=dev@example.com")) == []
    assert harness.refresh(tokens[0].refresh_token).ok


@pytest.mark.parametrize("disable", ["no", "yes"])
def test_somebody_is_cut_off(harness, disable):
    token = harness.tokens()
    browser = administrator(harness, login="sre@example.com")
    page = at(browser, "cut-off?person=dev@example.com")
    assert page.status == 200
    assert '<span class="figure">1</span> live grants' in page.text
    form = {"person": harness.users["dev"], "disable": disable}
    asked = at(browser, "cut-off/end", **form)
    assert "Ends 1 grant of dev@example.com" in asked.text
    assert "out of 1 browser." in asked.text
    assert ("cannot sign in until" in asked.text) is (disable == "yes")
    assert harness.refresh(token.refresh_token).ok
    assert at(browser, "cut-off/end", **form, sure="yes").status == 303
    after = at(browser, "cut-off?person=dev@example.com")
    assert '<span class="figure">0</span> live grants' in after.text
    assert ("disabled" in after.text.partition("<h2>")[2].partition("</h2>")[0]) is (
        disable == "yes"
    )


def test_the_clock_says_how_long_it_took(harness):
    harness.tokens()
    harness.change(leaving.end_access, "dev@example.com")
    browser = administrator(harness, login="sre@example.com")
    page = at(browser, "offboarding")
    assert ">operator<" in page.text
    assert "dev@example.com" in page.text
    assert (
        at(browser, "offboarding?format=csv&days=1").text.splitlines()[1].startswith("operator,1,")
    )


@pytest.mark.parametrize(
    ("act", "fields"),
    [
        ("grants/end", {"id": "GRANT"}),
        ("sessions/end", {"mark": "0" * 16}),
        ("sessions/end-all", {"person": "dev@example.com"}),
        ("cut-off/end", {"person": "dev@example.com", "disable": "yes"}),
    ],
)
def test_who_may_not_ends_nothing(harness, act, fields):
    token = harness.tokens()
    grant = harness.claims(token.access_token)["grant_id"]
    browser = administrator(harness, "policy-author", "sre@example.com")
    values = {name: grant if value == "GRANT" else value for name, value in fields.items()}
    assert at(browser, act, **values, sure="yes").status == 403
    assert harness.refresh(token.refresh_token).ok


def test_another_tenants_access_is_not_there(harness, other_harness):
    token = other_harness.tokens()
    grant = other_harness.claims(token.access_token)["grant_id"]
    other = administrator(other_harness, login="sre@example.com")
    mark = at(other, "sessions?person=dev@example.com").field("mark")
    browser = administrator(harness)
    assert at(browser, "grants/end", id=grant, sure="yes").status == 404
    assert at(browser, "sessions/end", mark=mark).status == 404
    foreign = {"person": other_harness.users["dev"], "sure": "yes"}
    assert at(browser, "cut-off/end", **foreign).status == 404
    assert at(browser, "sessions/end-all", **foreign).status == 404
    assert other_harness.refresh(token.refresh_token).ok
