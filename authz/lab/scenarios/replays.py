"""An assertion is good once, whoever was quicker, and nobody spends it who could not have made it."""

import asyncio

from authz import entropy
from authz.lab.bench import Bench
from authz.lab.identity_provider import Issuer
from authz.lab.judgement import Failed, NotOffered, granted, refused
from authz.lab.scenario import Level, Scenario

_AT_ONCE = 10


async def _is_good_once(bench: Bench) -> str:
    text = bench.statement().sign()
    granted(await bench.redeem(text), "a good assertion")
    return refused(await bench.redeem(text))


async def _is_good_once_by_name(bench: Bench) -> str:
    jti = entropy.new_id("jag")
    granted(await bench.redeem(bench.statement(jti=jti).sign()), "a good assertion")
    return refused(await bench.redeem(bench.statement(jti=jti, lab="again").sign()))


async def _has_one_winner(bench: Bench) -> str:
    await bench.control()
    text = bench.statement().sign()
    answers = await asyncio.gather(*(bench.redeem(text) for _ in range(_AT_ONCE)))
    winners = [answer for answer in answers if answer.is_granted]
    if len(winners) != 1:
        raise Failed(f"{len(winners)} of {_AT_ONCE} at the same moment got a token")
    for answer in answers:
        if not answer.is_granted:
            refused(answer)
    return f"one of {_AT_ONCE} at the same moment got a token"


async def _survives_forgery(bench: Bench) -> str:
    made = bench.statement()
    refused(await bench.redeem(made.sign_as_stranger()))
    granted(await bench.redeem(made.sign()), "what was forged before")
    return "a forgery of the same name spends nothing"


async def _is_per_issuer(bench: Bench) -> str:
    other = await bench.redeem(bench.statement(Issuer.MANY).sign())
    if not other.is_granted:
        raise NotOffered(f"no entry for the issuer of many customers ({other.told()})")
    jti = entropy.new_id("jag")
    granted(await bench.redeem(bench.statement(jti=jti).sign()), "a good assertion")
    made = bench.statement(Issuer.MANY, jti=jti)
    granted(await bench.redeem(made.sign()), "another issuer's assertion of the same name")
    return "equal names of two issuers are two"


_EMA = "EMA §7.4.2; ID-JAG §4.4.3 lets a server allow more"
SCENARIOS: tuple[Scenario, ...] = (
    Scenario(
        "replay",
        "An assertion is good once",
        "IDJAG-66 EMA-19",
        _EMA,
        _is_good_once,
        Level.SHOULD,
    ),
    Scenario(
        "replay-name",
        "A `jti` is good once",
        "IDJAG-66 EMA-19",
        _EMA,
        _is_good_once_by_name,
        Level.SHOULD,
    ),
    Scenario(
        "replay-parallel",
        "Of ten at the same moment one is redeemed",
        "IDJAG-66 EMA-19",
        _EMA,
        _has_one_winner,
        Level.SHOULD,
    ),
    Scenario(
        "replay-forged",
        "A forgery does not spend the name of a good one",
        "IDJAG-66",
        "RFC 7521 §5.2",
        _survives_forgery,
    ),
    Scenario(
        "replay-issuers",
        "Equal names of two issuers are two",
        "IDJAG-66",
        "RFC 7519 §4.1.7",
        _is_per_issuer,
    ),
)
