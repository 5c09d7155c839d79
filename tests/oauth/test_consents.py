"""What a person need not be asked again, by table (MCP-AS-58, MCP-AS-72, RAR-04)."""

from dataclasses import replace
from datetime import timedelta

import pytest

from authz.oauth.asking import Asking
from authz.oauth.authorization_details import ToolLimit
from authz.oauth.authorization_request import AuthorizationRequest, ReturnAddress
from authz.oauth.consents import covers, settled_scopes
from authz.oauth.facts import StoredConsent
from authz.policy.snapshot import Scope
from tests.support.arrange import REDIRECT, challenge
from tests.support.configured import CLIENT, ISSUER, NOW, RESOURCE, configuration
from tests.support.signed_in import signed_in

BOTH = frozenset({"logs.read", "logs.write"})
LOCAL = "http://127.0.0.1:7/back"
CONFIDENTIAL = replace(CLIENT, auth_methods=frozenset({"client_secret_basic"}))
CONSENT = StoredConsent(
    scopes=BOTH,
    limited=frozenset(),
    versions={},
    redirect_uris=("https://client.example/other", REDIRECT),
    client_digest=CLIENT.digest,
    remembered=True,
    revoked_at=None,
)
REQUEST = AuthorizationRequest(
    client_id=CLIENT.id,
    redirect_uri=REDIRECT,
    state=None,
    code_challenge=challenge(),
    resource=RESOURCE,
    requested=None,
    offline_access=False,
    prompt=frozenset(),
    max_age=None,
    login_hint=None,
)


def asking(request=REQUEST, client=CLIENT):
    return Asking(
        configuration=configuration(),
        client=client,
        request=request,
        address=ReturnAddress(ISSUER, request.redirect_uri, None),
        signed_in=signed_in("d1", "usr_1", NOW - timedelta(minutes=5)),
        query="",
    )


@pytest.mark.parametrize(
    ("consent", "asked", "settled"),
    [
        (CONSENT, asking(), BOTH),
        (replace(CONSENT, limited=frozenset({"logs.write"})), asking(), {"logs.read"}),
        (CONSENT, asking(replace(REQUEST, prompt=frozenset({"none"}))), BOTH),
        (
            replace(CONSENT, redirect_uris=("http://127.0.0.1:9/back",)),
            asking(replace(REQUEST, redirect_uri=LOCAL), CONFIDENTIAL),
            BOTH,
        ),
        (None, asking(), set()),
        (
            CONSENT,
            asking(replace(REQUEST, details=(ToolLimit(RESOURCE.identifier, "rotate", {}),))),
            set(),
        ),
        (CONSENT, asking(replace(REQUEST, prompt=frozenset({"consent"}))), set()),
        (replace(CONSENT, remembered=False), asking(), set()),
        (replace(CONSENT, client_digest="0" * 64), asking(), set()),
        (replace(CONSENT, redirect_uris=("https://client.example/other",)), asking(), set()),
        (replace(CONSENT, redirect_uris=()), asking(), set()),
        (
            replace(CONSENT, redirect_uris=(LOCAL,)),
            asking(replace(REQUEST, redirect_uri=LOCAL)),
            set(),
        ),
    ],
)
def test_what_is_settled(consent, asked, settled):
    """ATK-13: a public client on loopback is always asked about."""
    assert settled_scopes(consent, asked) == settled


@pytest.mark.parametrize(
    ("now", "seen", "settled"),
    [
        (1, {}, BOTH),
        (1, {"logs.read": 1, "logs.write": 1}, BOTH),
        (7, {"logs.write": 7}, BOTH),
        (7, {}, {"logs.read"}),
        (7, {"logs.write": 6}, {"logs.read"}),
        (7, {"logs.write": 8}, {"logs.read"}),
        (7, {"logs.read": 2, "logs.write": 7}, {"logs.write"}),
        (7, {"logs.other": 7}, {"logs.read"}),
    ],
)
def test_a_scope_is_settled_in_the_version_that_was_seen(now, seen, settled):
    """EMA-07: one that nothing is said of was seen in its first; a higher one is of another history."""
    scopes = {**RESOURCE.scopes, "logs.write": Scope("logs.write", version=now)}
    request = replace(REQUEST, resource=replace(RESOURCE, scopes=scopes))
    assert settled_scopes(replace(CONSENT, versions=seen), asking(request)) == settled


@pytest.mark.parametrize(
    ("wanted", "is_covered"),
    [
        (BOTH, True),
        (frozenset({"logs.read"}), True),
        (frozenset(), True),
        (BOTH | {"admin"}, False),
        (frozenset({"admin"}), False),
    ],
)
def test_whether_everything_wanted_is_settled(wanted, is_covered):
    assert covers(CONSENT, asking(), wanted) is is_covered
