"""The admin API (L3): whose tokens open it, conditional and repeated requests, paging, and what errors say."""

import json
import threading
from base64 import b64encode, urlsafe_b64encode
from contextlib import ExitStack, suppress
from datetime import timedelta
from hashlib import sha256

import httpx2
import pytest
from sqlalchemy import select
from sqlalchemy.exc import TimeoutError as PoolTimeout

from authz.admin import admins, clients, users
from authz.admin.idempotency import ABANDONED, KEPT
from authz.db.models import Client, IdempotencyKey
from authz.jobs import remove_expired
from authz.limits import Limits
from authz.policy.administration import ADMIN_PATH, Permission
from authz.settings import LimitSettings
from authz.telemetry.metrics import REGISTRY
from authz.web.api.addresses import address
from authz.web.api.kit import Change, Listing
from authz.web.api.registry import API
from tests.support import admin_api as api
from tests.support import plain_http
from tests.support.admin_scene import Scene
from tests.support.dpop_keys import DpopKey
from tests.support.harness import LOG, RESOURCE
from tests.support.plain_http import NO_TLS

PROBLEM = "application/problem+json"
XSS = "<script>alert(1)</script>"


@pytest.fixture
def owner(harness):
    """A program that may do everything."""
    return api.client(harness, "owner")


# -- whose token ------------------------------------------------------------------------------------------


def test_a_program_gets_a_token_where_the_api_says_and_uses_it(harness, owner):
    """RFC 9728: from the challenge to the metadata, the issuer, a token, and who one is."""
    challenge = api.stranger(harness).get("/me").response.headers["www-authenticate"]
    where = challenge.partition('resource_metadata="')[2].partition('"')[0]
    told = plain_http.get(where).json()
    assert told["resource"] == f"{harness.issuer}{ADMIN_PATH}"
    assert told["authorization_servers"] == [harness.issuer]
    assert Permission.KEYS_WRITE in told["scopes_supported"]
    assert Permission.TENANTS_WRITE not in told["scopes_supported"]
    me = owner.get("/me").json
    assert me["name"] == f"api:{owner.name}"
    assert me["user_id"] is None
    assert not me["is_stale"]
    assert set(me["permissions"]) == set(told["scopes_supported"])


def test_what_was_done_is_told_by_the_trail_with_whoever_did_it(harness, owner):
    owner.post("/groups", {"name": "engineering"})
    [event] = [it for it in harness.events("admin.changed") if it["detail"]["what"] == "group.add"]
    assert event["actor"] == f"api:{owner.name}"
    [entry] = owner.get(f"/audit?actor=api:{owner.name}").json["items"]
    assert entry["detail"]["what"] == "group.add"


def test_a_person_administers_through_a_client_that_may(harness):
    boss = api.person(harness, "boss@corp.example", "help-desk")
    assert boss.get("/users?q=boss").json["items"][0]["login"] == "boss@corp.example"
    assert boss.post("/users", {"login": "new@corp.example", "name": ""}).status == 201
    refused = boss.post("/keys/rotate", {})
    assert (refused.status, refused.json["permission"]) == (403, Permission.KEYS_WRITE)


@pytest.mark.parametrize("kind", ["server", "userinfo", "nonsense", "none", "basic", "two"])
def test_tokens_of_other_places_open_nothing(harness, owner, kind):
    """ATK-59, MCP-AS-80: the audience is this API of this tenant."""
    tokens = {
        "server": lambda: harness.tokens().access_token,
        "userinfo": lambda: harness.tokens(scope="openid", resource=None).access_token,
        "nonsense": lambda: "eyJhbGciOiJub25lIn0.e30.",
        "none": lambda: "x",
        "basic": lambda: owner.token,
        "two": lambda: owner.token,
    }
    caller = api.Caller(harness, None)
    scheme = "Basic" if kind == "basic" else "Bearer"
    caller.headers = {"Authorization": f"{scheme} {tokens[kind]()}"}
    if kind == "two":
        url, sent = f"{caller.base}/users", [("Authorization", f"Bearer {owner.token}")] * 2
        response = harness.http.get(url, headers=sent)
        assert response.status_code == 400
        return
    answer = caller.get("/users")
    assert (answer.status, answer.response.headers["content-type"]) == (401, PROBLEM)


def test_a_cookie_is_no_credential(harness):
    """CSRF: there is nothing a browser would send by itself."""
    login = harness.add_user("boss@corp.example")
    harness.change(admins.grant, role="owner", kind="user", holder=login)
    browser = harness.browser("boss@corp.example")
    browser.authorize()
    url = f"{harness.issuer}{ADMIN_PATH}/v1/groups"
    answer = browser.http.post(url, json={"name": "x"}, headers={"Origin": harness.server.base})
    assert answer.status_code == 401
    preflight = browser.http.options(url, headers={"Origin": "https://evil.example"})
    assert preflight.status_code == 401
    assert not [it for it in preflight.headers if it.startswith("access-control")]


def test_whoever_is_unbound_loses_power_at_once(harness, owner):
    boss = api.person(harness, "boss@corp.example", "owner")
    assert boss.get("/users").status == 200
    way = f"/admins/owner/user/{boss.name}"
    assert owner.change("DELETE", way, None, way).status == 200
    refused = boss.get("/users")
    assert (refused.status, refused.reason) == (403, "insufficient_scope")


def test_a_lower_ceiling_takes_power_from_a_live_token(harness, owner):
    tool = api.client(harness, "owner")
    harness.change(clients.set_ceiling, tool.name, frozenset({str(Permission.READ)}))
    assert tool.get("/users").status == 200
    assert tool.post("/groups", {"name": "x"}).status == 403


@pytest.mark.parametrize("end", ["expired", "revoked", "blocked", "removed"])
def test_a_dead_token_of_a_program_opens_nothing(harness, owner, end):
    tool = api.client(harness, "owner")
    if end == "expired":
        harness.clock.advance(minutes=16)
    elif end == "revoked":
        pair = {"client_id": tool.name, "client_secret": tool.made.secret}
        own = harness.add_client(
            auth_method="client_secret_post",
            grant_types=("client_credentials",),
            redirect_uris=(),
            scope_ceiling=api.EVERY_SCOPE,
        )
        harness.change(admins.grant, role="owner", kind="client", holder=own.client.id)
        pair = {"client_id": own.client.id, "client_secret": own.secret}
        fields = {"grant_type": "client_credentials", "resource": f"{harness.issuer}{ADMIN_PATH}"}
        tool.token = harness.token({**fields, **pair}).access_token
        assert tool.get("/users").status == 200
        harness.post("/revoke", {"token": tool.token, **pair})
    else:
        harness.change(clients.block if end == "blocked" else clients.remove, tool.name)
    answer = tool.get("/users")
    assert answer.status == 401
    assert 'error="invalid_token"' in answer.response.headers["www-authenticate"]


def test_a_disabled_persons_token_opens_nothing(harness):
    boss = api.person(harness, "boss@corp.example", "owner")
    harness.change(users.disable, boss.name)
    assert boss.get("/users").status == 401


def test_a_bound_token_needs_its_key(harness, owner):
    """RFC 9449 §7: a stolen token without its key is nothing, and a proof is good once and for one request."""
    key = DpopKey()
    pair = f"{owner.made.client.id}:{owner.made.secret}"
    proof = key.proof(f"{harness.issuer}/token", harness.clock())
    answer = harness.token(
        {"grant_type": "client_credentials", "resource": f"{harness.issuer}{ADMIN_PATH}"},
        Authorization="Basic " + b64encode(pair.encode()).decode(),
        DPoP=proof,
    )
    assert answer.json["token_type"] == "DPoP"
    token = answer.access_token
    bound = api.Caller(harness, None)
    url = f"{bound.base}/users"
    ath = urlsafe_b64encode(sha256(token.encode()).digest()).rstrip(b"=").decode()
    now = harness.clock()
    right = key.proof(url, now, method="GET", ath=ath)
    headers = {"authorization": f"DPoP {token}", "dpop": right}
    assert bound.get("/users", **headers).status == 200
    assert bound.get("/users", **headers).reason == "dpop_replayed"
    other = DpopKey().proof(url, now, method="GET", ath=ath)
    assert bound.get("/users", authorization=f"DPoP {token}", dpop=other).status == 401
    wrong = key.proof(f"{bound.base}/groups", now, method="GET", ath=ath)
    assert bound.get("/users", authorization=f"DPoP {token}", dpop=wrong).reason == "dpop_htu"
    assert bound.get("/users", authorization=f"Bearer {token}").reason == "token_scheme"
    assert bound.get("/users", authorization=f"DPoP {token}").reason == "dpop_proof_missing"
    assert owner.get("/users", authorization=f"DPoP {owner.token}").reason == "token_scheme"


# -- fresh sign-in ----------------------------------------------------------------------------------------


def test_roles_keys_and_trust_take_a_fresh_sign_in(harness):
    """RFC 9470: what is missing is said so that a client can ask for it; reading and daily work go on."""
    boss = api.person(harness, "boss@corp.example", "owner", signed_in_before=16 * 60)
    assert boss.get("/me").json["is_stale"] is True
    assert boss.post("/groups", {"name": "x"}).status == 201
    for way, body in (
        ("/keys/rotate", {}),
        ("/roles/developer/holders", {"kind": "user", "holder": "sre@example.com"}),
        ("/trust", {}),
        ("/admins", {}),
    ):
        refused = boss.post(way, body)
        assert refused.status == 401, way
        challenge = refused.response.headers["www-authenticate"]
        assert 'error="insufficient_user_authentication"' in challenge
        assert "max_age=900" in challenge
        assert refused.json["code"] == "insufficient_user_authentication"
    fresh = api.person(harness, "fresh@corp.example", "owner", signed_in_before=14 * 60)
    assert fresh.post("/keys/rotate", {"at_once": True}).status == 200


# -- conditional requests ---------------------------------------------------------------------------------


def test_of_two_who_saw_the_same_the_second_merges(harness, owner):
    """RFC 9110 §13.1.1: nobody's change is lost, and the answer has what there is now."""
    seen = owner.get("/clients/" + harness.client_id)
    tag = seen.response.headers["etag"]
    way = f"/clients/{harness.client_id}/ceiling"
    first = owner.ask("PUT", way, {"scopes": ["logs.read"]}, if_match=tag)
    assert (first.status, first.json["scope_ceiling"]) == (200, ["logs.read"])
    second = owner.ask("PUT", way, {"scopes": None}, if_match=tag)
    assert (second.status, second.json["code"]) == (412, "precondition_failed")
    current = second.json["current"]
    assert current == owner.get("/clients/" + harness.client_id).json
    now = second.response.headers["etag"]
    assert now == first.response.headers["etag"] != tag
    merged = owner.ask("PUT", way, {"scopes": None}, if_match=now)
    assert (merged.status, merged.json["scope_ceiling"]) == (200, None)


def test_a_change_in_place_has_to_say_what_it_saw(harness, owner):
    way = f"/clients/{harness.client_id}/ceiling"
    assert owner.ask("PUT", way, {"scopes": None}).status == 428
    assert owner.ask("PUT", way, {"scopes": None}, if_match='W/"x"').status == 412
    assert owner.ask("PUT", way, {"scopes": None}, if_match="x").status == 400
    assert owner.ask("PUT", way, {"scopes": None}, if_match='"a", "b"').status == 412
    assert owner.ask("PUT", way, {"scopes": None}, if_match="*").status == 200


def test_two_at_the_same_moment_do_not_both_change_what_they_saw(harness, owner):
    """On both engines: the tag is judged in the transaction of the change."""
    tag = owner.get("/settings").response.headers["etag"]
    statuses = []

    def rename(name):
        with httpx2.Client(trust_env=False, verify=NO_TLS) as http:
            answer = http.put(
                f"{owner.base}/settings/name",
                json={"name": name},
                headers={"Authorization": f"Bearer {owner.token}", "If-Match": tag},
            )
            statuses.append(answer.status_code)

    threads = [threading.Thread(target=rename, args=(f"Name {n}",)) for n in range(6)]
    for it in threads:
        it.start()
    for it in threads:
        it.join()
    assert sorted(statuses) == [200, *[412] * 5]


def test_what_is_known_is_not_sent_again(harness, owner):
    before = owner.get("/users").response.headers["etag"]
    for way in ("/users", "/clients/" + harness.client_id, "/me"):
        tag = owner.get(way).response.headers["etag"]
        again = owner.get(way, if_none_match=f'"other", W/{tag}')
        assert (again.status, again.response.content) == (304, b"")
        assert again.response.headers["etag"] == tag
    owner.post("/users", {"login": "new@corp.example", "name": ""})
    assert owner.get("/users", if_none_match=before).status == 200


# -- repeated requests ------------------------------------------------------------------------------------


def test_a_request_under_a_key_is_done_once(harness, owner):
    body = {"login": "new@corp.example", "name": "New"}
    first = owner.post("/users", body, idempotency_key="k1")
    again = owner.post("/users", body, idempotency_key="k1")
    assert (first.status, again.status) == (201, 201)
    assert again.json == first.json
    assert again.response.headers["location"] == first.response.headers["location"]
    assert again.response.headers["idempotency-replayed"] == "true"
    assert "idempotency-replayed" not in first.response.headers
    assert owner.post("/users", body).status == 409
    other = owner.post("/users", {**body, "name": "Other"}, idempotency_key="k1")
    assert (other.status, other.json["code"]) == (422, "idempotency_key_reused")
    elsewhere = owner.post("/groups", {"name": "x"}, idempotency_key="k1")
    assert elsewhere.status == 422
    somebody = api.client(harness, "owner")
    assert somebody.post("/groups", {"name": "x"}, idempotency_key="k1").status == 201


def test_a_refusal_leaves_the_key_free(harness, owner):
    way = "/groups/engineering/members"
    assert owner.post(way, {"user": "dev@example.com"}, idempotency_key="k").status == 404
    owner.post("/groups", {"name": "engineering"})
    assert owner.post(way, {"user": "dev@example.com"}, idempotency_key="k").status == 200


def test_a_secret_is_never_told_twice_nor_kept(harness, owner):
    body = {
        "name": "CI",
        "auth_method": "client_secret_basic",
        "grant_types": ["client_credentials"],
    }
    first = owner.post("/clients", body, idempotency_key="k")
    assert first.status == 201
    again = owner.post("/clients", body, idempotency_key="k")
    assert (again.status, again.json["code"]) == (409, "secret_shown_once")
    person = {"login": "pw@corp.example", "name": "", "password": "a very secret word"}
    owner.post("/users", person, idempotency_key="k2")
    with harness.server.database.read() as tx:
        kept = tx.scalars(
            select(IdempotencyKey).where(IdempotencyKey.tenant_id == harness.tenant_id)
        ).all()
        told = json.dumps([{n: str(v) for n, v in vars(it).items()} for it in kept])
    assert len(kept) == 2
    assert first.json["secret"] not in told
    assert "very secret" not in told
    assert sha256(b"a very secret word").hexdigest() not in told


def test_while_it_is_performed_nobody_performs_it_again(harness, owner):
    """Nor after its process died, for a minute; then whoever asks next does it, and the dead one cannot."""
    owner.post("/groups", {"name": "one"}, idempotency_key="k")
    with harness.server.database.write() as tx:
        row = tx.scalars(
            select(IdempotencyKey).where(IdempotencyKey.tenant_id == harness.tenant_id)
        ).one()
        row.status, row.body = None, None
    under_way = owner.post("/groups", {"name": "one"}, idempotency_key="k")
    assert (under_way.status, under_way.json["code"]) == (409, "conflict")
    assert "being performed" in under_way.json["detail"]
    harness.clock.advance(seconds=ABANDONED.total_seconds())
    taken_over = owner.post("/groups", {"name": "one"}, idempotency_key="k")
    assert "there is a group 'one' already" in taken_over.json["detail"]


def test_many_at_once_under_one_key_add_one(harness, owner):
    statuses = []

    def add():
        with httpx2.Client(trust_env=False, verify=NO_TLS) as http:
            headers = {"Authorization": f"Bearer {owner.token}", "Idempotency-Key": "race"}
            answer = http.post(f"{owner.base}/groups", json={"name": "race"}, headers=headers)
            statuses.append(answer.status_code)

    threads = [threading.Thread(target=add) for _ in range(6)]
    for it in threads:
        it.start()
    for it in threads:
        it.join()
    assert set(statuses) <= {201, 409}
    assert 201 in statuses
    assert len(owner.get("/groups?q=race").json["items"]) == 1
    created = [it for it in harness.events("admin.changed") if it["detail"]["what"] == "group.add"]
    assert len(created) == 1


def test_keys_are_forgotten_after_a_day(harness, owner):
    owner.post("/groups", {"name": "one"}, idempotency_key="k")
    remove_expired(harness.server.services, harness.clock() + KEPT + timedelta(seconds=1))
    assert harness.count(IdempotencyKey) == 0


@pytest.mark.parametrize("key", ["", "x" * 256, "a b", "ä"])
def test_a_key_is_visible_ascii(harness, owner, key):
    sent = {"Authorization": f"Bearer {owner.token}", "Idempotency-Key": key.encode("latin-1")}
    answer = harness.http.post(f"{owner.base}/groups", json={"name": "x"}, headers=sent)
    assert answer.status_code == 400


# -- lists ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 200])
def test_pages_are_the_list(harness, owner, limit):
    """Each thing once and in order, whatever the size of a page."""
    for n in range(7):
        owner.post("/users", {"login": f"p{n}@corp.example", "name": XSS})
        owner.post("/groups", {"name": f"g{n}"})
        owner.post("/clients", {"name": "same", "redirect_uris": ["https://c.example/cb"]})
        harness.redeem(harness.code())
    lists = ("/users", "/groups", "/clients", "/grants", "/servers", "/audit")
    for way in (*lists, "/role-bindings", "/local-grants"):
        whole = owner.get(f"{way}?limit=200").json
        assert whole["next"] is None
        found, link = [], f"{owner.base}{way}?limit={limit}"
        while link is not None:
            answer = owner.get(link)
            assert answer.status == 200, (link, answer.response.text)
            found += answer.json["items"]
            assert len(answer.json["items"]) <= limit
            told = answer.response.headers.get("link")
            assert (told is None) is (answer.json["next"] is None)
            link = told and harness.server.base + told[1:].partition(">")[0]
        assert found == whole["items"], way


def test_groups_and_roles_of_a_person_have_pages_and_a_search(harness, owner):
    for name in ("team", "ops", "web"):
        owner.post("/groups", {"name": name})
        owner.post(f"/groups/{name}/members", {"user": "dev@example.com"})
        holder = {"kind": "group", "holder": name}
        assert owner.post("/roles/sre/holders", holder).status == 201
    way = "/users/dev@example.com"
    assert [it["group"] for it in owner.get(f"{way}/groups").json["items"]] == [
        "ops",
        "team",
        "web",
    ]
    first = owner.get(f"{way}/roles?limit=2").json
    second = owner.get(f"{way}/roles?limit=2&cursor={first['next']}").json
    held = [(it["role"], it["through"]) for it in first["items"] + second["items"]]
    assert held == [("developer", None), ("sre", "ops"), ("sre", "team"), ("sre", "web")]
    assert second["next"] is None
    assert [it["group"] for it in owner.get(f"{way}/groups?q=TEAM").json["items"]] == ["team"]
    assert [it["through"] for it in owner.get(f"{way}/roles?q=ops").json["items"]] == ["ops"]
    assert owner.get("/users/nobody@example.com/roles").status == 404


def test_lists_are_narrowed(harness, owner):
    Scene(harness)
    assert [it["login"] for it in owner.get("/users?q=DEV@").json["items"]] == ["dev@example.com"]
    assert owner.get("/users?status=disabled").json["items"] == []
    assert owner.get("/users?q=%25").json["items"] == []
    grants = owner.get("/grants?user=dev@example.com").json["items"]
    assert grants
    assert {it["login"] for it in grants} == {"dev@example.com"}
    assert owner.get(f"/grants?client={owner.name}").json["items"] == []
    assert {it["id"] for it in owner.get("/grants?q=DEV@").json["items"]} == {
        it["id"] for it in grants
    }
    assert owner.get("/grants?q=nobody").json["items"] == []
    assert owner.get(f"/grants?server={harness.resource.id}").json["items"]
    assert {it["role"] for it in owner.get("/role-bindings?kind=user").json["items"]}
    local = owner.get("/local-grants?q=dev@").json["items"]
    assert {(it["holder"], it["group"]) for it in local} == {("dev@example.com", None)}
    assert owner.get("/agents?q=nothing").json["items"] == []
    assert owner.get("/client-requests?status=approved").json["items"] == []


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=201",
        "limit=-1",
        "limit=x",
        f"limit=000000001{'0' * 5000}",
        "limit=1&limit=2",
        "cursor=x",
        "cursor=bnVsbA",
        "cursor=WyIxIiwiMSIsIjEiLCIxIiwiMSIsIjEiLCIxIl0",
        "cursor=WzFd",
        "cursor=WyIwMDAxLTAxLTAxVDAwOjAwOjAwKzIzOjAwIiwieCIsIngiLCJ4IiwieCJd",
        "cursor=WyJcdTAwMDAiXQ",
        "other=1",
        "q=%00",
        "q=%ff",
    ],
)
def test_a_query_that_cannot_be_meant_is_refused(harness, owner, query):
    Scene(harness)
    for area in API.values():
        for route in area:
            if isinstance(route, Listing) and "{" not in route.path and not route.is_of_base:
                answer = owner.get(f"{route.path}?{query}")
                assert answer.status == 400, (route.path, answer.response.text)
                assert answer.response.headers["content-type"] == PROBLEM


@pytest.mark.parametrize("name", ["since", "until"])
@pytest.mark.parametrize("moment", ["yesterday", "2026-01-01", "2026-01-01T00:00:00"])
def test_a_moment_has_a_zone(owner, name, moment):
    assert owner.get(f"/audit?{name}={moment}").status == 400


# -- what is sent and answered ----------------------------------------------------------------------------


def test_a_client_whose_identifier_is_a_url_is_one_segment(harness, owner):
    url = f"https://{harness.host}/client.json?x=1"
    with harness.server.database.write() as tx:
        template = tx.get_one(Client, (harness.tenant_id, harness.client_id))
        values = {c.key: getattr(template, c.key) for c in Client.__mapper__.column_attrs}
        tx.add(Client(**{**values, "id": url, "kind": "cimd"}))
    way = "/clients/" + address(url)
    assert owner.get(way).json["id"] == url
    assert owner.post(f"{way}/block").json == {"revoked_grants": 0}
    assert owner.get(way).json["status"] == "blocked"
    assert owner.get(f"/clients/{url}").status == 404


@pytest.mark.parametrize(
    ("method", "way", "status"),
    [
        ("GET", "/nothing", 404),
        ("GET", "/users/", 404),
        ("GET", "//users", 404),
        ("GET", "/users/%00", 404),
        ("GET", "/users/%ff", 404),
        ("GET", "/users/a%0ab", 404),
        ("GET", "/users/%0a", 404),
        ("GET", "/users/..%2fclients", 404),
        ("DELETE", "/users", 405),
        ("PATCH", "/keys", 405),
        ("OPTIONS", "/users", 405),
    ],
)
def test_what_is_not_there_is_refused_in_the_same_form(owner, method, way, status):
    answer = owner.ask(method, way)
    assert (answer.status, answer.response.headers["content-type"]) == (status, PROBLEM)
    if status == 405:
        assert "GET" in answer.response.headers["allow"]


@pytest.mark.parametrize(
    ("content", "content_type", "status"),
    [
        (b"{", "application/json", 400),
        (b"[]", "application/json", 400),
        (b'{"name": "a", "name": "b"}', "application/json", 400),
        (b'{"name": "a\\u0000"}', "application/json", 400),
        (b"name=a", "application/x-www-form-urlencoded", 415),
        (b'{"name": "a"}', "text/plain", 415),
        (b'{"name": "' + b"a" * 1024 * 1024 + b'"}', "application/json", 413),
        (b'{"name": 7}', "application/json", 400),
        (b'{"name": "a", "other": 1}', "application/json", 400),
        (b"", "application/json", 400),
    ],
)
def test_a_body_has_one_reading(harness, owner, content, content_type, status):
    sent = {"Authorization": f"Bearer {owner.token}", "Content-Type": content_type}
    answer = harness.http.post(f"{owner.base}/groups", content=content, headers=sent)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == PROBLEM
    assert owner.get("/groups").json["items"] == []


def test_what_the_address_says_the_body_does_not(harness, owner):
    refused = owner.post(f"/users/{harness.users['dev']}/disable", {"reference": "sre@example.com"})
    assert refused.status == 400
    assert "`reference` is said by the address" in refused.json["detail"]


@pytest.mark.parametrize(
    ("way", "body", "status", "pointer"),
    [
        ("/groups", {"name": " "}, 400, "#/name"),
        ("/groups", {"name": 7}, 400, "#/name"),
        ("/groups", {"name": "x", "surprise": 1}, 400, "#/surprise"),
        ("/groups", {}, 400, None),
        ("/groups/grp_none/members", {"user": "dev@example.com"}, 404, None),
        ("/agents", {"slug": "a", "purpose": "b", "owner": "no@x", "servers": []}, 404, "#/owner"),
        (
            "/servers",
            {"identifier": "https://m.example", "name": "M", "scopes": [{"name": "*"}]},
            400,
            "#/scopes",
        ),
    ],
)
def test_a_refusal_points_at_the_member_it_is_about(owner, way, body, status, pointer):
    """RFC 6901 §6; never at what the address says or what is missing."""
    answer = owner.post(way, body)
    assert (answer.status, answer.json.get("pointer")) == (status, pointer), answer.json


def test_what_strangers_wrote_is_json_and_nothing_else(harness, owner):
    """Stored XSS: as it was written, in a form that no browser shows as a page."""
    scene = Scene(harness)
    owner.post("/users", {"login": "x@corp.example", "name": XSS})
    owner.post("/groups", {"name": XSS})
    owner.post("/clients", {"name": XSS, "redirect_uris": ["https://c.example/cb"]})
    owner.post("/servers", {"identifier": "https://x.example/mcp", "name": XSS, "owner": XSS})
    owner.post(
        f"/servers/{scene.servers[0]}/scopes", {"name": "x", "description": XSS, "tools": [XSS]}
    )
    owner.change("PUT", "/settings/name", {"name": XSS}, "/settings")
    owner.post("/initial-tokens", {"name": XSS, "uses": 1, "lifetime": None})
    owner.post("/scim-tokens", {"name": XSS, "connection": None, "lifetime": None})
    seen = 0
    for area in API.values():
        for route in area:
            if isinstance(route, Change) or route.is_of_base:
                continue
            answer = owner.get(scene.way(route))
            assert answer.status == 200, route.path
            assert answer.response.headers["content-type"] == "application/json"
            assert answer.response.headers["x-content-type-options"] == "nosniff"
            assert answer.response.headers["cache-control"] == "no-store"
            seen += XSS in json.dumps(answer.json)
    assert seen >= 8
    refused = owner.get(f"/users/{XSS}".replace("/script", "%2Fscript"))
    assert (refused.status, refused.response.headers["content-type"]) == (404, PROBLEM)


def test_owners_of_a_server_change_theirs_and_no_other(harness):
    boss = api.person(harness, "boss@corp.example", "server-owner")
    mine = harness.add_resource("https://mine.example/mcp", owner="boss@corp.example")
    body = {"status": "disabled"}
    way = f"/servers/{mine.id}"
    done = boss.change("PUT", f"{way}/status", body, way)
    assert (done.status, done.json["status"]) == (200, "disabled")
    other = f"/servers/{harness.resource.id}"
    refused = boss.change("PUT", f"{other}/status", body, other)
    assert (refused.status, refused.json["permission"]) == (403, Permission.POLICY_WRITE)
    assert boss.get(other).json["status"] == "active"
    added = boss.post(f"{way}/scopes", {"name": "x.read"})
    assert added.status == 201


def test_the_help_desk_cannot_become_an_owner(harness, owner):
    """V3: what changes how an administrator signs in takes the right to make administrators."""
    boss = api.person(harness, "boss@corp.example", "owner")
    desk = api.client(harness, "help-desk")
    way = f"/users/{boss.name}"
    refused = desk.change("PUT", f"{way}/password", {"password": "long enough"}, way)
    assert (refused.status, refused.json["permission"]) == (403, Permission.ADMINS_WRITE)
    assert desk.post(f"{way}/disable").status == 403


def test_a_token_is_explained_and_ended(harness, owner):
    answer = harness.redeem(harness.code(offline_access=True))
    claims = harness.claims(answer.access_token)
    told = owner.get(f"/tokens/{claims['jti']}").json
    assert (told["valid"], told["resource"]) == (True, RESOURCE)
    grant = owner.get(f"/grants/{claims['grant_id']}").json
    assert (grant["login"], grant["server"]) == ("dev@example.com", RESOURCE)
    assert owner.post(f"/grants/{claims['grant_id']}/end").status == 200
    assert harness.refresh(answer.refresh_token).error == "invalid_grant"
    assert owner.get(f"/tokens/{claims['jti']}").json["valid"] is False
    assert owner.get(f"/grants/{claims['grant_id']}").status == 404


def test_a_browser_is_signed_out(harness, owner):
    browser = harness.browser()
    browser.authorize()
    [session] = owner.get("/sessions?user=dev@example.com").json["items"]
    assert session["login"] == "dev@example.com"
    ended = owner.post(f"/sessions/{session['mark']}/end").json
    assert ended == {"user_id": harness.users["dev"]}
    assert owner.get("/sessions").json["items"] == []
    assert browser.start().is_login
    [event] = harness.events("session.ended")
    assert event["actor"] == f"api:{owner.name}"


def test_policy_of_a_tenant_that_wants_two_people_is_not_changed_by_one(harness, owner):
    """V3, S17: no token gets further, so no challenge says that one could."""
    owner.change("PUT", "/settings/change-control", {"mode": "two_person"}, "/settings")
    way = "/roles/developer/holders"
    refused = owner.post(way, {"kind": "user", "holder": "sre@example.com"})
    assert (refused.status, refused.json["code"]) == (403, "needs_approval")
    assert "www-authenticate" not in refused.response.headers
    assert owner.post("/groups", {"name": "x"}).status == 201
    change = {
        "operation": "roles.bind",
        "arguments": {"role": "developer", "kind": "user", "holder": "sre@example.com"},
        "reason": "on call",
    }
    asked = owner.post("/changes", change)
    assert (asked.status, asked.json["status"]) == (201, "open")
    own = owner.post(f"/changes/{asked.json['id']}/approve")
    assert own.status == 403
    somebody = api.client(harness, "approver")
    assert somebody.post("/changes", change).json["permission"] == Permission.POLICY_WRITE
    approved = somebody.post(f"/changes/{asked.json['id']}/approve", {"note": "fine"})
    assert approved.json["status"] == "applied"
    held = owner.get(f"{way}?holder_id={harness.users['sre']}").json["items"]
    assert [it["holder"] for it in held] == ["sre@example.com"]


def test_too_many_requests_are_told_when_to_come_back(harness, owner, monkeypatch):
    few = Limits(LimitSettings(requests_per_address=2), harness.clock)
    monkeypatch.setattr(
        harness.server.edge.limits, "_work", {**harness.server.edge.limits._work, **few._work}
    )
    answers = [owner.get("/me") for _ in range(3)]
    assert [it.status for it in answers] == [200, 200, 429]
    assert int(answers[-1].response.headers["retry-after"]) > 0
    assert answers[-1].response.headers["content-type"] == PROBLEM


@pytest.mark.only("postgresql")
def test_a_database_without_a_connection_for_it_is_told_logged_and_counted(harness, owner):
    owner.get("/me")
    labels = {"endpoint": ADMIN_PATH, "reason": "database_unavailable"}
    mark, engine = len(LOG.events), harness.server.database.engine
    with ExitStack() as others:
        with suppress(PoolTimeout):
            while True:
                others.enter_context(engine.connect())
        before = REGISTRY.get_sample_value("authz_denials_total", labels) or 0
        answer = owner.get("/me")
    assert (answer.status, answer.json["code"]) == (503, "unavailable")
    assert answer.response.headers["retry-after"] == "1"
    assert REGISTRY.get_sample_value("authz_denials_total", labels) == before + 1
    told = [it for it in LOG.events[mark:] if it["event"].startswith("admin_api.")]
    assert [it["event"] for it in told] == ["admin_api.unavailable", "admin_api.refused"]
    assert told[1]["reason"] == "database_unavailable"
