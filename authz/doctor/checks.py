"""All checks over one walk, and what they mean for each client. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from authz.doctor import issuer_checks, offer_checks, server_checks
from authz.doctor.case import Case, Check
from authz.doctor.findings import Finding, Severity
from authz.doctor.profiles import ClientProfile
from authz.doctor.walk import Walk

CHECKS: tuple[Check, ...] = (
    *server_checks.CHECKS,
    *issuer_checks.CHECKS,
    *offer_checks.CHECKS,
)
_ORDER = tuple(Severity)


@dataclass(frozen=True)
class Verdict:
    """What comes of it for one client."""

    client: str
    title: str
    connects: bool
    registration: str | None
    """How it gets its identifier; None when that is not known or not possible."""
    findings: tuple[str, ...]


@dataclass(frozen=True)
class Report:
    """What was found, worst first and in the order clients come to it, and what that means for each client."""

    walk: Walk
    findings: tuple[Finding, ...]
    verdicts: tuple[Verdict, ...]

    @property
    def is_well(self) -> bool:
        """Every client connects."""
        return all(verdict.connects for verdict in self.verdicts)


def judge(walk: Walk, clients: Mapping[str, ClientProfile]) -> Report:
    """Run every check."""
    case = Case(walk, clients)
    found = [finding for check in CHECKS for finding in check(case)]
    found.sort(key=lambda finding: _ORDER.index(finding.severity))
    return Report(walk, tuple(found), tuple(_verdict(case, name, found) for name in clients))


def _verdict(case: Case, name: str, found: list[Finding]) -> Verdict:
    own = [finding for finding in found if name in finding.clients]
    way = None if case.server is None else offer_checks.registration(case, case.clients[name])
    return Verdict(
        client=name,
        title=case.clients[name].title,
        connects=not any(finding.severity is Severity.BREAKS for finding in own),
        registration=way,
        findings=tuple(dict.fromkeys(finding.code for finding in own)),
    )
