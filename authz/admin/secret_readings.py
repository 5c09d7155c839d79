"""Which secrets were read, in the trail of the default tenant: references are the installation's (V7)."""

from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from authz import audit
from authz.audit.events import SecretRead
from authz.db import Database
from authz.oauth.configurations import Configurations
from authz.secretstores import Reading
from authz.tenants import DEFAULT_SLUG

log = structlog.get_logger()


@dataclass(frozen=True)
class ReadingsTrail:
    """Listens to `SecretStores`, in their thread."""

    database: Database
    configurations: Configurations
    actor: str

    def __call__(self, readings: Sequence[Reading]) -> None:
        """Append those that brought a value, in a transaction of its own."""
        read = [it for it in readings if it.failure is None]
        if not read:
            return
        with self.database.read() as tx:
            configuration = self.configurations.find(tx, DEFAULT_SLUG)
        if configuration is None:
            return
        events = [
            SecretRead(reference=it.reference, version=it.version, actor=self.actor) for it in read
        ]
        with self.database.write() as tx:
            audit.record(
                tx,
                configuration.tenant.id,
                *events,
                key=configuration.audit_key,
                now=max(it.at for it in read),
            )


@dataclass(frozen=True)
class LoggedReadings:
    """The same for a server, whose log tells of failures too: what strangers can cause stays out of the trail."""

    trail: ReadingsTrail

    def __call__(self, readings: Sequence[Reading]) -> None:
        """Log, then record."""
        for it in readings:
            if it.failure is None:
                log.info("secret.read", reference=it.reference, version=it.version)
            else:
                log.warning("secret.not_read", reference=it.reference, because=it.failure)
        self.trail(readings)
