"""Judging how an authorization server is found: its name, and its metadata at each address. Pure."""

from collections.abc import Iterator

from authz.doctor.case import Case, Check, is_insecure, is_url
from authz.doctor.findings import Finding, shown
from authz.doctor.profiles import Trait
from authz.doctor.walk import Answer, ServerWalk

_OPENID = ("jwks_uri", "subject_types_supported", "id_token_signing_alg_values_supported")
_OPENID_SUFFIX = "/.well-known/openid-configuration"
_COMPARED = (
    "issuer",
    "authorization_endpoint",
    "token_endpoint",
    "jwks_uri",
    "registration_endpoint",
    "code_challenge_methods_supported",
    "token_endpoint_auth_methods_supported",
    "client_id_metadata_document_supported",
)


def _name(case: Case) -> Iterator[Finding]:
    for issuer in case.walk.named_servers:
        if not is_url(issuer):
            yield from case.find(
                "issuer_malformed", f"`authorization_servers` has {shown(issuer)}."
            )
        elif is_insecure(issuer):
            yield from case.find("issuer_not_https", f"The issuer {shown(issuer)} is not https.")
        elif issuer.endswith("/"):
            yield from case.find(
                "issuer_trailing_slash",
                f"The issuer is {shown(issuer)}.",
                clients=case.with_trait(Trait.ISSUER_NORMALISED),
            )


def _found(case: Case) -> Iterator[Finding]:
    for number, server in enumerate(case.walk.servers):
        if server.taken is not None or is_insecure(server.issuer) or not is_url(server.issuer):
            continue
        if server.assumed:
            continue  # what is wrong then is that the MCP server names none
        tried = "; ".join(f"{place.url} {place.told()}" for place in server.places)
        if server.misplaced is not None and server.misplaced.is_document:
            yield from case.find("metadata_misplaced", f"It is at {server.misplaced.url}; {tried}.")
        elif number and case.server is not None:
            yield from case.find("issuer_second", f"{tried}.")
        elif case.server is not None:
            first_only = case.without_trait(Trait.TRIES_EACH_SERVER)
            yield from case.find("metadata_missing", f"{tried}.", clients=first_only)
        else:
            yield from case.find("metadata_missing", f"{tried}.")


def _issuer(case: Case) -> Iterator[Finding]:
    for server in case.walk.servers:
        if server.assumed:
            continue
        wrong = [
            place
            for place in server.places
            if place.is_document and (place.document or {}).get("issuer") != server.issuer
        ]
        if wrong:
            issuer = (wrong[0].document or {}).get("issuer")
            slash = isinstance(issuer, str) and issuer.rstrip("/") == server.issuer.rstrip("/")
            hint = ": a slash at the end" if slash else ""
            yield from case.find(
                "issuer_mismatch",
                f"`issuer` at {wrong[0].url} is {shown(issuer)}, and clients looked for "
                f"{shown(server.issuer)}{hint}.",
            )


def _on_the_way(case: Case) -> Iterator[Finding]:
    """What lies before the first document, in the order in which it is tried."""
    server = case.server
    if server is None:
        return
    redirects = [place for place in server.places if place.is_redirect]
    if redirects:
        to = shown(redirects[0].headers.get("location"))
        yield from case.find(
            "metadata_redirect", f"{redirects[0].url} answered {redirects[0].status} to {to}."
        )
    before = _before(server)
    for place in before:
        failed = place.status is not None and place.status >= 500
        html = place.status == 200
        stopped = case.with_trait(Trait.STOPS_AT_5XX if failed else Trait.STOPS_AT_HTML)
        if place.status == 502:
            stopped = [name for name in stopped if not case.clients[name].has(Trait.PASSES_502)]
        if failed or html:
            yield from case.find("metadata_stops", f"{place.url} {place.told()}.", clients=stopped)


def _before(server: ServerWalk) -> tuple[Answer, ...]:
    taken = server.taken
    return server.places if taken is None else server.places[: server.places.index(taken)]


def _agreement(case: Case) -> Iterator[Finding]:
    server = case.server
    if server is None:
        return
    documents = [place for place in server.places if place.is_document]
    for other in documents[1:]:
        one, two = server.document, other.document or {}
        differing = [name for name in _COMPARED if one.get(name) != two.get(name)]
        if differing:
            yield from case.find(
                "metadata_differs",
                f"{documents[0].url} and {other.url} differ in {', '.join(differing)}.",
            )
            return


def _openid(case: Case) -> Iterator[Finding]:
    server = case.server
    if server is None or server.taken is None or _OPENID_SUFFIX not in server.taken.url:
        return
    lacking = [name for name in _OPENID if not server.document.get(name)]
    if lacking:
        yield from case.find(
            "metadata_openid",
            f"{server.taken.url} has no {', '.join(lacking)}.",
            clients=case.with_trait(Trait.OPENID_SCHEMA),
        )


CHECKS: tuple[Check, ...] = (_name, _found, _issuer, _on_the_way, _agreement, _openid)
