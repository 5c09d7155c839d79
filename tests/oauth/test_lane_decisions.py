"""What the lane makes of one decision: pure, and never at its neighbours' expense."""

from authz.errors import InvalidGrant
from authz.oauth.facts import FactKeys, Facts, Replay
from authz.oauth.lane import Job, Stale, Unsigned, _decide
from tests.support.configured import NOW, TENANT_ID, configuration

CONFIGURATION = configuration()
REFUSAL = InvalidGrant("it was presented before", reason="jti_replayed")


def job(*replays, decide):
    return Job(
        configuration=CONFIGURATION,
        keys=FactKeys(replays=replays),
        decide=decide,
        client_id="c",
        grant_type="client_credentials",
        is_signed_ahead=True,
    )


def unsigned(facts, now):
    raise Unsigned


def test_what_was_not_signed_is_decided_again_and_leaves_the_others_theirs():
    """What its neighbours in the batch were the first to present is still theirs to claim."""
    own = Replay("own", NOW, REFUSAL)
    kept = Replay("kept", NOW, REFUSAL, spent_by_refusal=False)
    facts = Facts(claimed={"own", "kept", "neighbour"})
    result = _decide(job(own, kept, decide=unsigned), {TENANT_ID: CONFIGURATION}, facts, NOW)
    assert isinstance(result, Stale)
    # Its own is remembered by now and must not count against its second turn; what a refusal spares stays.
    assert result.claimed == {"own"}
    assert facts.claimed == {"kept", "neighbour"}
