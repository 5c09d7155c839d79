"""Keys of the identity provider come and go, and strangers cannot make anybody fetch them for ever."""

from joserfc.jwk import Key

from authz import entropy
from authz.lab import forge
from authz.lab.applications import STRANGE_PATH
from authz.lab.bench import Bench
from authz.lab.judgement import Answer, Failed, NotOffered, granted, refused
from authz.lab.scenario import Scenario
from authz.lab.statement import Statement

_UNKNOWN, _MOST = 10, 2
_STEP_SECONDS, _PAUSE_SECONDS = 15, 60
_CACHED_SECONDS = 3600
"""After which a key that was withdrawn has to be forgotten."""


async def _bounds_fetches(bench: Bench) -> str:
    await bench.control()
    if bench.patience.total_seconds() >= _PAUSE_SECONDS:
        # The next unknown key is worth a look again, at most servers.
        await bench.sleep(_PAUSE_SECONDS)
    before = await bench.count_key_fetches()
    for _ in range(_UNKNOWN):
        made = bench.statement().headed(kid=entropy.new_id("lab-unknown"))
        refused(await bench.redeem(made.sign_as_stranger()))
    fetched = await bench.count_key_fetches() - before
    # One for the first unknown name, and one that may have been due anyway.
    if fetched > _MOST:
        raise Failed(f"{_UNKNOWN} unknown keys made the server ask {fetched} times")
    return f"for {_UNKNOWN} unknown keys it asked {fetched} times"


async def _follows(bench: Bench) -> str:
    await bench.control()
    before = await bench.count_key_fetches()
    key = forge.new_key(entropy.new_id("lab-next"))
    bench.idp.publish([bench.idp.key, key])
    try:
        answer, waited = await _until_granted(bench, key)
        asked = await bench.count_key_fetches()
        if not answer.is_granted and (not asked or (asked == before and waited < _CACHED_SECONDS)):
            raise NotOffered(
                f"within {waited:.0f} s the server did not ask for keys: they are pinned there, or "
                "it remembers them; --patience 60s waits for it"
            )
        granted(answer, "an assertion by the new key")
        await bench.control()
    finally:
        bench.idp.publish([bench.idp.key])
    return "the new key is taken, and the old one still"


async def _forgets(bench: Bench) -> str:
    await bench.control()
    if bench.patience.total_seconds() <= _CACHED_SECONDS:
        raise NotOffered("keys may be remembered for an hour: --patience 70m waits for it")
    key = forge.new_key(entropy.new_id("lab-last"))
    bench.idp.publish([bench.idp.key, key])
    try:
        answer, _ = await _until_granted(bench, key)
        if not await bench.count_key_fetches():
            raise NotOffered("the server never asked for keys: they are pinned there")
        granted(answer, "an assertion by the new key")
    finally:
        bench.idp.publish([bench.idp.key])
    await bench.sleep(_CACHED_SECONDS + 60)
    await bench.control()
    return refused(await bench.redeem(_signed_by(bench, key)))


async def _looks_nowhere_for_keys(bench: Bench) -> str:
    await bench.control()
    before = await bench.count_strange_fetches()
    for name in ("jku", "x5u"):
        header = {name: f"{bench.idp.url}{STRANGE_PATH}/{name}"}
        refused(await bench.redeem(bench.statement().headed(**header).sign_as_stranger()))
    if await bench.count_strange_fetches() > before:
        raise Failed("the server asked an address that a forged assertion named")
    return "no address in a header is asked"


async def _looks_nowhere_for_issuers(bench: Bench) -> str:
    await bench.control()
    before = await bench.count_strange_fetches()
    made = bench.statement(iss=f"{bench.idp.url}{STRANGE_PATH}")
    refused(await bench.redeem(made.sign_as_stranger()))
    if await bench.count_strange_fetches() > before:
        raise Failed("the server asked an issuer that nobody trusts for its metadata")
    return "no unknown issuer is asked"


async def _until_granted(bench: Bench, key: Key) -> tuple[Answer, float]:
    """Tries until it works or patience ends; answers how long that was."""
    waited = 0.0
    answer = await bench.redeem(_signed_by(bench, key))
    while not answer.is_granted and waited < bench.patience.total_seconds():
        await bench.sleep(_STEP_SECONDS)
        waited += _STEP_SECONDS
        answer = await bench.redeem(_signed_by(bench, key))
    return answer, waited


def _signed_by(bench: Bench, key: Key) -> str:
    made: Statement = bench.statement().headed(kid=key.kid)
    return forge.sign(key, made.header, made.claims)


_CLAUSE = "RFC 8725bis §3.10; EMA §7.4.1"
SCENARIOS: tuple[Scenario, ...] = (
    Scenario(
        "keys-flood",
        "Unknown keys are looked up once",
        "IDJAG-53 EMA-07",
        _CLAUSE,
        _bounds_fetches,
    ),
    Scenario(
        "keys-elsewhere",
        "Nothing is fetched from where a header points",
        "IDJAG-53 EMA-07",
        _CLAUSE,
        _looks_nowhere_for_keys,
    ),
    Scenario(
        "issuer-unasked",
        "Nothing is fetched from an issuer that nobody trusts",
        "IDJAG-51 EMA-20",
        "RFC 7521 §5.2; ID-JAG §4.1",
        _looks_nowhere_for_issuers,
    ),
    Scenario("keys-new", "A new key is taken", "IDJAG-53 EMA-07", _CLAUSE, _follows),
    Scenario(
        "keys-withdrawn", "A withdrawn key is forgotten", "IDJAG-53 EMA-07", _CLAUSE, _forgets
    ),
)
