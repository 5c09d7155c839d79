"""One batch to the authorization server: signed, authenticated, and what its answer means."""

import json
import secrets  # noqa: TID251 - this package stands alone
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

import httpx2

from authz.resource_server import strict_json
from authz.resource_server.report_key import client_assertion, load_key
from authz.resource_server.spool import Contents

TYP = "tool-outcomes+jwt"
_PATIENCE = 10.0


class Verdict(Enum):
    """What became of a batch."""

    KEPT = "kept"
    REFUSED = "refused"
    """It will never be taken, however often it is sent."""
    LATER = "later"
    """Whatever stands in the way is not the batch."""


@dataclass(frozen=True)
class Answer:
    """A verdict, why, and when the server wants to be asked again."""

    verdict: Verdict
    because: str
    retry_after: float | None = None


@dataclass
class Delivery:
    """Who reports to whom. Used by one thread."""

    issuer: str
    resource: str
    client_id: str
    key_file: Path
    clock: Callable[[], float]
    _http: httpx2.Client | None = field(default=None, repr=False)

    def spell(self, contents: Contents) -> str:
        """The claims of a new batch."""
        return json.dumps(
            {
                "iss": self.client_id,
                "aud": self.issuer,
                "iat": int(self.clock()),
                "jti": f"bat_{secrets.token_urlsafe(16)}",
                "resource": self.resource,
                "reporter": contents.reporter,
                "sequence": contents.sequence,
                "lost": contents.lost,
                "outcomes": contents.outcomes,
            },
            separators=(",", ":"),
        )

    def send(self, batch: str) -> Answer:
        """Send the claims of a batch; never raises for what the network or the other side does."""
        try:
            # Read again each time: a key is replaced by replacing its file.
            key = load_key(self.key_file)
        except (OSError, ValueError) as error:
            return Answer(Verdict.LATER, f"the key cannot be read: {error}")
        form = {
            **client_assertion(key, self.client_id, self.issuer, self.clock()),
            "batch": key.sign(TYP, batch),
        }
        try:
            response = self._client().post(f"{self.issuer}/outcomes", data=form)
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
            return Answer(Verdict.LATER, f"not reached: {type(error).__name__}")
        if response.status_code == 200:
            return Answer(Verdict.KEPT, "kept")
        code = _error_of(response)
        because = f"answered {response.status_code} {code or ''}".rstrip()
        # The only answers that are about the batch itself; a proxy's page, an unknown client or a name that is not
        # the server's yet are for somebody to put right.
        if (response.status_code, code) in {(400, "invalid_request"), (413, "invalid_request")}:
            return Answer(Verdict.REFUSED, because)
        return Answer(Verdict.LATER, because, _retry_after(response))

    def close(self) -> None:
        """Let go of connections."""
        if self._http is not None:
            self._http.close()

    def _client(self) -> httpx2.Client:
        if self._http is None:
            # What leaves goes to the issuer, so a redirect is followed nowhere.
            secure = self.issuer.startswith("https://")
            trust = (
                httpx2.create_ssl_context() if secure else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            )
            self._http = httpx2.Client(follow_redirects=False, timeout=_PATIENCE, verify=trust)
        return self._http


def _error_of(response: httpx2.Response) -> str | None:
    try:
        body = strict_json.loads(response.content[:4096])
    except ValueError:
        return None
    code = body.get("error") if isinstance(body, dict) else None
    return code if isinstance(code, str) and code.isascii() and code.isprintable() else None


def _retry_after(response: httpx2.Response) -> float | None:
    value = response.headers.get("retry-after", "")
    return float(value) if value.isascii() and value.isdecimal() and len(value) < 6 else None
