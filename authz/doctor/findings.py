"""What can be wrong, each with its code, its weight and the way out: the table of docs/troubleshoot.md."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """What it means for a client."""

    BREAKS = "breaks"
    """It cannot connect, or what it got is worth nothing."""
    WARNING = "warning"
    """It connects, and somebody will complain."""
    NOTE = "note"
    """Somebody may miss it."""


@dataclass(frozen=True)
class Kind:
    """A line of the table."""

    severity: Severity
    meaning: str
    mend: str


@dataclass(frozen=True)
class Finding:
    """A line of the table that applies: to whom, and with which value."""

    code: str
    severity: Severity
    clients: tuple[str, ...]
    sentence: str
    mend: str


def shown(value: object) -> str:
    """A value that somebody else chose, for a sentence: escaped and short."""
    text = ascii(value)
    return text if len(text) <= 160 else f"{text[:160]}..."


_B, _W, _N = Severity.BREAKS, Severity.WARNING, Severity.NOTE

FINDINGS: Mapping[str, Kind] = {
    # The MCP server
    "server_unreachable": Kind(
        _B,
        "Nothing answers at the URL.",
        "Check the URL, DNS, the certificate, and that the server runs.",
    ),
    "server_not_https": Kind(
        _B,
        "The URL is plain http away from this machine.",
        "Serve the MCP server over https.",
    ),
    "server_local": Kind(
        _W,
        "The MCP server is on this machine; some clients call from the internet.",
        "Fine while developing; publish the server at a public https address for these clients.",
    ),
    "server_redirects": Kind(
        _B,
        "The URL redirects, and a redirected POST loses its token or its body.",
        "Give people the final URL, or answer at the one they have (watch the slash at the end).",
    ),
    "server_open": Kind(
        _B,
        "The server answers without a token, so no client ever signs in.",
        "Answer 401 with a challenge to every request without a valid token.",
    ),
    "server_no_401": Kind(
        _B,
        "A request without a token gets something other than 401.",
        "Answer 401 with `WWW-Authenticate: Bearer`; check that the URL is that of the MCP endpoint.",
    ),
    "token_unchecked": Kind(
        _B,
        "The server takes a token that nobody issued: anybody may call it.",
        "Verify signature, issuer, audience and expiry of every token, and answer 401 to every other.",
    ),
    "token_not_401": Kind(
        _B,
        "A bad token gets something other than 401, so a client with a stale one never signs in again.",
        'Answer 401 with `WWW-Authenticate: Bearer error="invalid_token"`.',
    ),
    "challenge_missing": Kind(
        _B,
        "The 401 has no Bearer challenge.",
        'Send `WWW-Authenticate: Bearer resource_metadata="URL of the metadata"` with the 401.',
    ),
    "challenge_without_metadata": Kind(
        _W,
        "The challenge does not name the metadata, so older clients do not find it.",
        "Add `resource_metadata` with the URL of the metadata to the challenge.",
    ),
    "challenge_without_scope": Kind(
        _W,
        "The challenge names no scope; clients that follow it ask for nothing and come back again.",
        "Put the scopes of the operation into the challenge, together with those already held.",
    ),
    # Its metadata
    "prm_missing": Kind(
        _B,
        "No protected resource metadata is found at any address clients try.",
        "Publish it at the path-inserted address (RFC 9728) as JSON, status 200, without a redirect.",
    ),
    "prm_challenge_dead": Kind(
        _B,
        "The metadata address in the challenge leads nowhere.",
        "Name the address where the metadata really is; behind a proxy, build it from the public URL.",
    ),
    "prm_not_inserted": Kind(
        _W,
        "The metadata is not at the path-inserted address, which clients try without a challenge.",
        "Serve it at /.well-known/oauth-protected-resource followed by the path of the server as well.",
    ),
    "prm_resource_foreign": Kind(
        _B,
        "`resource` is another server than the one in the URL.",
        "Write the public URL of this MCP server into `resource`.",
    ),
    "prm_resource_spelling": Kind(
        _B,
        "`resource` is not spelled as the URL people type.",
        "Make them equal, byte for byte: scheme, host, port, path and the slash at the end.",
    ),
    "prm_servers_missing": Kind(
        _B,
        "`authorization_servers` is empty or missing.",
        "List the issuer of the authorization server, exactly as its metadata spells it.",
    ),
    "prm_scopes_missing": Kind(
        _W,
        "Neither metadata nor challenge name scopes, so clients ask for none or for everything.",
        "List the scopes of this server in `scopes_supported`.",
    ),
    "prm_scope_wildcard": Kind(
        _W,
        "A scope is a wildcard: who connects gets everything.",
        "Name the scopes, one per tool or class of tools.",
    ),
    "prm_offline_access": Kind(
        _W,
        "`offline_access` is listed by the MCP server, whose scope it is not.",
        "Take it out here; the authorization server lists it.",
    ),
    "prm_no_header": Kind(
        _B,
        "Tokens in the Authorization header are not among `bearer_methods_supported`.",
        'List "header": MCP allows no other way.',
    ),
    # The issuer
    "issuer_not_https": Kind(
        _B,
        "The issuer is plain http away from this machine.",
        "Serve the authorization server over https, and name it so in `authorization_servers`.",
    ),
    "issuer_malformed": Kind(
        _B,
        "The issuer is no usable URL.",
        "Write an https URL without query and fragment.",
    ),
    "issuer_trailing_slash": Kind(
        _W,
        "The issuer ends with a slash, which some clients drop or add.",
        "Configure the issuer without the slash, and name it so everywhere.",
    ),
    "issuer_mismatch": Kind(
        _B,
        "The metadata is of another issuer than the one clients looked for, so they drop it.",
        "Make `issuer` and the entry in `authorization_servers` the same string, slash included.",
    ),
    "issuer_second": Kind(
        _W,
        "A further authorization server has no metadata.",
        "Remove it from `authorization_servers`, or mend it: some clients try each.",
    ),
    "metadata_missing": Kind(
        _B,
        "The authorization server has no metadata at any address clients try.",
        "Serve it at /.well-known/oauth-authorization-server (RFC 8414), before the issuer's path.",
    ),
    "metadata_misplaced": Kind(
        _B,
        "The metadata is appended to the issuer's path, where no client looks.",
        "Route /.well-known/oauth-authorization-server followed by the issuer's path to it.",
    ),
    "metadata_redirect": Kind(
        _W,
        "An address of the metadata redirects; not every client follows.",
        "Answer there with the document itself.",
    ),
    "metadata_stops": Kind(
        _B,
        "An address that is tried earlier answers 5xx, or 200 without JSON, and ends discovery.",
        "Answer 404 where there is no document.",
    ),
    "metadata_differs": Kind(
        _W,
        "The documents at the two addresses say different things.",
        "Serve the same document at each address.",
    ),
    "metadata_openid": Kind(
        _B,
        "The OpenID document lacks members that OpenID requires, and is refused.",
        "Add `jwks_uri`, `subject_types_supported` and `id_token_signing_alg_values_supported`.",
    ),
    # What the authorization server offers
    "endpoint_missing": Kind(
        _B,
        "An endpoint is not named, or is no URL.",
        "Publish `authorization_endpoint` and `token_endpoint` as absolute URLs.",
    ),
    "endpoint_not_https": Kind(
        _B,
        "An endpoint is plain http away from this machine.",
        "Publish https URLs; behind a proxy, build them from the issuer, not from the request.",
    ),
    "endpoint_unreachable": Kind(
        _B,
        "The token endpoint cannot be reached.",
        "Publish the address under which it answers clients, not the one inside the network.",
    ),
    "endpoint_other_origin": Kind(
        _W,
        "The token endpoint is on another origin than the issuer; some flows insist on one.",
        "Serve the token endpoint on the issuer's origin.",
    ),
    "endpoint_query": Kind(
        _W,
        "The authorization endpoint carries a query, which collides with the client's parameters.",
        "Publish it without one; `resource` is the client's to send.",
    ),
    "code_unsupported": Kind(
        _B,
        "The code flow is not offered.",
        "List `code` in `response_types_supported` and `authorization_code` in the grant types.",
    ),
    "pkce_unadvertised": Kind(
        _B,
        "PKCE is not advertised, and clients must refuse then.",
        'Publish `code_challenge_methods_supported: ["S256"]` in each document.',
    ),
    "pkce_without_s256": Kind(
        _B,
        "PKCE is offered without S256.",
        "Support S256, and list it in `code_challenge_methods_supported`.",
    ),
    "registration_impossible": Kind(
        _B,
        "The client cannot get an identifier here.",
        "Support metadata documents, open a registration endpoint, or register the client beforehand.",
    ),
    "registration_by_hand": Kind(
        _W,
        "The client needs an identifier that its user types in.",
        "Support metadata documents, or hand out identifiers that were registered beforehand.",
    ),
    "document_needs_none": Kind(
        _W,
        "Metadata documents are supported, but `none` is not advertised, so Claude does not use its own.",
        'Add "none" to `token_endpoint_auth_methods_supported`.',
    ),
    "document_needs_key": Kind(
        _W,
        "Metadata documents are supported, but `private_key_jwt` is not, which ChatGPT signs with.",
        "Support `private_key_jwt` with RS256, and list both.",
    ),
    "methods_unlisted": Kind(
        _B,
        "No method of client authentication is listed, which means a secret, and shuts public clients out.",
        'Publish `token_endpoint_auth_methods_supported`, with "none" first.',
    ),
    "algorithms_unsafe": Kind(
        _B,
        "A shared-secret algorithm or `none` is offered where only keys are safe.",
        "List asymmetric algorithms only: ES256, RS256, EdDSA.",
    ),
    "refresh_unsupported": Kind(
        _W,
        "Refresh tokens are not offered: people sign in again whenever a token ends.",
        "Support `refresh_token`, and list it in `grant_types_supported`.",
    ),
    "offline_access_unlisted": Kind(
        _W,
        "OpenID scopes are listed, but not `offline_access`; clients ask for it only if it is listed.",
        "List `offline_access`, or issue refresh tokens without it.",
    ),
    "scopes_everything": Kind(
        _W,
        "The authorization server lists scopes of MCP servers; a client asks for all it finds there.",
        "List protocol scopes here, and each server's scopes in its own metadata.",
    ),
    "iss_unadvertised": Kind(
        _W,
        "Answers do not say which issuer they are from (RFC 9207); MCP will demand it.",
        "Send `iss` with every authorization response, and advertise it.",
    ),
    "headless_unsupported": Kind(
        _N,
        "There is no grant for clients without a browser.",
        "Offer the device grant or `client_credentials` if jobs and terminals shall connect.",
    ),
    "enterprise_unadvertised": Kind(
        _N,
        "Assertions are taken, but not said to be ID-JAGs, so a company's clients open a browser instead.",
        "List `urn:ietf:params:oauth:grant-profile:id-jag` in `authorization_grant_profiles_supported`.",
    ),
    "revocation_unsupported": Kind(
        _N,
        "Tokens cannot be revoked by the client that holds them.",
        "Offer a `revocation_endpoint` (RFC 7009).",
    ),
    # Keys, errors, browsers
    "keys_unreadable": Kind(
        _B,
        "The key set cannot be read, so no MCP server can verify a token.",
        "Serve the JWK Set at `jwks_uri` as JSON, status 200.",
    ),
    "keys_unpublished": Kind(
        _W,
        "There is neither a key set nor introspection: MCP servers cannot verify a token.",
        "Publish `jwks_uri`, or an `introspection_endpoint`.",
    ),
    "keys_without_id": Kind(
        _W,
        "A key has no `kid`: verifiers guess, and lose tokens when keys rotate.",
        "Give every key a `kid`, and name it in the header of each token.",
    ),
    "keys_secret": Kind(
        _B,
        "The key set publishes a secret: anybody can make tokens.",
        "Publish public keys only, and replace these keys now.",
    ),
    "error_code": Kind(
        _W,
        "An unknown client is told something other than `invalid_client`, so it never starts anew.",
        "Answer 400 or 401 with JSON and `invalid_client`.",
    ),
    "error_format": Kind(
        _W,
        "The token endpoint answers a client's mistake with 5xx or without JSON.",
        "Answer 400 or 401 with OAuth error JSON.",
    ),
    "cors_server": Kind(
        _B,
        "A web page may not call the MCP server.",
        "Answer the preflight: any origin, Authorization, Content-Type and MCP-Protocol-Version.",
    ),
    "cors_challenge": Kind(
        _W,
        "A web page cannot read the challenge.",
        "Send `Access-Control-Expose-Headers: WWW-Authenticate` with the 401.",
    ),
    "cors_metadata": Kind(
        _B,
        "A web page may not read a document that it needs.",
        "Send `Access-Control-Allow-Origin: *` with the metadata of both servers.",
    ),
    "cors_token": Kind(
        _B,
        "A web page may not read the token endpoint's answer.",
        "Send `Access-Control-Allow-Origin: *` there, errors included, and answer the preflight.",
    ),
    "cors_version_header": Kind(
        _W,
        "The preflight for MCP-Protocol-Version is refused.",
        "Allow the header in the preflight of the well-known addresses.",
    ),
}
