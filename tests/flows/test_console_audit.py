"""The audit trail in the console: found, shown in full, told as a story, checked (S5, S16, E8)."""

import csv
import io
import json
import re
from urllib.parse import quote

import pytest
from sqlalchemy import update

from authz.admin import audit_event, audit_holds, clients
from authz.db.models import AuditEvent, AuditSink
from tests.support import admin_api
from tests.support.console import EVIL, administrator, at
from tests.support.harness import running


def kinds(page):
    """What a page lists."""
    assert page.status == 200
    return re.findall(r'<th scope="row">(?:<a [^>]*>)?<code>([^<]*)', page.text)


def test_the_trail_is_searched_by_everything_an_event_says(harness):
    token = harness.tokens()
    harness.tokens("sre@example.com")
    assert harness.redeem("no-such-code").reason == "code_unknown"
    browser = administrator(harness, "auditor")
    assert "token.issued" in kinds(at(browser, "audit?person=dev@example.com"))
    of_sre = at(browser, "audit?person=sre@example.com&kind=token.issued")
    assert kinds(of_sre) == ["token.issued"]
    assert "sre@example.com" in of_sre.text
    assert kinds(at(browser, "audit?reason=code_unknown")) == ["token.refused"]
    assert kinds(at(browser, f"audit?client={harness.client_id}&kind=consent.granted"))
    assert kinds(at(browser, "audit?kind=token.issued&until=2001-01-01T00:00")) == []
    assert len(kinds(at(browser, "audit?kind=token.issued&since=2001-01-01"))) == 2
    grant = harness.claims(token.access_token)["grant_id"]
    assert (
        grant in at(browser, f"story?of={grant}").text
        or "token.issued" in at(browser, f"story?of={grant}").text
    )


def test_what_an_administrator_did_is_found_by_their_name(harness):
    browser = administrator(harness)
    at(browser, f"clients/one/block?id={harness.client_id}", sure="yes")
    page = at(browser, "audit?person=dev@example.com&kind=admin.changed")
    assert "client.status" in page.text
    assert "dev@example.com" in page.text.partition("<tbody>")[2]


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("person=nobody@example.com", "There is nobody called"),
        ("since=yesterday", "Write it as 2026-07-28"),
        ("client=x&until=no", "Write it as 2026-07-28"),
        ("client=x&until=0001-01-01T00:00%2B05:00", "Write it as 2026-07-28"),
    ],
)
def test_a_search_that_makes_no_sense_is_said_beside_the_field(harness, query, said):
    page = at(administrator(harness, "auditor"), f"audit?{query}")
    assert page.status == 400
    assert said in page.text
    assert 'aria-invalid="true"' in page.text


def test_a_search_that_no_index_helps_looks_back_thirty_days_and_says_so(harness):
    harness.redeem("no-such-code")
    harness.clock.advance(days=31)
    browser = administrator(harness, "auditor")
    page = at(browser, "audit?reason=code_unknown")
    assert kinds(page) == []
    assert "Only the last 30 days were searched" in page.text
    further = at(browser, "audit?reason=code_unknown&since=2001-01-01")
    assert kinds(further) == ["token.refused"]
    assert "Only the last" not in further.text


def test_a_search_may_end_before_there_was_anything(harness):
    """Thirty days, or one, before the first there are is no date."""
    browser = administrator(harness, "auditor")
    assert kinds(at(browser, "audit?client=x&until=0001-01-05")) == []
    owner = admin_api.client(harness, "owner")
    assert owner.get("/audit?kind=x&until=0001-01-01T12:00:00Z").json["items"] == []


def test_a_cursor_of_somebody_elses_making_is_refused(harness):
    assert at(administrator(harness, "auditor"), "audit?after=1.2").status == 400


def test_pages_of_the_trail_go_on(harness):
    for number in range(60):
        harness.change(clients.set_ceiling, harness.client_id, frozenset({f"a.{number}"}))
    browser = administrator(harness, "auditor")
    first = at(browser, "audit?kind=admin.changed")
    following = first.text.partition('rel="next" href="')[2].partition('"')[0]
    second = browser.get(harness.server.base + following.replace("&amp;", "&"))
    assert len(kinds(first)) == 50
    places = [re.findall(r"position=(\d+)", page.text) for page in (first, second)]
    assert not set(places[0]) & set(places[1])


def test_what_was_found_is_exported(harness):
    harness.tokens()
    browser = administrator(harness, "auditor")
    sheet = at(browser, "audit?kind=token.issued&format=csv")
    rows = list(csv.DictReader(io.StringIO(sheet.text)))
    assert [row["About"] for row in rows] == ["dev@example.com"]
    lines = at(browser, "audit?kind=token.issued&format=json").text.splitlines()
    told = [json.loads(line) for line in lines]
    assert [it["kind"] for it in told] == ["token.issued"]
    assert list(told[0]["names"].values()) == ["dev@example.com"]
    assert at(browser, "story?of=dev@example.com&format=csv").text.startswith("When,What")


def test_an_event_stands_in_its_place(harness):
    harness.tokens()
    browser = administrator(harness, "auditor")
    listed = at(browser, "audit?kind=consent.granted")
    address = re.search(r'href="[^"]*/console/(audit/event[^"]*)"', listed.text)[1]
    page = at(browser, address.replace("&amp;", "&"))
    assert page.status == 200
    assert "unaltered" in page.text
    assert "not yet: by the next checkpoint" in page.text
    assert "The story of the person" in page.text
    with harness.server.database.write() as tx:
        tx.execute(
            update(AuditEvent)
            .where(AuditEvent.tenant_id == harness.tenant_id, AuditEvent.kind == "consent.granted")
            .values(body=AuditEvent.body + " ")
        )
    assert ">altered<" in at(browser, address.replace("&amp;", "&")).text
    checked = at(browser, "audit/verify", now="1")
    assert checked.status == 200
    assert "The trail does not hold" in checked.text


def test_a_whole_trail_is_checked(harness):
    harness.tokens()
    browser = administrator(harness, "auditor")
    assert "The trail holds" in at(browser, "audit/verify", now="1").text


def test_a_trail_too_long_to_wait_for_is_checked_elsewhere(harness, monkeypatch):
    monkeypatch.setattr(audit_event, "MOST_AT_ONCE", 1)
    answer = at(administrator(harness, "auditor"), "audit/verify", now="1")
    assert answer.status == 400
    assert "authz audit verify" in answer.text


def test_a_story_is_told_in_order(harness):
    harness.tokens()
    browser = administrator(harness, "auditor")
    told = kinds(at(browser, "story?of=dev@example.com"))
    wanted = ["login.succeeded", "consent.granted", "code.issued", "token.issued"]
    places = [told.index(it) for it in wanted]
    assert places == sorted(places)
    nothing = at(browser, "story?of=grt_nothing")
    assert nothing.status == 404
    assert "nothing is on record here of the grant" in nothing.text
    assert at(browser, "story").status == 200


def test_strangers_words_in_the_trail_are_text(harness):
    harness.add_client(name=EVIL, redirect_uris=("https://x.example/cb?a=%3Cscript%3E",))
    harness.change(clients.set_ceiling, harness.client_id, None)
    browser = administrator(harness, "auditor")
    for address in ("audit", f"audit?client={quote(EVIL)}", f"story?of={quote(EVIL)}"):
        assert "<script>alert" not in at(browser, address).text


@pytest.mark.parametrize("address", ["audit", "story", "audit/event?strand=main&position=1"])
def test_the_trail_is_for_who_may_read_it(harness, address):
    """V3: a key custodian sees the configuration, not what people did."""
    assert at(administrator(harness, "key-custodian"), address).status == 403


def test_another_tenants_trail_is_not_there(harness, other_harness):
    other_harness.tokens()
    browser = administrator(harness, "auditor")
    assert kinds(at(browser, "audit?kind=token.issued")) == []
    grant = other_harness.events("token.issued")[0]["detail"]["grant_id"]
    assert at(browser, f"story?of={grant}").status == 404
    assert at(browser, "audit/event?strand=main&position=999").status == 404
    assert at(browser, "audit/event?strand=main&position=-1").status == 404


def held(harness):
    return harness.ask(audit_holds.list_, harness.clock())


def test_a_hold_is_placed_and_released_after_a_question(harness):
    """Issue 7: what a hold keeps, who placed it, why and until when; the way back says what it removes."""
    browser = administrator(harness)
    assert "No legal hold" in at(browser, "legal-holds").text
    form = {"reason": EVIL, "person": "sre@example.com", "until": "2999-12-31"}
    assert at(browser, "legal-holds/place", **form).status == 303
    (line,) = held(harness)
    assert (line.login, line.reason, line.until.year) == ("sre@example.com", EVIL, 3000)
    page = at(browser, "legal-holds").text
    assert "<script>alert" not in page
    row = page.partition("<tbody>")[2].partition("</tbody>")[0]
    assert "sre@example.com" in row
    assert "dev@example.com" in row
    at(browser, "audit/retention", days="400", sure="yes")
    asked = at(browser, "legal-holds/release", hold=line.id).text
    assert "about sre@example.com that are older than 400 days are removed" in asked
    assert held(harness)[0].is_active
    assert at(browser, "legal-holds/release", hold=line.id, sure="yes").status == 303
    assert not held(harness)[0].is_active
    assert at(browser, "legal-holds/release", hold=line.id, sure="yes").status == 409


def test_events_are_kept_for_less_after_a_question_and_for_longer_at_once(harness):
    browser = administrator(harness)
    assert "removed within the hour, for good" in at(browser, "audit/retention", days="400").text
    assert harness.ask(audit_holds.retention).days is None
    assert at(browser, "audit/retention", days="400", sure="yes").status == 303
    assert at(browser, "audit/retention", days="500").status == 303
    assert "500 days." in at(browser, "audit").text
    refused = at(browser, "audit/retention", days="3", sure="yes")
    assert (refused.status, "7 to 36500 days" in refused.text) == (400, True)
    assert at(browser, "audit/retention", days="", x="1").status == 303
    assert harness.ask(audit_holds.retention).days is None


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({"reason": "case 7", "person": "nobody@example.com"}, "nobody@example.com"),
        ({"reason": "case 7", "until": "soon"}, "This is not a day"),
        ({"reason": "", "person": "x"}, "The reason is empty"),
        ({"reason": "case 7", "until": "2001-01-01"}, "is over already"),
    ],
)
def test_a_hold_that_makes_no_sense_is_not_placed(harness, form, said):
    page = at(administrator(harness), "legal-holds/place", **form)
    assert page.status == (404 if "nobody" in said else 400)
    assert said in page.text
    assert held(harness) == []


@pytest.mark.parametrize("role", ["auditor", "approver", "operator"])
def test_who_did_it_or_only_reads_does_not_decide_what_is_kept(harness, role):
    """V3: retention removes the evidence of what an operator did; an auditor changes nothing."""
    line = harness.change(audit_holds.place, reason="case 7")
    browser = administrator(harness, role)
    assert "Place it" not in at(browser, "legal-holds").text
    for act, form in (
        ("legal-holds/place", {"reason": "x"}),
        ("legal-holds/release", {"hold": line.id}),
        ("audit/retention", {"days": "7"}),
    ):
        assert at(browser, act, **form, sure="yes").status == 403
    assert [it.is_active for it in held(harness)] == [True]
    assert harness.ask(audit_holds.retention).days is None


def test_a_hold_is_released_by_who_signed_in_lately_at_this_tenant(harness, other_harness):
    line = other_harness.change(audit_holds.place, reason="case 7")
    browser = administrator(harness)
    assert at(browser, "legal-holds/release", hold=line.id, sure="yes").status == 404
    harness.clock.advance(minutes=16)
    assert at(browser, "legal-holds/place", reason="case 8").is_login
    assert held(harness) == []
    assert held(other_harness)[0].is_active
    # Where the installation tells its trail is nothing of a tenant's.
    assert "Sinks are of the installation" in at(browser, "audit-sinks").text


def test_who_else_is_told_stands_at_the_base_alone_without_where(tmp_path):
    """A webhook's address may be a secret; how far it is behind is not."""
    url = "https://hooks.example/T0/s3cr3t"
    sink = {"name": "on-call", "kind": "webhook", "url": url, "secret": "env:AUTHZ_HOOK"}
    database = f"sqlite:///{tmp_path / 'authz.db'}"
    with running(tmp_path, database, sections={"audit": {"sink": [sink]}}) as server:
        base = admin_api.of_default_tenant(server).harness
        base.add_user("dev@example.com")
        with server.database.write() as tx:
            failed = {"failures": 3, "last_failure": "answered 500", "started_at": base.clock()}
            tx.add(AuditSink(name="on-call", delivered_at=None, retry_at=None, **failed))
        browser = administrator(base, "auditor")
        page = at(browser, "audit-sinks").text
        row = page.partition("<tbody>")[2]
        assert "on-call" in row
        assert "failing" in row
        assert "answered 500" in row
        assert "hooks.example" not in page
        assert "on-call" not in at(browser, "audit-sinks?status=delivering").text
        [_, line] = at(browser, "audit-sinks?status=failing&format=csv").text.splitlines()
        assert "on-call,failing" in line
        assert "hooks.example" not in line
        base.close()
