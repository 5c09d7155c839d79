"""What deploy/ says of metrics is true: alert rules and the dashboard name what exists, and lead to a page."""

import json
import re
from pathlib import Path

import pytest
import yaml

from authz.telemetry import documentation
from authz.telemetry.installation import FACTS

ROOT = Path(__file__).parents[2]
ALERTS = yaml.safe_load((ROOT / "deploy/prometheus/alerts.yaml").read_text(encoding="utf-8"))
DASHBOARD = json.loads((ROOT / "deploy/grafana/authz.json").read_text(encoding="utf-8"))
RULES = [rule for group in ALERTS["groups"] for rule in group["rules"]]
EXPRESSIONS = {
    **{rule["alert"]: rule["expr"] for rule in RULES},
    **{
        f"{panel['title']} {number}": target["expr"]
        for panel in DASHBOARD["panels"]
        for number, target in enumerate(panel.get("targets", ()))
    },
}


def exposed() -> dict[str, set[str]]:
    """Every series and its labels."""
    found: dict[str, set[str]] = {fact.name: set(fact.labels) for fact in FACTS}
    for name, kind, labels, _ in documentation._counted():
        if kind == "histogram":
            found[f"{name}_bucket"] = {*labels, "le"}
            found[f"{name}_sum"] = found[f"{name}_count"] = set(labels)
        else:
            found[name] = set(labels)
    return found


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_an_expression_names_metrics_and_labels_that_exist(name):
    expression, series = EXPRESSIONS[name], exposed()
    used = re.findall(r"(authz_\w+)(?:\{([^}]*)\})?", expression)
    assert used
    labels: set[str] = {"instance"}
    for metric, selector in used:
        assert metric in series, metric
        labels |= series[metric]
        assert set(re.findall(r"(\w+)\s*[=!]", selector)) <= series[metric] | {"instance"}
    for grouped in re.findall(r"\bby \(([^)]*)\)", expression):
        assert {it.strip() for it in grouped.split(",")} <= labels
    assert expression.count("(") == expression.count(")")


def test_every_rule_leads_to_what_to_do():
    text = (ROOT / "docs/telemetry.md").read_text(encoding="utf-8")
    headings = re.findall(r"^### (.+)$", text, re.MULTILINE)
    anchors = {it.lower().replace(" ", "-") for it in headings}
    led = set()
    for rule in RULES:
        page, _, anchor = rule["annotations"]["runbook"].partition("#")
        assert page == "docs/telemetry.md"
        led.add(anchor)
        assert rule["annotations"]["summary"].endswith(".")
        assert rule["labels"]["severity"] in {"critical", "warning", "info"}
    assert led == anchors
    assert len({rule["alert"] for rule in RULES}) == len(RULES)


def test_the_dashboard_can_be_laid_out():
    places = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert at["x"] + at["w"] <= 24
        assert not cells & places
        places |= cells
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
