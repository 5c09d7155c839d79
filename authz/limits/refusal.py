"""What whoever comes too often is told."""

from authz.errors import TooManyRequests
from authz.telemetry.metrics import LIMITED


def limited(endpoint: str, budget: str, seconds: int) -> TooManyRequests:
    """What whoever comes too often is told; counted, so it is made to be raised."""
    LIMITED.labels(endpoint, budget).inc()
    return TooManyRequests("too many requests, try again later", reason=budget, retry_after=seconds)
