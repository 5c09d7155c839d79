"""Metrics: names by convention, few label values, all documented, and who may read them (S5)."""

import re
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.requests import Request

from authz.oauth.grants import GRANTS
from authz.settings import load
from authz.telemetry import documentation
from authz.telemetry.installation import FACTS
from authz.telemetry.labels import OTHER, Bounded
from authz.web.health import may_scrape
from authz.web.observed import ENDPOINTS, endpoint_of
from tests.support.harness import Harness

ROOT = Path(__file__).parents[2]
# Base units, or a thing that is counted as it is.
UNITS = ("_seconds", "_bytes", "_ratio", "_info")
_HOME = {"/", "/t/{slug:tenant}"}
PLAIN = {
    "authz_audit_sink_lag_events",
    "authz_database_pool_in_use",
    "authz_database_pool_limit",
    "authz_database_up",
    "authz_lane_waiting",
    "authz_policy_drift_entries",
    "authz_revocation_feed_readers",
}


def scraped(harness) -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
    answer = harness.http.get(f"{harness.server.base}/metrics")
    assert answer.status_code == 200
    return {
        name: {
            tuple(sorted(it.labels.items())): it.value
            for family in families
            for it in family.samples
            if it.name == name
        }
        for families in [list(text_string_to_metric_families(answer.text))]
        for name in {it.name for family in families for it in family.samples}
    }


def value(found, name, **labels) -> float:
    return found.get(name, {}).get(tuple(sorted(labels.items())), 0.0)


def test_names_follow_the_convention():
    for name, kind, labels, told in documentation._counted():
        assert re.fullmatch(r"authz(_[a-z]+)+", name), name
        assert name.endswith("_total") == (kind == "counter"), name
        assert kind != "histogram" or name.endswith(("_seconds", "_bytes")), name
        assert kind != "gauge" or name in PLAIN or name.endswith(UNITS), name
        assert told.endswith("."), name
        # Nobody's name, and nothing that grows with the installation.
        assert not {"tenant", "user", "client", "client_id", "le", "quantile"} & set(labels), name
    for fact in FACTS:
        assert re.fullmatch(r"authz(_[a-z]+)+", fact.name)
        assert fact.name in PLAIN or fact.name.endswith(UNITS), fact.name


def test_every_metric_is_documented():
    """docs/metrics.md is what the registries say: `python -m authz.telemetry.documentation > docs/metrics.md`."""
    assert (ROOT / "docs/metrics.md").read_text(encoding="utf-8") == documentation.text()


def test_a_bounded_label_takes_so_many_values_and_no_more():
    label = Bounded(3, shape="[a-z]+")
    assert [label.of(it) for it in ("a", "b", "A", "c", "d", "a", "")] == [
        *("a", "b", OTHER, "c", OTHER, "a", OTHER)
    ]


def test_what_a_client_sends_is_never_a_label(harness: Harness):
    """A stranger cannot make series: neither by a path, nor a grant, nor a method."""
    for number in range(5):
        harness.http.get(f"{harness.issuer}/canary{number}")
        harness.token({"grant_type": f"canary{number}", "client_id": f"canary{number}"})
        harness.http.get(f"{harness.server.base}/t/canary{number}/authorize?client_id=canary")
    text = harness.http.get(f"{harness.server.base}/metrics").text
    assert "canary" not in text
    assert harness.slug not in text
    found = scraped(harness)
    grants = {dict(it)["grant_type"] for it in found["authz_token_requests_total"]}
    assert grants <= {*GRANTS, OTHER}
    assert value(found, "authz_http_requests_total", endpoint=OTHER, status="404") >= 5


def test_every_route_is_an_endpoint_of_the_metrics(server):
    """Otherwise what a new module answers would be counted among what there is not."""
    from authz.app import routes

    paths = {getattr(route, "path", "") for route in routes(server.edge)}
    assert len(paths) > 50
    assert {it for it in paths if endpoint_of(it, server.edge.base_path) == OTHER} == _HOME
    assert endpoint_of("/t/acme/token", "") == "token"
    assert endpoint_of("/auth/t/acme/api/admin/v1/users", "/auth") == "api"
    assert endpoint_of("/t/acme", "") == endpoint_of("/", "") == endpoint_of("", "") == OTHER
    assert not ENDPOINTS & {"t", ""}


def test_requests_are_counted_by_endpoint_grant_outcome_and_reason(harness: Harness):
    before = scraped(harness)
    assert harness.redeem(harness.code()).ok
    refused = harness.redeem("azc_unknown")
    after = scraped(harness)

    def more(name: str, **labels: str) -> float:
        return value(after, name, **labels) - value(before, name, **labels)

    code = "authorization_code"
    assert more("authz_token_requests_total", grant_type=code, outcome="issued") == 1
    assert more("authz_token_requests_total", grant_type=code, outcome="invalid_grant") == 1
    assert more("authz_denials_total", endpoint="/token", reason=str(refused.reason)) == 1
    assert more("authz_http_requests_total", endpoint="token", status="200") == 1
    assert more("authz_http_requests_total", endpoint="token", status="400") == 1
    assert more("authz_http_request_seconds_count", endpoint="token") == 2
    assert more("authz_lane_jobs_total", lane="token") >= 2
    assert value(after, "authz_database_pool_limit") >= 2
    assert value(after, "authz_database_up") == 1


def test_a_sign_in_is_counted_by_connection(harness: Harness):
    before = scraped(harness)
    assert harness.tokens().ok
    labels = {"method": "password", "connection": "local", "outcome": "succeeded"}
    after = scraped(harness)
    name = "authz_logins_total"
    assert value(after, name, **labels) - value(before, name, **labels) == 1


def _request(peer: str, **headers: str) -> Request:
    raw = [(name.replace("_", "-").encode(), it.encode()) for name, it in headers.items()]
    return Request({"type": "http", "client": (peer, 1), "headers": raw})


@pytest.mark.parametrize(
    ("peer", "headers", "may"),
    [
        ("127.0.0.1", {}, True),
        ("::1", {}, True),
        ("10.1.2.3", {}, True),
        ("::ffff:10.1.2.3", {}, True),
        ("fd00::9", {}, True),
        ("10.2.0.1", {}, False),
        ("192.0.2.1", {}, False),
        ("unknown", {}, False),
        ("127.0.0.1", {"x_forwarded_for": "127.0.0.1"}, False),
        ("10.1.2.3", {"forwarded": "for=10.1.2.3"}, False),
        ("10.1.2.3", {"via": "1.1 proxy"}, False),
        ("10.1.2.3", {"x_real_ip": "10.1.2.3"}, False),
    ],
)
def test_who_may_scrape(peer, headers, may):
    """Networks that were named, and nobody through a proxy that stands in one (ATK-70)."""
    telemetry = load(
        None,
        environment={},
        overrides={
            "server": {"issuer": "https://auth.example.com"},
            "telemetry": {"metrics_networks": ["10.1.0.0/16", "fd00::/8"]},
        },
    ).telemetry
    assert may_scrape(_request(peer, **headers), telemetry.metrics_networks) is may


def test_only_this_machine_may_scrape_where_nobody_is_named(harness: Harness):
    url = f"{harness.server.base}/metrics"
    assert harness.http.get(url, headers={"X-Forwarded-For": "127.0.0.1"}).status_code == 404
