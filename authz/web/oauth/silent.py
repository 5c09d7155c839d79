"""The quick way through /authorize, for a browser that is signed in and needs to be shown nothing.

Whatever is not perfectly in order, or needs a person, goes the long way, which says what is wrong: this one only ever
answers with a code.
"""

from authz import entropy
from authz.errors import OAuthError, TemporarilyUnavailable
from authz.oauth.authorization_request import return_address, validate
from authz.oauth.back_channel import UnknownTenant
from authz.oauth.params import Params
from authz.oauth.silent import SilentRequest, job_of
from authz.web.edge import Edge

_ASKS_FOR_A_PAGE = frozenset({"login", "consent", "select_account"})


async def answer_silently(edge: Edge, slug: str, params: Params, cookie: str | None) -> str | None:
    """Where to send the browser; None when it takes the long way. Raises TooManyRequests."""
    client_id = params.find("client_id")
    if client_id is None or not cookie or len(cookie) > 128:
        return None
    try:
        configuration = await edge.channel.configuration(slug)
        # Stored clients only: nothing is fetched before it is known who asks (ATK-47).
        client = await edge.channel.clients.find_stored(configuration, client_id)
        if client is None:
            return None
        address = return_address(client, params, configuration.tenant.issuer)
        request = validate(
            client,
            params,
            address,
            configuration.policy,
            # A pushed request goes the long way, where taking it and making the code are one transaction.
            pushed=False,
            push_required=edge.services.settings.clients.require_pushed_requests,
        )
        if not request.prompt.isdisjoint(_ASKS_FOR_A_PAGE):
            return None
        silent = SilentRequest(
            configuration=configuration,
            client=client,
            request=request,
            address=address,
            session_digest=entropy.digest(cookie),
            code_lifetime=edge.services.settings.tokens.code,
        )
    except (OAuthError, UnknownTenant):
        return None
    # By session, because whose it is only the batch will know: each answer is a row (ATK-61).
    edge.limits.admit("authorize", user=silent.session_digest)
    try:
        result = await edge.channel.submit(job_of(silent))
    except TemporarilyUnavailable:
        return None
    if isinstance(result, Exception) or result[0].answer is None:
        return None
    return address.with_code(result[0].answer)
