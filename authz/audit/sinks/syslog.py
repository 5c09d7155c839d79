"""Syslog (RFC 5424) over TLS (RFC 5425).

The protocol has no answer. A connection is opened for some events and closed in good order, which the other side
confirms once it has read all of it (RFC 5425 §4.4): only then they count as taken.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from authz.audit.formats import FORMATS, Format
from authz.audit.formats.told import Told
from authz.audit.sinks.sink import NotTaken, Way
from authz.net import NetworkError
from authz.settings import AuditSink

PORT = 6514
_LOG_AUDIT = 13
_ALERT, _WARNING, _INFORMATIONAL = 1, 4, 6
_SEQUENCE = 2**31 - 1
_NO_GRAPHIC = re.compile(r"[^!-~]")


@dataclass(frozen=True)
class SyslogSink:
    """One message an event, framed by its length."""

    host: str
    port: int
    ca_file: Path | None
    format: Format
    way: Way

    @classmethod
    def of(cls, settings: AuditSink, way: Way) -> Self:
        """See `SINKS`."""
        parts = urlsplit(settings.url or "")
        host, port = parts.hostname or "", parts.port or PORT
        return cls(host, port, settings.ca_file, FORMATS[settings.format], way)

    def send(self, page: Sequence[Told]) -> None:
        """See `Sink`."""
        content = b"".join(self._framed(it) for it in page)
        sent = self.way.network.send(self.host, self.port, content, ca_file=self.ca_file)
        try:
            self.way.network.run_blocking(sent)
        except NetworkError as error:
            raise NotTaken(error.reason) from error

    def _framed(self, event: Told) -> bytes:
        stored = event.stored
        severity = _ALERT if event.is_alarming else _WARNING if event.is_refusal else _INFORMATIONAL
        moment = stored.at.isoformat(timespec="microseconds").replace("+00:00", "Z")
        sequence = (stored.position - 1) % _SEQUENCE + 1
        # Of a kind somebody wrote over, nothing that would end the header.
        kind = _NO_GRAPHIC.sub("_", stored.kind)[:32]
        header = f"<{_LOG_AUDIT * 8 + severity}>1 {moment} - mcp-authz - {kind or '-'}"
        text = f'{header} [meta sequenceId="{sequence}"] {self.format.line(event)}'.encode()
        return b"%d %s" % (len(text), text)
