"""OpenTelemetry logs, as OTLP/HTTP in its JSON encoding: no package is needed for it, and every collector takes it."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from authz import __version__
from authz.audit.formats import FORMATS, Format
from authz.audit.formats.told import Told
from authz.audit.sinks.sink import NotTaken, Way
from authz.settings import AuditSink

_TRACE = re.compile(r"([0-9a-f]{32})-([0-9a-f]{16})")
_INFO, _WARN, _ERROR = (9, "INFO"), (13, "WARN"), (17, "ERROR")


@dataclass(frozen=True)
class OtlpSink:
    """To `URL/v1/logs` as it is configured, with a bearer token if there is one."""

    url: str
    secret: str | None
    format: Format
    way: Way

    @classmethod
    def of(cls, settings: AuditSink, way: Way) -> Self:
        """See `SINKS`."""
        assert settings.url is not None  # the settings say so  # noqa: S101
        return cls(settings.url, settings.secret, FORMATS[settings.format], way)

    def send(self, page: Sequence[Told]) -> None:
        """See `Sink`."""
        headers = {"Content-Type": "application/json"}
        if self.secret is not None:
            token = self.way.secret(self.secret).decode("latin-1").strip()
            headers["Authorization"] = f"Bearer {token}"
        content = json.dumps(self._request(page), separators=(",", ":")).encode()
        answer = self.way.post(self.url, content, headers)
        # A collector may take some and answer 200 all the same.
        if _rejected(answer.body):
            raise NotTaken("partly_rejected")

    def _request(self, page: Sequence[Told]) -> Mapping[str, Any]:
        resource = {"service.name": "mcp-authz", "service.version": __version__}
        scope = {"name": "authz.audit", "version": __version__}
        records = [self._record(it) for it in page]
        return {
            "resourceLogs": [
                {
                    "resource": {"attributes": _attributes(resource)},
                    "scopeLogs": [{"scope": scope, "logRecords": records}],
                }
            ]
        }

    def _record(self, event: Told) -> Mapping[str, Any]:
        stored, body = event.stored, event.body
        number, text = _ERROR if event.is_alarming else _WARN if event.is_refusal else _INFO
        nanoseconds = str(int(stored.at.timestamp() * 1_000_000) * 1000)
        attributes = {
            "event.name": stored.kind,
            "log.record.uid": event.uid,
            "authz.tenant": stored.tenant_id,
            "authz.hash": stored.hash,
            "authz.reason": event.detail.get("reason"),
            "authz.subject": body.get("subject"),
            "authz.client": body.get("client"),
            "authz.agent": body.get("agent"),
        }
        record: dict[str, Any] = {
            "timeUnixNano": nanoseconds,
            "observedTimeUnixNano": nanoseconds,
            "severityNumber": number,
            "severityText": text,
            "body": {"stringValue": self.format.line(event)},
            "attributes": _attributes(attributes),
        }
        # A collector refuses all of a request for one id that is none.
        told = body.get("trace")
        if isinstance(told, str) and (trace := _TRACE.fullmatch(told)):
            record |= {"traceId": trace[1], "spanId": trace[2]}
        return record


def _attributes(values: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [
        {"key": name, "value": {"stringValue": value}}
        for name, value in values.items()
        if isinstance(value, str)
    ]


def _rejected(body: bytes) -> bool:
    try:
        return str(json.loads(body)["partialSuccess"]["rejectedLogRecords"]) != "0"
    except (ValueError, LookupError, TypeError, RecursionError):
        return False
