"""The same as Markdown, ready to be pasted into a document."""

from collections.abc import Sequence

from scripts.bench_parts.plan import OURS
from scripts.bench_parts.report import TITLES, Report, Result, conditions, footprint

_SUMMARY = (16, 64)
"""The concurrencies that the targets are about."""


def render(report: Report) -> str:
    """Conditions, a summary, every figure, memory."""
    lines = [f"- **{name}:** {value}." for name, value in conditions(report)]
    for stored in report.plan.stored:
        lines += ["", *_summary(report, stored)]
    for stored in report.plan.stored:
        lines += ["", *_figures(report, stored)]
    return "\n".join([*lines, "", *_footprint(report)])


def _summary(report: Report, stored: int) -> list[str]:
    """One process of this server on PostgreSQL beside the peer: a line for each load."""
    shown = [c for c in _SUMMARY if c in report.plan.connections] or [report.plan.connections[-1]]
    at = " / ".join(map(str, shown))
    header = (
        f"One process, PostgreSQL, {stored:,} stored tokens, at {at} connections",
        "Requests/s",
        "Of the peer's",
        "p99, ms",
        "Server CPU, µs",
        "PostgreSQL CPU, µs",
    )
    rows = []
    for load in report.loads():
        found = [
            it
            for it in report.rows(load, stored)
            if (it.kind.name, it.kind.engine, it.kind.workers) == (OURS, "postgresql", 1)
            and it.connections in shown
        ]
        if found:
            rows.append(_summary_row(report, load, found))
    return _table(header, rows)


def _summary_row(report: Report, load: str, found: Sequence[Result]) -> list[str]:
    ratios = [report.ratio(it) for it in found]
    return [
        TITLES[load],
        " / ".join(f"{it.figures['per_second']:,.0f}" for it in found),
        " / ".join("–" if ratio is None else f"**{ratio:.2f}**" for ratio in ratios),
        *(
            " / ".join(f"{it.figures[name]:,.{digits}f}" for it in found)
            for name, digits in (("p99_ms", 1), ("server_us", 0), ("database_us", 0))
        ),
    ]


def _figures(report: Report, stored: int) -> list[str]:
    header = (
        f"{stored:,} stored tokens",
        "Server",
        "Connections",
        "Requests/s",
        "Of the peer's",
        "p50, ms",
        "p99, ms",
        "Server CPU, µs",
        "PostgreSQL CPU, µs",
        "Errors",
    )
    rows = []
    for load in report.loads():
        for it in report.rows(load, stored):
            run, ratio = it.figures, report.ratio(it)
            rows.append(
                [
                    TITLES[load],
                    it.kind.label,
                    str(it.connections),
                    f"{run['per_second']:,.0f}",
                    "" if ratio is None else f"{ratio:.2f}",
                    f"{run['p50_ms']:.1f}",
                    f"{run['p99_ms']:.1f}",
                    f"{run['server_us']:,.0f}",
                    f"{run['database_us']:,.0f}" if it.kind.engine == "postgresql" else "",
                    f"{run['errors']:.0f}",
                ]
            )
    return _table(header, rows, text_columns=2)


def _footprint(report: Report) -> list[str]:
    header = ("Largest process, after load", "Start to ready", "Resident", "Proportional (PSS)")
    rows = [
        [
            label,
            "–" if seconds is None else f"{seconds:.2f} s",
            f"{resident:.0f} MB",
            f"{share:.0f} MB",
        ]
        for label, seconds, resident, share in footprint(report)
    ]
    return _table(header, rows)


def _table(
    header: Sequence[str], rows: Sequence[Sequence[str]], *, text_columns: int = 1
) -> list[str]:
    rule = ["---"] * text_columns + ["--:"] * (len(header) - text_columns)
    return [f"| {' | '.join(cells)} |" for cells in (header, rule, *rows)]
