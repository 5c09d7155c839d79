"""Policy in the console: foresee a token, explain one, find out why somebody was refused."""

import html
import re
from urllib.parse import quote

import pytest

from authz.admin import clients, denials, groups, roles, users
from tests.support.console import EVIL, administrator, at
from tests.support.forms import invalid_in
from tests.support.harness import SCOPES

EVERYTHING = [it.name for it in SCOPES]


def rows(page, table):
    """The rows of the table in the region of this name: heading cell and the others, as text."""
    assert page.status == 200
    found = re.search(rf'aria-label="{table}".*?</table>', page.text, re.S)
    if found is None:
        return {}
    lines = re.findall(r"<tr[^>]*>(.*?)</tr>", found[0].partition("<tbody>")[2], re.S)
    cells = [
        [_text(it) for it in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", line, re.S)] for line in lines
    ]
    heads = [_text(re.search(r'<th scope="row">(.*?)</th>', line, re.S)[1]) for line in lines]
    return dict(zip(heads, cells, strict=True))


def _text(markup):
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", markup)).split())


# -- simulator ----------------------------------------------------------------------------------------------


def test_a_token_is_foreseen(harness):
    browser = administrator(harness, "help-desk")
    page = at(browser, f"simulator?user=sre@example.com&server={harness.resource.id}")
    assert set(rows(page, "Granted")) == {"logs.read", "logs.debug.write", "incidents.trigger"}
    refused = rows(page, "Refused")
    assert set(refused) == {"analytics.query"}
    assert refused["analytics.query"][1:] == [
        "no role of this person holds it",
        "One of the roles developer",
    ]
    assert "3 of 4 scopes" in page.text
    token = harness.redeem(harness.code("sre", requested=EVERYTHING, scopes=EVERYTHING))
    assert token.scopes == set(rows(page, "Granted"))


@pytest.mark.parametrize(
    ("query", "granted"),
    [
        ("&scopes=logs.read+analytics.query", {"logs.read"}),
        ("&asks=nothing", {"logs.read"}),
        ("&way=device", {"logs.read", "logs.debug.write"}),
        (
            "&connection=local&acr=mfa&minutes=5",
            {"logs.read", "logs.debug.write", "incidents.trigger"},
        ),
    ],
)
def test_what_is_asked_for_and_how_they_sign_in(harness, query, granted):
    browser = administrator(harness)
    page = at(browser, f"simulator?user=sre@example.com&server={harness.resource.id}{query}")
    assert set(rows(page, "Granted")) == granted


def test_a_ceiling_and_an_obstacle_are_told(harness):
    harness.change(clients.set_ceiling, harness.client_id, frozenset({"logs.read"}))
    browser = administrator(harness)
    address = f"simulator?server={harness.resource.id}&client={harness.client_id}"
    page = at(browser, f"{address}&user=sre@example.com")
    assert rows(page, "Refused")["incidents.trigger"][1] == "this client is not allowed to have it"
    itself = at(browser, f"{address}&way=itself")
    assert "the client is not registered for client_credentials" in itself.text
    assert "No token" in itself.text


@pytest.mark.parametrize(
    ("query", "name", "sentence"),
    [
        ("user=nobody", "user", "there is no user"),
        ("user=dev@example.com&client=nothing", "client", "there is no client"),
        ("user=dev@example.com&way=itself", "client", "name the person, or the client"),
        ("user=dev@example.com&minutes=x", "minutes", "give a whole number"),
        ("user=dev@example.com&minutes=99999999", "minutes", "give a whole number"),
        ("user=dev@example.com&minutes=9999999", "minutes", "ten years old"),
        ("user=dev@example.com&connection=gone", "connection", "there is no connection"),
        ("user=dev@example.com&server=res_gone", "server", "there is no MCP server"),
        (f"user={quote(EVIL)}", "user", "there is no user"),
    ],
    ids=["person", "client", "itself", "minutes", "long", "old", "connection", "server", "script"],
)
def test_who_or_what_is_not_there_yet_is_said_beside_its_field(harness, query, name, sentence):
    browser = administrator(harness)
    page = at(browser, f"simulator?server={harness.resource.id}&{query}")
    assert page.status == 200
    [wrong] = re.findall(rf'<p class="field-wrong" id="{name}-wrong">(.*?)</p>', page.text)
    assert sentence in wrong
    assert [it.name for it in invalid_in(page.text)] == [name]
    assert "No answer yet" in page.text
    assert "<script>alert" not in page.text
    assert "authz users" not in page.text


# -- explain ------------------------------------------------------------------------------------------------


def test_a_token_is_explained(harness):
    harness.change(clients.set_ceiling, harness.client_id, frozenset(EVERYTHING[:2]))
    code = harness.code(requested=EVERYTHING, scopes=EVERYTHING)
    jti = harness.claims(harness.redeem(code).access_token)["jti"]
    browser = administrator(harness, "help-desk")
    page = at(browser, f"explain?jti={jti}")
    assert rows(page, "It holds")["logs.read"][1] == "role developer"
    assert (
        rows(page, "It does not hold")["incidents.trigger"][1] == "no role of this person holds it"
    )
    assert ">good<" in page.text
    harness.change(users.disable, "dev@example.com")
    assert (
        "user_disabled"
        in at(administrator(harness, login="sre@example.com"), f"explain?jti={jti}").text
    )


def test_a_whole_token_is_not_looked_up_and_not_repeated(harness):
    token = harness.redeem(harness.code()).access_token
    page = at(administrator(harness), f"explain?jti={token}")
    assert [it.name for it in invalid_in(page.text)] == ["jti"]
    assert "this is not a jti" in page.text
    assert token not in page.text


def test_why_somebody_was_refused(harness):
    """M8: the refusal, its sentence, and the way into the simulator."""
    harness.change(roles.unbind, role="developer", kind="user", holder="dev@example.com")
    refused = harness.redeem(harness.code())
    assert refused.reason == "nothing_granted"
    browser = administrator(harness, "help-desk", login="sre@example.com")
    for query in ("user=dev@example.com", f"client={harness.client_id}"):
        page = at(browser, f"explain?{query}")
        [line] = rows(page, "Refusals").values()
        assert line[1] == "policy leaves no scope for this request nothing_granted"
        assert line[2:4] == ["dev@example.com", "Test client"]
        link = re.search(r'href="([^"]*/simulator\?[^"]*)"', page.text)[1]
        way_on = browser.get(harness.server.base + html.unescape(link))
        assert way_on.field("user") == "dev@example.com"
        assert way_on.field("client") == harness.client_id
    sheet = at(browser, "explain?user=dev@example.com&format=csv")
    assert "nothing_granted" in sheet.text


def test_latest_tokens_are_a_click_from_their_explanation(harness):
    harness.redeem(harness.code(requested=EVERYTHING, scopes=EVERYTHING))
    page = at(administrator(harness, login="sre@example.com"), "explain?user=dev@example.com")
    assert "Nothing was refused" in page.text
    jti = re.search(r"explain\?jti=([A-Za-z0-9_-]+)", page.text)[1]
    assert rows(at(administrator(harness), f"explain?jti={jti}"), "It holds")


def test_what_is_another_tenants_is_not_explained(harness, other_harness):
    """M1, ATK-68."""
    jti = other_harness.claims(other_harness.redeem(other_harness.code()).access_token)["jti"]
    browser = administrator(harness)
    for query in (
        f"jti={jti}",
        f"user={other_harness.users['dev']}",
    ):
        page = at(browser, f"explain?{query}")
        assert len(list(invalid_in(page.text))) == 1
        assert not rows(page, "It holds")
        assert not rows(page, "Latest tokens")
    assert "Nothing was refused" in at(browser, f"explain?client={other_harness.client_id}").text


def test_for_a_client_alone_the_newest_of_the_trail_is_read(harness, monkeypatch):
    """A trail of millions has no index of clients: a page reads so many of its newest events, and says no more."""
    monkeypatch.setattr(denials, "MOST_READ", 2)
    harness.token({"grant_type": "authorization_code", "client_id": harness.client_id})
    harness.change(roles.unbind, role="developer", kind="user", holder="dev@example.com")
    harness.redeem(harness.code())
    asked = {"client": harness.client_id}
    assert len(harness.ask(denials.denials, harness.clock(), **asked)) == 1
    for name in ("one", "two", "three"):
        harness.clock.advance(seconds=1)
        harness.change(groups.add, name=name)
    assert harness.ask(denials.denials, harness.clock(), **asked) == []
    assert harness.ask(denials.denials, harness.clock(), person="dev@example.com", **asked)
