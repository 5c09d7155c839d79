"""Finding and caching the keys of the authorization server (MCP-AS-12, MCP-AS-14, MCP-RS-03)."""

import asyncio
import contextlib
import json
import ssl

import pytest
import trustme

from authz.resource_server import InvalidToken, KeysUnavailable, RemoteKeys
from authz.resource_server.discovery import COOL_DOWN, MAX_AGE, MIN_AGE, fetch_keys
from authz.resource_server.urls import issuer_metadata_urls, resource_metadata_path

pytestmark = pytest.mark.anyio


@contextlib.asynccontextmanager
async def settling():
    """What the block starts in the background is done when the block ends."""
    before = asyncio.all_tasks()
    yield
    started = asyncio.all_tasks() - before
    if started:
        await asyncio.wait_for(asyncio.gather(*started), 10)


async def refused(keys, kid):
    with pytest.raises(InvalidToken) as error:
        await keys.load(kid)
    return error.value.reason


def test_the_well_known_locations_are_those_of_rfc_8414():
    assert issuer_metadata_urls("https://as.example") == (
        "https://as.example/.well-known/oauth-authorization-server",
        "https://as.example/.well-known/openid-configuration",
    )
    assert issuer_metadata_urls("https://as.example/t") == (
        "https://as.example/.well-known/oauth-authorization-server/t",
        "https://as.example/.well-known/openid-configuration/t",
        "https://as.example/t/.well-known/openid-configuration",
    )


@pytest.mark.parametrize(
    ("resource", "path"),
    [
        ("https://mcp.example", ""),
        ("https://mcp.example/", ""),
        ("https://mcp.example/mcp", "/mcp"),
        ("https://mcp.example/a/b/", "/a/b/"),
    ],
)
def test_the_metadata_path_of_a_resource_is_that_of_rfc_9728(resource, path):
    assert resource_metadata_path(resource) == "/.well-known/oauth-protected-resource" + path


@pytest.mark.parametrize("location", [0, 1, 2])
async def test_each_well_known_location_is_tried(issuer, location):
    issuer.location = location
    assert await RemoteKeys(issuer.url).load("k1")


@pytest.mark.parametrize(
    "change",
    [
        {"issuer": "https://as.example"},
        {"issuer": ""},
        {"issuer": None},
        {"jwks_uri": None},
        {"jwks_uri": "http://127.0.0.1:1/jwks"},
        {"jwks_uri": "https://elsewhere.example/jwks"},
        {"jwks_uri": "file:///etc/passwd"},
    ],
)
async def test_metadata_of_somebody_else_is_dropped(issuer, change):
    issuer.metadata.update(change)
    with pytest.raises(KeysUnavailable):
        await RemoteKeys(issuer.url).load("k1")
    assert issuer.fetches["jwks"] == 0


async def test_an_issuer_with_one_more_slash_is_another_issuer(issuer):
    issuer.metadata["issuer"] = issuer.url + "/"
    with pytest.raises(KeysUnavailable):
        await RemoteKeys(issuer.url).load("k1")


@pytest.mark.parametrize(
    "answer",
    [
        (302, {"location": "/elsewhere"}, b""),
        (404, {}, b"{}"),
        (200, {}, b"<html>"),
        (200, {}, b"[]"),
        (200, {}, b'{"keys":[],"keys":[]}'),
        (200, {}, b'{"keys":[' + b" " * 300_000 + b"]}"),
        (200, {"content-encoding": "gzip"}, b"{}"),
        (200, {}, b'{"keys":{}}'),
    ],
)
async def test_an_answer_that_is_no_key_set_is_not_used(issuer, answer):
    issuer.raw["jwks"] = answer
    with pytest.raises(KeysUnavailable):
        await RemoteKeys(issuer.url).load("k1")


async def test_two_keys_with_one_kid_spoil_the_set(issuer, forge):
    issuer.jwks["keys"].append(forge.public(forge.new_key("EC", "k1")))
    with pytest.raises(KeysUnavailable):
        await RemoteKeys(issuer.url).load("k1")


@pytest.mark.parametrize(
    "change",
    [
        {"use": "enc"},
        {"alg": "ES384"},
        {"alg": 7},
        {"key_ops": ["sign"]},
        {"key_ops": 7},
        {"kty": "oct"},
        {"kty": None},
        {"crv": "P-384"},
        {"crv": ["P-256"]},
        {"x": "AAAA"},
        {"x": 7},
        {"x": None},
        {"kid": 7},
    ],
)
async def test_an_unusable_key_is_left_out(issuer, forge, change):
    good = forge.public(forge.new_key("OKP", "good"))
    issuer.jwks = {"keys": [{**issuer.jwks["keys"][0], **change}, good, "not a key"]}
    keys = RemoteKeys(issuer.url)
    assert await keys.load("good")
    assert await refused(keys, "k1") == "kid_unknown"


async def test_a_short_rsa_key_is_left_out(issuer, forge):
    weak = {"kty": "RSA", "kid": "weak", "n": "y" + "A" * 170 + "B", "e": "AQAB"}
    issuer.jwks["keys"].append(weak)
    assert await refused(RemoteKeys(issuer.url), "weak") == "kid_unknown"


async def test_a_flood_of_unknown_kids_costs_one_fetch_per_cool_down(issuer, ticks):
    keys = RemoteKeys(issuer.url, ticks=ticks)
    for number in range(50):
        assert await refused(keys, f"made-up-{number}") == "kid_unknown"
    assert issuer.fetches["jwks"] == 1
    ticks.now += COOL_DOWN
    for number in range(50):
        assert await refused(keys, f"made-up-{number}") == "kid_unknown"
    assert issuer.fetches["jwks"] == 2


async def test_concurrent_requests_share_one_flight(issuer, ticks):
    keys = RemoteKeys(issuer.url, ticks=ticks)
    found = await asyncio.gather(*(keys.load("k1") for _ in range(20)))
    assert len(found) == 20
    assert issuer.fetches == {"metadata": 1, "jwks": 1}


async def test_an_impatient_caller_does_not_end_the_flight_of_others(issuer, ticks):
    keys = RemoteKeys(issuer.url, ticks=ticks)
    with issuer.silent():
        first = asyncio.create_task(keys.load("k1"))
        second = asyncio.create_task(keys.load("k1"))
        await asyncio.sleep(0)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
    assert await second
    assert issuer.fetches == {"metadata": 1, "jwks": 1}


async def test_a_new_key_is_found_before_the_cache_ends(issuer, ticks, forge):
    keys = RemoteKeys(issuer.url, ticks=ticks)
    await keys.load("k1")
    issuer.jwks["keys"].append(forge.public(forge.new_key("EC", "k2")))
    assert await refused(keys, "k2") == "kid_unknown"
    ticks.now += COOL_DOWN
    assert await keys.load("k2")


@pytest.mark.parametrize(
    ("cache_control", "lifetime"),
    [
        ("max-age=120", 120),
        ("public, MAX-AGE=120, must-revalidate", 120),
        ("no-store, max-age=0", MIN_AGE),
        ("max-age=99999999", MAX_AGE),
        ("s-maxage=9, nonsense", 300),
        ("", 300),
    ],
)
async def test_a_removed_key_stops_working_at_the_clamped_max_age(
    issuer, ticks, cache_control, lifetime, forge
):
    issuer.headers = {"cache-control": cache_control}
    keys = RemoteKeys(issuer.url, ticks=ticks)
    await keys.load("k1")
    issuer.jwks["keys"] = [forge.public(forge.new_key("EC", "k2"))]
    ticks.now += lifetime / 2 - 1
    assert await keys.load("k1")
    assert issuer.fetches["jwks"] == 1
    ticks.now += lifetime / 2 + 1
    assert await refused(keys, "k1") == "kid_unknown"


async def test_keys_are_renewed_at_half_their_age_without_a_wait(issuer, ticks):
    keys = RemoteKeys(issuer.url, ticks=ticks)
    await keys.load("k1")
    ticks.now += 151
    async with settling():
        with issuer.silent():
            await keys.load("k1")
            assert issuer.fetches["jwks"] == 1
    assert issuer.fetches["jwks"] == 2


async def test_an_outage_is_survived_until_the_max_age_and_no_longer(issuer, ticks):
    keys = RemoteKeys(issuer.url, ticks=ticks)
    await keys.load("k1")
    issuer.raw["jwks"] = (503, {}, b"")
    ticks.now += 299
    async with settling():
        assert await keys.load("k1")
    assert issuer.fetches["jwks"] == 2
    ticks.now += COOL_DOWN
    with pytest.raises(KeysUnavailable):
        await keys.load("k1")
    assert issuer.fetches["jwks"] == 3
    with pytest.raises(KeysUnavailable):
        await keys.load("k1")
    assert issuer.fetches["jwks"] == 3
    del issuer.raw["jwks"]
    ticks.now += COOL_DOWN
    assert await keys.load("k1")


async def test_tls_is_verified(serve_tls, issuer, monkeypatch, tmp_path):
    """An https issuer is trusted through the certificate store alone; SSL_CERT_FILE adds a private CA."""
    url, authority = serve_tls
    with pytest.raises(KeysUnavailable):
        await RemoteKeys(url).load("k1")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    keys, _ = await fetch_keys(url)
    assert set(keys) == {"k1"}


@pytest.fixture
def serve_tls(serve, issuer, tmp_path):
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    certificate.private_key_and_cert_chain_pem.write_to_path(tmp_path / "server.pem")
    urls = []

    def make_app(resource):
        url = resource.replace("http://", "https://").removesuffix("/mcp")
        urls.append(url)
        documents = {
            "/.well-known/oauth-authorization-server": {"issuer": url, "jwks_uri": url + "/jwks"},
            "/jwks": issuer.jwks,
        }

        async def app(scope, receive, send):
            body = json.dumps(documents[scope["path"]]).encode()
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": body})

        return app

    with serve(
        make_app,
        lifespan="off",
        ssl_certfile=str(tmp_path / "server.pem"),
        ssl_version=ssl.PROTOCOL_TLS_SERVER,
    ):
        yield urls[0], authority
