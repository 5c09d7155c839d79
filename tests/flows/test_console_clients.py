"""Clients in the console: approve, block, bound, and look at what changed (features item 6)."""

import re
from datetime import timedelta
from urllib.parse import quote

import pytest
from sqlalchemy import delete

from authz.admin import client_trust, clients, groups, initial_tokens
from authz.clients.resolution import FLOOR
from authz.db.models import Group
from tests.support.console import EVIL, administrator, at


def one(client_id, act=""):
    """The address of one client, or of a form there."""
    return f"clients/one{act and f'/{act}'}?id={quote(client_id, safe='')}"


def test_a_list_of_clients_is_searched_filtered_and_exported(harness):
    harness.add_client(name="Zebra", client_id="zebra")
    blocked = harness.add_client(name="Ape").client.id
    harness.change(clients.block, blocked)
    browser = administrator(harness)
    assert {"Zebra", "Ape"} <= set(_names(at(browser, "clients")))
    assert _names(at(browser, "clients?q=ZEB")) == ["Zebra"]
    assert _names(at(browser, "clients?status=blocked")) == ["Ape"]
    assert _names(at(browser, "clients?kind=dynamic")) == []
    sheet = at(browser, "clients?format=csv&q=zebra")
    assert "Zebra,zebra,registered,approved,0," in sheet.text


def _names(page):
    assert page.status == 200
    return re.findall(r'<th scope="row"><a [^>]*><bdi>([^<]*)', page.text)


def test_long_lists_go_on_where_they_ended(harness):
    for number in range(60):
        harness.add_client(name=f"Client {number:03}")
    browser = administrator(harness)
    first = at(browser, "clients?q=client+0")
    following = first.text.partition('rel="next" href="')[2].partition('"')[0]
    second = browser.get(harness.server.base + following.replace("&amp;", "&"))
    assert len(_names(first)) == 50
    assert _names(second) == [f"Client {number:03}" for number in range(50, 60)]


def test_a_status_that_is_none_is_refused(harness):
    answer = at(administrator(harness), "clients?status=strange")
    assert answer.status == 400


def test_a_client_with_a_secret_is_registered_and_its_secret_shown_once(harness):
    browser = administrator(harness)
    made = at(
        browser,
        "clients/add",
        name="Batch",
        auth_method="client_secret_basic",
        grant_types="client_credentials",
        ceiling="logs.read",
        client_id="batch",
    )
    assert made.status == 200
    assert made.response.headers["cache-control"] == "no-store"
    secret = made.text.partition("<code>cls_")[2].partition("<")[0]
    assert len(secret) > 30
    page = at(browser, one("batch"))
    assert page.status == 200
    assert secret not in page.text
    assert "<code>logs.read</code>" in page.text
    again = at(
        browser,
        "clients/add",
        name="Batch",
        auth_method="client_secret_basic",
        grant_types="client_credentials",
        client_id="batch",
    )
    assert again.status == 409
    assert 'value="batch"' in again.text


def test_a_public_client_is_registered(harness):
    browser = administrator(harness)
    form = {"name": "Editor", "auth_method": "none", "grant_types": "authorization_code"}
    refused = at(browser, "clients/add", **form, redirect_uris="javascript:alert(1)")
    assert refused.status == 400
    made = at(browser, "clients/add", **form, redirect_uris="https://editor.example/cb")
    assert made.status == 303
    assert harness.ask(clients.list_)[0].name == "Editor"


def test_a_secret_is_rotated_once_whatever_the_browser_sends_again(harness):
    made = harness.add_client(name="Batch", auth_method="client_secret_basic")
    browser = administrator(harness)
    page = at(browser, one(made.client.id))
    form = {"version": page.field("version"), "overlap": "24"}
    rotated = at(browser, one(made.client.id, "rotate"), **form)
    assert rotated.status == 200
    assert "stay good for 24 hours" in rotated.text
    again = at(browser, one(made.client.id, "rotate"), **form)
    assert again.status == 409
    assert len(harness.ask(clients.show, made.client.id).secrets) == 2


def test_blocking_says_how_many_grants_of_how_many_people_end(harness):
    tokens = [harness.tokens(), harness.tokens("sre@example.com")]
    browser = administrator(harness)
    asked = at(browser, one(harness.client_id, "block"), sent="1")
    assert asked.status == 200
    assert "Ends 2 grants of 2 people" in asked.text
    assert harness.refresh(tokens[0].refresh_token).ok
    done = at(browser, one(harness.client_id, "block"), sure="yes")
    assert done.status == 303
    assert harness.refresh(tokens[1].refresh_token).reason == "client_blocked"
    page = browser.get(harness.server.base + done.location)
    assert "what it held has ended" in page.text
    assert at(browser, one(harness.client_id, "unblock"), sent="1").status == 303
    assert harness.ask(clients.show, harness.client_id).status == "active"


def test_a_client_is_removed_after_asking(harness):
    browser = administrator(harness)
    asked = at(browser, one(harness.client_id, "remove"), sent="1")
    assert "It holds no live grant" in asked.text
    assert at(browser, one(harness.client_id, "remove"), sure="yes").status == 303
    assert at(browser, one(harness.client_id)).status == 404


def test_a_bound_is_set_and_taken_away(harness):
    browser = administrator(harness)
    address = one(harness.client_id, "ceiling")
    assert at(browser, address, was_ceiling="", bound="yes", ceiling="logs.read").status == 303
    assert harness.ask(clients.show, harness.client_id).scope_ceiling == {"logs.read"}
    empty = at(browser, address, was_ceiling="logs.read", bound="yes", ceiling="")
    assert empty.status == 400
    assert 'aria-invalid="true"' in empty.text
    assert at(browser, address, was_ceiling="logs.read", bound="no").status == 303
    assert harness.ask(clients.show, harness.client_id).scope_ceiling is None


def test_who_may_use_it_is_set(harness):
    """Features section 2, row 19: whom it takes something from is said first."""
    harness.change(groups.add, name="on-call")
    harness.change(groups.add_member, group="on-call", user="sre@example.com")
    harness.tokens("dev@example.com", scope="logs.read offline_access")
    harness.tokens("sre@example.com", scope="logs.read offline_access")
    browser = administrator(harness)
    address = one(harness.client_id, "groups")
    form = {"was_groups": "", "limited": "yes"}
    empty = at(browser, address, **form, groups=" ")
    assert (empty.status, 'aria-invalid="true"' in empty.text) == (400, True)
    unknown = at(browser, address, **form, groups="nobody")
    assert "there is no group &#39;nobody&#39;" in unknown.text
    sure = at(browser, address, **form, groups="on-call")
    assert "People in none of these groups who hold live grants through it: 1." in sure.text
    assert harness.ask(clients.show, harness.client_id).groups is None
    assert at(browser, address, **form, groups="on-call", sure="yes").status == 303
    assert "people in <bdi>on-call</bdi>" in at(browser, one(harness.client_id)).text
    clash = at(browser, address, was_groups="", limited="no")
    assert (clash.status, "Somebody else changed this meanwhile" in clash.text) == (409, True)
    with harness.server.database.write() as tx:  # as a provisioning client takes it away
        tx.execute(delete(Group).where(Group.name == "on-call"))
    gone = at(browser, one(harness.client_id))
    assert "nobody: the groups it is limited to are gone" in gone.text
    assert at(browser, address, was_groups="", limited="no").status == 303
    assert "everybody" in at(browser, one(harness.client_id)).text


def test_two_administrators_do_not_write_over_each_other(harness):
    browser = administrator(harness)
    harness.change(clients.set_ceiling, harness.client_id, frozenset({"logs.read"}))
    address = one(harness.client_id, "ceiling")
    form = {"bound": "yes", "ceiling": "analytics.query"}
    clash = at(browser, address, was_ceiling="", **form)
    assert clash.status == 409
    assert "Somebody else changed this meanwhile" in clash.text
    assert "logs.read" in clash.text
    assert "analytics.query" in clash.text
    assert harness.ask(clients.show, harness.client_id).scope_ceiling == {"logs.read"}
    assert clash.field("was_ceiling") == "logs.read"
    assert at(browser, address, was_ceiling="logs.read", **form).status == 303


def test_a_request_is_approved_from_the_page_of_the_client(harness):
    """CIMD-31, S6."""
    url = harness.serve_document()
    harness.tokens(client_id=url)
    harness.set_trust("allow_list")
    browser = administrator(harness)
    page = at(browser, one(url))
    assert "nobody allowed it" in page.text
    assert "refused" in page.text
    assert at(browser, one(url, "approve"), sent="1").status == 303
    assert "it may be used" in at(browser, one(url)).text
    assert "Approve" not in at(browser, one(url)).text.partition("<main")[2]
    assert _names(at(browser, "clients?status=approved")) != []


def test_a_document_is_refused_by_a_rule_for_exactly_it(harness):
    url = harness.serve_document()
    harness.tokens(client_id=url)
    browser = administrator(harness)
    asked = at(browser, one(url, "refuse"), sent="1")
    assert "Ends 1 grant of 1 person" in asked.text
    assert at(browser, one(url, "refuse"), sure="yes").status == 303
    assert [it.verdict for it in harness.ask(client_trust.rules)] == ["deny"]


def test_what_a_document_changed_is_shown_until_somebody_looked(harness):
    """CIMD-28: what was accepted beside what it is now."""
    url = harness.serve_document(client_name="Before")
    harness.tokens(client_id=url)
    harness.serve_document(
        client_name="After", redirect_uris=[harness.request["redirect_uri"], EVIL_URI]
    )
    harness.clock.advance(seconds=(FLOOR + timedelta(days=2)).total_seconds())
    harness.browser().authorize(client_id=url)
    browser = administrator(harness)
    assert ">changed<" in at(browser, "clients").text
    page = at(browser, one(url))
    assert "Before" in page.text
    assert "After" in page.text
    assert EVIL_URI in page.text
    stale = at(browser, one(url, "accept"), digest="0" * 64)
    assert stale.status == 409
    assert at(browser, one(url, "accept"), digest=page.field("digest")).status == 303
    assert ">changed<" not in at(browser, "clients").text
    assert at(browser, one(url, "accept"), digest=page.field("digest")).status == 409


EVIL_URI = "https://elsewhere.example/cb"


def test_what_a_client_says_of_itself_is_text(harness):
    url = harness.serve_document(client_name=EVIL, path="/x/client.json")
    harness.browser().authorize(client_id=url)
    harness.add_client(name=EVIL)
    browser = administrator(harness)
    for address in ("clients", one(url)):
        page = at(browser, address)
        assert page.status == 200
        assert "<script>alert" not in page.text
        assert "&lt;script&gt;alert" in page.text


def test_a_client_of_another_tenant_is_not_there(harness, other_harness):
    browser = administrator(harness)
    for act in ("", "approve", "refuse", "accept", "block", "unblock", "remove", "rotate"):
        fields = {"sure": "yes"} if act else {}
        assert at(browser, one(other_harness.client_id, act), **fields).status == 404
    fields = {"bound": "no", "was_ceiling": ""}
    assert at(browser, one(other_harness.client_id, "ceiling"), **fields).status == 404
    fields = {"limited": "no", "was_groups": ""}
    assert at(browser, one(other_harness.client_id, "groups"), **fields).status == 404


@pytest.mark.parametrize("act", ["block", "remove", "approve"])
def test_clients_are_changed_by_whoever_may(harness, act):
    browser = administrator(harness, "auditor")
    assert "Block" not in at(browser, one(harness.client_id)).text
    assert at(browser, one(harness.client_id, act), sure="yes").status == 403
    assert harness.ask(clients.show, harness.client_id).status == "active"


def requested(harness):
    """A person asked for a client that no rule lets in."""
    harness.set_trust("allow_list")
    url = harness.serve_document()
    browser = harness.browser()
    page = browser.start(client_id=url)
    page = browser.sign_in(page) if page.is_login else page
    asked = browser.post(
        f"{harness.issuer}/clients/request", {"request_id": page.field("request_id")}
    )
    assert asked.status == 200
    return url


def test_a_request_is_decided(harness):
    """S6: the person asks, an administrator decides, the person goes on."""
    url = requested(harness)
    browser = administrator(harness)
    page = at(browser, "client-requests")
    assert url in page.text
    assert "dev@example.com" in page.text
    assert "1 client waits for a decision" in at(browser, "clients").text
    assert at(browser, "client-requests/refuse", client_id=url).status == 303
    assert url not in at(browser, "client-requests").text
    assert url in at(browser, "client-requests?status=refused").text
    assert at(browser, "client-requests/approve", client_id=url).status == 303
    assert harness.browser().authorize(client_id=url).code
    assert at(browser, "client-requests/approve", client_id=url).status == 409
    assert at(browser, "client-requests/approve", client_id="https://no.example/x").status == 404
    assert f"{url},dev@example.com," in at(browser, "client-requests?format=csv&status=all").text


def test_rules_are_set_and_removed_and_say_whom_they_keep_out(harness):
    url = harness.serve_document()
    harness.tokens(client_id=url)
    browser = administrator(harness)
    rule = {"pattern": harness.host, "verdict": "deny"}
    asked = at(browser, "client-trust/set", **rule)
    assert "Keeps out 1 client" in asked.text
    assert "1 grant of 1 person" in asked.text
    assert harness.ask(client_trust.rules) == []
    assert at(browser, "client-trust/set", **rule, sure="yes").status == 303
    assert harness.host in at(browser, "client-trust?verdict=deny").text
    assert at(browser, "client-trust/remove", pattern=harness.host).status == 303
    assert harness.ask(client_trust.rules) == []
    wrong = at(browser, "client-trust/set", pattern="*.example", verdict="allow")
    assert wrong.status == 400
    assert 'value="*.example"' in wrong.text


def test_a_narrower_mode_is_asked_about(harness):
    url = harness.serve_document()
    harness.tokens(client_id=url)
    browser = administrator(harness)
    asked = at(browser, "client-trust/mode", mode="allow_list")
    assert "Keeps out 1 client" in asked.text
    assert at(browser, "client-trust/mode", mode="allow_list", sure="yes").status == 303
    assert "only those a rule allows" in at(browser, "client-trust").text
    assert at(browser, "client-trust/mode", mode="open").status == 303
    assert at(browser, "client-trust/mode", mode="strange").status == 400


def test_tokens_for_registration_are_made_and_revoked(harness):
    browser = administrator(harness)
    assert at(browser, "client-registration/mode", mode="token").status == 303
    assert harness.tenant().registration == "token"
    made = at(browser, "client-registration/add", name=EVIL, uses="2", days="7")
    assert made.status == 200
    assert "<code>iat_" in made.text
    line = harness.ask(initial_tokens.list_)[0]
    assert line.remaining == 2
    assert "<script>alert" not in at(browser, "client-registration").text
    assert "Revoke" in at(browser, "client-registration").text
    asked = at(browser, "client-registration/revoke", id=line.id)
    assert "Nothing registers with this token" in asked.text
    assert at(browser, "client-registration/revoke", id=line.id, sure="yes").status == 303
    assert at(browser, "client-registration/revoke", id=line.id, sure="yes").status == 409
    wrong = at(browser, "client-registration/add", name="x", uses="many", days="7")
    assert wrong.status == 400
    assert 'aria-invalid="true"' in wrong.text


def test_another_tenants_rules_requests_and_tokens_are_not_there(harness, other_harness):
    other_harness.change(client_trust.set_rule, pattern="theirs.example", verdict="allow")
    token = other_harness.change(initial_tokens.add, name="theirs", uses=1, lifetime=None)
    url = requested(other_harness)
    browser = administrator(harness)
    for address in ("client-trust", "client-requests?status=all", "client-registration"):
        page = at(browser, address)
        assert page.status == 200
        assert "theirs" not in page.text
        assert url not in page.text
    assert at(browser, "client-trust/remove", pattern="theirs.example").status == 404
    assert at(browser, "client-requests/approve", client_id=url).status == 404
    revoked = at(browser, "client-registration/revoke", id=token.line.id, sure="yes")
    assert revoked.status == 404
