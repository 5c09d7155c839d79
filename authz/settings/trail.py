"""The audit trail: how it is signed, who else is told, and what alarms."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from authz.sections import Seconds, SecretReference, Section

_Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")]
_Kinds = Annotated[str, Field(pattern=r"^(\*|[a-z_]+\.(\*|[a-z_]+))$")]


class AuditSink(Section):
    """A place the audit trail is told to (`[[audit.sink]]`)."""

    name: _Name
    """Its own; how far it has come is kept under it."""
    kind: Literal["file", "syslog", "webhook", "otlp"]
    """The way there: `otlp` is OpenTelemetry logs."""
    format: Literal["json", "ocsf", "cef"] = "json"
    """How each event is written."""
    path: Path | None = None
    """Of a file."""
    url: str | None = None
    """Of the others; of syslog `syslog+tls://HOST:PORT`."""
    secret: SecretReference | None = None
    """Signs what a webhook gets; the bearer token of `otlp`."""
    ca_file: Path | None = None
    """PEM file of the authorities that a syslog server is believed for, instead of the system's."""
    kinds: tuple[_Kinds, ...] = ()
    """Events it gets: `token.refused`, `login.*`; all when empty."""
    tenants: tuple[str, ...] = ()
    """Whose; all when empty."""
    from_start: bool = False
    """Whether it also gets what there was before it was configured."""

    @model_validator(mode="after")
    def _knows_its_way(self) -> "AuditSink":
        if self.name in ("alerts", "checkpoints"):
            raise ValueError(f"a sink cannot be called {self.name}; choose another name")
        wanted = {"file": "path"}.get(self.kind, "url")
        for name in ("path", "url"):
            if (getattr(self, name) is not None) != (name == wanted):
                raise ValueError(f"the {self.kind} sink {self.name} takes {wanted}, and it alone")
        scheme = {"syslog": "syslog+tls://"}.get(self.kind, "http")
        if self.url is not None and not self.url.startswith(scheme):
            raise ValueError(f"url of the {self.kind} sink {self.name} begins with {scheme}")
        if self.kind == "webhook" and self.secret is None:
            raise ValueError(f"the webhook sink {self.name} takes a secret to sign with")
        return self


class AlertRule(Section):
    """When somebody should look (`[[audit.alert]]`): so many events of one kind, of one of them, within some time."""

    name: _Name
    """Its own; alerts name it."""
    kinds: Annotated[tuple[_Kinds, ...], Field(min_length=1)]
    """Of events; `tool.denied` is a call that an MCP server reported as denied."""
    reasons: tuple[str, ...] = ()
    """Any when empty."""
    per: Literal["agent", "client", "subject", "resource", "tenant"] = "agent"
    """What is counted apart. An agent that an event does not name is its client."""
    count: Annotated[int, Field(ge=1, le=1000)] = 5
    """How many are too many."""
    within: Seconds = timedelta(minutes=5)
    """In which time; and how long it is quiet before another burst is another alert."""


class AuditSettings(Section):
    """The audit trail of every tenant: how often it is signed, who else says when, where it is told, what alarms."""

    checkpoint_every: Seconds = timedelta(minutes=5)
    """How long what was recorded waits for the next signed checkpoint."""
    checkpoint_events: Annotated[int, Field(ge=1)] = 10_000
    """A checkpoint is signed once so many events are not covered by one, however short ago the last was."""
    timestamp_url: str | None = None
    """A timestamp authority (RFC 3161)."""
    timestamp_roots: Path | None = None
    """PEM file of the certificates it is believed for."""
    timestamp_every: Seconds = timedelta(hours=1)
    """How long a checkpoint waits for its timestamp."""
    sink: tuple[AuditSink, ...] = ()
    """Where it is told as it grows (`[[audit.sink]]`)."""
    alert: tuple[AlertRule, ...] = ()
    """When somebody should look (`[[audit.alert]]`)."""

    @model_validator(mode="after")
    def _hangs_together(self) -> "AuditSettings":
        for kind in ("sink", "alert"):
            names = [it.name for it in getattr(self, kind)]
            if len(set(names)) != len(names):
                raise ValueError(f"two of audit.{kind} have one name")
        if (self.timestamp_url is None) != (self.timestamp_roots is None):
            raise ValueError("timestamp_url and timestamp_roots go together")
        return self
