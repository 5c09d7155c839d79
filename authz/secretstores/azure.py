"""`azure-kv:NAME[@VERSION][#KEY]`: secrets of one Azure Key Vault. The newest version if none is named."""

import re
from collections.abc import Coroutine, Mapping
from datetime import timedelta
from typing import Any, ClassVar, TypeVar
from urllib.parse import quote, urlsplit

from authz.errors import ConfigurationError
from authz.secretstores.calls import Answer, Calls, Pass, Passes
from authz.secretstores.errors import SecretMissing
from authz.secretstores.local import read_local
from authz.secretstores.sections import Azure
from authz.secretstores.store import Secret, Setup, member_of

_NAME = re.compile(
    r"(?P<name>[A-Za-z0-9\-]{1,127})(?:@(?P<version>[0-9a-f]{32}))?(?:#(?P<key>[A-Za-z0-9_.\-]{1,128}))?"
)
_API_VERSION = "7.4"
_METADATA = "http://169.254.169.254"
_TOKEN_PATH = "/metadata/identity/oauth2/token?api-version=2018-02-01"  # noqa: S105 -- an address
_PUBLIC_CLOUD = "vault.azure.net"
_SERVICES = ("vault.", "managedhsm.")
_JWT_BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

_T = TypeVar("_T")


class AzureSession:
    """Who we are at a key vault, and requests as that: for secrets, and for keys."""

    def __init__(
        self, setup: Setup, *, vault: str | None = None, limit: timedelta | None = None
    ) -> None:
        """`vault`, if it is another than that of secrets; `limit` of each piece of work likewise."""
        if setup.azure is None:
            raise ConfigurationError(
                "what is in Azure needs the section [azure] with its vault; see docs/secrets.md"
            )
        self.section: Azure = setup.azure
        self.vault = vault or setup.azure.vault
        self._setup = setup
        self._calls = Calls("Azure Key Vault", setup, limit=limit)
        self._passes = Passes(self._sign_in)

    def run(self, work: Coroutine[Any, Any, _T]) -> _T:
        """See `Calls.run`."""
        return self._calls.run(work)

    async def ask(
        self, path: str, *, method: str = "GET", body: Mapping[str, Any] | None = None
    ) -> Answer:
        """A request to the vault with our token; once more with a new one when it is good no longer."""
        url = f"{self.vault}/{path}?api-version={_API_VERSION}"
        return await self._passes.ask(
            lambda token: self._calls.ask(
                url, method=method, headers={"Authorization": f"Bearer {token}"}, body=body
            ),
            refused=401,
        )

    def close(self) -> None:
        """Let go of the connection's loop."""
        self._calls.close()

    async def _sign_in(self) -> Pass:
        has_client = self.section.client_secret or self.section.client_assertion
        answer = await (self._by_client() if has_client else self._by_metadata())
        # The metadata service sends the number as text.
        token, seconds = answer.members.get("access_token"), answer.members.get("expires_in")
        if (
            answer.status != 200
            or not isinstance(token, str)
            or not re.fullmatch(r"[0-9]{1,9}", str(seconds))
        ):
            raise SecretMissing(
                f"Azure does not give us a token (status {answer.status}); "
                "check the identity in the section [azure]"
            )
        return Pass.for_seconds(token, int(str(seconds)))

    async def _by_metadata(self) -> Answer:
        section = self.section
        url = f"{section.metadata or _METADATA}{_TOKEN_PATH}&resource={quote(self._resource, safe='')}"
        if section.client_id is not None:
            url += f"&client_id={quote(section.client_id, safe='')}"
        return await self._calls.ask(url, headers={"Metadata": "true"})

    async def _by_client(self) -> Answer:
        section = self.section
        form = {
            "grant_type": "client_credentials",
            "client_id": section.client_id or "",
            "scope": f"{self._resource}/.default",
        }
        if section.client_secret is not None:
            form["client_secret"] = read_local(self._setup, section.client_secret)
        else:
            form["client_assertion_type"] = _JWT_BEARER
            form["client_assertion"] = read_local(self._setup, section.client_assertion or "")
        url = f"{section.authority}/{quote(section.tenant or '', safe='')}/oauth2/v2.0/token"
        return await self._calls.ask(url, method="POST", form=form)

    @property
    def _resource(self) -> str:
        """What tokens are for: all vaults of the same cloud, or all its managed modules."""
        cloud = (urlsplit(self.vault).hostname or "").partition(".")[2]
        return f"https://{cloud if cloud.startswith(_SERVICES) else _PUBLIC_CLOUD}"


class AzureStore:
    """The store."""

    is_remote: ClassVar[bool] = True

    def __init__(self, setup: Setup) -> None:
        self._session = AzureSession(setup)

    def read(self, name: str) -> Secret:
        """The value of the version."""
        match = _NAME.fullmatch(name)
        if match is None:
            raise SecretMissing(
                f"azure-kv:{name} is not the name of a secret: letters, digits and hyphens; write one"
            )
        return self._session.run(self._read(name, match))

    def close(self) -> None:
        """End the session."""
        self._session.close()

    async def _read(self, name: str, match: re.Match[str]) -> Secret:
        path = f"secrets/{match['name']}"
        if match["version"]:
            path += f"/{match['version']}"
        answer = await self._session.ask(path)
        if answer.status != 200:
            raise _not_given(name, answer.status)
        value, id_ = answer.members.get("value"), answer.members.get("id")
        if not isinstance(value, str) or not isinstance(id_, str):
            raise SecretMissing(f"Azure sends no value for azure-kv:{name}; set one")
        return Secret(
            member_of(f"azure-kv:{name}", value.encode(), match["key"]), id_.rpartition("/")[2]
        )


def _not_given(name: str, status: int) -> SecretMissing:
    if status == 404:
        return SecretMissing(
            f"the secret azure-kv:{name} does not exist in the vault, or was deleted; set it there"
        )
    if status in (401, 403):
        return SecretMissing(
            f"Azure does not give us azure-kv:{name} (status {status}); enable the secret, "
            "or let our identity get secrets of the vault"
        )
    return SecretMissing(f"Azure refuses azure-kv:{name} with status {status}; see the vault's log")
