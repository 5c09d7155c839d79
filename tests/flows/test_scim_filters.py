"""Filters as SQL on both engines (M3, RFC 7644 §3.4.2.2): who is found, and what is refused instead of searched for."""

import pytest

from tests.support.harness import Harness
from tests.support.scim import ENTERPRISE, USER, directory

PEOPLE = {
    "ada": {
        "externalId": "E-1",
        "displayName": "Ada King",
        "emails": [{"value": "Ada@Corp.example", "type": "work", "primary": True}],
        ENTERPRISE: {"manager": {"value": "m-1"}},
    },
    "bob": {"externalId": "e-1", "displayName": "bob%_\\", "active": False},
    "cyd": {"displayName": "ÉCLAIR", "emails": [{"value": "cyd@home.example", "type": "home"}]},
    "dan": {"displayName": 'Dan "Quote" O\'Neil', "title": "ada"},
}


@pytest.fixture(scope="module")
def crowd(server):
    """A directory that knows these four, one group, and the two people of every harness."""
    harness = Harness(server)
    scim = directory(harness)
    ids = {name: scim.create(f"{name}@corp.example", **it).id for name, it in PEOPLE.items()}
    scim.create_group("Engineers", externalId="G-1", members=[{"value": ids["ada"]}])
    scim.create_group("empty")
    yield scim, ids
    harness.close()


EVERYBODY = {"ada", "bob", "cyd", "dan", "dev", "sre"}


@pytest.mark.parametrize(
    ("filter_", "found"),
    [
        ('userName eq "ada@corp.example"', {"ada"}),
        ('USERNAME EQ "ADA@Corp.Example"', {"ada"}),
        (f'{USER}:userName eq "ada@corp.example"', {"ada"}),
        ('userName ne "ada@corp.example"', EVERYBODY - {"ada"}),
        ('userName sw "B"', {"bob"}),
        ('userName ew "@CORP.example"', {"ada", "bob", "cyd", "dan"}),
        ('userName co "@example"', {"dev", "sre"}),
        ('userName ew "x-a-very-long-text-that-is-longer-than-any-name-here-ada@corp.example"', set()),
        ("userName pr", EVERYBODY),
        ("not (userName pr)", set()),
        ('id eq "usr_nobody"', set()),
        ('externalId eq "E-1"', {"ada"}),
        ('externalId eq "e-1"', {"bob"}),
        ('externalId sw "E"', {"ada"}),
        ('externalId ne "E-1"', EVERYBODY - {"ada"}),
        ("externalId pr", {"ada", "bob"}),
        ("not (externalId pr)", EVERYBODY - {"ada", "bob"}),
        ("active eq true", EVERYBODY - {"bob"}),
        ("active ne true", {"bob"}),
        ("active eq false", {"bob"}),
        ("active pr", EVERYBODY),
        ('displayName eq "ada king"', {"ada"}),
        ('displayName co "KING"', {"ada"}),
        ('displayName ew "%_\\\\"', {"bob"}),
        ('displayName co "%"', {"bob"}),
        ('displayName co "_"', {"bob"}),
        ('displayName eq "ÉCLAIR"', {"cyd"}),
        ('displayName co "\\"quote\\""', {"dan"}),
        ("displayName co \"o'n\"", {"dan"}),
        ('displayName eq "x\' or 1=1 --"', set()),
        ('emails eq "ada@corp.example"', {"ada"}),
        ('emails.value eq "ADA@corp.example"', {"ada"}),
        ('emails[type eq "work"].value eq "ada@corp.example"', {"ada"}),
        ('emails[type eq "work" and value co "@home"]', {"cyd"}),
        ('emails[primary eq true]', {"ada", "cyd"}),
        ('emails[value ew "example"]', {"ada", "cyd"}),
        ("emails pr", {"ada", "cyd"}),
        ('not (emails eq "ada@corp.example")', EVERYBODY - {"ada"}),
        ('userName sw "a" or userName sw "b"', {"ada", "bob"}),
        ('userName ew "corp.example" and not (active eq false)', {"ada", "cyd", "dan"}),
        ('userName sw "a" or userName sw "b" and active eq true', {"ada"}),
        ('(userName sw "a" or userName sw "b") and active eq false', {"bob"}),
        ('meta.lastModified gt "2020-01-01T00:00:00Z"', EVERYBODY),
        ('meta.lastModified lt "2020-01-01T00:00:00+02:00"', set()),
        ('meta.lastModified ge "2020-01-01"', EVERYBODY),
        ('meta.lastModified le "2020-01-01T00:00:00"', set()),
        # What has no column is asked of the one row that a name finds.
        ('userName eq "dan@corp.example" and title eq "ADA"', {"dan"}),
        ('userName eq "dan@corp.example" and title eq "king"', set()),
        (f'userName eq "ada@corp.example" and {ENTERPRISE}:manager.value eq "m-1"', {"ada"}),
        (f'externalId eq "E-1" and {ENTERPRISE}:manager.value eq "m-2"', set()),
    ],
)  # fmt: skip
def test_who_is_found(crowd, filter_, found):
    scim, _ = crowd
    for answer in (
        scim.find("Users", filter_, count=50),
        scim.ask("POST", "Users/.search", {"filter": filter_, "count": 50}),
    ):
        assert answer.status == 200, answer.json
        names = {it["userName"].partition("@")[0] for it in answer.resources}
        assert (names, answer.json["totalResults"]) == (found, len(found))


@pytest.mark.parametrize(
    ("filter_", "found"),
    [
        ('displayName eq "engineers"', {"Engineers"}),
        ('displayName sw "e"', {"Engineers", "empty"}),
        ('externalId eq "G-1"', {"Engineers"}),
        ('externalId eq "g-1"', set()),
        ('members eq "ADA"', {"Engineers"}),
        ('members.value eq "ADA"', {"Engineers"}),
        ('members[value eq "ADA"]', {"Engineers"}),
        ('members eq "BOB"', set()),
        ("members pr", {"Engineers"}),
        ("not (members pr)", {"empty"}),
        ('members ne "ADA"', {"empty"}),
        ('displayName eq "Engineers" and members eq "ADA"', {"Engineers"}),
        ('meta.lastModified gt "2020-01-01T00:00:00Z"', {"Engineers", "empty"}),
    ],
)
def test_which_groups_are_found(crowd, filter_, found):
    scim, ids = crowd
    text = filter_.replace("ADA", ids["ada"]).replace("BOB", ids["bob"])
    answer = scim.find("Groups", text)
    assert {it["displayName"] for it in answer.resources} == found


def test_a_person_is_found_by_id_and_by_what_else_is_true_of_them(crowd):
    """Microsoft Entra asks so whether a reference has a value."""
    scim, ids = crowd
    ada = ids["ada"]
    yes = scim.find("Users", f'id eq "{ada}" and {ENTERPRISE}:manager.value eq "m-1"')
    no = scim.find("Users", f'id eq "{ada}" and manager eq "m-1"', attributes="id")
    assert [it["id"] for it in yes.resources] == [ada]
    assert (no.status, no.resources) == (200, [])


@pytest.mark.parametrize(
    ("filter_", "reason"),
    [
        ('title eq "ada"', "filter_not_searchable"),
        ('name.familyName eq "King"', "filter_not_searchable"),
        ('title eq "ada" or userName eq "dan@corp.example"', "filter_not_searchable"),
        ('not (userName eq "dan@corp.example") and title eq "ada"', "filter_not_searchable"),
        ('userName sw "dan" and title eq "ada"', "filter_not_searchable"),
        ('password sw "a"', "filter_not_searchable"),
        (f'{ENTERPRISE}:department eq "x"', "filter_not_searchable"),
        ('urn:x:y:userName eq "x"', "filter_not_searchable"),
        ('emails[type eq "home"].value eq "x"', "filter_not_searchable"),
        ('emails[display eq "x"]', "filter_not_searchable"),
        ('members eq "x"', "filter_not_searchable"),
        ('userName gt "a"', "filter_operator"),
        ('meta.lastModified sw "2020-01-01"', "filter_operator"),
        ("id eq 7", "filter_value"),
        ("userName eq null", "filter_value"),
        ("userName eq true", "filter_value"),
        ('active eq "x"', "filter_value"),
        ("active gt false", "filter_value"),
        ('meta.lastModified gt "yesterday"', "filter_value"),
        ('meta.lastModified gt "0001-01-01T00:00:00+14:00"', "filter_value"),
        ('userName eq "\\u0000"', "filter_value"),
        ('userName eq "\\ud800"', "filter_value"),
        ('displayName co ""', "filter_value"),
        ("userName", "invalid_filter"),
        ("userName eq", "invalid_filter"),
        ('userName eq "x', "invalid_filter"),
        ("userName eq 'x'", "invalid_filter"),
        ('userName like "x"', "invalid_filter"),
        ('(userName eq "x"', "invalid_filter"),
        ("not (" * 40 + "active pr" + ")" * 40, "invalid_filter"),
        ('userName eq "' + "x" * 4096 + '"', "filter_length"),
        (" and ".join(['userName eq "x"', *(f'title{n} eq "x"' for n in range(9))]), "filter_rest"),
        ("emails.value[type pr]", "invalid_filter"),
    ],
)  # fmt: skip
def test_what_would_look_at_every_row_or_means_nothing_is_refused(crowd, filter_, reason):
    scim, _ = crowd
    answer = scim.ask("POST", "Users/.search", {"filter": filter_})
    assert answer.refusal == (400, "invalidFilter", reason)


def test_a_group_has_no_address(crowd):
    scim, _ = crowd
    answer = scim.find("Groups", 'emails eq "x"')
    assert answer.refusal == (400, "invalidFilter", "filter_not_searchable")
