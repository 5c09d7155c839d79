"""From an identifier to a client, as far as nobody has to be asked (CIMD-32, ATK-47, ATK-48).

What asks, and what comes of an answer that does not come, is in tests/flows.
"""

from datetime import UTC, datetime, timedelta

import pytest

from authz.clients.metadata import Rules
from authz.clients.resolution import (
    ClientNotAdmitted,
    ClientRefused,
    changed_members,
    check_identifier,
    is_approved,
    stored_document,
    usable_row,
)
from authz.clients.trust import TrustPolicy
from authz.db.models import Client as ClientRow

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
URL = "https://app.example/client.json"
DOCUMENT = {
    "client_id": URL,
    "client_name": "App",
    "redirect_uris": ["https://app.example/cb"],
}
OPEN = TrustPolicy("open")
RULES = Rules()


def row_of(**changes):
    members = {
        "tenant_id": "ten_1",
        "id": URL,
        "kind": "cimd",
        "status": "known",
        "name": "App",
        "metadata_": DOCUMENT,
        "secrets": [],
        "scope_ceiling": None,
        "fresh_until": NOW,
    }
    return ClientRow(**members | changes)


def refused(call, *args, **kwargs):
    with pytest.raises(ClientRefused) as caught:
        call(*args, **kwargs)
    error = caught.value
    assert error.description == "the client cannot be used"
    return type(error), error.reason, error.sentence


@pytest.mark.parametrize(
    ("trust", "rules"),
    [
        (OPEN, RULES),
        (TrustPolicy("deny_list", deny=frozenset({"other.example"})), RULES),
        (TrustPolicy("allow_list", allow=frozenset({"app.example"})), RULES),
    ],
)
def test_an_identifier_that_may_be_asked_about(trust, rules):
    """CIMD-32."""
    check_identifier(URL, trust, rules)


def test_a_document_on_loopback_is_for_development():
    """CIMD-02."""
    local = "https://localhost:8443/client.json"
    check_identifier(local, OPEN, Rules(development=True))
    kind, reason, _ = refused(check_identifier, local, OPEN, RULES)
    assert (kind, reason) == (ClientRefused, "client_id_malformed")


@pytest.mark.parametrize(
    ("client_id", "trust", "kind", "reason", "sentence"),
    [
        (
            "cli_1",
            OPEN,
            ClientRefused,
            "client_unknown",
            "No client with this identifier is registered here.",
        ),
        (
            "https://app.example",
            OPEN,
            ClientRefused,
            "client_id_malformed",
            "The client's identifier is not usable: client_id 'https://app.example' has no path; add one.",
        ),
        (
            URL,
            TrustPolicy("open", deny=frozenset({"app.example"})),
            ClientRefused,
            "client_denied",
            "An administrator has refused this client.",
        ),
        (
            URL,
            TrustPolicy("allow_list", frozenset({URL}), frozenset({URL})),
            ClientRefused,
            "client_denied",
            "An administrator has refused this client.",
        ),
        (
            URL,
            TrustPolicy("allow_list"),
            ClientNotAdmitted,
            "client_not_admitted",
            "This client has not been approved here.",
        ),
    ],
)
def test_what_can_be_refused_unasked(client_id, trust, kind, reason, sentence):
    """CIMD-32, MCP-AS-49: a person may ask for a client that is only not approved yet."""
    assert refused(check_identifier, client_id, trust, RULES) == (kind, reason, sentence)


def test_a_row_is_used_unless_it_is_blocked():
    """MCP-AS-49."""
    assert usable_row(row_of(kind="registered", status="active")).id == URL
    assert refused(usable_row, row_of(kind="registered", status="blocked")) == (
        ClientRefused,
        "client_blocked",
        "An administrator has blocked this client.",
    )


@pytest.mark.parametrize(
    ("fresh_until", "is_fresh"),
    [
        (NOW + timedelta(microseconds=1), True),
        (NOW, False),
        (NOW - timedelta(1), False),
    ],
)
@pytest.mark.parametrize("approved", [True, False])
def test_a_stored_document_is_a_client_and_fresh_for_a_while(fresh_until, is_fresh, approved):
    """CIMD-18: with the bound an operator set, which no document can widen."""
    row = row_of(fresh_until=fresh_until, scope_ceiling=frozenset({"a"}))
    client, fresh = stored_document(row, rules=RULES, now=NOW, approved=approved)
    assert fresh is is_fresh
    assert (client.tenant_id, client.id, client.kind, client.name) == ("ten_1", URL, "cimd", "App")
    assert client.redirect_uris == ("https://app.example/cb",)
    assert client.scope_ceiling == {"a"}
    assert client.approved is approved


def test_a_stored_document_is_read_by_the_rules_of_today():
    """CIMD-23: what the installation no longer accepts is refused at the next use."""
    row = row_of(metadata_={**DOCUMENT, "redirect_uris": ["cursor://host/cb"]})
    rules = Rules(private_schemes=frozenset({"cursor"}))
    client, _ = stored_document(row, rules=rules, now=NOW, approved=False)
    assert client.redirect_uris == ("cursor://host/cb",)
    kind, reason, _ = refused(stored_document, row, rules=RULES, now=NOW, approved=False)
    assert (kind, reason) == (ClientRefused, "document_redirect_uris")


@pytest.mark.parametrize(
    ("changes", "reason", "sentence"),
    [
        ({"status": "blocked"}, "client_blocked", "An administrator has blocked this client."),
        ({"fresh_until": None}, "document_missing", "The client has no metadata document."),
        (
            {"metadata_": {**DOCUMENT, "client_id": "https://evil.example/c"}},
            "document_client_id",
            (
                "The client's metadata document is not usable: "
                "its client_id is not the address it was fetched from."
            ),
        ),
    ],
    ids=["blocked", "missing", "unusable"],
)
def test_a_stored_document_that_is_not_used(changes, reason, sentence):
    """CIMD-07, MCP-AS-49."""
    found = refused(stored_document, row_of(**changes), rules=RULES, now=NOW, approved=True)
    assert found == (ClientRefused, reason, sentence)


@pytest.mark.parametrize(
    ("trust", "is_named"),
    [
        (TrustPolicy("open"), False),
        (TrustPolicy("deny_list"), False),
        (TrustPolicy("open", allow=frozenset({"app.example"})), True),
        (TrustPolicy("allow_list", allow=frozenset({URL})), True),
        (TrustPolicy("allow_list", allow=frozenset({"other.example"})), False),
        (TrustPolicy("open", frozenset({URL}), frozenset({"*.app.example"})), True),
        (TrustPolicy("open", frozenset({URL}), frozenset({"app.example"})), False),
    ],
)
def test_only_a_name_on_the_list_is_an_approval(trust, is_named):
    """CIMD-24: that everybody is let in says nothing about one of them."""
    assert is_approved(trust, URL) is is_named


@pytest.mark.parametrize(
    ("before", "after", "changed"),
    [
        ({"a": 1}, {"a": 1}, []),
        ({"b": 1, "a": [1]}, {"b": 2, "a": [1]}, ["b"]),
        ({"b": 1, "c": 0}, {"a": 1, "c": 0}, ["a", "b"]),
    ],
)
def test_what_changed_in_a_document_is_named(before, after, changed):
    """CIMD-28."""
    assert changed_members(before, after) == changed
