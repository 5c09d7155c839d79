"""Issuing ID-JAGs (IDJAG-20 to -47, EMA-40 to -52, E12): for whom, about whom, for what, on the strength of what."""

import base64
import json
from datetime import timedelta

import pytest
from joserfc import jws
from sqlalchemy import update

from authz.admin import (
    agents,
    clients,
    mappings,
    resources,
    roles,
    scopes,
    targets,
    trust,
    users,
)
from authz.admin.scopes import NewScope, ScopeChange
from authz.db.models import Connection, IssuedToken, TokenFamily
from authz.db.versions import bump
from authz.errors import Conflict, Invalid
from authz.policy.requirements import Requirement
from tests.support.client_keys import ClientKey
from tests.support.dpop_keys import DpopKey
from tests.support.exchanges import ACCESS_TOKEN, ID_JAG, ID_TOKEN, REFRESH_TOKEN, TOKEN_EXCHANGE
from tests.support.harness import REDIRECT, RESOURCE, Harness
from tests.support.id_jags import JWT_BEARER, TYP, present
from tests.support.leaving import Provider
from tests.support.machines import by_itself

THERE = "https://auth.vendor.example"
DOCS = "https://docs.vendor.example/mcp"
CHAT = "https://chat.vendor.example/mcp"
PUBLIC = "the subject token is not acceptable"
GRANTS = ("authorization_code", "refresh_token", TOKEN_EXCHANGE)


class Bridge:
    """A company whose people use a vendor's MCP server; the vendor's authorization server takes ID-JAGs."""

    def __init__(self, harness):
        self.harness = harness
        harness.change(
            targets.add, slug="vendor", issuer=THERE, own_issuer=harness.issuer, settings={}
        )
        self.docs = self.add_server(DOCS)
        self.client = self.add_client()
        harness.import_roles(
            """
            roles:
              developer: [logs.read, docs.read]
              editor: [docs.read, docs.write]
            bindings:
              - {role: developer, users: [dev@example.com]}
            """
        )

    def add_server(self, identifier):
        scope = (
            NewScope(name="docs.read", description="Read", risk="read", is_default=True),
            NewScope(
                name="docs.write", description="Write", risk="write", tools=("write_document",)
            ),
        )
        return self.harness.add_resource(identifier, name="Docs", scopes=scope, issued_by="vendor")

    def add_client(self, there="vendor-client", **values):
        made = self.harness.add_client(
            **{"auth_method": "client_secret_post", "grant_types": GRANTS, **values}
        )
        if there is not None:
            self.harness.change(targets.map_client, "vendor", made.client.id, there)
        return made

    def set(self, **settings):
        self.harness.change(targets.change, "vendor", settings)

    def signed_in(self, made=None, login="dev", **values):
        made = made or self.client
        code = self.harness.code(
            login, client_id=made.client.id, openid=frozenset({"openid"}), **values
        )
        return self.harness.redeem(code, client_id=made.client.id, client_secret=made.secret)

    def ask(self, token, kind=ID_TOKEN, made=None, **fields):
        headers = fields.pop("headers", {})
        made = made or self.client
        pairs = {
            "grant_type": TOKEN_EXCHANGE,
            "client_id": made.client.id,
            "client_secret": made.secret,
            "requested_token_type": ID_JAG,
            "subject_token": token,
            "subject_token_type": kind,
            "audience": THERE,
            "resource": DOCS,
            **fields,
        }
        return self.harness.token({n: v for n, v in pairs.items() if v is not None}, **headers)

    def id_token(self, **values):
        return self.signed_in(**values).json["id_token"]

    def claims(self, answer):
        assert answer.ok, answer.reason
        return self.harness.claims(answer.access_token, typ=TYP)


@pytest.fixture
def bridge(harness):
    return Bridge(harness)


def test_an_id_token_becomes_an_assertion_for_another_server(harness, bridge):
    """IDJAG-20, -21, -26, -27, -34, -35, EMA-40: everything it says, and that nothing else is."""
    id_token = bridge.id_token(acr="urn:mfa")
    answer = bridge.ask(id_token)
    claims = bridge.claims(answer)
    at = int(harness.clock().timestamp())
    subject = harness.claims(id_token, typ="JWT")
    assert claims == {
        "iss": harness.issuer,
        "sub": harness.users["dev"],
        "aud": THERE,
        "client_id": "vendor-client",
        "jti": claims["jti"],
        "iat": at,
        "exp": at + 300,
        "resource": DOCS,
        "scope": "docs.read",
        "auth_time": subject["auth_time"],
        "acr": "urn:mfa",
        "amr": ["pwd"],
    }
    assert claims["sub"] == subject["sub"]
    assert answer.json == {
        "issued_token_type": ID_JAG,
        "access_token": answer.access_token,
        "token_type": "N_A",
        "expires_in": 300,
        "resource": DOCS,
        "scope": "docs.read",
    }
    assert answer.response.headers["cache-control"] == "no-store"
    [event] = harness.events("id_jag.issued")
    assert (event["subject"], event["client"]) == (claims["sub"], bridge.client.client.id)
    assert {
        name: event["detail"][name]
        for name in ("audience", "client_there", "jti", "resource", "scopes", "grant_id")
    } == {
        "audience": THERE,
        "client_there": "vendor-client",
        "jti": claims["jti"],
        "resource": DOCS,
        "scopes": ["docs.read"],
        "grant_id": subject["grant_id"],
    }


def test_the_other_server_redeems_it(harness, bridge):
    """E12: from a sign-in here to a token of another issuer, both ends of the same product."""
    vendor = Harness(harness.server)
    try:
        there = vendor.add_client(
            auth_method="client_secret_post", grant_types=(JWT_BEARER,), redirect_uris=()
        )
        vendor.change(
            trust.add,
            slug="corp",
            issuer=harness.issuer,
            settings={"jwks": harness.http.get(f"{harness.issuer}/jwks").json()},
            provisions=True,
        )
        harness.change(
            targets.add, slug="own", issuer=vendor.issuer, own_issuer=harness.issuer, settings={}
        )
        harness.change(targets.map_client, "own", bridge.client.client.id, there.client.id)
        harness.add_resource(
            CHAT,
            scopes=(NewScope(name="logs.read", description="Read", risk="read", is_default=True),),
            issued_by="own",
        )
        vendor.add_resource(CHAT)
        jag = bridge.ask(bridge.id_token(), audience=vendor.issuer, resource=CHAT)
        subject = bridge.claims(jag)["sub"]
        first = present(vendor, there, jag.access_token)
        assert (first.error, first.reason) == ("access_denied", "nothing_granted")
        vendor.change(mappings.add, connection="corp", claim="sub", value=subject, role="developer")
        second = present(
            vendor,
            there,
            bridge.ask(bridge.id_token(), audience=vendor.issuer, resource=CHAT).access_token,
        )
        assert second.ok, second.reason
        assert vendor.claims(second.access_token)["aud"] == CHAT
        again = present(harness, bridge.client, jag.access_token)
        assert (again.error, again.reason) == ("unauthorized_client", "grant_type_not_allowed")
    finally:
        vendor.close()


def test_nobody_redeems_our_own_here(harness, bridge):
    """IDJAG-43: whoever trusts this issuer at this issuer."""
    taker = harness.add_client(
        auth_method="client_secret_post", grant_types=(JWT_BEARER,), redirect_uris=()
    )
    refused = present(harness, taker, bridge.ask(bridge.id_token()).access_token)
    assert (refused.error, refused.reason) == ("invalid_grant", "id_jag_own_issuer")
    with pytest.raises(Invalid):
        harness.change(
            targets.add, slug="us", issuer=harness.issuer, own_issuer=harness.issuer, settings={}
        )


def test_a_refresh_token_will_do_and_is_not_spent(harness, bridge):
    """IDJAG-31, CONF-08."""
    tokens = bridge.signed_in(offline_access=True)
    for _ in range(2):
        assert (
            bridge.claims(bridge.ask(tokens.refresh_token, REFRESH_TOKEN))["scope"] == "docs.read"
        )
    rotated = harness.refresh(
        tokens.refresh_token, client_id=bridge.client.client.id, client_secret=bridge.client.secret
    )
    assert rotated.ok
    # Within the retry window the old one is still an honest client's.
    assert bridge.ask(tokens.refresh_token, REFRESH_TOKEN).ok
    harness.clock.advance(seconds=61)
    refused = bridge.ask(tokens.refresh_token, REFRESH_TOKEN)
    assert (refused.error, refused.reason) == ("invalid_grant", "refresh_expired")
    assert bridge.ask(rotated.refresh_token, REFRESH_TOKEN).ok


def test_no_access_token_of_ours_is_for_their_server(harness, bridge):
    """IDJAG-47: every other way to a token does not know the resource."""
    page = harness.browser().start(resource=DOCS, client_id=bridge.client.client.id)
    assert page.sent["error"] == "invalid_target"
    _, answer = by_itself(harness, "editor", DOCS)
    assert (answer.error, answer.reason) == ("invalid_target", "resource_unknown")
    with pytest.raises(Conflict):
        harness.change(resources.set_default, DOCS)
    bridge.ask(bridge.id_token())
    assert harness.count(IssuedToken) == 1


# -- the subject token ---------------------------------------------------------------------------------------


def _forge(token, header=None, **claims):
    """The token with other claims, under a key of somebody else's."""
    parts = [json.loads(base64.urlsafe_b64decode(it + "==")) for it in token.split(".")[:2]]
    key = ClientKey("ES256", kid=parts[0]["kid"])
    return jws.serialize_compact(
        {**parts[0], **(header or {})},
        json.dumps({**parts[1], **claims}),
        key.key,
        algorithms=["ES256"],
    )


def test_the_subject_token_is_ours_this_clients_and_alive(harness, bridge):
    """IDJAG-28, -29: one sentence for every defect, whatever it is."""
    id_token = bridge.id_token()
    other = bridge.add_client()
    public = harness.redeem(harness.code(openid=frozenset({"openid"})))
    jag = bridge.ask(id_token).access_token
    tokens = bridge.signed_in(offline_access=True)
    cases = [
        (_forge(id_token), ID_TOKEN, "jwt_signature"),
        (_forge(id_token, {"kid": "k-none"}), ID_TOKEN, "jwt_key_unknown"),
        (bridge.id_token(made=other), ID_TOKEN, "subject_token_of_other_client"),
        (public.json["id_token"], ID_TOKEN, "subject_token_of_other_client"),
        (tokens.access_token, ID_TOKEN, "jwt_typ"),
        (jag, ID_TOKEN, "jwt_typ"),
        ("nonsense", ID_TOKEN, "jwt_not_compact"),
        ("nonsense", REFRESH_TOKEN, "refresh_malformed"),
        (f"{tokens.refresh_token}x", REFRESH_TOKEN, "refresh_forged"),
        (
            bridge.signed_in(other, offline_access=True).refresh_token,
            REFRESH_TOKEN,
            "subject_token_of_other_client",
        ),
        (bridge.signed_in().access_token, REFRESH_TOKEN, "refresh_malformed"),
    ]
    for token, kind, reason in cases:
        refused = bridge.ask(token, kind)
        assert (refused.error, refused.reason) == ("invalid_grant", reason)
        assert refused.json["error_description"] == PUBLIC
    harness.clock.advance(hours=1)
    refused = bridge.ask(id_token)
    assert (refused.error, refused.reason) == ("invalid_grant", "jwt_expired")


def test_an_access_token_is_no_sign_in(bridge):
    """IDJAG-29: refused by the type that is stated."""
    refused = bridge.ask(bridge.signed_in().access_token, ACCESS_TOKEN)
    assert (refused.error, refused.reason) == ("invalid_request", "subject_token_type_unsupported")


def test_saml_assertions_are_not_taken(bridge):
    """IDJAG-30, -32: this server issues none."""
    refused = bridge.ask("PHNhbWw+", "urn:ietf:params:oauth:token-type:saml2")
    assert (refused.error, refused.reason) == ("invalid_request", "subject_token_type_unsupported")


def test_an_id_token_of_ours_is_about_whose_sign_in_it_came_from(harness, bridge):
    """M8, IDJAG-31: what a key of ours signed is held against the grant it names, each with a reason of its own."""
    own = harness.claims(bridge.id_token(), typ="JWT")
    with harness.server.database.read() as tx:
        keys = harness.server.services.configurations.load(tx, harness.tenant_id).keys
    nameless = {name: value for name, value in own.items() if name != "grant_id"}
    for claims, reason in (
        ({**own, "sub": harness.users["sre"]}, "subject_token_of_other_person"),
        (nameless, "subject_token_without_grant"),
    ):
        refused = bridge.ask(keys.sign("id_token", "ES256", "JWT", claims, harness.clock()))
        assert (refused.json["error_description"], refused.reason) == (PUBLIC, reason)
    good = keys.sign("id_token", "ES256", "JWT", own, harness.clock())
    assert bridge.ask(good).ok
    with harness.server.database.write() as tx:
        tx.get_one(TokenFamily, own["grant_id"]).expires_at = harness.clock()
    refused = bridge.ask(good)
    assert (refused.json["error_description"], refused.reason) == (PUBLIC, "grant_expired")
    told = [it["detail"]["reason"] for it in harness.events("token.refused")]
    assert told.count("grant_expired") == told.count("subject_token_of_other_person") == 1


def test_it_stands_on_the_live_sign_in(harness, bridge):
    """IDJAG-31, E2: what ended the grant ended its assertions, also for an ID token that has not expired."""
    ends = {
        "family_revoked:revoked_by_client": lambda it: harness.post(
            "/revoke",
            {
                "token": it.refresh_token,
                "client_id": bridge.client.client.id,
                "client_secret": bridge.client.secret,
            },
        ),
        "subject_disabled": lambda _: harness.change(users.disable, "dev@example.com"),
    }
    for reason, end in ends.items():
        tokens = bridge.signed_in(offline_access=True)
        assert bridge.ask(tokens.json["id_token"]).ok
        end(tokens)
        refused = bridge.ask(tokens.json["id_token"])
        assert refused.error == "invalid_grant"
        assert refused.reason in (reason, "family_revoked:user_disabled")
        assert bridge.ask(tokens.refresh_token, REFRESH_TOKEN).error == "invalid_grant"


def test_it_ends_with_the_session_at_the_identity_provider(harness, bridge):
    """Item 14, E12: the provider signs the person out, and neither token is a subject any more."""
    corp = Provider(harness, "corp")
    ada = corp.employee("ada")
    made = {"client_id": bridge.client.client.id, "client_secret": bridge.client.secret}
    held = []
    for session in ("s1", "s2"):
        code = ada.code(
            ada.sign_in(session),
            client_id=bridge.client.client.id,
            openid=frozenset({"openid"}),
            offline_access=True,
        )
        tokens = harness.redeem(code, **made)
        held.append([(tokens.json["id_token"], ID_TOKEN), (tokens.refresh_token, REFRESH_TOKEN)])
        for subject in held[-1]:
            assert bridge.ask(*subject).ok
    harness.clock.advance(seconds=5)
    assert corp.log_out(sub=ada.subject, sid="s1").status == 200
    for subject in held[0]:
        refused = bridge.ask(*subject)
        assert (refused.error, refused.reason) == (
            "invalid_grant",
            "family_revoked:upstream_logout",
        )
        assert refused.json["error_description"] == PUBLIC
    for subject in held[1]:
        assert bridge.ask(*subject).ok


def test_nobody_vouches_who_is_switched_off(harness, bridge):
    """E12: its row alone, whatever was ended beside it."""
    corp = Provider(harness, "corp")
    ada = corp.employee("ada")
    code = ada.code(
        ada.sign_in("s1"), client_id=bridge.client.client.id, openid=frozenset({"openid"})
    )
    made = {"client_id": bridge.client.client.id, "client_secret": bridge.client.secret}
    token = harness.redeem(code, **made).json["id_token"]
    assert bridge.ask(token).ok
    with harness.server.database.write() as tx:
        tx.execute(update(Connection).where(Connection.slug == "corp").values(status="disabled"))
        bump(tx, harness.tenant_id)
    refused = bridge.ask(token)
    assert (refused.error, refused.reason) == ("invalid_grant", "connection_disabled")
    assert refused.json["error_description"] == PUBLIC


def test_it_never_outlives_the_sign_in(harness, bridge):
    """E2: the identity provider's session ends in a minute."""
    until = harness.clock() + timedelta(seconds=60)
    answer = bridge.ask(bridge.id_token(upstream_expires_at=until))
    assert answer.json["expires_in"] == 60


# -- for whom, for what --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "error", "reason"),
    [
        ({"audience": None}, "invalid_request", "audience_missing"),
        ({"audience": "https://nobody.example"}, "invalid_target", "target_unknown"),
        ({"audience": f"{THERE}/"}, "invalid_target", "target_unknown"),
        ({"audience": "urn:vendor"}, "invalid_target", "target_unknown"),
        ({"resource": RESOURCE}, "invalid_target", "target_resource_unknown"),
        ({"resource": f"{DOCS}?a=b"}, "invalid_target", "target_resource_unknown"),
        ({"resource": "docs"}, "invalid_target", "resource_malformed"),
        ({"scope": "logs.read"}, "invalid_scope", "scope_unknown"),
        ({"scope": 'a"b'}, "invalid_scope", "scope_malformed"),
        ({"scope": "docs.write"}, "invalid_scope", "nothing_granted"),
        ({"actor_token": "x"}, "invalid_request", "actor_token"),
        ({"authorization_details": "{}"}, "invalid_authorization_details", "details_not_json"),
    ],
    ids=lambda it: str(it) if isinstance(it, str) else "-".join(it),
)
def test_what_is_asked_for_is_checked(bridge, fields, error, reason):
    """IDJAG-21 to -25, -45, EMA-01, EMA-02."""
    refused = bridge.ask(bridge.id_token(), **fields)
    assert (refused.error, refused.reason) == (error, reason)


def test_two_audiences_are_one_too_many(harness, bridge):
    pairs = [
        ("grant_type", TOKEN_EXCHANGE),
        ("client_id", bridge.client.client.id),
        ("client_secret", bridge.client.secret),
        ("audience", THERE),
        ("audience", THERE),
    ]
    refused = harness.token(pairs)
    assert (refused.error, refused.reason) == ("invalid_request", "parameter_repeated")


def test_scopes_are_what_policy_leaves(harness, bridge):
    """IDJAG-24: the roles of the person, the ceiling of the target and the client's; told whenever it is less."""
    harness.change(roles.bind, role="editor", kind="user", holder="dev@example.com")
    both = bridge.ask(bridge.id_token(), scope="docs.read docs.write")
    assert bridge.claims(both)["scope"] == "docs.read docs.write"
    assert "scope" not in both.json
    bridge.set(scope_ceiling=["docs.read"])
    less = bridge.ask(bridge.id_token(), scope="docs.read docs.write")
    assert less.json["scope"] == bridge.claims(less)["scope"] == "docs.read"
    assert harness.events("id_jag.issued")[-1]["detail"]["removed"] == {
        "docs.write": "target_ceiling"
    }
    bridge.set(scope_ceiling=None)
    harness.change(
        clients.set_ceiling, bridge.client.client.id, frozenset({"docs.write", "logs.read"})
    )
    assert (
        bridge.claims(bridge.ask(bridge.id_token(), scope="docs.read docs.write"))["scope"]
        == "docs.write"
    )


def test_a_role_that_has_ended_lends_nothing(harness, bridge):
    """IDJAG-24: by the clock of now, not of the sign-in."""
    until = harness.clock() + timedelta(minutes=5)
    harness.change(roles.bind, role="editor", kind="user", holder="dev@example.com", until=until)
    token = bridge.id_token()
    wanted = {"scope": "docs.read docs.write"}
    assert bridge.claims(bridge.ask(token, **wanted))["scope"] == "docs.read docs.write"
    harness.clock.advance(minutes=5)
    assert bridge.claims(bridge.ask(token, **wanted))["scope"] == "docs.read"


def test_without_a_resource_it_is_the_only_one(bridge):
    """IDJAG-23."""
    assert bridge.claims(bridge.ask(bridge.id_token(), resource=None))["resource"] == DOCS
    bridge.set(resource_required=True)
    refused = bridge.ask(bridge.id_token(), resource=None)
    assert (refused.error, refused.reason) == ("invalid_target", "resource_missing")
    bridge.set(resource_required=False)
    bridge.add_server(CHAT)
    refused = bridge.ask(bridge.id_token(), resource=None)
    assert (refused.error, refused.reason) == ("invalid_target", "resource_missing")


def test_a_client_has_to_be_known_there(harness, bridge):
    """IDJAG-34: no mapping, no assertion; and no public client at all (IDJAG-33)."""
    stranger = bridge.add_client(there=None)
    refused = bridge.ask(bridge.id_token(made=stranger), made=stranger)
    assert (refused.error, refused.reason) == ("invalid_target", "target_client_unmapped")
    public = harness.add_client(grant_types=GRANTS)
    answer = harness.token(
        {
            "grant_type": TOKEN_EXCHANGE,
            "client_id": public.client.id,
            "requested_token_type": ID_JAG,
            "subject_token": "x",
            "subject_token_type": ID_TOKEN,
            "audience": THERE,
        }
    )
    assert (answer.error, answer.reason) == ("unauthorized_client", "client_is_public")


def test_limits_on_tools_travel_with_it(bridge):
    """IDJAG-25."""
    bridge.harness.change(roles.bind, role="editor", kind="user", holder="dev@example.com")
    details = [
        {
            "type": "mcp_tool",
            "locations": [DOCS],
            "tool": "write_document",
            "arguments": {"folder": ["drafts"]},
        }
    ]
    answer = bridge.ask(bridge.id_token(), authorization_details=json.dumps(details))
    assert bridge.claims(answer)["authorization_details"] == details
    assert answer.json["authorization_details"] == details
    assert answer.json["scope"] == "docs.write"


def test_step_up_is_asked_for_where_it_would_help(harness, bridge):
    """IDJAG-39: and the ordinary error wins where it would not."""
    harness.change(
        scopes.edit_scope,
        bridge.docs.id,
        "docs.read",
        ScopeChange(requires=Requirement(acr=frozenset({"urn:mfa"}))),
    )
    weak = bridge.ask(bridge.id_token())
    assert (weak.error, weak.reason) == ("insufficient_user_authentication", "sign_in_insufficient")
    assert bridge.ask(bridge.id_token(acr="urn:mfa")).ok
    hopeless = bridge.ask(bridge.id_token(), scope="docs.write")
    assert (hopeless.error, hopeless.reason) == ("invalid_scope", "nothing_granted")


def test_a_proof_binds_it(harness, bridge):
    """IDJAG-40, EMA-52: validated and used, never ignored."""
    key, bad = DpopKey(), DpopKey()
    proof = key.proof(f"{harness.issuer}/token", harness.clock())
    assert bridge.claims(bridge.ask(bridge.id_token(), headers={"DPoP": proof}))["cnf"] == {
        "jkt": key.jkt
    }
    wrong = bad.proof(f"{harness.issuer}/elsewhere", harness.clock())
    refused = bridge.ask(bridge.id_token(), headers={"DPoP": wrong})
    assert (refused.error, refused.reason) == ("invalid_dpop_proof", "dpop_htu")
    assert "cnf" not in bridge.claims(bridge.ask(bridge.id_token()))


def test_an_address_is_told_to_who_needs_it(bridge):
    """IDJAG-37: minimum disclosure."""
    assert "email" not in bridge.claims(bridge.ask(bridge.id_token()))
    bridge.set(tells_email=True)
    claims = bridge.claims(bridge.ask(bridge.id_token()))
    assert (claims["email"], claims["email_verified"]) == ("dev@example.com", False)
    again = bridge.claims(
        bridge.ask(bridge.signed_in(offline_access=True).refresh_token, REFRESH_TOKEN)
    )
    assert again["email"] == "dev@example.com"


def test_a_target_is_switched_off(harness, bridge):
    harness.change(targets.set_status, "vendor", "disabled")
    refused = bridge.ask(bridge.id_token())
    assert (refused.error, refused.reason) == ("invalid_target", "target_unknown")
    with pytest.raises(Conflict):
        harness.change(targets.remove, "vendor")


def test_an_agent_is_bounded_there_too(harness, bridge):
    """M6: its record has to name the server."""
    harness.change(
        agents.add,
        slug="helper",
        purpose="Answers questions",
        owner="dev@example.com",
        servers=[RESOURCE],
        clients_=[bridge.client.client.id],
    )
    refused = bridge.ask(bridge.id_token())
    assert (refused.error, refused.reason) == ("invalid_scope", "nothing_granted")
    harness.change(agents.change, "helper", servers=[RESOURCE, DOCS])
    assert bridge.ask(bridge.id_token()).ok
    assert harness.events("id_jag.issued")[-1]["agent"].startswith("agt_")


@pytest.mark.parametrize(
    "settings",
    [
        {"unknown": 1},
        {"clients": []},
        {"clients": {"nobody": "x"}},
        {"clients": {"": "x"}},
        {"allow_cimd_clients": "yes"},
        {"resource_required": 1},
        {"tells_email": "yes"},
        {"lifetime_seconds": 0},
        {"lifetime_seconds": 901},
        {"lifetime_seconds": True},
        {"scope_ceiling": "docs.read"},
        {"scope_ceiling": ["a b"]},
    ],
    ids=str,
)
def test_settings_are_checked(harness, bridge, settings):
    with pytest.raises(Exception, match=r".") as caught:
        bridge.set(**settings)
    assert type(caught.value).__name__ in ("Invalid", "NotFound")


def test_metadata_says_so(harness):
    """IDJAG-44."""
    document = harness.http.get(f"{harness.issuer}/.well-known/openid-configuration").json()
    assert document["identity_chaining_requested_token_types_supported"] == [ID_JAG]
    assert TOKEN_EXCHANGE in document["grant_types_supported"]
    assert REDIRECT not in json.dumps(document)
