"""Spans: where the time of a request went. Off unless somebody opens tracing, and then free: one look at a variable.

Owns which requests are traced, and how code deeper down adds its part without knowing who asked: the request that this
context works for. OpenTelemetry is imported by `telemetry.tracer` alone, which nothing imports until tracing is opened.

Decisions:
- Whether a request is traced is decided before anything is made, so the other 99 of 100 cost nothing. How many are not
  is drawn once for each that is: the same as a throw for every request, at a hundredth of its price.
- A caller's wish to be traced (the sampled flag of its `traceparent`) is followed a few times a second and no more:
  otherwise a stranger decides how much this server sends to its collector.
- Attributes are numbers and words of this code. No address with a query, no header, no body, no name of a person.
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Protocol, Self

from authz import entropy
from authz.errors import ConfigurationError
from authz.telemetry.traceparent import TraceParent

if TYPE_CHECKING:
    from authz.telemetry.tracer import Send, Tracer, Value

FOLLOWED_PER_SECOND = 10
_PARTS = 1 << 32


class Spanned(Protocol):
    """A span under way, or nothing in its place."""

    def __enter__(self) -> Self: ...

    def __exit__(self, failure: type[BaseException] | None, *_: object) -> None: ...

    def set(self, **attributes: "Value") -> None:
        """Add what is known by now."""


class _Nothing:
    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def set(self, **attributes: "Value") -> None:
        pass


NOTHING = _Nothing()


class _Open:
    """A span that is the present one of this context while its block runs."""

    def __init__(self, span: Any, failed: Callable[[Any, str], None]) -> None:
        self._span, self._failed = span, failed

    def __enter__(self) -> Self:
        self._token = _present.set(self._span)
        return self

    def __exit__(self, failure: type[BaseException] | None, *_: object) -> None:
        _present.reset(self._token)
        if failure is not None:
            # The kind alone: the message of an error may hold anything.
            self._failed(self._span, failure.__name__)
        self._span.end()

    def set(self, **attributes: "Value") -> None:
        for name, value in attributes.items():
            self._span.set_attribute(_wire_name(name), value)


class _Tracing:
    """An open tracer, and how often it is used."""

    def __init__(self, tracer: "Tracer", ratio: float) -> None:
        self.tracer = tracer
        self._ratio = ratio
        self._others = self._draw()
        """How many requests are not taken before the next one is."""
        self._second, self._followed = 0, 0

    def takes(self, trace: TraceParent | None) -> bool:
        """Whether to trace this request."""
        if self._others < 1:
            self._others = self._draw()
            return True
        self._others -= 1
        if trace is None or not trace.is_sampled:
            return False
        second = int(time.monotonic())
        if second != self._second:
            self._second, self._followed = second, 0
        self._followed += 1
        return self._followed <= FOLLOWED_PER_SECOND

    def _draw(self) -> float:
        """As many as a throw for each would have passed over: geometrically distributed."""
        if self._ratio <= 0:
            return math.inf
        if self._ratio >= 1:
            return 0
        chance = (entropy.new_number(_PARTS) + 1) / _PARTS
        return math.floor(math.log(chance) / math.log1p(-self._ratio))


_present: ContextVar[Any] = ContextVar("authz_present_span", default=None)
_tracing: _Tracing | None = None


def is_open() -> bool:
    """Whether anything is traced."""
    return _tracing is not None


def present() -> Any:
    """The span that this context works for, to be handed to `joined` elsewhere; None when it is not traced."""
    return _present.get()


def request(name: str, trace: Callable[[], TraceParent | None], **attributes: "Value") -> Spanned:
    """A request that arrived. With a caller's trace it belongs to that."""
    if _tracing is None:
        return NOTHING
    parent = trace()
    if not _tracing.takes(parent):
        return NOTHING
    tracer = _tracing.tracer
    span = tracer.begin_span(name, "server", tracer.remote(parent), _named(attributes))
    return _Open(span, tracer.fail)


def span(name: str, *, side: str = "internal", **attributes: "Value") -> Spanned:
    """A part of what this context works for."""
    parent = _present.get()
    if parent is None or _tracing is None:
        return NOTHING
    tracer = _tracing.tracer
    return _Open(
        tracer.begin_span(name, side, tracer.local(parent), _named(attributes)), tracer.fail
    )


def joined(name: str, parents: Sequence[Any], *, side: str = "client") -> Spanned:
    """What was done for several at once: a part of the first, linked to the others."""
    of = [it for it in parents if it is not None]
    if not of or _tracing is None:
        return NOTHING
    tracer = _tracing.tracer
    return _Open(tracer.begin_span(name, side, tracer.local(of[0]), {}, of[1:]), tracer.fail)


@contextmanager
def opened(send: "Send", *, ratio: float, instance: str, delay: float = 2.0) -> Iterator[None]:
    """Trace while the block runs. Raises ConfigurationError without the packages for it."""
    global _tracing
    try:
        from authz.telemetry.tracer import Tracer
    except ImportError as error:
        raise ConfigurationError(
            "telemetry.traces_endpoint needs packages that are not installed; "
            f"install mcp-authz[telemetry] ({error.name} is missing)"
        ) from None
    tracer = Tracer(send, instance=instance, delay=delay)
    before, _tracing = _tracing, _Tracing(tracer, ratio)
    try:
        yield
    finally:
        _tracing = before
        tracer.close()


def _named(attributes: "dict[str, Value]") -> "dict[str, Value]":
    return {_wire_name(name): value for name, value in attributes.items()}


def _wire_name(name: str) -> str:
    """`http__route` is `http.route`."""
    return name.replace("__", ".")
