"""What people are told for a slug: why a request was refused, in words that say what to do about it (pure)."""

from collections.abc import Mapping

from authz.policy import SENTENCES, Reason

SLUGS: Mapping[str, str] = {
    "nothing_granted": "policy leaves no scope for this request",
    "scope_missing": "the token does not hold the scope that the tool takes",
    "subject_disabled": "the account is disabled",
    "client_blocked": "the client is blocked",
    "client_denied": "an administrator refused this client",
    "client_not_admitted": "the client has not been approved here",
    "client_unknown": "no client with this identifier is registered here",
    "client_is_public": "the client does not authenticate, and this takes one that does",
    "grant_type_not_allowed": "the client is not registered for this kind of grant",
    "user_required": "the MCP server wants a person behind every token",
    "resource_missing": "the client does not say which MCP server the token is for",
    "resource_unknown": "the MCP server that it asks for is not registered here",
    "resource_disabled": "the MCP server is switched off",
    "resource_gone": "the MCP server is switched off or gone",
    "resource_not_authorized": "the client asks for another MCP server than was authorized",
    "scope_unknown": "the MCP server declares none of the scopes that it asks for",
    "scope_widened": "the client asks for more than was granted to it",
    "scope_not_held": "the client may have none of these scopes",
    "consent_withheld": "the person allowed nothing",
    "consent_refused": "the person said no",
    "consent_revoked": "the person disconnected the client",
    "consent_required": "the person has to consent first, and the client did not want to ask",
    "login_required": "the person has to sign in first, and the client did not want to ask",
    "step_up_required": "it takes a stronger or more recent sign-in",
    "sign_in_insufficient": "it takes a stronger or more recent sign-in",
    "acr_unsupported": "nobody here can sign in the way the client demands",
    "connection_disabled": "the identity provider they signed in with is switched off here",
    "access_ended": "all access of the person was ended",
    "code_expired": "the client came too late with its code",
    "code_spent": "the code was used already: by the client itself, or by whoever stole it",
    "code_unknown": "the code does not exist, or is past its record",
    "code_of_other_client": "the code is another client's",
    "pkce_mismatch": "whoever redeems the code is not who asked for it (PKCE)",
    "redirect_uri_mismatch": "the client names another redirect URI than before",
    "redirect_uri_unregistered": "the redirect URI is not one that the client registered",
    "refresh_expired": "the grant was not used for too long, or is past its end",
    "refresh_reused": "an old refresh token came back: somebody else has it too, so the grant was ended",
    "refresh_unknown": "the grant is past its record",
    "refresh_forged": "the refresh token is not genuine",
    "refresh_not_granted": "the grant is not one that can be refreshed",
    "family_revoked:user_disabled": "the grant ended when the account was disabled",
    "secret_wrong": "the client's secret is wrong",
    "device_denied": "the person refused the device",
    "device_code_expired": "nobody answered for the device in time",
    "id_jag_replayed": "the identity assertion was used already",
    "id_jag_public_client": "the trust entry takes no client that does not authenticate",
    "id_jag_scope_not_subset": "the identity provider allowed other scopes than were asked for",
    "subject_unlinked": "nobody here is linked to the person in the assertion",
    "exchange_not_allowed": "policy does not let this client exchange tokens",
    "delegation_unknown": "no delegation leads from the one MCP server to the other",
    "delegation_depth": "the chain of delegations is too long",
    "credential_unknown": "the MCP server has no credential of this name",
    "credential_of_other": "the credential is another MCP server's",
    "credential_scope_missing": "the token does not hold what the credential takes",
    "credential_scope_limited": "the token holds what the credential takes for some calls alone",
    "credential_scope_lost": "policy no longer gives what the credential takes",
    "target_client_unmapped": "the client is not known at the other authorization server",
}
"""What people are told for a slug of the protocol."""


def sentence_of(reason: str) -> str:
    """For people; a slug that nobody wrote a sentence for is told by its words."""
    if reason in SLUGS:
        return SLUGS[reason]
    if reason in {str(it) for it in Reason}:
        return SENTENCES[Reason(reason)]
    if reason.startswith("family_revoked:"):
        return f"the grant had ended before ({reason.partition(':')[2].replace('_', ' ')})"
    return reason.replace("_", " ").replace(":", ": ")
