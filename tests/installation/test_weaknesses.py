"""The boot matrix: what is refused in production, and what is only told (ATK-74, CIMD-15)."""

from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest

from authz.admin.installation import BAD, GOOD, LOOK
from authz.envelope import new_encoded_key
from authz.errors import ConfigurationError
from authz.installation import find_weaknesses, refuse_to_start
from authz.installation.clocks import compare
from authz.installation.itself import metadata_url, reach
from authz.services import open_services
from authz.settings import load
from tests.support.web import FakeWeb, Reply

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.fixture
def key(tmp_path):
    path = tmp_path / "authz.key"
    path.write_bytes(new_encoded_key())
    path.chmod(0o600)
    return path


def settings_of(tmp_path, **sections):
    given = {"server": {"issuer": "https://authz.example"}, **sections}
    given["server"] = {"issuer": "https://authz.example", **given["server"]}
    file = tmp_path / "authz.toml"
    file.touch()
    return load(file, environment={}, overrides=given)


def weak(settings, resolve=lambda _: bytes(range(40))):
    return {(it.state, it.said) for it in find_weaknesses(settings, resolve)}


def test_defaults_are_strong(tmp_path, key):
    assert weak(settings_of(tmp_path)) == set()


MATRIX = {
    "known password": (BAD, {"database": {"url": "postgresql://authz:postgres@db/authz"}}),
    "own name as password": (BAD, {"database": {"url": "postgresql://joe:joe@db/authz"}}),
    "known password in the query": (BAD, {"database": {"url": "postgresql://db/a?password=Admin"}}),
    "own name in the query": (
        BAD,
        {"database": {"url": "postgresql://db/a?user=joe&password=joe"}},
    ),
    "unverified database": (LOOK, {"database": {"url": "postgresql://joe:k3kVQ@db/authz"}}),
    "proxy without address": (BAD, {"server": {"trusted_proxies": ["*"]}}),
    "no limit of guesses": (
        BAD,
        {"limits": {"failures_per_client_and_address": 0, "failures_per_address": 0}},
    ),
    "long access tokens": (LOOK, {"tokens": {"access_token": 7200}}),
    "long refreshing": (LOOK, {"tokens": {"refresh_absolute": 400 * 86400}}),
    "debug log": (LOOK, {"log": {"level": "debug"}}),
}


@pytest.mark.parametrize("name", MATRIX)
def test_each_weakness_is_found_with_its_weight(tmp_path, key, name):
    state, sections = MATRIX[name]
    assert state in {found for found, _ in weak(settings_of(tmp_path, **sections))}


@pytest.mark.parametrize(
    ("word", "is_known"), [(b"postgres", True), (b"joe", True), (b"k3kVQ", False)]
)
def test_a_password_by_reference_is_looked_at_too(tmp_path, key, word, is_known):
    """And the way out is one that `secrets.strict` takes (V2)."""
    url = "postgresql://joe@db/authz?sslmode=verify-full"
    settings = settings_of(tmp_path, database={"url": url, "password": "file:word"})
    place = settings.database.password
    found = find_weaknesses(settings, lambda it: word if it == place else bytes(range(40)))
    assert [(it.state, "in database.password" in it.do) for it in found] == (
        [(BAD, True)] if is_known else []
    )
    assert "postgres" not in repr(found)


def test_a_database_on_this_machine_is_nobody_elses(tmp_path, key):
    url = "postgresql://authz:authz@127.0.0.1/authz"
    assert weak(settings_of(tmp_path, database={"url": url})) == set()


def test_a_key_that_is_not_random_or_not_ones_own(tmp_path, key):
    [(state, said)] = weak(settings_of(tmp_path), resolve=lambda _: b"A" * 43 + b"=")
    assert (state, "not random" in said) == (BAD, True)
    key.chmod(0o604)
    assert {state for state, _ in weak(settings_of(tmp_path))} == {LOOK}
    key.chmod(0o602)
    assert {state for state, _ in weak(settings_of(tmp_path))} == {BAD}


def test_a_short_client_secret(tmp_path, key):
    client = {"id": "c", "name": "C", "auth_method": "client_secret_basic", "secret": "env:S"}
    settings = settings_of(tmp_path, client=[client])
    found = weak(settings, resolve=lambda it: b"hunter2" if it == "env:S" else bytes(range(40)))
    assert {state for state, _ in found} == {BAD}


@pytest.mark.parametrize("development", [False, True], ids=["production", "development"])
def test_what_is_weak_stops_the_start_in_production_alone(tmp_path, key, development):
    issuer = "http://127.0.0.1:8080" if development else "https://authz.example"
    server = {"issuer": issuer, "development": development, "trusted_proxies": ["*"]}
    with open_services(settings_of(tmp_path, server=server)) as services:
        if development:
            refuse_to_start(services)
            return
        with pytest.raises(ConfigurationError, match=r"trusted_proxies.*way out: write the addr"):
            refuse_to_start(services)


@pytest.mark.parametrize(
    ("seconds", "state", "word"),
    [
        (0, GOOD, "with"),
        (4, GOOD, "behind"),
        (-30, LOOK, "30.0 s ahead of"),
        (600, BAD, "600.0 s behind"),
    ],
)
def test_clocks_are_compared(seconds, state, word):
    found = compare("the database's", NOW + timedelta(seconds=seconds), NOW, NOW)
    assert found.state == state
    assert word in found.said


def test_the_address_of_the_metadata_of_an_issuer_with_a_path():
    assert metadata_url("https://a.example/x") == (
        "https://a.example/.well-known/oauth-authorization-server/x"
    )


@pytest.fixture(scope="module")
def web():
    with FakeWeb() as made:
        yield made


@pytest.mark.parametrize(
    ("reply", "state", "said"),
    [
        (lambda issuer: Reply.json({"issuer": issuer}), GOOD, "answers with this issuer"),
        (lambda issuer: Reply.json({"issuer": f"{issuer}/"}), BAD, "names another issuer: 'https:"),
        (lambda _: Reply.json({"issuer": ["\x1b[2J"]}), BAD, r"another issuer: ['\x1b[2J']"),
        (lambda _: Reply.json([]), BAD, "answers 200"),
        (lambda _: Reply.json({}, 404), BAD, "answers 404"),
    ],
    ids=["ours", "another", "no text", "no object", "nothing"],
)
def test_what_stands_at_the_address_of_the_issuer_is_judged(web, reply, state, said):
    """RFC 8414 §3.3: byte for byte; what a stranger's answer says is shown without its control characters."""
    issuer = web.url("as.example", "/team")
    web.serve("as.example", reply(issuer))
    with closing(web.network()) as network:
        found = network.run_blocking(reach(network, issuer, lambda: datetime.now(UTC)))
    assert (found[0].state, said in found[0].said) == (state, True)
    assert web.requests[-1].target == "/.well-known/oauth-authorization-server/team"
