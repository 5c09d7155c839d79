"""One assertion, two hundred redemptions, two processes of which one is killed: one token (IDJAG-66, item 1, HAR-06).

Every fourth round ends with a process less, and begins with a new one. `AUTHZ_TEST_REDEMPTION_ROUNDS=200` makes the
whole of it; a few rounds do for every day.
"""

import asyncio
import base64
import json
import os
import threading
import time
from collections import Counter

import httpx2
import pytest
from joserfc import jws
from sqlalchemy import func, select

from authz.admin import clients, mappings, trust
from authz.admin.client_metadata import Registration
from authz.admin.operator import Operator
from authz.clock import system_clock
from authz.db.models import AuditEvent, Identity, IssuedToken, User
from tests.support import plain_http
from tests.support.client_keys import ClientKey
from tests.support.harness import ONE_ADDRESS
from tests.support.id_jags import ISSUER, JWT_BEARER, TYP
from tests.support.processes import RESOURCE, ServerProcess

ROUNDS = int(os.environ.get("AUTHZ_TEST_REDEMPTION_ROUNDS", "6"))
MANY = 200
_KILL_EVERY = 4
_GOLDEN = 0.618034
"""The moments of the blows lie everywhere in a round, and are the same in every run."""


class Company:
    """An issuer that is trusted by an installation, and the client that redeems its assertions."""

    def __init__(self, installed):
        self.installed, self.key = installed, ClientKey("ES256", kid="idp-1")
        limits = [*ONE_ADDRESS, "failures_per_client_and_address", "failures_per_client"]
        with installed.config.open("a") as config:
            config.write("[limits]\n" + "".join(f"{name} = 0\n" for name in limits))
        operator = Operator.local("test", system_clock(), installed.services.envelope)
        registration = Registration(
            name="Agent",
            redirect_uris=(),
            grant_types=(JWT_BEARER,),
            auth_method="client_secret_post",
        )
        with installed.services.database.write() as tx:
            made = clients.add(tx, operator, installed.tenant_id, registration)
            trust.add(
                tx,
                operator,
                installed.tenant_id,
                slug="corp",
                issuer=ISSUER,
                settings={"jwks": self.key.jwks},
                provisions=True,
            )
            mappings.add(
                tx,
                operator,
                installed.tenant_id,
                connection="corp",
                claim="groups",
                value="dev",
                role="developer",
            )
        self.client_id, self.secret = made.client.id, made.secret

    def redemption(self, jti, subject):
        """The form, with a fresh assertion."""
        at = int(time.time())
        claims = {
            "iss": ISSUER,
            "sub": subject,
            "aud": "http://127.0.0.1:8080",
            "client_id": self.client_id,
            "jti": jti,
            "iat": at,
            "exp": at + 300,
            "resource": RESOURCE,
            "scope": "logs.read",
            "groups": ["dev"],
        }
        header = {"alg": "ES256", "typ": TYP, "kid": "idp-1"}
        return {
            "grant_type": JWT_BEARER,
            "client_id": self.client_id,
            "client_secret": self.secret,
            "assertion": jws.serialize_compact(
                header, json.dumps(claims), self.key.key, algorithms=["ES256"]
            ),
        }


async def send_all(bases, fields, blow):
    """As many requests as there are, half to each process; `blow`, if any, falls in the middle."""

    async def send(http, base):
        try:
            return await http.post(f"{base}/token", data=fields)
        except httpx2.TransportError:
            return None

    limits = httpx2.Limits(max_connections=MANY)
    async with httpx2.AsyncClient(trust_env=False, timeout=60, limits=limits) as http:
        sending = asyncio.gather(*(send(http, bases[n % 2]) for n in range(MANY)))
        if blow is not None:
            await asyncio.to_thread(blow)
        return await sending


def issued(database):
    with database.read() as tx:
        return set(tx.scalars(select(IssuedToken.jti)))


def jti_of(answer):
    payload = answer.json()["access_token"].split(".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["jti"]


@pytest.mark.slow
def test_one_assertion_is_one_token_whatever_dies(installed, capsys):
    """IDJAG-66, item 1: never two, and never none while a process lives; every second person is new to both."""
    company, database = Company(installed), installed.services.database
    processes = [ServerProcess(installed.config) for _ in range(2)]
    seen, duration, before = Counter(), 0.5, issued(database)
    try:
        for number in range(ROUNDS):
            fields = company.redemption(f"jag-{number}", f"person-{number // 2}")
            is_deadly = number % _KILL_EVERY == 1
            victim = number // _KILL_EVERY % 2
            delay = duration * (number * _GOLDEN % 1)

            def blow(process=processes[victim], delay=delay):
                threading.Event().wait(delay)
                process.kill()

            began = time.monotonic()
            bases = [it.base for it in processes]
            answers = asyncio.run(send_all(bases, fields, blow if is_deadly else None))
            duration = min(time.monotonic() - began, 2.0)
            if is_deadly:
                processes[victim] = ServerProcess(installed.config)
                seen["kills"] += 1

            statuses = Counter("lost" if it is None else it.status_code for it in answers)
            refused = {it.json()["error"] for it in answers if it and it.status_code == 400}
            assert refused <= {"invalid_grant"}, refused
            assert set(statuses) <= {200, 400, 503, "lost"}, statuses
            after = issued(database)
            new, before = after - before, after
            assert len(new) == 1, (number, statuses)
            heard = {jti_of(it) for it in answers if it is not None and it.status_code == 200}
            # The one that was minted may have died with its process on the way out.
            assert heard <= new
            assert statuses[200] <= 1
            assert statuses["lost"] + statuses[200] > 0
            seen["answered" if heard else "minted and lost"] += 1
            seen.update({f"status {name}": count for name, count in statuses.items()})
            # And no more afterwards, at either of them.
            for process in processes:
                late = plain_http.post(f"{process.base}/token", data=fields)
                assert (late.status_code, late.json()["error"]) == (400, "invalid_grant")
    finally:
        for process in processes:
            process.kill()
    assert seen["kills"] == (ROUNDS + 2) // _KILL_EVERY
    with database.read() as tx:
        people = tx.scalar(select(func.count()).select_from(Identity))
        assert people == (ROUNDS + 1) // 2
        assert tx.scalar(select(func.count()).select_from(User)) == people + 1
        # The trail forgets nothing; keys and records of tokens are cleared away during a long run.
        told = select(func.count()).where(AuditEvent.kind == "token.issued")
        assert tx.scalar(told) == ROUNDS
    assert issued(database) <= before
    assert installed.verify().fault is None
    if "AUTHZ_TEST_REDEMPTION_ROUNDS" in os.environ:
        with capsys.disabled():
            print(f"\n{ROUNDS} rounds of {MANY}: {dict(seen)}")
