"""Assertions and requests with proofs of possession (DPoP)."""

from joserfc.jwk import Key

from authz import entropy
from authz.lab import forge
from authz.lab.bench import Bench
from authz.lab.judgement import (
    GRANT,
    Answer,
    Failed,
    NotOffered,
    claims_of,
    granted,
    refused,
    shown,
)
from authz.lab.scenario import Scenario
from authz.lab.statement import STRANGER

_PROOF = frozenset({"invalid_dpop_proof"})
_EITHER = GRANT | _PROOF


async def _needs_proof(bench: Bench) -> str:
    await bench.control()
    made = bench.statement(cnf={"jkt": _key().thumbprint()})
    return refused(await bench.redeem(made.sign()), _EITHER)


async def _needs_that_key(bench: Bench) -> str:
    _offered(bench)
    await _takes_the_key(bench)
    made = bench.statement(cnf={"jkt": _key().thumbprint()})
    return refused(await _with_proof(bench, made.sign(), _key()), _EITHER)


async def _takes_the_key(bench: Bench) -> str:
    _offered(bench)
    key = _key()
    made = bench.statement(cnf={"jkt": key.thumbprint()})
    answer = granted(await _with_proof(bench, made.sign(), key), "an assertion with its key")
    kind = answer.document.get("token_type")
    if not isinstance(kind, str) or kind.lower() != "dpop":
        raise Failed(f"`token_type` is {shown(kind)}: the token is not bound to the key")
    return "redeemed for a token of the type DPoP"


async def _binds_the_token(bench: Bench) -> str:
    _offered(bench)
    key = _key()
    made = bench.statement(cnf={"jkt": key.thumbprint()})
    answer = granted(await _with_proof(bench, made.sign(), key), "an assertion with its key")
    found = claims_of(answer).get("cnf")
    if not isinstance(found, dict) or found.get("jkt") != key.thumbprint():
        raise Failed(f"`cnf` of the token is {shown(found)}")
    return "`cnf` of the token is the key"


async def _judges_proof(bench: Bench) -> str:
    _offered(bench)
    key = _key()
    granted(await _with_proof(bench, bench.statement().sign(), key), "a good proof")
    text = bench.statement().sign()
    return refused(await _with_proof(bench, text, key, htu=f"{STRANGER}/token"), _PROOF)


async def _judges_method(bench: Bench) -> str:
    _offered(bench)
    key = _key()
    granted(await _with_proof(bench, bench.statement().sign(), key), "a good proof")
    return refused(await _with_proof(bench, bench.statement().sign(), key, htm="GET"), _PROOF)


async def _takes_proof_once(bench: Bench) -> str:
    _offered(bench)
    key, jti = _key(), entropy.new_id("pop")
    first = await _with_proof(bench, bench.statement().sign(), key, jti=jti)
    granted(first, "a good proof")
    return refused(await _with_proof(bench, bench.statement().sign(), key, jti=jti), _PROOF)


def _offered(bench: Bench) -> None:
    if not bench.metadata.get("dpop_signing_alg_values_supported"):
        raise NotOffered("DPoP is not in the metadata")


def _key() -> Key:
    return forge.new_key(entropy.new_id("lab-dpop"))


async def _with_proof(bench: Bench, assertion: str, key: Key, **changed: str) -> Answer:
    """With a nonce where the server wants one (RFC 9449 §8)."""
    nonce = None
    for _ in range(2):
        proof = forge.proof(
            key, method="POST", url=bench.token_endpoint, now=bench.clock(), nonce=nonce, **changed
        )
        answer = await bench.redeem(assertion, proof=proof)
        nonce = answer.headers.get("dpop-nonce")
        if answer.error != "use_dpop_nonce" or nonce is None:
            break
    return answer


_DRAFT = "ID-JAG §9.9.1.2"
SCENARIOS: tuple[Scenario, ...] = (
    Scenario(
        "bound-no-proof",
        "A bound assertion is refused without a proof",
        "IDJAG-72 EMA-23",
        _DRAFT,
        _needs_proof,
    ),
    Scenario(
        "bound-other-key",
        "A bound assertion is refused with another key",
        "IDJAG-72 EMA-23",
        _DRAFT,
        _needs_that_key,
    ),
    Scenario(
        "bound-own-key",
        "A bound assertion is redeemed with its key",
        "IDJAG-72 EMA-23",
        _DRAFT,
        _takes_the_key,
    ),
    Scenario(
        "bound-token", "The token is bound to the same key", "IDJAG-72", _DRAFT, _binds_the_token
    ),
    Scenario(
        "proof-elsewhere",
        "A proof for another address is refused",
        "IDJAG-73",
        "RFC 9449 §4.3",
        _judges_proof,
    ),
    Scenario(
        "proof-method",
        "A proof for another method is refused",
        "IDJAG-73",
        "RFC 9449 §4.3",
        _judges_method,
    ),
    Scenario(
        "proof-twice", "A proof is good once", "IDJAG-73", "RFC 9449 §11.1", _takes_proof_once
    ),
)
