"""Item 24 of features.md, ATK-28: people of Entra ID with more groups than a token holds."""

from datetime import timedelta

import pytest

from authz.federation import oidc_groups
from authz.federation.connector import MISCONFIGURED, UNREACHABLE
from tests.support.fake_idp import GROUPS
from tests.support.oidc_scene import DIRECTORY, OBJECT
from tests.support.web import Reply

PLACE = f"/v1.0{GROUPS}"
WANTED = frozenset({"groups"})
POINTS = {
    "_claim_names": {"groups": "src1"},
    "_claim_sources": {
        "src1": {"endpoint": "https://graph.windows.net/x/users/y/getMemberObjects"}
    },
}


@pytest.fixture
def entra(scene):
    person = {"tid": DIRECTORY, "oid": OBJECT}
    return scene.idp("entra.example", f"/{DIRECTORY}/v2.0", person=person)


@pytest.fixture
def upstream(scene, entra):
    return scene.upstream(entra, preset="entra", graph_url=entra.url("/v1.0"))


def ids(count, start=0):
    return [f"0b1ec700-0000-4000-8000-{n:012x}" for n in range(start, start + count)]


@pytest.mark.parametrize("claims", [POINTS, {"hasgroups": True}, {"hasgroups": "true"}])
def test_groups_beyond_the_token_are_fetched(scene, entra, upstream, claims):
    """Page by page, with the access token of this sign-in, where the operator said and nowhere else."""
    entra.claims |= claims
    entra.group_pages = [ids(999), ids(999, 999), ids(2, 1998)]
    identity = scene.sign_in(entra, upstream, wanted=WANTED).identity
    assert identity.claims["groups"] == tuple(ids(2000))
    assert entra.count(PLACE) == 3
    first = next(seen for path, seen in entra.seen if path == PLACE)
    assert first.headers["consistencylevel"] == "eventual"
    assert first.target.endswith(f"{GROUPS}?$select=id&$count=true&$top=999")


def test_five_thousand_groups(scene, entra, upstream):
    entra.claims |= POINTS
    entra.group_pages = [ids(999, 999 * n) for n in range(6)]
    identity = scene.sign_in(entra, upstream, wanted=WANTED).identity
    assert len(identity.claims["groups"]) == 5994


@pytest.mark.parametrize(
    "claims",
    [
        {"groups": ["a"]},
        {"_claim_names": {"other": "src1"}},
        {"_claim_names": ["groups"]},
        {"_claim_names": "groups"},
        {"hasgroups": "yes"},
        {"hasgroups": {"a": 1}},
    ],
    ids=["named", "another claim", "a list", "text", "a word", "an object"],
)
def test_a_token_that_points_at_nothing_makes_us_ask_nobody(scene, entra, upstream, claims):
    entra.claims |= claims
    identity = scene.sign_in(entra, upstream, wanted=WANTED).identity
    assert identity.claims == ({"groups": ("a",)} if "groups" in claims else {})
    assert entra.count(PLACE) == 0


def test_groups_that_no_mapping_mentions_are_not_fetched(scene, entra, upstream):
    entra.claims |= POINTS
    assert scene.sign_in(entra, upstream, wanted=frozenset({"roles"})).identity.claims == {}
    assert entra.count(PLACE) == 0


def test_other_providers_are_not_graph(scene, idp):
    """And nobody goes where a token points: that host is served by nobody, so asking it would fail the test."""
    idp.claims |= POINTS
    idp.metadata["userinfo_endpoint"] = None
    assert scene.sign_in(idp, wanted=WANTED).identity.claims == {}


JSON = {"Content-Type": "application/json"}
REPLIES = {
    "refused": (Reply.json({"error": {"code": "Authorization_RequestDenied"}}, 403), "refused"),
    "expired": (Reply.json({"error": {}}, 401), "refused"),
    "broken": (Reply(503, headers=JSON), "status"),
    "throttled": (Reply(429, headers=JSON), "status"),
    "a page": (Reply(200, b"<html>", {"Content-Type": "text/html"}), "content_type"),
    "no JSON": (Reply(200, b"{", JSON), "json"),
    "no list": (Reply.json({}), "malformed"),
    "an object": (Reply.json({"value": {"id": "a"}}), "malformed"),
    "without ids": (Reply.json({"value": [{"id": "a"}, {}]}), "malformed"),
    "ids as numbers": (Reply.json({"value": [{"id": 7}]}), "malformed"),
    "texts": (Reply.json({"value": ["a"]}), "malformed"),
    "huge": (Reply(200, b" " * 5_000_000, JSON), "too_large"),
}


@pytest.mark.parametrize("name", REPLIES)
def test_an_answer_of_graph_that_is_none_signs_nobody_in(scene, entra, upstream, name):
    """All groups or no session: part of them would be a guess about what somebody may do."""
    entra.claims |= POINTS
    entra.replies[PLACE], reason = REPLIES[name]
    refused = scene.refusal(entra, upstream, wanted=WANTED)
    assert refused.reason == f"graph_{reason}"
    assert (refused.sentence == UNREACHABLE) == (reason == "status")
    assert refused.sentence != MISCONFIGURED


LINKS = {
    "another host": lambda link: link.replace("entra.example", "evil.example"),
    "the host before a name": lambda link: link.replace("https://", "https://a@"),
    "another port": lambda link: link.replace("https://entra.example:", "https://entra.example:1"),
    "without encryption": lambda link: link.replace("https:", "http:"),
    "above": lambda link: link.replace("/v1.0/me", "/v1.0/../me"),
    "beside": lambda link: link.replace("/v1.0/", "/v1.0beta/"),
    "relative": lambda link: link.partition(".example")[2],
    "a number": lambda link: 7,
    "an object": lambda link: {"href": link},
}


@pytest.mark.parametrize("name", LINKS)
def test_the_access_token_goes_to_no_other_place(scene, entra, upstream, name):
    entra.claims |= POINTS
    entra.group_pages = [ids(1), ids(1, 1)]
    entra.next_link = LINKS[name]
    assert scene.refusal(entra, upstream, wanted=WANTED).reason == "graph_link"
    assert entra.count(PLACE) == 1


def test_pages_without_end(scene, entra, upstream, monkeypatch):
    monkeypatch.setattr(oidc_groups, "MAX_PAGES", 5)
    entra.claims |= POINTS
    entra.group_pages = [ids(1), ids(1, 1)]
    entra.next_link = lambda link: link
    # The last page points at itself.
    entra.replies[PLACE] = Reply.json(
        {"value": [{"id": "a"}], "@odata.nextLink": entra.url(f"{PLACE}?$skiptoken=0")}
    )
    assert scene.refusal(entra, upstream, wanted=WANTED).reason == "graph_too_many_pages"
    assert entra.count(PLACE) == 5


@pytest.mark.slow
def test_pages_that_take_for_ever(scene, entra, upstream, monkeypatch):
    """Each within its own deadline, and together too long."""
    monkeypatch.setattr(oidc_groups, "DEADLINE", timedelta(seconds=1))
    entra.claims |= POINTS
    entra.replies[PLACE] = Reply(
        200,
        b'{"value": [], "@odata.nextLink": "%s"}' % entra.url(f"{PLACE}?a=b").encode(),
        JSON,
        delay=0.3,
    )
    refused = scene.refusal(entra, upstream, wanted=WANTED)
    assert (refused.reason, refused.sentence) == ("graph_timeout", UNREACHABLE)


def test_without_an_access_token_there_is_nothing_to_ask_with(scene, entra, upstream):
    entra.claims |= POINTS
    entra.tokens |= {"access_token": None, "token_type": None}
    assert scene.refusal(entra, upstream, wanted=WANTED).reason == "graph_without_token"
