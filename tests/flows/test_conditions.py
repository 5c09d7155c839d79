"""What roles and scopes require of a sign-in, and the step-up it leads to (S15, M7, E9, SUA-01 to -04, RFC 9470)."""

import json
import os
import re

import pytest
from sqlalchemy import select

from authz.admin import clients, connections, explain, groups, roles, scopes
from authz.admin.scopes import ScopeChange
from authz.cli.explain import _told
from authz.db.models import IssuedToken, TokenFamily
from authz.directory.assurance import MFA, PASSWORD
from authz.policy.requirements import Requirement, parse
from tests.flows.test_par import link, reference
from tests.support.corporate import Corporate
from tests.support.devices import add_device_client, answer, ask, type_code
from tests.support.fake_idp import SECRET
from tests.support.harness import RESOURCE
from tests.support.mcp_server import Server

ALL = "logs.read analytics.query logs.debug.write incidents.trigger"
BOTH = "logs.read incidents.trigger"
SRE = "sre@example.com"


@pytest.fixture(autouse=True)
def _secret(monkeypatch):
    monkeypatch.setitem(os.environ, "IDP_SECRET", SECRET)


@pytest.fixture
def corp(harness):
    """A company whose engineers are on call here."""
    made = Corporate(harness)
    made.idp.person["groups"] = ["oncall"]
    made.map("groups", "oncall", "sre")
    return made


@pytest.fixture
def known(harness):
    """The browser of a local engineer who has allowed the client everything once."""
    browser = harness.browser(SRE)
    assert browser.decide(browser.sign_in(browser.start(scope=BOTH))).code
    return browser


def require(harness, scope="incidents.trigger", **required):
    """What a scope takes from now on."""
    change = ScopeChange(requires=parse(required))
    harness.change(scopes.edit_scope, harness.resource.id, scope, change)


def needed(page):
    """What the sign-in page says is needed; None when policy asks for nothing."""
    return json.loads(page.field("needed")) if 'name="needed"' in page.text else None


def removed(harness):
    """What was left out of the last token, and why."""
    return harness.events("token.issued")[-1]["detail"]["removed"]


def is_sign_in(page):
    return page.is_login or "/login/start" in page.text


# -- step-up at the identity provider -----------------------------------------------------------------------


def test_a_strong_scope_leads_to_a_strong_sign_in(harness, corp):
    """SUA-01, SUA-02, S15: asked for what is needed, the provider brings it, and the token says so."""
    require(harness, acr="phr")
    browser = harness.browser()
    assert corp.authorize(browser).code
    page = browser.start(scope=BOTH)
    assert needed(page) == {"acr_values": ["phr"], "max_age": None, "connections": []}
    assert "Sign in again" in page.text
    assert "Use a password" not in page.text
    corp.idp.claims["acr"] = "phr"
    page = corp.sign_in(browser, page)
    assert corp.idp.asked[-1]["acr_values"] == "phr"
    assert page.offered == ["incidents.trigger"]
    token = harness.redeem(browser.decide(page).code)
    assert token.scopes == {"logs.read", "incidents.trigger"}
    claims = harness.claims(token.access_token)
    assert (claims["acr"], claims["connection"]) == ("phr", "corp")
    assert harness.refresh(token.refresh_token).scopes == {"logs.read", "incidents.trigger"}
    # This session does from now on, without another page.
    assert browser.start(scope=BOTH, prompt="none").code


def test_two_factors_by_our_own_name(harness, corp):
    """S15: `urn:authz:acr:mfa` is what a provider means that says `mfa` in `amr` and names no acr."""
    require(harness, acr=MFA)
    browser = harness.browser()
    corp.idp.claims["amr"] = ["pwd"]
    assert corp.authorize(browser).code
    page = browser.start(scope=BOTH)
    assert needed(page)["acr_values"] == [MFA]
    corp.idp.claims["amr"] = ["pwd", "mfa"]
    page = corp.sign_in(browser, page)
    assert harness.redeem(browser.decide(page).code).scopes == {"logs.read", "incidents.trigger"}


def test_who_was_not_signed_in_is_told_as_well(harness, corp):
    """SUA-01: the first page cannot know what policy demands of whom; the second says it, and there is no third."""
    require(harness, acr="phr")
    browser = harness.browser()
    page = browser.start(scope=BOTH)
    assert needed(page) is None
    page = corp.sign_in(browser, page)
    assert needed(page) == {"acr_values": ["phr"], "max_age": None, "connections": []}
    page = corp.sign_in(browser, page)
    assert page.offered == ["logs.read"]
    assert harness.redeem(browser.decide(page).code).scopes == {"logs.read"}
    assert removed(harness) == {"incidents.trigger": "acr_insufficient"}


def test_a_weaker_sign_in_than_asked_for_goes_on_with_what_is_left(harness, corp):
    """SUA-01: once for each request, and not for ever."""
    require(harness, acr="phr")
    browser = harness.browser()
    assert corp.authorize(browser).code
    page = corp.sign_in(browser, browser.start(scope=BOTH, state="up"))
    assert page.sent["state"] == "up"
    assert harness.redeem(page.code).scopes == {"logs.read"}
    # Started anew by the client, it is a new question.
    assert needed(browser.start(scope=BOTH)) is not None


def test_where_nothing_is_left_the_client_is_told_why(harness, corp):
    """RFC 9470 section 5, SUA-01."""
    require(harness, acr="phr")
    browser = harness.browser()
    assert corp.authorize(browser).code
    page = corp.sign_in(browser, browser.start(scope="incidents.trigger"))
    assert (page.error, page.reason) == (
        "unmet_authentication_requirements",
        "acr_insufficient",
    )
    refused = harness.events("authorization.refused")[-1]
    assert refused["detail"]["reason"] == "acr_insufficient"


def test_an_unknown_name_is_the_providers_own(harness, corp, known):
    """SUA-01: with an identity provider connected the end result decides, not a list."""
    browser = harness.browser()
    page = browser.start(acr_values="phrh phr")
    page = corp.sign_in(browser, page)
    assert corp.idp.asked[-1]["acr_values"] == "phrh phr"
    assert (page.error, page.reason) == ("unmet_authentication_requirements", "acr_unmet")
    corp.idp.claims["acr"] = "phr"
    page = corp.sign_in(browser, browser.start(acr_values="phrh phr"))
    claims = harness.claims(harness.redeem(browser.decide(page).code).access_token)
    assert claims["acr"] == "phr"
    assert is_sign_in(known.start(acr_values="phr"))
    for malformed in ('"', "\x7f", "é"):
        assert known.start(acr_values=malformed).reason == "acr_unsupported"


def test_what_can_be_asked_for_is_in_the_metadata(harness, corp):
    """SUA-03: of this tenant, as far as anybody could do it."""

    def supported():
        harness.clock.advance(seconds=2)
        found = f"/.well-known/oauth-authorization-server/t/{harness.slug}"
        return harness.http.get(f"{harness.server.base}{found}").json()["acr_values_supported"]

    assert supported() == [PASSWORD, MFA]
    require(harness, acr=["phr", PASSWORD], max_age=60)
    required = Requirement(acr=frozenset({"phrh"}))
    harness.change(roles.require, role="developer", required=required)
    assert supported() == [PASSWORD, MFA, "phr", "phrh"]
    harness.change(connections.set_status, "corp", "disabled")
    assert supported() == [PASSWORD]


def test_the_request_of_a_client_and_of_policy_are_asked_together(harness, corp):
    """SUA-01: one sign-in for both."""
    require(harness, acr=["phr", "phrh"], max_age=300)
    browser = harness.browser()
    corp.idp.claims |= {"acr": "phrh", "auth_time": int(harness.clock().timestamp()) - 250}
    assert corp.authorize(browser).code
    harness.clock.advance(seconds=100)
    page = browser.start(scope=BOTH, acr_values="gold phrh", max_age="400")
    assert needed(page) == {"acr_values": ["phrh"], "max_age": 300, "connections": []}
    corp.idp.claims["auth_time"] = int(harness.clock().timestamp())
    page = corp.sign_in(browser, page)
    assert (corp.idp.asked[-1]["acr_values"], corp.idp.asked[-1]["max_age"]) == ("phrh", "300")
    assert page.offered == ["incidents.trigger"]


@pytest.mark.parametrize(
    "sent", [{"step_up": "1"}, {"step_up": ""}, {"step_up": "1", "signed_in_by": "x"}]
)
def test_no_client_can_say_that_the_person_was_asked(harness, corp, sent):
    """SUA-04: the mark of the sign-in is not a client's to know."""
    require(harness, acr="phr")
    browser = harness.browser()
    assert corp.authorize(browser).code
    page = browser.start(scope=BOTH, **sent)
    assert needed(page) is not None
    corp.idp.claims["acr"] = "phr"
    assert corp.sign_in(browser, page).offered == ["incidents.trigger"]


def test_who_signs_in_first_is_asked_whatever_the_client_says(harness, corp):
    """SUA-04: nor that the page before said it."""
    require(harness, acr="phr")
    browser = harness.browser()
    page = browser.start(scope=BOTH, step_up="1")
    assert "step_up" not in page.field("continue")
    assert needed(corp.sign_in(browser, page)) is not None


def test_somebody_else_is_asked_anew(harness, corp):
    """SUA-01: what one person was asked, the next was not."""
    require(harness, acr="phr")
    browser = harness.browser(SRE)
    page = browser.sign_in(browser.start(scope=BOTH))
    page = browser.sign_in(page)
    assert page.offered == ["logs.read"]
    left = browser.post(
        f"{harness.issuer}/consent/switch", {"consent_id": page.field("consent_id")}
    )
    page = browser.get(harness.server.base + left.location)
    page = corp.sign_in(browser, page)
    assert needed(page) is not None


def test_a_pushed_request_is_stepped_up_as_well(harness, corp):
    """PAR-05: what is ours is in the link, and the request is as it was pushed."""
    require(harness, acr="phr")
    browser = harness.browser()
    assert corp.authorize(browser).code
    page = browser.get(link(harness, reference(harness, scope=BOTH)))
    assert needed(page)["acr_values"] == ["phr"]
    page = corp.sign_in(browser, page)
    assert harness.redeem(page.code).scopes == {"logs.read"}
    corp.idp.claims["acr"] = "phr"
    page = corp.sign_in(browser, browser.get(link(harness, reference(harness, scope=BOTH))))
    assert page.offered == ["incidents.trigger"]


def test_a_provider_that_does_not_ask_again_is_an_answer_and_not_a_loop(harness, corp):
    """SUA-04: by the client's own max_age it is refused, by policy's it goes on with what is left."""
    browser = harness.browser()
    old = int(harness.clock().timestamp()) - 3600
    corp.idp.claims |= {"auth_time": old, "acr": "phr"}
    assert corp.authorize(browser).code
    require(harness, max_age=300)
    page = browser.start(scope=BOTH)
    assert needed(page)["max_age"] == 300
    refused = corp.back(browser, corp.leave(browser, page))
    assert refused.reason == "auth_time_stale"


# -- where somebody signed in -------------------------------------------------------------------------------


def test_a_server_for_people_of_the_company_alone(harness, corp):
    """E9: the same role by a password opens nothing there; they are shown the one way that does."""
    for scope in ALL.split():
        require(harness, scope, connection="corp")
    browser = harness.browser(SRE)
    page = browser.sign_in(browser.start(scope=BOTH))
    assert needed(page) == {"acr_values": [], "max_age": None, "connections": ["corp"]}
    assert "Use a password" not in page.text
    silent = browser.start(scope=BOTH, prompt="none")
    assert silent.error == "interaction_required"
    page = browser.sign_in(page)
    assert (page.error, page.reason) == (
        "unmet_authentication_requirements",
        "connection_not_allowed",
    )
    page = corp.sign_in(browser, browser.start(scope=BOTH))
    token = harness.redeem(browser.decide(page).code)
    assert token.scopes == {"logs.read", "incidents.trigger"}
    assert harness.claims(token.access_token)["connection"] == "corp"


def test_a_connection_that_is_switched_off_is_no_way(harness, corp, known):
    """E9: nobody is asked for what nobody can do, and what stood on it falls."""
    require(harness, connection="corp")
    token = harness.redeem(corp.authorize(harness.browser(), scope=BOTH).code)
    assert "incidents.trigger" in token.scopes
    harness.change(connections.set_status, "corp", "disabled")
    page = known.start(scope=BOTH)
    assert harness.redeem(page.code).scopes == {"logs.read"}
    assert not harness.refresh(token.refresh_token).ok


# -- how long ago -------------------------------------------------------------------------------------------


def test_an_old_sign_in_is_asked_for_again(harness, known):
    """M7, SUA-01: also on the way that shows no page to whom it need not."""
    require(harness, max_age=300)
    harness.clock.advance(seconds=290)
    assert known.start(scope=BOTH).code
    harness.clock.advance(seconds=11)
    page = known.start(scope=BOTH)
    assert page.is_login
    assert needed(page) == {"acr_values": [], "max_age": 300, "connections": []}
    assert known.start(scope="logs.read").code
    token = harness.redeem(known.sign_in(page).code)
    assert token.scopes == {"logs.read", "incidents.trigger"}


def test_without_a_page_it_is_said(harness, known):
    """OIDC-02: the rest is no answer while a sign-in could bring more."""
    require(harness, max_age=300)
    harness.clock.advance(minutes=6)
    page = known.start(scope=BOTH, prompt="none")
    assert (page.error, page.reason) == ("login_required", "step_up_required")
    assert known.start(scope="logs.read", prompt="none").code


def test_default_scopes_are_asked_for_like_any(harness, known):
    """S10."""
    require(harness, "logs.read", max_age=300)
    harness.clock.advance(minutes=6)
    page = known.start(scope=None)
    assert needed(page)["max_age"] == 300
    assert harness.redeem(known.sign_in(page).code).scopes == {"logs.read"}


def test_a_scope_falls_out_of_the_refreshes_of_an_old_sign_in(harness, known):
    """M7: with the reason, and the refresh goes on; a new sign-in brings it back in a grant of its own."""
    require(harness, max_age=300)
    page = known.sign_in(known.start(scope=BOTH, prompt="login"))
    token = harness.redeem(page.code)
    harness.clock.advance(minutes=4)
    token = harness.refresh(token.refresh_token)
    assert token.scopes == {"logs.read", "incidents.trigger"}
    harness.clock.advance(minutes=2)
    token = harness.refresh(token.refresh_token)
    assert token.scopes == {"logs.read"}
    assert removed(harness) == {"incidents.trigger": "authentication_too_old"}
    # Whoever asks for nothing but it gets nothing, and loses nothing.
    denied = harness.refresh(token.refresh_token, scope="incidents.trigger")
    assert (denied.error, denied.reason) == ("access_denied", "nothing_granted")
    assert harness.refresh(token.refresh_token).scopes == {"logs.read"}
    page = known.sign_in(known.start(scope=BOTH))
    assert harness.redeem(page.code).scopes == {"logs.read", "incidents.trigger"}


def test_nothing_left_of_a_refresh_is_denied_without_spending(harness, known):
    """M7, CONF-03: when the condition is taken back, so is the client, without a new sign-in."""
    require(harness, max_age=300)
    page = known.sign_in(known.start(scope="incidents.trigger", prompt="login"))
    token = harness.redeem(page.code)
    harness.clock.advance(minutes=6)
    for _ in range(2):
        denied = harness.refresh(token.refresh_token)
        assert (denied.error, denied.reason) == ("access_denied", "nothing_granted")
    nothing = ScopeChange(requires=Requirement())
    harness.change(scopes.edit_scope, harness.resource.id, "incidents.trigger", nothing)
    assert harness.refresh(token.refresh_token).scopes == {"incidents.trigger"}
    with harness.server.database.read() as tx:
        families = tx.scalars(
            select(TokenFamily).where(TokenFamily.tenant_id == harness.tenant_id)
        ).all()
    assert all(family.revoked_at is None for family in families)


def test_the_moment_a_token_is_made_counts(harness):
    """M7: not the moment it was asked for, nor that of the consent."""
    require(harness, max_age=60)
    browser = harness.browser(SRE)
    page = browser.sign_in(browser.start(scope=BOTH))
    assert sorted(page.offered) == ["incidents.trigger", "logs.read"]
    harness.clock.advance(seconds=50)
    code = browser.decide(page).code
    harness.clock.advance(seconds=11)
    assert harness.redeem(code).scopes == {"logs.read"}
    assert removed(harness) == {"incidents.trigger": "authentication_too_old"}


@pytest.mark.parametrize("chosen", [["incidents.trigger"], ["incidents.trigger", "logs.read"]])
def test_what_became_too_old_while_the_person_read(harness, chosen):
    """M7: told as what it is, not as the person's no."""
    require(harness, max_age=60)
    browser = harness.browser(SRE)
    page = browser.sign_in(browser.start(scope=BOTH))
    harness.clock.advance(seconds=61)
    page = browser.decide(page, scopes=chosen)
    if "logs.read" in chosen:
        assert harness.redeem(page.code).scopes == {"logs.read"}
    else:
        assert page.error == "unmet_authentication_requirements"
        refused = harness.events("authorization.refused")[-1]
        assert refused["detail"]["reason"] == "authentication_too_old"


# -- roles, and who has not signed in -----------------------------------------------------------------------


CONDITIONAL = """
roles:
  developer: [logs.read, analytics.query]
  sre:
    includes: [developer]
    scopes: [incidents.trigger]
    requires: {max_age: 300}
  oncall: {includes: [developer], scopes: [incidents.trigger]}
bindings:
- {role: sre, users: [sre@example.com]}
"""


def test_a_role_that_requires_something_of_who_holds_it(harness, known):
    """S15: by a file; through a group that holds it without any condition there is another way."""
    harness.import_roles(CONDITIONAL)
    harness.clock.advance(minutes=6)
    page = known.start(scope=BOTH)
    assert needed(page)["max_age"] == 300
    assert known.start(scope=BOTH, prompt="none").error == "login_required"
    harness.change(groups.add, name="oncall")
    harness.change(groups.add_member, group="oncall", user=SRE)
    harness.change(roles.bind, role="oncall", kind="group", holder="oncall")
    assert harness.redeem(known.start(scope=BOTH).code).scopes == {"logs.read", "incidents.trigger"}


def test_nobody_is_asked_for_what_nobody_can_do(harness, known):
    """SUA-01: without an identity provider there are passwords alone."""
    require(harness, acr="phr")
    assert harness.redeem(known.start(scope=BOTH).code).scopes == {"logs.read"}
    assert known.start(scope=BOTH, prompt="none").code
    page = known.start(scope="incidents.trigger")
    assert (page.error, page.reason) == ("unmet_authentication_requirements", "acr_insufficient")


def test_nobody_is_asked_for_what_the_client_does_not_get(harness, known):
    """S15: the ceiling is the reason, and no sign-in would mend it."""
    require(harness, max_age=300)
    harness.change(clients.set_ceiling, harness.client_id, frozenset({"logs.read"}))
    harness.clock.advance(minutes=6)
    assert harness.redeem(known.start(scope=BOTH).code).scopes == {"logs.read"}
    assert removed(harness) == {"incidents.trigger": "client_ceiling"}


def test_a_client_on_its_own_has_not_signed_in(harness):
    """S15, L9: what requires anything is not for programs."""
    made = harness.add_client(
        auth_method="client_secret_post", grant_types=("client_credentials",), redirect_uris=()
    )
    harness.change(roles.bind, role="sre", kind="client", holder=made.client.id)
    require(harness, max_age=3600)
    form = {
        "grant_type": "client_credentials",
        "client_id": made.client.id,
        "client_secret": made.secret,
        "resource": RESOURCE,
    }
    assert harness.token({**form, "scope": BOTH}).scopes == {"logs.read"}
    assert removed(harness) == {"incidents.trigger": "authentication_too_old"}
    denied = harness.token({**form, "scope": "incidents.trigger"})
    assert (denied.error, denied.reason) == ("access_denied", "nothing_granted")


def test_a_device_is_offered_what_the_sign_in_is_good_for(harness):
    """DEV-03, L9: the page, the record and the token agree, and the age counts on."""
    require(harness, "logs.debug.write", max_age=300)
    require(harness, "analytics.query", acr="phr")
    harness.change(roles.bind, role="developer", kind="user", holder=SRE)
    client_id = add_device_client(harness)
    asked = ask(harness, client_id, scope="logs.read analytics.query logs.debug.write")
    browser = harness.browser(SRE)
    page = type_code(browser, asked.user_code)
    assert sorted(page.offered) == ["logs.debug.write", "logs.read"]
    answer(browser, page)
    assert harness.events("device.approved")[-1]["detail"]["removed"] == {
        "analytics.query": "acr_insufficient"
    }
    token = asked.poll()
    assert token.scopes == {"logs.read", "logs.debug.write"}
    harness.clock.advance(minutes=6)
    again = harness.refresh(token.refresh_token, client_id=client_id)
    assert again.scopes == {"logs.read"}


# -- what an MCP server demands -----------------------------------------------------------------------------


def challenge(answer):
    """What a client reads in a challenge."""
    return dict(re.findall(r'(\w+)="([^"]*)"', answer.headers["www-authenticate"]))


def test_a_challenge_leads_to_a_sign_in_that_meets_it(harness, corp):
    """RFC 9470, SUA-01, SUA-02, MCP-RS-05: what the server demands travels to the identity provider, and back."""
    server, browser = Server(harness), harness.browser()
    token = harness.redeem(corp.authorize(browser).code).access_token
    assert server.call(token).status_code == 200
    answer = server.call(token, tool="drain_logs")
    assert answer.status_code == 401
    demanded = challenge(answer)
    assert demanded["error"] == "insufficient_user_authentication"
    asked = {name: demanded[name] for name in ("acr_values", "max_age", "scope")}
    assert asked == {"acr_values": "phrh phr", "max_age": "300", "scope": "logs.read"}
    # What they have does not do, and without a page that is all there is to say.
    assert browser.start(**asked, prompt="none").error == "login_required"
    corp.idp.claims |= {"acr": "phr", "auth_time": int(harness.clock().timestamp()) - 10}
    page = corp.sign_in(browser, browser.start(**asked))
    assert (corp.idp.asked[-1]["acr_values"], corp.idp.asked[-1]["max_age"]) == ("phrh phr", "300")
    stronger = harness.redeem(page.code).access_token
    assert harness.claims(stronger)["acr"] == "phr"
    assert server.call(stronger, tool="drain_logs").status_code == 200
    harness.clock.advance(minutes=6)
    assert server.call(stronger).status_code == 200
    assert challenge(server.call(stronger, tool="drain_logs"))["max_age"] == "300"


# -- told afterwards ----------------------------------------------------------------------------------------


def test_explain_says_what_was_required_and_what_the_sign_in_was(harness, corp):
    """Item 4, S15: of the granted and of the removed, and every way to a token agrees with its record."""
    require(harness, acr="phr", connection="corp")
    require(harness, "logs.read", max_age=3600)
    at = harness.clock()
    corp.idp.claims |= {"acr": "pwd", "auth_time": int(at.timestamp())}
    browser = harness.browser()
    page = corp.sign_in(browser, corp.sign_in(browser, browser.start(scope=BOTH)))
    token = harness.redeem(browser.decide(page).code)
    with harness.server.database.read() as tx:
        jti = harness.claims(token.access_token)["jti"]
        found = explain.explain(tx, harness.tenant_id, jti, harness.clock())
        record = json.loads(tx.get_one(IssuedToken, jti).decision)
    moment = at.isoformat().replace("+00:00", "Z")
    assert record["required"] == {
        "incidents.trigger": {"acr": ["phr"], "connection": ["corp"]},
        "logs.read": {"max_age": 3600},
    }
    assert record["signed_in"] == {"auth_time": moment, "acr": "pwd", "connection": "corp"}
    assert found.removed == {"incidents.trigger": "it takes a stronger sign-in"}
    assert found.signed_in == f"at {moment}, acr pwd, through corp"
    told = _told(found)
    assert "signed in: " in told
    assert "incidents.trigger: it takes a stronger sign-in [acr phr, through corp]" in told
    assert "role sre through group" in told
    assert "[signed in 3600 seconds ago at most]" in told


def test_what_requires_nothing_is_told_without_the_sign_in(harness):
    """Item 4."""
    token = harness.redeem(harness.code())
    with harness.server.database.read() as tx:
        jti = harness.claims(token.access_token)["jti"]
        record = json.loads(tx.get_one(IssuedToken, jti).decision)
        found = explain.explain(tx, harness.tenant_id, jti, harness.clock())
    assert not record.keys() & {"required", "signed_in"}
    assert "signed in:" not in _told(found)
