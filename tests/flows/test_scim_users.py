"""People as a company's directory writes them: M3, E9, E11, and whose accounts are nobody's to touch."""

import json

import pytest
from sqlalchemy import select

from authz.admin import users
from authz.db.models import Identity, ScimRecord, User
from authz.directory.linking import LinkRefused, UpstreamIdentity, link
from tests.support.harness import LOG, PASSWORD
from tests.support.saml_idp import certificate_of, key_of, pem_of
from tests.support.scim import ENTERPRISE, USER, add_connection, directory, openid_settings


@pytest.fixture
def scim(harness):
    return directory(harness)


def row(harness, user_id):
    with harness.server.database.read() as tx:
        return tx.get_one(User, user_id)


def changes(harness):
    """What the trail says of provisioning: what, target, attributes."""
    return [it["detail"]["what"] for it in harness.events("scim.changed")]


FULL = {
    "externalId": "e-1",
    "name": {"givenName": "Ada", "familyName": "King"},
    "emails": [
        {"value": "ada@home.example", "type": "home"},
        {"value": "Ada@Corp.example", "type": "work", "primary": True},
    ],
    "title": "Countess",
    "roles": [{"value": "admin"}],
    "entitlements": [{"value": "everything"}],
    ENTERPRISE: {"department": "Engines", "manager": {"value": "b"}},
}


def test_a_person_is_made_and_kept_as_sent(harness, scim):
    made = scim.create("Ada@Corp.example", **FULL)
    assert made.status == 201
    assert made.id.startswith("usr_")
    again = scim.get(f"Users/{made.id}")
    assert again.json == made.json
    sent = {name: it for name, it in made.json.items() if name not in ("id", "meta", "schemas")}
    assert sent == {**FULL, "userName": "Ada@Corp.example", "active": True}
    assert made.json["schemas"] == [USER, ENTERPRISE]
    user = row(harness, made.id)
    assert (user.login, user.email, user.name) == (
        "ada@corp.example",
        "ada@corp.example",
        "Ada King",
    )
    assert (user.status, user.password_hash, user.is_break_glass) == ("active", None, False)
    [event] = harness.events("scim.changed")
    assert event["subject"] == event["detail"]["target"] == made.id
    assert event["actor"].startswith("scim:stk_")
    assert event["detail"]["what"] == "user.create"
    assert "ada" not in json.dumps(event).lower().replace("attributes", "")


def test_roles_and_entitlements_of_a_directory_give_nothing(harness, scim):
    """Nothing unmapped influences scopes (ATK-28)."""
    made = scim.create("ada@corp.example", **FULL)
    with_password(harness, "ada@corp.example")
    page = harness.browser("ada@corp.example").authorize()
    assert page.error == "access_denied"
    assert scim.get(f"Users/{made.id}").json["roles"] == [{"value": "admin"}]


def with_password(harness, login):
    hashed = users.hash_new_password(PASSWORD)
    harness.change(users.set_password, login, hashed)


HOME = {"value": "h@b.example", "type": "home"}
WORK = {"value": "w@b.example", "type": "work"}


@pytest.mark.parametrize(
    ("sent", "name", "email"),
    [
        ({}, "ada", None),
        ({"displayName": "  Ada   King "}, "Ada King", None),
        ({"displayName": "", "name": {"formatted": "Lady Ada"}}, "Lady Ada", None),
        ({"name": {"familyName": "King"}}, "King", None),
        ({"displayName": "\u202eAda"}, "ada", None),
        ({"displayName": "x" * 300}, "x" * 200, None),
        ({"emails": [{"value": "a@b.example"}]}, "ada", "a@b.example"),
        ({"emails": [HOME, WORK]}, "ada", "w@b.example"),
        ({"emails": [WORK, {**HOME, "primary": True}]}, "ada", "h@b.example"),
        ({"emails": [{"value": "ada@corp.local", "type": "work"}]}, "ada", "ada@corp.local"),
        ({"emails": [{"value": "not an address"}]}, "ada", None),
        ({"emails": [{"type": "work"}]}, "ada", None),
        ({"emails": []}, "ada", None),
    ],
    ids=[
        "nothing", "display name", "formatted", "parts", "not printable", "long", "only address", "work", "primary",
        "local domain", "no address", "no value", "empty",
    ],
)  # fmt: skip
def test_what_the_account_shows(harness, scim, sent, name, email):
    user = row(harness, scim.create("ada", **sent).id)
    assert (user.name, user.email) == (name, email)


def test_a_name_is_one_name_however_it_is_capitalised(scim):
    assert scim.create("ada@corp.example").status == 201
    taken = scim.create("ADA@Corp.Example")
    assert taken.refusal == (409, "uniqueness", "user_not_unique")
    found = scim.find("Users", 'userName eq "aDa@corp.example"')
    assert found.json["totalResults"] == 1


def test_two_people_have_no_one_external_id(scim):
    assert scim.create("ada@corp.example", externalId="7").status == 201
    twice = scim.create("bob@corp.example", externalId="7")
    assert twice.refusal == (409, "uniqueness", "user_not_unique")


def test_a_foreign_name_is_never_our_id(harness, scim):
    """Grafana CVE-2025-41115: externalId is looked up nowhere but as externalId."""
    ours = harness.users["dev"]
    made = scim.create("eve@corp.example", externalId=ours)
    assert made.id != ours
    assert scim.get(f"Users/{ours}").json["userName"] == "dev@example.com"
    [by_id] = scim.find("Users", f'id eq "{ours}"').resources
    [by_name] = scim.find("Users", f'externalId eq "{ours}"').resources
    assert (by_id["id"], by_name["id"]) == (ours, made.id)
    numeric = scim.create("mallory@corp.example", externalId="1")
    assert scim.get("Users/1").status == 404
    assert scim.deactivate("1").status == 404
    assert row(harness, numeric.id).status == "active"


def test_nobody_says_their_own_id(scim):
    made = scim.create(
        "ada@corp.example", id="usr_mine", meta={"version": "x"}, groups=[{"value": "g"}]
    )
    assert made.status == 201
    assert made.id != "usr_mine"
    assert "groups" not in made.json
    put = scim.ask("PUT", f"Users/{made.id}", {"userName": "ada@corp.example", "id": "usr_mine"})
    assert put.id == made.id
    refused = scim.patch(f"Users/{made.id}", {"op": "replace", "path": "id", "value": "x"})
    assert refused.refusal == (400, "mutability", "mutability")


def test_a_password_is_not_read(harness, scim):
    """Okta sends one with every account: no error, no hash, no trace."""
    mark = len(LOG.events)
    made = scim.create("ada@corp.example", password="S3cret-of-ada")
    assert made.status == 201
    person = f"Users/{made.id}"
    scim.patch(person, {"op": "replace", "path": "password", "value": "S3cret-of-ada"})
    scim.patch(person, {"op": "replace", "value": {"password": "S3cret-of-ada"}})
    scim.ask("PUT", person, {"userName": "ada@corp.example", "password": "S3cret-of-ada"})
    assert row(harness, made.id).password_hash is None
    with harness.server.database.read() as tx:
        written = tx.get_one(ScimRecord, made.id).attributes
    seen = [scim.get(person).json, written, harness.events(), [str(it) for it in LOG.events[mark:]]]
    assert "S3cret" not in json.dumps(seen)
    assert harness.browser("ada@corp.example").sign_in(password="S3cret-of-ada").status == 400


def test_put_replaces_and_keeps_who_they_are(harness, scim):
    made = scim.create("ada@corp.example", **FULL)
    put = scim.ask("PUT", f"Users/{made.id}", {"userName": "ada@corp.example", "displayName": "A"})
    assert put.status == 200
    kept = {name: put.json[name] for name in ("id", "externalId", "active", "displayName")}
    assert kept == {"id": made.id, "externalId": "e-1", "active": True, "displayName": "A"}
    assert not {"title", "emails", "name", ENTERPRISE} & put.json.keys()
    assert row(harness, made.id).email is None


def test_what_changes_nothing_is_no_version_and_no_event(harness, scim):
    made = scim.create("ada@corp.example", title="x")
    harness.clock.advance(seconds=5)
    same = scim.patch(f"Users/{made.id}", {"op": "replace", "path": "title", "value": "x"})
    assert same.json == made.json
    assert changes(harness) == ["user.create"]


def test_people_who_were_there_before_are_found_and_changed(harness, scim):
    """No second account beside the one an operator made."""
    [found] = scim.find("Users", 'userName eq "dev@example.com"').resources
    assert found["id"] == harness.users["dev"]
    assert (found["displayName"], found["active"]) == ("Dev", True)
    changed = scim.patch(
        f"Users/{found['id']}",
        {"op": "add", "path": "externalId", "value": "e-7"},
        {"op": "replace", "path": "title", "value": "Developer"},
    )
    assert (changed.json["externalId"], changed.json["title"]) == ("e-7", "Developer")
    user = row(harness, found["id"])
    assert (user.name, user.password_hash is not None) == ("Dev", True)
    [event] = harness.events("scim.changed")
    assert event["detail"]["values"]["attributes"] == ["externalId", "title"]


def test_a_name_can_change(harness, scim):
    made = scim.create("ada@corp.example")
    scim.create("bob@corp.example")
    path = f"Users/{made.id}"
    moved = scim.patch(path, {"op": "replace", "path": "userName", "value": "King@corp.example"})
    assert moved.json["userName"] == "King@corp.example"
    assert row(harness, made.id).login == "king@corp.example"
    taken = scim.patch(path, {"op": "replace", "path": "userName", "value": "BOB@corp.example"})
    assert taken.refusal == (409, "uniqueness", "user_not_unique")
    assert scim.create("ada@corp.example").status == 201


# -- accounts that are kept -------------------------------------------------------------------------------


def test_the_emergency_account_is_nobody_s_to_touch(harness, scim):
    harness.change(users.set_break_glass, "sre@example.com", allowed=True)
    user_id = harness.users["sre"]
    assert scim.get(f"Users/{user_id}").status == 404
    assert scim.find("Users", 'userName eq "sre@example.com"').json["totalResults"] == 0
    refused = (403, None, "break_glass")
    body = {"userName": "sre@example.com", "active": False}
    assert scim.deactivate(user_id).refusal == refused
    assert scim.ask("PUT", f"Users/{user_id}", body).refusal == refused
    assert scim.ask("DELETE", f"Users/{user_id}").refusal == refused
    assert scim.create_group(members=[{"value": user_id}]).refusal == refused
    assert scim.create("sre@example.com").status == 409
    assert row(harness, user_id).status == "active"
    assert changes(harness) == []


def test_a_client_of_a_connection_changes_its_own_people_and_nobody_s(harness):
    add_connection(harness, "okta")
    add_connection(harness, "entra")
    okta, entra = directory(harness, "okta"), directory(harness, "entra")
    ours = okta.create("ada@corp.example", externalId="1").id
    refused = (403, None, "user_of_other_connection")
    assert entra.get(f"Users/{ours}").status == 200  # it has to find who is there
    assert "externalId" not in entra.get(f"Users/{ours}").json
    assert entra.find("Users", 'externalId eq "1"').json["totalResults"] == 0
    assert entra.deactivate(ours).refusal == refused
    assert entra.ask("DELETE", f"Users/{ours}").refusal == refused
    assert entra.create_group(members=[{"value": ours}]).refusal == refused
    assert entra.deactivate(harness.users["dev"]).json["active"] is False
    assert directory(harness).deactivate(ours).json["active"] is False


# -- externalId and the first sign-in ---------------------------------------------------------------------


@pytest.fixture
def okta(harness):
    return add_connection(harness, "okta", provisions=True, links_by_email=True)


def identities(harness):
    with harness.server.database.read() as tx:
        rows = tx.scalars(select(Identity).where(Identity.tenant_id == harness.tenant_id))
        return {it.subject: (it.user_id, it.linked_by) for it in rows}


def sign_in(harness, connection, subject, **claims):
    with harness.server.database.write() as tx:
        linked = link(tx, connection, UpstreamIdentity(subject, **claims), harness.clock())
        return linked.user_id


def test_who_was_provisioned_is_known_at_the_first_sign_in(harness, okta):
    """E9: by subject; no address is believed for it."""
    made = directory(harness, "okta").create("ada@corp.example", externalId="00u1")
    assert identities(harness) == {"00u1": (made.id, "scim")}
    [event] = harness.events("identity.linked")
    assert (event["subject"], event["detail"]) == (made.id, {"by": "scim", "connection": "okta"})
    assert sign_in(harness, okta, "00u1", email="other@corp.example") == made.id
    assert sign_in(harness, okta, "00u2") != made.id


OID = "11111111-2222-3333-4444-555555555555"
DIRECTORY = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"
ENTRA = openid_settings(
    "entra", issuer=f"https://login.microsoftonline.com/{DIRECTORY}/v2.0", client_id="authz"
)
SAML = {
    "entity_id": "https://idp.example",
    "sso_url": "https://idp.example/sso",
    "certificates": [pem_of(certificate_of(key_of("corp")))],
    "subject_attribute": None,
}


@pytest.mark.parametrize(
    ("values", "external_id", "subject"),
    [
        ({}, "00u1", "00u1"),
        ({"preset": "entra", "settings": ENTRA}, OID, f"{DIRECTORY}:{OID}"),
        ({"preset": "entra", "settings": ENTRA}, "jyoung", None),
        ({"kind": "saml", "settings": SAML}, "00u1", None),
        ({"kind": "saml", "settings": {**SAML, "subject_attribute": "uid"}}, "00u1", "00u1"),
        (
            {"kind": "saml", "settings": {**SAML, "subject_attribute": "uid"}},
            '["","","","x"]',
            None,
        ),
    ],
    ids=["openid", "entra", "entra, no object id", "NameID", "attribute", "like a NameID"],
)
def test_a_name_becomes_the_subject_of_a_sign_in(harness, values, external_id, subject):
    """As the connector composes it; where the two have nothing to do with each other nobody is linked."""
    add_connection(harness, "corp", **values)
    made = directory(harness, "corp").create("ada@corp.example", externalId=external_id)
    assert made.json["externalId"] == external_id
    expected = {} if subject is None else {subject: (made.id, "scim")}
    assert identities(harness) == expected


def test_a_client_of_no_connection_links_nobody(harness, okta):
    made = directory(harness).create("ada@corp.example", externalId="00u1")
    assert identities(harness) == {}
    assert sign_in(harness, okta, "00u1") != made.id


def test_an_external_id_is_one_person_at_the_connection(harness, okta):
    first = sign_in(harness, okta, "00u1", name="Ada")
    taken = directory(harness, "okta").create("eve@corp.example", externalId="00u1")
    assert taken.refusal == (409, "uniqueness", "external_id_linked")
    assert sign_in(harness, okta, "00u1") == first


def test_an_external_id_that_was_wrong_is_put_right(harness, okta):
    scim = directory(harness, "okta")
    made = scim.create("ada@corp.example", externalId="wrong")
    right = {"op": "replace", "path": "externalId", "value": "right"}
    assert scim.patch(f"Users/{made.id}", right).json["externalId"] == "right"
    assert identities(harness) == {"right": (made.id, "scim")}
    assert sign_in(harness, okta, "right") == made.id
    scim.patch(f"Users/{made.id}", {**right, "value": "newer"})
    # Somebody signed in under it: it stays theirs.
    assert identities(harness) == {"right": (made.id, "scim"), "newer": (made.id, "scim")}


def test_who_was_there_is_linked_when_the_directory_names_them(harness, okta):
    scim = directory(harness, "okta")
    user_id = harness.users["dev"]
    scim.patch(f"Users/{user_id}", {"op": "add", "path": "externalId", "value": "00u7"})
    assert identities(harness) == {"00u7": (user_id, "scim")}
    assert sign_in(harness, okta, "00u7") == user_id


def test_a_deleted_person_comes_back_as_somebody_else(harness, okta):
    """The `sub` of the first is nobody's for ever; the address and the subject are the second one's."""
    scim = directory(harness, "okta")
    values = {"externalId": "00u1", "emails": [{"value": "ada@corp.example", "type": "work"}]}
    first = scim.create("ada@corp.example", **values).id
    assert sign_in(harness, okta, "00u1") == first
    assert scim.ask("DELETE", f"Users/{first}").status == 204
    with pytest.raises(LinkRefused) as refused:
        sign_in(harness, okta, "00u1")
    assert refused.value.reason == "account_disabled"
    gone = row(harness, first)
    assert (gone.status, gone.email) == ("deleted", None)
    assert gone.login == f"ada@corp.example#deleted-{first}".lower()

    second = scim.create("ada@corp.example", **values).id
    assert second != first
    harness.clock.advance(seconds=1)
    assert sign_in(harness, okta, "00u1") == second
    assert scim.get(f"Users/{first}").status == 404
    assert scim.deactivate(first).status == 404
    assert scim.create_group(members=[{"value": first}]).status == 400


def test_a_name_given_for_no_connection_is_taken_over_by_one(harness, okta):
    """A token without a connection is replaced by one with it; another connection cannot do the same afterwards."""
    add_connection(harness, "entra")
    made = directory(harness).create("ada@corp.example", externalId="old").id
    name = {"op": "replace", "path": "externalId", "value": "00u1"}
    assert directory(harness, "okta").patch(f"Users/{made}", name).status == 200
    assert identities(harness) == {"00u1": (made, "scim")}
    unbound = directory(harness).patch(f"Users/{made}", {**name, "value": "mine"})
    assert unbound.refusal == (400, "mutability", "external_id_of_other_client")


def test_an_operator_s_accounts_can_be_told_from_deleted_ones(harness, scim):
    made = scim.create("ada@corp.example").id
    scim.ask("DELETE", f"Users/{made}")
    for operation in (users.enable, users.disable):
        with pytest.raises(users.Conflict, match="deleted by provisioning"):
            harness.change(operation, made)
    assert row(harness, made).status == "deleted"
