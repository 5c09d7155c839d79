"""Targets: what the directories of companies send (SCIM). They have a token; their people type what is in it."""

import json
from datetime import UTC, datetime

from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from authz.db.models import Base
from authz.db.types import canonical_json
from authz.net.strict_json import read_object
from authz.scim import bulk, groups, profile, users
from authz.scim.calls import Answer, Call, Caller
from authz.scim.filter import compile_filter
from authz.scim.listing import fetch, order, read_listing, satisfies
from authz.scim.patch import patch_group, patch_user
from authz.scim.reading import MAX_DOCUMENT_BYTES, is_storable, read_group, read_user
from authz.scim.schema import ENTERPRISE, USER, Person
from authz.scim.selection import read_selection
from tests.fuzz.front import in_form

NOW = datetime(2026, 1, 1, tzinfo=UTC)
CALLER = Caller(
    "ten_x", "https://as.example/scim/v2", "stk_x", None, b"k", slug="x", digest="d", version=1
)
DOCUMENT = {
    "userName": "ada",
    "active": True,
    "emails": [{"value": "w@corp.example", "type": "work", "primary": True}],
    "name": {"givenName": "Ada"},
    ENTERPRISE: {"department": "D", "manager": {"value": "m"}},
}
WHOLE = {"schemas": [USER, ENTERPRISE], "id": "usr_x", **DOCUMENT}
USER_NAMES = {it.name for it in Person.to_schema().attributes} | {"externalId", ENTERPRISE}
FILTERS = (
    b'userName eq "ada@corp.example" and title eq "x"',
    b'emails[type eq "work" and value co "@corp"] or not (externalId pr)',
    b'meta.lastModified ge "2026-01-01T00:00:00Z" and (active eq true or displayName sw "\\u00e9")',
    b'urn:ietf:params:scim:schemas:core:2.0:User:userName ne "x"',
    b'members[value eq "usr_x"] or members pr',
    b'id eq "x" and urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager.value eq "m"',
)
LISTINGS = (
    b'{"filter":"userName pr","startIndex":1,"count":10,"sortBy":"userName","sortOrder":"descending"}',
    b'{"attributes":["userName","name.givenName"],"count":"-5"}',
    b'{"excludedAttributes":"emails,name.familyName"}',
)
USERS = (
    (
        b'{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"ada@corp.example",'
        b'"externalId":"e","name":{"givenName":"A","familyName":"K"},"displayName":"A","active":"True",'
        b'"emails":[{"value":"a@corp.local","type":"work","primary":true}],"password":"x","groups":[],'
        b'"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":{"department":"D","manager":"m"}}'
    ),
    b'{"userName":"x","phoneNumbers":null,"photos":[{"value":"https://x.example/p"}],"roles":[]}',
    b'{"USERNAME":"x","x509Certificates":[{"value":"MIIB"}],"profileUrl":"https://x.example"}',
)
PATCHES = (
    (
        b'{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],'
        b'"Operations":[{"op":"Replace","path":"active","value":"False"}]}'
    ),
    (
        b'{"Operations":[{"op":"Add","path":"emails[type eq \\"home\\"].value","value":"h@corp.example"},'
        b'{"op":"replace","value":{"name.familyName":"K","title":"x"}},{"op":"remove","path":"name"}]}'
    ),
    (
        b'{"Operations":[{"op":"add","path":"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:'
        b'manager","value":[{"value":"x","$ref":"https://x.example/y"}]}]}'
    ),
    b'{"operations":[{"op":"remove","path":"emails","value":[{"value":"w@corp.example"}]}]}',
)
GROUPS = (
    b'{"displayName":"g","externalId":"e","members":[{"value":"usr_a","$ref":null,"type":"User"}]}',
    b'{"DisplayName":"g","members":{"value":"usr_a"}}',
)
GROUP_PATCHES = (
    (
        b'{"Operations":[{"op":"Add","path":"members","value":[{"value":"a"}]},'
        b'{"op":"remove","path":"members[value eq \\"b\\"]"},{"op":"Replace","path":"displayName","value":"h"}]}'
    ),
    b'{"Operations":[{"op":"replace","value":{"id":"grp_x","displayName":"h","members":[{"value":"c"}]}}]}',
    b'{"Operations":[{"op":"remove","path":"members","value":[{"value":"a"}]}]}',
)
BULKS = (
    (
        b'{"failOnErrors":1,"Operations":[{"method":"POST","path":"/Users","bulkId":"u","data":{"userName":"x"}},'
        b'{"method":"PATCH","path":"/Groups/grp_x","version":"W/1","data":{"members":["bulkId:u"]}},'
        b'{"method":"DELETE","path":"/Users/bulkId:u"}]}'
    ),
    (
        b'{"Operations":[{"method":"POST","path":"/Groups","bulkId":"a","data":{"x":"bulkId:b"}},'
        b'{"method":"POST","path":"/Groups","bulkId":"b","data":{"x":"bulkId:a"}}]}'
    ),
)
SELECTIONS = (
    b"userName,name.givenName,urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department",
    b"|emails.type,meta,schemas",
)
_ENGINE = create_engine("sqlite://")
Base.metadata.create_all(_ENGINE)


def scim_filter(data: bytes) -> None:
    """Whatever is asked becomes a statement that runs, and no text of it is part of the statement."""
    text = in_form(data)
    for kind in (users, groups):
        search = compile_filter(text, kind.columns(CALLER, frozenset({"username", "members"})))
        listing = read_listing({"filter": text})
        with Session(_ENGINE) as tx:
            statement = kind.rows(CALLER).where(search.where)
            assert "'" not in str(statement.compile(_ENGINE))
            total, _ = fetch(tx, kind.rows(CALLER), search, listing, order(listing, kind.SORTABLE))
        assert total == 0
    satisfies(WHOLE, "User", search)


def scim_listing(data: bytes) -> None:
    """The members of a search; a page is never larger than ours."""
    listing = read_listing(read_object(data))
    assert 0 <= listing.count <= 200
    assert listing.start >= 1
    order(listing, users.SORTABLE)
    chosen = listing.selection.of(WHOLE, USER)
    assert {"schemas", "id"} <= chosen.keys() <= WHOLE.keys()


def scim_user(data: bytes) -> None:
    _check_user(read_user(read_object(data), active=True))


def scim_patch(data: bytes) -> None:
    """What was not changed is there; what is ours is not; and all of it can be stored."""
    after = patch_user(DOCUMENT, read_object(data))
    _check_user(after)
    assert (
        patch_user(after, {"Operations": [{"op": "add", "path": "nothing", "value": 1}]}) == after
    )


def scim_group(data: bytes) -> None:
    document, people = read_group(read_object(data))
    _check(document, {"displayName", "externalId"})
    assert people is None or all(1 <= len(it) <= 64 for it in people)


def scim_group_patch(data: bytes) -> None:
    document, change = patch_group({"displayName": "g"}, read_object(data))
    _check(document, {"displayName", "externalId"})
    assert not change.removed & change.added
    assert change.of(frozenset("ab")) >= change.added


def scim_bulk(data: bytes) -> None:
    """Every operation is answered once, in the order of the request, and none is done before what it names."""
    done: list[str] = []

    def handle(caller: Caller, call: Call) -> Answer:
        assert not [*bulk._references(call.path.split("/")), *bulk._references(call.body)]
        done.append(call.method)
        return Answer(201, location=f"{caller.base}/Users/usr_{len(done)}")

    body = read_object(data)
    answer = bulk.run(handle, CALLER, Call("POST", "Bulk", NOW, body=body))
    results = answer.body["Operations"]
    assert len(done) <= len(results) <= bulk.MAX_OPERATIONS
    json.dumps(results)


def scim_selection(data: bytes) -> None:
    """Names of attributes, as a query has them."""
    wanted, _, unwanted = in_form(data).partition("|")
    chosen = read_selection(wanted, unwanted).of(WHOLE, USER)
    assert {"schemas", "id"} <= chosen.keys() <= WHOLE.keys()


def _check_user(document: dict) -> None:
    _check(document, USER_NAMES)
    assert isinstance(document["active"], bool)
    assert profile.name_of(document).isprintable() or not document["userName"].isprintable()
    address = profile.address_of(document)
    assert address is None or is_storable(address)
    login = profile.login_of(document)
    assert login == login.lower()


def _check(document: dict, names: set[str]) -> None:
    assert document.keys() <= names
    text = canonical_json(document)
    assert len(text) <= MAX_DOCUMENT_BYTES
    assert is_storable(json.dumps(json.loads(text), ensure_ascii=False))
