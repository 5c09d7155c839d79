"""Directories send many requests at once; people are in the middle of something when they leave (M3, L8, ATK-29)."""

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest
from sqlalchemy import select

from authz.db.models import Departure, IssuedToken, Session, TokenFamily, User
from tests.support.plain_http import NO_TLS
from tests.support.scim import PATCH, Directory, add_connection, add_token, directory

MANY = 16


@pytest.fixture
def scim(harness):
    return directory(harness)


def at_once(harness, token, acts):
    """Each act with a client of its own, all at the same moment; answers what they answered."""
    barrier = threading.Barrier(len(acts))

    def run(act):
        with httpx2.Client(trust_env=False, verify=NO_TLS, timeout=60) as http:
            own = Directory(harness, token)
            own.http = http
            barrier.wait()
            return act(own)

    with ThreadPoolExecutor(len(acts)) as pool:
        return list(pool.map(run, acts))


def statuses(replies):
    return Counter(it.status for it in replies)


def people(harness):
    with harness.server.database.read() as tx:
        return tx.scalars(select(User).where(User.tenant_id == harness.tenant_id)).all()


def test_one_name_for_many_at_once(harness, scim):
    before = len(people(harness))
    acts = [lambda it, n=n: it.create("Ada@corp.example", title=str(n)) for n in range(MANY)]
    replies = at_once(harness, scim.token, acts)
    assert statuses(replies) == {201: 1, 409: MANY - 1}
    assert len(people(harness)) == before + 1
    assert len(harness.events("scim.changed")) == 1


@pytest.mark.parametrize("connection", [None, "okta"])
def test_one_external_id_for_many_at_once(harness, connection):
    if connection:
        add_connection(harness, connection)
    token = add_token(harness, connection)
    acts = [lambda it, n=n: it.create(f"p{n}@corp.example", externalId="7") for n in range(MANY)]
    replies = at_once(harness, token, acts)
    assert statuses(replies) == {201: 1, 409: MANY - 1}
    assert len(harness.events("identity.linked")) == (1 if connection else 0)


def test_one_group_name_for_many_at_once(harness, scim):
    replies = at_once(harness, scim.token, [lambda it: it.create_group()] * MANY)
    assert statuses(replies) == {201: 1, 409: MANY - 1}


def test_one_version_is_changed_once(harness, scim):
    made = scim.create()
    tag = made.response.headers["etag"]

    def change(own, n):
        operation = {"op": "replace", "path": "title", "value": str(n)}
        return own.patch(f"Users/{made.id}", operation, If_Match=tag)

    replies = at_once(harness, scim.token, [lambda it, n=n: change(it, n) for n in range(MANY)])
    assert statuses(replies) == {200: 1, 412: MANY - 1}


def test_members_added_at_once_are_all_there(harness, scim):
    group = scim.create_group().id
    ids = [scim.create(f"p{n}@corp.example").id for n in range(MANY)]

    def add(own, user_id):
        value = [{"value": user_id}, {"value": ids[0]}]
        return own.patch(f"Groups/{group}", {"op": "add", "path": "members", "value": value})

    replies = at_once(harness, scim.token, [lambda it, id_=id_: add(it, id_) for id_ in ids])
    assert statuses(replies) == {204: MANY}
    assert {it["value"] for it in scim.get(f"Groups/{group}").json["members"]} == set(ids)
    added = [
        it for it in harness.events("scim.changed") if it["detail"]["what"] == "group.member_add"
    ]
    assert Counter(it["subject"] for it in added) == dict.fromkeys(ids, 1)


def test_one_person_leaves_once_however_often_it_is_said(harness, scim):
    user_id = harness.users["dev"]
    acts = [lambda it: it.deactivate(user_id)] * (MANY - 4)
    acts += [lambda it: it.ask("DELETE", f"Users/{user_id}")] * 4
    replies = at_once(harness, scim.token, acts)
    assert set(statuses(replies)) <= {200, 204, 404}
    assert statuses(replies)[204] == 1
    with harness.server.database.read() as tx:
        rows = tx.scalars(select(Departure).where(Departure.user_id == user_id)).all()
    assert len(rows) == 1
    assert len(harness.events("access.ended")) == 1


def live(harness, user_id):
    """What of somebody's is still good in the database."""
    with harness.server.database.read() as tx:
        user = tx.get_one(User, user_id)
        families = tx.scalars(
            select(TokenFamily.id).where(
                TokenFamily.user_id == user_id, TokenFamily.revoked_at.is_(None)
            )
        ).all()
        tokens = tx.scalars(
            select(IssuedToken.jti)
            .join(TokenFamily, TokenFamily.id == IssuedToken.family_id)
            .where(TokenFamily.user_id == user_id, IssuedToken.revoked_at.is_(None))
        ).all()
        sessions = tx.scalars(
            select(Session.digest).where(Session.user_id == user_id, Session.ended_at.is_(None))
        ).all()
    return user.status, families, tokens, sessions


@pytest.mark.parametrize("round_", range(3))
def test_who_leaves_while_their_tokens_are_refreshed_has_none(harness, scim, round_):
    """ATK-29: each refresh is before the end, and its tokens end with it, or after it, and is refused."""
    user_id = harness.users["dev"]
    chains = [harness.redeem(harness.code(offline_access=True)).refresh_token for _ in range(6)]
    codes = [harness.code(offline_access=True) for _ in range(6)]
    ended = threading.Event()
    started = threading.Barrier(len(chains) + len(codes) + 1)

    def post(http, fields):
        return http.post(f"{harness.issuer}/token", data=fields)

    def refresh(token):
        with httpx2.Client(trust_env=False, verify=NO_TLS, timeout=60) as http:
            started.wait()
            for _ in range(500):
                fields = {"grant_type": "refresh_token", "client_id": harness.client_id}
                answer = post(http, {**fields, "refresh_token": token})
                if answer.status_code != 200:
                    return answer.json()["error"]
                token = answer.json()["refresh_token"]
            return "never refused"

    def redeem(code):
        verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
        fields = {"grant_type": "authorization_code", "client_id": harness.client_id}
        with httpx2.Client(trust_env=False, verify=NO_TLS, timeout=60) as http:
            started.wait()
            return post(http, {**fields, "code": code, "code_verifier": verifier}).status_code

    def leave():
        started.wait()
        answer = scim.deactivate(user_id)
        ended.set()
        return answer.json["active"]

    with ThreadPoolExecutor(len(chains) + len(codes) + 1) as pool:
        refreshing = [pool.submit(refresh, it) for it in chains]
        redeeming = [pool.submit(redeem, it) for it in codes]
        leaving = pool.submit(leave)
        assert leaving.result() is False
        assert {it.result() for it in refreshing} == {"invalid_grant"}
        assert {it.result() for it in redeeming} <= {200, 400}
    assert ended.is_set()
    assert live(harness, user_id) == ("disabled", [], [], [])


def test_bulk_requests_beside_each_other_do_not_wait_for_ever(harness, scim):
    """Each operation has its own transaction, so two requests with the same people in two orders are no deadlock."""
    ids = [scim.create(f"p{n}@corp.example").id for n in range(12)]

    def send(own, order, value):
        change = {"op": "replace", "path": "title", "value": value}
        data = {"schemas": [PATCH], "Operations": [change]}
        operations = [{"method": "PATCH", "path": f"/Users/{it}", "data": data} for it in order]
        return own.ask("POST", "Bulk", {"Operations": operations})

    # As many at once as one token may have.
    for n in range(4):
        acts = [
            lambda it, n=n: send(it, ids, str(n)),
            lambda it, n=n: send(it, ids[::-1], str(-n)),
        ]
        for reply in at_once(harness, scim.token, acts):
            assert reply.status == 200, reply.reason
            assert {it["status"] for it in reply.json["Operations"]} == {"200"}
