"""Who opened which session."""

import pytest

from authz.resource_server import SessionNotFound
from authz.resource_server.sessions import SessionOwners


def test_an_owner_cannot_be_replaced(make_token):
    sessions = SessionOwners()
    sessions.bind("s", make_token())
    sessions.bind("s", make_token(subject="mallory"))
    sessions.require("s", make_token(scopes=()))
    with pytest.raises(SessionNotFound) as refused:
        sessions.require("s", make_token(subject="mallory"))
    assert refused.value.reason == "session_of_other_subject"


def test_memory_is_bounded_and_the_session_unused_for_longest_goes(make_token):
    sessions = SessionOwners(limit=2)
    for session in ("a", "b"):
        sessions.bind(session, make_token())
    sessions.require("a", make_token())
    sessions.bind("c", make_token())
    for session in ("a", "c"):
        sessions.require(session, make_token())
    with pytest.raises(SessionNotFound) as refused:
        sessions.require("b", make_token())
    assert refused.value.reason == "session_unknown"
