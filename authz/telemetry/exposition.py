"""The text that Prometheus scrapes: of this process, or of all processes of this node."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from prometheus_client import CONTENT_TYPE_LATEST, Metric, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from authz.telemetry.installation import Reading
from authz.telemetry.metrics import REGISTRY

FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
"""The library reads it when it is imported, so it is set before a worker starts."""
CONTENT_TYPE = CONTENT_TYPE_LATEST
_PROCESSES = Path("/proc")


def shared_folder() -> str | None:
    """Where the processes of this node count together; None where there is one alone."""
    return os.environ.get(FOLDER_VARIABLE) or None


def render(reading: Reading) -> bytes:
    """The exposition format."""
    folder = shared_folder()
    if folder is None:
        return generate_latest(_Joined((REGISTRY, reading)))
    _forget_dead(Path(folder))
    return generate_latest(_Joined((MultiProcessCollector(None, folder), reading)))  # type: ignore[no-untyped-call]


@dataclass(frozen=True)
class _Joined(Collector):
    """Several collectors as one answer."""

    parts: tuple[Collector, ...]

    def collect(self) -> Iterator[Metric]:
        for part in self.parts:
            yield from part.collect()


def _forget_dead(folder: Path) -> None:
    """What a process that was killed held at that moment is held no more; what it counted stays counted."""
    if not (_PROCESSES / "self").exists():
        return
    for file in folder.glob("gauge_live*_*.db"):
        if not (_PROCESSES / file.stem.rpartition("_")[2]).exists():
            file.unlink(missing_ok=True)  # two who scrape at once both find it
