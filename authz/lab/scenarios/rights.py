"""Scopes and servers: what is granted lies within what the identity provider said, whatever is asked for."""

from authz.lab.bench import Bench
from authz.lab.judgement import (
    GRANT,
    REQUEST,
    SCOPE,
    TARGET,
    Answer,
    Failed,
    NotOffered,
    claims_of,
    granted,
    refused,
    shown,
)
from authz.lab.scenario import Level, Scenario
from authz.lab.statement import STRANGER

_UNKNOWN = "lab:unknown"


async def _narrows(bench: Bench) -> str:
    one, _ = _two_scopes(bench)
    answer = granted(await bench.redeem(bench.statement().sign(), ("scope", one)))
    _holds(answer, {one})
    return f"only {one}, as asked"


async def _never_widens(bench: Bench) -> str:
    one, two = _two_scopes(bench)
    await bench.control()
    answer = await bench.redeem(bench.statement(scope=one).sign(), ("scope", f"{one} {two}"))
    if not answer.is_granted:
        return refused(answer, SCOPE)
    _holds(answer, {one})
    return f"only {one}, as asserted"


async def _grants_nothing_else(bench: Bench) -> str:
    one, two = _two_scopes(bench)
    await bench.control()
    answer = await bench.redeem(bench.statement(scope=one).sign(), ("scope", two))
    return refused(answer, SCOPE)


async def _asks_policy(bench: Bench) -> str:
    withheld = bench.target.withheld
    if withheld is None:
        raise NotOffered("no scope is known that the lab's people may not have: --withheld SCOPE")
    await bench.control()
    wanted = " ".join([*bench.target.scopes, withheld])
    answer = await bench.redeem(bench.statement(scope=wanted).sign())
    if not answer.is_granted:
        return refused(answer, SCOPE)
    if withheld in (answer.scopes or _token_scopes(answer)):
        raise Failed(f"{shown(withheld)} was granted because the assertion has it")
    return f"{shown(withheld)} is left out"


async def _withholds_all(bench: Bench) -> str:
    withheld = bench.target.withheld
    if withheld is None:
        raise NotOffered("no scope is known that the lab's people may not have: --withheld SCOPE")
    await bench.control()
    return refused(await bench.redeem(bench.statement(scope=withheld).sign()), SCOPE)


async def _drops_unknown(bench: Bench) -> str:
    await bench.control()
    wanted = " ".join([*bench.target.scopes, _UNKNOWN])
    answer = await bench.redeem(bench.statement(scope=wanted).sign())
    if not answer.is_granted:
        return refused(answer, SCOPE)
    if _UNKNOWN in (answer.scopes or _token_scopes(answer)):
        raise Failed("a scope that nobody declared was granted")
    return "the unknown scope is left out"


async def _refuses_strange_target(bench: Bench) -> str:
    await bench.control()
    asked = ("resource", f"{STRANGER}/mcp")
    return refused(await bench.redeem(bench.statement().sign(), asked), TARGET)


async def _refuses_other_target(bench: Bench) -> str:
    other = _other_resource(bench)
    await bench.control()
    return refused(await bench.redeem(bench.statement().sign(), ("resource", other)), TARGET)


async def _chooses_between(bench: Bench) -> str:
    other = _other_resource(bench)
    made = bench.statement(resource=[bench.target.resource, other])
    answer = granted(await bench.redeem(made.sign(), ("resource", other)))
    found = claims_of(answer).get("aud")
    if found not in (other, [other]):
        raise Failed(f"`aud` of the token is {shown(found)}, where {shown(other)} was asked for")
    return "the token is for the server that was asked for"


async def _binds_without_resource(bench: Bench) -> str:
    await bench.control()
    answer = await bench.redeem(bench.statement(resource=None).sign())
    if not answer.is_granted:
        return refused(answer, TARGET | REQUEST | GRANT)
    found = claims_of(answer).get("aud")
    one = found[0] if isinstance(found, list) and len(found) == 1 else found
    if not isinstance(one, str):
        raise Failed(f"`aud` of the token is {shown(found)}, which is not one server")
    return f"a token for one server, {shown(one)}"


def _two_scopes(bench: Bench) -> tuple[str, str]:
    scopes = bench.target.scopes
    if len(scopes) < 2:
        raise NotOffered("this takes two scopes: --scope SCOPE --scope SCOPE")
    return scopes[0], scopes[1]


def _other_resource(bench: Bench) -> str:
    if bench.target.other_resource is None:
        raise NotOffered("this takes a second MCP server: other_resource in --settings")
    return bench.target.other_resource


def _holds(answer: Answer, wanted: set[str]) -> None:
    """Raises Failed when the token holds anything else."""
    found = answer.scopes if answer.scopes is not None else _token_scopes(answer)
    if found != wanted:
        raise Failed(f"granted is {shown(' '.join(sorted(found)))}, not {' '.join(sorted(wanted))}")


def _token_scopes(answer: Answer) -> frozenset[str]:
    return frozenset(str(claims_of(answer).get("scope", "")).split())


_SCOPE = "ID-JAG §4.4.1; EMA §7.2.1"
SCENARIOS: tuple[Scenario, ...] = (
    Scenario(
        "scope-narrower",
        "A request may ask for less",
        "IDJAG-58 IDJAG-60 EMA-16",
        _SCOPE,
        _narrows,
    ),
    Scenario(
        "scope-wider",
        "A request for more gets no more",
        "IDJAG-58 IDJAG-60 EMA-16",
        _SCOPE,
        _never_widens,
    ),
    Scenario(
        "scope-other",
        "A request for something else gets nothing",
        "IDJAG-58 EMA-16",
        _SCOPE,
        _grants_nothing_else,
    ),
    Scenario(
        "scope-withheld",
        "What the person may not have is left out",
        "IDJAG-60",
        _SCOPE,
        _asks_policy,
    ),
    Scenario(
        "scope-withheld-all",
        "Of nothing the person may have comes nothing",
        "IDJAG-60",
        _SCOPE,
        _withholds_all,
    ),
    Scenario(
        "scope-unknown-beside",
        "A scope nobody declared is not granted",
        "IDJAG-61",
        "ID-JAG §4.4.1; EMA §7.6.2",
        _drops_unknown,
    ),
    Scenario(
        "target-stranger",
        "A request for a stranger's server is refused",
        "IDJAG-58",
        "RFC 8707 §2",
        _refuses_strange_target,
    ),
    Scenario(
        "target-other",
        "A request for a server that was not asserted is refused",
        "IDJAG-58 EMA-14",
        "RFC 8707 §2; EMA §5.1",
        _refuses_other_target,
    ),
    Scenario(
        "target-chosen",
        "Of several servers the request may choose one",
        "IDJAG-57 IDJAG-58",
        "ID-JAG §4.4.1; RFC 8707 §2.2",
        _chooses_between,
        Level.SHOULD,
    ),
    Scenario(
        "target-absent",
        "Without `resource` a token is for one server, or there is none",
        "IDJAG-59 EMA-15",
        "EMA §5.1",
        _binds_without_resource,
    ),
)
