import json

import pytest
from sqlalchemy import select

from authz.admin import groups, users
from authz.db.models import AuditEvent, User
from authz.errors import Conflict, Invalid, NotFound
from authz.passwords import verify_password
from authz.transactions import marked_open


def add(desk, login="dev@example.com", **given):
    return desk.do(users.add, login=login, **{"name": "", "password_hash": None, **given})


def events(desk):
    def read(tx):
        rows = tx.scalars(
            select(AuditEvent.body)
            .where(AuditEvent.tenant_id == desk.tenant_id)
            .order_by(AuditEvent.position)
        )
        return [json.loads(body) for body in rows]

    return desk.sql(read)


def test_a_login_is_stored_in_one_spelling(desk):
    user = add(desk, "  Dev@Example.COM ")
    assert user.login == "dev@example.com"
    assert user.id.startswith("usr_")
    assert desk.ask(users.show, "DEV@example.com", desk.now).id == user.id


@pytest.mark.parametrize("login", ["", " ", "a b", "a\nb", "x" * 255, "a\x00b"])
def test_a_login_that_cannot_be_typed_is_refused(desk, login):
    with pytest.raises(Invalid, match="the login"):
        add(desk, login)


def test_the_same_login_is_taken_however_it_is_capitalised(desk):
    add(desk)
    with pytest.raises(Conflict, match=r"'dev@example\.com' already"):
        add(desk, "DEV@example.com")


def test_a_password_is_hashed_before_the_transaction(desk):
    hashed = users.hash_new_password("correct horse")
    user = add(desk, password_hash=hashed)
    assert user.has_password
    stored = desk.sql(lambda tx: tx.get_one(User, user.id).password_hash)
    assert "correct horse" not in stored
    assert verify_password("correct horse", stored)
    with marked_open(), pytest.raises(RuntimeError, match="inside a database transaction"):
        users.hash_new_password("correct horse")


@pytest.mark.parametrize(("password", "why"), [("seven77", "too short"), ("x" * 1025, "bytes")])
def test_a_password_has_bounds(password, why):
    with pytest.raises(Invalid, match=why):
        users.hash_new_password(password)


def test_disabling_ends_grants_and_sessions_and_says_so(desk):
    user, other = add(desk), add(desk, "other@example.com")
    family, others = desk.give_family(user.id), desk.give_family(other.id)
    session = desk.give_session(user.id)
    done = desk.do(users.disable, "dev@example.com")
    assert (done.revoked_grants, done.ended_sessions) == (1, 1)
    ended = desk.family(family)
    assert (ended.revoked_at, ended.revoked_because) == (desk.now, "user_disabled")
    assert desk.session(session).ended_at == desk.now
    assert desk.family(others).revoked_at is None
    revoked, access, changed = events(desk)[-3:]
    assert (access["kind"], access["detail"]["source"]) == ("access.ended", "operator")
    assert revoked["kind"] == "grant.revoked"
    assert revoked["detail"] == {"grant_id": family, "reason": "user_disabled"}
    assert changed["detail"]["what"] == "user.status"
    assert changed["subject"] == user.id
    assert changed["actor"] == "test:operator"


def test_enabling_does_not_bring_grants_back(desk):
    user = add(desk)
    family = desk.give_family(user.id)
    desk.do(users.disable, user.id)
    assert desk.do(users.enable, user.id).status == "active"
    assert desk.family(family).revoked_because == "user_disabled"


def test_a_grant_that_ended_before_keeps_its_reason(desk):
    user = add(desk)
    family = desk.give_family(user.id)
    desk.do(users.disable, user.id)
    first = desk.family(family).revoked_at
    desk.wait(hours=1)
    assert desk.do(users.disable, user.id).revoked_grants == 0
    assert desk.family(family).revoked_at == first


def test_a_new_password_signs_the_person_out(desk):
    user = add(desk)
    session = desk.give_session(user.id)
    desk.do(users.set_password, user.login, users.hash_new_password("correct horse"))
    assert desk.session(session).ended_at == desk.now


def test_the_trail_holds_no_address_and_no_password(desk):
    user = add(desk, name="Dev Eloper", password_hash=users.hash_new_password("correct horse"))
    desk.do(users.disable, user.login)
    text = json.dumps(events(desk))
    assert user.id in text
    assert "dev@example.com" not in text
    assert "Dev Eloper" not in text
    assert "argon2" not in text


def test_people_are_listed_and_found(desk):
    for login in ("b@x", "a@x", "c%@x"):
        add(desk, login)
    assert [u.login for u in desk.ask(users.list_)] == ["a@x", "b@x", "c%@x"]
    assert [u.login for u in desk.ask(users.list_, matching="%")] == ["c%@x"]
    assert [u.login for u in desk.ask(users.list_, limit=1)] == ["a@x"]


def test_nobody_is_named_in_the_refusal(desk):
    with pytest.raises(NotFound, match="'nobody'"):
        desk.do(users.disable, "nobody")


def test_groups_come_and_go(desk):
    user = add(desk)
    group = desk.do(groups.add, name=" oncall ")
    assert (group.name, group.members) == ("oncall", 0)
    desk.do(groups.add_member, group="oncall", user=user.login)
    assert desk.ask(groups.show, group.id).members == [user.login]
    assert desk.ask(users.show, user.id, desk.now).groups == ["oncall"]
    assert [g.members for g in desk.ask(groups.list_)] == [1]
    with pytest.raises(Conflict, match="is in the group 'oncall' already"):
        desk.do(groups.add_member, group="oncall", user=user.login)
    desk.do(groups.remove_member, group="oncall", user=user.id)
    with pytest.raises(NotFound, match="nobody put"):
        desk.do(groups.remove_member, group="oncall", user=user.id)


@pytest.mark.parametrize("name", ["", " ", "a\nb", "grp_x", "x" * 255])
def test_a_group_needs_a_name_that_is_no_id(desk, name):
    with pytest.raises(Invalid, match="not a name for a group"):
        desk.do(groups.add, name=name)


def test_a_group_name_is_taken_once(desk):
    desk.do(groups.add, name="oncall")
    with pytest.raises(Conflict, match="'oncall' already"):
        desk.do(groups.add, name="oncall")
