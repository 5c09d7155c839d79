"""What a sign-in has to be for a request (RFC 9470, SUA-01, S15), by table."""

from dataclasses import replace
from datetime import timedelta

import pytest

from authz.directory.assurance import MFA, PASSWORD, UNKNOWN_TIME
from authz.errors import (
    InteractionRequired,
    LoginRequired,
    OAuthError,
    UnmetAuthenticationRequirements,
)
from authz.oauth.asking import Needed
from authz.oauth.authorization_request import AuthorizationRequest
from authz.oauth.step_up import (
    check_what_came_of_it,
    lacking,
    needed_by,
    needed_for,
    needs_sign_in,
    refused_for_lack,
    refused_silently,
)
from authz.policy import Subject, decide
from authz.policy.requirements import Requirement
from authz.policy.snapshot import Connection, HeldRole, Resource, Scope, build
from tests.support.arrange import REDIRECT, challenge
from tests.support.configured import CLIENT, NOW
from tests.support.signed_in import signed_in

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
TICK = timedelta(microseconds=1)
OKTA, OLD = Connection("con_1", "okta", True), Connection("con_2", "old", False)
ENTRA = Connection("con_3", "entra", True)
SCOPES = ("free", "strong", "fresh", "okta", "keyed")
REQUIRES = {
    "strong": Requirement(acr=frozenset({MFA, "phr"})),
    "fresh": Requirement(max_age=300),
    "okta": Requirement(connection=frozenset({"okta", "old"})),
    "keyed": Requirement(acr=frozenset({"key"})),
}
RESOURCE = Resource(
    "res_1",
    "https://mcp.example/mcp",
    "https://mcp.example/mcp",
    "Operations",
    scopes={name: Scope(name, is_default=True, requires=REQUIRES.get(name)) for name in SCOPES},
)
WISH = AuthorizationRequest(
    client_id=CLIENT.id,
    redirect_uri=REDIRECT,
    state="s",
    code_challenge=challenge(),
    resource=RESOURCE,
    requested=None,
    offline_access=False,
    prompt=frozenset(),
    max_age=None,
    login_hint=None,
)
SESSION = signed_in("d" * 64, "usr_1", NOW - HOUR, acr=PASSWORD)


def policy(connections=(OKTA, OLD)):
    return build(
        7,
        resources=[RESOURCE],
        roles=[("rol_1", "one")],
        role_scopes=[("rol_1", "*", name) for name in SCOPES],
        role_parents=[],
        group_roles=[],
        connections=connections,
    )


def decision(asked, session=SESSION, connections=(OKTA, OLD)):
    made = policy(connections)
    return decide(
        made,
        Subject("usr_1", authentication=session.authentication, roles=(HeldRole("rol_1"),)),
        RESOURCE,
        client=CLIENT.id,
        requested=None if asked is None else frozenset(asked.split()),
        ceilings=(),
        now=NOW,
    )


def needed(asked, *, session=SESSION, connections=(OKTA, OLD), **wish):
    decided = decision(asked, session, connections)
    return needed_for(decided, replace(WISH, **wish), session, policy(connections))


@pytest.mark.parametrize(
    ("asked", "given", "expected"),
    [
        ("free", {}, None),
        ("", {}, None),
        ("free unheard.of", {}, None),
        ("fresh", {"session": replace(SESSION, auth_time=NOW - 5 * MINUTE)}, None),
        ("fresh", {}, Needed((), 300)),
        ("free fresh", {}, Needed((), 300)),
        ("strong", {}, Needed(("phr", MFA), None)),
        ("okta", {}, Needed((), None, ("okta",))),
        ("okta fresh strong", {}, Needed(("phr", MFA), 300, ("okta",))),
        # Both cannot be had at once: as many as go together, the first by name.
        ("strong keyed", {}, Needed(("key",), None)),
        (None, {}, Needed(("key",), 300, ("okta",))),
        # Nobody could: the local directory knows passwords alone, and the provider is off.
        ("strong", {"connections": ()}, None),
        ("strong fresh", {"connections": ()}, Needed((), 300)),
        ("okta", {"connections": (OLD, ENTRA)}, None),
        # What the client wants has to hold besides.
        ("fresh", {"max_age": 60}, Needed((), 60)),
        ("fresh", {"max_age": 3600}, Needed((), 300)),
        ("fresh", {"acr_values": (PASSWORD,)}, Needed((PASSWORD,), 300)),
        ("strong", {"acr_values": (PASSWORD, "phr", MFA)}, Needed(("phr", MFA), None)),
        ("strong", {"acr_values": (PASSWORD, MFA, "phr")}, Needed((MFA, "phr"), None)),
        ("strong", {"acr_values": (PASSWORD,)}, None),
        # They were asked, and did what they did.
        ("fresh", {"was_stepped_up": True, "signed_in_by": SESSION.mark}, None),
        ("fresh", {"was_stepped_up": True, "signed_in_by": "x"}, Needed((), 300)),
        ("fresh", {"was_stepped_up": True}, Needed((), 300)),
        ("fresh", {"signed_in_by": SESSION.mark}, Needed((), 300)),
    ],
)
def test_what_policy_demands(asked, given, expected):
    """SUA-01, S15, M7: what is missing of what was asked for, as far as there is a way, and once."""
    assert needed(asked, **given) == expected


def test_of_several_providers_those_are_named_that_are_open():
    session = replace(SESSION, connection_id="con_3")
    assert needed("okta", session=session, connections=(OKTA, OLD, ENTRA)).connections == ("okta",)


@pytest.mark.parametrize(
    ("wish", "session", "expected"),
    [
        ({}, SESSION, False),
        ({}, None, True),
        ({"prompt": frozenset({"login"})}, SESSION, True),
        ({"prompt": frozenset({"select_account"})}, SESSION, True),
        ({"prompt": frozenset({"none"})}, SESSION, False),
        ({"acr_values": (PASSWORD, "x")}, SESSION, False),
        ({"acr_values": ("x",)}, SESSION, True),
        ({"max_age": 3600}, SESSION, False),
        ({"max_age": 3599}, SESSION, True),
        ({"max_age": 0}, replace(SESSION, auth_time=NOW - timedelta(seconds=30)), False),
        (
            {"max_age": 29},
            replace(SESSION, auth_time=NOW - timedelta(seconds=30, microseconds=1)),
            True,
        ),
        ({"max_age": 999_999_999}, replace(SESSION, auth_time=UNKNOWN_TIME), True),
    ],
    ids=lambda value: value.mark if hasattr(value, "mark") else None,
)
def test_whether_a_session_does(wish, session, expected):
    """SUA-01, OIDC-02: a moment is enough of an age for any `max_age`, so that zero can be met."""
    assert needs_sign_in(replace(WISH, **wish), session, NOW) is expected


def test_what_a_client_asks_for():
    assert needed_by(replace(WISH, acr_values=("a", "b"), max_age=5)) == Needed(("a", "b"), 5)
    assert needed_by(WISH) == Needed()


JUST = signed_in("d" * 64, "usr_1", NOW - MINUTE, acr="weak")


@pytest.mark.parametrize(
    ("wish", "session", "reason"),
    [
        ({"acr_values": ("phr",), "signed_in_by": JUST.mark}, JUST, "acr_unmet"),
        ({"acr_values": ("phr",), "signed_in_by": "x"}, JUST, None),
        ({"acr_values": ("phr",)}, JUST, None),
        ({"acr_values": ("weak",), "signed_in_by": JUST.mark}, JUST, None),
        # The provider let somebody in whom it had not asked again (SUA-04).
        (
            {"max_age": 60, "signed_in_by": JUST.mark},
            replace(JUST, auth_time=NOW - HOUR),
            "max_age_unmet",
        ),
        (
            {"max_age": 60, "signed_in_by": JUST.mark},
            replace(JUST, auth_time=UNKNOWN_TIME),
            "max_age_unmet",
        ),
        ({"max_age": 60, "signed_in_by": "x"}, replace(JUST, auth_time=NOW - HOUR), None),
        # It did; the page lay open since.
        ({"max_age": 59, "signed_in_by": JUST.mark}, JUST, None),
        ({"max_age": 59, "signed_in_by": JUST.mark}, replace(JUST, auth_time=NOW - HOUR), None),
        ({"prompt": frozenset({"login"}), "signed_in_by": JUST.mark}, JUST, None),
    ],
    ids=lambda value: value.mark if hasattr(value, "mark") else None,
)
def test_a_sign_in_that_did_not_do_is_an_answer(wish, session, reason):
    """SUA-01, SUA-04: and not a loop."""
    request = replace(WISH, **wish)
    if reason is None:
        assert check_what_came_of_it(request, session, NOW) is None
        return
    with pytest.raises(UnmetAuthenticationRequirements) as refusal:
        check_what_came_of_it(request, session, NOW)
    assert (refusal.value.reason, refusal.value.description.isascii()) == (reason, True)


@pytest.mark.parametrize(
    ("asked", "expected", "reason"),
    [
        ("fresh", LoginRequired, "step_up_required"),
        ("strong", LoginRequired, "step_up_required"),
        ("okta", InteractionRequired, "connection_not_allowed"),
        ("okta fresh", LoginRequired, "step_up_required"),
    ],
)
def test_without_a_page_the_answer_says_what_a_page_could_do(asked, expected, reason):
    """OIDC-02: to sign in, or to choose where."""
    refusal = refused_silently(decision(asked))
    assert type(refusal) is expected
    assert isinstance(refusal, OAuthError)
    assert (refusal.reason, refusal.description.isascii()) == (reason, True)


def test_what_is_lacking_is_told_in_a_fixed_order():
    decided = decision("okta fresh strong free unheard.of")
    assert lacking(decided) == ["fresh", "okta", "strong"]
    refusal = refused_for_lack(decided)
    assert (refusal.code, refusal.reason) == (
        "unmet_authentication_requirements",
        "authentication_too_old",
    )
    assert lacking(decision("free unheard.of")) == []
