"""Every row of `authz.lab.defects`: refused, while its good twin is redeemed."""

from authz.lab.bench import Bench
from authz.lab.defects import DEFECTS
from authz.lab.defects.row import Defect
from authz.lab.judgement import refused
from authz.lab.scenario import Check, Scenario


def _check(defect: Defect) -> Check:
    async def check(bench: Bench) -> str:
        await bench.control()
        return refused(await bench.redeem(defect.make(bench.statement())), defect.codes)

    return check


SCENARIOS: tuple[Scenario, ...] = tuple(
    Scenario(
        name=defect.name,
        title=f"An assertion {defect.title} is refused",
        rows=defect.rows,
        clause=defect.clause,
        check=_check(defect),
        level=defect.level,
    )
    for defect in DEFECTS
)
