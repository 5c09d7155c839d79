"""The system clock of a real process, set forward or back while it serves (libfaketime); its monotonic clock goes on.

python -m tests.support.stepped_clock        prints where the library is
"""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

_PLACES = (
    "lib/*/faketime/libfaketimeMT.so.1",  # Debian, Ubuntu
    "lib*/faketime/libfaketimeMT.so.1",  # Fedora
)


def find_library() -> str:
    """Raises RuntimeError where it is not installed."""
    found = sorted(str(path) for place in _PLACES for path in Path("/usr").glob(place))
    if not found:
        raise RuntimeError("libfaketime is not installed; `scripts/test` installs it")
    return found[0]


class SteppedClock:
    """What a process started with `environment` takes for the time. It looks once a second whether it was stepped."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "clock"
        self.step(timedelta(0))
        self.environment: Mapping[str, str] = {
            "LD_PRELOAD": find_library(),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_CACHE_DURATION": "1",
            # What the kernel measures waits and pauses by is not a clock that anybody sets.
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    def step(self, by: timedelta) -> None:
        """So far from the truth from now on; whoever reads it meanwhile finds one or the other."""
        new = self._file.with_suffix(".new")
        new.write_text(f"{by.total_seconds():+.0f}\n", encoding="ascii")
        new.replace(self._file)


if __name__ == "__main__":
    print(find_library())
