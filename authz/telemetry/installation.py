"""What is true of the whole installation, whichever process is asked: metrics that are read, not counted.

Owns their names. Reading them is for a layer that knows the rows (`admin.measuring`).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

Values = Mapping[tuple[str, ...], float]
"""By the values of the labels."""


@dataclass(frozen=True)
class Fact:
    """A gauge."""

    name: str
    help: str
    labels: tuple[str, ...] = ()


BUILD = Fact("authz_build_info", "1, with the version of this server.", ("version",))
DATABASE_UP = Fact("authz_database_up", "1 when the facts below could be read in time, else 0.")
KEY_AGE = Fact(
    "authz_signing_key_age_seconds",
    "How long the oldest key that signs has been signing, of all tenants.",
    ("purpose", "algorithm"),
)
LEASE_ENDS = Fact(
    "authz_job_lease_expires_timestamp_seconds",
    "When a job is due again: long past means that no node does it.",
    ("job",),
)
CHECKPOINT_LAG = Fact(
    "authz_audit_checkpoint_lag_seconds",
    "Age of the oldest event of the audit trail that no signed checkpoint covers, of all tenants.",
)
SINK_LAG = Fact(
    "authz_audit_sink_lag_events",
    "Events of the audit trail that a sink has not taken yet.",
    ("sink",),
)
DRIFT = Fact(
    "authz_policy_drift_entries",
    "Entries that are not as the last `authz apply` left them, by kind, of all tenants that have been applied to.",
    ("kind",),
)
FACTS = (BUILD, DATABASE_UP, KEY_AGE, LEASE_ENDS, CHECKPOINT_LAG, SINK_LAG, DRIFT)


@dataclass(frozen=True)
class Reading(Collector):
    """The facts at a moment; of those that are missing nothing is said."""

    values: Mapping[Fact, Values] = field(default_factory=dict)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """As Prometheus takes them."""
        for fact, values in self.values.items():
            family = GaugeMetricFamily(fact.name, fact.help, labels=fact.labels)
            for labels, value in values.items():
                family.add_metric(labels, value)
            yield family
