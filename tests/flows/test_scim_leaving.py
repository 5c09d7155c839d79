"""Somebody leaves: `active: false` or DELETE, and nothing of theirs works any more (L8, item 15, ATK-29).

Of exactly that person in exactly that tenant: whoever else is signed in stays so.
"""

import base64
from dataclasses import dataclass

import pytest
from sqlalchemy import select

from authz.admin import resources, users
from authz.db.models import Departure, User
from authz.federation.security_events import RISC
from authz.telemetry.metrics import REGISTRY
from tests.support import devices
from tests.support.arrange import add_code
from tests.support.harness import RESOURCE, Answer, Browser, Harness
from tests.support.leaving import Provider
from tests.support.scim import Directory, add_connection, add_token, directory

ACCOUNT_DISABLED = f"{RISC}account-disabled"
WISH = "logs.read offline_access"
KINDS = ("session", "access token", "refresh token", "code", "device")


@pytest.fixture
def scim(harness):
    return directory(harness)


@pytest.fixture
def other(server):
    """Another tenant of the same server."""
    made = Harness(server)
    yield made
    made.close()


@dataclass
class Held:
    """Everything one person can hold."""

    harness: Harness
    browser: Browser
    tokens: Answer
    code: str
    device: devices.Asked
    rs: str

    def works(self):
        """What of it is still good; asking spends the code, the refresh token and the device."""
        harness = self.harness
        told = harness.post(
            "/introspect", {"token": self.tokens.access_token}, Authorization=self.rs
        )
        good = (
            not self.browser.start().is_login,
            told.json["active"],
            harness.refresh(self.tokens.refresh_token).ok,
            harness.redeem(self.code).ok,
            self.device.poll().ok,
        )
        return [kind for kind, is_good in zip(KINDS, good, strict=True) if is_good]


def hold(harness, login="dev"):
    """Sign in, and collect one of each."""
    browser = harness.browser(f"{login}@example.com")
    tokens = harness.redeem(browser.authorize(scope=WISH).code)
    assert tokens.ok
    device = devices.ask(harness)
    page = devices.type_code(browser, device.user_code)
    assert devices.answer(browser, page).status == 200
    server = harness.add_client(auth_method="client_secret_basic", name="Operations MCP")
    harness.change(resources.set_client, RESOURCE, server.client.id)
    pair = base64.b64encode(f"{server.client.id}:{server.secret}".encode()).decode()
    code = harness.code(login, offline_access=True)
    return Held(harness, browser, tokens, code, device, f"Basic {pair}")


def leave(scim, user_id, way):
    if way == "DELETE":
        return scim.ask("DELETE", f"Users/{user_id}")
    if way == "PUT":
        [found] = scim.find("Users", f'id eq "{user_id}"').resources
        return scim.ask("PUT", f"Users/{user_id}", {**found, "active": False})
    operation = {"op": "Replace", "path": "active", "value": "False"}
    if way == "Okta":
        operation = {"op": "replace", "value": {"active": False}}
    return scim.patch(f"Users/{user_id}", operation)


def departures(harness):
    with harness.server.database.read() as tx:
        return tx.scalars(select(Departure).where(Departure.tenant_id == harness.tenant_id)).all()


def observed():
    """How many departures the clock has seen, and the seconds of all of them."""
    labels = {"source": "scim"}
    name = "authz_offboarding_seconds"
    count, total = (REGISTRY.get_sample_value(f"{name}_{it}", labels) for it in ("count", "sum"))
    return int(count or 0), total or 0.0


@pytest.mark.parametrize("way", ["Okta", "Entra", "PUT", "DELETE"])
def test_who_leaves_has_nothing_left(harness, scim, other, way):
    """L8, item 15, O21-19, ATK-29, SSF-03."""
    leaver, colleague, namesake = hold(harness), hold(harness, "sre"), hold(other)
    user_id = harness.users["dev"]
    before, _ = observed()
    assert leave(scim, user_id, way).status == (204 if way == "DELETE" else 200)
    assert leaver.works() == []
    assert colleague.works() == list(KINDS)
    assert namesake.works() == list(KINDS)

    [departure] = departures(harness)
    because = "user_deleted" if way == "DELETE" else "user_disabled"
    assert (departure.user_id, departure.source, departure.because) == (user_id, "scim", because)
    assert (departure.sessions, departure.families, departure.codes) == (1, 1, 2)
    assert departure.tokens == 1
    assert observed()[0] == before + 1
    [ended] = harness.events("access.ended")
    [revoked] = harness.events("grant.revoked")
    assert ended["actor"] == revoked["actor"]
    assert ended["actor"].startswith("scim:stk_")
    assert (ended["subject"], ended["detail"]["reason"]) == (user_id, because)
    assert departures(other) == []


def test_the_clock_starts_when_the_request_arrives(harness, scim):
    """Item 15: the time that waiting takes is part of it."""
    hold(harness)
    count, total = observed()
    scim.deactivate(harness.users["dev"])
    [departure] = departures(harness)
    # The clock of tests stands still: what it took counts all the same.
    assert departure.signalled_at < departure.ended_at
    assert observed() == (count + 1, total)  # the clock of this server stands still


def test_a_new_sign_in_does_not_bring_the_old_one_back(harness, scim):
    """Back at work: a new sign-in works, what was held before stays dead."""
    leaver = hold(harness)
    user_id = harness.users["dev"]
    scim.deactivate(user_id)
    assert harness.browser().authorize().is_login
    assert scim.activate(user_id).json["active"] is True
    assert leaver.works() == []
    harness.clock.advance(seconds=1)
    assert harness.tokens().ok
    assert len(departures(harness)) == 1


def test_a_name_that_nobody_could_choose_is_no_reason_to_stay(harness, scim):
    """As linking gives one to whom an identity provider vouched for without a free address."""
    user_id = harness.add_user("usr_x#okta")
    assert scim.deactivate(user_id).json["active"] is False
    assert scim.create("usr_y#okta").status == 400


def test_saying_it_twice_ends_nothing_twice(harness, scim):
    user_id = harness.users["dev"]
    for _ in range(3):
        assert scim.deactivate(user_id).json["active"] is False
    assert scim.ask("DELETE", f"Users/{user_id}").status == 204
    assert scim.ask("DELETE", f"Users/{user_id}").status == 404
    assert len(departures(harness)) == 1


def test_what_else_changes_ends_nothing(harness, scim):
    leaver = hold(harness)
    path = f"Users/{harness.users['dev']}"
    scim.patch(path, {"op": "replace", "path": "title", "value": "Chief"})
    scim.patch(path, {"op": "replace", "path": "active", "value": True})
    scim.patch(path, {"op": "replace", "path": "userName", "value": "chief@example.com"})
    assert leaver.works() == list(KINDS)
    assert departures(harness) == []


@pytest.mark.parametrize("before", [False, True], ids=["operator first", "directory first"])
def test_what_an_operator_closed_a_directory_does_not_open(harness, scim, before):
    """Okta sends `active: true` with every change of a title."""
    user_id = harness.users["dev"]
    if before:
        scim.deactivate(user_id)
    harness.change(users.disable, user_id)
    assert scim.activate(user_id).json["active"] is False
    assert scim.deactivate(user_id).json["active"] is False
    assert scim.activate(user_id).json["active"] is False
    put = {"userName": "dev@example.com", "active": True, "title": "Chief"}
    assert scim.ask("PUT", f"Users/{user_id}", put).json["active"] is False
    assert scim.get(f"Users/{user_id}").json["title"] == "Chief"
    harness.change(users.enable, user_id)
    assert scim.get(f"Users/{user_id}").json["active"] is True
    assert scim.deactivate(user_id).json["active"] is False
    assert scim.activate(user_id).json["active"] is True


def test_what_a_signal_closed_the_directory_opens(harness):
    """The company's own word both times; what an operator closed in between is theirs."""
    corp = Provider(harness, "corp")
    corp.add_stream()
    ada = corp.employee("ada")
    scim = Directory(harness, add_token(harness, "corp"))
    assert (
        scim.patch(f"Users/{ada.user_id}", {"op": "add", "path": "title", "value": "x"}).status
        == 200
    )

    assert corp.tell(ACCOUNT_DISABLED, ada).status == 202
    assert scim.get(f"Users/{ada.user_id}").json["active"] is False
    assert scim.activate(ada.user_id).json["active"] is True

    harness.change(users.disable, ada.user_id)
    assert corp.tell(ACCOUNT_DISABLED, ada).status == 202
    assert scim.activate(ada.user_id).json["active"] is False


def test_who_is_made_inactive_cannot_sign_in_until_they_start(harness, scim):
    made = scim.create("ada@corp.example", active=False)
    assert made.json["active"] is False
    with harness.server.database.read() as tx:
        assert tx.get_one(User, made.id).status == "disabled"
    assert departures(harness) == []
    assert scim.activate(made.id).json["active"] is True


def test_a_deleted_account_is_kept_for_the_trail(harness, scim):
    """The `sub` means nobody else, ever; the row says who it was."""
    first = scim.create("ada@corp.example", displayName="Ada").id
    code = add_code(
        harness.server.database,
        tenant_id=harness.tenant_id,
        now=harness.clock(),
        client_id=harness.client_id,
        user_id=first,
        resource_id=harness.resource.id,
    )
    scim.ask("DELETE", f"Users/{first}")
    second = scim.create("ada@corp.example").id
    assert first != second
    with harness.server.database.read() as tx:
        kept = tx.get_one(User, first)
        assert (kept.name, kept.status, kept.cut_at) == ("Ada", "deleted", harness.clock())
    assert harness.redeem(code).error == "invalid_grant"
    assert scim.get("Users?count=200").json["totalResults"] == 3
    subjects = [it["subject"] for it in harness.events("scim.changed")]
    assert subjects == [first, first, second]


def test_a_client_of_a_connection_ends_its_own_people(harness):
    add_connection(harness, "okta")
    okta = directory(harness, "okta")
    made = okta.create("ada@corp.example", externalId="00u1")
    assert okta.deactivate(made.id).json["active"] is False
    [event] = harness.events("access.ended")
    assert event["subject"] == made.id
    [change] = [
        it for it in harness.events("scim.changed") if it["detail"]["what"] == "user.update"
    ]
    assert change["detail"]["connection"] == "okta"
    assert change["detail"]["values"] == {"attributes": ["active"], "active": False}
