"""SimpleSAMLphp as the identity provider of a company: a process of its own, with a sign-in page and two people.

    with SimpleSamlPhp(folder) as idp:
        idp.know(sp_metadata(upstream))      # our metadata, read by its own reader
        idp.entity_id, idp.sso_url, idp.certificate

It runs on PHP's own web server from the files of Debian's package, which `scripts/test` installs or unpacks.
"""

import base64
import json
import os
import shutil
import subprocess
import time
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx2

from authz.clock import system_clock
from tests.support import plain_http
from tests.support.postgres import free_port
from tests.support.saml_idp import certificate_of, key_of, pem_of

FOLDER_VARIABLE = "AUTHZ_TEST_SIMPLESAMLPHP"
_PACKAGED = Path("/usr/share/simplesamlphp")
_UNPACKED = Path(__file__).parents[2] / ".cache/simplesamlphp/usr/share/simplesamlphp"
PEOPLE = {
    "ada": {
        "uid": ["ada-7"],
        "mail": ["ada@corp.example"],
        "cn": ["Ada Lovelace"],
        "groups": ["dev", "r&d", "<ops>"],
    },
    "eve": {"uid": ["eve-1"], "mail": ["eve@corp.example"], "cn": ["Eve"], "groups": []},
}
PASSWORD = "correct horse"
_JSON = "json_decode(file_get_contents(__DIR__ . '/{name}.json'), true)"
_KNOWN_PROVIDERS = """<?php
$metadata = [];
foreach (glob(__DIR__ . '/known/*.xml') as $file) {{
    $entity = \\SimpleSAML\\Metadata\\SAMLParser::parseFile($file)->getMetadata20SP();
    unset($entity['entityDescriptor'], $entity['expire'], $entity['metadata-set']);
    $metadata[$entity['entityid']] = array_merge($entity, {more});
}}
"""


def folder_of_package() -> Path:
    """Where SimpleSAMLphp is. Raises FileNotFoundError: a skipped test proves nothing."""
    named = os.environ.get(FOLDER_VARIABLE)
    for candidate in ([Path(named)] if named else []) + [_PACKAGED, _UNPACKED]:
        if (candidate / "www/saml2/idp/SSOService.php").is_file():
            return candidate
    raise FileNotFoundError(
        f"SimpleSAMLphp is not here; run `scripts/test`, or set {FOLDER_VARIABLE}"
    )


class SimpleSamlPhp:
    """One process. `more` is said of every service provider it knows, in SimpleSAMLphp's own words."""

    def __init__(self, folder: Path, **more: Any) -> None:
        # Another site than the server under test, which is at 127.0.0.1: a port makes none.
        self._port = free_port()
        self.base = f"http://localhost:{self._port}"
        self.entity_id = f"{self.base}/saml2/idp/metadata.php"
        self.sso_url = f"{self.base}/saml2/idp/SSOService.php"
        now = system_clock()
        key = key_of("simplesamlphp")
        self.certificate = certificate_of(
            key, name="simplesamlphp", begins=now - timedelta(1), ends=now + timedelta(1)
        )
        self._folder = folder
        self._write(pem_of(key), more)
        self._log = (folder / "php.log").open("wb")
        self._process = self._start()

    def know(self, metadata: bytes) -> None:
        """Let it sign people in for a service provider, whose metadata it reads itself."""
        known = self._folder / "known"
        (known / f"{len(list(known.iterdir()))}.xml").write_bytes(metadata)

    def close(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(10)
        self._log.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _start(self) -> "subprocess.Popen[bytes]":
        php = shutil.which("php")
        if php is None:
            raise FileNotFoundError("PHP is not here; run `scripts/test`")
        command = [php, "-d", f"session.save_path={self._folder / 'sessions'}"]
        command += ["-d", "error_reporting=E_ALL & ~E_DEPRECATED", "-d", "display_errors=stderr"]
        command += ["-S", f"127.0.0.1:{self._port}", "-t", str(folder_of_package() / "www")]
        process = subprocess.Popen(
            command,
            env={**os.environ, "SIMPLESAMLPHP_CONFIG_DIR": str(self._folder)},
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )
        for _ in range(500):
            try:
                plain_http.get(f"{self.base}/saml2/idp/metadata.php", timeout=10)
            except httpx2.TransportError:
                if process.poll() is not None:
                    break
                time.sleep(0.02)
            else:
                return process
        process.kill()
        raise RuntimeError(Path(self._log.name).read_text(encoding="utf-8", errors="replace"))

    def _write(self, key: str, more: dict[str, Any]) -> None:
        for name in ("known", "sessions", "log", "tmp", "data"):
            (self._folder / name).mkdir()
        (self._folder / "server.pem").write_text(key)
        (self._folder / "server.crt").write_text(pem_of(self.certificate))
        self._php("config", self._config())
        # With the class under the key 0: PHP's arrays are lists and maps at once.
        people = {f"{login}:{PASSWORD}": said for login, said in PEOPLE.items()}
        self._php("authsources", {"people": {"0": "exampleauth:UserPass", **people}})
        self._php("saml20-idp-hosted", {self.entity_id: self._hosted()}, variable="metadata")
        (self._folder / "more.json").write_text(json.dumps(more))
        (self._folder / "saml20-sp-remote.php").write_text(
            _KNOWN_PROVIDERS.format(more=_JSON.format(name="more"))
        )

    def _php(self, name: str, value: Any, variable: str = "config") -> None:
        (self._folder / f"{name}.json").write_text(json.dumps(value))
        (self._folder / f"{name}.php").write_text(
            f"<?php\n${variable} = {_JSON.format(name=name)};\n"
        )

    def _config(self) -> dict[str, Any]:
        folder = str(self._folder)
        return {
            "baseurlpath": f"{self.base}/",
            "certdir": folder,
            "loggingdir": f"{folder}/log",
            "datadir": f"{folder}/data",
            "tempdir": f"{folder}/tmp",
            "metadatadir": folder,
            "metadata.sources": [{"type": "flatfile"}],
            "secretsalt": base64.b64encode(os.urandom(24)).decode(),
            "auth.adminpassword": base64.b64encode(os.urandom(24)).decode(),
            "technicalcontact_email": "na@example.org",
            "timezone": "UTC",
            "enable.saml20-idp": True,
            "module.enable": {"exampleauth": True, "core": True, "saml": True},
            "store.type": "phpsession",
            "session.phpsession.cookiename": "SimpleSAML",
            "session.cookie.secure": False,
            "language.default": "en",
            "logging.handler": "file",
            "logging.logfile": "simplesamlphp.log",
            "logging.level": 7,
            "showerrors": True,
            "errorreporting": False,
        }

    def _hosted(self) -> dict[str, Any]:
        return {
            "host": "__DEFAULT__",
            "privatekey": "server.pem",
            "certificate": "server.crt",
            "auth": "people",
            "attributes.NameFormat": "urn:oasis:names:tc:SAML:2.0:attrname-format:basic",
            "authproc": {
                "10": {
                    "class": "saml:AttributeNameID",
                    "attribute": "uid",
                    "Format": "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent",
                }
            },
        }
