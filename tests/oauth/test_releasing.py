"""The decision about a credential by itself (V4): whatever else is true, it goes to the server's own client alone."""

from dataclasses import replace
from datetime import timedelta
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authz.audit.events import CredentialReleased, TokenRefused
from authz.errors import (
    AccessDenied,
    InsufficientUserAuthentication,
    InvalidRequest,
    InvalidScope,
    InvalidTarget,
    OAuthError,
    ServerError,
    UnauthorizedClient,
)
from authz.oauth.authorization import FreshNames, TokenRequest
from authz.oauth.facts import Facts, IssuedToken
from authz.oauth.grants import GRANTS
from authz.oauth.params import Params
from authz.oauth.releasing import Released, decide_release, foreseen
from authz.oauth.subject_tokens import SubjectToken
from authz.oauth.token_types import UPSTREAM_CREDENTIAL_TYPE
from authz.oauth.upstream_credentials import UpstreamCredential, UpstreamCredentials
from authz.oauth.upstream_secrets import UpstreamSecret
from authz.oauth.workload_trust import Workloads
from authz.policy.agents import Agent, Agents
from authz.policy.requirements import Requirement
from authz.policy.snapshot import HeldRole
from authz.settings import Tokens
from tests.oauth.test_grants import FAMILY, ISSUED, TICK
from tests.oauth.test_workload import RULES, TRUST
from tests.support.configured import CLIENT, NOW, RESOURCE, TENANT_ID, configuration, policy

TOKEN_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"

OTHER = replace(
    RESOURCE, id="res_2", identifier="https://two.example/mcp", canonical="https://two.example/mcp",
    client_id="cli_other",
)  # fmt: skip
SERVERS = {it.id: it for it in (RESOURCE, OTHER)}
SCOPES = ("logs.read", "logs.write", "admin")
ROBOT = "cli_robot"
SERVER_CLIENT = replace(CLIENT, id="cli_server", auth_methods=frozenset({"client_secret_basic"}))


def world(needed=frozenset(), *, is_developer=True, first=RESOURCE):
    """Both servers have a credential `key`; the first has one `own`, the second one `theirs`."""
    bound = [
        UpstreamCredential(f"ucr_{server}_{name}", server, name, f"vault:{server}/{name}", needed)
        for server, name in (("res_1", "key"), ("res_2", "key"), ("res_1", "own"), ("res_2", "theirs"))
    ]  # fmt: skip
    roles = [("rol_dev", None)] if is_developer else []
    held = MappingProxyType({ROBOT: tuple(HeldRole(*it) for it in roles)})
    return configuration(
        policy=replace(policy(resources=(first, OTHER)), client_roles=held),
        credentials=UpstreamCredentials.of(bound),
    )


def asked(conf, *, client, server, name, held, secret=None, fields=(), **claims):
    found = SubjectToken(
        UPSTREAM_CREDENTIAL_TYPE,
        "grt_1",
        {
            "jti": "at_1",
            "sub": ROBOT,
            "aud": SERVERS[server].identifier,
            "scope": " ".join(sorted(held)),
            **claims,
        },
    )
    request = TokenRequest(
        configuration=conf,
        client=replace(SERVER_CLIENT, id=client),
        params=Params([*([] if name is None else [("audience", name)]), *fields]),
        lifetimes=Tokens(),
        subject_token=found,
        fresh=FreshNames("at_new", "grt_new", "s"),
        upstream_secret=secret,
    )
    return request, found


def facts(server, *, revoked=False):
    token = IssuedToken(
        jti="at_1",
        tenant_id=TENANT_ID,
        client_id=ROBOT,
        subject=ROBOT,
        resource_id=server,
        expires_at=NOW + timedelta(minutes=5),
        revoked_at=NOW if revoked else None,
        family_id=None,
        family_revoked_at=None,
        connection_id=None,
        subject_enabled=False,
        client_kind="registered",
        client_status="active",
        client_ceiling=None,
    )
    return Facts(tokens={"at_1": token})


@given(
    client=st.sampled_from(["cli_server", "cli_other", ROBOT, "cli_stranger"]),
    server=st.sampled_from(list(SERVERS)),
    name=st.sampled_from(["key", "own", "theirs", "nobodys"]),
    held=st.frozensets(st.sampled_from(SCOPES), min_size=1),
    needed=st.frozensets(st.sampled_from(SCOPES)),
    is_developer=st.booleans(),
    revoked=st.booleans(),
    may_act=st.sampled_from([None, "cli_server", "cli_other"]),
)
def test_it_is_released_exactly_where_everything_says_so(
    client, server, name, held, needed, is_developer, revoked, may_act
):
    conf = world(needed, is_developer=is_developer)
    claims = {} if may_act is None else {"may_act": {"sub": may_act}}
    request, found = asked(conf, client=client, server=server, name=name, held=held, **claims)
    credential = foreseen(request, found)
    if credential is not None:
        # As `gather` does: nothing is read for whoever is refused anyhow.
        secret = UpstreamSecret(credential.reference, f"value of {credential.reference}", "3")
        request = replace(request, upstream_secret=secret)
    given_now = frozenset({"logs.read", "logs.write"}) if is_developer else frozenset()
    is_right = (
        client == SERVERS[server].client_id
        and may_act in (None, client)
        and conf.credentials.find(server, name) is not None
        and needed <= held
        and needed <= given_now
        and not given_now.isdisjoint(held)
        and not revoked
    )
    try:
        outcome = decide_release(request, found, None, facts(server, revoked=revoked), NOW)
    except OAuthError:
        assert not is_right
        return
    assert is_right
    reference = f"vault:{server}/{name}"
    assert outcome.answer == Released(f"value of {reference}")
    [event] = outcome.events
    assert isinstance(event, CredentialReleased)
    assert (event.reference, event.version, event.resource) == (
        reference,
        "3",
        SERVERS[server].identifier,
    )
    assert outcome.changes == type(outcome.changes)()
    assert "value of" not in repr(outcome) + repr(request)


@pytest.mark.parametrize(("name", "told"), [("key", "key"), ("theirs", "theirs"), ("x", None)])
def test_a_refusal_names_the_credential_where_there_is_one(name, told):
    """V4: whoever may not have it is found in the trail by its name; a name that nobody gave is not repeated."""
    request, _ = asked(world(), client=ROBOT, server="res_1", name=name, held={"logs.read"})
    outcome = GRANTS[TOKEN_EXCHANGE].decide(request, facts("res_1"), NOW)
    assert isinstance(outcome.answer, OAuthError)
    [event] = outcome.events
    assert isinstance(event, TokenRefused)
    assert (event.credential, event.reason) == (told, outcome.answer.reason)
    assert (event.subject, event.client, event.grant_id) == (ROBOT, ROBOT, "grt_1")


@pytest.mark.parametrize("read", [None, "vault:res_2/key"])
def test_what_was_read_for_another_credential_is_not_sent(read):
    """The token's own word is not its record's: what was read by the first does not leave by the second."""
    secret = None if read is None else UpstreamSecret(read, "value", None)
    request, found = asked(
        world(), client="cli_server", server="res_1", name="key", held={"logs.read"}, secret=secret
    )
    with pytest.raises(ServerError) as refused:
        decide_release(request, found, None, facts("res_1"), NOW)
    assert refused.value.reason == "credential_unread"


@pytest.mark.parametrize(
    ("reference", "changed"),
    [
        ("vault:res_1/key", {}),
        ("vault:res_1/own", {"name": "own"}),
        ("vault:res_2/key", {"client": "cli_other", "server": "res_2"}),
        (None, {"client": "cli_other"}),
        (None, {"server": "res_2"}),
        (None, {"client": ROBOT}),
        (None, {"name": "theirs"}),
        (None, {"held": {"logs.write"}}),
        (None, {"aud": f"{RESOURCE.identifier}/"}),
    ],
)
def test_what_is_read_before(reference, changed):
    """V4: no store is asked for whoever will be refused by what the token says of itself."""
    good = {"client": "cli_server", "server": "res_1", "name": "key", "held": {"logs.read"}}
    found = foreseen(*asked(world(frozenset({"logs.read"})), **{**good, **changed}))
    assert (None if found is None else found.reference) == reference


READ, WRITE = frozenset({"logs.read"}), frozenset({"logs.write"})
BOTH = READ | WRITE
WITH_TOOL = replace(
    RESOURCE,
    scopes={**RESOURCE.scopes, "logs.read": replace(RESOURCE.scopes["logs.read"], tools=("tail",))},
)
FRESH_READ = replace(
    RESOURCE,
    scopes={
        **RESOURCE.scopes,
        "logs.read": replace(RESOURCE.scopes["logs.read"], requires=Requirement(max_age=60)),
    },
)
FOR_PEOPLE = replace(RESOURCE, is_user_required=True)
LIMITED = [{"type": "mcp_tool", "locations": [RESOURCE.identifier], "tool": "tail"}]
DEVELOPER = (HeldRole("rol_dev"),)


def agent(**changed):
    return Agent(
        **{
            "id": "agt_1",
            "slug": "helper",
            "owner_id": "usr_2",
            "enabled": True,
            "resources": frozenset({RESOURCE.id}),
            **changed,
        }
    )


def of_person(
    needed=READ,
    *,
    held=BOTH,
    name="key",
    client="cli_server",
    first=RESOURCE,
    token=ISSUED,
    family=FAMILY,
    roles=DEVELOPER,
    groups=frozenset(),
    limited_to=None,
    agents=None,
    fields=(),
    **claims,
):
    """What comes of a person's token for the first server, which its own client presents."""
    conf = world(needed, first=first)
    conf = replace(
        conf,
        policy=replace(
            conf.policy, client_groups={} if limited_to is None else {CLIENT.id: limited_to}
        ),
        agents=Agents(agents or {}),
    )
    secret = UpstreamSecret(f"vault:res_1/{name}", "value", "3")
    request, found = asked(
        conf,
        client=client,
        server="res_1",
        name=name,
        held=held,
        secret=secret,
        fields=fields,
        **{"sub": "usr_1", **claims},
    )
    known = Facts(
        tokens={} if token is None else {token.jti: token},
        roles={"usr_1": roles},
        groups={"usr_1": groups},
    )
    return decide_release(request, found, family, known, NOW)


def test_what_the_trail_says_of_a_persons_token():
    """V4: whose token it was, who held it, who asked and for whom, and what policy gives by now."""
    own = {"cli_server": agent()}
    outcome = of_person(act={"sub": "agt_2", "act": {"sub": "agt_3"}}, agents=own)
    assert outcome.answer == Released("value")
    assert outcome.events == (
        CredentialReleased(
            subject="usr_1",
            client="cli_server",
            agent="agt_1",
            resource=RESOURCE.identifier,
            name="key",
            reference="vault:res_1/key",
            version="3",
            jti="at_1",
            grant_id="grt_1",
            holder=CLIENT.id,
            actors=["agt_2", "agt_3"],
            scopes=["logs.read"],
            policy_version=7,
        ),
    )
    assert outcome.answer.body == {
        "access_token": "value",
        "issued_token_type": UPSTREAM_CREDENTIAL_TYPE,
        "token_type": "N_A",
    }


@pytest.mark.parametrize(
    ("scopes", "changed"),
    [
        (READ, {}),
        (READ, {"held": READ}),
        (WRITE, {"needed": WRITE}),
        (BOTH, {"needed": BOTH}),
        (BOTH, {"needed": frozenset()}),
        (READ, {"family": replace(FAMILY, expires_at=NOW + TICK)}),
        (READ, {"token": replace(ISSUED, expires_at=NOW + TICK)}),
        (READ, {"roles": (HeldRole("rol_dev", NOW + TICK),)}),
        (READ, {"may_act": {"sub": "cli_server"}}),
        (READ, {"limited_to": frozenset({"grp_1"}), "groups": frozenset({"grp_1", "grp_2"})}),
        (READ, {"token": replace(ISSUED, client_ceiling=READ)}),
        # Without scopes, one that is left will do.
        (READ, {"needed": frozenset(), "token": replace(ISSUED, client_ceiling=READ)}),
        (READ, {"agents": {CLIENT.id: agent(expires_at=NOW + TICK, scope_ceiling=READ)}}),
        # The server's own bounds are not those of who calls it.
        (READ, {"agents": {"cli_server": agent(resources=frozenset(), scope_ceiling=WRITE)}}),
        (READ, {"first": FOR_PEOPLE}),
        (READ, {"first": FRESH_READ, "family": replace(FAMILY, auth_time=NOW)}),
        # RFC 9396: what is limited is not counted, and what is not limited is.
        (WRITE, {"first": WITH_TOOL, "needed": WRITE, "authorization_details": LIMITED}),
        (WRITE, {"first": WITH_TOOL, "needed": frozenset(), "authorization_details": LIMITED}),
    ],
)
def test_a_token_that_opens_it(scopes, changed):
    outcome = of_person(**changed)
    assert outcome.answer == Released("value")
    assert outcome.events[0].scopes == sorted(scopes)


DEAD = (InvalidRequest, "subject_token_dead")
LOST = (AccessDenied, "credential_scope_lost")
PARAMETER = (InvalidRequest, "credential_parameter")
LIMIT = (InvalidScope, "credential_scope_limited")
MISSING = (InvalidScope, "credential_scope_missing")
SIGN_IN = (InsufficientUserAuthentication, "sign_in_insufficient")


@pytest.mark.parametrize(
    ("refusal", "changed"),
    [
        (DEAD, {"token": None}),
        (DEAD, {"token": replace(ISSUED, tenant_id="ten_2")}),
        (DEAD, {"token": replace(ISSUED, revoked_at=NOW)}),
        (DEAD, {"token": replace(ISSUED, expires_at=NOW)}),
        (DEAD, {"token": replace(ISSUED, subject_enabled=False)}),
        (DEAD, {"family": replace(FAMILY, expires_at=NOW)}),
        (DEAD, {"agents": {CLIENT.id: agent(expires_at=NOW)}}),
        (PARAMETER, {"fields": [("resource", RESOURCE.identifier)]}),
        (PARAMETER, {"fields": [("scope", "logs.read")]}),
        (PARAMETER, {"fields": [("authorization_details", "[]")]}),
        ((InvalidRequest, "audience_missing"), {"name": None}),
        ((InvalidRequest, "subject_token_of_other"), {"client": CLIENT.id}),
        ((InvalidRequest, "subject_token_of_other"), {"client": "cli_other"}),
        ((InvalidRequest, "may_act_other"), {"may_act": {"sub": "cli_other"}}),
        ((InvalidRequest, "may_act_other"), {"may_act": {}}),
        ((InvalidTarget, "credential_of_other"), {"name": "theirs"}),
        ((InvalidTarget, "credential_unknown"), {"name": "nobodys"}),
        (MISSING, {"held": WRITE}),
        (MISSING, {"needed": BOTH, "held": READ}),
        (LIMIT, {"first": WITH_TOOL, "authorization_details": LIMITED}),
        (LIMIT, {"first": WITH_TOOL, "authorization_details": LIMITED, "needed": BOTH}),
        (
            LIMIT,
            {
                "first": WITH_TOOL,
                "authorization_details": LIMITED,
                "needed": frozenset(),
                "held": READ,
            },
        ),
        (
            MISSING,
            {"first": WITH_TOOL, "authorization_details": LIMITED, "needed": BOTH, "held": READ},
        ),
        (LOST, {"roles": ()}),
        (LOST, {"roles": (), "needed": frozenset()}),
        (LOST, {"roles": (HeldRole("rol_dev", NOW),)}),
        (LOST, {"family": replace(FAMILY, subject_enabled=False)}),
        (LOST, {"limited_to": frozenset({"grp_1"}), "groups": frozenset({"grp_2"})}),
        (LOST, {"token": replace(ISSUED, client_ceiling=WRITE)}),
        (LOST, {"needed": BOTH, "token": replace(ISSUED, client_ceiling=READ)}),
        (LOST, {"agents": {CLIENT.id: agent(scope_ceiling=WRITE)}}),
        (LOST, {"agents": {CLIENT.id: agent(resources=frozenset())}}),
        (SIGN_IN, {"first": FRESH_READ}),
        (SIGN_IN, {"first": FRESH_READ, "needed": BOTH}),
        (SIGN_IN, {"first": FRESH_READ, "needed": frozenset(), "held": READ}),
        # Nobody is asked to sign in for what they would not get anyhow.
        (LOST, {"first": FRESH_READ, "token": replace(ISSUED, client_ceiling=WRITE)}),
        (
            LOST,
            {
                "first": FRESH_READ,
                "needed": BOTH,
                "token": replace(ISSUED, client_ceiling=READ),
            },
        ),
    ],
)
def test_a_token_that_does_not(refusal, changed):
    with pytest.raises(OAuthError) as refused:
        of_person(**changed)
    assert (type(refused.value), refused.value.reason) == refusal


ROUTER, READER = (TRUST.id_of(rule) for rule in RULES)


def of_nobody(subject, needed=WRITE, first=RESOURCE):
    """What comes of what a client or a workload got for itself."""
    conf = replace(world(needed, first=first), workloads=Workloads.build({TRUST.issuer: TRUST}))
    secret = UpstreamSecret("vault:res_1/key", "value", None)
    request, found = asked(
        conf,
        client="cli_server",
        server="res_1",
        name="key",
        held=BOTH,
        secret=secret,
        sub=subject,
    )
    token = replace(ISSUED, subject=subject, client_id=subject, family_id=None)
    return decide_release(request, found, None, Facts(tokens={token.jti: token}), NOW)


@pytest.mark.parametrize("subject", [ROBOT, ROUTER])
def test_what_somebody_got_for_itself(subject):
    """V4: a client by its roles, a workload by its rule; no person is needed where the server wants none (M11)."""
    [event] = of_nobody(subject).events
    assert (event.subject, event.holder, event.version) == (subject, subject, None)
    with pytest.raises(UnauthorizedClient) as refused:
        of_nobody(subject, first=FOR_PEOPLE)
    assert refused.value.reason == "user_required"


def test_a_workload_has_what_its_rule_says():
    assert of_nobody(READER, needed=READ).events[0].scopes == ["logs.read"]
    with pytest.raises(AccessDenied) as refused:
        of_nobody(READER)
    assert refused.value.reason == "credential_scope_lost"
