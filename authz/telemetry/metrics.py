"""Prometheus metrics of one process, named by convention: `authz_<thing>_<unit>[_total]`, in base units.

Decisions:
- A label has few values, and none that a stranger can choose: endpoints, grants, outcomes and reasons are words of this
  code; what operators name (connections) goes through `labels.Bounded`. No tenant is a label: there may be thousands.
- Several processes write to one folder (`PROMETHEUS_MULTIPROC_DIR`, made by `authz serve`), and whichever of them is
  asked answers for all. A port for each would make every scraper, firewall and network policy know how many processes
  there are, and would lose the counters of a process that was replaced.
- What is true of the whole installation (keys, leases, drift) is no metric of a process: see `installation`.
"""

from functools import cache

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from authz.telemetry.labels import Bounded

prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]  # they double every series

REGISTRY = CollectorRegistry()
_FAST = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 5)
_SLOW = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)

HTTP_REQUESTS = Counter(
    "authz_http_requests_total",
    "Answers, by the first part of the path below the issuer (`other` for what does not exist) and HTTP status.",
    ["endpoint", "status"],
    registry=REGISTRY,
)
HTTP_SECONDS = Histogram(
    "authz_http_request_seconds",
    "Time until an answer began, by the first part of the path below the issuer.",
    ["endpoint"],
    buckets=_FAST,
    registry=REGISTRY,
)
TOKEN_REQUESTS = Counter(
    "authz_token_requests_total",
    "Token requests that were decided, by grant (`other` for what is none) and outcome: `issued` or the error. "
    "What failed before or instead (503, a body that cannot be read) is in authz_back_channel_requests_total.",
    ["grant_type", "outcome"],
    registry=REGISTRY,
)
TOKEN_SECONDS = Histogram(
    "authz_token_request_seconds",
    "Time to answer a token request with a token.",
    buckets=_FAST,
    registry=REGISTRY,
)
REMOTE_SIGNATURES = Counter(
    "authz_remote_signatures_total",
    "Signatures asked of key stores: signed, or failed.",
    ["backend", "outcome"],
    registry=REGISTRY,
)
BACK_CHANNEL_REQUESTS = Counter(
    "authz_back_channel_requests_total",
    "Answers of the endpoints that programs call: refusals of all, and answers of all but the token endpoint.",
    ["endpoint", "outcome"],
    registry=REGISTRY,
)
DENIALS = Counter(
    "authz_denials_total",
    "Refusals by endpoint and reason: the words that the log and the audit trail have too, and no client sees.",
    ["endpoint", "reason"],
    registry=REGISTRY,
)
AUTHORIZE_REQUESTS = Counter(
    "authz_authorize_requests_total",
    "Answers of the authorization endpoint.",
    ["outcome"],
    registry=REGISTRY,
)
REGISTRATIONS = Counter(
    "authz_registrations_total",
    "Answers of the client registration endpoint.",
    ["outcome"],
    registry=REGISTRY,
)
DEVICE_ANSWERS = Counter(
    "authz_device_answers_total",
    "Answers of the pages on which people allow a device: what came of a code they typed.",
    ["outcome"],
    registry=REGISTRY,
)
LOGINS = Counter(
    "authz_logins_total",
    "Sign-ins by method (`password` or the kind of connection), connection (`local`, a name, `other` for all after "
    "the first 200 names) and outcome.",
    ["method", "connection", "outcome"],
    registry=REGISTRY,
)
BREAK_GLASS = Counter(
    "authz_break_glass_logins_total",
    "Sign-ins by password of people whose domain has to use its identity provider: alert on any.",
    registry=REGISTRY,
)
OFFBOARDING_SECONDS = Histogram(
    "authz_offboarding_seconds",
    "Time from the arrival of a signal to the commit that ended the last credential it is about.",
    ["source"],
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 3, 4, 5, 7.5, 10, 30, 60, 300),
    registry=REGISTRY,
)
SIGNALS = Counter(
    "authz_signals_total",
    "What identity providers told, by way (logout_token, push, poll) and what came of it.",
    ["way", "outcome"],
    registry=REGISTRY,
)
SECRET_READINGS = Counter(
    "authz_secret_readings_total",
    "Readings of referenced secrets, by store and by what came of them (read, refused, unavailable).",
    ["store", "outcome"],
    registry=REGISTRY,
)
TOOL_OUTCOMES = Counter(
    "authz_tool_outcomes_total",
    "Calls that MCP servers reported, by whether the token was on record for that server.",
    ["standing"],
    registry=REGISTRY,
)
FEED_READERS = Gauge(
    "authz_revocation_feed_readers",
    "Connections that wait for revocations.",
    registry=REGISTRY,
    multiprocess_mode="livesum",
)
LIMITED = Counter(
    "authz_limited_total",
    "Requests refused because a budget was used up.",
    ["endpoint", "budget"],
    registry=REGISTRY,
)
LANE_BATCHES = Counter(
    "authz_lane_batches_total",
    "Transactions in which many requests are decided, by lane.",
    ["lane"],
    registry=REGISTRY,
)
LANE_JOBS = Counter(
    "authz_lane_jobs_total", "Requests decided in them.", ["lane"], registry=REGISTRY
)
LANE_STATEMENTS = Counter(
    "authz_lane_statements_total", "Statements of them.", ["lane"], registry=REGISTRY
)
LANE_ROUND_TRIPS = Counter(
    "authz_lane_round_trips_total",
    "Round trips to the database of them.",
    ["lane"],
    registry=REGISTRY,
)
LANE_RERUNS = Counter(
    "authz_lane_reruns_total", "Batches that were run again.", ["lane"], registry=REGISTRY
)
AUDIT_DELIVERED = Counter(
    "authz_audit_delivered_total", "Events that a sink took.", ["sink"], registry=REGISTRY
)
AUDIT_FAILURES = Counter(
    "authz_audit_sink_failures_total",
    "Deliveries that a sink did not take, and that are tried again.",
    ["sink"],
    registry=REGISTRY,
)
AUDIT_ALERTS = Counter(
    "authz_audit_alerts_total", "Alerts that were raised, by rule.", ["rule"], registry=REGISTRY
)
LANE_WAITING = Gauge(
    "authz_lane_waiting",
    "Requests that wait for the next transaction of a lane; at 2048 the server answers 503.",
    ["lane"],
    registry=REGISTRY,
    multiprocess_mode="livesum",
)
POOL_IN_USE = Gauge(
    "authz_database_pool_in_use",
    "Database connections of pages, administration and jobs that are in use.",
    registry=REGISTRY,
    multiprocess_mode="livesum",
)
POOL_SIZE = Gauge(
    "authz_database_pool_limit",
    "How many of them there may be; who needs one more waits.",
    registry=REGISTRY,
    multiprocess_mode="livesum",
)
JOB_RUNS = Counter(
    "authz_job_runs_total",
    "Turns of periodic jobs, by job and outcome: `done` or `failed`.",
    ["job", "outcome"],
    registry=REGISTRY,
)
JOB_SECONDS = Histogram(
    "authz_job_seconds", "Time of a turn.", ["job"], buckets=_SLOW, registry=REGISTRY
)
JOB_LAST_SUCCESS = Gauge(
    "authz_job_last_success_timestamp_seconds",
    "When a job was last done by this node: of several nodes the greatest counts.",
    ["job"],
    registry=REGISTRY,
    multiprocess_mode="max",
)
FETCHES = Counter(
    "authz_fetches_total",
    "Requests to other machines, by who named them (`public`: a client; `operator`: the configuration) and outcome: "
    "`answered`, or why not.",
    ["profile", "outcome"],
    registry=REGISTRY,
)
FETCH_SECONDS = Histogram(
    "authz_fetch_seconds",
    "Time of requests to other machines, waiting for a place included.",
    ["profile"],
    buckets=_SLOW,
    registry=REGISTRY,
)
TRACE_SPANS = Counter(
    "authz_trace_spans_total",
    "Spans by outcome: `sent`; `dropped` because too many waited; `lost` because the collector did not take them.",
    ["outcome"],
    registry=REGISTRY,
)

_reasons = Bounded(600, shape=r"[a-z0-9_.-]{1,64}")
_connections = Bounded(200)


@cache
def http_requests(endpoint: str, status: int) -> Counter:
    """The counter of these answers, looked up once: both labels are words of ours, so there are few."""
    return HTTP_REQUESTS.labels(endpoint, status)


@cache
def token_requests(grant_type: str, outcome: str) -> Counter:
    """The counter of these answers of the token endpoint, looked up once."""
    return TOKEN_REQUESTS.labels(grant_type, outcome)


def count_denial(endpoint: str, reason: str) -> None:
    """Count a refusal."""
    DENIALS.labels(endpoint, _reasons.of(reason)).inc()


def count_refusal(endpoint: str, outcome: str, reason: str) -> None:
    """Count a refusal of an endpoint that programs call."""
    BACK_CHANNEL_REQUESTS.labels(endpoint, outcome).inc()
    count_denial(endpoint, reason)


def sign_in(method: str, connection: str, outcome: str) -> None:
    """Count a sign-in, or a step of one."""
    LOGINS.labels(method, _connections.of(connection), outcome).inc()
