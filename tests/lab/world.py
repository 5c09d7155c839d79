"""The lab in front of a server in this process, over real sockets, with a clock that skips what it would wait for."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from authz.cli.lab_server import SkippingClock, own_server
from authz.lab.applications import READ, WITHHELD, WRITE
from authz.lab.bench import Bench
from authz.lab.examination import Report, choose, examine
from authz.lab.identity_provider import CUSTOMER, Issuer
from authz.lab.judgement import Outcome
from authz.lab.laboratory import Laboratory, bench_at, way_home
from authz.lab.serving import listening, serving
from authz.lab.target import Credentials, Target
from tests.lab.fake_server import FakeServer

Work = Callable[[Bench], Awaitable[Any]]


def at_fake(
    folder: Path, work: Work, faults: Sequence[str] = (), *, patience: float = 7200, **changed: Any
) -> Any:
    """What `work` answers at the bench in front of a FakeServer with these faults."""

    async def main() -> Any:
        clock = SkippingClock()
        with listening() as idp, listening() as mcp, listening() as own, way_home() as home:
            lab = Laboratory.at(folder, idp.url, mcp.url)
            secrets = {it: f"secret of {it}" for it in ("lab-client", "lab-other", "lab-ungranted")}
            server = FakeServer(
                issuer=own.url,
                jwks_uri=lab.idp.jwks_uri,
                trusted={
                    lab.idp.issuer(Issuer.MAIN): None,
                    lab.idp.issuer(Issuer.MANY): CUSTOMER,
                    lab.idp.issuer(Issuer.CLOSED): None,
                },
                closed=lab.idp.issuer(Issuer.CLOSED),
                clients={**secrets, "lab-public": None},
                granted=frozenset({"lab-client", "lab-other", "lab-public"}),
                resources=(lab.resource, lab.other_resource),
                scopes=frozenset({READ, WRITE}),
                known_scopes=frozenset({READ, WRITE, WITHHELD}),
                clock=clock,
                faults=frozenset(faults),
            )
            clients = {
                name: Credentials(name, "client_secret_basic", secret)
                for name, secret in secrets.items()
            }
            described = {
                "issuer": own.url,
                "resource": lab.resource,
                "is_labs_server": True,
                "client": clients["lab-client"],
                "scopes": (READ, WRITE),
                "withheld": WITHHELD,
                "other_resource": lab.other_resource,
                "other_client": clients["lab-other"],
                "ungranted_client": clients["lab-ungranted"],
                "public_client": Credentials("lab-public"),
            }
            target = Target(**{**described, **changed})
            async with serving(server, own), lab.on(idp, mcp, own.url, clock=clock):
                return await _at(target, lab, home, clock, work, patience)

    return asyncio.run(main())


def at_ours(folder: Path, work: Work, **arranged: Any) -> Any:
    """The same in front of a server of ours, arranged as `own_server` says."""

    async def main() -> Any:
        clock = SkippingClock()
        with listening() as idp, listening() as mcp, listening() as own, way_home() as home:
            lab = Laboratory.at(folder / "lab", idp.url, mcp.url)
            async with (
                lab.on(idp, mcp, own.url, clock=clock),
                own_server(folder, lab, own, clock=clock, **arranged) as target,
            ):
                return await _at(target, lab, home, clock, work, 7200)

    return asyncio.run(main())


async def _at(
    target: Target, lab: Laboratory, home: Any, clock: Any, work: Work, patience: float
) -> Any:
    with bench_at(
        target,
        lab.idp,
        home,
        clock=clock,
        sleep=clock.sleep,
        patience=timedelta(seconds=patience),
    ) as bench:
        return await work(bench)


def examining(*names: str) -> Work:
    """The scenarios of these names, or all."""
    return lambda bench: examine(bench, choose(names))


def ended(report: Report, *outcomes: Outcome) -> dict[str, str]:
    """Why, by name, of those that ended like this."""
    return {it.name: it.why for it in report.results if it.outcome in outcomes}


def faults_of(report: Report) -> set[str]:
    """The names of those that failed or fall short."""
    return set(ended(report, Outcome.FAILED, Outcome.SHORT))
