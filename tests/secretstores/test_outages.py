"""What is briefly not there: our own credentials, the password of the proxy, this process at its end (V2, V5)."""

import threading
from contextlib import closing

import boto3
import pytest
from moto.server import ThreadedMotoServer

from authz.admin.secret_readings import ReadingsTrail
from authz.db import Database
from authz.net import Network, NetworkConfig, NetworkError, Profile
from authz.secretstores import Reading, SecretMissing, SecretStores, Setup, StoreUnavailable
from authz.secretstores.calls import Calls
from authz.secretstores.sections import Aws, Secrets, Vault
from tests.support.secret_stores import Clock, DeafServer, StoreServer


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def server():
    with closing(StoreServer()) as made:
        made.put("okta", {"value": "one"})
        yield made


def vault_setup(folder, base, **more):
    (folder / "token").write_text("root-token")
    section = Vault(address=base, token=f"file:{folder}/token")
    return Setup(Secrets(cache=300, stale=3600, timeout=10), vault=section, **more)


def stores_of(setup, clock):
    return closing(SecretStores(setup, clock))


def test_a_token_of_ours_that_is_written_anew_takes_no_secret_away(server, clock, tmp_path):
    with stores_of(vault_setup(tmp_path, server.base), clock) as stores:
        assert stores.resolve("vault:okta") == b"one"
        (tmp_path / "token").unlink()
        clock.advance(minutes=6)
        assert stores.resolve("vault:okta") == b"one"
        clock.advance(minutes=60)
        with pytest.raises(StoreUnavailable, match="/token does not exist"):
            stores.resolve("vault:okta")


def test_a_password_of_the_proxy_that_is_written_anew_is_an_outage(tmp_path):
    """No error that nobody expects of a login, a document or an assertion; and nothing of it is told."""
    (tmp_path / "word").write_bytes(b"\xff hunter2")

    def word():
        return (tmp_path / "word").read_bytes().decode()

    def missing():
        raise SecretMissing("the secret file:word does not exist")

    for proxy_password in (word, missing):
        network = Network(
            NetworkConfig(proxy="http://us@127.0.0.1:1", proxy_password=proxy_password)
        )
        with closing(network), pytest.raises(NetworkError) as refused:
            network.run_blocking(
                network.fetch("https://idp.example/keys", profile=Profile.PUBLIC, max_bytes=9)
            )
        assert refused.value.reason == "proxy_password"
        assert "hunter2" not in str(refused.value)
        assert refused.value.__suppress_context__


def test_credentials_of_aws_that_are_not_found_take_no_secret_away(clock, tmp_path, monkeypatch):
    """The metadata service of a machine that does not answer for a moment looks like a machine without a role."""
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    base = "http://{}:{}".format(*moto.get_host_and_port())
    aws = boto3.client("secretsmanager", region_name="eu-west-1", endpoint_url=base)
    setup = Setup(Secrets(timeout=5), aws=Aws(region="eu-west-1", endpoint=base))
    try:
        aws.create_secret(Name="briefly", SecretString="one")
        with stores_of(setup, clock) as stores:
            assert stores.resolve("aws-sm:briefly") == b"one"
            monkeypatch.delenv("AWS_ACCESS_KEY_ID")
            monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
            clock.advance(minutes=6)
            assert stores.resolve("aws-sm:briefly") == b"one"
            clock.advance(minutes=60)
            with pytest.raises(StoreUnavailable, match="NoCredentialsError"):
                stores.resolve("aws-sm:briefly")
    finally:
        aws.close()
        moto.stop()


def test_whoever_reads_when_the_process_ends_is_let_go(clock, tmp_path):
    """A thread that waited for ever kept the process alive until it was killed."""
    with closing(DeafServer()) as deaf:
        stores = SecretStores(vault_setup(tmp_path, deaf.base), clock)
        ends = []

        def read():
            with pytest.raises(StoreUnavailable, match="this process ends"):
                stores.resolve("vault:okta")
            ends.append(True)

        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        deaf.accept()
        stores.close()
        reader.join(5)
        assert ends == [True]
        with pytest.raises(StoreUnavailable, match="this process ends"):
            stores.resolve("vault:okta")


def test_what_was_closed_is_not_opened_again(tmp_path):
    async def nothing():
        return None

    setup = vault_setup(tmp_path, "http://127.0.0.1:1")
    for was_used in (True, False):
        calls = Calls("Vault", setup)
        if was_used:
            assert calls.run(nothing()) is None
        calls.close()
        with pytest.raises(StoreUnavailable, match="this process ends"):
            calls.run(nothing())
    assert not any(it.name == "secretstore" for it in threading.enumerate())


def test_a_file_that_is_missing_is_told_once_in_a_while(clock, tmp_path):
    """V7: every sign-in reads it; neither the log nor the database is written for each."""
    told = []
    with stores_of(Setup(Secrets()), clock) as stores:
        stores.report_to(told.extend)

        def fail(times):
            for _ in range(times):
                with pytest.raises(SecretMissing):
                    stores.resolve(f"file:{tmp_path}/word")

        fail(5)
        clock.advance(seconds=11)
        fail(5)
        (tmp_path / "word").write_text("one")
        assert stores.resolve(f"file:{tmp_path}/word") == b"one"
        (tmp_path / "word").unlink()
        fail(1)
    assert [it.failure is None for it in told] == [False, False, True, False]


def test_a_store_that_is_down_costs_no_thread_at_each_connection(
    server, clock, tmp_path, monkeypatch
):
    with stores_of(vault_setup(tmp_path, server.base), clock) as stores:
        stores.require("database.password", "vault:okta")
        server.status = 503
        clock.advance(minutes=6)
        assert stores.resolve("vault:okta") == b"one"
        started = []
        monkeypatch.setattr(threading.Thread, "start", started.append)
        for _ in range(20):
            assert stores.latest("vault:okta") == b"one"
        monkeypatch.undo()
        assert started == []


def test_what_failed_needs_no_database(clock, tmp_path):
    database = Database(f"sqlite:///{tmp_path}/authz.db")
    trail = ReadingsTrail(database, None, "server")
    database.close()
    trail([Reading("file:x", None, clock(), "does not exist")])
