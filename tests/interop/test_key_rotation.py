"""Signing keys are replaced while clients refresh and MCP servers verify, and nobody notices (ATJ-06)."""

import asyncio
import base64
import contextlib
import json
import threading
import time
from datetime import timedelta

import pytest

from authz.admin import keys
from authz.jose import LEEWAY
from authz.resource_server import AccessError, RemoteKeys, TokenVerifier
from authz.resource_server.discovery import COOL_DOWN
from tests.interop.scene import plain_http
from tests.support.harness import RESOURCE, Harness, RealClock, RunningServer
from tests.support.web import FakeWeb

pytestmark = [pytest.mark.interop, pytest.mark.slow]

CLIENTS = 4
# The shortest that is right: a verifier that has just looked looks again after its cool-down.
PUBLISH_AHEAD = timedelta(seconds=COOL_DOWN + 1)
AFTER_SECONDS = 4


class Client(threading.Thread):
    """Refreshes and lets the token be verified, again and again."""

    def __init__(self, harness, refresh_token, stop):
        super().__init__(daemon=True)
        self.harness, self.refresh_token, self.stop = harness, refresh_token, stop
        self.failures, self.key_ids, self.kept = [], [], []

    def run(self):
        asyncio.run(self.work())

    async def work(self):
        verifier = TokenVerifier(RemoteKeys(self.harness.issuer), resource=RESOURCE)
        with plain_http() as http:
            while not self.stop.is_set():
                fields = {
                    "grant_type": "refresh_token",
                    "client_id": self.harness.client_id,
                    "refresh_token": self.refresh_token,
                }
                answer = await asyncio.to_thread(
                    http.post, f"{self.harness.issuer}/token", data=fields
                )
                if answer.status_code != 200:
                    self.failures.append(answer.text)
                    return
                self.refresh_token = answer.json()["refresh_token"]
                access_token = answer.json()["access_token"]
                if len(self.kept) < 3:
                    self.kept.append(access_token)
                # Also tokens of the key that went: they are good until they expire.
                for token in (access_token, *self.kept):
                    try:
                        await verifier.verify(token)
                    except AccessError as error:
                        self.failures.append(error.reason)
                self.key_ids.append(key_id(access_token))


def key_id(token):
    return json.loads(base64.urlsafe_b64decode(token.split(".")[0] + "=="))["kid"]


@pytest.fixture
def live(empty_database, tmp_path):
    """A server in this process with the real clock, so that keys can be rotated from here."""
    with contextlib.ExitStack() as stack:
        url = stack.enter_context(empty_database("rotation"))
        web = stack.enter_context(FakeWeb())
        server = RunningServer(tmp_path, url, web, RealClock())
        stack.callback(server.close)
        harness = Harness(server)
        stack.callback(harness.close)
        yield harness


def test_rotation_under_load(live):
    server = live.server
    stop = threading.Event()
    clients = [Client(live, live.tokens().refresh_token, stop) for _ in range(CLIENTS)]
    for client in clients:
        client.start()
    while not all(client.key_ids for client in clients):
        time.sleep(0.05)
    new = keys.generate_one("access_token", "ES256")
    with server.database.write() as tx:
        successor = keys.rotate(
            tx,
            server.operator(),
            live.tenant_id,
            new,
            publish_ahead=PUBLISH_AHEAD,
            longest_token=server.settings.tokens.access_token + LEEWAY,
        )
    time.sleep(PUBLISH_AHEAD.total_seconds() + AFTER_SECONDS)
    stop.set()
    for client in clients:
        client.join(10)
    assert [failure for client in clients for failure in client.failures] == []
    for client in clients:
        assert client.key_ids[-1] == successor.key_id
        assert len(set(client.key_ids)) == 2
        assert len(client.key_ids) > 20
