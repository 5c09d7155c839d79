"""Token exchange (RFC 8693): the next hop's token for the last one's, ID-JAGs for other authorization servers, and
credentials of the systems behind an MCP server.

What is presented is read before (`oauth.subject_tokens`); what it leads to is decided by `oauth.onward` (an access
token for the next MCP server), `oauth.asserting` (an ID-JAG) or `oauth.releasing` (a credential).
"""

from dataclasses import dataclass, replace
from datetime import datetime

from authz.errors import InvalidRequest, OAuthError, UnauthorizedClient
from authz.oauth import asserting, onward, releasing
from authz.oauth.assertions import Assertions
from authz.oauth.authorization import Outcome, TokenRequest
from authz.oauth.facts import FactKeys, Facts, Family
from authz.oauth.grants.shared import refused
from authz.oauth.subject_tokens import SubjectToken
from authz.oauth.token_types import ID_JAG_TYPE, UPSTREAM_CREDENTIAL_TYPE

TOKEN_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"  # noqa: S105 -- a name


@dataclass(frozen=True)
class TokenExchangeGrant:
    """One token for another. No refresh token ever comes of it (TX-09)."""

    grant_type = TOKEN_EXCHANGE
    parameters = frozenset(
        {
            *("subject_token", "subject_token_type", "actor_token", "actor_token_type"),
            *("requested_token_type", "audience", "resource", "scope", "authorization_details"),
        }
    )
    allowed_with = frozenset({TOKEN_EXCHANGE})

    async def gather(self, request: TokenRequest, assertions: Assertions) -> TokenRequest:
        """Recognise the subject token, and read the credential that it may lead to. Raises OAuthError."""
        if not request.client.is_confidential:
            # What a public client holds, whoever finds it holds as well (IDJAG-33, CONF-08).
            raise UnauthorizedClient(
                "token exchange is for clients that authenticate", reason="client_is_public"
            )
        found = assertions.exchangeable(request.configuration, request.client, request.params)
        request = replace(request, subject_token=found)
        if found.wanted != UPSTREAM_CREDENTIAL_TYPE:
            return request
        credential = releasing.foreseen(request, found)
        if credential is None:
            # Refused, and recorded, in its turn; no store is asked for whoever may not have the answer.
            return request
        return replace(
            request, upstream_secret=await assertions.upstream.read(credential.reference)
        )

    def cure(self, request: TokenRequest, assertions: Assertions) -> None:
        """Nothing: whose token it is has an account here."""

    def prepare(self, request: TokenRequest) -> FactKeys:
        """The grant behind the subject token, and whose it is."""
        found = _subject_token(request)
        jti = found.claims.get("jti")
        return FactKeys(
            families=frozenset({found.grant_id}),
            tokens=frozenset({jti}) if isinstance(jti, str) else frozenset(),
            people_of=frozenset({found.grant_id}) if found.wanted == ID_JAG_TYPE else frozenset(),
        )

    def decide(self, request: TokenRequest, facts: Facts, now: datetime) -> Outcome:
        """Whose grant it is, who asks, and where policy lets it lead."""
        found = _subject_token(request)
        family = facts.find_family(request.configuration.tenant.id, found.grant_id)
        if found.wanted == UPSTREAM_CREDENTIAL_TYPE:
            return self._release(request, found, family, facts, now)
        if family is None:
            # Also what a client got for itself: the next server's own client can do as much for itself.
            raise found.refusal("subject_token_without_person")
        decide = asserting.decide_id_jag if found.wanted == ID_JAG_TYPE else onward.decide_onward
        try:
            return decide(self.grant_type, request, found, family, facts, now)
        except OAuthError as error:
            return refused(
                error,
                grant_type=self.grant_type,
                client=request.client.id,
                subject=family.user_id,
                grant=family.id,
            )

    def _release(
        self,
        request: TokenRequest,
        found: SubjectToken,
        family: Family | None,
        facts: Facts,
        now: datetime,
    ) -> Outcome:
        name = request.params.find("audience")
        known = name if name in request.configuration.credentials.names else None
        try:
            return releasing.decide_release(request, found, family, facts, now)
        except OAuthError as error:
            return refused(
                error,
                grant_type=self.grant_type,
                client=request.client.id,
                subject=found.claims["sub"],
                grant=found.grant_id,
                credential=known,
            )


def _subject_token(request: TokenRequest) -> SubjectToken:
    if request.subject_token is None:
        raise InvalidRequest("subject_token is missing", reason="subject_token_missing")
    return request.subject_token
