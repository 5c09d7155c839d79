"""Where traces go: the operator's collector, by OTLP over HTTP, through the one door there is."""

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from authz import entropy
from authz.net import Network, NetworkConfig, NetworkError, Profile
from authz.services import Services
from authz.settings import Settings
from authz.telemetry import tracing
from authz.urls import LOOPBACK_HOSTS

_MOST_ANSWERED = 64 * 1024


@contextmanager
def sent_to_collector(services: Services) -> Iterator[None]:
    """Trace while the block runs, if a collector is configured."""
    settings = services.settings
    telemetry = settings.telemetry
    if telemetry.traces_endpoint is None:
        yield
        return
    network = Network(_config(settings, telemetry.traces_endpoint))
    endpoint = telemetry.traces_endpoint

    def send(body: bytes) -> None:
        headers = {"Content-Type": "application/x-protobuf"}
        if telemetry.traces_authorization is not None:
            # Each time, so that a rotated one is in use.
            secret = services.secrets.resolve(telemetry.traces_authorization)
            headers["Authorization"] = secret.decode("ascii").strip()
        # On the thread that ships, on a loop of its own: requests are answered on another.
        answer = network.run_blocking(
            network.fetch(
                endpoint,
                profile=Profile.OPERATOR,
                max_bytes=_MOST_ANSWERED,
                accept="application/x-protobuf",
                method="POST",
                headers=headers,
                content=body,
            )
        )
        if answer.status != 200:
            raise NetworkError("the collector did not take the spans", reason="status")

    try:
        with tracing.opened(
            send,
            ratio=telemetry.traces_ratio,
            instance=entropy.new_id("node"),
            delay=telemetry.traces_delay.total_seconds(),
        ):
            yield
    finally:
        network.close()


def _config(settings: Settings, endpoint: str) -> NetworkConfig:
    """A collector on this machine is the usual one, in production too; no proxy is asked to reach it."""
    is_here = urlsplit(endpoint).hostname in {host.strip("[]") for host in LOOPBACK_HOSTS}
    return NetworkConfig(
        allow_loopback=is_here,
        ca_file=settings.network.ca_file,
        proxy=None if is_here else settings.network.proxy,
    )
