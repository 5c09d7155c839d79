"""Where this server is, what it keeps its rows in, how it gets out, and who may watch it."""

import re
from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator

from authz.sections import AnySeconds, LocalReference, SecretReference, Section
from authz.urls import LOOPBACK_HOSTS, UrlError, read_url

_SEVERAL_HOSTS = re.compile(
    r"(postgresql\+psycopg://(?:[^/?@]*@)?)([^/?@,]+(?:,[^/?@,]+)+)(/[^?]*)(?:\?(.*))?"
)
Network = IPv4Network | IPv6Network


class Server(Section):
    """Where this server is, for the world and for its own socket."""

    issuer: str
    """The issuer identifier of the default tenant and the base of all others: exactly what clients see."""
    host: str = "127.0.0.1"
    """The address of the socket; TLS ends at the proxy in front of it."""
    port: Annotated[int, Field(ge=0, le=65535)] = 8080
    """0 takes any that is free, and the command says which."""
    workers: Annotated[int, Field(ge=1, le=64)] = 1
    """Processes. More than one needs PostgreSQL."""
    development: bool = False
    """Allows http on loopback, fetches from loopback, and an extra CA. Refused with a public issuer."""
    drain: Annotated[AnySeconds, Field(ge=timedelta(0), le=timedelta(minutes=10))] | None = None
    """How long a process that was told to end (SIGTERM) goes on serving while `/health/ready` says 503, so that
    balancers notice; absent: 5 seconds, and none in development."""
    trusted_proxies: tuple[str, ...] = ()
    """Peer addresses whose X-Forwarded-For is believed (for rate limits), and who may say with which certificate a
    client came; nothing else ever is (ATK-70)."""
    client_certificate_header: str | None = None
    """The header in which a trusted proxy hands over the client's certificate: `Client-Cert` (RFC 9440), or one with a
    URL-encoded PEM."""
    client_certificate_authorities: Path | None = None
    """PEM file of those who issue certificates to clients (`tls_client_auth`)."""
    mtls_base: str | None = None
    """The base of the endpoints at which certificates are asked for, if it is not the issuer's own (RFC 8705 §5)."""

    @property
    def drain_for(self) -> timedelta:
        """`drain`, or what it is when it is absent."""
        if self.drain is not None:
            return self.drain
        return timedelta(0) if self.development else timedelta(seconds=5)

    @field_validator("client_certificate_header")
    @classmethod
    def _is_header(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"[A-Za-z][A-Za-z0-9-]{0,63}", value):
            raise ValueError("use the name of a header, for example Client-Cert")
        return value


class Database(Section):
    """Where the rows are."""

    url: str = "sqlite:///authz.db"
    """`sqlite:///PATH`, or `postgresql://USER@HOST/DATABASE`; a relative path is beside the file. Several hosts
    (`HOST:PORT,HOST:PORT`) with `?target_session_attrs=read-write` follow a failover."""
    password: SecretReference | None = None
    """Instead of one in the URL. Asked for at every new connection, and anew when it is refused."""
    pool_size: Annotated[int, Field(ge=1, le=200)] = 10
    """Connections of one process for pages, the API and jobs; token requests have two of their own."""
    pooler: bool = False
    """A pooler in transaction mode (PgBouncer) stands in between: nothing of a session is relied upon."""

    @field_validator("url")
    @classmethod
    def _engine_is_known(cls, value: str) -> str:
        if value.startswith("postgresql://"):
            value = "postgresql+psycopg://" + value.removeprefix("postgresql://")
        if not value.startswith(("sqlite:///", "postgresql+psycopg://")):
            raise ValueError("use sqlite:///PATH or postgresql://USER@HOST/DATABASE")
        return _spread_hosts(value)


def _spread_hosts(url: str) -> str:
    """Several hosts as libpq writes them, in the way SQLAlchemy reads them."""
    found = _SEVERAL_HOSTS.fullmatch(url)
    if found is None:
        return url
    head, hosts, path, query = found.groups()
    named = "&".join(f"host={host}" for host in hosts.split(","))
    return f"{head}{path}?{named}" + (f"&{query}" if query else "")


class NetworkSettings(Section):
    """The only way out."""

    proxy: str | None = None
    """An egress proxy; it then resolves the names."""
    proxy_password: LocalReference | None = None
    """Instead of one in the URL."""
    ca_file: Path | None = None
    """An extra certificate authority; development only."""
    nameservers: tuple[str, ...] = ()
    """Addresses (with `:PORT` where it is not 53) to ask for the records that prove domains; the system's if empty."""


class Logging(Section):
    """What goes to standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least important line that is written."""
    format: Literal["json", "console"] = "json"
    """`json` for collectors, `console` for people."""


class Telemetry(Section):
    """Who may look, and where traces go."""

    metrics_networks: tuple[Network, ...] = ()
    """Networks from which `/metrics` may be read, beside this machine: `10.0.0.0/8`. Never through a proxy."""
    traces_endpoint: str | None = None
    """Where an OpenTelemetry collector takes traces by OTLP over HTTP: `https://collector.example:4318/v1/traces`;
    plain http on this machine alone. Absent: nothing is traced. Takes the extra `telemetry`."""
    traces_authorization: SecretReference | None = None
    """The whole value of the header `Authorization` for the collector."""
    traces_ratio: Annotated[float, Field(ge=0, le=1)] = 0.01
    """How many of the requests are traced: 0.01 is one of a hundred."""
    traces_delay: Annotated[AnySeconds, Field(gt=timedelta(0), le=timedelta(minutes=1))] = (
        timedelta(seconds=2)
    )
    """How long finished spans are gathered before they are sent."""

    @field_validator("traces_endpoint")
    @classmethod
    def _is_collector(cls, value: str | None) -> str | None:
        if value is None:
            return None
        try:
            parts = read_url("traces_endpoint", value)
        except UrlError as error:
            raise ValueError(f"the endpoint {error.rule}") from None
        if parts.scheme == "https" or (parts.scheme == "http" and parts.host in LOOPBACK_HOSTS):
            return value
        raise ValueError("use https://, or http:// of a collector on this machine")
