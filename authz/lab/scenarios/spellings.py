"""What has to be redeemed although it is spelled differently."""

from typing import Any

from authz.lab.bench import Bench
from authz.lab.judgement import Failed, claims_of, granted
from authz.lab.scenario import Check, Level, Scenario
from authz.lab.statement import Statement


async def _good(bench: Bench) -> str:
    granted(await bench.redeem(bench.statement().sign()), "a good assertion")
    return "redeemed for a token"


def _takes(change: Any) -> Check:
    async def check(bench: Bench) -> str:
        made: Statement = change(bench.statement())
        granted(await bench.redeem(made.sign()))
        return "redeemed for a token"

    return check


async def _same_resource(bench: Bench) -> str:
    resource = bench.target.resource
    granted(await bench.redeem(bench.statement().sign(), ("resource", resource)))
    return "redeemed for a token"


async def _ignores_claims(bench: Bench) -> str:
    before = await bench.control()
    scope = bench.statement().scope
    if bench.target.withheld is not None:
        # What a claim could open is told apart only where the assertion does not stand in the way.
        wider = f"{scope} {bench.target.withheld}"
        answer = await bench.redeem(bench.statement(scope=wider).sign())
        before, scope = (answer, wider) if answer.is_granted else (before, scope)
    claims: dict[str, Any] = {"roles": ["admin"], "lab_extra": {"a": 1}, "permissions": ["*"]}
    after = granted(await bench.redeem(bench.statement(scope=scope, **claims).sign()))
    if after.scopes != before.scopes:
        raise Failed("claims that nobody agreed on changed what is granted")
    return "redeemed for the same scopes"


async def _ignores_actor(bench: Bench) -> str:
    before = claims_of(await bench.control())
    made = bench.statement(act={"sub": "lab-admin"})
    after = claims_of(granted(await bench.redeem(made.sign()), "an assertion with an actor"))
    if after.get("sub") != before.get("sub"):
        raise Failed("the actor became the subject of the token")
    return "the subject stays who it is"


_FORM = "ID-JAG §3.1"
SCENARIOS: tuple[Scenario, ...] = (
    Scenario(
        "good",
        "A good assertion is redeemed",
        "IDJAG-50 IDJAG-51 EMA-01",
        "ID-JAG §4.4; EMA §5",
        _good,
    ),
    Scenario(
        "typ-prefix",
        "`typ` may be written with `application/`",
        "IDJAG-01",
        "ID-JAG §3.1; RFC 7515 §4.1.9",
        _takes(lambda it: it.headed(typ="application/oauth-id-jag+jwt")),
    ),
    Scenario(
        "typ-case",
        "`typ` may be written in capitals",
        "IDJAG-01",
        "RFC 8725bis §3.11; RFC 2045 §5.1",
        _takes(lambda it: it.headed(typ="OAUTH-ID-JAG+JWT")),
    ),
    Scenario(
        "aud-one",
        "`aud` may be a list of one",
        "IDJAG-04 EMA-08",
        "ID-JAG §4.4.1",
        _takes(lambda it: it.saying(aud=[it.audience])),
    ),
    Scenario(
        "resource-one",
        "`resource` may be a list of one",
        "IDJAG-10 EMA-13",
        _FORM,
        _takes(lambda it: it.saying(resource=[it.resource])),
    ),
    Scenario(
        "clock-ahead",
        "A clock may be ten seconds ahead",
        "IDJAG-07 EMA-12",
        "RFC 7523 §3",
        _takes(lambda it: it.saying(iat=it.now + 10)),
        Level.SHOULD,
    ),
    Scenario(
        "request-resource",
        "The request may name the same server",
        "IDJAG-58 EMA-14",
        "RFC 8707 §2",
        _same_resource,
    ),
    Scenario(
        "claims-unknown",
        "Claims that nobody agreed on change nothing",
        "IDJAG-17",
        "RFC 7519 §4",
        _ignores_claims,
    ),
    Scenario(
        "act-kept-apart",
        "An `act` claim never becomes the subject",
        "IDJAG-13 EMA-24",
        "ID-JAG §3.1, §9.8",
        _ignores_actor,
    ),
)
