"""The composition root: the long-lived objects of one process, made once and passed by name.

`open_services` reads secrets and connects; nothing below this layer knows `Services`.
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass

from authz.clock import Clock, system_clock
from authz.db import Database
from authz.envelope import Envelope
from authz.keys import Custody
from authz.keys.backends import Surroundings
from authz.net import Documents, Network, NetworkConfig, Resolve
from authz.oauth.configurations import Configurations
from authz.secretstores import SecretStores
from authz.settings import Settings


@dataclass(frozen=True)
class Password:
    """The database's password, as it is when a connection is opened. Raises ConfigurationError when it is missing."""

    secrets: SecretStores
    reference: str

    def __post_init__(self) -> None:
        self.secrets.require("database.password", self.reference)

    def current(self) -> str:
        """The newest that is known, at once."""
        return self.secrets.latest(self.reference).decode()

    def renewed(self) -> str:
        """Read anew: the current one was refused."""
        return self.secrets.renewed(self.reference).decode()


@dataclass(frozen=True)
class Services:
    """What the edges (web, jobs, command line) are handed."""

    settings: Settings
    clock: Clock
    secrets: SecretStores
    database: Database
    envelope: Envelope
    custody: Custody
    configurations: Configurations
    network: Network
    documents: Documents


@contextmanager
def open_services(
    settings: Settings, *, clock: Clock = system_clock, resolve: Resolve | None = None
) -> Iterator[Services]:
    """Open everything, close it at the end of the block.

    Blocks until every secret of the file is there, and raises ConfigurationError with one sentence for one that is
    missing. `resolve` replaces DNS in tests.
    """
    with closing(SecretStores(settings.secret_setup, clock)) as secrets:
        yield from _opened(settings, secrets, clock, resolve)


def _opened(
    settings: Settings, secrets: SecretStores, clock: Clock, resolve: Resolve | None
) -> Iterator[Services]:
    envelope = Envelope(
        secrets.require("keys.encryption_key", settings.keys.encryption_key),
        further=[
            secrets.require("keys.further_encryption_keys", it)
            for it in settings.keys.further_encryption_keys
        ],
    )
    word = settings.database.password
    database = Database(
        settings.database.url,
        pool_size=settings.database.pool_size,
        pooler=settings.database.pooler,
        password=None if word is None else Password(secrets, word),
    )
    proxy_word = settings.network.proxy_password
    if proxy_word is not None:
        secrets.require("network.proxy_password", proxy_word)
    config = NetworkConfig(
        allow_loopback=settings.server.development,
        ca_file=settings.network.ca_file,
        proxy=settings.network.proxy,
        proxy_password=None if proxy_word is None else lambda: secrets.latest(proxy_word).decode(),
        public_fetches_per_host_per_minute=settings.limits.fetches_per_host or None,
    )
    network = Network(config) if resolve is None else Network(config, resolve=resolve)
    custody = Custody(Surroundings(settings, secrets.resolve))
    try:
        yield Services(
            settings=settings,
            clock=clock,
            secrets=secrets,
            database=database,
            envelope=envelope,
            custody=custody,
            configurations=Configurations(settings.server.issuer, envelope, custody),
            network=network,
            documents=Documents(network, clock),
        )
    finally:
        secrets.close()  # what it tells of readings goes to the database
        custody.close()
        network.close()
        database.close()
