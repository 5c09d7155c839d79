"""Every kind of store over real sockets: values, versions, rotation, refusals, stores that are slow or down (V2)."""

import json
from contextlib import closing, contextmanager

import boto3
import pytest
from moto.server import ThreadedMotoServer

from authz.errors import ConfigurationError
from authz.secretstores import SecretMissing, SecretStores, Setup, StoreUnavailable
from authz.secretstores.sections import Aws, Azure, Gcp, Secrets, Vault
from tests.support.secret_stores import (
    CLIENT_SECRET,
    POD_JWT,
    SECRET_ID,
    Clock,
    DeafServer,
    DripServer,
    StoreServer,
    closed_base,
)

REMOTE = ("vault", "aws-sm", "gcp-sm", "azure-kv")
AWS_KEY = "aws-secret-access-key"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("credentials")


@pytest.fixture(scope="module")
def server(folder):
    with closing(StoreServer()) as made:
        for name, text in {
            "vault-token": "root-token",
            "pod": POD_JWT,
            "secret-id": SECRET_ID,
            "azure": CLIENT_SECRET,
            "aws": AWS_KEY,
            "google.json": made.service_account,
        }.items():
            (folder / name).write_text(f"{text}\n")
        yield made


@pytest.fixture(autouse=True)
def fresh(request):
    if "server" in request.fixturenames or "stores" in request.fixturenames:
        made = request.getfixturevalue("server")
        made.secrets.clear()
        made.asked.clear()
        made.tokens = {"root-token"}
        made.namespace, made.is_denied, made.status, made.lease_seconds = None, False, None, 3600


@pytest.fixture(scope="module")
def moto():
    made = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    made.start()
    host, port = made.get_host_and_port()
    yield f"http://{host}:{port}"
    made.stop()


@pytest.fixture(scope="module")
def aws(moto):
    client = boto3.client(
        "secretsmanager",
        region_name="eu-west-1",
        endpoint_url=moto,
        aws_access_key_id="a",
        aws_secret_access_key="b",
    )
    yield client
    client.close()


def setup_of(folder, base, aws_base=None, **members):
    return Setup(
        secrets=Secrets(**{"timeout": 5, **members.pop("secrets", {})}),
        vault=members.pop("vault", None) or Vault(address=base, token=f"file:{folder}/vault-token"),
        aws=Aws(
            region="eu-west-1",
            endpoint=aws_base or base,
            access_key_id="AKIA",
            secret_access_key=f"file:{folder}/aws",
        ),
        gcp=members.pop("gcp", None)
        or Gcp(
            project="project",
            endpoint=base,
            token_uri=f"{base}/token",
            credentials=f"file:{folder}/google.json",
        ),
        azure=members.pop("azure", None)
        or Azure(
            vault=base,
            authority=base,
            tenant="tenant",
            client_id="client",
            client_secret=f"file:{folder}/azure",
        ),
        **members,
    )


@contextmanager
def opened(setup, clock=None):
    with closing(SecretStores(setup, clock or Clock())) as made:
        yield made


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def stores(folder, server, clock, request):
    aws_base = request.getfixturevalue("moto") if "aws" in request.fixturenames else None
    with opened(setup_of(folder, server.base, aws_base), clock) as made:
        yield made


def put(scheme, server, aws, name, value):
    """A version of a secret; answers what the store calls it."""
    if scheme == "vault":
        server.put(name, {"value": value, "other": "other", "number": 1})
        return str(len(server.secrets[name]))
    if scheme == "aws-sm":
        try:
            made = aws.create_secret(Name=name, SecretString=value)
        except aws.exceptions.ResourceExistsException:
            made = aws.put_secret_value(SecretId=name, SecretString=value)
        return made["VersionId"]
    version = server.put(name, value)
    return version.id if scheme == "azure-kv" else str(len(server.secrets[name]))


@pytest.mark.parametrize("scheme", REMOTE)
def test_a_secret_is_read_and_followed_when_it_is_rotated(scheme, stores, server, aws, clock):
    """V2, V5, V7: kept for as long as `secrets.cache` says; each real reading is told, with its version."""
    told = []
    stores.report_to(told.extend)
    name = f"okta-{scheme}"
    first = put(scheme, server, aws, name, "s3cr3t-1")
    assert stores.resolve(f"{scheme}:{name}") == b"s3cr3t-1"
    second = put(scheme, server, aws, name, "s3cr3t-2")
    clock.advance(minutes=4)
    assert stores.resolve(f"{scheme}:{name}") == b"s3cr3t-1"
    clock.advance(minutes=2)
    assert stores.resolve(f"{scheme}:{name}") == b"s3cr3t-2"
    stores.close()
    assert [(it.reference, it.version) for it in told] == [
        (f"{scheme}:{name}", first),
        (f"{scheme}:{name}", second),
    ]
    assert "s3cr3t" not in repr(told)


@pytest.mark.parametrize("scheme", REMOTE)
def test_a_secret_that_is_not_there_is_a_sentence(scheme, stores, aws):
    with pytest.raises(SecretMissing, match=f"the secret {scheme}:nobody does not exist"):
        stores.resolve(f"{scheme}:nobody")


@pytest.mark.parametrize("scheme", REMOTE)
def test_a_deleted_secret_serves_no_longer(scheme, stores, server, aws, clock):
    """A store that answers is believed, whatever `secrets.stale` says."""
    name = f"gone-{scheme}"
    put(scheme, server, aws, name, "one")
    assert stores.resolve(f"{scheme}:{name}") == b"one"
    if scheme == "aws-sm":
        aws.delete_secret(SecretId=name, RecoveryWindowInDays=7)
    else:
        server.secrets[name][-1].state = "deleted"
    clock.advance(minutes=6)
    with pytest.raises(SecretMissing):
        stores.resolve(f"{scheme}:{name}")


@pytest.mark.parametrize("scheme", ["vault", "gcp-sm", "azure-kv"])
def test_who_is_not_let_in_is_told_what_to_do(scheme, stores, server):
    put(scheme, server, None, "okta", "one")
    server.is_denied = True
    with pytest.raises(SecretMissing, match=r"does not give us .*\(status 403\); ") as refused:
        stores.resolve(f"{scheme}:okta")
    assert "token-" not in str(refused.value)


@pytest.mark.parametrize("scheme", REMOTE)
@pytest.mark.parametrize("kind", ["slow", "down"])
def test_a_store_that_does_not_answer_is_given_up(scheme, kind, folder, server):
    """One sentence within the limit, never a hung thread."""
    with closing(DeafServer()) as deaf:
        setup = setup_of(
            folder, deaf.base if kind == "slow" else closed_base(), secrets={"timeout": 1}
        )
        with opened(setup) as stores, pytest.raises(StoreUnavailable, match="not answer"):
            stores.resolve(f"{scheme}:okta")


@pytest.mark.parametrize("scheme", REMOTE)
def test_the_limit_is_of_the_whole_reading(scheme, folder, server):
    """Not of each step of it: an answer that goes on for ever ends by our limit."""
    with closing(DripServer()) as drip:
        setup = setup_of(folder, drip.base, secrets={"timeout": 0.5})
        with (
            opened(setup) as stores,
            pytest.raises(StoreUnavailable, match=r"within 0\.5 seconds|\(timeout\)"),
        ):
            stores.resolve(f"{scheme}:okta")


@pytest.mark.parametrize("scheme", ["vault", "gcp-sm", "azure-kv"])
def test_a_token_that_ended_early_is_replaced(scheme, folder, server, clock):
    """An expired or revoked one is no reason to give up what another one can read."""
    put(scheme, server, None, "okta", "one")
    vault = Vault(address=server.base, auth="kubernetes", role="authz", jwt=f"file:{folder}/pod")
    with opened(setup_of(folder, server.base, vault=vault), clock) as stores:
        assert stores.resolve(f"{scheme}:okta") == b"one"
        server.forget_tokens()
        clock.advance(minutes=6)
        assert stores.resolve(f"{scheme}:okta") == b"one"
        asked = len(server.asked)
        clock.advance(minutes=6)
        assert stores.resolve(f"{scheme}:okta") == b"one"
        assert len(server.asked) == asked + 1, "the new token was not kept"


def test_vault_takes_a_pod_and_an_approle(folder, server):
    put("vault", server, None, "team/okta", "one")
    ways = (
        {"auth": "kubernetes", "role": "authz", "jwt": f"file:{folder}/pod"},
        {"auth": "approle", "role_id": "authz", "secret_id": f"file:{folder}/secret-id"},
    )
    for way in ways:
        with opened(
            setup_of(folder, server.base, vault=Vault(address=server.base, **way))
        ) as stores:
            assert stores.resolve("vault:team/okta") == b"one"
    wrong = Vault(address=server.base, auth="kubernetes", role="other", jwt=f"file:{folder}/pod")
    with opened(setup_of(folder, server.base, vault=wrong)) as stores:
        with pytest.raises(
            SecretMissing, match="Vault does not let us in by kubernetes"
        ) as refused:
            stores.resolve("vault:team/okta")
        assert POD_JWT not in str(refused.value)


def test_vault_namespaces_keys_and_versions(folder, server):
    server.namespace = "team-a"
    put("vault", server, None, "okta", "one")
    put("vault", server, None, "okta", "two")
    vault = Vault(address=server.base, token=f"file:{folder}/vault-token", namespace="team-a")
    with opened(setup_of(folder, server.base, vault=vault)) as stores:
        assert stores.resolve("vault:okta#other") == b"other"
        assert stores.resolve("vault:okta@1") == b"one"
        for key in ("nothing", "number"):
            with pytest.raises(SecretMissing, match=f"no key '{key}' that is a text"):
                stores.resolve(f"vault:okta#{key}")


@pytest.mark.parametrize("scheme", ["gcp-sm", "azure-kv"])
def test_clouds_take_the_identity_of_the_machine(scheme, folder, server):
    put(scheme, server, None, "okta", "one")
    gcp = Gcp(project="project", endpoint=server.base, metadata=server.base)
    azure = Azure(vault=server.base, metadata=server.base)
    with opened(setup_of(folder, server.base, gcp=gcp, azure=azure)) as stores:
        assert stores.resolve(f"{scheme}:okta") == b"one"


def test_azure_takes_the_federated_token_of_a_workload(folder, server):
    put("azure-kv", server, None, "okta", "one")
    azure = Azure(
        vault=server.base,
        authority=server.base,
        tenant="t",
        client_id="c",
        client_assertion=f"file:{folder}/pod",
    )
    with opened(setup_of(folder, server.base, azure=azure)) as stores:
        assert stores.resolve("azure-kv:okta") == b"one"


@pytest.mark.parametrize("scheme", ["gcp-sm", "azure-kv"])
def test_a_named_version_is_that_one_and_a_disabled_one_is_none(scheme, stores, server):
    first = put(scheme, server, None, "okta", "one")
    put(scheme, server, None, "okta", "two")
    assert stores.resolve(f"{scheme}:okta@{first}") == b"one"
    server.secrets["okta"][-1].state = "disabled"
    with pytest.raises(SecretMissing):
        stores.resolve(f"{scheme}:okta")


@pytest.mark.parametrize("scheme", ["aws-sm", "gcp-sm", "azure-kv"])
def test_a_member_of_a_json_secret(scheme, stores, server, aws):
    name = f"json-{scheme}"
    put(scheme, server, aws, name, json.dumps({"client_secret": "inner", "n": 1}))
    assert stores.resolve(f"{scheme}:{name}#client_secret") == b"inner"
    with pytest.raises(SecretMissing, match="no member 'n' that is a text"):
        stores.resolve(f"{scheme}:{name}#n")
    put(scheme, server, aws, f"plain-{scheme}", "not json: s3cr3t")
    with pytest.raises(SecretMissing, match="is not JSON") as refused:
        stores.resolve(f"{scheme}:plain-{scheme}#x")
    assert "s3cr3t" not in str(refused.value)


@pytest.mark.parametrize(
    "reference",
    [
        "vault:../sys/mounts", "vault:a/../b", "vault:a//b", "vault:a?version=1", "vault:a%2f..", "vault:/a",
        "vault:a#b#c", "gcp-sm:a/b/c", "gcp-sm:../a", "azure-kv:a/b", "azure-kv:a@1", "azure-kv:a?x=1",
        "aws-sm:a b", "aws-sm:a?x",
    ],
)  # fmt: skip
def test_no_reference_leads_elsewhere(reference, stores, server):
    """V6: what is allowed by its beginning must not be another secret, or another endpoint of the store."""
    with pytest.raises(SecretMissing):
        stores.resolve(reference)
    assert [it for it in server.asked if "token" not in it and "login" not in it] == []


@pytest.mark.parametrize(
    ("reference", "says"),
    [
        ("vault:okta", r"needs the section \[vault\]"),
        ("gcp-sm:okta", r"needs the section \[gcp\]"),
        ("azure-kv:okta", r"needs the section \[azure\]"),
        ("hunter2", "what was given is not a secret reference"),
        ("https://user:hunter2@x", "what was given is not a secret reference"),
        ("vault:", "not a secret reference; use one of env:, file:, vault:"),
        ("file:a\nb", "not a secret reference"),
    ],
)
def test_a_store_that_is_not_set_up_and_what_is_no_reference(reference, says):
    with opened(Setup(Secrets())) as stores:
        with pytest.raises(ConfigurationError, match=says) as refused:
            stores.resolve(reference)
        assert "hunter2" not in str(refused.value)
