import json
from datetime import timedelta

import pytest

from authz.admin import clients, users
from authz.admin.client_metadata import Registration
from authz.admin.explain import explain
from authz.audit.events import TokenIssued
from authz.db.models import IssuedToken, TokenFamily
from authz.directory.assurance import UNKNOWN_TIME, Authentication
from authz.errors import NotFound
from authz.policy import Conditions, Decision, Reason
from authz.policy.requirements import Requirement
from tests.admin.conftest import START

JTI = "jti_of_the_token"


@pytest.fixture
def token(desk):
    """A token as the token endpoint leaves it: row, family and event."""
    user = desk.do(users.add, login="sre@example.com", name="", password_hash=None)
    registration = Registration(name="Editor", redirect_uris=("https://app.example/cb",))
    client = desk.do(clients.add, registration).client
    family = desk.give_family(user.id, client.id)
    decision = Decision(
        policy_version=7,
        subject=user.id,
        client=client.id,
        resource="https://mcp.example/mcp",
        requested=frozenset({"logs.read", "admin.all", "incidents.trigger"}),
        sources={"logs.read": "role sre (includes developer) through group oncall"},
        removed={"admin.all": Reason.ROLE_MISSING, "incidents.trigger": Reason.CONSENT_WITHHELD},
    )
    issued = TokenIssued(
        grant_type="authorization_code",
        jti=f"{JTI}{desk.slug}",
        grant_id=family,
        resource="https://mcp.example/mcp",
        scopes=["logs.read"],
        removed={},
        policy_version=7,
        refresh_token=True,
        subject=user.id,
        client=client.id,
    )

    def write(tx):
        tx.add(
            IssuedToken(
                jti=f"{JTI}{desk.slug}",
                tenant_id=desk.tenant_id,
                family_id=family,
                client_id=client.id,
                subject=user.id,
                resource_id="res_x",
                scopes=frozenset({"logs.read"}),
                decision=json.dumps(decision.as_json()),
                issued_at=desk.now,
                expires_at=desk.now + timedelta(minutes=10),
            )
        )
        desk.operator.record(tx, desk.tenant_id, issued)

    desk.sql(write)
    return IssuedToken(jti=f"{JTI}{desk.slug}", family_id=family, subject=user.id)


@pytest.mark.parametrize(
    ("authentication", "connection", "told"),
    [
        (None, None, "nobody had signed in"),
        (
            Authentication(START, "mfa", "con_x"),
            "okta",
            "at 2026-03-01T12:00:00Z, acr mfa, through okta",
        ),
        (
            Authentication(UNKNOWN_TIME, None),
            "local",
            "at a time nobody told, acr unknown, through local",
        ),
    ],
    ids=["nobody", "okta", "unknown"],
)
def test_what_was_required_of_the_sign_in_and_what_it_was(
    desk, token, authentication, connection, told
):
    """Item 4, S15: of what was granted and of what was removed for it; also what nobody could meet."""
    required = {
        "logs.read": Requirement(max_age=300),
        "incidents.trigger": Requirement(frozenset(), None, frozenset({"okta"})),
    }
    decision = Decision(
        policy_version=7,
        subject=token.subject,
        client="c",
        resource="https://mcp.example/mcp",
        requested=None,
        sources={"logs.read": "role sre"},
        removed={"incidents.trigger": Reason.ACR_INSUFFICIENT},
        conditions=Conditions(required, authentication, connection),
    )

    def rewrite(tx):
        tx.get_one(IssuedToken, token.jti).decision = json.dumps(decision.as_json())

    desk.sql(rewrite)
    found = ask(desk, token)
    assert found.removed == {"incidents.trigger": "it takes a stronger sign-in"}
    assert found.required == {
        "logs.read": "signed in 300 seconds ago at most",
        "incidents.trigger": "acr of no kind, through okta",
    }
    assert found.signed_in == told


def ask(desk, token):
    return desk.ask(explain, token.jti, desk.now)


def test_who_got_what_through_whom_and_why_not_the_rest(desk, token):
    found = ask(desk, token)
    assert (found.login, found.subject) == ("sre@example.com", token.subject)
    assert found.client_name == "Editor"
    assert (found.required, found.signed_in) == ({}, None)
    assert found.resource == "https://mcp.example/mcp"
    assert found.requested == ["admin.all", "incidents.trigger", "logs.read"]
    assert found.granted == {"logs.read": "role sre (includes developer) through group oncall"}
    assert found.removed == {
        "admin.all": "no role of this person holds it",
        "incidents.trigger": "the person did not allow it",
    }
    assert (found.policy_version, found.grant_id) == (7, token.family_id)
    assert (found.valid, found.state) == (True, "valid")
    assert found.recorded.strand == "main"
    assert found.recorded.grant_type == "authorization_code"


def test_a_token_ends_with_its_time(desk, token):
    desk.wait(minutes=10)
    found = ask(desk, token)
    assert (found.valid, found.state) == (False, "expired at 2026-03-01T12:10:00Z")


def test_a_token_ends_with_its_grant(desk, token):
    desk.wait(minutes=1)
    desk.do(users.disable, "sre@example.com")
    found = ask(desk, token)
    assert not found.valid
    assert found.state == "its grant was revoked at 2026-03-01T12:01:00Z (user_disabled)"


def test_a_token_may_be_revoked_alone(desk, token):
    desk.sql(lambda tx: setattr(tx.get_one(IssuedToken, token.jti), "revoked_at", desk.now))
    assert ask(desk, token).state == "revoked at 2026-03-01T12:00:00Z"


def test_what_is_not_there_any_more_is_not_needed(desk, token):
    desk.sql(lambda tx: tx.delete(tx.get_one(TokenFamily, token.family_id)))
    desk.do(clients.remove, ask(desk, token).client)
    found = ask(desk, token)
    assert (found.client_name, found.grant_since) == (None, None)


def test_a_token_of_another_tenant_is_not_told_of(desk, token):
    with pytest.raises(NotFound, match="no access token with the jti 'unknown'"):
        desk.ask(explain, "unknown", desk.now)
    with (
        desk.services.database.read() as tx,
        pytest.raises(NotFound, match="issued by another tenant"),
    ):
        explain(tx, "ten_other", token.jti, desk.now)
