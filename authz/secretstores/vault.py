"""`vault:PATH[@VERSION][#KEY]`: the KV engine, version 2, of HashiCorp Vault or OpenBao. Without a key: `value`."""

import re
from collections.abc import Coroutine, Mapping
from datetime import timedelta
from typing import Any, ClassVar, TypeVar

from authz.errors import ConfigurationError
from authz.secretstores.calls import Answer, Calls, Pass, Passes
from authz.secretstores.errors import SecretMissing
from authz.secretstores.local import read_local
from authz.secretstores.store import Secret, Setup

_SEGMENT = r"[A-Za-z0-9_][A-Za-z0-9_.\-]*"
# No dot segments, no escapes: the path is put into a URL, and a prefix of it decides who may name it (V6).
_NAME = re.compile(
    rf"(?P<path>{_SEGMENT}(?:/{_SEGMENT})*)(?:@(?P<version>[0-9]{{1,9}}))?(?:#(?P<key>[A-Za-z0-9_.\-]{{1,128}}))?"
)
_FOREVER = timedelta(days=365).total_seconds()

_T = TypeVar("_T")


class VaultSession:
    """Who we are at Vault, and requests as that: for secrets, and for keys."""

    def __init__(self, setup: Setup, *, limit: timedelta | None = None) -> None:
        """`limit` of each piece of work, if it is another than that of a reading."""
        if setup.vault is None:
            raise ConfigurationError(
                "what is in Vault needs the section [vault] with its address; see docs/secrets.md"
            )
        self._setup, self._section = setup, setup.vault
        self._calls = Calls("Vault", setup, ca_file=setup.vault.ca_file, limit=limit)
        self._passes = Passes(self._sign_in)

    @property
    def mount(self) -> str:
        """Of the KV engine."""
        return self._section.mount

    def run(self, work: Coroutine[Any, Any, _T]) -> _T:
        """See `Calls.run`."""
        return self._calls.run(work)

    async def ask(
        self, path: str, *, method: str = "GET", body: Mapping[str, Any] | None = None
    ) -> Answer:
        """A request below `/v1/`; signs in, and once more when the token is good no longer."""
        section = self._section
        if section.auth == "token":
            token = read_local(self._setup, section.token or "")
            return await self._send(path, token, method, body)
        # An expired token and a path that is not for us look the same.
        return await self._passes.ask(
            lambda token: self._send(path, token, method, body), refused=403
        )

    def close(self) -> None:
        """Let go of the connection's loop."""
        self._calls.close()

    async def _send(
        self, path: str, token: str | None, method: str, body: Mapping[str, Any] | None
    ) -> Answer:
        headers = {"X-Vault-Request": "true"}
        if token is not None:
            headers["X-Vault-Token"] = token
        if self._section.namespace is not None:
            headers["X-Vault-Namespace"] = self._section.namespace
        url = f"{self._section.address}/v1/{path}"
        return await self._calls.ask(url, is_ours=True, method=method, headers=headers, body=body)

    async def _sign_in(self) -> Pass:
        section = self._section
        proof = (
            {"role": section.role, "jwt": read_local(self._setup, section.jwt)}
            if section.auth == "kubernetes"
            else {
                "role_id": section.role_id,
                "secret_id": read_local(self._setup, section.secret_id or ""),
            }
        )
        path = f"auth/{section.auth_mount or section.auth}/login"
        answer = await self._send(path, None, "POST", proof)
        auth = answer.members.get("auth")
        token = auth.get("client_token") if isinstance(auth, dict) else None
        if answer.status != 200 or not isinstance(auth, dict) or not isinstance(token, str):
            raise SecretMissing(
                f"Vault does not let us in by {section.auth} (status {answer.status}); "
                "check role and credentials in the section [vault]"
            )
        seconds = auth.get("lease_duration")
        # Zero is a token without an end.
        return Pass.for_seconds(
            token, seconds if isinstance(seconds, int) and seconds > 0 else _FOREVER
        )


class VaultStore:
    """The store."""

    is_remote: ClassVar[bool] = True

    def __init__(self, setup: Setup) -> None:
        self._session = VaultSession(setup)
        self._mount = self._session.mount

    def read(self, name: str) -> Secret:
        """The value under the key, as text."""
        match = _NAME.fullmatch(name)
        if match is None:
            raise SecretMissing(f"vault:{name} is not PATH#KEY; write the path below the mount")
        return self._session.run(self._read(name, match))

    def close(self) -> None:
        """End the session."""
        self._session.close()

    async def _read(self, name: str, match: re.Match[str]) -> Secret:
        query = f"?version={match['version']}" if match["version"] else ""
        answer = await self._session.ask(f"{self._mount}/data/{match['path']}{query}")
        if answer.status != 200:
            raise _not_given(name, self._mount, answer.status)
        outer = answer.members.get("data")
        data, metadata = (
            (outer.get("data"), outer.get("metadata")) if isinstance(outer, dict) else (None, None)
        )
        if not isinstance(data, dict) or not isinstance(metadata, dict):
            raise SecretMissing(
                f"the mount {self._mount} of vault:{name} is no KV engine of version 2; name one in vault.mount"
            )
        value = data.get(match["key"] or "value")
        if not isinstance(value, str):
            raise SecretMissing(
                f"the secret vault:{name} has no key {match['key'] or 'value'!r} that is a text; "
                "write it, or name another after #"
            )
        return Secret(value.encode(), str(metadata.get("version")))


def _not_given(name: str, mount: str, status: int) -> SecretMissing:
    if status == 404:
        return SecretMissing(
            f"the secret vault:{name} does not exist in the mount {mount}, or this version was deleted; write it"
        )
    if status in (400, 401, 403):
        return SecretMissing(
            f"Vault does not give us vault:{name} (status {status}); renew our token, "
            f"or let its policy read {mount}/data/…"
        )
    return SecretMissing(f"Vault refuses vault:{name} with status {status}; see its log")
