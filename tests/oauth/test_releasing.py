"""The decision about a credential by itself (V4): whatever else is true, it goes to the server's own client alone."""

from dataclasses import replace
from datetime import timedelta
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authz.audit.events import CredentialReleased
from authz.errors import OAuthError, ServerError
from authz.oauth.authorization import FreshNames, TokenRequest
from authz.oauth.facts import Facts, IssuedToken
from authz.oauth.params import Params
from authz.oauth.releasing import Released, decide_release, foreseen
from authz.oauth.subject_tokens import SubjectToken
from authz.oauth.token_types import UPSTREAM_CREDENTIAL_TYPE
from authz.oauth.upstream_credentials import UpstreamCredential, UpstreamCredentials
from authz.oauth.upstream_secrets import UpstreamSecret
from authz.policy.snapshot import HeldRole
from authz.settings import Tokens
from tests.support.configured import CLIENT, NOW, RESOURCE, TENANT_ID, configuration, policy

OTHER = replace(
    RESOURCE, id="res_2", identifier="https://two.example/mcp", canonical="https://two.example/mcp",
    client_id="cli_other",
)  # fmt: skip
SERVERS = {it.id: it for it in (RESOURCE, OTHER)}
SCOPES = ("logs.read", "logs.write", "admin")
ROBOT = "cli_robot"
SERVER_CLIENT = replace(CLIENT, id="cli_server", auth_methods=frozenset({"client_secret_basic"}))


def world(needed=frozenset(), *, is_developer=True):
    """Both servers have a credential `key`; the first has one `own`, the second one `theirs`."""
    bound = [
        UpstreamCredential(f"ucr_{server}_{name}", server, name, f"vault:{server}/{name}", needed)
        for server, name in (("res_1", "key"), ("res_2", "key"), ("res_1", "own"), ("res_2", "theirs"))
    ]  # fmt: skip
    roles = [("rol_dev", None)] if is_developer else []
    held = MappingProxyType({ROBOT: tuple(HeldRole(*it) for it in roles)})
    return configuration(
        policy=replace(policy(resources=SERVERS.values()), client_roles=held),
        credentials=UpstreamCredentials.of(bound),
    )


def asked(conf, *, client, server, name, held, secret=None, **claims):
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
        params=Params([("audience", name)]),
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
