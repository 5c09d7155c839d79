"""`gcp-sm:[PROJECT/]NAME[@VERSION][#KEY]`: Google Cloud Secret Manager. The newest version if none is named."""

import base64
import binascii
import re
from collections.abc import Coroutine, Mapping
from datetime import datetime, timedelta
from typing import Any, ClassVar, TypeVar

from authz import jose
from authz.clock import numeric_date, system_clock
from authz.errors import ConfigurationError
from authz.net.strict_json import NotStrict, read_object
from authz.secretstores.calls import Answer, Calls, Pass, Passes
from authz.secretstores.errors import SecretMissing
from authz.secretstores.local import read_local
from authz.secretstores.sections import Gcp
from authz.secretstores.store import Secret, Setup, member_of

_NAME = re.compile(
    r"(?:(?P<project>[a-z0-9][a-z0-9\-]{0,62})/)?(?P<name>[A-Za-z0-9_\-]{1,255})"
    r"(?:@(?P<version>[A-Za-z0-9_\-]{1,63}))?(?:#(?P<key>[A-Za-z0-9_.\-]{1,128}))?"
)
_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
_METADATA = "http://metadata.google.internal"
_TOKEN_PATH = "/computeMetadata/v1/instance/service-accounts/default/token"  # noqa: S105 -- an address
_JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_ASSERTION_LIFETIME = timedelta(minutes=10)

_T = TypeVar("_T")


class GcpSession:
    """Who we are at Google Cloud, and requests as that: for secrets, and for keys."""

    def __init__(self, setup: Setup, *, limit: timedelta | None = None) -> None:
        """`limit` of each piece of work, if it is another than that of a reading."""
        if setup.gcp is None:
            raise ConfigurationError(
                "what is in Google Cloud needs the section [gcp] with its project; see docs/secrets.md"
            )
        self.section: Gcp = setup.gcp
        self._setup = setup
        self._calls = Calls("Google Cloud", setup, limit=limit)
        self._passes = Passes(self._sign_in)

    def run(self, work: Coroutine[Any, Any, _T]) -> _T:
        """See `Calls.run`."""
        return self._calls.run(work)

    async def ask(
        self, url: str, *, method: str = "GET", body: Mapping[str, Any] | None = None
    ) -> Answer:
        """A request with our token; once more with a new one when it is good no longer."""
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
        reference = self.section.credentials
        answer = await (self._by_metadata() if reference is None else self._by_key(reference))
        token, seconds = answer.members.get("access_token"), answer.members.get("expires_in")
        if answer.status != 200 or not isinstance(token, str) or not isinstance(seconds, int):
            raise SecretMissing(
                f"Google Cloud does not give us a token (status {answer.status}); "
                "check the service account in the section [gcp]"
            )
        return Pass.for_seconds(token, seconds)

    async def _by_metadata(self) -> Answer:
        url = f"{self.section.metadata or _METADATA}{_TOKEN_PATH}"
        return await self._calls.ask(url, headers={"Metadata-Flavor": "Google"})

    async def _by_key(self, reference: str) -> Answer:
        uri = self.section.token_uri
        assertion = _assertion(reference, read_local(self._setup, reference), uri, system_clock())
        form = {"grant_type": _JWT_BEARER, "assertion": assertion}
        return await self._calls.ask(uri, method="POST", form=form)


class GcpStore:
    """The store."""

    is_remote: ClassVar[bool] = True

    def __init__(self, setup: Setup) -> None:
        self._session = GcpSession(setup)

    def read(self, name: str) -> Secret:
        """The payload of the version."""
        match = _NAME.fullmatch(name)
        if match is None:
            raise SecretMissing(f"gcp-sm:{name} is not NAME or PROJECT/NAME; write one of them")
        return self._session.run(self._read(name, match))

    def close(self) -> None:
        """End the session."""
        self._session.close()

    async def _read(self, name: str, match: re.Match[str]) -> Secret:
        section = self._session.section
        path = (
            f"projects/{match['project'] or section.project}/secrets/{match['name']}"
            f"/versions/{match['version'] or 'latest'}"
        )
        answer = await self._session.ask(f"{section.endpoint}/v1/{path}:access")
        if answer.status != 200:
            raise _not_given(name, path, answer.status)
        payload, version = answer.members.get("payload"), answer.members.get("name")
        data = payload.get("data") if isinstance(payload, dict) else None
        if not isinstance(data, str) or not isinstance(version, str):
            raise SecretMissing(f"Google Cloud sends no payload for gcp-sm:{name}; add a version")
        try:
            value = base64.b64decode(data, validate=True)
        except binascii.Error:
            raise SecretMissing(
                f"the payload of gcp-sm:{name} is not base64; add a version"
            ) from None
        value = member_of(f"gcp-sm:{name}", value, match["key"])
        return Secret(value, version.rpartition("/")[2])


def _not_given(name: str, path: str, status: int) -> SecretMissing:
    if status == 404:
        return SecretMissing(f"the secret gcp-sm:{name} does not exist as {path}; make it there")
    if status in (401, 403):
        return SecretMissing(
            f"Google Cloud does not give us gcp-sm:{name} (status {status}); "
            "grant our service account secretmanager.versions.access"
        )
    if status == 400:
        return SecretMissing(
            f"the version {path} of gcp-sm:{name} is disabled or destroyed; add another one"
        )
    return SecretMissing(f"Google Cloud refuses gcp-sm:{name} with status {status}; see its log")


def _assertion(reference: str, text: str, audience: str, now: datetime) -> str:
    """Who we are, signed with the key of the service account (RFC 7523)."""
    try:
        found = read_object(text.encode())
        email, key_id = found["client_email"].strip(), found["private_key_id"].strip()
        key = jose.import_private_key(found["private_key"].encode())
    except (NotStrict, KeyError, TypeError, AttributeError, ValueError, jose.JwtError):
        # Not chained: it is a private key that could not be read.
        raise SecretMissing(
            f"the secret {reference} is not the JSON key of a service account; download it anew"
        ) from None
    claims = {
        "iss": email,
        "scope": _SCOPE,
        "aud": audience,
        "iat": numeric_date(now),
        "exp": numeric_date(now + _ASSERTION_LIFETIME),
    }
    return jose.sign_jwt(key, algorithm="RS256", key_id=key_id, typ="JWT", claims=claims)
