"""What people sign in through hangs while clients refresh: an identity provider, the store of its secret."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing

import httpx2
import pytest

from authz.admin import connections
from authz.admin.operator import Operator
from authz.clock import system_clock
from authz.federation.connector import OUT_OF_ORDER, UNREACHABLE, Tools
from authz.federation.registry import Connectors
from authz.net.client import DEADLINE
from authz.secretstores.stores import COOL_DOWN
from tests.support.arrange import REDIRECT, challenge
from tests.support.fake_idp import SECRET, FakeIdp
from tests.support.harness import Page
from tests.support.load import load_on
from tests.support.nodes import nodes
from tests.support.plain_http import NO_TLS
from tests.support.processes import ISSUER, RESOURCE
from tests.support.secret_stores import StoreServer
from tests.support.web import FakeWeb

pytestmark = [pytest.mark.slow, pytest.mark.postgresql]

AT_ONCE = 8
"""Sign-ins of one connection that may wait for its provider at one node; whoever comes then is told to come again."""
SLACK_SECONDS = 3
SECRETS_TIMEOUT = 2


class Provider(FakeIdp):
    """A provider that may accept whoever connects, and say nothing."""

    def __post_init__(self):
        self.talking = threading.Event()
        self.talking.set()
        super().__post_init__()
        self.web.serve(self.host, self._reply)

    def _reply(self, seen):
        self.talking.wait(60)
        return self._handle(seen)


class Person:
    """A browser that signs in through a connection."""

    def __init__(self, installed, base, idp, slug):
        self.base, self.idp, self.slug = base, idp, slug
        self.http = httpx2.Client(base_url=base, trust_env=False, verify=NO_TLS, timeout=30)
        self.query = {
            "response_type": "code",
            "client_id": installed.client_id,
            "redirect_uri": REDIRECT,
            "code_challenge": challenge(),
            "code_challenge_method": "S256",
            "resource": RESOURCE,
            "scope": "logs.read",
        }

    def leave(self):
        """At the provider's page."""
        page = Page(self.http.get("/authorize", params=self.query))
        fields = {name: page.field(name) for name in ("continue", "then")}
        own = {"Origin": ISSUER, "Sec-Fetch-Site": "same-origin"}
        form = {**fields, "connection": self.slug}
        left = Page(self.http.post("/login/start", data=form, headers=own))
        assert left.status == 303, left.text
        self.params = self.idp.authorize(left.location)
        return self

    def back(self):
        """What the callback says, and after how many seconds."""
        began = time.monotonic()
        answer = self.http.get(f"/federation/{self.slug}/callback", params=self.params)
        return Page(answer), time.monotonic() - began

    def is_signed_in(self):
        """The whole way."""
        page, _ = self.leave().back()
        return page.status == 303

    def close(self):
        """The browser."""
        self.http.close()


@pytest.fixture
def person():
    """Makes people, whose browsers are closed at the end."""
    with ExitStack() as stack:
        yield lambda *given: stack.enter_context(closing(Person(*given)))


def connect(installed, idp, slug, **settings):
    """A connection that lets in whoever the provider knows."""
    services = installed.services
    connectors = Connectors(Tools(services.network, services.documents, services.secrets.resolve))
    with services.database.write() as tx:
        connections.add(
            tx,
            Operator.local("test", system_clock(), services.envelope),
            installed.tenant_id,
            connectors,
            slug=slug,
            kind="oidc",
            preset="generic",
            name=slug.title(),
            settings=idp.settings(**settings),
            issuer=ISSUER,
            provisions=True,
        )


def all_back(people):
    """All come back at one moment."""
    with ThreadPoolExecutor(len(people)) as pool:
        return list(pool.map(Person.back, people))


def has_support_id(page, sentence):
    return sentence in page.text and "Support id" in page.text


def test_a_provider_that_hangs_holds_up_its_own_people_alone(installed, person, report):
    """ATK-48: a page within the time of a request, no thread for everybody, and other providers go on."""
    with FakeWeb(tls=False) as one, FakeWeb(tls=False) as two:
        hung, well = (
            Provider(one, system_clock, "127.0.0.1"),
            FakeIdp(two, system_clock, "127.0.0.1"),
        )
        connect(installed, hung, "hung")
        connect(installed, well, "well")
        with nodes(installed.config, environment={"IDP_SECRET": SECRET}) as [node]:
            people = [
                person(installed, node.base, hung, "hung").leave() for _ in range(AT_ONCE + 4)
            ]
            other = person(installed, node.base, well, "well")
            with load_on(installed, [node.base]) as load:
                load.run_for(0.5)
                with load.fault("provider hangs"), ThreadPoolExecutor(1) as pool:
                    hung.talking.clear()
                    asked = pool.submit(all_back, people)
                    time.sleep(0.5)
                    assert other.is_signed_in()
                    assert not asked.done()
                    answers = asked.result()
                    hung.talking.set()
                assert person(installed, node.base, hung, "hung").is_signed_in()
                load.run_for(0.5)
            measured = load.check()
            assert (measured.unavailable, measured.unanswered) == (0, 0)
            assert measured.longest_gap < DEADLINE.total_seconds() / 2
            longest = max(seconds for _, seconds in answers)
            assert longest < DEADLINE.total_seconds() + SLACK_SECONDS
            assert [it.status for it, _ in answers].count(429) == len(people) - AT_ONCE
            for page, _ in answers:
                if page.status == 429:
                    assert has_support_id(page, "too many requests")
                    assert page.response.headers["retry-after"]
                else:
                    assert (page.status, has_support_id(page, UNREACHABLE)) == (403, True)
            said = f"{len(people)} sign-ins under way, the last page after {longest:.1f} s"
            report("an identity provider hangs", measured, said)


def test_a_secret_store_that_hangs_holds_up_who_needs_the_secret_alone(installed, person, report):
    """V2, V5: the last value is too old to stand in; a page within `secrets.timeout`, and the store is asked again."""
    with closing(StoreServer()) as store, FakeWeb(tls=False) as web:
        store.put("okta", {"client_secret": SECRET})
        (installed.config.parent / "token").write_text("root-token")
        with installed.config.open("a") as file:
            file.write(f'[vault]\naddress = "{store.base}"\ntoken = "file:token"\n')
            file.write(f"[secrets]\ncache = 1\nstale = 0\ntimeout = {SECRETS_TIMEOUT}\n")
        idp = FakeIdp(web, system_clock, "127.0.0.1")
        connect(installed, idp, "okta", client_secret="vault:okta#client_secret")
        with nodes(installed.config) as [node]:
            assert person(installed, node.base, idp, "okta").is_signed_in()
            people = [person(installed, node.base, idp, "okta").leave() for _ in range(AT_ONCE)]
            with load_on(installed, [node.base]) as load:
                load.run_for(1.2)  # longer than the value is kept
                with load.fault("secret store hangs"):
                    store.answering.clear()
                    answers = all_back(people)
                    store.answering.set()
                load.run_for(0.5)
            measured = load.check()
            assert (measured.unavailable, measured.unanswered) == (0, 0)
            assert measured.longest_gap < SECRETS_TIMEOUT / 2
            longest = max(seconds for _, seconds in answers)
            assert longest < SECRETS_TIMEOUT + SLACK_SECONDS
            for page, _ in answers:
                assert (page.status, has_support_id(page, OUT_OF_ORDER)) == (503, True)
                assert page.response.headers["retry-after"]
            until = time.monotonic() + COOL_DOWN.total_seconds() + SLACK_SECONDS
            while not person(installed, node.base, idp, "okta").is_signed_in():
                assert time.monotonic() < until
                time.sleep(0.5)
            said = f"{len(people)} sign-ins under way, the last page after {longest:.1f} s"
            report("a secret store hangs", measured, said)
