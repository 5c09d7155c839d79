"""A file, one event a line. It is opened for every delivery: whoever rotates it, by whatever way, need tell nobody."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from authz.audit.formats import FORMATS, Format
from authz.audit.formats.told import Told
from authz.audit.sinks.sink import NotTaken, Way
from authz.settings import AuditSink


@dataclass(frozen=True)
class FileSink:
    """Appends, and waits for the disk."""

    path: Path
    format: Format

    @classmethod
    def of(cls, settings: AuditSink, _: Way) -> Self:
        """See `SINKS`."""
        assert settings.path is not None  # the settings say so  # noqa: S101
        return cls(settings.path, FORMATS[settings.format])

    def send(self, page: Sequence[Told]) -> None:
        """See `Sink`."""
        text = "".join(f"{self.format.line(it)}\n" for it in page)
        try:
            number = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            with os.fdopen(number, "r+b", buffering=0) as file:
                # A line that a full disk cut is ended, so that the event is whole when it comes again.
                end = file.seek(0, os.SEEK_END)
                is_cut = end > 0 and os.pread(number, 1, end - 1) != b"\n"
                content = (b"\n" if is_cut else b"") + text.encode()
                while content:
                    content = content[file.write(content) :]
                os.fsync(number)
        except OSError as error:
            raise NotTaken(f"file_{error.errno}") from error
