"""Searching the trail of one tenant: by whom, through what, why and when, a page at a time."""

from datetime import timedelta

import pytest

from authz.admin import audit, tenants
from authz.audit.events import FamilyRevoked, LoginSucceeded, TokenIssued, TokenRefused
from authz.errors import Invalid

ADA, BOB, CLIENT = "usr_ada", "usr_bob", "cli_one"
MCP = "https://mcp.example/mcp"


def issued(subject, client=CLIENT, resource=MCP):
    return TokenIssued(
        subject=subject,
        client=client,
        grant_type="authorization_code",
        jti=f"at_{subject}",
        grant_id=f"grt_{subject}",
        resource=resource,
        scopes=["logs.read"],
        removed={},
        policy_version=1,
        refresh_token=True,
    )


def refused(reason, subject=None):
    return TokenRefused(
        subject=subject, client=CLIENT, grant_type="refresh_token", error="x", reason=reason
    )


@pytest.fixture
def trail(desk):
    """What two people did, minute after minute; answers the desk."""
    events = [
        LoginSucceeded(subject=ADA, method="password"),
        issued(ADA),
        issued(BOB, client="cli_two", resource="https://other.example/mcp"),
        refused("code_spent"),
        refused("refresh_reused", subject=BOB),
        FamilyRevoked(subject=BOB, client=CLIENT, actor=ADA, grant_id="grt_1", reason="admin"),
    ]
    for event in events:
        desk.wait(minutes=1)
        desk.sql(lambda tx, event=event: desk.operator.record(tx, desk.tenant_id, event))
    return desk


def found(desk, **asked):
    return [entry.kind for entry in desk.ask(audit.search, **asked).entries]


@pytest.mark.parametrize(
    ("asked", "kinds"),
    [
        ({"subject": ADA}, ["token.issued", "login.succeeded"]),
        ({"subject": BOB}, ["grant.revoked", "token.refused", "token.issued"]),
        ({"actor": ADA}, ["grant.revoked"]),
        ({"person": ADA}, ["grant.revoked", "token.issued", "login.succeeded"]),
        ({"client": "cli_two"}, ["token.issued"]),
        ({"resource": MCP}, ["token.issued"]),
        ({"kind": "token.refused"}, ["token.refused", "token.refused"]),
        ({"reason": "code_spent"}, ["token.refused"]),
        ({"subject": BOB, "kind": "token.refused"}, ["token.refused"]),
        ({"person": ADA, "reason": "code_spent"}, []),
        ({"subject": "usr_%"}, []),
    ],
)
def test_what_answers_to_all_of_it_newest_first(trail, asked, kinds):
    assert found(trail, **asked) == kinds


def test_a_span_of_time_has_its_beginning_and_not_its_end(trail):
    begin, end = trail.now - timedelta(minutes=4), trail.now - timedelta(minutes=2)
    assert found(trail, since=begin, until=end) == ["token.issued", "token.issued"]
    assert found(trail, since=end, person=BOB) == ["grant.revoked", "token.refused"]


@pytest.mark.parametrize("limit", [1, 2, 100])
def test_what_has_no_index_is_found_however_long_ago_it_was(desk, limit):
    """Looked for in the last day, the last week, and then in all of it."""
    for days in (0, 20, 8, 1, 0):
        desk.wait(days=days)
        desk.sql(lambda tx: desk.operator.record(tx, desk.tenant_id, refused("code_spent")))
    seen, after = [], None
    for _ in range(10):
        page = desk.ask(audit.search, kind="token.refused", after=after, limit=limit)
        seen += page.entries
        after = page.next
        if after is None:
            break
    ages = [(desk.now - it.at).days for it in seen]
    assert ages == [0, 0, 1, 9, 29]
    until = desk.now - timedelta(days=2)
    assert found(desk, kind="token.refused", until=until) == ["token.refused"] * 2
    assert found(desk, kind="token.refused", client="cli_nobody") == []


@pytest.mark.parametrize("limit", [1, 2, 5])
@pytest.mark.parametrize(
    "asked", [{}, {"person": ADA}, {"subject": BOB}], ids=["all", "ada", "bob"]
)
def test_pages_are_the_whole_in_order(trail, asked, limit):
    """Also where many events are of one moment, and events arrive between two pages."""
    trail.sql(
        lambda tx: trail.operator.record(
            tx, trail.tenant_id, *(issued(it) for it in (ADA, BOB) * 3)
        )
    )
    whole = trail.ask(audit.search, limit=100, **asked)
    assert whole.next is None
    seen, page = [], None
    while page is None or page.next is not None:
        after = None if page is None else page.next
        page = trail.ask(audit.search, after=after, limit=limit, **asked)
        assert 0 < len(page.entries) <= limit
        seen += page.entries
        trail.wait(seconds=1)
        trail.sql(lambda tx: trail.operator.record(tx, trail.tenant_id, issued(ADA), issued(BOB)))
    assert seen == list(whole.entries)


@pytest.mark.parametrize(
    "after", ["", "1", "1.2", "1.2.main;", "-1.2.main", "1.2.main\n", "١.2.main"]
)
def test_a_place_that_was_not_made_here(trail, after):
    with pytest.raises(Invalid, match="not where a page of the trail ends"):
        trail.ask(audit.search, after=after)


def test_a_place_beyond_all_time(trail):
    with pytest.raises(Invalid, match="not where a page of the trail ends"):
        trail.ask(audit.search, after="99999999999999999999.1.main")


def test_only_what_is_of_this_tenant(trail):
    """M1."""
    with trail.services.database.write() as tx:
        other = tenants.create(
            tx,
            trail.operator,
            slug=f"{trail.slug}-other",
            name="x",
            client_trust="allow_list",
            keys=[],
        )
        trail.operator.record(tx, other.id, issued(ADA))
    assert found(trail, subject=ADA) == ["token.issued", "login.succeeded"]
    page = trail.ask(audit.search, subject=ADA)
    assert {entry.source.split("#")[0] for entry in page.entries} == {"main "}


def test_people_go_by_their_logins(desk):
    from authz.admin import users

    line = desk.do(users.add, login="ada@corp.example", name="Ada", password_hash=None)
    page = desk.ask(audit.search, person=line.id)
    assert page.names == {line.id: "ada@corp.example"}
    assert page.entries[0].detail["what"] == "user.add"
