"""What comes back for a good assertion: the answer, and the token if it is a JWT."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from authz.jose import ASYMMETRIC, JwtError, Profile, import_jwks, verify_jwt
from authz.lab.bench import Bench
from authz.lab.judgement import Failed, NotOffered, claims_of, granted, header_of, shown
from authz.lab.scenario import Level, Scenario

MAX_SECONDS = 3600
"""Of a token whose identity provider nobody asks again. Our own servers issue for fifteen minutes at most."""


async def _is_complete(bench: Bench) -> str:
    document = (await bench.control()).document
    kind, seconds = document.get("token_type"), document.get("expires_in")
    if not isinstance(kind, str) or kind.lower() != "bearer":
        raise Failed(f"`token_type` is {shown(kind)}, where nothing bound the token to a key")
    if type(seconds) is not int or seconds <= 0:
        raise Failed(f"`expires_in` is {shown(seconds)}")
    return f"a bearer token for {seconds} seconds"


async def _is_not_stored(bench: Bench) -> str:
    answer = await bench.control()
    found = answer.headers.get("cache-control", "")
    if "no-store" not in found.lower():
        raise Failed(f"`Cache-Control` is {shown(found)}")
    return "answered with no-store"


async def _has_no_refresh_token(bench: Bench) -> str:
    wanted = " ".join([*bench.target.scopes, "offline_access"])
    answer = await bench.redeem(bench.statement(scope=wanted).sign())
    if not answer.is_granted:
        answer = await bench.control()
    if "refresh_token" in answer.document:
        raise Failed(
            "a refresh token came along, which outlives what the identity provider decided"
        )
    return "no refresh token, also when `offline_access` was asserted"


async def _is_short(bench: Bench) -> str:
    seconds = (await bench.control()).document.get("expires_in")
    if type(seconds) is not int or seconds > MAX_SECONDS:
        raise Failed(f"`expires_in` is {shown(seconds)}: nobody can take the token back so long")
    return f"good for {seconds} seconds"


async def _tells_resource(bench: Bench) -> str:
    found = (await bench.control()).document.get("resource")
    if found not in (bench.target.resource, [bench.target.resource]):
        raise Failed(f"`resource` of the answer is {shown(found)}")
    return "the answer names the server"


async def _tells_scope(bench: Bench) -> str:
    wanted = " ".join([*bench.target.scopes, "lab:unknown"])
    answer = await bench.redeem(bench.statement(scope=wanted).sign())
    if not answer.is_granted:
        raise NotOffered(
            "assertions with an unknown scope are refused here, so nothing is left out"
        )
    if answer.scopes is None:
        raise Failed("less was granted than asserted, and the answer does not say what")
    return f"the answer says {shown(' '.join(sorted(answer.scopes)))}"


async def _is_for_one_server(bench: Bench) -> str:
    found = claims_of(await bench.control()).get("aud")
    if found not in (bench.target.resource, [bench.target.resource]):
        raise Failed(f"`aud` of the token is {shown(found)}")
    return "`aud` is the MCP server alone"


async def _names_client(bench: Bench) -> str:
    found = claims_of(await bench.control()).get("client_id")
    if found != bench.target.client.client_id:
        raise Failed(f"`client_id` of the token is {shown(found)}")
    return "`client_id` is the client"


async def _is_of_its_kind(bench: Bench) -> str:
    answer = await bench.control()
    found = header_of(answer).get("typ")
    kind = found.lower().removeprefix("application/") if isinstance(found, str) else found
    if kind != "at+jwt":
        raise Failed(f"`typ` of the token is {shown(found)}: it can be taken for another kind")
    return "`typ` is `at+jwt`"


async def _verifies(bench: Bench) -> str:
    answer = await bench.control()
    claims_of(answer)
    url = bench.metadata.get("jwks_uri")
    if not isinstance(url, str):
        raise NotOffered("no `jwks_uri` is published, so nobody but the server verifies its tokens")
    published = await bench.get(url)
    profile = Profile(
        typ=frozenset({"at+jwt", "jwt", None}),
        algorithms=ASYMMETRIC,
        issuer=bench.target.issuer,
        audiences=frozenset({bench.target.resource}),
        max_lifetime=timedelta(days=1),
        required=frozenset({"jti"}),
    )
    try:
        keys = import_jwks(published.document, algorithms=ASYMMETRIC)
        verify_jwt(answer.access_token, keys, profile, bench.clock())
    except JwtError as error:
        raise Failed(f"the token does not verify with the published keys: {error.reason}") from None
    return "issuer, audience, times and signature hold"


async def _carries_sign_in(bench: Bench) -> str:
    at = bench.statement().now - 60
    told: Mapping[str, Any] = {"auth_time": at, "acr": "urn:lab:strong", "amr": ["pwd", "otp"]}
    claims = claims_of(granted(await bench.redeem(bench.statement(**told).sign())))
    found = {name: claims[name] for name in told if name in claims}
    if not found:
        raise NotOffered("nothing of the sign-in is told in tokens")
    wrong = [name for name, value in found.items() if value != told[name]]
    if wrong:
        raise Failed(f"{', '.join(wrong)} of the token differ from the assertion's")
    return f"{', '.join(found)} as asserted"


SCENARIOS: tuple[Scenario, ...] = (
    Scenario("answer", "The answer is complete", "IDJAG-63", "RFC 6749 §5.1", _is_complete),
    Scenario("no-store", "The answer is not stored", "IDJAG-50", "RFC 6749 §5.1", _is_not_stored),
    Scenario(
        "no-refresh-token",
        "No refresh token comes along",
        "IDJAG-64 EMA-18",
        "ID-JAG §4.4.3",
        _has_no_refresh_token,
        Level.SHOULD,
    ),
    Scenario(
        "short-life",
        "The token lives an hour at most",
        "IDJAG-65 EMA-30",
        "EMA §7.5",
        _is_short,
        Level.SHOULD,
    ),
    Scenario(
        "resource-told",
        "The answer says for which server",
        "IDJAG-63 EMA-17",
        "ID-JAG §4.4.2",
        _tells_resource,
    ),
    Scenario(
        "scope-told",
        "The answer says what was granted of it",
        "IDJAG-60 EMA-16",
        "ID-JAG §4.4.1; RFC 6749 §5.1",
        _tells_scope,
    ),
    Scenario(
        "token-audience",
        "The token is for the one MCP server",
        "IDJAG-59 EMA-03 EMA-14",
        "EMA §5.1",
        _is_for_one_server,
    ),
    Scenario(
        "token-client", "The token names the client", "IDJAG-54", "RFC 9068 §2.2", _names_client
    ),
    Scenario(
        "token-type",
        "The token says that it is one",
        "IDJAG-01",
        "RFC 9068 §2.1",
        _is_of_its_kind,
        Level.SHOULD,
    ),
    Scenario(
        "token-verifies",
        "The token verifies with the published keys",
        "IDJAG-59",
        "RFC 9068 §4",
        _verifies,
    ),
    Scenario(
        "token-sign-in",
        "The sign-in behind the assertion is told as it was",
        "IDJAG-15",
        "ID-JAG §3.1; RFC 9068 §2.2.1",
        _carries_sign_in,
        Level.SHOULD,
    ),
)
