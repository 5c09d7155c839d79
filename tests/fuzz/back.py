"""Targets: what files, other servers, the database and callers of a protected MCP server bring."""

import contextlib
import json
from datetime import timedelta
from types import SimpleNamespace

from authz.audit import verification
from authz.audit.chain import Head, first_fault
from authz.audit.reading import Span
from authz.db import statements
from authz.doctor.challenge import bearer_parameters
from authz.jose import read_unverified
from authz.net import documents, strict_json
from authz.net.client import Fetched
from authz.net.errors import NetworkError
from authz.policy import roles_file
from authz.policy.scopes import PROTOCOL_SCOPES, is_scope_name, parse_scope
from authz.resource_server import (
    access_token,
    compact,
    dpop,
    jwks,
    listing,
    messages,
    request,
    tool_limits,
)
from authz.resource_server import strict_json as messages_json
from authz.resource_server import urls as resource_urls
from authz.resource_server.errors import InvalidToken
from authz.web.addresses import _budgeted
from tests.fuzz.front import KEY, SEPARATOR, in_form, in_header, token_of
from tests.support.configured import ISSUER, NOW, RESOURCE


def scope(data: bytes) -> None:
    text = in_form(data)
    if is_scope_name(text):
        assert parse_scope(text) == {text}
        assert text not in PROTOCOL_SCOPES
    scopes = parse_scope(text)
    assert scopes
    assert parse_scope(" ".join(sorted(scopes))) == scopes


def roles(data: bytes) -> None:
    """What was read is written and read again as the same; everything in it can be stored."""
    read = roles_file.parse(data.decode("utf-8", "replace"))
    assert roles_file.parse(roles_file.dump(read)) == read
    stored = [*read.roles, *(role.description for role in read.roles.values())]
    for role in read.roles.values():
        stored += [*role.includes, *role.scopes, *role.at]
    for binding in read.bindings or ():
        stored += [*binding.users, *binding.groups, *binding.clients]
    for text in stored:
        text.encode()
        assert "\x00" not in text


def net_json(data: bytes) -> None:
    """ATK-44, ATK-63: one reading, and one that a database can store."""
    found = strict_json.read_object(data)
    text = json.dumps(found, ensure_ascii=False, allow_nan=False)
    assert strict_json.read_object(text.encode()) == found


def net_headers(data: bytes) -> None:
    """Cache-Control and Content-Type of another server."""
    cache_control, _, media_type = data.partition(SEPARATOR)
    age = documents._max_age(in_header(cache_control))
    assert timedelta(0) <= age
    NOW + min(age, timedelta(days=1))
    fetched = Fetched(200, {"content-type": in_header(media_type)}, b"{}")
    with contextlib.suppress(NetworkError):
        documents._check_is_json("https://as.example/jwks", fetched)
        assert b"json" in media_type.lower()


def db_array(data: bytes) -> None:
    """What PostgreSQL reads is what was written; the reader here is an independent one."""
    values = [
        None if it == b"\x1e" else it.decode("utf-8", "replace") for it in data.split(b"\x1f")
    ]
    if any(value is not None and "\x00" in value for value in values):
        with contextlib.suppress(ValueError):
            statements.array_text(values)
            raise AssertionError("NUL was written")
        return
    assert _read_array(statements.array_text(values).decode()) == values


def _read_array(text: str) -> list[str | None]:
    """PostgreSQL documentation 8.15.6, for one dimension."""
    assert text[0] == "{"
    assert text[-1] == "}"
    found: list[str | None] = []
    place = 1
    while place < len(text) - 1:
        if text[place] != '"':
            end = min(n for n in (text.find(",", place), len(text) - 1) if n >= 0)
            assert text[place:end] == "NULL"
            found.append(None)
            place = end + 1
            continue
        element, place = [], place + 1
        while text[place] != '"':
            place += text[place] == "\\"
            element.append(text[place])
            place += 1
        found.append("".join(element))
        place += 2
    return found


def audit_trail(data: bytes) -> None:
    """Whatever an intruder wrote into the rows, the verifier ends with a verdict (item 4)."""

    def check(statement: str) -> None:
        read_unverified(statement)

    statement, _, body = data.partition(SEPARATOR)
    text = in_form(statement)
    claims = verification._object(in_form(body))
    heads = verification._heads(claims)
    points = [(SimpleNamespace(position=1, statement=text), claims)]
    hashes = {(strand, head[0]): "0" * 64 for strand, head in heads}
    gone = [Span(strand, 1, "0" * 64, 2, "1" * 64) for strand, _ in heads]
    fault = verification._checkpoint_fault(points, hashes, gone, check)
    assert fault is None or fault.what
    fault = verification._checkpoint_fault(points, hashes, (), check)
    assert fault is None or fault.what
    broken = first_fault(iter([(1, in_form(body), text)]), Head(1, text))
    assert broken is None or broken[1]


def forwarded_for(data: bytes) -> None:
    """ATK-70: a budget's key is short, and the same for the same network."""
    address = in_header(data)[:64]
    key = _budgeted(address)
    assert len(key) <= 64
    assert _budgeted(key.removesuffix("/64")) == key


def doctor_challenge(data: bytes) -> None:
    """A stranger's WWW-Authenticate."""
    for name in bearer_parameters(in_header(data)) or {}:
        assert name == name.lower()


# -- in a protected MCP server ------------------------------------------------------------------------------


def rs_token(data: bytes) -> None:
    token = token_of(data)
    found = compact.take_apart(token)
    assert token.encode().startswith(found.signing_input + b".")
    rs_claims(found.payload)


def rs_claims(data: bytes) -> None:
    """Judged as if the signature were good: a mistake of the authorization server must not be ours."""
    claims = compact.read_object(data, "claims_not_json", InvalidToken)
    token = access_token.read_claims(
        claims, issuer=ISSUER, resource=RESOURCE.identifier, now=NOW.timestamp()
    )
    assert token.issuer == ISSUER
    assert token.subject
    assert token.expires_at > NOW - timedelta(seconds=access_token.LEEWAY)
    assert token.key_thumbprint == token.claims.get("cnf", {}).get("jkt")
    for alternatives in token.tool_limits.values():
        assert tool_limits.permits(alternatives, {}) == any(not limits for limits in alternatives)
    hash(token)


def rs_keys(data: bytes) -> None:
    """ATK-45."""
    keys = jwks.read_keys(compact.read_object(data, "keys_not_json", InvalidToken))
    for key in keys.values():
        assert key.algorithms <= jwks.ALGORITHMS.keys()
        for algorithm in key.algorithms:
            assert not jwks.ALGORITHMS[algorithm].verify(b"a.b", b"\x00" * 64, key.key)


def rs_proof(data: bytes) -> None:
    """RFC 9449 §4.3."""
    proof = dpop.read_proof(
        [token_of(data)],
        token="tok",
        key_thumbprint=KEY.thumbprint(),
        method="POST",
        resource=RESOURCE.identifier,
        now=NOW.timestamp(),
    )
    assert proof.key_thumbprint == KEY.thumbprint()
    assert abs(proof.issued_at - NOW.timestamp()) <= dpop.WINDOW


def rs_message(data: bytes) -> None:
    body = messages.read_body(data)
    for call in body.calls:
        assert isinstance(call.tool, str)
        assert isinstance(call.arguments, dict)
    assert body.request_id is None or isinstance(body.request_id, str | int)


def rs_json(data: bytes) -> None:
    json.dumps(messages_json.loads(data), allow_nan=True)


def rs_request(data: bytes) -> None:
    """The query, then each Authorization header."""
    query, *headers = data.split(SEPARATOR)
    asgi = {"query_string": query, "headers": [(b"authorization", value) for value in headers]}
    assert request.read_credentials(asgi).token.isascii()


def rs_listing(data: bytes) -> None:
    """A tool that is not allowed is in no list that leaves, however the stream is cut."""
    events = listing.EventFilter(lambda name: name != "secret")
    chunks = data.split(SEPARATOR)
    sent = b"".join(
        events.feed(chunk, last=number == len(chunks) - 1) for number, chunk in enumerate(chunks)
    )
    whole = listing.EventFilter(lambda name: name != "secret")
    assert sent == whole.feed(b"".join(chunks), last=True)


def rs_urls(data: bytes) -> None:
    text = in_form(data)
    parts = resource_urls.require_identifier(text, "issuer")
    assert text.startswith(resource_urls.origin(parts)) or parts.scheme != text.partition(":")[0]
    for url in resource_urls.issuer_metadata_urls(text):
        assert resource_urls.require_identifier(url, "metadata").netloc == parts.netloc
    assert resource_urls.resource_metadata_path(text).startswith("/.well-known/")
