"""The metadata: says that assertions are redeemed, and never whose."""

import json
from typing import Any

from authz.jose import ASYMMETRIC, JwtError, import_jwks
from authz.lab.bench import JWT_BEARER, Bench, is_local
from authz.lab.judgement import Failed, NotOffered, shown
from authz.lab.scenario import Level, Scenario

PROFILE = "urn:ietf:params:oauth:grant-profile:id-jag"


async def _names_itself(bench: Bench) -> str:
    found = bench.metadata.get("issuer")
    if found != bench.target.issuer:
        raise Failed(f"`issuer` is {shown(found)}, and clients compare it letter by letter")
    return "`issuer` is the issuer"


async def _advertises(bench: Bench) -> str:
    if PROFILE not in _listed(bench, "authorization_grant_profiles_supported"):
        raise Failed("the profile is not listed, so clients fall back to the browser")
    return "the profile is listed"


async def _lists_grant(bench: Bench) -> str:
    if JWT_BEARER not in _listed(bench, "grant_types_supported"):
        raise Failed("the jwt-bearer grant type is not listed")
    return "the grant type is listed"


async def _keeps_trust_secret(bench: Bench) -> str:
    await bench.control()
    published = json.dumps(bench.metadata)
    if bench.idp.url in published:
        raise Failed("the metadata names the identity provider that is trusted")
    return "nothing in the metadata names the identity provider"


async def _has_public_keys(bench: Bench) -> str:
    url = bench.metadata.get("jwks_uri")
    if not isinstance(url, str):
        raise NotOffered("no `jwks_uri` is published")
    answer = await bench.get(url)
    try:
        import_jwks(answer.document, algorithms=ASYMMETRIC)
    except JwtError as error:
        raise Failed(f"the key set is no set of sound public keys: {error.reason}") from None
    return "the key set holds public keys alone"


async def _is_encrypted(bench: Bench) -> str:
    endpoint = bench.token_endpoint
    if endpoint.startswith("https://"):
        return "the token endpoint is https"
    if is_local(endpoint):
        raise NotOffered("the server is on this machine, where http is usual")
    raise Failed("the token endpoint is plain http")


def _listed(bench: Bench, member: str) -> list[Any]:
    found = bench.metadata.get(member)
    return found if isinstance(found, list) else []


_MODEL = "RFC 8414 §3.3"
SCENARIOS: tuple[Scenario, ...] = (
    Scenario("meta-issuer", "The metadata names its issuer", "IDJAG-85", _MODEL, _names_itself),
    Scenario(
        "meta-profile",
        "The grant profile is advertised",
        "IDJAG-76 EMA-02 EMA-05",
        "ID-JAG §7.2; EMA §6",
        _advertises,
        Level.SHOULD,
    ),
    Scenario(
        "meta-grant",
        "The grant type is advertised with it",
        "IDJAG-76 EMA-03",
        "ID-JAG §7.2",
        _lists_grant,
    ),
    Scenario(
        "meta-silent",
        "The metadata does not tell who is trusted",
        "IDJAG-77 EMA-04",
        "ID-JAG §9.5",
        _keeps_trust_secret,
    ),
    Scenario(
        "meta-keys",
        "The published keys are public",
        "IDJAG-52",
        "RFC 8725bis §3.5; RFC 7517 §9.2",
        _has_public_keys,
    ),
    Scenario("meta-tls", "Assertions travel encrypted", "EMA-06", "EMA §7.3", _is_encrypted),
)
