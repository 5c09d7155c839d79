"""Assertions with one thing wrong, a row each: no server may redeem one of them.

Owns the rows, by what they are about; a new one is a line. Never asks anybody anything: `scenarios` does.
"""

from authz.lab.defects import contents, forgeries, names, times
from authz.lab.defects.row import Defect

DEFECTS: tuple[Defect, ...] = (
    *names.DEFECTS,
    *times.DEFECTS,
    *contents.DEFECTS,
    *forgeries.DEFECTS,
)
