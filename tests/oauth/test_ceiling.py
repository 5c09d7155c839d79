"""Every way to a token has the same ceiling (L9): one person, request and sign-in give the same scopes and reasons."""

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from authz import entropy
from authz.errors import AccessDenied, InsufficientUserAuthentication, InvalidScope
from authz.oauth import refresh, silent
from authz.oauth.authorization import FreshNames, TokenRequest
from authz.oauth.authorization_request import AuthorizationRequest, ReturnAddress
from authz.oauth.devices import APPROVED, DEVICE_GRANT
from authz.oauth.facts import (
    Approval,
    BrowserSession,
    Code,
    Device,
    Facts,
    Family,
    LinkedIdentity,
    StoredConsent,
)
from authz.oauth.grants import GRANTS
from authz.oauth.grants.jwt_bearer import JWT_BEARER
from authz.oauth.id_jag import IdJag
from authz.oauth.params import Params
from authz.oauth.trust import ID_JAG, Trust, TrustSettings
from authz.policy import OF_AUTHENTICATION, Subject, decide
from authz.policy.agents import Agent, Agents
from authz.policy.requirements import Requirement
from authz.policy.snapshot import Connection, HeldRole, Scope, build
from authz.settings import Tokens
from tests.support.arrange import REDIRECT, VERIFIER, challenge
from tests.support.configured import CLIENT, ISSUER, NOW, RESOURCE, TENANT_ID, configuration
from tests.support.signed_in import signed_in

SCOPES = ("a", "b", "c")
EVERYTHING = frozenset(SCOPES)
WORKER = replace(
    CLIENT,
    auth_methods=frozenset({"client_secret_basic"}),
    grant_types=frozenset(
        {"authorization_code", "refresh_token", "client_credentials", DEVICE_GRANT}
    ),
)
NOTHING = (AccessDenied, InsufficientUserAuthentication, InvalidScope)
"""How grants say that nothing is left."""
AGES = (timedelta(0), timedelta(seconds=60), timedelta(seconds=61), timedelta(days=1))
requirements = st.none() | st.builds(
    Requirement,
    acr=st.none() | st.frozensets(st.sampled_from(["pwd", "mfa"]), min_size=1),
    max_age=st.none() | st.just(60),
    connection=st.none() | st.frozensets(st.sampled_from(["local", "okta"]), min_size=1),
).filter(lambda it: it != Requirement())
agents = st.builds(
    Agent,
    id=st.just("agt_1"),
    slug=st.just("helper"),
    owner_id=st.just("usr_2"),
    enabled=st.sampled_from([True, True, True, False]),
    resources=st.sampled_from([frozenset({RESOURCE.id})] * 3 + [frozenset()]),
    scope_ceiling=st.none() | st.frozensets(st.sampled_from(SCOPES)),
    expires_at=st.sampled_from([None, None, NOW, NOW + timedelta(microseconds=1)]),
)
worlds = st.fixed_dictionaries(
    {
        "of_scopes": st.fixed_dictionaries(dict.fromkeys(SCOPES, requirements)),
        "of_roles": st.tuples(requirements, requirements),
        "held": st.tuples(
            st.frozensets(st.sampled_from(SCOPES)), st.frozensets(st.sampled_from(SCOPES))
        ),
        "is_included": st.booleans(),
        "ceiling": st.none() | st.frozensets(st.sampled_from(SCOPES)),
        "agent": st.none() | agents,
        "age": st.sampled_from(AGES),
        "acr": st.sampled_from([None, "pwd", "mfa"]),
        "connection_id": st.sampled_from([None, "con_okta"]),
        "is_open": st.booleans(),
    }
)


class World:
    """One policy, one person, one client and one sign-in."""

    def __init__(self, drawn: dict[str, Any]) -> None:
        self.drawn = drawn
        first, second = drawn["of_roles"]
        self.resource = replace(
            RESOURCE, scopes={s: Scope(s, requires=drawn["of_scopes"][s]) for s in SCOPES}
        )
        self.policy = build(
            7,
            resources=[self.resource],
            roles=[("rol_1", "one"), ("rol_2", "two")],
            role_scopes=[
                (role, "*", scope)
                for role, scopes in zip(("rol_1", "rol_2"), drawn["held"], strict=True)
                for scope in scopes
            ],
            role_parents=[("rol_1", "rol_2")] if drawn["is_included"] else [],
            role_requires={r: it for r, it in (("rol_1", first), ("rol_2", second)) if it},
            group_roles=[],
            client_roles=[(WORKER.id, role, None) for role in ("rol_1", "rol_2")],
            connections=[Connection("con_okta", "okta", drawn["is_open"])],
        )
        agent = drawn["agent"]
        self.configuration = configuration(
            policy=self.policy, agents=Agents({} if agent is None else {WORKER.id: agent})
        )
        self.client = replace(WORKER, scope_ceiling=drawn["ceiling"])
        self.session = signed_in(
            "d1",
            "usr_1",
            NOW - drawn["age"],
            acr=drawn["acr"],
            connection_id=drawn["connection_id"],
        )
        self.roles = {"usr_1": (HeldRole("rol_1"), HeldRole("rol_2"))}

    def decided(self, subject):
        return decide(
            self.policy,
            subject,
            self.resource,
            client=self.client.id,
            requested=EVERYTHING,
            ceilings=self.configuration.ceilings(self.client, self.resource, NOW),
            now=NOW,
        )

    def person(self):
        return Subject(
            "usr_1", authentication=self.session.authentication, roles=self.roles["usr_1"]
        )

    def granted(self, grant_type, fields, assertion=None, **facts):
        """What a grant gives: the record that is stored; None where nothing is left."""
        request = TokenRequest(
            configuration=self.configuration,
            client=self.client,
            params=Params(fields.items()).only(GRANTS[grant_type].parameters),
            lifetimes=Tokens(),
            confirmation=None,
            assertion=assertion,
            fresh=FreshNames(jti="at_new", family_id="grt_new", salt="salt"),
        )
        try:
            outcome = GRANTS[grant_type].decide(request, Facts(roles=self.roles, **facts), NOW)
        except NOTHING:
            return None
        if isinstance(outcome.answer, NOTHING):
            return None
        [token] = outcome.changes.tokens
        record = json.loads(token.decision)
        assert outcome.answer.scopes == token.scopes == frozenset(record["granted"])
        assert outcome.events[-1].removed == record["removed"]
        return record

    def stood_on(self):
        """How the sign-in is kept with whatever was made from it."""
        it = self.session
        return {
            "auth_time": it.auth_time,
            "acr": it.acr,
            "amr": it.amr,
            "connection_id": it.connection_id,
            "session_digest": it.digest,
            "signed_in_at": it.signed_in_at,
        }

    def by_code(self):
        code = Code(
            digest=entropy.digest("azc_1"),
            tenant_id=TENANT_ID,
            client_id=self.client.id,
            user_id="usr_1",
            resource_id=self.resource.id,
            redirect_uri=REDIRECT,
            code_challenge=challenge(),
            scopes=EVERYTHING,
            requested=EVERYTHING,
            offline_access=False,
            openid=None,
            nonce=None,
            authorization_details=None,
            dpop_jkt=None,
            upstream_expires_at=None,
            created_at=NOW,
            expires_at=NOW + timedelta(seconds=60),
            **self.stood_on(),
        )
        fields = {"code": "azc_1", "code_verifier": VERIFIER}
        return self.granted("authorization_code", fields, codes={code.digest: code})

    def by_refresh(self):
        family = Family(
            id="grt_1",
            tenant_id=TENANT_ID,
            client_id=self.client.id,
            user_id="usr_1",
            resource_id=self.resource.id,
            scopes=EVERYTHING,
            refreshable=True,
            salt="s",
            generation=1,
            rotated_at=NOW,
            confirmation=None,
            authorization_details=None,
            created_at=NOW,
            idle_expires_at=NOW + timedelta(days=1),
            expires_at=NOW + timedelta(days=30),
            revoked_at=None,
            revoked_because=None,
            consent_scopes=EVERYTHING,
            **self.stood_on(),
        )
        token = refresh.spell(self.configuration.refresh_key, family)
        return self.granted("refresh_token", {"refresh_token": token}, families={"grt_1": family})

    def by_device(self):
        device = Device(
            digest=entropy.digest("azd_1"),
            tenant_id=TENANT_ID,
            user_code="u",
            client_id=self.client.id,
            resource_id=self.resource.id,
            requested=EVERYTHING,
            offline_access=False,
            status=APPROVED,
            poll_interval=5,
            polled_at=None,
            asked_from="192.0.2.1",
            created_at=NOW,
            expires_at=NOW + timedelta(minutes=8),
            approval=Approval(
                user_id="usr_1", scopes=EVERYTHING, upstream_expires_at=None, **self.stood_on()
            ),
            subject_enabled=True,
            consent_stands=True,
        )
        return self.granted(DEVICE_GRANT, {"device_code": "azd_1"}, devices={device.digest: device})

    def by_assertion(self):
        trust = Trust("trs_1", "okta", ID_JAG, "con_okta", "https://okta.example", TrustSettings())
        it = self.session
        assertion = IdJag(
            trust=trust,
            subject="00u1",
            jti="j1",
            issued_at=NOW,
            expires_at=NOW + timedelta(minutes=5),
            scopes=EVERYTHING,
            resources=(self.resource.canonical,),
            auth_time=it.auth_time,
            acr=it.acr,
            amr=it.amr,
            jkt=None,
            email=None,
            email_verified=False,
            name=None,
            claims={},
            authorization_details=None,
        )
        identity = LinkedIdentity(
            tenant_id=TENANT_ID,
            connection_id="con_okta",
            subject="00u1",
            user_id="usr_1",
            user_status="active",
            cut_at=None,
        )
        facts = {"identities": {("con_okta", "00u1"): identity}, "claimed": {assertion.replay_key}}
        return self.granted(JWT_BEARER, {"assertion": "x"}, assertion, **facts)

    def by_silence(self):
        """The scopes of a code without a page; None where a page is needed."""
        asked = silent.SilentRequest(
            configuration=self.configuration,
            client=self.client,
            request=AuthorizationRequest(
                client_id=self.client.id,
                redirect_uri=REDIRECT,
                state="s",
                code_challenge=challenge(),
                resource=self.resource,
                requested=EVERYTHING,
                offline_access=False,
                prompt=frozenset(),
                max_age=None,
                login_hint=None,
            ),
            address=ReturnAddress(ISSUER, REDIRECT, "s"),
            session_digest="d1",
            code_lifetime=timedelta(seconds=60),
        )
        consent = StoredConsent(
            scopes=EVERYTHING,
            limited=frozenset(),
            versions={},
            redirect_uris=(REDIRECT,),
            client_digest=self.client.digest,
            remembered=True,
            revoked_at=None,
        )
        facts = Facts(
            sessions={
                "d1": BrowserSession(self.session, TENANT_ID, NOW + timedelta(hours=1), None, True)
            },
            consents={("usr_1", self.client.id, self.resource.id): consent},
            roles=self.roles,
        )
        outcome = silent.job_of(asked).decide(facts, NOW)
        return outcome.changes.new_codes[0].scopes if outcome.answer else None


@settings(max_examples=300, deadline=None)
@given(worlds)
def test_every_way_to_a_token_has_the_same_ceiling(drawn):
    """L9, S15: redeemed, refreshed, on another device or asserted, the record is the same, word by word."""
    world = World(drawn)
    decided = world.decided(world.person())
    expected = json.loads(json.dumps(decided.as_json())) if decided.granted else None
    assert world.by_code() == expected
    assert world.by_refresh() == expected
    assert world.by_device() == expected
    if drawn["connection_id"] == "con_okta":
        # An assertion is about the people of its connection.
        assert world.by_assertion() == expected


@settings(max_examples=200, deadline=None)
@given(worlds)
def test_an_agent_never_gets_more_than_its_person(drawn):
    """S4, M6: token(agent for user) is within token(user), whatever the policy and by whatever way."""
    bounded, free = World(drawn), World({**drawn, "agent": None})
    for way in ("by_code", "by_refresh", "by_device", "by_assertion"):
        with_agent, without = getattr(bounded, way)(), getattr(free, way)()
        assert (with_agent or {"granted": {}})["granted"].items() <= (without or {"granted": {}})[
            "granted"
        ].items()


@settings(max_examples=200, deadline=None)
@given(worlds)
def test_without_a_page_there_is_all_or_a_page(drawn):
    """L9, SUA-01: the silent way gives what the others give, or leaves it to the page: a sign-in may bring more."""
    world = World(drawn)
    decided = world.decided(world.person())
    found = world.by_silence()
    if found is not None:
        assert found == decided.granted
    elif decided.granted:
        assert set(decided.removed.values()) & OF_AUTHENTICATION


@settings(max_examples=200, deadline=None)
@given(worlds)
def test_a_client_on_its_own_gets_what_requires_nothing(drawn):
    """L9, S15: the same roles through the same function, and nobody signed in."""
    world = World(drawn)
    roles = tuple(HeldRole(role) for role in ("rol_1", "rol_2"))
    decided = world.decided(Subject(WORKER.id, roles=roles))
    expected = json.loads(json.dumps(decided.as_json())) if decided.granted else None
    assert world.granted("client_credentials", {"scope": "a b c"}) == expected
    assert decided.granted <= world.decided(world.person()).granted or not drawn["is_open"]
    for scope in decided.granted:
        assert drawn["of_scopes"][scope] is None
