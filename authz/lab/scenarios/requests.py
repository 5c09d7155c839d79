"""The request itself: one assertion, in a form, in the body; and what the answers give away."""

import json
from urllib.parse import urlencode

from authz.lab.bench import FORM, JWT_BEARER, Bench
from authz.lab.judgement import GRANT, REQUEST, Failed, not_granted, refused
from authz.lab.scenario import Level, Scenario
from authz.lab.statement import STRANGER

_UNSUPPORTED = frozenset({"unsupported_grant_type"})
_TYPE = ("grant_type", JWT_BEARER)


async def _refuses_get(bench: Bench) -> str:
    await bench.control()
    query = urlencode([_TYPE, ("assertion", bench.statement().sign())])
    # No secret in a URL, not even in a lab: what is due is a refusal of the method.
    named, headers = bench.target.client.present(bench.target.issuer, bench.clock())
    kept = urlencode([pair for pair in named if pair[0] == "client_id"])
    url = f"{bench.token_endpoint}?{query}{'&' if kept else ''}{kept}"
    return not_granted(await bench.send("GET", url, headers))


async def _refuses_query(bench: Bench) -> str:
    await bench.control()
    named, headers = bench.target.client.present(bench.target.issuer, bench.clock())
    url = f"{bench.token_endpoint}?{urlencode([('assertion', bench.statement().sign())])}"
    body = urlencode([_TYPE, *named]).encode()
    return not_granted(await bench.send("POST", url, {"Content-Type": FORM, **headers}, body))


async def _refuses_json(bench: Bench) -> str:
    await bench.control()
    named, headers = bench.target.client.present(bench.target.issuer, bench.clock())
    fields = dict([_TYPE, ("assertion", bench.statement().sign()), *named])
    sent = {"Content-Type": "application/json", **headers}
    content = json.dumps(fields).encode()
    return not_granted(await bench.send("POST", bench.token_endpoint, sent, content))


async def _refuses_two(bench: Bench) -> str:
    await bench.control()
    pairs = [_TYPE, *(("assertion", bench.statement().sign()) for _ in range(2))]
    return refused(await bench.ask_as(bench.target.client, pairs), REQUEST)


async def _refuses_good_and_bad(bench: Bench) -> str:
    await bench.control()
    good, bad = bench.statement().sign(), bench.statement().sign_as_stranger()
    pairs = [_TYPE, ("assertion", bad), ("assertion", good)]
    return refused(await bench.ask_as(bench.target.client, pairs), REQUEST)


async def _refuses_two_types(bench: Bench) -> str:
    await bench.control()
    pairs = [_TYPE, _TYPE, ("assertion", bench.statement().sign())]
    return refused(await bench.ask_as(bench.target.client, pairs), REQUEST)


async def _refuses_two_scopes(bench: Bench) -> str:
    await bench.control()
    scopes = [("scope", scope) for scope in (*bench.target.scopes, *bench.target.scopes)[:2]]
    return refused(await bench.redeem(bench.statement().sign(), *scopes), REQUEST)


async def _needs_one(bench: Bench) -> str:
    await bench.control()
    return refused(await bench.ask_as(bench.target.client, [_TYPE]), REQUEST)


async def _needs_more_than_nothing(bench: Bench) -> str:
    await bench.control()
    return refused(await bench.redeem(""), REQUEST | GRANT)


async def _knows_its_grants(bench: Bench) -> str:
    await bench.control()
    pairs = [("grant_type", f"{JWT_BEARER}2"), ("assertion", bench.statement().sign())]
    return refused(await bench.ask_as(bench.target.client, pairs), _UNSUPPORTED)


async def _gives_nothing_away(bench: Bench) -> str:
    await bench.control()
    unknown = bench.statement(iss=STRANGER)
    forged = bench.statement()
    answers = [
        await bench.redeem(unknown.sign_as_stranger()),
        await bench.redeem(forged.sign_as_stranger()),
        await bench.redeem(forged.headed(kid="lab-nobody").sign_as_stranger()),
    ]
    for answer in answers:
        refused(answer)
    seen = {(answer.status, answer.body) for answer in answers}
    if len(seen) > 1:
        raise Failed("an unknown issuer, an unknown key and a wrong signature read differently")
    return "an unknown issuer, an unknown key and a wrong signature read the same"


_FORM = "RFC 6749 §3.2; RFC 7521 §4.1"
SCENARIOS: tuple[Scenario, ...] = (
    Scenario("request-get", "A GET is refused", "IDJAG-50 EMA-06", "RFC 6749 §3.2", _refuses_get),
    Scenario(
        "request-query",
        "An assertion in the URL does not count",
        "EMA-06 EMA-29",
        "RFC 6749 §3.2; EMA §7.3",
        _refuses_query,
    ),
    Scenario("request-json", "A JSON body is refused", "IDJAG-50", "RFC 6749 §3.2", _refuses_json),
    Scenario("request-two", "Two assertions are refused", "IDJAG-50", _FORM, _refuses_two),
    Scenario(
        "request-good-and-bad",
        "A forged assertion beside a good one is refused",
        "IDJAG-50",
        _FORM,
        _refuses_good_and_bad,
    ),
    Scenario(
        "request-two-types", "Two grant types are refused", "IDJAG-50", _FORM, _refuses_two_types
    ),
    Scenario(
        "request-two-scopes", "Two scopes are refused", "IDJAG-50", _FORM, _refuses_two_scopes
    ),
    Scenario("request-none", "No assertion is refused", "IDJAG-50", _FORM, _needs_one),
    Scenario(
        "request-empty",
        "An empty assertion is refused",
        "IDJAG-50",
        _FORM,
        _needs_more_than_nothing,
    ),
    Scenario(
        "request-other-grant",
        "An unknown grant type is called that",
        "IDJAG-50",
        "RFC 6749 §5.2",
        _knows_its_grants,
    ),
    Scenario(
        "no-oracle",
        "Refusals do not tell who is trusted",
        "IDJAG-82",
        "a hardening rule without a text",
        _gives_nothing_away,
        Level.SHOULD,
    ),
)
