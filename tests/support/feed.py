"""An MCP server that reads the revocation feed, and judges tokens by nothing else."""

import base64
from typing import Any

from joserfc import jwt
from joserfc.jwk import KeySet

from authz.admin import resources
from authz.resource_server.access_token import read_claims
from authz.resource_server.revoked import RevokedTokens
from tests.support.harness import RESOURCE, Answer, Harness

PATH = "/revocation_feed"
TYP = "revocations+jwt"


class FeedReader:
    """The server at `resource`, with a client of its own; it has read what there is."""

    def __init__(self, harness: Harness, resource: str = RESOURCE) -> None:
        self.harness, self.resource = harness, resource
        self.made = harness.add_client(auth_method="client_secret_basic", name="Reader")
        harness.change(resources.set_client, resource, self.made.client.id)
        self.keys = KeySet.import_key_set(harness.http.get(f"{harness.issuer}/jwks").json())
        self.known = RevokedTokens()
        self.upto: int | None = None
        self.read_on()

    @property
    def authorization(self) -> str:
        """As HTTP Basic."""
        pair = f"{self.made.client.id}:{self.made.secret}"
        return "Basic " + base64.b64encode(pair.encode()).decode()

    def ask(self, **fields: Any) -> Answer:
        """One request; a field of None is left out."""
        sent = {name: str(value) for name, value in fields.items() if value is not None}
        return self.harness.post(PATH, sent, Authorization=self.authorization)

    def claims_of(self, token: str) -> dict[str, Any]:
        """What an answer says, verified by another library than ours."""
        decoded = jwt.decode(token, self.keys, algorithms=["ES256"])
        assert decoded.header["typ"] == TYP
        claims = dict(decoded.claims)
        assert (claims["iss"], claims["aud"]) == (self.harness.issuer, self.made.client.id)
        return claims

    def read(self, after: int | None = None, wait: int | None = None) -> dict[str, Any]:
        """One answer."""
        answer = self.ask(after=after, wait=wait)
        assert answer.status == 200, answer.response.text
        assert answer.response.headers["content-type"] == f"application/{TYP}"
        return self.claims_of(answer.response.text)

    def read_on(self) -> list[dict[str, Any]]:
        """What is new."""
        found: list[dict[str, Any]] = []
        while True:
            claims = self.read(self.upto)
            self.known.add(claims["entries"])
            self.upto = claims["upto"]
            found += claims["entries"]
            if not claims["has_more"]:
                return found

    def accepts(self, access_token: str) -> bool:
        """Whether the token is good, by itself and by what was read of the feed so far."""
        harness = self.harness
        token = read_claims(
            harness.claims(access_token),
            issuer=harness.issuer,
            resource=self.resource,
            now=harness.clock().timestamp(),
        )
        return not self.known.covers(token)
