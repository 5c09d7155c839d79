"""Where the trail is told to: one module and one line for each kind of sink.

Owns the ways there. Never decides what is told or when, and keeps nothing: how far a sink has come is in the database
(`audit.delivery`), so one that is down loses nothing.

Decisions:
- Sinks are named in the configuration of the installation, not in a tenant's settings: they are addresses, files and
  secrets of the machine, which no administrator of a tenant may choose.
- What was sent counts when the other side said so; before that it is sent again. So everything comes at least once, in
  the order of its strand, and says which event it is.
"""

from collections.abc import Callable, Mapping

from authz.audit.sinks.file import FileSink
from authz.audit.sinks.otlp import OtlpSink
from authz.audit.sinks.sink import NotTaken, Sink, Way
from authz.audit.sinks.syslog import SyslogSink
from authz.audit.sinks.webhook import WebhookSink
from authz.settings import AuditSink

__all__ = ["NotTaken", "Sink", "Way", "open_sink"]

SINKS: Mapping[str, Callable[[AuditSink, Way], Sink]] = {
    "file": FileSink.of,
    "otlp": OtlpSink.of,
    "syslog": SyslogSink.of,
    "webhook": WebhookSink.of,
}


def open_sink(settings: AuditSink, way: Way) -> Sink:
    """The sink of these settings."""
    return SINKS[settings.kind](settings, way)
