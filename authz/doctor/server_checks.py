"""Judging the MCP server: its answer without a token, its challenge, its metadata. Pure."""

from collections.abc import Iterator
from urllib.parse import urlsplit

from authz.doctor.case import Case, Check, is_insecure, is_local, strings
from authz.doctor.findings import Finding, shown
from authz.doctor.profiles import Trait
from authz.policy.scopes import OFFLINE_ACCESS
from authz.resource_server.urls import origin, resource_metadata_path
from authz.urls import UrlError, canonical_resource


def _reachable(case: Case) -> Iterator[Finding]:
    url, answer = case.walk.url, case.walk.unauthenticated
    if is_insecure(url):
        yield from case.find("server_not_https", f"The MCP server {shown(url)} is not https.")
    elif answer.status is None:
        yield from case.find("server_unreachable", f"{url} {answer.told()}.")
    elif is_local(url):
        yield from case.find(
            "server_local",
            f"{url} is on this machine.",
            clients=case.with_trait(Trait.FROM_OUTSIDE),
        )


def _unauthenticated(case: Case) -> Iterator[Finding]:
    answer = case.walk.unauthenticated
    if answer.status is None or answer.status == 401:
        return
    if answer.is_redirect:
        to = shown(answer.headers.get("location"))
        yield from case.find("server_redirects", f"{answer.url} answered {answer.status} to {to}.")
    elif answer.status < 300:
        yield from case.find(
            "server_open", f"{answer.url} answered {answer.status} to `initialize` without a token."
        )
    else:
        yield from case.find(
            "server_no_401", f"{answer.url} answered {answer.status} to a request without a token."
        )


def _bad_token(case: Case) -> Iterator[Finding]:
    """An open server takes anything, and that is said already."""
    answer = case.walk.with_bad_token
    if case.walk.unauthenticated.status != 401 or answer is None or answer.status == 401:
        return
    code = (
        "token_unchecked" if answer.status is not None and answer.status < 300 else "token_not_401"
    )
    yield from case.find(
        code, f"{answer.url} {answer.told_status()} for an unsigned token of another issuer."
    )


def _challenge(case: Case) -> Iterator[Finding]:
    answer, challenge = case.walk.unauthenticated, case.walk.challenge
    if answer.status != 401:
        return
    if challenge is None:
        sent = shown(answer.headers.get("www-authenticate"))
        # With metadata at a well-known address every client of today still finds its way.
        code = "challenge_missing" if case.walk.taken is None else "challenge_without_metadata"
        yield from case.find(code, f"WWW-Authenticate of the 401 is {sent}.")
        return
    if "resource_metadata" not in challenge:
        sent = shown(answer.headers.get("www-authenticate"))
        yield from case.find("challenge_without_metadata", f"The challenge is {sent}.")
    if not challenge.get("scope"):
        yield from case.find(
            "challenge_without_scope",
            "The challenge of the 401 has no `scope`.",
            clients=case.with_trait(Trait.SCOPE_FROM_CHALLENGE),
        )


def _metadata_found(case: Case) -> Iterator[Finding]:
    walk = case.walk
    if not walk.metadata:
        return
    if walk.taken is None:
        tried = "; ".join(f"{place.url} {place.told()}" for place in walk.metadata)
        yield from case.find("prm_missing", f"{tried}.")
        return
    named = (walk.challenge or {}).get("resource_metadata")
    first = walk.metadata[0]
    if named and not first.is_document:
        yield from case.find("prm_challenge_dead", f"{shown(named)} {first.told()}.")
    inserted = f"{origin(urlsplit(walk.url))}{resource_metadata_path(walk.url)}"
    place = next(place for place in walk.metadata if place.url == inserted)
    if not place.is_document:
        yield from case.find("prm_not_inserted", f"{inserted} {place.told()}.")


def _resource(case: Case) -> Iterator[Finding]:
    url, taken = case.walk.url, case.walk.taken
    if taken is None:
        return
    resource = case.walk.resource.get("resource")
    if resource == url:
        return
    said = f"`resource` at {taken.url} is {shown(resource)}, and the URL is {shown(url)}."
    if not isinstance(resource, str) or not _covers(resource, url):
        yield from case.find("prm_resource_foreign", said)
    else:
        exact = case.with_trait(Trait.EXACT_RESOURCE)
        yield from case.find("prm_resource_spelling", said, clients=exact)


def _covers(resource: str, url: str) -> bool:
    """Whether it is the same server in another spelling, or the origin that it is on."""
    try:
        broad, narrow = canonical_resource(resource), canonical_resource(url)
    except UrlError:
        return False
    return f"{narrow.rstrip('/')}/".startswith(f"{broad.rstrip('/')}/")


def _members(case: Case) -> Iterator[Finding]:
    taken = case.walk.taken
    if taken is None:
        return
    document = case.walk.resource
    if not case.walk.named_servers:
        named = shown(document.get("authorization_servers"))
        yield from case.find(
            "prm_servers_missing", f"`authorization_servers` at {taken.url} is {named}."
        )
    methods = document.get("bearer_methods_supported")
    if methods is not None and "header" not in strings(methods):
        yield from case.find("prm_no_header", f"`bearer_methods_supported` is {shown(methods)}.")
    scopes = strings(document.get("scopes_supported"))
    challenged = (case.walk.challenge or {}).get("scope", "").split()
    if not scopes and not challenged:
        yield from case.find(
            "prm_scopes_missing",
            f"`scopes_supported` at {taken.url} and the challenge name nothing.",
        )
    wild = sorted(scope for scope in scopes if "*" in scope or scope == "all")
    if wild:
        yield from case.find("prm_scope_wildcard", f"`scopes_supported` has {shown(wild)}.")
    if OFFLINE_ACCESS in {*scopes, *challenged}:
        yield from case.find(
            "prm_offline_access", f"Metadata or challenge name {OFFLINE_ACCESS!r}."
        )


def _pages(case: Case) -> Iterator[Finding]:
    answer, preflight = case.walk.from_page, case.walk.preflight
    if answer is None or preflight is None:
        return
    pages = case.with_trait(Trait.IN_BROWSER)
    missing = _refused_headers(preflight.headers.get("access-control-allow-headers"))
    good = preflight.status is not None and preflight.status < 300
    if not good or not preflight.shares_with_pages() or not answer.shares_with_pages() or missing:
        lacks = f" and does not allow {', '.join(missing)}" if good and missing else ""
        origins = shown(answer.headers.get("access-control-allow-origin"))
        yield from case.find(
            "cors_server",
            f"The preflight of {answer.url} {preflight.told_status()}{lacks}; a request from a page "
            f"{answer.told_status()} and allows the origin {origins}.",
            clients=pages,
        )
        return
    exposed = answer.headers.get("access-control-expose-headers", "").lower()
    if "www-authenticate" not in exposed and exposed.strip() != "*":
        yield from case.find(
            "cors_challenge", f"The 401 exposes {shown(exposed)} to pages.", clients=pages
        )


def _refused_headers(allowed: str | None) -> list[str]:
    names = {name.strip().lower() for name in (allowed or "").split(",")}
    wanted = ("authorization", "content-type", "mcp-protocol-version")
    # "*" covers every name but Authorization (Fetch standard).
    return [n for n in wanted if n not in names and ("*" not in names or n == "authorization")]


CHECKS: tuple[Check, ...] = (
    _reachable,
    _unauthenticated,
    _bad_token,
    _challenge,
    _metadata_found,
    _resource,
    _members,
    _pages,
)
