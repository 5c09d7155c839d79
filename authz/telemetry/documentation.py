"""docs/metrics.md: every metric, from the registries that have them. `python -m authz.telemetry.documentation`."""

from collections.abc import Iterator

from authz.telemetry.installation import FACTS
from authz.telemetry.metrics import REGISTRY

_HEAD = """\
# Metrics

<!-- Written by `python -m authz.telemetry.documentation > docs/metrics.md`. -->

`GET /metrics` tells them in Prometheus' format, to scrapers on the same machine and in `telemetry.metrics_networks`;
what to do with them is in [telemetry.md](telemetry.md). Durations are in seconds, moments in seconds since 1970.
"""


def text() -> str:
    """As it is written to the file."""
    parts = [_HEAD, "## Of the processes of a node", "", *_table(_counted())]
    parts += ["", "## Of the installation: the same whichever node is asked", ""]
    parts += _table((it.name, "gauge", it.labels, it.help) for it in FACTS)
    return "\n".join(parts) + "\n"


def _counted() -> Iterator[tuple[str, str, tuple[str, ...], str]]:
    for collector in list(REGISTRY._collector_to_names):  # noqa: SLF001 -- the library has no other way to ask
        for family in collector.describe():  # type: ignore[attr-defined]
            name = f"{family.name}_total" if family.type == "counter" else family.name
            yield name, family.type, tuple(collector._labelnames), family.documentation  # type: ignore[attr-defined]  # noqa: SLF001


def _table(rows: Iterator[tuple[str, str, tuple[str, ...], str]]) -> list[str]:
    lines = ["| Metric | Type | Labels | What it says |", "|---|---|---|---|"]
    for name, kind, labels, told in sorted(rows):
        named = ", ".join(f"`{label}`" for label in labels)
        lines.append(f"| `{name}` | {kind} | {named} | {told} |")
    return lines


if __name__ == "__main__":
    print(text(), end="")  # noqa: T201 -- the one thing it is run for
