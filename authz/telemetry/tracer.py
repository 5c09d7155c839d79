"""The one importer of OpenTelemetry: spans, and the thread that ships them.

Imported when tracing is opened and not before. Finished spans wait in a bounded queue; a thread of its own encodes and
sends them. A collector that is down or slow costs spans, never a request.
"""

import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import structlog
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)

from authz import __version__
from authz.telemetry.metrics import TRACE_SPANS
from authz.telemetry.traceparent import TraceParent

log = structlog.get_logger()

Send = Callable[[bytes], None]
"""Hands a body in OTLP to the collector, on a thread that may wait. Whatever it raises, the spans are lost."""
Value = str | int | float | bool
MOST_WAITING = 2048
_MOST_AT_ONCE = 512
_LONGEST_PAUSE = 60.0
_MOST_LINKS = 64
_LAST_SECONDS = 3.0
_SIDES = {"server": SpanKind.SERVER, "client": SpanKind.CLIENT, "internal": SpanKind.INTERNAL}


class Tracer:
    """One per process."""

    def __init__(self, send: Send, *, instance: str, delay: float) -> None:
        resource = Resource(
            {
                "service.name": "mcp-authz",
                "service.version": __version__,
                "service.instance.id": instance,
            }
        )
        self._shipping = Shipping(send, delay=delay)
        # What is sampled is decided before a span is made (`tracing`). Never the global provider: what libraries would
        # say of a request has its address in it.
        self._provider = TracerProvider(
            sampler=ALWAYS_ON, resource=resource, shutdown_on_exit=False
        )
        self._provider.add_span_processor(self._shipping)
        self._tracer = self._provider.get_tracer("authz", __version__)

    def begin_span(
        self,
        name: str,
        side: str,
        context: Any,
        attributes: Mapping[str, Value],
        links: Sequence[Span] = (),
    ) -> Any:
        """A span that its caller ends."""
        return self._tracer.start_span(
            name,
            context=context,
            kind=_SIDES[side],
            attributes=dict(attributes),
            links=[Link(it.get_span_context()) for it in links[:_MOST_LINKS]],
        )

    def local(self, parent: Span) -> Any:
        """The context of what is a part of a span of ours."""
        return set_span_in_context(parent)

    def remote(self, trace: TraceParent | None) -> Any:
        """The context of what is a part of a caller's span; without one, of a new trace."""
        if trace is None:
            return set_span_in_context(NonRecordingSpan(SpanContext(0, 0, is_remote=False)))
        context = SpanContext(
            trace_id=int(trace.trace_id, 16),
            span_id=int(trace.span_id, 16),
            is_remote=True,
            trace_flags=TraceFlags(TraceFlags.SAMPLED),
        )
        return set_span_in_context(NonRecordingSpan(context))

    def fail(self, span: Span, error: str) -> None:
        """It ended with an error of this kind."""
        span.set_attribute("error.type", error)
        span.set_status(Status(StatusCode.ERROR))

    def close(self) -> None:
        """Send what waits, for a moment."""
        self._shipping.shutdown()


class Shipping(SpanProcessor):
    """The queue and the thread."""

    def __init__(self, send: Send, *, delay: float) -> None:
        self._send, self._delay = send, delay
        self._waiting: queue.Queue[ReadableSpan] = queue.Queue(MOST_WAITING)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._work, name="traces", daemon=True)
        self._thread.start()

    def on_end(self, span: ReadableSpan) -> None:
        """Called where the request is answered: it never waits."""
        try:
            self._waiting.put_nowait(span)
        except queue.Full:
            TRACE_SPANS.labels("dropped").inc()

    def shutdown(self) -> None:
        """What waits is sent, unless that takes too long."""
        self._closing.set()
        self._thread.join(_LAST_SECONDS)

    def _work(self) -> None:
        pause, batch = 0.0, list[ReadableSpan]()
        while not (self._closing.is_set() and self._waiting.empty()):
            if pause or len(batch) < _MOST_AT_ONCE:  # after a full batch more is waiting
                self._closing.wait(self._delay + pause)
            batch = self._taken()
            if not batch:
                continue
            if self._shipped(batch):
                pause = 0.0
                continue
            if self._closing.is_set():
                return
            pause = min(_LONGEST_PAUSE, max(1.0, 2 * pause))

    def _taken(self) -> list[ReadableSpan]:
        batch: list[ReadableSpan] = []
        while len(batch) < _MOST_AT_ONCE:
            try:
                batch.append(self._waiting.get_nowait())
            except queue.Empty:
                break
        return batch

    def _shipped(self, batch: list[ReadableSpan]) -> bool:
        began = time.monotonic()
        try:
            self._send(encode_spans(batch).SerializeToString())
        except Exception as error:  # noqa: BLE001 -- spans are lost, and nothing else may be
            TRACE_SPANS.labels("lost").inc(len(batch))
            log.warning(
                "traces.lost",
                spans=len(batch),
                error=getattr(error, "reason", type(error).__name__),
                seconds=round(time.monotonic() - began, 3),
            )
            return False
        TRACE_SPANS.labels("sent").inc(len(batch))
        return True
