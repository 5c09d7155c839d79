"""One migrated database per engine and process; every test gets a tenant of its own in it."""

import itertools
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from authz import entropy
from authz.admin import keys, tenants
from authz.admin.operator import Operator
from authz.db import migrate
from authz.db.models import Session as BrowserSession
from authz.db.models import TokenFamily
from authz.envelope import new_encoded_key
from authz.services import Services, open_services
from authz.settings import Database, Keys, Server, Settings
from tests.support.postgres import URL_VARIABLE, scratch_database

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
_numbers = itertools.count(1)


@dataclass
class Desk:
    """An operator's desk at one tenant: operations by name, and a clock that stands still until it is moved."""

    services: Services
    tenant_id: str
    slug: str
    now: datetime = START

    @property
    def operator(self):
        return Operator.local("test:operator", self.now, self.services.envelope)

    @property
    def issuer(self):
        return f"{self.services.settings.server.issuer}/t/{self.slug}"

    def do(self, operation: Callable, *args, **kwargs):
        with self.services.database.write() as tx:
            return operation(tx, self.operator, self.tenant_id, *args, **kwargs)

    def ask(self, question: Callable, *args, **kwargs):
        with self.services.database.read() as tx:
            return question(tx, self.tenant_id, *args, **kwargs)

    def sql(self, work: Callable):
        with self.services.database.write() as tx:
            return work(tx)

    def wait(self, **units):
        self.now += timedelta(**units)

    def configuration(self):
        with self.services.database.read() as tx:
            return self.services.configurations.load(tx, self.tenant_id)

    def give_family(self, user_id: str, client_id: str = "cli_x") -> str:
        family_id = entropy.new_id("fam")
        family = TokenFamily(
            id=family_id,
            tenant_id=self.tenant_id,
            client_id=client_id,
            user_id=user_id,
            resource_id="res_x",
            scopes=frozenset({"logs.read"}),
            refreshable=True,
            salt="s",
            generation=1,
            rotated_at=self.now,
            auth_time=self.now,
            amr=["pwd"],
            signed_in_at=self.now,
            created_at=self.now,
            idle_expires_at=self.now + timedelta(days=1),
            expires_at=self.now + timedelta(days=2),
        )
        self.sql(lambda tx: tx.add(family))
        return family_id

    def family(self, family_id: str) -> TokenFamily:
        with self.services.database.read() as tx:
            return tx.get_one(TokenFamily, family_id)

    def give_session(self, user_id: str) -> str:
        digest = entropy.digest(entropy.new_token("ses"))
        session = BrowserSession(
            digest=digest,
            tenant_id=self.tenant_id,
            user_id=user_id,
            auth_time=self.now,
            amr=["pwd"],
            created_at=self.now,
            expires_at=self.now + timedelta(hours=1),
        )
        self.sql(lambda tx: tx.add(session))
        return digest

    def session(self, digest: str) -> BrowserSession:
        with self.services.database.read() as tx:
            return tx.get_one(BrowserSession, digest)


@pytest.fixture(scope="session", params=("sqlite", "postgresql"))
def services(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("admin")
    (folder / "kek").write_bytes(new_encoded_key())

    def opened(url):
        settings = Settings(
            server=Server(issuer="https://authz.example"),
            database=Database(url=url),
            keys=Keys(encryption_key=f"file:{folder / 'kek'}"),
        )
        with open_services(settings) as made:
            migrate.upgrade(made.database)
            yield made

    if request.param == "sqlite":
        yield from opened(f"sqlite:///{folder / 'authz.db'}")
        return
    if URL_VARIABLE not in os.environ:
        pytest.fail(
            f"{URL_VARIABLE} is not set; run `python tests/support/postgres.py run -- pytest …`"
        )
    worker = getattr(request.config, "workerinput", {}).get("workerid", "main")
    with scratch_database(os.environ[URL_VARIABLE], f"authz_admin_{worker}") as url:
        yield from opened(url)


@pytest.fixture
def make_desk(services):
    """Another tenant in the same database at every call."""

    def made():
        slug = f"t{next(_numbers)}"
        first = [keys.generate_one("access_token", "ES256"), keys.generate_one("audit", "ES256")]
        with services.database.write() as tx:
            operator = Operator.local("test:setup", START, services.envelope)
            row = tenants.create(
                tx, operator, slug=slug, name=slug, client_trust="allow_list", keys=first
            )
            return Desk(services, row.id, slug)

    return made


@pytest.fixture
def desk(make_desk):
    return make_desk()
