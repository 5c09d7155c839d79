"""Where log lines go on their way out: a bounded queue, and a thread that waits for whoever reads them.

A reader that stands still (a full pipe), a full disk, a closed pipe: each would stop or fail the request that wrote the
line. Here lines are lost instead, counted, and the count is the first line that gets through again.
"""

import json
import queue
import threading
from typing import TextIO

MOST_LINES = 10_000
_LONGEST_LINE = 64 * 1024


class LogStream:
    """A text stream that never blocks and never fails. What is written at once is a line, kept or lost whole."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lines: queue.Queue[str] = queue.Queue(MOST_LINES)
        self._lost = 0
        self._begun: threading.Thread | None = None
        self._lock = threading.Lock()

    def write(self, text: str) -> int:
        """Take the text, or lose it."""
        if self._begun is None:
            self._begin()
        try:
            self._lines.put_nowait(
                text if len(text) <= _LONGEST_LINE else f"{text[: _LONGEST_LINE - 1]}\n"
            )
        except queue.Full:
            self._lost += 1
        return len(text)

    def flush(self) -> None:
        """The thread does that."""

    def isatty(self) -> bool:
        """Whether a person reads."""
        return self._stream.isatty()

    def drain(self, seconds: float) -> None:
        """Give the thread that long to write what waits."""
        # Not `join`, which has no limit; and at the end of a process no thread can be started to wait for it.
        with self._lines.all_tasks_done:
            self._lines.all_tasks_done.wait_for(lambda: not self._lines.unfinished_tasks, seconds)

    def _begin(self) -> None:
        with self._lock:
            if self._begun is None:
                self._begun = threading.Thread(target=self._work, name="log", daemon=True)
                self._begun.start()

    def _work(self) -> None:
        while True:
            text = self._lines.get()
            try:
                if self._lost:
                    lost, self._lost = self._lost, 0
                    self._stream.write(
                        json.dumps({"event": "log.lines_lost", "lines": lost}) + "\n"
                    )
                self._stream.write(text)
                self._stream.flush()
            except (OSError, ValueError):
                self._lost += 1
            finally:
                self._lines.task_done()
