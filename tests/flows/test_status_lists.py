"""Token status lists (draft-ietf-oauth-status-list-20): what a verifier that knows nothing else of ours learns."""

import base64
import gzip
import json
import zlib

import pytest
from joserfc import jwt
from joserfc.jwk import KeySet
from sqlalchemy import select

from authz import jobs
from authz.admin import clients, leaving, resources, users
from authz.db.models import IssuedToken, StatusEntry
from authz.oauth.status_slots import SIZE
from tests.support.harness import RESOURCE, Harness

TYP = "statuslist+jwt"


@pytest.fixture
def listed(harness):
    """A server that wants status lists."""
    harness.change(resources.set_status_list, RESOURCE, wanted=True)
    return harness


def granted(harness, login="dev"):
    return harness.redeem(harness.code(login)).access_token


def place_of(harness, token):
    """Where the token says that its status is."""
    status = harness.claims(token)["status"]
    assert status.keys() == {"status_list"}
    assert status["status_list"].keys() == {"idx", "uri"}
    return status["status_list"]["uri"], status["status_list"]["idx"]


def fetch(harness, uri, **headers):
    return harness.http.get(uri, headers={"accept-encoding": "identity", **headers})


def read(harness, uri):
    """The claims and the bits, as a verifier reads them that only knows the draft (§4, §5, §8.3)."""
    answer = fetch(harness, uri, accept=f"application/{TYP}")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == f"application/{TYP}"
    keys = KeySet.import_key_set(harness.http.get(f"{harness.issuer}/jwks").json())
    decoded = jwt.decode(answer.text, keys, algorithms=["ES256"])
    assert decoded.header["typ"] == TYP
    assert decoded.claims["sub"] == uri
    packed = decoded.claims["status_list"]["lst"]
    raw = zlib.decompress(base64.urlsafe_b64decode(packed + "=" * (-len(packed) % 4)))
    assert decoded.claims["status_list"]["bits"] == 1
    return decoded.claims, raw


def status(harness, token):
    """0 is VALID, 1 is INVALID (§7.1)."""
    uri, place = place_of(harness, token)
    _, raw = read(harness, uri)
    return raw[place // 8] >> place % 8 & 1


def test_a_server_that_wants_none_has_none(harness):
    """TSL-04: an optional claim, and no row for the others."""
    assert "status" not in harness.claims(granted(harness))
    assert harness.count(StatusEntry) == 0


def test_a_token_names_its_place(listed):
    """TSL-01, TSL-04: a list of this issuer; introspection tells the claim like the others."""
    uri, place = place_of(listed, granted(listed))
    assert uri.startswith(f"{listed.issuer}/status/stl_")
    assert 0 <= place < SIZE
    [entry] = rows(listed)
    assert (entry.list_id, entry.place) == (uri.rpartition("/")[2], place)


def rows(harness):
    with harness.server.database.read() as tx:
        return tx.scalars(
            select(StatusEntry).where(StatusEntry.tenant_id == harness.tenant_id)
        ).all()


def test_the_list_says_when_it_was_made_and_how_long_it_may_be_kept(listed):
    """TSL-01: `sub` is its address to the letter, `ttl` and `exp` bound what a cache may do."""
    uri, _ = place_of(listed, granted(listed))
    claims, raw = read(listed, uri)
    now = int(listed.clock().timestamp())
    assert (claims["iss"], claims["iat"], claims["exp"]) == (listed.issuer, now, now + 60)
    assert claims["ttl"] == 25
    assert len(raw) == SIZE // 8
    assert not any(raw)


def test_one_bit_is_one_token(listed):
    """TSL-03: of many, exactly the ended ones, and for the rest of their lives."""
    tokens = [granted(listed) for _ in range(12)]
    ended = tokens[::3]
    for token in ended:
        listed.post("/revoke", {"token": token, "client_id": listed.client_id})
    listed.clock.advance(seconds=5)
    assert [status(listed, token) for token in tokens] == [int(token in ended) for token in tokens]
    uri, _ = place_of(listed, tokens[0])
    assert sum(byte.bit_count() for byte in read(listed, uri)[1]) == len(ended)


@pytest.mark.parametrize(
    "end",
    [
        lambda h: h.change(leaving.end_access, "dev@example.com"),
        lambda h: h.change(users.disable, "dev@example.com"),
        lambda h: h.change(clients.block, h.client_id),
        lambda h: h.change(resources.set_status, RESOURCE, "disabled"),
    ],
    ids=["person", "account", "client", "server"],
)
def test_whatever_ends_a_token_is_in_its_list(listed, end):
    """TSL-03: what introspection says of each; seen within the 30 seconds that are promised."""
    token = granted(listed)
    uri, place = place_of(listed, token)
    assert status(listed, token) == 0
    listed.clock.advance(seconds=1)
    end(listed)
    # What a verifier fetched just now may be five seconds old, and is good for `ttl` more.
    listed.clock.advance(seconds=4)
    claims, raw = read(listed, uri)
    assert raw[place // 8] >> place % 8 & 1
    assert claims["ttl"] + 5 <= 30


def test_a_list_is_made_for_all_who_come_within_five_seconds(listed):
    uri, _ = place_of(listed, granted(listed))
    first = fetch(listed, uri).text
    listed.clock.advance(seconds=4)
    assert fetch(listed, uri).text == first
    listed.clock.advance(seconds=1)
    assert fetch(listed, uri).text != first


def test_compressed_for_who_takes_it_and_open_to_any_page(listed):
    """TSL-02."""
    uri, _ = place_of(listed, granted(listed))
    plain = fetch(listed, uri)
    assert "content-encoding" not in plain.headers
    with listed.http.stream("GET", uri, headers={"accept-encoding": "gzip"}) as response:
        assert response.headers["content-encoding"] == "gzip"
        assert gzip.decompress(b"".join(response.iter_raw())).decode() == plain.text
        assert response.headers["vary"] == "accept-encoding"
    assert plain.headers["access-control-allow-origin"] == "*"
    assert plain.headers["cache-control"] == "public, max-age=25"
    asked = listed.http.request("OPTIONS", uri, headers={"Origin": "https://page.example"})
    assert (asked.status_code, asked.headers["access-control-allow-origin"]) == (204, "*")
    assert listed.http.head(uri).status_code == 200


def test_an_unknown_list_is_none(server, listed):
    """Nor is one of another tenant at this one, or one whose tokens have all expired."""
    uri, _ = place_of(listed, granted(listed))
    name = uri.rpartition("/")[2]
    assert fetch(listed, f"{listed.issuer}/status/stl_unknown").status_code == 404
    other = Harness(server)
    try:
        assert fetch(other, f"{other.issuer}/status/{name}").status_code == 404
    finally:
        other.close()
    assert fetch(listed, uri).status_code == 200
    listed.clock.advance(minutes=11, seconds=1)
    assert fetch(listed, uri).status_code == 404
    jobs.remove_expired(listed.server.services, listed.clock())
    assert listed.count(StatusEntry) == 0
    assert listed.count(IssuedToken) == 1


def test_what_a_list_is_for_cannot_be_told_from_it(listed):
    """TSL-03: nothing in it but bits; places are no counter."""
    tokens = [granted(listed) for _ in range(8)]
    places = [place_of(listed, token)[1] for token in tokens]
    assert places != sorted(places)
    uri, _ = place_of(listed, tokens[0])
    claims, _ = read(listed, uri)
    assert claims.keys() == {"iss", "sub", "iat", "exp", "ttl", "status_list"}
    text = json.dumps(claims)
    assert listed.client_id not in text
    assert RESOURCE not in text
