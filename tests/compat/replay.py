"""Known clients, replayed: their documents at their own addresses, their requests in their own shape.

`recorded/NAME.toml` is what one client publishes and sends, written down from its documentation and from reports; see
the comment at its top. `Guest` is that client at one tenant.
"""

import base64
import itertools
import json
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from authz.admin import client_trust
from tests.support.arrange import challenge
from tests.support.client_keys import ClientKey
from tests.support.harness import Answer, Browser, Harness, Page
from tests.support.web import FakeWeb, Reply, Seen

FOLDER = Path(__file__).parent / "recorded"
# RFC 7636 §4.1: the longest there is, which is what the Python SDK sends.
VERIFIER = "v" * 128
KEY = ClientKey("RS256", kid="2026-08")
_ports = itertools.count(49152)
_states = itertools.count(1)


@dataclass(frozen=True)
class Recorded:
    """One file."""

    name: str
    redirect_uri: str
    authorize: dict[str, str]
    token: dict[str, str]
    refresh: dict[str, str]
    expected: dict[str, Any]
    document: dict[str, Any] | None = None
    registered: dict[str, Any] | None = None
    authentication: str = "none"
    audience: str = "issuer"
    jwks_uri: str | None = None
    client_id_in_body: bool = True
    state: bool = True
    headers: dict[str, str] | None = None

    @property
    def redirect_uris(self) -> list[str]:
        """What it listed, wherever it did."""
        return list((self.document or self.registered or {})["redirect_uris"])


def _read() -> dict[str, Recorded]:
    files = sorted(FOLDER.glob("*.toml"))
    return {
        f.stem: Recorded(name=f.stem, **tomllib.loads(f.read_text(encoding="utf-8"))) for f in files
    }


RECORDED = _read()


def publish(web: FakeWeb) -> None:
    """Put every document and key set where the world finds it."""
    pages: dict[tuple[str, str], object] = {}
    for recorded in RECORDED.values():
        if recorded.document is not None:
            pages[_place(recorded.document["client_id"])] = recorded.document
        if recorded.jwks_uri is not None:
            pages[_place(recorded.jwks_uri)] = KEY.jwks

    def answer(seen: Seen) -> Reply:
        found = pages.get((seen.host, seen.target))
        return Reply(404) if found is None else Reply.json(found)

    for host, _ in pages:
        web.serve(host, answer)


def _place(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.netloc, parts.path


def with_port(uri: str) -> str:
    """The address of the moment: another port each time."""
    return uri.replace("{port}", str(next(_ports)))


class Guest:
    """A recorded client at one tenant, let in as docs/connect-a-client.md says."""

    def __init__(self, harness: Harness, name: str) -> None:
        self.harness, self.recorded = harness, RECORDED[name]
        self.secret: str | None = None
        if self.recorded.document is not None:
            self.client_id = str(self.recorded.document["client_id"])
            harness.set_trust("allow_list")
            host = urlsplit(self.client_id).netloc
            harness.change(client_trust.set_rule, pattern=host, verdict="allow")
        else:
            values = {**(self.recorded.registered or {})}
            uris = tuple(values.pop("redirect_uris"))
            schemes = harness.server.settings.clients.private_redirect_schemes
            made = harness.add_client(redirect_uris=uris, private_schemes=schemes, **values)
            self.client_id, self.secret = made.client.id, made.secret
        if "tools.example" in self.recorded.authorize["resource"]:
            harness.add_resource("https://tools.example")

    # -- the browser --------------------------------------------------------------------------------------

    def link(self, **changes: Any) -> dict[str, Any]:
        """The parameters of its link; None leaves one out."""
        state = f"s{next(_states)}" if self.recorded.state else None
        return {
            "response_type": "code",
            "client_id": self.client_id,
            "redirect_uri": with_port(self.recorded.redirect_uri),
            "code_challenge": challenge(VERIFIER),
            "code_challenge_method": "S256",
            "state": state,
            "scope": None,
            **self.recorded.authorize,
            **changes,
        }

    def authorize(self, browser: Browser, **changes: Any) -> tuple[Page, dict[str, Any]]:
        """The whole way through the browser; answers the last page and the link."""
        link = self.link(**changes)
        return browser.authorize(**link), link

    # -- the token endpoint -------------------------------------------------------------------------------

    def redeem(self, code: str, link: dict[str, Any], **changes: Any) -> Answer:
        """Its token request."""
        return self.send(
            {
                "grant_type": "authorization_code",
                "code": code,
                "code_verifier": VERIFIER,
                "redirect_uri": link["redirect_uri"],
                **self.recorded.token,
                **changes,
            }
        )

    def refresh(self, refresh_token: str, **changes: Any) -> Answer:
        """Its refresh request."""
        form = {"grant_type": "refresh_token", "refresh_token": refresh_token}
        return self.send({**form, **self.recorded.refresh, **changes})

    def send(self, fields: dict[str, Any], *, client_id: str | None = None) -> Answer:
        """Add its identity the way it does."""
        client_id = client_id or self.client_id
        headers = {"Accept": "application/json", **(self.recorded.headers or {})}
        if self.recorded.client_id_in_body:
            fields = {**fields, "client_id": client_id}
        if self.recorded.authentication.startswith("basic"):
            headers["Authorization"] = self._basic(client_id)
        elif self.recorded.authentication == "private_key_jwt":
            fields = {**fields, **self.assertion(client_id)}
        present = {name: value for name, value in fields.items() if value is not None}
        return self.harness.token(present, **headers)

    def assertion(
        self, client_id: str | None = None, audience: str | None = None
    ) -> dict[str, str]:
        """Signed as it signs."""
        issuer = self.harness.issuer
        usual = f"{issuer}/token" if self.recorded.audience == "token endpoint" else issuer
        client_id = client_id or self.client_id
        return KEY.fields(client_id, audience or usual, self.harness.clock())

    def _basic(self, client_id: str) -> str:
        parts = (client_id, self.secret or "")
        if self.recorded.authentication == "basic encoded":
            parts = (quote(parts[0], safe=""), quote(parts[1], safe=""))
        return "Basic " + base64.b64encode(":".join(parts).encode()).decode()


def canonical_size(document: dict[str, Any]) -> int:
    """How large a document is on the wire."""
    return len(json.dumps(document).encode())
