"""Which lines of the mutated files a piece of work runs, in any thread that starts meanwhile."""

import sys
import threading
from types import FrameType
from typing import Any

Lines = dict[str, set[int]]


class Watch:
    """Collects lines until it is asked for them; one at a time in a process."""

    def __init__(self, files: set[str]) -> None:
        self._files = files
        self._lines: Lines = {}

    def start(self) -> None:
        """From now on, for threads that start from now on; again before each piece of work.

        Where work recurses until the interpreter stops it, that may happen in here, and then it watches no longer.
        """
        threading.settrace(self._called)
        sys.settrace(self._called)

    def stop(self) -> None:
        """No more."""
        sys.settrace(None)
        threading.settrace(None)  # type: ignore[arg-type]  # how it is switched off

    def take(self) -> Lines:
        """What was run since the last time."""
        taken, self._lines = self._lines, {}
        return taken

    def _called(self, frame: FrameType, _: str, __: Any) -> Any:
        name = frame.f_code.co_filename
        if name not in self._files:
            return None
        self._lines.setdefault(name, set()).add(frame.f_lineno)
        return self._ran

    def _ran(self, frame: FrameType, event: str, _: Any) -> Any:
        if event == "line":
            self._lines.setdefault(frame.f_code.co_filename, set()).add(frame.f_lineno)
        return self._ran
