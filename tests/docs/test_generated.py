"""Pages that are made from the code are what the code makes now; every setting, field and claim has a meaning."""

import ast
import dataclasses
import inspect
import json
import textwrap
from datetime import UTC, datetime
from typing import Any

import jsonschema
import pytest

from authz.admin import audit_export
from authz.audit import chain, checkpoints
from authz.audit.events import VERSION
from authz.clients import authentication
from authz.federation import logout_tokens, set_verification
from authz.jose import verification as jwt
from authz.oauth import (
    asserting,
    assertion_subjects,
    claims,
    dpop,
    id_jag,
    introspection,
    issuing,
    openid,
    revocation_feed,
    status_lists,
)
from authz.oauth.transmitting import events as transmitted
from scripts.reference_parts import events, settings
from scripts.reference_parts.pages import PAGES
from tests.docs.written import DOCS


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_what_the_code_makes_now(name):
    assert (DOCS / name).read_text(encoding="utf-8") == PAGES[name](), "run `scripts/dev docs`"


def test_every_setting_has_a_meaning():
    assert settings.undescribed() == []


def test_every_event_and_every_field_has_a_meaning():
    """S9."""
    assert events.undescribed() == []


SCHEMA = jsonschema.Draft202012Validator(json.loads(events.schema()))
SAMPLES: dict[str, Any] = {"string": "x", "integer": 1, "number": 0.5, "boolean": True}


def sample(kind):
    def value(schema):
        return {"array": ["x"], "object": {"x": "y"}, **SAMPLES}[
            schema["type"] if isinstance(schema["type"], str) else schema["type"][0]
        ]

    fields = events._object(kind)["properties"]
    return kind(**{name: value(schema) for name, schema in fields.items()}, subject="usr_x")


@pytest.mark.parametrize("kind", events.kinds(), ids=lambda it: it.kind)
def test_every_event_is_what_the_schema_says(kind):
    """S9: what is written is what is documented, by name, version and type, and nothing else passes."""
    made = chain.link(
        sample(kind), chain.Head(), tenant_id="t", strand="main", at=datetime.now(UTC)
    )
    body = json.loads(made.body)
    assert (body["v"], body["kind"]) == (VERSION, kind.kind)
    SCHEMA.validate(body)
    assert not SCHEMA.is_valid({**body, "detail": {**body["detail"], "more": "x"}})
    for name in body["detail"]:
        fewer = {key: value for key, value in body["detail"].items() if key != name}
        assert not SCHEMA.is_valid({**body, "detail": fewer})


def test_no_event_was_dropped_or_changed_without_a_new_version():
    """What is written down here was released: it goes with a new VERSION alone."""
    released = json.loads((DOCS.parent / "tests/docs/released_events.json").read_text())
    assert released["version"] == VERSION
    now = {it.kind: sorted(f.name for f in dataclasses.fields(it)) for it in events.kinds()}
    for kind, fields in released["kinds"].items():
        assert set(fields) <= set(now.get(kind, ())), kind


def written(*functions):
    """The names of members that these functions put into a dictionary of claims, at its first level."""
    found = set()
    for function in functions:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
        inner = {
            id(deep)
            for it in ast.walk(tree)
            if isinstance(it, ast.Dict) or isinstance(getattr(it, "targets", [0])[0], ast.Subscript)
            for value in (it.values if isinstance(it, ast.Dict) else [it.value])
            for deep in ast.walk(value)
            if isinstance(deep, ast.Dict)
        }
        for node in ast.walk(tree):
            match node:
                case ast.Dict(keys=keys) if id(node) not in inner:
                    found |= {it.value for it in keys if isinstance(it, ast.Constant)}
                case ast.Assign(targets=[ast.Subscript(slice=ast.Constant(value=str(name)))]):
                    found.add(name)
                case ast.Assign(
                    targets=[ast.Subscript(slice=ast.Attribute() | ast.Name() as named)]
                ):
                    found.add(eval(ast.unparse(named), function.__globals__))
    return found


WRITERS = {
    "Access token": [issuing.claims],
    "ID token": [openid.id_token_claims, openid.person_claims],
    "ID-JAG that this server makes": [asserting._about_the_sign_in],
    "Introspection answer": [introspection.Introspection.sign],
    "Security event token that this server sends": [
        transmitted.claims_of,
        transmitted.verification_claims,
    ],
    "Revocation feed": [revocation_feed.RevocationFeed._sign],
    "Status list": [status_lists.StatusLists._read],
    "Export of the audit trail": [audit_export.prepare],
    "Checkpoint of the audit trail": [checkpoints.next_checkpoint],
}


@pytest.mark.parametrize("kind", claims.MADE, ids=lambda it: it.title)
def test_the_claims_of_a_token_are_those_that_are_written(kind):
    expected = written(*WRITERS[kind.title])
    if kind.title.startswith("ID-JAG"):
        [maker] = [
            it
            for _, it in inspect.getmembers(asserting, inspect.isfunction)
            if '"client_id": client_there' in inspect.getsource(it)
        ]
        expected |= written(maker) | {"email", "email_verified"}
    if kind.title.startswith("Security"):
        expected -= {"format", "user", "session", "event_timestamp", "id"}  # of what it is about
    assert claims.names(kind.claims) == expected


def test_introspection_answers_with_the_claims_of_the_token():
    assert frozenset(introspection._CLAIMS) == claims.names(claims.ACCESS_TOKEN_CLAIMS)


READERS = {
    "ID-JAG of an identity provider": [id_jag, jwt, assertion_subjects],
    "Logout token of an OpenID provider": [logout_tokens, jwt],
    "Security event token of a transmitter": [set_verification],
    "Client assertion": [authentication, jwt],
    "DPoP proof": [dpop],
}


def read_of(module):
    """The names of members that a module takes out of the claims of a token, directly or through a function."""
    found = set()
    for node in ast.walk(ast.parse(inspect.getsource(module))):
        match node:
            case (
                ast.Call(
                    func=ast.Attribute(value=ast.Name("claims"), attr="get"),
                    args=[ast.Constant(str(name)), *_],
                )
                | ast.Call(args=[ast.Name("claims"), ast.Constant(str(name)), *_])
                | ast.Subscript(value=ast.Name("claims"), slice=ast.Constant(str(name)))
                | ast.Tuple(elts=[ast.Name("claims"), ast.Constant(str(name))])
            ):
                found.add(name)
    return found


@pytest.mark.parametrize("kind", claims.TAKEN, ids=lambda it: it.title)
def test_the_claims_of_a_token_that_is_taken_are_those_that_are_read(kind):
    assert claims.names(kind.claims) == set().union(*map(read_of, READERS[kind.title]))
