"""Refreshing: rotation, the retry window, reuse, lifetimes, what must stand (O21-16 to O21-20, CONF-09, ATK-54)."""

import base64
import re

import pytest
from sqlalchemy import update

from authz import entropy
from authz.admin import clients, groups, resources, roles, users
from authz.db.models import Consent, TokenFamily
from tests.support.harness import RESOURCE, SCOPES

EVERYTHING = [s.name for s in SCOPES]
WINDOW = 60
IDLE_DAYS, ABSOLUTE_DAYS = 14, 90


@pytest.fixture
def first(harness):
    """The answer to a redeemed code."""
    answer = harness.redeem(harness.code())
    assert answer.ok, answer.reason
    return answer


def family(harness):
    with harness.server.database.read() as tx:
        return tx.query(TokenFamily).filter_by(tenant_id=harness.tenant_id).one()


def unbind(harness):
    harness.change(roles.unbind, role="developer", kind="user", holder="dev@example.com")


def bind(harness, **values):
    harness.change(roles.bind, role="developer", kind="user", holder="dev@example.com", **values)


# -- rotation ---------------------------------------------------------------------------------------------


def test_every_refresh_rotates(harness, first):
    """MCP-AS-78, CONF-09, O21-17: also for a public client, and the family's row counts along."""
    seen, token = {first.refresh_token}, first.refresh_token
    for generation in range(2, 6):
        answer = harness.refresh(token)
        assert answer.ok, answer.reason
        token = answer.refresh_token
        assert token not in seen
        seen.add(token)
        assert family(harness).generation == generation


def test_a_refresh_answers_like_a_redemption(harness, first):
    """MCP-AS-83, O21-11."""
    answer = harness.refresh(first.refresh_token, resource=RESOURCE)
    assert set(answer.json) == set(first.json)
    assert answer.response.headers["cache-control"] == "no-store"
    before, after = harness.claims(first.access_token), harness.claims(answer.access_token)
    assert before["jti"] != after["jti"]
    assert {**before, "jti": None} == {**after, "jti": None}


def test_the_sign_in_keeps_its_age(harness, first):
    """ATJ-03: a refresh is not a sign-in."""
    auth_time = harness.claims(first.access_token)["auth_time"]
    harness.clock.advance(days=3)
    claims = harness.claims(harness.refresh(first.refresh_token).access_token)
    assert claims["auth_time"] == auth_time
    assert claims["iat"] == int(harness.clock().timestamp())


# -- the retry window -------------------------------------------------------------------------------------


@pytest.mark.parametrize("seconds", [0, 1, WINDOW])
def test_a_retry_gets_the_same_successor(harness, first, seconds):
    """MCP-AS-79, O21-18, item 8: byte for byte, with an access token of its own, and no second rotation."""
    once = harness.refresh(first.refresh_token)
    harness.clock.advance(seconds=seconds)
    again = harness.refresh(first.refresh_token)
    assert again.ok, again.reason
    assert again.refresh_token == once.refresh_token
    assert again.access_token != once.access_token
    assert family(harness).generation == 2
    assert [e["detail"]["retry"] for e in harness.events("token.issued")] == [False, False, True]


def test_after_the_window_it_is_reuse_and_all_die(harness, first):
    """O21-17, ATK-54, CONF-09."""
    once = harness.refresh(first.refresh_token)
    harness.clock.advance(seconds=WINDOW + 1)
    reuse = harness.refresh(first.refresh_token)
    assert (reuse.status, reuse.error, reuse.reason) == (400, "invalid_grant", "refresh_reused")
    for token in (once.refresh_token, first.refresh_token):
        assert harness.refresh(token).reason == "family_revoked:refresh_reused"
    [revoked] = harness.events("grant.revoked")
    assert revoked["detail"] == {"grant_id": family(harness).id, "reason": "refresh_reused"}
    assert (revoked["subject"], revoked["client"]) == (harness.users["dev"], harness.client_id)


def test_a_used_successor_makes_its_predecessor_reuse_at_once(harness, first):
    """O21-18, ATK-54: r1 -> r2 -> r3, then r1."""
    second = harness.refresh(first.refresh_token)
    third = harness.refresh(second.refresh_token)
    assert harness.refresh(first.refresh_token).reason == "refresh_reused"
    assert harness.refresh(third.refresh_token).reason == "family_revoked:refresh_reused"


def test_the_window_follows_the_last_rotation_only(harness, first):
    """The one before last is never a retry, however young."""
    second = harness.refresh(first.refresh_token)
    third = harness.refresh(second.refresh_token)
    retry = harness.refresh(second.refresh_token)
    assert retry.refresh_token == third.refresh_token


def test_a_retry_does_not_stretch_the_window(harness, first):
    harness.refresh(first.refresh_token)
    harness.clock.advance(seconds=WINDOW - 10)
    assert harness.refresh(first.refresh_token).ok
    harness.clock.advance(seconds=11)
    assert harness.refresh(first.refresh_token).reason == "refresh_reused"


# -- forgeries --------------------------------------------------------------------------------------------


def forgeries(token, other):
    head, generation, mac = token.rsplit(".", 2)
    raw = bytearray(base64.urlsafe_b64decode(mac + "="))
    raw[0] ^= 1
    flipped = base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
    return {
        "mac": (f"{head}.{generation}.{flipped}", "refresh_forged"),
        "mac-cut": (f"{head}.{generation}.{mac[:-1]}", "refresh_forged"),
        "mac-padded": (f"{head}.{generation}.{mac}=", "refresh_forged"),
        "mac-other-spelling": (
            f"{head}.{generation}.{mac[:-1]}{chr(ord(mac[-1]) + 1)}",
            "refresh_forged",
        ),
        "generation-up": (f"{head}.{int(generation) + 1}.{mac}", "refresh_forged"),
        "generation-far": (f"{head}.999999999.{mac}", "refresh_forged"),
        "generation-too-far": (f"{head}.9999999999.{mac}", "refresh_malformed"),
        "generation-zero": (f"{head}.0.{mac}", "refresh_malformed"),
        "leading-zero": (f"{head}.0{generation}.{mac}", "refresh_malformed"),
        "sign": (f"{head}.+{generation}.{mac}", "refresh_malformed"),
        "arabic-digit": (f"{head}.\u0661.{mac}", "refresh_malformed"),
        "mac-of-another-family": (
            f"{head}.{generation}.{other.rsplit('.', 1)[1]}",
            "refresh_forged",
        ),
        "unknown-family": (f"azr_grt_nobody.{generation}.{mac}", "refresh_unknown"),
        "no-prefix": (token.removeprefix("azr_"), "refresh_malformed"),
        "part-missing": (f"{head}.{generation}", "refresh_malformed"),
        "part-empty": (f"{head}.{generation}.", "refresh_malformed"),
        "a-part-more": (f"{token}.x", "refresh_malformed"),
        "a-code": ("azc_AAAA", "refresh_malformed"),
        "an-access-token": ("eyJh.eyJh.c2ln", "refresh_malformed"),
        "surrogate-free-unicode": (f"{head}.{generation}.\U0001f600", "refresh_forged"),
    }


@pytest.mark.parametrize("kind", sorted(forgeries("azr_f.1.AAAA", "azr_g.1.BBBB")))
def test_a_forgery_is_refused_and_touches_nothing(harness, first, kind):
    """ATK-54: only a genuine old token is evidence of theft, so a guesser cannot end a session."""
    second = harness.refresh(first.refresh_token)
    other = harness.redeem(harness.code("sre", requested=["logs.read"], scopes=["logs.read"]))
    text, reason = forgeries(second.refresh_token, other.refresh_token)[kind]
    with harness.server.database.read() as tx:
        before = tx.query(TokenFamily.generation, TokenFamily.revoked_at).all()
    answer = harness.refresh(text)
    assert (answer.status, answer.error, answer.reason) == (400, "invalid_grant", reason)
    with harness.server.database.read() as tx:
        assert tx.query(TokenFamily.generation, TokenFamily.revoked_at).all() == before
    assert harness.refresh(second.refresh_token).ok


def test_a_forged_old_generation_is_no_reuse(harness, first):
    """The generation alone says nothing; without its MAC it is a guess."""
    token = first.refresh_token
    for _ in range(3):
        token = harness.refresh(token).refresh_token
    head, _, mac = token.rsplit(".", 2)
    assert harness.refresh(f"{head}.1.{mac}").reason == "refresh_forged"
    assert harness.refresh(token).ok


def test_all_defects_share_one_public_sentence(harness, first):
    other = harness.add_client(name="Other").client.id
    texts = {
        harness.refresh("azr_nonsense").response.text,
        harness.refresh("azr_grt_nobody.1.mac").response.text,
        harness.refresh(first.refresh_token[:-2] + "AA").response.text,
        harness.refresh(first.refresh_token, client_id=other).response.text,
    }
    assert len(texts) == 1


def test_another_client_cannot_use_it(harness, first):
    """O21-16, ATK-54: and the family is none the worse for it."""
    other = harness.add_client(name="Other").client.id
    stolen = harness.refresh(first.refresh_token, client_id=other)
    assert (stolen.error, stolen.reason) == ("invalid_grant", "refresh_of_other_client")
    old = first.refresh_token
    new = harness.refresh(old).refresh_token
    harness.clock.advance(minutes=5)
    assert harness.refresh(old, client_id=other).reason == "refresh_of_other_client"
    assert harness.refresh(new).ok


def test_another_tenant_does_not_know_it(harness, first, server):
    """M1."""
    from tests.support.harness import Harness

    other = Harness(server)
    assert other.refresh(first.refresh_token).reason == "refresh_unknown"
    other.close()
    assert harness.refresh(first.refresh_token).ok


def test_an_access_token_is_no_refresh_token_and_no_code(harness, first):
    """ATK-36."""
    assert harness.refresh(first.access_token).reason == "refresh_malformed"
    assert harness.redeem(first.refresh_token).reason == "code_unknown"


# -- scope and resource -----------------------------------------------------------------------------------


def test_scope_shrinks_and_widens_back(harness, first):
    """O21-16: a rotated token keeps the original scope."""
    less = harness.refresh(first.refresh_token, scope="logs.read")
    assert less.scopes == {"logs.read"}
    assert set(harness.claims(less.access_token)["scope"].split()) == {"logs.read"}
    back = harness.refresh(less.refresh_token, scope="analytics.query logs.read")
    assert back.scopes == {"logs.read", "analytics.query"}
    assert harness.refresh(back.refresh_token).scopes == {"logs.read", "analytics.query"}


@pytest.mark.parametrize(
    ("scope", "reason"),
    [
        ("logs.read incidents.trigger", "scope_widened"),
        ("incidents.trigger", "scope_widened"),
        ("nobody.knows", "scope_widened"),
        ("LOGS.READ", "scope_widened"),
        ("logs.read  analytics.query", "scope_malformed"),
        (" ", "scope_malformed"),
        ('logs.read"', "scope_malformed"),
        ("logs.read\tanalytics.query", "scope_malformed"),
        ("x" * 129, "scope_malformed"),
        ("\u00a0", "scope_malformed"),
    ],
)
def test_more_scope_than_granted_is_refused_and_spends_nothing(harness, first, scope, reason):
    """O21-16, ATK-55, ATK-57, ATJ-07."""
    wider = harness.refresh(first.refresh_token, scope=scope)
    assert (wider.status, wider.error, wider.reason) == (400, "invalid_scope", reason)
    assert family(harness).generation == 1
    assert harness.refresh(first.refresh_token).ok


@pytest.mark.parametrize("scope", ["offline_access", "logs.read offline_access openid", ""])
def test_protocol_scopes_are_no_widening(harness, first, scope):
    """MCP-AS-81."""
    answer = harness.refresh(first.refresh_token, scope=scope)
    assert answer.ok, answer.reason
    assert answer.scopes <= {"logs.read", "analytics.query"}
    assert "logs.read" in answer.scopes


@pytest.mark.parametrize(
    ("resource", "reason"),
    [
        (RESOURCE, None),
        (RESOURCE.upper().replace("/MCP", "/mcp"), None),
        ("https://other.example/mcp", "resource_not_authorized"),
        (RESOURCE + "/x", "resource_not_authorized"),
        (RESOURCE + "#x", "resource_malformed"),
        ("mcp", "resource_malformed"),
    ],
)
def test_the_resource_may_only_repeat(harness, first, resource, reason):
    """RI-01, RI-02, MCP-AS-63, MCP-AS-65, ATK-55."""
    harness.add_resource("https://other.example/mcp")
    answer = harness.refresh(first.refresh_token, resource=resource)
    assert answer.reason == reason
    if reason:
        assert answer.error == "invalid_target"
        assert family(harness).generation == 1
    else:
        assert harness.claims(answer.access_token)["aud"] == RESOURCE


# -- lifetimes --------------------------------------------------------------------------------------------


def test_it_dies_of_idleness(harness, first):
    """O21-19, M7."""
    harness.clock.advance(days=IDLE_DAYS)
    late = harness.refresh(first.refresh_token)
    assert (late.error, late.reason) == ("invalid_grant", "refresh_expired")


def test_use_keeps_it_alive_until_the_absolute_end(harness, first):
    """O21-19, M7: each rotation buys idle time, none buys more than the absolute limit."""
    token = first.refresh_token
    for _ in range(ABSOLUTE_DAYS // (IDLE_DAYS - 1)):
        harness.clock.advance(days=IDLE_DAYS - 1)
        answer = harness.refresh(token)
        assert answer.ok, answer.reason
        token = answer.refresh_token
    row = family(harness)
    assert row.idle_expires_at == row.expires_at
    while harness.clock() < row.expires_at:
        harness.clock.advance(days=1)
    assert harness.refresh(token).reason == "refresh_expired"


def test_a_retry_does_not_buy_idle_time(harness, first):
    harness.refresh(first.refresh_token)
    before = family(harness).idle_expires_at
    harness.clock.advance(seconds=30)
    assert harness.refresh(first.refresh_token).ok
    assert family(harness).idle_expires_at == before


# -- what must still stand --------------------------------------------------------------------------------


def test_a_removed_role_shrinks_the_next_refresh_and_comes_back(harness):
    """L6, O21-20, ATK-55, ATK-71: the family remembers what was granted, the roles decide what is."""
    answer = harness.redeem(harness.code("sre", requested=EVERYTHING, scopes=EVERYTHING))
    whole = answer.scopes
    text = "roles: {sre: [logs.read]}\nbindings: [{role: sre, users: [sre@example.com]}]"
    harness.import_roles(text)
    answer = harness.refresh(answer.refresh_token)
    assert answer.scopes == {"logs.read"}
    assert harness.events("token.issued")[-1]["detail"]["removed"] == {
        "incidents.trigger": "role_missing",
        "logs.debug.write": "role_missing",
    }
    harness.import_roles(
        text.replace("[logs.read]", "[logs.read, logs.debug.write, incidents.trigger]")
    )
    assert harness.refresh(answer.refresh_token).scopes == whole


def test_a_new_role_does_not_widen_an_old_grant(harness, first):
    """ATK-55, ATK-58, S4: the grant is a ceiling."""
    harness.import_roles(
        f"roles: {{developer: [{', '.join(EVERYTHING)}]}}\n"
        "bindings: [{role: developer, users: [dev@example.com]}]"
    )
    assert harness.refresh(first.refresh_token).scopes == {"logs.read", "analytics.query"}


def test_a_role_ends_by_the_clock(harness):
    """L5: `until` is a moment, not a job."""
    from datetime import timedelta

    until = harness.clock() + timedelta(minutes=30)
    harness.change(roles.bind, role="sre", kind="user", holder="dev@example.com", until=until)
    answer = harness.redeem(harness.code(requested=EVERYTHING, scopes=EVERYTHING))
    assert answer.scopes == set(EVERYTHING)
    harness.clock.advance(minutes=29, seconds=59)
    answer = harness.refresh(answer.refresh_token)
    assert answer.scopes == set(EVERYTHING)
    harness.clock.advance(seconds=1)
    answer = harness.refresh(answer.refresh_token)
    assert answer.scopes == {"logs.read", "analytics.query"}
    assert harness.events("token.issued")[-1]["detail"]["removed"] == {
        "incidents.trigger": "role_expired",
        "logs.debug.write": "role_expired",
    }


def test_a_group_brings_and_takes_a_role(harness, first):
    """L5."""
    harness.change(groups.add, name="ops")
    harness.change(roles.bind, role="sre", kind="group", holder="ops")
    harness.change(groups.add_member, group="ops", user="dev@example.com")
    answer = harness.redeem(harness.code(requested=EVERYTHING, scopes=EVERYTHING))
    assert answer.scopes == set(EVERYTHING)
    harness.change(groups.remove_member, group="ops", user="dev@example.com")
    assert harness.refresh(answer.refresh_token).scopes == {"logs.read", "analytics.query"}


def test_a_narrower_client_ceiling_counts(harness, first):
    """L9, S6."""
    harness.change(clients.set_ceiling, harness.client_id, frozenset({"logs.read"}))
    answer = harness.refresh(first.refresh_token)
    assert answer.scopes == {"logs.read"}
    harness.change(clients.set_ceiling, harness.client_id, None)
    assert harness.refresh(answer.refresh_token).scopes == {"logs.read", "analytics.query"}


def test_a_withdrawn_consent_scope_counts(harness, first):
    """ATK-58, ATK-71."""
    with harness.server.database.write() as tx:
        tx.execute(
            update(Consent)
            .where(Consent.tenant_id == harness.tenant_id)
            .values(scopes=frozenset({"analytics.query"}))
        )
    answer = harness.refresh(first.refresh_token)
    assert answer.scopes == {"analytics.query"}
    assert harness.events("token.issued")[-1]["detail"]["removed"] == {
        "logs.read": "consent_withheld"
    }


def test_no_role_left_is_denied_without_spending(harness, first):
    """CONF-03: when the role comes back, so does the client, without a new sign-in."""
    unbind(harness)
    for _ in range(2):
        denied = harness.refresh(first.refresh_token)
        assert (denied.status, denied.error) == (400, "access_denied")
        assert denied.reason == "nothing_granted"
    assert family(harness).generation == 1
    bind(harness)
    assert harness.refresh(first.refresh_token).ok


def revoke_consent(harness):
    with harness.server.database.write() as tx:
        tx.execute(
            update(Consent)
            .where(Consent.tenant_id == harness.tenant_id)
            .values(revoked_at=harness.clock())
        )


@pytest.mark.parametrize(
    ("change", "error", "reason"),
    [
        (
            lambda h: h.change(users.disable, "dev@example.com"),
            "invalid_grant",
            "family_revoked:user_disabled",
        ),
        (lambda h: h.change(clients.block, h.client_id), "invalid_client", "client_blocked"),
        (revoke_consent, "invalid_grant", "consent_revoked"),
        (
            lambda h: h.change(resources.set_status, RESOURCE, "disabled"),
            "invalid_target",
            "resource_gone",
        ),
    ],
    ids=["user-disabled", "client-blocked", "consent-revoked", "resource-disabled"],
)
def test_what_the_grant_stands_on_must_stand(harness, first, change, error, reason):
    """O21-20, ATK-71, L8."""
    change(harness)
    answer = harness.refresh(first.refresh_token)
    assert (answer.error, answer.reason) == (error, reason)
    assert family(harness).generation == 1


def test_what_was_revoked_with_an_account_stays_revoked(harness, first):
    """ATK-59: enabling the account again does not bring sessions back."""
    harness.change(users.disable, "dev@example.com")
    harness.change(users.enable, "dev@example.com")
    assert harness.refresh(first.refresh_token).reason == "family_revoked:user_disabled"


def test_a_blocked_client_has_to_ask_again(harness, first):
    harness.change(clients.block, harness.client_id)
    harness.change(clients.unblock, harness.client_id)
    assert harness.refresh(first.refresh_token).reason == "family_revoked:client_blocked"


def test_a_disabled_resource_comes_back(harness, first):
    harness.change(resources.set_status, RESOURCE, "disabled")
    assert harness.refresh(first.refresh_token).reason == "resource_gone"
    harness.change(resources.set_status, RESOURCE, "active")
    assert harness.refresh(first.refresh_token).ok


def test_a_confidential_client_authenticates_at_refresh(harness):
    """O21-16, MCP-AS-78: possession of the token is not enough."""
    made = harness.add_client(name="Confidential", auth_method="client_secret_post")
    client_id = made.client.id
    code = harness.code(client_id=client_id)
    first = harness.redeem(code, client_id=client_id, client_secret=made.secret)
    bare = harness.refresh(first.refresh_token, client_id=client_id)
    assert (bare.error, bare.reason) == ("invalid_client", "client_unauthenticated")
    assert harness.refresh(first.refresh_token, client_id=client_id, client_secret=made.secret).ok


def test_one_family_does_not_know_the_other(harness, first):
    """Two sign-ins are two grants; reuse in one leaves the other alone."""
    other = harness.redeem(harness.code())
    harness.refresh(first.refresh_token)
    harness.clock.advance(minutes=2)
    assert harness.refresh(first.refresh_token).reason == "refresh_reused"
    assert harness.refresh(other.refresh_token).ok


# -- nothing secret is kept -------------------------------------------------------------------------------


def test_neither_database_nor_log_holds_what_can_be_presented(harness):
    """O21-15, ATK-66, MCP-AS-86, V1: every column of every table, every field of every log event."""
    from authz.db.models import Base
    from tests.support.harness import LOG

    made = harness.add_client(name="Confidential", auth_method="client_secret_post")
    secret = {"client_id": made.client.id, "client_secret": made.secret}
    mark = len(LOG.events)
    browser = harness.browser()
    code = browser.authorize().code
    first = harness.redeem(code)
    second = harness.refresh(first.refresh_token)
    harness.redeem(code)
    harness.redeem(harness.code(client_id=made.client.id), **secret)
    harness.refresh(second.refresh_token, client_secret="wrong-" + made.secret)
    canaries = [code, made.secret, *browser.http.cookies.values()]
    for answer in (first, second):
        canaries += [answer.access_token, answer.refresh_token]
        canaries.append(answer.access_token.rsplit(".", 1)[1])
        canaries.append(answer.refresh_token.rsplit(".", 1)[1])
    haystacks = [repr(event) for event in LOG.events[mark:]]
    with harness.server.database.read() as tx:
        for table in Base.metadata.sorted_tables:
            # As stored, whatever other tests did to their rows.
            for row in tx.connection().exec_driver_sql(f"SELECT * FROM {table.name}"):
                haystacks.append(" ".join(map(str, row)))
    dump = "\n".join(haystacks)
    assert harness.client_id in dump
    for canary in canaries:
        assert len(canary) > 30
        assert canary not in dump
        # Nor a digest of a refresh token: nothing derived from one is stored.
    for answer in (first, second):
        assert entropy.digest(answer.refresh_token) not in dump
    assert not re.search(r"azr_[^ ]*\.\d+\.", dump)
