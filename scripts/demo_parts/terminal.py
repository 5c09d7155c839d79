"""What the demo prints: numbered steps with the time since the start; colours on a terminal only."""

import os
import sys
import time

_BOLD, _DIM, _GREEN, _RED, _PLAIN = "\033[1m", "\033[2m", "\033[32m", "\033[31m", "\033[0m"


class Terminal:
    """One run's output; `before` are the seconds that went by before this process began."""

    def __init__(self, *, before: float = 0.0) -> None:
        self._began = time.monotonic() - before
        self._number = 0
        self._colours = sys.stdout.isatty() and "NO_COLOR" not in os.environ

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._began

    def chapter(self, text: str) -> None:
        """A new part."""
        print(f"\n{self._in(_BOLD, text)}", flush=True)

    def step(self, text: str) -> None:
        """The next thing that happens, or has just happened."""
        self._number += 1
        when = self._in(_DIM, f"{self.elapsed:6.1f} s")
        print(f"{self._number:3}  {when}  {text}", flush=True)

    def says(self, text: str) -> None:
        """What a step brought."""
        for line in text.rstrip("\n").splitlines():
            print(f"               {self._in(_DIM, line)}", flush=True)

    def good(self, text: str) -> None:
        """What was wanted."""
        print(f"               {self._in(_GREEN, text)}", flush=True)

    def refused(self, text: str) -> None:
        """What was refused."""
        print(f"               {self._in(_RED, text)}", flush=True)

    def plain(self, text: str) -> None:
        """As it is."""
        print(text, flush=True)

    def _in(self, colour: str, text: str) -> str:
        return f"{colour}{text}{_PLAIN}" if self._colours else text
