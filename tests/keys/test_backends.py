"""Every key store makes keys, tells their public half and signs as JWS wants it (V8, ATK-69)."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from joserfc import jwt

from authz.errors import ConfigurationError, SignerUnavailable
from authz.keys import BACKENDS, BackendError, Custody, KeyRing, RemoteKey, RingKey, describe
from authz.keys.backends import Surroundings
from authz.keys.rotation import KeyLife
from authz.settings import Settings
from authz.transactions import turn
from tests.support import key_stores
from tests.support.configured import NOW

ALGORITHMS = ("ES256", "RS256")


def read(reference):
    return Path(reference.removeprefix("file:")).read_bytes()


@pytest.fixture(scope="module")
def stores():
    with key_stores.HttpStores().running() as made:
        yield made


@pytest.fixture(scope="module")
def custody_of(stores, tmp_path_factory):
    folder = tmp_path_factory.mktemp("stores")
    library = key_stores.make_token(folder)
    opened = []

    with key_stores.aws() as aws_url:
        known = key_stores.sections(folder, library, aws_url, stores)

        def open_(backend, **changed):
            sections = {
                **known,
                **{
                    name: values and {**known.get(name, {}), **values}
                    for name, values in changed.items()
                },
            }
            sections["keys"] = {"backend": backend, **changed.get("keys", {})}
            settings = Settings(
                server={"issuer": "http://127.0.0.1:8000", "development": True}, **sections
            )
            made = Custody(Surroundings(settings, read))
            opened.append(made)
            return made

        open_.opened = opened
        yield open_
        for made in opened:
            made.close()


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("backend", sorted(BACKENDS))
def test_a_key_elsewhere_signs_what_anybody_verifies(custody_of, backend, algorithm):
    """V8: the reference names the key for good, also to a process that has never seen it."""
    new = custody_of(backend).make("access_token", algorithm)
    assert (new.backend, new.key.is_private) == (backend, False)
    kid, public = describe(new.key, algorithm)
    life = KeyLife(kid, "access_token", algorithm, NOW, NOW, None, None)
    remote = RemoteKey(backend, new.reference, algorithm, new.key)
    ring = KeyRing((RingKey(life, public, new.key, remote),), custody_of(backend))
    # moto knows no digests, which is how AWS KMS signs what is longer than 4096 bytes.
    claims = {"iss": "https://authz.example", "long": "x" * (200 if backend == "aws-kms" else 5000)}
    token = ring.sign("access_token", algorithm, "at+jwt", claims, NOW)
    assert jwt.decode(token, new.key, algorithms=[algorithm]).claims == claims
    adopted = custody_of(backend).adopt("access_token", algorithm, new.reference)
    assert describe(adopted.key, algorithm)[0] == kid


@pytest.mark.parametrize("backend", sorted(BACKENDS))
def test_a_key_of_another_kind_is_not_adopted(custody_of, backend):
    """CONF-13: one key, one algorithm."""
    custody = custody_of(backend)
    reference = custody.make("audit", "ES256").reference
    with pytest.raises(BackendError, match="another kind") as refused:
        custody.adopt("access_token", "RS256", reference)
    assert refused.value.reason == "key_kind"


UNKNOWN = {
    "aws-kms": "arn:aws:kms:eu-west-1:123456789012:key/00000000-0000-0000-0000-000000000000",
    "azure-kv": "https://other.vault.azure.net/keys/a/0",
    "gcp-kms": f"{key_stores.RING}/cryptoKeys/nope/cryptoKeyVersions/1",
    "pkcs11": "00" * 16,
    "vault-transit": "nope:1",
}
MALFORMED = {
    "azure-kv": "nope",
    "gcp-kms": f"{key_stores.RING}/cryptoKeys/../../x:asymmetricSign",
    "pkcs11": "no digits",
    "vault-transit": "a/../b:1",
}


@pytest.mark.parametrize(("backend", "reference"), sorted([*UNKNOWN.items(), *MALFORMED.items()]))
def test_a_reference_to_nothing_is_refused(custody_of, backend, reference):
    """ATK-47: a reference never becomes another address, or another path, than that of a key."""
    with pytest.raises(BackendError):
        custody_of(backend).adopt("access_token", "ES256", reference)


@pytest.mark.parametrize("backend", ["azure-kv", "gcp-kms", "vault-transit"])
@pytest.mark.parametrize("how", ["failing", "lying", "denied"])
def test_what_is_no_signature_never_leaves(custody_of, stores, monkeypatch, backend, how):
    """V8: neither an error of the store nor a signature over something else becomes a token."""
    custody = custody_of(backend)
    new = custody.make("access_token", "ES256")
    key = RemoteKey(backend, new.reference, "ES256", new.key)
    monkeypatch.setattr(stores, "failing", 503 if how == "failing" else None)
    monkeypatch.setattr(stores, "lying", how == "lying")
    monkeypatch.setattr(stores, "denying", how == "denied")
    with pytest.raises(SignerUnavailable) as refused:
        custody.sign(key, b"data")
    assert refused.value.reason == "signer_unavailable"
    assert (refused.value.status, refused.value.retry_after) == (503, 5)
    monkeypatch.undo()
    assert custody.sign(key, b"data")


HTTP = {
    "azure-kv": "/metadata/identity/oauth2/token",
    "gcp-kms": "/computeMetadata/v1/instance/service-accounts/default/token",
    "vault-transit": "/v1/auth/approle/login",
}


@pytest.mark.parametrize("backend", sorted(HTTP))
def test_who_we_are_is_said_once_for_secrets_and_keys(custody_of, stores, monkeypatch, backend):
    """V8: as the machine or an AppRole; many signatures at once sign in once, and again when the token has ended."""
    signed_in = custody_of(backend)
    new = signed_in.make("access_token", "ES256")
    key = RemoteKey(backend, new.reference, "ES256", new.key)
    for custody in (signed_in, custody_of(backend)):
        monkeypatch.setattr(key_stores, "TOKEN", f"another-{len(stores.signed_in)}")
        before = len(stores.signed_in)
        with ThreadPoolExecutor(8) as threads:
            assert all(threads.map(lambda _: custody.sign(key, b"data"), range(8)))  # noqa: B023
        assert stores.signed_in[before:] == [HTTP[backend]]


@pytest.mark.parametrize("backend", sorted(HTTP))
def test_a_store_that_hangs_is_given_up_by_the_deadline(custody_of, stores, monkeypatch, backend):
    """V8: with everything it takes, signing in included."""
    new = custody_of(backend).make("access_token", "ES256")
    monkeypatch.setattr(f"{BACKENDS[backend].partition(':')[0]}.DEADLINE", timedelta(seconds=0.2))
    module = custody_of(backend).backend(backend)
    stores.hanging.clear()
    try:
        with pytest.raises(BackendError, match=r"within 0\.2 seconds|\(timeout\)") as told:
            module.sign(new.reference, "ES256", b"data")
    finally:
        stores.hanging.set()
    assert told.value.reason == "store_unavailable"


def test_keys_may_be_in_another_vault_than_secrets(custody_of):
    """V8: a Managed HSM has tokens of its own, and its keys are named by its own address."""
    hsm = "https://ours.managedhsm.azure.net"
    custody = custody_of("azure-kv", azure_kv={"vault": hsm})
    with pytest.raises(BackendError) as refused:
        custody.adopt("access_token", "ES256", "https://other.vault.azure.net/keys/a/0")
    assert refused.value.reason == "reference"
    assert custody.backend("azure-kv")._session._resource == "https://managedhsm.azure.net"


def test_a_module_that_was_restarted_is_taken_up_again(custody_of):
    """V8: the session broke, and the next signature opens another."""
    custody = custody_of("pkcs11")
    new = custody.make("access_token", "ES256")
    key = RemoteKey("pkcs11", new.reference, "ES256", new.key)
    custody.backend("pkcs11")._session.close()
    assert custody.sign(key, b"data")


@pytest.mark.parametrize(
    ("refused", "reason"),
    [(b"4321", "pin_refused"), (b"\xff\xfe", "pin_malformed")],
    ids=["wrong", "binary"],
)
def test_a_pin_that_was_refused_is_not_tried_again(
    custody_of, tmp_path, monkeypatch, refused, reason
):
    """V8: a module locks itself after a few; the secret is read anew, and a good one is taken up by itself."""
    import pkcs11

    good = custody_of("pkcs11").make("access_token", "ES256")
    key = RemoteKey("pkcs11", good.reference, "ES256", good.key)
    # A login is of the whole process: the next one is asked for the PIN.
    custody_of("pkcs11").backend("pkcs11")
    for opened in custody_of.opened:
        opened.close()
    secret, asked = tmp_path / "pin", []
    secret.write_bytes(refused)
    custody = custody_of("pkcs11", pkcs11={"pin": f"file:{secret}"})
    backend = custody.backend("pkcs11")
    lib = pkcs11.lib

    def counted(path):
        asked.append(path)
        return lib(path)

    monkeypatch.setattr(pkcs11, "lib", counted)
    for _ in range(4):
        with pytest.raises(BackendError) as told:
            backend.sign(key.reference, "ES256", b"data")
        assert told.value.reason == reason
        assert refused.decode("latin-1") not in str(told.value)
    assert len(asked) == (1 if reason == "pin_refused" else 0)
    secret.write_text(key_stores.PIN)
    assert custody.sign(key, b"data")


def test_a_module_that_hangs_is_waited_for_until_the_deadline(custody_of, monkeypatch):
    """V8: by callers that may block as well, and when the server ends."""
    monkeypatch.setattr("authz.keys.backends.pkcs11.DEADLINE", timedelta(seconds=0.2))
    monkeypatch.setattr("authz.keys.custody.SIGNING", timedelta(seconds=0.1))
    custody = custody_of("pkcs11")
    new = custody.make("access_token", "ES256")
    key = RemoteKey("pkcs11", new.reference, "ES256", new.key)
    module = custody.backend("pkcs11")
    with module._lock:
        with pytest.raises(BackendError) as told:
            module.sign(key.reference, "ES256", b"data")
        assert told.value.reason == "module_hangs"
        with pytest.raises(SignerUnavailable) as refused:
            custody.sign(key, b"data")
        assert refused.value.__cause__.reason == "deadline"
        custody.close()
    assert custody_of("pkcs11").sign(key, b"data")


def test_a_thread_that_never_comes_back_does_not_keep_the_process():
    """V8: SIGTERM ends a server whose module hangs."""
    script = (
        "import threading\n"
        "from authz.keys.threads import AskingThreads, Busy\n"
        "threads = AskingThreads(1)\n"
        "threads.submit(threading.Event().wait)\n"
        "try:\n    threads.submit(int)\nexcept Busy:\n    print('busy')\n"
        "threads.close()\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=20, check=True
    )
    assert ended.stdout == "busy\n"


def test_making_a_key_is_not_done_twice_for_the_database(custody_of):
    """V8: a transaction that is run again would leave a key behind in the store."""
    with turn() as made:
        custody_of("pkcs11").make("access_token", "ES256")
    assert made.is_done


def test_a_private_key_does_not_leave_the_module(custody_of):
    """V8: made sensitive and not extractable."""
    from pkcs11 import Attribute, ObjectClass
    from pkcs11.exceptions import AttributeSensitive

    custody = custody_of("pkcs11")
    new = custody.make("access_token", "ES256")
    with custody.backend("pkcs11")._lock:
        session = custody.backend("pkcs11")._opened()
        key = session.get_key(object_class=ObjectClass.PRIVATE_KEY, id=bytes.fromhex(new.reference))
        assert (key[Attribute.SENSITIVE], key[Attribute.EXTRACTABLE]) == (True, False)
        with pytest.raises(AttributeSensitive):
            key[Attribute.VALUE]


@pytest.mark.parametrize(
    ("backend", "changed", "told"),
    [
        ("pkcs11", {"pkcs11": {"token": None}}, "pkcs11.token"),
        ("aws-kms", {"aws_kms": {"region": None}}, "aws_kms.region"),
        ("gcp-kms", {"gcp_kms": {"key_ring": None}}, "gcp_kms.key_ring"),
        ("gcp-kms", {"gcp_kms": {"key_ring": "a/../b"}}, "gcp_kms.key_ring"),
        ("gcp-kms", {"gcp": None}, r"section \[gcp\]"),
        ("azure-kv", {"azure": None}, r"section \[azure\]"),
        ("vault-transit", {"vault": None}, r"section \[vault\]"),
        ("vault-transit", {"vault_transit": {"mount": "../sys"}}, "vault_transit.mount"),
    ],
    ids=range(8),
)
def test_what_is_not_configured_is_said_in_one_sentence(custody_of, backend, changed, told):
    with pytest.raises(ConfigurationError, match=told):
        custody_of(backend, **changed).make("access_token", "ES256")


def test_purposes_that_stay_local_do(custody_of):
    custody = custody_of("aws-kms", keys={"local_purposes": ["introspection"]})
    assert custody.make("introspection", "ES256").key.is_private
    assert not custody.make("audit", "ES256").key.is_private


def test_a_deadline_is_below_that_of_a_client():
    from authz.keys.backends import DEADLINE

    assert timedelta(seconds=10) > 2 * DEADLINE
