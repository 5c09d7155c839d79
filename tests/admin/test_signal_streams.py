import json

import pytest
from sqlalchemy import select

from authz import entropy
from authz.admin import signal_streams
from authz.admin.signal_streams import NewStream
from authz.db.models import AuditEvent, SignalStream
from authz.errors import Conflict, Invalid, NotFound
from tests.support.connections import connection

GOOD = {
    "slug": "okta",
    "connection": "corp",
    "issuer": "https://example.okta.com",
    "jwks_uri": "https://example.okta.com/keys",
    "audience": "https://authz.example",
}
POLLED = {"poll_url": "https://example.okta.com/poll", "poll_token": "env:TOKEN"}


@pytest.fixture
def corp(desk):
    row = connection(desk.tenant_id, "corp", desk.now)
    desk.sql(lambda tx: tx.add(row))
    return row


def add(desk, *, development=False, **changed):
    new = NewStream(**{**GOOD, **changed})
    return desk.do(signal_streams.add, new, development=development)


def stored(desk):
    def read(tx):
        return tx.scalars(
            select(SignalStream).where(SignalStream.tenant_id == desk.tenant_id)
        ).one()

    return desk.sql(read)


def test_a_stream_that_is_pushed_has_a_token_that_is_shown_once(desk, corp):
    made = add(desk)
    assert made.token.startswith("sgt_")
    assert made.token not in repr(made)
    row = stored(desk)
    assert (row.delivery, row.secret_digest) == ("push", entropy.digest(made.token))
    assert (row.connection_id, row.poll_token) == (corp.id, None)
    [line] = desk.ask(signal_streams.list_)
    assert (line.slug, line.connection, line.status, line.last_event_at) == (
        *("okta", "corp", "active"),
        None,
    )
    assert made.token not in json.dumps(vars(line), default=str)


def test_a_stream_that_is_polled_has_a_reference(desk, corp):
    made = add(desk, **POLLED)
    assert made.token is None
    row = stored(desk)
    assert (row.delivery, row.secret_digest, row.poll_token) == ("poll", None, "env:TOKEN")
    with pytest.raises(Conflict, match="polled"):
        desk.do(signal_streams.rotate_token, "okta")


def test_a_new_token_replaces_the_old_one(desk, corp):
    first = add(desk)
    second = desk.do(signal_streams.rotate_token, "okta")
    assert first.token != second.token
    assert stored(desk).secret_digest == entropy.digest(second.token)


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"slug": "Okta"}, "not a name for a stream"),
        ({"slug": "a/b"}, "not a name for a stream"),
        ({"issuer": ""}, "issuer has 1 to 512"),
        ({"issuer": "x" * 513}, "issuer has 1 to 512"),
        ({"audience": "a\nb"}, "audience has 1 to 512"),
        ({"jwks_uri": "http://example.okta.com/keys"}, "jwks_uri .* is not https"),
        ({"jwks_uri": "https://example.okta.com/keys#x"}, "fragment"),
        ({"jwks_uri": "https://a@example.okta.com/"}, "jwks_uri"),
        ({"jwks_uri": "keys"}, "jwks_uri"),
        ({"poll_token": "env:X"}, "goes with a poll URL"),
        ({**POLLED, "poll_url": "http://example.okta.com/poll"}, "poll_url .* is not https"),
        ({**POLLED, "poll_token": None}, "is a secret reference"),
        ({**POLLED, "poll_token": "the secret itself"}, "is a secret reference"),
        ({**POLLED, "poll_token": "env:"}, "is a secret reference"),
    ],
)
def test_what_a_stream_cannot_be(desk, corp, changed, sentence):
    with pytest.raises(Invalid, match=sentence) as refused:
        add(desk, **changed)
    # What stands in the place of a reference may be the secret.
    assert "the secret itself" not in str(refused.value)


def test_loopback_is_for_development(desk, corp):
    local = {"jwks_uri": "http://127.0.0.1:9000/keys"}
    with pytest.raises(Invalid, match="not https"):
        add(desk, **local)
    assert add(desk, development=True, **local).token


def test_a_stream_is_of_one_connection_and_has_one_name(desk, corp):
    with pytest.raises(NotFound, match="no connection 'other'"):
        add(desk, connection="other")
    add(desk)
    with pytest.raises(Conflict, match="a stream 'okta' already"):
        add(desk)


def test_switching_and_removing(desk, corp):
    add(desk)
    assert desk.do(signal_streams.set_status, "okta", "disabled").status == "disabled"
    with pytest.raises(Invalid, match="not active or disabled"):
        desk.do(signal_streams.set_status, "okta", "paused")
    assert desk.do(signal_streams.remove, "okta").slug == "okta"
    assert desk.ask(signal_streams.list_) == []
    for operation in (signal_streams.remove, signal_streams.rotate_token):
        with pytest.raises(NotFound, match="no stream 'okta'"):
            desk.do(operation, "okta")


def test_the_trail_says_it_all_but_no_secret(desk, corp):
    made = add(desk)
    again = desk.do(signal_streams.rotate_token, "okta")
    desk.do(signal_streams.set_status, "okta", "disabled")
    desk.do(signal_streams.remove, "okta")

    def read(tx):
        return list(
            tx.scalars(
                select(AuditEvent.body)
                .where(AuditEvent.tenant_id == desk.tenant_id)
                .order_by(AuditEvent.position)
            )
        )

    bodies = desk.sql(read)
    told = [json.loads(body)["detail"]["what"] for body in bodies if '"what"' in body]
    assert told[-4:] == [
        f"signal_stream.{it}" for it in ("add", "rotate_token", "status", "remove")
    ]
    for secret in (made.token, again.token):
        assert not any(secret in body or entropy.digest(secret) in body for body in bodies)


def test_a_stream_goes_with_its_connection(desk, corp):
    add(desk)

    def remove(tx):
        tx.delete(tx.merge(corp))

    desk.sql(remove)
    assert desk.ask(signal_streams.list_) == []
