"""Key stores for tests: a SoftHSM token, moto's AWS, and one small server that speaks three more.

The server speaks what is documented of Cloud KMS (v1), Key Vault (7.4) and Vault's transit engine: real keys, real
signatures, in the form that each store has them. It can be told to fail, to hang, or to lie.
"""

import base64
import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

TOKEN = "s3cr3t-of-the-store"
SECRET_ID = "secret-id-of-the-store"
PIN = "1234"
RING = "projects/p/locations/europe-west1/keyRings/authz"
_LIBRARIES = (
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
    "/opt/homebrew/lib/softhsm/libsofthsm2.so",
)
_Private = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
_Answer = tuple[int, dict[str, Any]]


def softhsm_library() -> Path:
    """Where the library is. Raises RuntimeError."""
    found = next((Path(it) for it in _LIBRARIES if Path(it).is_file()), None)
    if found is None or shutil.which("softhsm2-util") is None:
        raise RuntimeError("SoftHSM is not installed; on Debian: apt-get install softhsm2")
    return found


def make_token(folder: Path, label: str = "authz") -> Path:
    """A new token in this folder, for the whole process; answers the library."""
    library = softhsm_library()
    (folder / "tokens").mkdir(exist_ok=True)
    configuration = folder / "softhsm2.conf"
    configuration.write_text(
        f"directories.tokendir = {folder / 'tokens'}\nobjectstore.backend = file\nlog.level = ERROR\n"
    )
    # The library reads it once, when it is loaded into this process.
    os.environ["SOFTHSM2_CONF"] = str(configuration)
    arguments = ["--init-token", "--free", "--label", label, "--so-pin", PIN, "--pin", PIN]
    subprocess.run(["softhsm2-util", *arguments], check=True, capture_output=True)
    return library


@contextlib.contextmanager
def aws() -> Iterator[str]:
    """moto's server; answers its address."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    before = {name: os.environ.get(name) for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}
    os.environ.update(dict.fromkeys(before, "testing"))
    server.start()
    host, port = server.get_host_and_port()
    try:
        yield f"http://{host}:{port}"
    finally:
        server.stop()
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@dataclass
class HttpStores:
    """The server of the three; one set of keys."""

    keys: dict[str, _Private] = field(default_factory=dict)
    failing: int | None = None
    """The status it answers everything with."""
    denying: bool = False
    """It knows who asks, and does not let them."""
    signed_in: list[str] = field(default_factory=list)
    """Where a token was had."""
    hanging: threading.Event = field(default_factory=threading.Event)
    """Cleared: it keeps everybody waiting."""
    lying: bool = False
    """It signs something else than what it was asked to."""
    signed: int = 0
    meanwhile: Callable[[], None] | None = None
    """What happens once, while it signs."""
    url: str = ""

    def __post_init__(self) -> None:
        self.hanging.set()

    @contextlib.contextmanager
    def running(self) -> "Iterator[HttpStores]":
        """Serve while the block runs."""
        server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        server.daemon_threads = True
        self.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self.hanging.set()
            server.shutdown()
            server.server_close()
            thread.join(5)

    def make(self, name: str, kind: str) -> None:
        """A key."""
        self.keys[name] = (
            rsa.generate_private_key(65537, 2048)
            if kind == "rsa"
            else ec.generate_private_key(ec.SECP256R1())
        )

    def pem(self, name: str) -> str:
        """Its public half."""
        public = self.keys[name].public_key()
        return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()

    def sign(self, name: str, digest: bytes) -> bytes:
        """Over a digest; ECDSA in DER."""
        self.signed += 1
        happening, self.meanwhile = self.meanwhile, None
        if happening is not None:
            happening()
        if self.lying:
            digest = hashlib.sha256(b"something else").digest()
        key = self.keys[name]
        if isinstance(key, rsa.RSAPrivateKey):
            return key.sign(digest, padding.PKCS1v15(), utils.Prehashed(SHA256()))
        return key.sign(digest, ec.ECDSA(utils.Prehashed(SHA256())))

    def raw(self, name: str, digest: bytes) -> bytes:
        """The same as JWS has it."""
        signature = self.sign(name, digest)
        if isinstance(self.keys[name], rsa.RSAPrivateKey):
            return signature
        r, s = utils.decode_dss_signature(signature)
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")

    def answer(self, method: str, target: str, headers: Any, body: dict[str, Any]) -> _Answer:
        """One question."""
        self.hanging.wait(20)
        if self.failing is not None:
            return self.failing, {"error": "told to"}
        parts = urlsplit(target)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        token = self._token(method, parts.path, headers, body)
        if token is not None:
            self.signed_in.append(parts.path)
            return 200, token
        if parts.path.startswith("/v1/projects/"):
            is_known, stranger = headers.get("authorization") == f"Bearer {TOKEN}", 401
            ask: Callable[..., _Answer] = self._google
        elif parts.path.startswith("/keys/"):
            is_known, stranger = headers.get("authorization") == f"Bearer {TOKEN}", 401
            ask = self._azure
        else:
            is_known, stranger = headers.get("x-vault-token") == TOKEN, 403
            ask = self._vault
        if not is_known or self.denying:
            return 403 if is_known else stranger, {"error": "denied"}
        return ask(method, parts.path, query, body)

    def _token(
        self, method: str, path: str, headers: Any, body: dict[str, Any]
    ) -> dict[str, Any] | None:
        """For whoever proves who they are: an AppRole of Vault, and the machine at both clouds."""
        if (method, path) == ("POST", "/v1/auth/approle/login"):
            assert body == {"role_id": "authz", "secret_id": SECRET_ID}
            return {"auth": {"client_token": TOKEN, "lease_duration": 3600}}
        if path.startswith("/computeMetadata/") and headers.get("metadata-flavor") == "Google":
            return {"access_token": TOKEN, "expires_in": 3600}
        if path.startswith("/metadata/identity/") and headers.get("metadata") == "true":
            return {"access_token": TOKEN, "expires_in": "3600"}
        return None

    def _google(
        self, method: str, path: str, query: dict[str, str], body: dict[str, Any]
    ) -> _Answer:
        if method == "POST" and path == f"/v1/{RING}/cryptoKeys":
            name = query["cryptoKeyId"]
            assert body["purpose"] == "ASYMMETRIC_SIGN"
            self.make(name, body["versionTemplate"]["algorithm"].split("_")[0].lower())
            return 200, {"name": f"{RING}/cryptoKeys/{name}"}
        rest = path.removeprefix(f"/v1/{RING}/cryptoKeys/")
        name, _, version = rest.partition("/cryptoKeyVersions/")
        full = f"{RING}/cryptoKeys/{name}/cryptoKeyVersions/1"
        if name not in self.keys or version.partition(":")[0].partition("/")[0] != "1":
            return 404, {}
        if method == "GET" and version == "1":
            return 200, {"name": full, "state": "ENABLED"}
        if method == "GET" and version == "1/publicKey":
            return 200, {"pem": self.pem(name), "name": full}
        digest = base64.b64decode(body["digest"]["sha256"])
        signature = base64.b64encode(self.sign(name, digest)).decode()
        return 200, {"signature": signature, "name": full}

    def _azure(
        self, method: str, path: str, query: dict[str, str], body: dict[str, Any]
    ) -> _Answer:
        assert query == {"api-version": "7.4"}
        name, _, last = path.removeprefix("/keys/").partition("/")
        if method == "POST" and last == "create":
            self.make(name, body["kty"].removesuffix("-HSM").lower())
            return 200, {"key": self._jwk(name)}
        version, _, act = last.partition("/")
        if name not in self.keys or version != _VERSION:
            return 404, {}
        if method == "GET" and not act:
            return 200, {"key": self._jwk(name)}
        digest = _unpadded(body["value"])
        return 200, {
            "kid": f"{self.url}/keys/{name}/{_VERSION}",
            "value": _base64url(self.raw(name, digest)),
        }

    def _jwk(self, name: str) -> dict[str, Any]:
        kid = f"{self.url}/keys/{name}/{_VERSION}"
        public = self.keys[name].public_key()
        if isinstance(public, rsa.RSAPublicKey):
            numbers = public.public_numbers()
            n = _base64url(numbers.n.to_bytes(256, "big"))
            return {"kid": kid, "kty": "RSA", "n": n, "e": "AQAB"}
        point = public.public_numbers()
        across, up = (_base64url(it.to_bytes(32, "big")) for it in (point.x, point.y))
        return {"kid": kid, "kty": "EC-HSM", "crv": "P-256", "x": across, "y": up}

    def _vault(
        self, method: str, path: str, query: dict[str, str], body: dict[str, Any]
    ) -> _Answer:
        assert not query
        what, _, rest = path.removeprefix("/v1/transit/").partition("/")
        name, _, hashing = rest.partition("/")
        if what == "keys" and method == "POST":
            self.make(name, body["type"].split("-")[0].removesuffix("dsa"))
            return 200, {"data": {"name": name}}
        if name not in self.keys:
            return 404, {"errors": []}
        if what == "keys":
            return 200, {"data": {"keys": {"1": {"public_key": self.pem(name)}}}}
        assert (hashing, body["prehashed"], body["key_version"]) == ("sha2-256", True, 1)
        digest = base64.b64decode(body["input"])
        if body.get("marshaling_algorithm") == "jws":
            signature = _base64url(self.raw(name, digest))
        else:
            signature = base64.b64encode(self.sign(name, digest)).decode()
        return 200, {"data": {"signature": f"vault:v1:{signature}", "key_version": 1}}


_VERSION = "78deebed173b48e48f55abf87ed4cf71"


def _handler(stores: HttpStores) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._serve("GET")

        def do_POST(self) -> None:
            self._serve("POST")

        def log_message(self, *_: Any) -> None:
            """Nothing."""

        def _serve(self, method: str) -> None:
            length = int(self.headers.get("content-length", "0"))
            body = json.loads(self.rfile.read(length) or b"{}")
            status, said = stores.answer(method, self.path, self.headers, body)
            content = json.dumps(said).encode()
            with contextlib.suppress(ConnectionError):
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

    return Handler


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _unpadded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def sections(
    folder: Path, library: Path, aws_url: str, stores: HttpStores
) -> dict[str, dict[str, Any]]:
    """Settings with which a server knows all of them."""
    (folder / "pin").write_text(PIN)
    (folder / "secret-id").write_text(SECRET_ID)
    return {
        "pkcs11": {"module": library, "token": "authz", "pin": f"file:{folder / 'pin'}"},
        "aws_kms": {"region": "eu-west-1", "endpoint": aws_url},
        "gcp": {"project": "p", "metadata": stores.url},
        "gcp_kms": {"key_ring": RING, "endpoint": stores.url},
        "azure": {"vault": stores.url, "metadata": stores.url},
        "vault": {
            "address": stores.url,
            "auth": "approle",
            "role_id": "authz",
            "secret_id": f"file:{folder / 'secret-id'}",
        },
    }
