"""Judging what an authorization server offers: endpoints, PKCE, registration, methods, keys, errors. Pure."""

from collections.abc import Iterator
from urllib.parse import urlsplit

from authz.doctor.case import Case, Check, is_insecure, is_url, strings
from authz.doctor.findings import Finding, shown
from authz.doctor.profiles import ClientProfile, Trait
from authz.policy.scopes import OFFLINE_ACCESS, PROTOCOL_SCOPES
from authz.resource_server.urls import origin

_ENDPOINTS = ("authorization_endpoint", "token_endpoint")
_JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_ID_JAG = "urn:ietf:params:oauth:grant-profile:id-jag"
_HEADLESS = {"client_credentials", "urn:ietf:params:oauth:grant-type:device_code"}
_ALGORITHM_LISTS = (
    "token_endpoint_auth_signing_alg_values_supported",
    "dpop_signing_alg_values_supported",
    "id_token_signing_alg_values_supported",
)
_PRIVATE_MEMBERS = frozenset({"d", "p", "q", "dp", "dq", "qi", "k"})
_DEFAULT_GRANTS = frozenset({"authorization_code", "implicit"})
"""RFC 8414 §2: what a document without the list offers."""


def _endpoints(case: Case) -> Iterator[Finding]:
    if case.server is None:
        return
    for name in _ENDPOINTS:
        value = case.offered.get(name)
        if not is_url(value):
            yield from case.find("endpoint_missing", f"`{name}` is {shown(value)}.")
        elif is_insecure(str(value)):
            yield from case.find("endpoint_not_https", f"`{name}` is {shown(value)}.")
    token, asked = case.offered.get("token_endpoint"), case.offered.get("authorization_endpoint")
    issuer = case.server.issuer
    if is_url(token) and origin(urlsplit(str(token))) != origin(urlsplit(issuer)):
        yield from case.find(
            "endpoint_other_origin",
            f"`token_endpoint` is {shown(token)}, the issuer {shown(issuer)}.",
        )
    if is_url(asked) and urlsplit(str(asked)).query:
        yield from case.find("endpoint_query", f"`authorization_endpoint` is {shown(asked)}.")


def _code_flow(case: Case) -> Iterator[Finding]:
    if case.server is None:
        return
    types, grants = case.offered.get("response_types_supported"), _grants(case)
    if "code" not in strings(types) or "authorization_code" not in grants:
        yield from case.find(
            "code_unsupported",
            f"`response_types_supported` is {shown(types)}, the grant types {shown(sorted(grants))}.",
        )
    methods = case.offered.get("code_challenge_methods_supported")
    if methods is None:
        yield from case.find(
            "pkce_unadvertised",
            f"{_where(case)} has no `code_challenge_methods_supported`.",
            clients=case.without_trait(Trait.PKCE_IF_PRESENT, Trait.PKCE_UNCHECKED),
        )
    elif "S256" not in strings(methods):
        yield from case.find(
            "pkce_without_s256",
            f"`code_challenge_methods_supported` is {shown(methods)}.",
            clients=case.without_trait(Trait.PKCE_UNCHECKED),
        )


def _grants(case: Case) -> frozenset[str]:
    listed = case.offered.get("grant_types_supported")
    return _DEFAULT_GRANTS if listed is None else strings(listed)


def _where(case: Case) -> str:
    taken = None if case.server is None else case.server.taken
    return "" if taken is None else taken.url


def registration(case: Case, client: ClientProfile) -> str | None:
    """How a client gets its identifier here: by document, by registering, given by hand; None when it cannot."""
    methods = case.listed("token_endpoint_auth_methods_supported")
    if case.offered.get("client_id_metadata_document_supported") is True and (
        (client.document == "none" and ("none" in methods or not _insists(client)))
        or (
            client.document == "private_key_jwt"
            and not methods.isdisjoint({client.document, "none"})
        )
    ):
        return "document"
    if client.registers and is_url(case.offered.get("registration_endpoint")):
        return "registers"
    return "by hand" if client.takes_given_id else None


def _insists(client: ClientProfile) -> bool:
    return client.has(Trait.DOCUMENT_NEEDS_NONE)


def _identification(case: Case) -> Iterator[Finding]:
    if case.server is None:
        return
    ways = {name: registration(case, client) for name, client in case.clients.items()}
    documents = case.offered.get("client_id_metadata_document_supported") is True
    endpoint = is_url(case.offered.get("registration_endpoint"))
    offers = (
        f"{_where(case)} {'offers' if documents else 'does not offer'} metadata documents "
        f"and has {'a' if endpoint else 'no'} `registration_endpoint`"
    )
    for code, way in (("registration_impossible", None), ("registration_by_hand", "by hand")):
        concerned = [name for name, found in ways.items() if found == way]
        yield from case.find(code, f"{offers}.", clients=concerned)


def _methods(case: Case) -> Iterator[Finding]:
    if case.server is None:
        return
    listed = case.offered.get("token_endpoint_auth_methods_supported")
    methods = strings(listed)
    if not methods:
        yield from case.find(
            "methods_unlisted", f"`token_endpoint_auth_methods_supported` is {shown(listed)}."
        )
    elif case.offered.get("client_id_metadata_document_supported") is True:
        said = f"`token_endpoint_auth_methods_supported` is {shown(listed)}."
        if "none" not in methods:
            insisting = case.with_trait(Trait.DOCUMENT_NEEDS_NONE)
            yield from case.find("document_needs_none", said, clients=insisting)
        algorithms = case.offered.get("token_endpoint_auth_signing_alg_values_supported")
        signs = "private_key_jwt" in methods and "RS256" in strings(algorithms)
        signing = [n for n, c in case.clients.items() if c.document == "private_key_jwt"]
        if not signs:
            yield from case.find(
                "document_needs_key", f"{said[:-1]}, with {shown(algorithms)}.", clients=signing
            )
    for name in _ALGORITHM_LISTS:
        unsafe = sorted(a for a in case.listed(name) if a == "none" or a.startswith("HS"))
        # A client that asked for it may have its id_token signed with its secret; nobody is deceived by that.
        if unsafe and not (name.startswith("id_token") and "none" not in unsafe):
            yield from case.find("algorithms_unsafe", f"`{name}` has {shown(unsafe)}.")


def _staying_signed_in(case: Case) -> Iterator[Finding]:
    if case.server is None:
        return
    grants, scopes = _grants(case), case.listed("scopes_supported")
    if "refresh_token" not in grants:
        yield from case.find(
            "refresh_unsupported", f"`grant_types_supported` is {shown(sorted(grants))}."
        )
    elif "openid" in scopes and OFFLINE_ACCESS not in scopes:
        yield from case.find(
            "offline_access_unlisted", f"`scopes_supported` is {shown(sorted(scopes))}."
        )
    foreign = sorted(scopes - PROTOCOL_SCOPES)
    if foreign:
        yield from case.find(
            "scopes_everything",
            f"`scopes_supported` has {shown(foreign)}.",
            clients=case.with_trait(Trait.ASKS_EVERY_SCOPE),
        )
    if case.offered.get("authorization_response_iss_parameter_supported") is not True:
        yield from case.find(
            "iss_unadvertised",
            f"{_where(case)} has no `authorization_response_iss_parameter_supported`.",
        )
    if grants.isdisjoint(_HEADLESS):
        yield from case.find(
            "headless_unsupported", f"`grant_types_supported` is {shown(sorted(grants))}."
        )
    if _JWT_BEARER in grants and _ID_JAG not in case.listed(
        "authorization_grant_profiles_supported"
    ):
        yield from case.find(
            "enterprise_unadvertised",
            f"`grant_types_supported` is {shown(sorted(grants))}.",
            clients=case.with_trait(Trait.ENTERPRISE),
        )
    if not case.offered.get("revocation_endpoint"):
        yield from case.find(
            "revocation_unsupported", f"{_where(case)} has no `revocation_endpoint`."
        )


def _keys(case: Case) -> Iterator[Finding]:
    if case.server is None:
        return
    answer = case.server.keys
    if answer is None:
        if not case.offered.get("introspection_endpoint"):
            named = shown(case.offered.get("jwks_uri"))
            yield from case.find(
                "keys_unpublished",
                f"`jwks_uri` is {named}, and there is no `introspection_endpoint`.",
            )
        return
    keys = (answer.document or {}).get("keys")
    if not answer.is_document or not isinstance(keys, list) or not keys:
        held = "answered without keys" if answer.is_document else answer.told()
        yield from case.find("keys_unreadable", f"{answer.url} {held}.")
        return
    if any(isinstance(key, dict) and not _PRIVATE_MEMBERS.isdisjoint(key) for key in keys):
        # Not quoted: whoever reads this report need not have the key as well.
        yield from case.find(
            "keys_secret", f"{answer.url} holds private or symmetric key material."
        )
    elif not all(isinstance(key, dict) and key.get("kid") for key in keys):
        yield from case.find("keys_without_id", f"A key at {answer.url} has none.")


def _errors(case: Case) -> Iterator[Finding]:
    answer = None if case.server is None else case.server.token
    if answer is None:
        return
    error = (answer.document or {}).get("error")
    if answer.status is None:
        if not is_insecure(answer.url):  # said already, and not asked because of it
            yield from case.find("endpoint_unreachable", f"{answer.url} {answer.told()}.")
    elif answer.status not in {400, 401} or not isinstance(error, str):
        yield from case.find("error_format", f"{answer.url} {answer.told()} for an unknown client.")
    elif error not in {"invalid_client", "unauthorized_client"}:
        yield from case.find("error_code", f"{answer.url} answered {shown(error)}.")


def _pages(case: Case) -> Iterator[Finding]:
    server = case.server
    if server is None:
        return
    pages = case.with_trait(Trait.IN_BROWSER)
    needed = [case.walk.taken, server.taken]
    closed = [a.url for a in needed if a is not None and not a.shares_with_pages()]
    if closed:
        yield from case.find(
            "cors_metadata",
            f"No page of another origin may read {', '.join(closed)}.",
            clients=pages,
        )
    token, preflight = server.token_from_page, server.preflight
    if token is not None and token.status is not None and not token.shares_with_pages():
        yield from case.find(
            "cors_token",
            f"No page of another origin may read {token.url}, which {token.told_status()}.",
            clients=pages,
        )
    if preflight is None or closed:
        return
    allowed = preflight.headers.get("access-control-allow-headers", "").lower()
    names = {name.strip() for name in allowed.split(",")}
    if not preflight.shares_with_pages() or names.isdisjoint({"*", "mcp-protocol-version"}):
        yield from case.find(
            "cors_version_header",
            f"The preflight of {preflight.url} {preflight.told_status()} and allows {shown(allowed)}.",
            clients=pages,
        )


CHECKS: tuple[Check, ...] = (
    _endpoints,
    _code_flow,
    _identification,
    _methods,
    _staying_signed_in,
    _keys,
    _errors,
    _pages,
)
