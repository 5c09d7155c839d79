"""How long a value is kept, what serves while its store is down, and who may wait for it (V5, V7)."""

import asyncio
import threading
import time
from base64 import b64encode
from contextlib import closing
from datetime import timedelta

import pytest
import sqlalchemy

from authz.db import Database
from authz.envelope import new_encoded_key
from authz.errors import ConfigurationError
from authz.net import NetworkError, Profile
from authz.secretstores import SecretMissing, SecretStores, Setup, StoreUnavailable
from authz.secretstores.sections import Secrets, Vault
from authz.services import Password, open_services
from authz.settings import load
from authz.transactions import marked_open
from tests.support.secret_stores import Clock, StoreServer
from tests.support.web import FakeWeb, Reply


@pytest.fixture
def server():
    with closing(StoreServer()) as made:
        made.put("okta", {"value": "one"})
        yield made


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def stores(server, clock, tmp_path):
    (tmp_path / "token").write_text("root-token")
    setup = Setup(
        Secrets(cache=300, stale=3600, timeout=2),
        vault=Vault(address=server.base, token=f"file:{tmp_path}/token"),
    )
    with closing(SecretStores(setup, clock)) as made:
        yield made


def test_the_last_value_serves_while_the_store_is_down_and_not_for_ever(stores, server, clock):
    told = []
    stores.report_to(told.extend)
    assert stores.resolve("vault:okta") == b"one"
    server.status = 503
    clock.advance(minutes=59)
    assert stores.resolve("vault:okta") == b"one"
    asked = len(server.asked)
    assert stores.resolve("vault:okta") == b"one"
    assert len(server.asked) == asked, "a store in trouble is not asked by everybody"
    clock.advance(minutes=2)
    with pytest.raises(StoreUnavailable, match="does not answer"):
        stores.resolve("vault:okta")
    server.status = None
    clock.advance(seconds=11)
    assert stores.resolve("vault:okta") == b"one"
    stores.close()
    assert [it.version for it in told] == ["1", None, None, "1"]
    assert [it.failure is None for it in told] == [True, False, False, True]


def test_who_comes_while_it_is_read_does_not_ask_again(stores, server):
    answers = []
    threads = [
        threading.Thread(target=lambda: answers.append(stores.resolve("vault:okta")))
        for _ in range(20)
    ]
    server.answering.clear()
    for it in threads:
        it.start()
    # They are all waiting for the store, or it would have been asked by each.
    assert eventually(lambda: server.asked)
    time.sleep(0.2)
    server.answering.set()
    for it in threads:
        it.join()
    assert answers == [b"one"] * 20
    assert len(server.asked) == 1


def test_nobody_waits_for_a_store_on_the_loop_or_within_a_transaction(stores, server):
    async def on_the_loop():
        return stores.resolve("vault:okta")

    with pytest.raises(RuntimeError, match="on the event loop"):
        asyncio.run(on_the_loop())
    with marked_open(), pytest.raises(RuntimeError, match="inside a database transaction"):
        stores.resolve("vault:okta")
    assert server.asked == []


def test_the_password_of_the_database_follows_its_rotation(stores, server, clock, database_url):
    """The one that was refused is read anew at once, whatever `secrets.cache` says."""
    if database_url.startswith("sqlite"):
        with pytest.raises(SecretMissing, match=r"^database\.password: the secret vault:nobody"):
            Password(stores, "vault:nobody")
        return
    admin = Database(database_url)
    role = "authz_rotated"
    with admin.write() as tx:
        tx.execute(sqlalchemy.text(f"DROP ROLE IF EXISTS {role}"))
        tx.execute(sqlalchemy.text(f"CREATE ROLE {role} LOGIN PASSWORD 'one'"))
    word = Password(stores, "vault:okta")
    url = admin.url._replace(username=role, password=None)
    database = Database(url.render_as_string(hide_password=False), password=word)
    try:
        with database.read() as tx:
            assert tx.scalar(sqlalchemy.text("SELECT current_user")) == role
        assert word.current() == "one"
        server.put("okta", {"value": "two"})
        assert word.renewed() == "one", "asked a moment ago"
        with admin.write() as tx:
            tx.execute(sqlalchemy.text(f"ALTER ROLE {role} PASSWORD 'two'"))
        database.engine.dispose()
        clock.advance(seconds=11)
        with database.read() as tx:
            assert tx.scalar(sqlalchemy.text("SELECT current_user")) == role
        assert word.current() == "two"
    finally:
        database.close()
        with admin.write() as tx:
            tx.execute(sqlalchemy.text(f"DROP ROLE {role}"))
        admin.close()


def test_a_clock_that_was_set_back_keeps_no_refused_password(stores, server, clock):
    """Read in what is the future now: not a moment ago."""
    assert stores.resolve("vault:okta") == b"one"
    server.put("okta", {"value": "two"})
    assert stores.renewed("vault:okta") == b"one"
    clock.advance(minutes=-10)
    assert stores.renewed("vault:okta") == b"two"


def test_the_latest_never_waits_and_is_followed_behind_the_callers_back(stores, server, clock):
    """For whoever opens a connection on the event loop: what was read last, until it is too old to stand in (V5)."""
    with pytest.raises(StoreUnavailable, match="vault:okta was not read lately"):
        stores.latest("vault:okta")
    stores.require("network.proxy_password", "vault:okta")

    async def on_the_loop():
        return stores.latest("vault:okta")

    assert asyncio.run(on_the_loop()) == b"one"
    server.put("okta", {"value": "two"})
    clock.advance(seconds=301)
    with marked_open():
        assert stores.latest("vault:okta") in (b"one", b"two")
    assert eventually(lambda: stores.latest("vault:okta") == b"two")
    server.status = 503
    clock.advance(seconds=3601)
    with pytest.raises(StoreUnavailable):
        stores.latest("vault:okta")


def eventually(holds):
    """Within two seconds."""
    return any(holds() or time.sleep(0.01) for _ in range(200))


def test_the_password_of_the_proxy_is_that_of_now(tmp_path, monkeypatch):
    """Read where a connection is opened; it is in no URL that is shown."""
    monkeypatch.setenv("AUTHZ_PROXY_WORD", "one")
    keys = tmp_path / "key"
    keys.write_bytes(new_encoded_key())
    keys.chmod(0o600)
    with FakeWeb(tls=False) as proxy:
        proxy.serve("idp.example", Reply(403))
        network = {
            "proxy": f"http://us@127.0.0.1:{proxy.port}",
            "proxy_password": "env:AUTHZ_PROXY_WORD",
        }
        settings = load(
            environment={},
            overrides={
                "server": {"issuer": "https://as.example"},
                "keys": {"encryption_key": f"file:{keys}"},
                "database": {"url": f"sqlite:///{tmp_path / 'authz.db'}"},
                "network": network,
            },
        )
        with open_services(settings) as services:
            for word in ("one", "two"):
                monkeypatch.setenv("AUTHZ_PROXY_WORD", word)
                with pytest.raises(NetworkError) as refused:
                    services.network.run_blocking(
                        services.network.fetch(
                            "https://idp.example/keys",
                            profile=Profile.PUBLIC,
                            max_bytes=9,
                            timeout=timedelta(seconds=5),
                        )
                    )
                assert refused.value.reason == "proxy"
        shown = [it.headers["proxy-authorization"] for it in proxy.requests]
    assert shown == [f"Basic {b64encode(f'us:{it}'.encode()).decode()}" for it in ("one", "two")]
    monkeypatch.delenv("AUTHZ_PROXY_WORD")
    with (
        pytest.raises(SecretMissing, match=r"^network\.proxy_password: .*AUTHZ_PROXY_WORD"),
        open_services(settings),
    ):
        pass


@pytest.mark.parametrize(
    ("sections", "says"),
    [
        ({"database": {"url": "postgresql://a:hunter2@db.example/a"}}, "database.password"),
        ({"database": {"url": "postgresql://db.example/a?password=hunter2"}}, "database.password"),
        ({"network": {"proxy": "http://a:hunter2@proxy.example:1"}}, "network.proxy_password"),
        ({"keys": {"encryption_key": "env:KEK"}}, "keys.encryption_key is 'env:KEK'"),
        ({"database": {"password": "env:WORD"}}, "database.password is 'env:WORD'"),
        ({"vault": {"address": "https://v.example", "token": "env:T"}}, "vault.token is 'env:T'"),
    ],
)
def test_strict_mode_takes_no_literal_and_no_variable(sections, says):
    """V2, ATK-74."""
    given = {"server": {"issuer": "https://auth.example"}, **sections}
    assert load(None, environment={}, overrides=given).secrets.strict is False
    with pytest.raises(ConfigurationError, match=says) as refused:
        load(None, environment={}, overrides={**given, "secrets": {"strict": True}})
    assert "hunter2" not in str(refused.value)


def test_strict_mode_reads_no_variable_that_is_named_in_the_database(clock, monkeypatch):
    """What was stored before strict mode was switched on."""
    monkeypatch.setenv("AUTHZ_SECRET_OKTA", "value")
    stores = SecretStores(Setup(Secrets(strict=True)), clock)
    with closing(stores), pytest.raises(SecretMissing, match=r"refused by secrets\.strict"):
        stores.resolve("env:AUTHZ_SECRET_OKTA")


@pytest.mark.parametrize(
    "address",
    ["http://vault.example:8200", "https://vault.example/", "https://a:b@vault.example", "vault"],
)
def test_a_store_is_at_https_or_on_loopback(address):
    with pytest.raises(ValueError, match=r"https|user information|absolute|slash"):
        Vault(address=address, token="file:t")
