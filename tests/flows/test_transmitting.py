"""Shared Signals to MCP servers (SSF-05): who may listen, what is told, and what cannot be found out by asking."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from authz.admin import clients, leaving, resources
from authz.federation import set_verification
from authz.federation.set_verification import Transmitter
from authz.oauth.transmitting.events import SESSION_REVOKED, TOKEN_REVOKED, VERIFICATION
from authz.oauth.transmitting.requests import POLL
from authz.oauth.transmitting.streams import VERIFY_EVERY
from authz.oauth.transmitting.transmitter import REFUSED
from tests.support.basic import basic
from tests.support.dpop_keys import DpopKey
from tests.support.harness import LOG, RESOURCE, Harness
from tests.support.leaving import Provider
from tests.support.mcp_server import Server

OTHER = "https://other.example/mcp"


class Receiver:
    """The client of the server at `resource`, with a token for stream management."""

    def __init__(self, harness, resource=RESOURCE, scope=None):
        self.harness = harness
        self.made = harness.add_client(
            auth_method="client_secret_basic",
            grant_types=("client_credentials",),
            redirect_uris=(),
        )
        harness.change(resources.set_client, resource, self.made.client.id)
        self.keys = KeySet.import_key_set(harness.http.get(f"{harness.issuer}/jwks").json())
        answer = self.token(scope)
        assert answer.ok, answer.reason
        self.bearer = answer.access_token

    def token(self, scope=None):
        fields = {"grant_type": "client_credentials", "resource": f"{self.harness.issuer}/ssf"}
        if scope is not None:
            fields["scope"] = scope
        return self.harness.token(fields, **basic(self.made))

    def ask(self, method, path, json=None, bearer=None, **params):
        headers = {"Authorization": f"Bearer {bearer or self.bearer}"}
        return self.harness.http.request(
            method,
            f"{self.harness.issuer}/ssf/{path}",
            json=json,
            headers=headers,
            params=params or None,
        )

    def create(self, **wanted):
        answer = self.ask("POST", "streams", wanted)
        assert answer.status_code == 201, answer.text
        return answer.json()

    def fetch(self, stream, **fields):
        """The answer, and the claims of the tokens by `jti`, verified by another library than ours."""
        body = {"returnImmediately": True, **fields}
        answer = self.ask("POST", f"poll/{stream['stream_id']}", body)
        assert answer.status_code == 200, answer.text
        told = {}
        for jti, token in answer.json()["sets"].items():
            decoded = jwt.decode(token, self.keys, algorithms=["ES256"])
            assert decoded.header["typ"] == "secevent+jwt"
            assert decoded.claims["jti"] == jti
            told[jti] = dict(decoded.claims)
        return answer.json(), told


@pytest.fixture
def receiver(harness):
    return Receiver(harness)


def revoke(harness, token):
    fields = {"token": token, "client_id": harness.client_id}
    assert harness.post("/revoke", fields).status == 200


def leave(harness, login="dev"):
    harness.clock.advance(seconds=1)
    harness.change(leaving.end_access, f"{login}@example.com")


def test_the_configuration_document(harness):
    """SSF §7.1: where clients look for it, with the issuer's path after the well-known name."""
    base = harness.server.base
    document = harness.http.get(f"{base}/.well-known/ssf-configuration/t/{harness.slug}").json()
    assert document == harness.http.get(f"{harness.issuer}/.well-known/ssf-configuration").json()
    issuer = harness.issuer
    assert document["issuer"] == issuer
    assert document["jwks_uri"] == f"{issuer}/jwks"
    assert document["delivery_methods_supported"] == [POLL]
    assert document["authorization_schemes"] == [{"spec_urn": "urn:ietf:rfc:6749"}]
    assert document["default_subjects"] == "ALL"
    for name, path in {
        "configuration_endpoint": "streams",
        "status_endpoint": "status",
        "add_subject_endpoint": "subjects/add",
        "remove_subject_endpoint": "subjects/remove",
        "verification_endpoint": "verify",
    }.items():
        assert document[name] == f"{issuer}/ssf/{path}"


# -- streams ----------------------------------------------------------------------------------------------


def test_a_stream_is_made_read_changed_and_removed(harness, receiver):
    made = receiver.create(events_requested=[SESSION_REVOKED, "urn:x"], description="Logs")
    stream_id = made["stream_id"]
    assert (made["iss"], made["aud"]) == (harness.issuer, receiver.made.client.id)
    assert made["delivery"] == {
        "method": POLL,
        "endpoint_url": f"{harness.issuer}/ssf/poll/{stream_id}",
    }
    assert made["events_supported"] == [SESSION_REVOKED, TOKEN_REVOKED]
    assert made["min_verification_interval"] == VERIFY_EVERY.total_seconds()
    assert made["events_delivered"] == [SESSION_REVOKED]
    assert receiver.ask("GET", "streams", stream_id=stream_id).json() == made
    assert receiver.ask("GET", "streams").json() == [made]
    changed = receiver.ask(
        "PATCH", "streams", {"stream_id": stream_id, "events_requested": [TOKEN_REVOKED]}
    ).json()
    assert (changed["events_delivered"], changed["description"]) == ([TOKEN_REVOKED], "Logs")
    replaced = receiver.ask("PUT", "streams", {"stream_id": stream_id}).json()
    assert replaced["events_delivered"] == [SESSION_REVOKED, TOKEN_REVOKED]
    assert "description" not in replaced
    assert receiver.ask("DELETE", "streams", stream_id=stream_id).status_code == 204
    assert receiver.ask("GET", "streams", stream_id=stream_id).status_code == 404
    told = [event["detail"]["what"] for event in harness.events("admin.changed")]
    assert [it for it in told if it.startswith("event_stream")] == [
        "event_stream.add",
        "event_stream.change",
        "event_stream.change",
        "event_stream.remove",
    ]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"delivery": {"method": "urn:ietf:rfc:8935"}}, "delivery_unsupported"),
        ({"delivery": "poll"}, "delivery_unsupported"),
        ({"events_requested": "all"}, "events_requested_malformed"),
        ({"events_requested": [1]}, "events_requested_malformed"),
        ({"events_requested": ["x" * 300]}, "events_requested_malformed"),
        ({"description": 5}, "text_malformed"),
        ({"description": "a\x00b"}, "body_not_json"),
    ],
)
def test_what_cannot_be_a_stream(receiver, body, reason):
    mark = len(LOG.events)
    answer = receiver.ask("POST", "streams", body)
    assert (answer.status_code, answer.json()["err"]) == (400, "invalid_request")
    assert LOG.events[mark:][-1]["reason"] == reason


def test_five_streams_are_enough(receiver):
    for _ in range(5):
        receiver.create()
    assert receiver.ask("POST", "streams", {}).status_code == 400


# -- events -----------------------------------------------------------------------------------------------


def test_a_person_leaves(harness, receiver):
    """One event for each grant with a live token: who, and which session of theirs as the server knows it."""
    stream = receiver.create()
    token = harness.redeem(harness.code()).access_token
    leave(harness)
    answer, told = receiver.fetch(stream)
    [(jti, claims)] = told.items()
    assert claims["iss"] == harness.issuer
    assert claims["aud"] == receiver.made.client.id
    assert not {"sub", "exp"} & claims.keys()
    at = int(harness.clock().timestamp())
    assert claims["events"] == {SESSION_REVOKED: {"event_timestamp": at}}
    own = harness.claims(token)
    assert claims["sub_id"] == {
        "format": "complex",
        "user": {"format": "iss_sub", "iss": harness.issuer, "sub": own["sub"]},
        "session": {"format": "opaque", "id": own["grant_id"]},
    }
    assert answer["moreAvailable"] is False
    # The same again until it is acknowledged, under the same name.
    assert receiver.fetch(stream)[1].keys() == {jti}
    assert receiver.fetch(stream, ack=[jti])[1] == {}
    assert receiver.fetch(stream)[1] == {}


def test_a_token_is_revoked(harness, receiver):
    stream = receiver.create()
    token = harness.redeem(harness.code()).access_token
    revoke(harness, token)
    [claims] = receiver.fetch(stream)[1].values()
    jti = harness.claims(token)["jti"]
    assert claims["sub_id"] == {"format": "jwt_id", "iss": harness.issuer, "jti": jti}
    assert list(claims["events"]) == [TOKEN_REVOKED]


def test_our_own_receiver_believes_it(harness, receiver):
    """SSF-01: by the strict reading that other transmitters get."""
    stream = receiver.create()
    harness.redeem(harness.code())
    leave(harness)
    answer, _ = receiver.fetch(stream)
    [token] = answer["sets"].values()
    with harness.server.database.read() as tx:
        configuration = harness.server.services.configurations.find(tx, harness.slug)
    keys = [it.key for it in configuration.keys.keys]
    transmitter = Transmitter("stm", harness.issuer, receiver.made.client.id)
    event = set_verification.verify(token, keys, transmitter, harness.clock())
    assert event.kind == SESSION_REVOKED


def test_some_are_acknowledged_and_some_refused(harness, receiver):
    """RFC 8936 §2.2, §2.4: in any order; refused is as done as acknowledged, and in our log."""
    stream = receiver.create()
    for _ in range(4):
        revoke(harness, harness.redeem(harness.code()).access_token)
    _, told = receiver.fetch(stream, maxEvents=2)
    assert len(told) == 2
    every = list(receiver.fetch(stream)[1])
    assert len(every) == 4
    mark = len(LOG.events)
    error = {"err": "invalid_key", "description": "?"}
    answer, told = receiver.fetch(stream, ack=[every[3]], setErrs={every[1]: error})
    assert list(told) == [every[0], every[2]]
    assert [it["error"] for it in LOG.events[mark:] if it["event"] == "event_stream.refused"] == [
        "invalid_key"
    ]
    # What was never told, or by another stream, acknowledges nothing.
    names = [
        "x",
        f"{stream['stream_id']}.99",
        f"{stream['stream_id']}.0",
        "stm_x.1",
        every[0] + "0",
    ]
    assert list(receiver.fetch(stream, ack=names)[1]) == [every[0], every[2]]
    answer, told = receiver.fetch(stream, ack=[every[0], every[2]], maxEvents=0)
    assert (answer, told) == ({"sets": {}, "moreAvailable": False}, {})
    assert receiver.fetch(stream)[1] == {}


def test_more_than_fits(harness, receiver):
    stream = receiver.create()
    for _ in range(3):
        revoke(harness, harness.redeem(harness.code()).access_token)
    answer, told = receiver.fetch(stream, maxEvents=2)
    assert (len(told), answer["moreAvailable"]) == (2, True)
    answer, told = receiver.fetch(stream, maxEvents=2, ack=list(told))
    assert (len(told), answer["moreAvailable"]) == (1, False)


def test_who_waits_is_told_at_once(harness, receiver):
    stream = receiver.create()
    token = harness.redeem(harness.code()).access_token
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(receiver.fetch, stream, returnImmediately=False)
        threading.Event().wait(0.5)
        assert not waiting.done()
        began = time.monotonic()
        revoke(harness, token)
        assert len(waiting.result(15)[1]) == 1
        assert time.monotonic() - began < 5


def test_a_stream_verifies_itself(harness, receiver):
    """SSF §8.1.4: with the state that was sent, once, and not too often."""
    stream = receiver.create()
    one = {"stream_id": stream["stream_id"]}
    assert receiver.ask("POST", "verify", {**one, "state": "abc"}).status_code == 204
    again = receiver.ask("POST", "verify", one)
    assert (again.status_code, again.headers["retry-after"]) == (429, "10")
    [(jti, claims)] = receiver.fetch(stream, returnImmediately=False)[1].items()
    assert claims["events"] == {VERIFICATION: {"state": "abc"}}
    assert claims["sub_id"] == {"format": "opaque", "id": stream["stream_id"]}
    assert receiver.fetch(stream, ack=[jti])[1] == {}
    assert receiver.ask("POST", "verify", one).status_code == 204


def test_a_paused_stream_keeps_its_events(harness, receiver):
    stream = receiver.create()
    one = {"stream_id": stream["stream_id"]}
    set_ = receiver.ask("POST", "status", {**one, "status": "paused", "reason": "maintenance"})
    assert set_.json() == {**one, "status": "paused", "reason": "maintenance"}
    assert receiver.ask("GET", "status", **one).json() == set_.json()
    revoke(harness, harness.redeem(harness.code()).access_token)
    assert receiver.fetch(stream)[1] == {}
    receiver.ask("POST", "status", {**one, "status": "enabled"})
    assert len(receiver.fetch(stream)[1]) == 1
    assert receiver.ask("POST", "status", {**one, "status": "sleeping"}).status_code == 400


def test_what_was_not_asked_for_is_not_told(harness, receiver):
    stream = receiver.create(events_requested=[SESSION_REVOKED])
    made = harness.add_client()
    revoke(harness, harness.redeem(harness.code()).access_token)
    harness.change(clients.block, made.client.id)
    assert receiver.fetch(stream)[1] == {}


# -- subjects ---------------------------------------------------------------------------------------------


def subject(harness, name):
    return {"format": "iss_sub", "iss": harness.issuer, "sub": name}


def test_a_subject_is_taken_out_and_in_again(harness, receiver):
    stream = receiver.create()
    one = {"stream_id": stream["stream_id"], "subject": subject(harness, harness.users["dev"])}
    assert receiver.ask("POST", "subjects/remove", one).status_code == 204
    harness.redeem(harness.code())
    leave(harness)
    assert receiver.fetch(stream)[1] == {}
    harness.clock.advance(seconds=1)
    complex_ = {"format": "complex", "user": one["subject"]}
    assert receiver.ask("POST", "subjects/add", {**one, "subject": complex_}).status_code == 200
    harness.redeem(harness.code())
    leave(harness)
    assert len(receiver.fetch(stream)[1]) == 1


@pytest.mark.parametrize("path", ["subjects/add", "subjects/remove"])
def test_nobody_is_found_by_adding_them(server, harness, receiver, path):
    """SSF-05, SSF §9.2: the same status and body for people of the server, others here, other tenants and nobody."""
    stream = receiver.create()
    other = Harness(server)
    try:
        names = [
            harness.users["dev"],
            harness.users["sre"],
            other.users["dev"],
            "usr_nobody",
            "x",
            harness.client_id,
        ]
        answers = {
            (answer.status_code, answer.text)
            for name in names
            for answer in [
                receiver.ask(
                    "POST",
                    path,
                    {"stream_id": stream["stream_id"], "subject": subject(harness, name)},
                )
            ]
        }
        assert len(answers) == 1
        # Nor is anybody told about who has no token for this server.
        harness.add_resource(OTHER)
        leave(other)
        leave(harness, "sre")
        assert receiver.fetch(stream)[1] == {}
    finally:
        other.close()


@pytest.mark.parametrize(
    "made",
    [
        lambda h: None,
        lambda h: "usr_x",
        lambda h: {"format": "email", "email": "dev@example.com"},
        lambda h: {"format": "opaque", "id": "usr_x"},
        lambda h: {"format": "iss_sub", "iss": "https://other.example", "sub": "usr_x"},
        lambda h: {"format": "iss_sub", "iss": h.issuer, "sub": 5},
        lambda h: {"format": "iss_sub", "iss": h.issuer, "sub": "u", "more": 1},
        lambda h: {"format": "complex", "user": {}, "device": {}},
    ],
    ids=["none", "text", "email", "opaque", "other issuer", "number", "more", "device"],
)
def test_subjects_that_ours_never_are(harness, receiver, made):
    """Addresses and names of elsewhere cannot be asked about at all."""
    stream = receiver.create()
    body = {"stream_id": stream["stream_id"], "subject": made(harness)}
    assert receiver.ask("POST", "subjects/add", body).status_code == 400


# -- who may ----------------------------------------------------------------------------------------------


def test_the_token_is_for_exactly_this(harness, receiver):
    """No token for an MCP server, of a person, or of a client of no server opens it."""
    assert receiver.ask("GET", "streams").status_code == 200
    plain = harness.http.get(f"{harness.issuer}/ssf/streams")
    assert (plain.status_code, plain.headers["www-authenticate"]) == (401, 'Bearer realm="authz"')
    person = harness.redeem(harness.code()).access_token
    refused = receiver.ask("GET", "streams", bearer=person)
    assert (refused.status_code, refused.json()["error"]) == (401, "invalid_token")
    assert 'error="invalid_token"' in refused.headers["www-authenticate"]
    asked = harness.browser().start(resource=f"{harness.issuer}/ssf", scope="ssf.manage")
    assert asked.error == "invalid_target"
    stranger = harness.add_client(
        auth_method="client_secret_post", grant_types=("client_credentials",), redirect_uris=()
    )
    fields = {
        "grant_type": "client_credentials",
        "resource": f"{harness.issuer}/ssf",
        "client_id": stranger.client.id,
        "client_secret": stranger.secret,
    }
    assert harness.token(fields).reason == "resource_unknown"


def test_reading_is_less_than_managing(harness, receiver):
    stream = receiver.create()
    narrow = receiver.token("ssf.read").access_token
    assert receiver.ask("GET", "streams", bearer=narrow).status_code == 200
    refused = receiver.ask("POST", "streams", {}, bearer=narrow)
    assert (refused.status_code, refused.json()["error"]) == (403, "insufficient_scope")
    path = f"poll/{stream['stream_id']}"
    polled = receiver.ask("POST", path, {"returnImmediately": True}, bearer=narrow)
    assert polled.status_code == 200


def test_every_refusal_says_why_to_us_alone(harness, receiver):
    """One sentence outside, whatever is wrong with the token; a reason each in the log."""
    harness.add_resource(OTHER)
    own = basic(receiver.made)
    fields = {"grant_type": "client_credentials", "resource": f"{harness.issuer}/ssf"}
    proof = DpopKey().proof(f"{harness.issuer}/token", harness.clock())
    bound = harness.token(fields, **own, DPoP=proof).access_token
    narrow = receiver.token("ssf.read").access_token
    ended = receiver.token().access_token
    assert harness.post("/revoke", {"token": ended}, **own).status == 200
    person = harness.redeem(harness.code()).access_token

    def reason(method, bearer):
        mark = len(LOG.events)
        answer = receiver.ask(method, "streams", {}, bearer=bearer)
        said = answer.json()["description"]
        return answer.status_code, LOG.events[mark:][-1]["reason"], said

    assert reason("GET", "at_x") == (401, "token_unknown", REFUSED)
    assert reason("GET", person) == (401, "token_audience", REFUSED)
    assert reason("GET", bound) == (401, "token_scheme", REFUSED)
    assert reason("GET", ended) == (401, "token_not_standing", REFUSED)
    assert reason("POST", narrow) == (403, "ssf_scope_missing", "the access token lacks ssf.manage")
    harness.change(resources.set_client, RESOURCE, None)
    assert reason("GET", narrow) == (401, "client_of_no_server", REFUSED)


def test_a_client_that_is_named_no_longer_hears_nothing(harness, receiver):
    stream = receiver.create()
    harness.change(resources.set_client, RESOURCE, None)
    path = f"poll/{stream['stream_id']}"
    assert receiver.ask("POST", path, {"returnImmediately": True}).status_code == 401
    harness.change(resources.set_client, RESOURCE, receiver.made.client.id)
    harness.change(clients.block, receiver.made.client.id)
    assert receiver.ask("POST", path, {"returnImmediately": True}).status_code == 401


def test_a_stream_is_its_clients_own(server, harness, receiver):
    """Another client's stream is as unknown as none, whatever is asked of it."""
    stream = receiver.create()
    harness.add_resource(OTHER)
    other = Receiver(harness, OTHER)
    one = {"stream_id": stream["stream_id"]}
    assert other.ask("GET", "streams").json() == []
    person = subject(harness, harness.users["dev"])
    for method, path, body in (
        ("GET", "streams", None),
        ("GET", "status", None),
        ("DELETE", "streams", None),
        ("PATCH", "streams", one),
        ("PUT", "streams", one),
        ("POST", "status", {**one, "status": "disabled"}),
        ("POST", "subjects/add", {**one, "subject": person}),
        ("POST", "subjects/remove", {**one, "subject": person}),
        ("POST", "verify", one),
        ("POST", f"poll/{stream['stream_id']}", {"returnImmediately": True}),
    ):
        params = {} if body is not None else one
        answer = other.ask(method, path, body, **params)
        unknown = {**one, "stream_id": "stm_unknown"}
        same = other.ask(
            method,
            path.replace(stream["stream_id"], "stm_unknown"),
            None if body is None else {**body, **(unknown if "stream_id" in body else {})},
            **({} if body is not None else unknown),
        )
        assert (answer.status_code, answer.text) == (404, same.text), (method, path)
    # And tokens of another server are none of this one's.
    theirs = other.create()
    revoke(harness, harness.redeem(harness.code()).access_token)
    assert other.fetch(theirs)[1] == {}
    assert len(receiver.fetch(stream)[1]) == 1


def test_streams_of_two_tenants(server, harness, receiver):
    """M1."""
    other = Harness(server)
    try:
        theirs = Receiver(other)
        stream = receiver.create()
        assert theirs.ask("GET", "streams", stream_id=stream["stream_id"]).status_code == 404
        assert receiver.ask("GET", "streams", bearer=theirs.bearer).status_code == 401
    finally:
        other.close()


def test_a_company_hears_of_its_own_signal(harness, receiver):
    """A provider tells us that a session is over, and we tell the MCP servers."""
    corp = Provider(harness, "corp")
    ada = corp.employee("ada")
    stream = receiver.create()
    ada.grant(ada.sign_in("s1"))
    harness.clock.advance(seconds=1)
    assert corp.log_out(sid="s1").status == 200
    [claims] = receiver.fetch(stream)[1].values()
    assert claims["sub_id"]["user"]["sub"] == ada.user_id


def test_what_we_sign_for_servers_opens_nothing(harness, receiver):
    """ATK-36, ATK-41: an event, an answer of the feed and a status list, each at whoever takes another kind."""
    stream = receiver.create()
    harness.change(resources.set_status_list, RESOURCE, wanted=True)
    own = harness.redeem(harness.code()).access_token
    uri = harness.claims(own)["status"]["status_list"]["uri"]
    revoke(harness, harness.redeem(harness.code()).access_token)
    answer, _ = receiver.fetch(stream)
    [event] = answer["sets"].values()
    header = basic(receiver.made)
    news = harness.post("/revocation_feed", {}, **header).response.text
    listed = harness.http.get(uri).text
    for token in (event, news, listed):
        assert harness.post("/introspect", {"token": token}, **header).json == {"active": False}
        bearer = {"Authorization": f"Bearer {token}"}
        assert harness.http.get(f"{harness.issuer}/userinfo", headers=bearer).status_code == 401
        assert receiver.ask("GET", "streams", bearer=token).status_code == 401
        assert Server(harness).call(token).status_code == 401
        assert harness.refresh(token).error == "invalid_grant"
    assert Server(harness).call(own).status_code == 200
