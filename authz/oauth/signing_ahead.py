"""Answers signed before they are decided for good: how keys that are elsewhere, and may be out of reach, sign tokens.

A key of this process signs after the commit, in microseconds. A key store may take seconds, or not answer at all:
after the commit that would be a code spent and a token nobody gets, and inside the transaction it would hold locks for
as long as the store likes. So a request of a tenant with such keys takes two turns in the lane:

1. a trial, which decides on the facts of now and changes nothing;
2. the signatures over what the trial said, outside of any transaction and off the event loop;
3. the real turn, which decides again and commits only if it comes to the same: then the signed answer leaves.

Where the real turn comes to something else (somebody took a role away meanwhile), the request is prepared and signed
anew. Where it refuses, the refusal stands; where the trial refused and it would not, the request is prepared anew as
well. What was signed and not committed is never sent, and its `jti` is on no record, so it is nobody's token.

Where the store does not sign: 503 with Retry-After, an event that says so, and nothing is spent. The same request may
come again, with the same code, and each request still gets its answer exactly once.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any

from authz.errors import OAuthError, SignerUnavailable
from authz.keys import ACCESS_TOKEN, ID_JAG, ID_TOKEN
from authz.oauth.asserting import IssuedIdJag, id_jag_response
from authz.oauth.authorization import Authorization, Outcome
from authz.oauth.configuration import TenantConfiguration
from authz.oauth.facts import FactKeys, Facts
from authz.oauth.issuing import response
from authz.oauth.lane import Job, Result, Unsigned
from authz.oauth.releasing import Released

MAY_SIGN = (ACCESS_TOKEN, ID_TOKEN, ID_JAG)
"""What a token request may come to be signed for."""
_MOMENTS = ("iat", "exp")
Decide = Callable[[Facts, datetime], Outcome]


@dataclass(frozen=True)
class SignedAhead:
    """An answer that is ready to leave."""

    body: Mapping[str, Any]

    def __repr__(self) -> str:
        return "SignedAhead(***)"


async def signed(
    answer: Authorization | IssuedIdJag, configuration: TenantConfiguration, algorithm: str
) -> Mapping[str, Any]:
    """What the client is sent. Raises SignerUnavailable."""
    work = partial(_signed_body, answer, configuration, algorithm)
    return await configuration.keys.aside(_purposes_of(answer), answer.issued_at, work)


def _purposes_of(answer: Authorization | IssuedIdJag) -> tuple[str, ...]:
    if isinstance(answer, IssuedIdJag):
        return (ID_JAG,)
    return (ACCESS_TOKEN,) if answer.id_token is None else (ACCESS_TOKEN, ID_TOKEN)


def _signed_body(
    answer: Authorization | IssuedIdJag, configuration: TenantConfiguration, algorithm: str
) -> Mapping[str, Any]:
    if isinstance(answer, IssuedIdJag):
        return id_jag_response(answer, configuration)
    return response(answer, configuration, algorithm=algorithm)


async def sign_ahead(job: Job, submit: Callable[[Job], Awaitable[Result]], algorithm: str) -> Job:
    """The job whose answer is signed by now, unless there will be none. Raises SignerUnavailable."""
    tried = await submit(job.as_trial())
    if not isinstance(tried, tuple) or isinstance(tried[0].answer, OAuthError):
        # Its own turn says so once more, and records it; and should it not, nothing is spent for what nobody signed.
        return replace(job, decide=partial(_decide_refused, job.decide), is_signed_ahead=True)
    answer, configuration = tried[0].answer, tried[1]
    if isinstance(answer, Released):
        # There is nothing of ours in it to sign.
        return job
    try:
        body = await signed(answer, configuration, algorithm)
    except SignerUnavailable as error:
        await submit(replace(job, keys=FactKeys(), decide=partial(_refuse, error), cure=None))
        raise
    decide = partial(_decide, job.decide, answer, SignedAhead(body))
    return replace(job, decide=decide, is_signed_ahead=True)


def _decide_refused(decide: Decide, facts: Facts, now: datetime) -> Outcome:
    outcome = decide(facts, now)
    if not isinstance(outcome.answer, OAuthError):
        raise Unsigned
    return outcome


def _decide(
    decide: Decide,
    expected: Authorization | IssuedIdJag,
    signed: SignedAhead,
    facts: Facts,
    now: datetime,
) -> Outcome:
    outcome = decide(facts, now)
    if isinstance(outcome.answer, OAuthError):
        return outcome
    if not is_same(expected, outcome.answer):
        raise Unsigned
    return replace(outcome, answer=signed)


def is_same(signed: Authorization | IssuedIdJag, decided: Authorization | IssuedIdJag) -> bool:
    """Whether both say the same, but for the moment: what was signed ends no later than what is decided now."""
    if decided.expires_at < signed.expires_at or decided.issued_at < signed.issued_at:
        return False
    began, ends = signed.issued_at, signed.expires_at
    if isinstance(signed, IssuedIdJag) and isinstance(decided, IssuedIdJag):
        said = {**decided.claims, **{name: signed.claims[name] for name in _MOMENTS}}
        return replace(decided, issued_at=began, expires_at=ends, claims=said) == signed
    if isinstance(signed, Authorization) and isinstance(decided, Authorization):
        return replace(decided, issued_at=began, expires_at=ends) == signed
    return False


def _refuse(error: SignerUnavailable, facts: Facts, now: datetime) -> Outcome:  # noqa: ARG001
    raise error
