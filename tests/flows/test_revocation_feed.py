"""The revocation feed as an MCP server reads it: who may, what it says, how long it waits (item 5, E10)."""

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import httpx2
import pytest
from sqlalchemy import select, update

from authz import jobs
from authz.admin import clients, leaving, resources
from authz.db.models import IssuedToken, Resource, RevocationEntry
from authz.revocations import hub
from tests.support import plain_http
from tests.support.feed import PATH, FeedReader
from tests.support.harness import RESOURCE, Harness
from tests.support.plain_http import NO_TLS


@pytest.fixture
def reader(harness):
    return FeedReader(harness)


def granted(harness, **values):
    return harness.redeem(harness.code(**values)).access_token


def revoke(harness, token, client_id=None):
    fields = {"token": token, "client_id": client_id or harness.client_id}
    assert harness.post("/revoke", fields).status == 200


def test_metadata_says_where_it_is(harness):
    document = harness.http.get(f"{harness.issuer}/.well-known/oauth-authorization-server").json()
    assert document["revocation_feed_endpoint"] == f"{harness.issuer}{PATH}"


def test_every_access_token_names_its_grant(harness):
    """L2, S9: and the version it was decided under."""
    claims = harness.claims(granted(harness))
    assert claims["grant_id"].startswith("grt_")
    assert claims["policy_version"] == harness.tenant().config_version


def test_an_entry_says_which_tokens_are_dead_and_for_how_long(harness, reader):
    token, other = granted(harness), granted(harness)
    revoke(harness, token)
    claims = harness.claims(token)
    [entry] = reader.read_on()
    assert entry.pop("n") == reader.upto
    assert entry == {"jti": claims["jti"], "exp": claims["exp"] + 60}
    assert not reader.accepts(token)
    assert reader.accepts(other)


def test_a_grant_is_one_entry_however_many_tokens_it_has(harness, reader):
    first = harness.redeem(harness.code())
    second = harness.refresh(first.refresh_token)
    revoke(harness, second.refresh_token)
    [entry] = reader.read_on()
    assert entry["grant_id"] == harness.claims(first.access_token)["grant_id"]
    assert not reader.accepts(first.access_token)
    assert not reader.accepts(second.access_token)


def test_a_grant_whose_tokens_have_expired_is_no_news(harness, reader):
    """Most grants that end are quiet ones: nobody has to be told."""
    first = harness.redeem(harness.code())
    harness.clock.advance(hours=1)
    revoke(harness, first.refresh_token)
    harness.change(leaving.end_access, "dev@example.com")
    assert reader.read_on() == []
    assert harness.count(RevocationEntry) == 0


def test_an_answer_without_news_says_until_when_there_were_none(harness, reader):
    claims = reader.read(reader.upto)
    assert claims["entries"] == []
    now = harness.clock().timestamp()
    assert (claims["as_of"], claims["iat"]) == (now, int(now))
    assert (claims["has_more"], claims["waited"]) == (False, 0)


def test_who_begins_anew_is_told_what_is_not_over(harness, reader):
    tokens = [granted(harness) for _ in range(3)]
    for token in tokens:
        revoke(harness, token)
    assert [entry["n"] for entry in reader.read()["entries"]] == [1, 2, 3]
    harness.clock.advance(minutes=10, seconds=59)
    assert len(reader.read()["entries"]) == 3
    harness.clock.advance(seconds=2)
    assert reader.read()["entries"] == []
    # The numbers go on.
    revoke(harness, granted(harness))
    jobs.remove_expired(harness.server.services, harness.clock())
    assert [entry["n"] for entry in reader.read()["entries"]] == [4]


def test_a_place_that_was_never_reached_is_a_new_beginning(harness, reader):
    """The database was restored: who knows more than there is, knows something else."""
    revoke(harness, granted(harness))
    claims = reader.read(4711)
    assert (len(claims["entries"]), claims["upto"]) == (1, 1)


def test_long_lists_come_in_parts(harness, reader, monkeypatch):
    monkeypatch.setattr(hub.FeedHub.read, "__kwdefaults__", {"limit": 2})
    for _ in range(5):
        revoke(harness, granted(harness))
    parts, after = [], None
    while True:
        claims = reader.read(after)
        parts.append([entry["n"] for entry in claims["entries"]])
        after = claims["upto"]
        if not claims["has_more"]:
            break
    assert parts == [[1, 2], [3, 4], [5]]
    assert [entry["n"] for entry in reader.read(2)["entries"]] == [3, 4]


# -- waiting ----------------------------------------------------------------------------------------------


def test_who_waits_is_told_at_once(harness, reader):
    """E10: from the revocation to the answer well below a second."""
    token = granted(harness)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(reader.read, reader.upto, 20)
        threading.Event().wait(0.5)
        assert not waiting.done()
        began = time.monotonic()
        revoke(harness, token)
        claims = waiting.result(15)
    assert [entry["jti"] for entry in claims["entries"]] == [harness.claims(token)["jti"]]
    assert time.monotonic() - began < 5


def test_what_other_servers_have_to_know_wakes_nobody(harness, reader):
    harness.add_resource("https://other.example/mcp")
    elsewhere = FeedReader(harness, "https://other.example/mcp")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(elsewhere.read, elsewhere.upto, 1)
        threading.Event().wait(0.3)
        revoke(harness, granted(harness))
        claims = waiting.result(15)
    assert claims["entries"] == []
    # And it need not ask for that again.
    assert claims["upto"] == 1
    assert elsewhere.read()["entries"] == []


def test_a_wait_ends_with_a_heartbeat(harness, reader):
    began = time.monotonic()
    claims = reader.read(reader.upto, 1)
    assert claims["entries"] == []
    assert time.monotonic() - began >= 1


def test_places_to_wait_are_few(harness, reader, monkeypatch):
    monkeypatch.setattr(hub, "MOST_OF_ONE", 1)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(reader.read, reader.upto, 2)
        threading.Event().wait(0.5)
        refused = reader.ask(after=reader.upto, wait=2)
        assert (refused.status, refused.reason) == (429, "feed_readers_per_client")
        assert refused.response.headers["retry-after"] == "5"
        waiting.result(15)
    assert reader.ask(after=reader.upto).status == 200
    monkeypatch.setattr(hub, "MOST_WAITING", 0)
    assert reader.ask(after=reader.upto).reason == "feed_full"


def test_who_hangs_up_gives_the_place_back(harness, reader, monkeypatch):
    monkeypatch.setattr(hub, "MOST_OF_ONE", 1)
    with pytest.raises(httpx2.ReadTimeout):
        plain_http.post(
            f"{harness.issuer}{PATH}",
            data={"after": reader.upto, "wait": 30},
            headers={"Authorization": reader.authorization},
            timeout=1,
        )
    for _ in range(50):
        answer = reader.ask(after=reader.upto)
        if answer.status == 200:
            break
        threading.Event().wait(0.1)
    assert answer.status == 200


def test_a_stream_of_events(harness, reader):
    """The same answers, one after the other, each with its place as id."""
    token = granted(harness)
    headers = {"Authorization": reader.authorization, "Accept": "text/event-stream"}
    with httpx2.Client(trust_env=False, verify=NO_TLS, timeout=15) as http:
        url = f"{harness.issuer}{PATH}"
        with http.stream("GET", url, headers=headers, params={"after": reader.upto}) as response:
            assert response.headers["content-type"].startswith("text/event-stream")
            lines = response.iter_lines()
            first = [next(lines) for _ in range(4)]
            assert first[:2] == [f"id: {reader.upto}", "event: revocations"]
            assert reader.claims_of(first[2].removeprefix("data: "))["entries"] == []
            revoke(harness, token)
            second = [next(lines) for _ in range(4)]
    claims = reader.claims_of(second[2].removeprefix("data: "))
    assert second[0] == f"id: {claims['upto']}"
    assert [entry["jti"] for entry in claims["entries"]] == [harness.claims(token)["jti"]]
    # Who comes back says where it was.
    with httpx2.Client(trust_env=False, verify=NO_TLS, timeout=15) as http:
        back = {**headers, "Last-Event-ID": str(reader.upto)}
        with http.stream("GET", url, headers=back) as response:
            lines = response.iter_lines()
            again = [next(lines) for _ in range(4)]
    assert reader.claims_of(again[2].removeprefix("data: "))["entries"] == claims["entries"]


# -- who may ----------------------------------------------------------------------------------------------


def test_get_reads_the_same(harness, reader):
    url = f"{harness.issuer}{PATH}"
    answer = harness.http.get(
        url, params={"after": 0}, headers={"Authorization": reader.authorization}
    )
    assert answer.status_code == 200
    assert reader.claims_of(answer.text)["entries"] == []
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("field", ["client_id", "client_secret", "client_assertion", "token"])
def test_nothing_secret_comes_in_a_query(harness, reader, field):
    answer = harness.http.get(
        f"{harness.issuer}{PATH}",
        params={field: "x"},
        headers={"Authorization": reader.authorization},
    )
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"after": "-1"}, "after_malformed"),
        ({"after": "x"}, "after_malformed"),
        ({"after": "1.0"}, "after_malformed"),
        ({"after": "²"}, "after_malformed"),
        ({"after": str(2**63)}, "after_malformed"),
        ({"wait": "31"}, "wait_malformed"),
        ({"wait": "-1"}, "wait_malformed"),
    ],
)
def test_malformed_numbers(harness, reader, fields, reason):
    answer = reader.ask(**fields)
    assert (answer.status, answer.error, answer.reason) == (400, "invalid_request", reason)


def test_only_the_client_of_a_server_reads(harness, reader):
    """INT-03: as for introspection; whoever was named by no server, or no longer, learns nothing."""
    assert harness.post(PATH, {"after": "0"}).status in (400, 401)
    public = harness.post(PATH, {"client_id": harness.client_id})
    assert (public.status, public.reason) == (401, "client_is_public")
    wrong = harness.post(PATH, {"client_id": reader.made.client.id, "client_secret": "cls_wrong"})
    assert (wrong.status, wrong.error) == (401, "invalid_client")
    harness.change(resources.set_client, RESOURCE, None)
    refused = reader.ask()
    assert (refused.status, refused.reason) == (400, "client_of_no_server")
    harness.change(resources.set_client, RESOURCE, reader.made.client.id)
    harness.change(clients.block, reader.made.client.id)
    assert reader.ask().status == 401


def test_one_tenant_reads_nothing_of_another(server, harness, reader):
    """M1."""
    other = Harness(server)
    try:
        theirs = FeedReader(other)
        revoke(other, granted(other))
        assert len(theirs.read_on()) == 1
        assert reader.read_on() == []
        answer = harness.post(PATH, {}, Authorization=theirs.authorization)
        assert answer.status == 401
    finally:
        other.close()


def test_names_are_told_as_digests(harness, reader):
    """A server that never met the client does not learn who it is."""
    made = harness.add_client()
    harness.change(clients.block, made.client.id)
    claims = reader.read()
    assert made.client.id not in json.dumps(claims)
    [entry] = claims["entries"]
    assert (entry["claim"], len(entry["sha256"])) == ("client_id", 64)
    assert entry["before_version"] <= harness.tenant().config_version
    assert entry["exp"] >= (harness.clock() + timedelta(days=1)).timestamp()


def test_a_reader_is_told_nothing_about_people(harness, reader):
    token = granted(harness)
    user_id = harness.users["dev"]
    harness.clock.advance(seconds=1)
    harness.change(leaving.end_access, "dev@example.com", disable=True)
    claims = reader.read()
    assert len(claims["entries"]) == 1
    assert user_id not in json.dumps(claims)
    assert "disabled" not in json.dumps(claims)
    assert harness.claims(token)["sub"] == user_id


def test_an_entry_that_two_servers_share_is_two(harness, reader):
    """Whose tokens they are is part of the entry: a person's leaving is told to each server for its own grants."""
    harness.add_resource("https://other.example/mcp")
    elsewhere = FeedReader(harness, "https://other.example/mcp")
    with harness.server.database.read() as tx:
        there = tx.scalars(
            select(Resource.id).where(
                Resource.tenant_id == harness.tenant_id,
                Resource.identifier == "https://other.example/mcp",
            )
        ).one()
    here = granted(harness)
    harness.clock.advance(seconds=1)
    with harness.server.database.write() as tx:
        jti = harness.claims(here)["jti"]
        tx.execute(update(IssuedToken).where(IssuedToken.jti == jti).values(resource_id=there))
    harness.change(leaving.end_access, "dev@example.com")
    assert reader.read_on() == []
    assert len(elsewhere.read_on()) == 1
