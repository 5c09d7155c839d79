"""Token exchange before it decides where a token leads (RFC 8693): what it has to know, and whose grant it is."""

from dataclasses import replace
from datetime import timedelta

import pytest

from authz.errors import InvalidRequest, OAuthError
from authz.oauth.facts import FactKeys
from authz.oauth.grants import GRANTS
from authz.oauth.token_types import ACCESS_TOKEN_TYPE, ID_JAG_TYPE, UPSTREAM_CREDENTIAL_TYPE
from tests.oauth.test_grants import DEVELOPER, FAMILY
from tests.oauth.test_releasing import ROBOT, TOKEN_EXCHANGE, asked, facts, world
from tests.support.configured import NOW

GRANT = GRANTS[TOKEN_EXCHANGE]
FAMILIES = frozenset({"grt_1"})


def request(**changes):
    """Of the server's own client, for the credential it may have."""
    made, found = asked(
        world(), client="cli_server", server="res_1", name="own", held={"logs.read"}
    )
    return replace(made, subject_token=replace(found, **changes))


@pytest.mark.parametrize(
    ("changes", "keys"),
    [
        ({}, FactKeys(families=FAMILIES, tokens=frozenset({"at_1"}))),
        (
            {"wanted": ACCESS_TOKEN_TYPE},
            FactKeys(families=FAMILIES, tokens=frozenset({"at_1"})),
        ),
        # Of an ID token, or a refresh token: neither has a record of its own.
        ({"wanted": ID_JAG_TYPE, "claims": {}}, FactKeys(families=FAMILIES, people_of=FAMILIES)),
        (
            {"wanted": ID_JAG_TYPE, "claims": {"jti": 7}},
            FactKeys(families=FAMILIES, people_of=FAMILIES),
        ),
    ],
)
def test_what_the_lane_has_to_know(changes, keys):
    assert GRANT.prepare(request(**changes)) == keys


def test_without_a_subject_token_there_is_nothing_to_exchange():
    """TX-01."""
    with pytest.raises(InvalidRequest) as refused:
        GRANT.prepare(replace(request(), subject_token=None))
    assert refused.value.reason == "subject_token_missing"


@pytest.mark.parametrize("wanted", [ACCESS_TOKEN_TYPE, ID_JAG_TYPE])
def test_what_a_client_got_for_itself_leads_nowhere(wanted):
    """TX-07: a token without a person is for its server, and nothing is told about it in the trail."""
    with pytest.raises(OAuthError) as refused:
        GRANT.decide(request(wanted=wanted), facts("res_1"), NOW)
    assert refused.value.reason == "subject_token_without_person"


@pytest.mark.parametrize(
    ("family", "reason"),
    [
        (None, "credential_unread"),
        (replace(FAMILY, expires_at=NOW), "subject_token_dead"),
        (replace(FAMILY, expires_at=NOW + timedelta(seconds=1)), "credential_unread"),
        (replace(FAMILY, expires_at=NOW, tenant_id="ten_2"), "credential_unread"),
        (replace(FAMILY, expires_at=NOW, id="grt_2"), "credential_unread"),
    ],
)
def test_a_credential_is_not_released_once_its_grant_has_ended(family, reason):
    """V4: everything but the reading of the secret is right here."""
    known = facts("res_1")
    known.families = {} if family is None else {family.id: family}
    known.roles = DEVELOPER
    outcome = GRANT.decide(request(wanted=UPSTREAM_CREDENTIAL_TYPE), known, NOW)
    [event] = outcome.events
    assert (outcome.answer.reason, event.reason) == (reason, reason)
    assert (event.grant_type, event.credential) == (TOKEN_EXCHANGE, "own")
    assert (event.subject, event.client, event.grant_id) == (ROBOT, "cli_server", "grt_1")
