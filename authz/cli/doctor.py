"""`authz doctor`: what keeps MCP clients from connecting to a server, whoever made it."""

import os
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from authz.admin.readiness import judge as judge_readiness
from authz.cli.output import cell, table
from authz.cli.run import DONE, REFUSED, Result, Run, command, group
from authz.doctor.checks import Report, judge
from authz.doctor.findings import Finding, Severity
from authz.doctor.profiles import CLIENTS, ClientProfile
from authz.doctor.walk import walk
from authz.errors import Invalid
from authz.net import Network, NetworkConfig
from authz.urls import LOOPBACK_HOSTS, UrlError, read_url

app = group("What keeps MCP clients from connecting to a server.")

_WIDTH = 100
_HEADLINES = {
    Severity.BREAKS: "What stops clients:",
    Severity.WARNING: "What people will complain about:",
    Severity.NOTE: "What somebody may miss:",
}
_WAYS = {"document": "metadata document", "registers": "registers itself", "by hand": "id by hand"}


@command(app, "doctor")
def doctor(
    run: Run,
    url: Annotated[
        str | None,
        typer.Argument(help="The MCP server.", metavar="[MCP_URL]", show_default=False),
    ] = None,
    client: Annotated[
        list[str] | None,
        typer.Option(
            help=f"Only this client (repeat): {', '.join(CLIENTS)}.",
            metavar="NAME",
            show_default=False,
        ),
    ] = None,
    readiness: Annotated[
        bool,
        typer.Option("--readiness", help="Instead: is this tenant ready for a company?"),
    ] = False,
    installation: Annotated[
        bool,
        typer.Option(
            "--installation", help="Instead: how does this installation stand? Also without a URL."
        ),
    ] = False,
    ca_file: Annotated[
        Path | None,
        typer.Option(
            help="Trust this certificate authority as well.",
            metavar="FILE",
            dir_okay=False,
            exists=True,
            show_default=False,
        ),
    ] = None,
) -> Result:
    """Walk discovery as each known client does; exit code 1 when one of them cannot connect.

    Nobody signs in, nothing is registered, no token is needed. Without a URL this installation is looked at: settings,
    secrets, database, clock, keys, its own address, each with evidence; with --readiness eight questions about a
    tenant. Exit code 1 when one is not well.
    """
    if (url is not None) + readiness + installation > 1:
        raise typer.BadParameter("one at a time: an MCP server, --readiness or --installation")
    if readiness:
        return _readiness(run)
    if url is None:
        return _installation(run)
    clients = _chosen(client or [])
    network = Network(_network(run, url, ca_file))
    try:
        report = judge(network.run_blocking(walk(network, url)), clients)
    finally:
        network.close()
    code = DONE if report.is_well else REFUSED
    return Result(_value(report), _told(report), code)


def _readiness(run: Run) -> Result:
    with run.read() as (tx, tenant_id):
        report = judge_readiness(tx, tenant_id, run.services.clock())
    lines = []
    for part in report.parts:
        lines.append(f"{'pass' if part.passed else 'FAIL'}  {part.name}: {part.question}")
        for check in part.checks:
            lines.append(f"      {'+' if check.passed else '-'} {check.evidence}")
            if not check.passed:
                lines.append(f"        way out: {check.way_out}")
    well = sum(part.passed for part in report.parts)
    lines += ["", f"{well} of {len(report.parts)} parts are well."]
    value = {
        "at": report.at,
        "passed": report.passed,
        "parts": [{**vars(part), "passed": part.passed} for part in report.parts],
    }
    return Result(value, "\n".join(lines), DONE if report.passed else REFUSED)


def _installation(run: Run) -> Result:
    from authz.admin.installation import BAD, GOOD
    from authz.installation import examine

    checks = examine(run.services)
    marks = {GOOD: "ok  ", BAD: "BAD "}
    lines = []
    for check in checks:
        lines.append(f"{marks.get(check.state, 'look')}  {check.name}: {cell(check.said)}")
        if check.do:
            lines.append(f"      way out: {check.do}")
    bad = sum(check.state == BAD for check in checks)
    lines += ["", f"{len(checks)} checks, {bad} of them bad." if bad else "Nothing is bad."]
    value = {"passed": not bad, "checks": checks}
    return Result(value, "\n".join(lines), REFUSED if bad else DONE)


def _chosen(names: list[str]) -> Mapping[str, ClientProfile]:
    unknown = [name for name in names if name not in CLIENTS]
    if unknown:
        raise typer.BadParameter(f"{unknown[0]!r} is not one of {', '.join(CLIENTS)}")
    return {name: CLIENTS[name] for name in dict.fromkeys(names)} if names else CLIENTS


def _network(run: Run, url: str, ca_file: Path | None) -> NetworkConfig:
    try:
        parts = read_url("MCP server", url)
    except UrlError as error:
        raise Invalid(str(error)) from None
    proxy = None
    # A configuration is not needed; where there is one, its way out to the internet is the way out.
    if run.config or "AUTHZ_CONFIG" in os.environ or Path("authz.toml").is_file():
        proxy = run.settings.network.proxy
        ca_file = ca_file or run.settings.network.ca_file
    # A server on the internet must not send this command to the services of this machine.
    return NetworkConfig(allow_loopback=parts.host in LOOPBACK_HOSTS, ca_file=ca_file, proxy=proxy)


def _value(report: Report) -> dict[str, Any]:
    return {
        "url": report.walk.url,
        "connects": report.is_well,
        "authorization_servers": list(report.walk.named_servers),
        "clients": report.verdicts,
        "findings": report.findings,
        "requests": [
            {"method": a.method, "url": a.url, "status": a.status, "problem": a.problem}
            for a in report.walk.asked
        ],
    }


def _told(report: Report) -> str:
    blocks = [_way(report), _clients(report)]
    for severity, headline in _HEADLINES.items():
        found = [finding for finding in report.findings if finding.severity is severity]
        blocks += [headline, *(_finding(finding, report) for finding in found)] if found else []
    return "\n\n".join([*blocks, _next(report)])


def _way(report: Report) -> str:
    """How far clients come, a line per step."""
    found, server = report.walk, report.walk.server
    steps: list[tuple[str, object]] = [
        ("MCP server", found.url),
        ("without a token", found.unauthenticated.told_status()),
        ("its metadata", found.taken and found.taken.url),
        ("issuer", found.named_servers),
        ("its metadata", server and server.taken and server.taken.url),
    ]
    width = max(len(name) for name, _ in steps)
    return "\n".join(f"{name.ljust(width)}  {cell(value)}" for name, value in steps)


def _clients(report: Report) -> str:
    breaking = {f.code for f in report.findings if f.severity is Severity.BREAKS}
    rows = []
    for verdict in report.verdicts:
        reasons = [code for code in verdict.findings if code in breaking]
        way = _WAYS.get(verdict.registration or "")
        rows.append((verdict.title, verdict.connects, way, _more(reasons)))
    return table(("CLIENT", "CONNECTS", "IDENTIFIED BY", "STOPPED BY"), rows, empty="")


def _more(codes: list[str]) -> str:
    return " ".join(codes[:2]) + (f" and {len(codes) - 2} more" if len(codes) > 2 else "") or "-"


def _finding(finding: Finding, report: Report) -> str:
    return "\n".join(
        [
            f"  {finding.code} ({_concerned(finding, report)})",
            *_wrapped(cell(finding.sentence)),
            *_wrapped(f"Way out: {finding.mend}"),
        ]
    )


def _wrapped(text: str) -> list[str]:
    """Lines a person can read; a URL stays whole, to be copied."""
    return textwrap.wrap(
        text,
        width=_WIDTH,
        initial_indent="    ",
        subsequent_indent="    ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def _concerned(finding: Finding, report: Report) -> str:
    titles = [verdict.title for verdict in report.verdicts if verdict.client in finding.clients]
    if len(titles) == len(report.verdicts) > 1:
        return "every client"
    return ", ".join(titles)


def _next(report: Report) -> str:
    again = f"authz doctor {cell(report.walk.url)}"
    working = sum(verdict.connects for verdict in report.verdicts)
    if not report.is_well:
        return (
            f"{working} of {len(report.verdicts)} clients connect. Next: mend the first finding, it may "
            f"hide others, then run it again:\n  {again}"
        )
    reading = "read the findings above, then sign in" if report.findings else "sign in"
    return f"Nothing stops a client before somebody signs in. Next: {reading} with one of them."
