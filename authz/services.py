"""The composition root: the long-lived objects of one process, made once and passed by name.

`open_services` reads secrets and connects; nothing below this layer knows `Services`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from authz import secretstores
from authz.clock import Clock, system_clock
from authz.db import Database
from authz.envelope import Envelope
from authz.net import Documents, Network, NetworkConfig, Resolve
from authz.oauth.configurations import Configurations
from authz.settings import Settings


@dataclass(frozen=True)
class Services:
    """What the edges (web, jobs, command line) are handed."""

    settings: Settings
    clock: Clock
    database: Database
    envelope: Envelope
    configurations: Configurations
    network: Network
    documents: Documents


@contextmanager
def open_services(
    settings: Settings, *, clock: Clock = system_clock, resolve: Resolve | None = None
) -> Iterator[Services]:
    """Open everything, close it at the end of the block.

    Raises ConfigurationError with one sentence for a missing secret. `resolve` replaces DNS in tests.
    """
    envelope = Envelope(secretstores.resolve(settings.keys.encryption_key))
    database = Database(
        settings.database.url,
        pool_size=settings.database.pool_size,
        pooler=settings.database.pooler,
    )
    config = NetworkConfig(
        allow_loopback=settings.server.development,
        ca_file=settings.network.ca_file,
        proxy=settings.network.proxy,
        public_fetches_per_host_per_minute=settings.limits.fetches_per_host or None,
    )
    network = Network(config) if resolve is None else Network(config, resolve=resolve)
    try:
        yield Services(
            settings=settings,
            clock=clock,
            database=database,
            envelope=envelope,
            configurations=Configurations(settings.server.issuer, envelope),
            network=network,
            documents=Documents(network, clock),
        )
    finally:
        network.close()
        database.close()
