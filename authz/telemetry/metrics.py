"""Prometheus metrics, named by convention: `authz_<thing>_<unit>[_total]`. Labels have few values, never a client's."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

REGISTRY = CollectorRegistry()

TOKEN_REQUESTS = Counter(
    "authz_token_requests_total",
    "Answers of the token endpoint.",
    ["grant_type", "outcome"],
    registry=REGISTRY,
)
BACK_CHANNEL_REQUESTS = Counter(
    "authz_back_channel_requests_total",
    "Answers of the endpoints that programs call: refusals of all, and answers of all but the token endpoint.",
    ["endpoint", "outcome"],
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
LOGINS = Counter("authz_logins_total", "Sign-ins.", ["method", "outcome"], registry=REGISTRY)
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
    "authz_revocation_feed_readers", "Connections that wait for revocations.", registry=REGISTRY
)
LIMITED = Counter(
    "authz_limited_total",
    "Requests refused because a budget was used up.",
    ["endpoint", "budget"],
    registry=REGISTRY,
)
LANE_BATCHES = Gauge("authz_lane_batches", "Transactions of the token lane.", registry=REGISTRY)
LANE_JOBS = Gauge("authz_lane_jobs", "Requests decided by the token lane.", registry=REGISTRY)
LANE_STATEMENTS = Gauge("authz_lane_statements", "Statements of the token lane.", registry=REGISTRY)
LANE_ROUND_TRIPS = Gauge(
    "authz_lane_round_trips", "Round trips to the database of the token lane.", registry=REGISTRY
)
LANE_RERUNS = Gauge("authz_lane_reruns", "Batches of the token lane run again.", registry=REGISTRY)
AUDIT_LAG = Gauge(
    "authz_audit_sink_lag_events",
    "Events of the audit trail that a sink has not taken yet.",
    ["sink"],
    registry=REGISTRY,
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
TOKEN_SECONDS = Histogram(
    "authz_token_request_seconds",
    "Time to answer a token request.",
    buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 5),
    registry=REGISTRY,
)


def render() -> bytes:
    """The exposition format."""
    return generate_latest(REGISTRY)
