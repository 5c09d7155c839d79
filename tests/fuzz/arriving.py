"""Targets: assertions about people, forms that bring a person back, receivers of events, and directories of policy."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from authz.jose import verify_jwt
from authz.net import strict_json
from authz.oauth import id_jag
from authz.oauth.transmitting import requests
from authz.oauth.trust import Trust, TrustSettings
from authz.policy.code import KINDS, reading, writing
from authz.policy.code.roles import entries_of
from authz.policy.roles_file import RolesFile
from authz.resource_server.traceparent import read_traceparent
from authz.urls import canonical_resource
from authz.web.login.continuation import read_continuation
from tests.fuzz.front import KEY, SEPARATOR, in_form, in_header, token_of
from tests.support.configured import CLIENT, ISSUER, NOW

_CLIENT = replace(CLIENT, auth_methods=frozenset({"client_secret_basic"}))
_SETTINGS = TrustSettings(jwks_uri="https://idp.example/jwks")
_TRUST = Trust("tru_1", "corp", "id_jag", "con_1", "https://idp.example", _SETTINGS)
_AT = int(NOW.timestamp())
_CLAIMS: dict[str, Any] = {
    "iss": _TRUST.issuer,
    "sub": "u1",
    "aud": ISSUER,
    "client_id": CLIENT.id,
    "jti": "j1",
    "iat": _AT,
    "exp": _AT + 300,
}
_MORE = {
    "scope": "logs.write logs.read",
    "resource": ["https://other.example/mcp", "https://MCP.example:443/mcp"],
    "auth_time": _AT - 60,
    "acr": "urn:corp:mfa",
    "amr": ["pwd", "mfa"],
    "cnf": {"jkt": "k"},
    "email": "a@corp.example",
    "email_verified": True,
    "groups": ["dev", 1],
    "authorization_details": [{"type": "mcp_tool"}],
}


def _signed(claims: dict[str, Any]) -> bytes:
    header = {"alg": "ES256", "typ": id_jag.TYP}
    return json.dumps(header).encode() + SEPARATOR + json.dumps(claims).encode()


ASSERTIONS = (_signed(_CLAIMS), _signed(_CLAIMS | _MORE))
FORMS = (
    SEPARATOR.join([b"authorize", b"client_id=a&prompt=login&scope=b%20c", b""]),
    SEPARATOR.join([b"console", b"to=audit%3Fkind%3Da", b""]),
    SEPARATOR.join([b"device", b"user_code=BCDF-GHJK", b""]),
    SEPARATOR.join(
        [b"authorize", b"client_id=a", b'{"acr_values":["a"],"connections":[],"max_age":60}']
    ),
)
BODIES = tuple(
    json.dumps(body).encode()
    for body in (
        {"delivery": {"method": requests.POLL}, "events_requested": ["a"], "description": "d"},
        {"stream_id": "s", "status": "paused", "reason": "r", "state": "x"},
        {"subject": {"format": "iss_sub", "iss": ISSUER, "sub": "u"}, "stream_id": "s"},
        {"maxEvents": 3, "returnImmediately": True, "ack": ["a"], "setErrs": {"b": {"err": "c"}}},
    )
)
_REWRITTEN = 4096
"""Bytes: reading is to be cheap whatever comes, and is what is timed."""
DIRECTORIES = (
    b"roles: {developer: [logs.read]}\n",
    b"clients:\n  web: {name: Web, redirect_uris: [https://web.example/cb]}\n",
    SEPARATOR.join(
        [
            b"resources:\n  https://b.example/mcp:\n    name: B\n    scopes: {b.read: {risk: read}}\n",
            b"mappings:\n  - {connection: okta, claim: groups, value: dev, role: developer}\n",
        ]
    ),
)


def assertion(data: bytes) -> None:
    """IDJAG-01 to -15: what passes is of this client, has a person, and names servers as we spell them."""
    claims = verify_jwt(token_of(data), [KEY], id_jag.profile_of(_TRUST, ISSUER), NOW)
    found = id_jag.check(claims, _TRUST, _CLIENT, slug="acme")
    assert claims["client_id"] == _CLIENT.id
    assert found.subject
    assert found.jti
    assert all(it == canonical_resource(it) for it in found.resources)
    assert found.scopes is None or all(isinstance(it, str) and it for it in found.scopes)
    assert all(isinstance(it, str) for values in found.claims.values() for it in values)
    assert all("\x00" not in it for it in filter(None, (found.subject, found.email, found.name)))


def continuation(data: bytes) -> None:
    """ATK-07: wherever a form says that somebody was going, it is a page below our path."""
    then, query, needed = [*data.split(SEPARATOR), b"", b"", b""][:3]
    fields = {"then": in_form(then), "continue": in_form(query), "needed": in_form(needed)}
    found = read_continuation(fields)
    assert all(isinstance(it, str) for it in found.needed.acr_values + found.needed.connections)
    url = found.url("/t/acme", "mark")
    assert url == "/t/acme" or url.startswith(("/t/acme/", "/t/acme?"))
    assert "\\" not in url.partition("?")[0]
    assert not {"\r", "\n", "\x00"} & set(url)


def receiver(data: bytes) -> None:
    """Each reading of what a receiver of events may send; the first that is good is as bounded as it says."""
    body = strict_json.read_object(data)
    if "ack" in body or "setErrs" in body or "maxEvents" in body:
        poll = requests.read_poll(body)
        assert 0 <= poll.most <= requests.MAX_AT_ONCE
        assert all(isinstance(it, str) and len(it) <= 64 for it in poll.refused.values())
    elif "subject" in body:
        assert requests.read_subject(body, ISSUER)
    elif "status" in body:
        assert requests.read_status(body)[0] in requests.STATUSES
    else:
        wanted = requests.read_wanted(body)
        assert wanted.requested is None or all(wanted.requested)


def directory(data: bytes) -> None:
    """What is read of a directory is written as files that are read as the same."""
    texts = [part.decode("utf-8", "replace") for part in data.split(SEPARATOR)]
    read = reading.read({f"{n}.yaml": text for n, text in enumerate(texts)})
    if len(data) > _REWRITTEN:
        return
    roles = read.roles or RolesFile({})
    entries = {kind: read.entries.get(kind, {}) for kind in KINDS}
    again = reading.read(writing.write(entries, roles))
    assert _filled(again.entries) == _filled(entries)
    assert entries_of(again.roles) == entries_of(roles)


def _filled(entries: Mapping[str, Any]) -> dict[str, Any]:
    # Settings are written in full.
    return {kind: it for kind, it in entries.items() if it and kind != "settings"}


def call_trace(data: bytes) -> None:
    """In a protected server: what is told onward is what was sent, or nothing."""
    text = in_header(data)
    assert read_traceparent(text) in (None, text)
