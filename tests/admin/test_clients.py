from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from sqlalchemy import delete, select

from authz import entropy
from authz.admin import client_trust, clients, groups
from authz.admin.client_metadata import Registration
from authz.clients.registered import client_of_row
from authz.clients.trust import Verdict
from authz.db.models import AuditEvent, Client, ClientRequest, Consent, Group
from authz.errors import Conflict, Invalid, NotFound
from authz.keys import describe, generate

CALLBACK = ("https://app.example/cb",)
EC_KEY = describe(generate("ES256"), "ES256")[1]
DOCUMENT = "https://app.example/client.json"


def add(desk, client_id=None, scope_ceiling=None, **given):
    registration = Registration(**{"name": "App", "redirect_uris": CALLBACK, **given})
    return desk.do(clients.add, registration, client_id=client_id, scope_ceiling=scope_ceiling)


def stored(desk, client_id):
    return desk.sql(lambda tx: tx.get_one(Client, (desk.tenant_id, client_id)))


def test_a_public_client_has_no_secret(desk):
    made = add(desk)
    assert made.secret is None
    assert made.client.id.startswith("cli_")
    row = stored(desk, made.client.id)
    assert (row.kind, row.status, row.secrets) == ("registered", "active", [])
    client = client_of_row(row)
    assert client.redirect_uris == CALLBACK
    assert client.grant_types == {"authorization_code", "refresh_token"}
    assert client.auth_methods == {"none"}


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
def test_a_secret_is_told_once_and_never_stored(desk, method):
    made = add(desk, auth_method=method)
    assert len(made.secret) >= 43
    assert made.secret not in repr(made)
    row = stored(desk, made.client.id)
    assert [s["digest"] for s in row.secrets] == [entropy.digest(made.secret)]
    everything = desk.sql(
        lambda tx: [
            *tx.scalars(select(AuditEvent.body).where(AuditEvent.tenant_id == desk.tenant_id)),
            repr(vars(row)),
        ]
    )
    assert not any(made.secret in text for text in everything)
    assert made.secret not in repr(desk.ask(clients.show, made.client.id))


def test_a_rotated_secret_overlaps_and_the_one_before_ends(desk):
    first = add(desk, auth_method="client_secret_basic")
    second = desk.do(clients.rotate_secret, first.client.id, overlap=timedelta(hours=1))
    ends = (desk.now + timedelta(hours=1)).isoformat()
    assert stored(desk, first.client.id).secrets == [
        {"digest": entropy.digest(first.secret), "expires_at": ends},
        {"digest": entropy.digest(second.secret), "expires_at": None},
    ]
    desk.wait(minutes=30)
    desk.do(clients.rotate_secret, first.client.id, overlap=timedelta(days=1))
    times = desk.ask(clients.show, first.client.id).secrets
    assert times[0] == ends, "an earlier end is not put off"
    assert datetime.fromisoformat(times[1]) == desk.now + timedelta(days=1)
    desk.wait(days=2)
    desk.do(clients.rotate_secret, first.client.id, overlap=timedelta(hours=1))
    assert len(stored(desk, first.client.id).secrets) == 2, "expired ones are dropped"
    desk.do(clients.rotate_secret, first.client.id, overlap=timedelta(0))
    assert len(stored(desk, first.client.id).secrets) == 1


def test_a_client_without_secrets_has_none_to_rotate(desk):
    made = add(desk)
    with pytest.raises(Conflict, match="authenticates with none"):
        desk.do(clients.rotate_secret, made.client.id, overlap=timedelta(0))


def test_a_client_with_keys(desk):
    made = add(desk, auth_method="private_key_jwt", jwks={"keys": [EC_KEY]})
    assert client_of_row(stored(desk, made.client.id)).jwks == {"keys": [EC_KEY]}
    by_url = add(desk, auth_method="private_key_jwt", jwks_uri="https://app.example/jwks")
    assert client_of_row(stored(desk, by_url.client.id)).jwks_uri == "https://app.example/jwks"


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"redirect_uris": ()}, "needs at least one redirect URI"),
        ({"redirect_uris": ("http://app.example/cb",)}, "http off loopback"),
        ({"redirect_uris": ("https://app.example/cb#x",)}, "fragment"),
        ({"redirect_uris": ("javascript:alert(1)",)}, "runs code"),
        ({"redirect_uris": ("cursor://cb/x",)}, "not allowed here"),
        ({"grant_types": ()}, "at least one grant type"),
        ({"grant_types": ("password",)}, "'password' is not one of"),
        ({"grant_types": ("client_credentials",)}, "redirect URIs are for"),
        ({"grant_types": ("client_credentials",), "redirect_uris": ()}, "that authenticate"),
        ({"auth_method": "client_secret_jwt"}, "'client_secret_jwt' is not one of"),
        ({"auth_method": "private_key_jwt"}, "needs the client's public keys"),
        (
            {"auth_method": "private_key_jwt", "jwks": {"keys": [EC_KEY]}, "jwks_uri": "https://x"},
            "needs the client's public keys",
        ),
        ({"jwks": {"keys": [EC_KEY]}}, "keys are for private_key_jwt"),
        ({"auth_method": "private_key_jwt", "jwks": {"keys": []}}, "jwks_malformed"),
        (
            {"auth_method": "private_key_jwt", "jwks": {"keys": [{**EC_KEY, "d": "x"}]}},
            "jwk_not_public",
        ),
        ({"auth_method": "private_key_jwt", "jwks_uri": "http://app.example/k"}, "jwks_uri"),
        ({"client_uri": "https://app.example/#x"}, "client_uri"),
        ({"name": ""}, "the name of a client"),
        ({"name": "a\u202eb"}, "the name of a client"),
    ],
)
def test_a_registration_that_cannot_work_is_refused(desk, given, why):
    with pytest.raises(Invalid, match=why):
        add(desk, **given)


def test_a_private_scheme_is_possible_where_it_is_allowed(desk):
    made = add(
        desk, redirect_uris=("cursor://anysphere/cb",), private_schemes=frozenset({"cursor"})
    )
    assert stored(desk, made.client.id).metadata_["redirect_uris"] == ["cursor://anysphere/cb"]


@pytest.mark.parametrize(
    "client_id", ["https://x.example/c", "usr_x", "agt_x", "grp_x", "a b", "a/b", "", "x" * 128]
)
def test_an_identifier_is_never_that_of_another_kind(desk, client_id):
    with pytest.raises(Invalid, match="cannot be a client identifier"):
        add(desk, client_id=client_id)


def test_a_chosen_identifier_is_taken_once(desk):
    assert add(desk, client_id="ci-runner").client.id == "ci-runner"
    with pytest.raises(Conflict, match="'ci-runner' already"):
        add(desk, client_id="ci-runner")


@pytest.mark.parametrize("operation", [clients.block, clients.remove])
def test_a_client_that_goes_takes_its_grants_along(desk, operation):
    client_id = add(desk).client.id
    mine, others = desk.give_family("usr_a", client_id), desk.give_family("usr_a", "cli_other")
    assert desk.do(operation, client_id) == 1
    assert desk.family(mine).revoked_because in ("client_blocked", "client_removed")
    assert desk.family(others).revoked_at is None


def test_a_removed_client_is_forgotten_with_its_consents(desk):
    client_id = add(desk).client.id
    consent = Consent(
        tenant_id=desk.tenant_id,
        user_id="usr_a",
        client_id=client_id,
        resource_id="res_x",
        scopes=frozenset({"a"}),
        redirect_uris=[],
        client_digest="",
        remembered=True,
        created_at=desk.now,
        updated_at=desk.now,
    )
    desk.sql(lambda tx: tx.add(consent))
    desk.do(clients.remove, client_id)
    with pytest.raises(NotFound, match="there is no client"):
        desk.ask(clients.show, client_id)
    found = select(Consent).where(Consent.tenant_id == desk.tenant_id)
    assert desk.sql(lambda tx: tx.scalars(found).all()) == []


def test_a_blocked_client_can_come_back(desk):
    client_id = add(desk).client.id
    with pytest.raises(Conflict, match="is not blocked"):
        desk.do(clients.unblock, client_id)
    desk.do(clients.block, client_id)
    assert not client_of_row(stored(desk, client_id)).enabled
    assert desk.do(clients.unblock, client_id).status == "active"


def test_a_ceiling_comes_and_goes(desk):
    client_id = add(desk, scope_ceiling=frozenset({"logs.read"})).client.id
    assert desk.ask(clients.show, client_id).scope_ceiling == {"logs.read"}
    desk.do(clients.set_ceiling, client_id, frozenset({"a.b", "c"}))
    assert stored(desk, client_id).scope_ceiling == {"a.b", "c"}
    desk.do(clients.set_ceiling, client_id, None)
    assert stored(desk, client_id).scope_ceiling is None
    with pytest.raises(Invalid, match=r"'\*' is not the name of a scope"):
        desk.do(clients.set_ceiling, client_id, frozenset({"*"}))


def test_a_limit_to_groups_comes_and_goes(desk):
    """Features section 2, row 19."""
    client_id = add(desk).client.id
    made = {name: desk.do(groups.add, name=name).id for name in ("on-call", "pilots")}
    found = desk.do(clients.set_groups, client_id, frozenset({"pilots", *made.values()}))
    assert found.groups == ["on-call", "pilots"]
    assert desk.configuration().policy.client_groups == {client_id: frozenset(made.values())}
    with pytest.raises(NotFound, match="there is no group 'nobody'"):
        desk.do(clients.set_groups, client_id, frozenset({"pilots", "nobody"}))
    desk.do(clients.set_groups, client_id, None)
    assert desk.ask(clients.show, client_id).groups is None
    assert desk.configuration().policy.client_groups == {}


def test_a_limit_does_not_fall_with_its_group(desk):
    """Deny by default: nobody is in a group that is gone, and a new one of its name is another one."""
    client_id = add(desk).client.id
    desk.do(groups.add, name="pilots")
    desk.do(clients.set_groups, client_id, frozenset({"pilots"}))
    before = desk.configuration().policy.client_groups
    with pytest.raises(Conflict, match=f"the client '{client_id}' is limited to the group"):
        desk.do(groups.remove, group="pilots")
    with desk.services.database.write() as tx:  # a provisioning client is not asked
        tx.execute(delete(Group).where(Group.tenant_id == desk.tenant_id))
    desk.do(groups.add, name="pilots")
    assert desk.ask(clients.show, client_id).groups == []
    assert desk.configuration().policy.client_groups == before != {}


def test_a_limit_goes_with_its_client(desk):
    client_id = add(desk, client_id="app").client.id
    desk.do(clients.set_groups, client_id, frozenset())
    desk.do(clients.remove, client_id)
    add(desk, client_id="app")
    assert desk.ask(clients.show, "app").groups is None


def test_trust_rules_change_what_is_admitted(desk):
    assert desk.configuration().trust.judge(DOCUMENT) is Verdict.NOT_LISTED
    desk.do(client_trust.set_rule, pattern="*.app.example", verdict="allow")
    desk.do(client_trust.set_rule, pattern="app.example", verdict="allow")
    assert desk.configuration().trust.judge(DOCUMENT) is Verdict.ADMITTED
    desk.do(client_trust.set_rule, pattern="app.example", verdict="deny")
    assert desk.configuration().trust.judge(DOCUMENT) is Verdict.DENIED
    assert [r.verdict for r in desk.ask(client_trust.rules)] == ["allow", "deny"]
    assert desk.do(client_trust.remove_rule, "app.example") == "deny"
    with pytest.raises(NotFound, match=r"no rule for 'app\.example'"):
        desk.do(client_trust.remove_rule, "app.example")


@pytest.mark.parametrize(
    "pattern",
    ["", "*", "*.com", "App.example", "a b", "http://x.example/c", "https://x.example", "*.*.x"],
)
def test_a_pattern_that_covers_too_much_or_nothing_is_refused(desk, pattern):
    with pytest.raises(Invalid):
        desk.do(client_trust.set_rule, pattern=pattern, verdict="allow")


@pytest.fixture
def requested(desk):
    row = ClientRequest(
        tenant_id=desk.tenant_id,
        client_id=DOCUMENT,
        user_id="usr_a",
        status="open",
        created_at=desk.now,
    )
    desk.sql(lambda tx: tx.add(row))
    return DOCUMENT


def test_an_approved_request_admits_exactly_one_url(desk, requested):
    assert [r.client_id for r in desk.ask(client_trust.requests)] == [requested]
    line = desk.do(client_trust.approve, requested)
    assert (line.status, line.decided_by, line.decided_at) == (
        "approved",
        "test:operator",
        desk.now,
    )
    assert desk.ask(client_trust.requests) == []
    assert desk.ask(client_trust.requests, status=None) == [line]
    trust = desk.configuration().trust
    assert trust.judge(requested) is Verdict.ADMITTED
    assert trust.judge("https://app.example/other.json") is Verdict.NOT_LISTED
    with pytest.raises(Conflict, match="approved already"):
        desk.do(client_trust.approve, requested)
    with pytest.raises(Conflict, match="was approved"):
        desk.do(client_trust.refuse, requested)


def test_a_refused_request_can_be_approved_later(desk, requested):
    assert desk.do(client_trust.refuse, requested).status == "refused"
    assert desk.configuration().trust.judge(requested) is Verdict.NOT_LISTED
    assert desk.do(client_trust.approve, requested).status == "approved"


def test_a_deny_rule_is_not_approved_away(desk, requested):
    desk.do(client_trust.set_rule, pattern="app.example", verdict="deny")
    with pytest.raises(Conflict, match="deny wins"):
        desk.do(client_trust.approve, requested)


def test_only_what_somebody_asked_for_is_approved(desk):
    with pytest.raises(NotFound, match="nobody asked for"):
        desk.do(client_trust.approve, DOCUMENT)


def test_a_client_is_described_anew_and_keeps_what_proves_it(desk):
    made = add(desk, client_id="web", auth_method="client_secret_basic")
    before = client_of_row(stored(desk, "web"))
    anew = Registration(
        name="Portal",
        redirect_uris=("https://portal.example/cb",),
        auth_method="client_secret_post",
        push_only=True,
    )
    details = desk.do(clients.change_registration, "web", anew)
    assert (details.name, details.auth_method) == ("Portal", "client_secret_post")
    row = stored(desk, "web")
    assert [it["digest"] for it in row.secrets] == [entropy.digest(made.secret)]
    assert row.metadata_["require_pushed_authorization_requests"] is True
    assert client_of_row(row).digest != before.digest, "people are asked again"
    keys = replace(anew, auth_method="private_key_jwt", jwks={"keys": [EC_KEY]})
    desk.do(clients.change_registration, "web", keys)
    assert stored(desk, "web").secrets == []
    with pytest.raises(Invalid, match="public keys"):
        desk.do(clients.change_registration, "web", replace(keys, jwks=None))


def test_only_what_was_registered_here_is_described_here(desk):
    desk.sql(
        lambda tx: tx.add(
            Client(
                tenant_id=desk.tenant_id,
                id=DOCUMENT,
                kind="cimd",
                status="known",
                name="App",
                metadata_={},
                secrets=[],
                created_at=desk.now,
                updated_at=desk.now,
            )
        )
    )
    with pytest.raises(Conflict, match="was not registered here; it is cimd"):
        desk.do(
            clients.change_registration, DOCUMENT, Registration(name="X", redirect_uris=CALLBACK)
        )
