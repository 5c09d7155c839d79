"""A collector of OpenTelemetry traces: a real socket, and the protobuf decoded."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@dataclass(frozen=True)
class ReceivedSpan:
    """A span as it came over the wire."""

    name: str
    kind: int
    trace_id: str
    span_id: str
    parent_id: str
    attributes: dict[str, Any]
    links: tuple[str, ...]


@dataclass
class Collector:
    """What was sent to it; with `holds` it takes connections and answers nobody."""

    port: int = 0
    spans: list[ReceivedSpan] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    status: int = 200
    holds: threading.Event | None = None
    came: threading.Condition = field(default_factory=threading.Condition)

    @property
    def endpoint(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}/v1/traces"

    def named(self, name: str, *, within: float = 5.0) -> list[ReceivedSpan]:
        """The spans of a name; waits for the first."""

        def found() -> list[ReceivedSpan]:
            return [it for it in self.spans if it.name == name]

        with self.came:
            self.came.wait_for(lambda: bool(found()), within)
            return found()

    def take(self, body: bytes, headers: dict[str, str]) -> None:
        """Decode and keep."""
        request = ExportTraceServiceRequest.FromString(body)
        with self.came:
            self.bodies.append(body)
            self.headers.append(headers)
            for resource in request.resource_spans:
                for scope in resource.scope_spans:
                    self.spans += [_read(it) for it in scope.spans]
            self.came.notify_all()


def _read(span: Any) -> ReceivedSpan:
    return ReceivedSpan(
        span.name,
        span.kind,
        span.trace_id.hex(),
        span.span_id.hex(),
        span.parent_span_id.hex(),
        {it.key: getattr(it.value, it.value.WhichOneof("value")) for it in span.attributes},
        tuple(it.span_id.hex() for it in span.links),
    )


@contextmanager
def collecting() -> Iterator[Collector]:
    """Listen while the block runs."""
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if collector.holds is not None:
                collector.holds.wait(10)
            if collector.status == 200:
                collector.take(body, {k.lower(): v for k, v in self.headers.items()})
            self.send_response(collector.status)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    collector.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield collector
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
