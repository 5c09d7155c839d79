"""The installation's configuration: one file, environment over it, command line over that.

`authz.toml` <- `AUTHZ__SECTION__KEY` <- command line. Unknown keys are errors, secrets are references
(`authz.secretstores`), and everything is frozen once loaded. What changes at run time (clients, roles, resources,
trust) lives in the database instead.
"""

import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, field_validator, model_validator

from authz.errors import ConfigurationError
from authz.secretstores import HINT, LOCAL_HINT, Setup
from authz.secretstores.sections import Aws, Azure, Gcp, Secrets, Vault
from authz.sections import (
    AnySeconds,
    LocalReference,
    Seconds,
    SecretReference,
    Section,
    StoreAddress,
    anchored,
    references_of,
)
from authz.urls import LOOPBACK_HOSTS, UrlError, check_issuer, read_url

_PREFIX = "AUTHZ__"
_PASSWORD_IN_QUERY = re.compile(r"([?&](?:ssl)?password=)[^&]*", re.IGNORECASE)
_SEVERAL_HOSTS = re.compile(
    r"(postgresql\+psycopg://(?:[^/?@]*@)?)([^/?@,]+(?:,[^/?@,]+)+)(/[^?]*)(?:\?(.*))?"
)
_SHOWN = frozenset(
    {
        *("greater_than", "greater_than_equal", "less_than", "less_than_equal"),
        *("int_from_float", "literal_error"),
    }
)
"""Kinds of errors that show the value: of numbers, times, and settings that are one of some words. Everywhere else a
secret may stand that belongs in another place."""
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
    """Connections of one process for pages, the API and jobs; token requests have one of their own."""
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


class Keys(Section):
    """How private keys are protected and rotated."""

    encryption_key: SecretReference = "file:authz.key"
    """The key-encryption key: 32 bytes, base64."""
    further_encryption_keys: tuple[SecretReference, ...] = ()
    """Key-encryption keys that open and do not seal: the one before, until `authz keys rewrap`, or the next."""
    backend: Literal["local", "aws-kms", "azure-kv", "gcp-kms", "pkcs11", "vault-transit"] = "local"
    """Where new signing keys are made and stay. Keys of before go on signing where they are."""
    local_purposes: frozenset[
        Literal["access_token", "audit", "id_token", "id_jag", "introspection"]
    ] = frozenset()
    """Those whose new keys are local in spite of `backend`."""
    rotate_after: Annotated[AnySeconds, Field(ge=timedelta(0))] = timedelta(days=90)
    """How long a key signs before its successor does; 0 leaves rotation to people."""
    algorithm: Literal["ES256", "RS256"] = "ES256"
    """Signs access tokens; keys of both algorithms are always published (CONF-13)."""
    publish_ahead: Seconds = timedelta(minutes=15)
    """How long a new key is in the JWKS before it signs: longer than verifiers cache."""


class Pkcs11(Section):
    """The hardware security module of `keys.backend = "pkcs11"`."""

    module: Path | None = None
    """Its library, such as /usr/lib/softhsm/libsofthsm2.so."""
    token: str | None = None
    """The token's label."""
    pin: SecretReference | None = None
    """The PIN of the token's user."""


class AwsKms(Section):
    """AWS KMS; credentials are found as by every program of AWS."""

    region: str | None = None
    """Where the keys are, such as eu-west-1."""
    endpoint: str | None = None
    """Of KMS, if it is not that of the region: a private endpoint."""


class GcpKms(Section):
    """Google Cloud KMS; `[gcp]` says who we are there."""

    key_ring: str | None = None
    """projects/…/locations/…/keyRings/…"""
    protection: Literal["software", "hsm"] = "hsm"
    """What new keys are kept in."""
    endpoint: StoreAddress = "https://cloudkms.googleapis.com"
    """Cloud KMS's, or a regional or private one."""


class AzureKv(Section):
    """Keys in Azure Key Vault or a Managed HSM; `[azure]` says who we are there."""

    vault: StoreAddress | None = None
    """Where keys are, if not in `azure.vault`: another vault, or `https://NAME.managedhsm.azure.net`."""
    hardware: bool = False
    """Keys of the kinds EC-HSM and RSA-HSM: a vault of the premium tier, or a Managed HSM."""


class VaultTransit(Section):
    """The transit engine of HashiCorp Vault or OpenBao; `[vault]` says where it is, and who we are there."""

    mount: str = "transit"
    """Where the engine is mounted."""


class Tokens(Section):
    """Lifetimes, in seconds."""

    access_token: Annotated[AnySeconds, Field(gt=timedelta(0), le=timedelta(days=1))] = timedelta(
        minutes=10
    )
    """How long one lives. What was switched off is told for as long as the longest of them may live."""
    code: Annotated[AnySeconds, Field(gt=timedelta(0), le=timedelta(minutes=10))] = timedelta(
        seconds=60
    )
    """How long an authorization code waits to be redeemed."""
    refresh_idle: Seconds = timedelta(days=14)
    """A grant that nobody refreshes for this long ends."""
    refresh_absolute: Seconds = timedelta(days=90)
    """A grant ends this long after the person allowed it, however often it is refreshed."""
    retry_window: Annotated[AnySeconds, Field(ge=timedelta(0), le=timedelta(minutes=10))] = (
        timedelta(seconds=60)
    )
    """How long a just-spent refresh token still answers with the same successor (CONF-09)."""
    dpop_nonce: bool = False
    """Demand a nonce of ours in every DPoP proof, so that none can be made ahead of its use (RFC 9449 §8)."""


class Sessions(Section):
    """Browser sessions."""

    lifetime: Seconds = timedelta(hours=12)
    """How long a person stays signed in here; never longer than at their identity provider, where it says so."""


class Clients(Section):
    """Rules for all clients."""

    private_redirect_schemes: frozenset[str] = frozenset()
    """Private-use URI schemes clients may redirect to, for example `cursor`."""
    document_max_bytes: Annotated[int, Field(ge=1024, le=1_000_000)] = 5 * 1024
    """The largest metadata document of a client that is read."""
    require_pushed_requests: bool = False
    """No client sends its authorization request through the browser (RFC 9126 §5)."""


class Registration(Section):
    """Clients that register themselves (RFC 7591), where a tenant lets them (`authz tenants registration`)."""

    per_network: Annotated[int, Field(ge=1)] = 50
    """How many one IPv4 address, or one IPv6 /64, may have in a tenant."""
    per_tenant: Annotated[int, Field(ge=1)] = 5000
    """How many there may be in a tenant, whoever registered them."""
    unused_after: Seconds = timedelta(days=7)
    """One that nobody has allowed by then is forgotten; it may register again."""
    scope_ceiling: frozenset[str] | None = None
    """What they may ever get, whatever a user's role says; absent: no bound."""


class ConfiguredClient(Section):
    """A pre-registered client kept in the file (`[[client]]`); `authz serve` makes the database agree."""

    id: str
    """The `client_id`."""
    tenant: str = "default"
    """The slug of the tenant it belongs to."""
    name: str
    """What people read on the consent page."""
    redirect_uris: tuple[str, ...] = ()
    """Compared as text; a loopback address without a port matches any port."""
    grant_types: tuple[str, ...] = ("authorization_code", "refresh_token")
    """What it may ask the token endpoint for."""
    auth_method: Literal["none", "client_secret_basic", "client_secret_post", "private_key_jwt"] = (
        "none"
    )
    """How it proves who it is; `none` for programs on a person's own machine."""
    secret: SecretReference | None = None
    """Where its secret is; goes with the `client_secret` methods alone."""
    jwks_uri: str | None = None
    """Where its public keys are, for `private_key_jwt`."""
    dpop_bound: bool = False
    """All its tokens are bound to a key it proves (DPoP)."""
    push_only: bool = False
    """It sends its authorization requests to `/par` alone."""
    fapi: bool = False
    """The FAPI 2.0 Security Profile holds for it."""
    token_endpoint_audience: bool = False
    """Its assertions may name the token endpoint instead of the issuer: for clients that cannot be mended."""
    scope_ceiling: frozenset[str] | None = None
    """All it may ever get, whatever a person's role says; absent: no bound."""

    @model_validator(mode="after")
    def _has_what_it_proves_itself_with(self) -> "ConfiguredClient":
        if self.auth_method.startswith("client_secret") != (self.secret is not None):
            raise ValueError(
                f"client {self.id!r}: a secret goes with the client_secret methods only"
            )
        return self


PerMinute = Annotated[int, Field(ge=0, le=100_000_000)]
AtMost = Annotated[int, Field(ge=0, le=1_000_000)]


class LimitSettings(Section):
    """Budgets of this process, per minute; as many may come at once, and 0 is no limit. Quotas are totals.

    The defaults are far above a company behind one address and a vendor's servers that speak for thousands of people.
    """

    failures_per_client_and_address: PerMinute = 600
    """Wrong secrets, codes and refresh tokens of one client at one address."""
    failures_per_address: PerMinute = 1_800
    """The same of all clients at an address; where a client has proven itself, only its own count."""
    failures_per_client: PerMinute = 12_000
    """The same of one client at all addresses where it has never proven itself."""
    requests_per_address: PerMinute = 60_000
    """Token, introspection and revocation requests."""
    requests_per_client: PerMinute = 60_000
    """The same of one client that authenticated."""
    tokens_per_agent: PerMinute = 0
    """Token requests of all clients of one agent together."""
    grants_per_agent: AtMost = 0
    """How many live grants an agent may have, in every process together; who asks for one more gets `access_denied`."""
    agents_per_owner: AtMost = 0
    """How many agents one person may answer for, those that sleep among them; killed ones do not count."""
    pushes_per_address: PerMinute = 3_000
    """Requests that leave a row before a person is asked: PAR, device authorization."""
    pushes_per_client: PerMinute = 12_000
    """The same of one client that authenticated."""
    pushes_of_public_clients: PerMinute = 30_000
    """The same of all clients that cannot authenticate, together."""
    pages_per_address: PerMinute = 12_000
    """Pages and forms for people."""
    pages_per_user: PerMinute = 300
    """Authorization requests and answers of one signed-in person."""
    provisioning_per_address: PerMinute = 60_000
    """SCIM requests, right or wrong."""
    provisioning_per_client: PerMinute = 60_000
    """The same of one token."""
    fetches_per_user: PerMinute = 30
    """Metadata documents and images fetched because of one signed-in person."""
    fetches_per_host: PerMinute = 60
    """Documents fetched from one host that a stranger named."""
    read_timeout: Seconds = timedelta(seconds=10)
    """How long the head and the body of one request may take to arrive."""


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


class Settings(Section):
    """Everything."""

    server: Server
    database: Database = Database()
    keys: Keys = Keys()
    pkcs11: Pkcs11 = Pkcs11()
    aws_kms: AwsKms = AwsKms()
    gcp_kms: GcpKms = GcpKms()
    azure_kv: AzureKv = AzureKv()
    vault_transit: VaultTransit = VaultTransit()
    tokens: Tokens = Tokens()
    sessions: Sessions = Sessions()
    clients: Clients = Clients()
    limits: LimitSettings = LimitSettings()
    registration: Registration = Registration()
    network: NetworkSettings = NetworkSettings()
    log: Logging = Logging()
    audit: AuditSettings = AuditSettings()
    secrets: Secrets = Secrets()
    vault: Vault | None = None
    aws: Aws | None = None
    gcp: Gcp | None = None
    azure: Azure | None = None
    telemetry: Telemetry = Telemetry()
    client: tuple[ConfiguredClient, ...] = ()

    @model_validator(mode="after")
    def _hangs_together(self) -> "Settings":
        try:
            check_issuer(self.server.issuer, development=self.server.development)
        except UrlError as error:
            raise ValueError(f"server.issuer: {error}") from None
        if self.server.development and not _on_loopback(self.server.issuer):
            raise ValueError(
                f"server.development is on, but the issuer {self.server.issuer!r} is not on loopback; "
                "switch development off, or use http://127.0.0.1:PORT"
            )
        self._certificates_come_from_somebody()
        self._secrets_are_where_they_belong()
        if self.network.ca_file and not self.server.development:
            raise ValueError(
                "network.ca_file is for development only; use the system's trust store"
            )
        ids = [(client.tenant, client.id) for client in self.client]
        if len(set(ids)) != len(ids):
            twice = next(id_ for id_ in ids if ids.count(id_) > 1)
            raise ValueError(f"client {twice[1]!r} is configured twice")
        if self.server.workers > 1 and self.database.url.startswith("sqlite"):
            raise ValueError(
                f"server.workers is {self.server.workers}, but SQLite serves one process; "
                "use PostgreSQL or one worker"
            )
        return self

    def _certificates_come_from_somebody(self) -> None:
        server = self.server
        if server.client_certificate_header is None:
            for name in ("client_certificate_authorities", "mtls_base"):
                if getattr(server, name) is not None:
                    raise ValueError(f"server.{name} goes with server.client_certificate_header")
        elif not server.trusted_proxies:
            raise ValueError(
                "server.client_certificate_header is believed from server.trusted_proxies alone, and there is none"
            )
        if server.mtls_base is not None:
            try:
                check_issuer(server.mtls_base, development=server.development)
            except UrlError as error:
                raise ValueError(f"server.mtls_base: {error}") from None

    def _secrets_are_where_they_belong(self) -> None:
        for name, url, word in (
            ("database.url", self.database.url, self.database.password),
            ("network.proxy", self.network.proxy or "", self.network.proxy_password),
        ):
            has_literal = _has_password(url)
            other = "database.password" if name == "database.url" else "network.proxy_password"
            if has_literal and word is not None:
                raise ValueError(f"{name} holds a password, and so does {other}; keep {other}")
            if has_literal and self.secrets.strict:
                raise ValueError(
                    f"{name} holds a password, which secrets.strict refuses; "
                    f"take it out, and name it by reference in {other}"
                )
        if self.secrets.strict:
            for where, reference in self.references():
                if reference.startswith("env:"):
                    raise ValueError(
                        f"{where} is {reference!r}, which secrets.strict refuses: name a file or a store"
                    )

    def references(self) -> Iterator[tuple[str, str]]:
        """Every secret of the file: the setting it is in, and its reference."""
        return references_of(self)

    @property
    def secret_setup(self) -> Setup:
        """What the stores are made from."""
        return Setup(
            secrets=self.secrets,
            vault=self.vault,
            aws=self.aws,
            gcp=self.gcp,
            azure=self.azure,
            proxy=self.network.proxy,
            proxy_password=self.network.proxy_password,
        )

    def redacted(self) -> dict[str, Any]:
        """As JSON values, with the password of the database URL and of the proxy left out."""
        shown = self.model_dump(mode="json")
        shown["database"]["url"] = _without_password(self.database.url)
        if self.network.proxy:
            shown["network"]["proxy"] = _without_password(self.network.proxy)
        return shown


def _has_password(url: str) -> bool:
    if url.startswith("sqlite"):
        return False
    credentials = url.rpartition("@")[0].partition("://")[2]
    return ":" in credentials or _PASSWORD_IN_QUERY.search(url) is not None


def _on_loopback(issuer: str) -> bool:
    authority = issuer.partition("://")[2].partition("/")[0]
    return authority in LOOPBACK_HOSTS or authority.rpartition(":")[0] in LOOPBACK_HOSTS


def _without_password(url: str) -> str:
    url = _PASSWORD_IN_QUERY.sub(r"\1***", url)
    head, at, tail = url.rpartition("@")
    if not at:
        return url
    scheme, _, credentials = head.partition("://")
    return f"{scheme}://{credentials.partition(':')[0]}:***@{tail}"


def load(
    path: Path | None = None,
    *,
    environment: Mapping[str, str] = os.environ,
    overrides: Mapping[str, Any] | None = None,
) -> Settings:
    """Read the file (default: `$AUTHZ_CONFIG`, then `./authz.toml` if it is there), environment and overrides.

    Raises ConfigurationError naming the key, the value it got and what is expected.
    """
    named = path or (Path(environment["AUTHZ_CONFIG"]) if "AUTHZ_CONFIG" in environment else None)
    file = named or Path("authz.toml")
    values: dict[str, Any] = {}
    if file.is_file():
        try:
            values = tomllib.loads(file.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"{file} is not valid TOML: {error}") from None
    elif named is not None:
        raise ConfigurationError(f"the configuration file {file} does not exist; run `authz init`")
    for name, text in environment.items():
        if name.startswith(_PREFIX):
            section, _, key = name.removeprefix(_PREFIX).lower().partition("__")
            _section(values, section)[key] = _from_environment(text)
    for section, pairs in (overrides or {}).items():
        if isinstance(pairs, Mapping):
            _section(values, section).update(pairs)
        else:
            values[section] = pairs
    base = file.resolve().parent if file.is_file() else Path.cwd()
    _anchor_paths(values, base)
    values = anchored(Settings, values, base)
    if "issuer" not in _section(values, "server"):
        raise ConfigurationError(
            "server.issuer is not set: write it to authz.toml (`authz init --issuer URL` makes the file) "
            "or set AUTHZ__SERVER__ISSUER"
        )
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        raise ConfigurationError(_sentence(error)) from None


def _section(values: dict[str, Any], name: str) -> dict[str, Any]:
    section = values.setdefault(name, {})
    if not isinstance(section, dict):
        # Not shown: who writes one value for a section may have written a secret.
        raise ConfigurationError(f"{name} must be a section ([{name}])")
    return section


def _from_environment(text: str) -> Any:
    return [part for part in text[1:-1].split(",") if part] if text[:1] == "[" else text


def _anchor_paths(values: dict[str, Any], base: Path) -> None:
    """Relative paths in the file are relative to the file, not to where the command was started."""
    database, keys, network = (_section(values, name) for name in ("database", "keys", "network"))
    url = str(database.get("url", "sqlite:///authz.db"))
    if url.startswith("sqlite:///") and not url.startswith("sqlite:////"):
        database["url"] = f"sqlite:///{base / url.removeprefix('sqlite:///')}"
    keys.setdefault("encryption_key", "file:authz.key")
    vault = values.get("vault")
    if isinstance(vault, dict) and vault.get("ca_file"):
        vault["ca_file"] = str(base / str(vault["ca_file"]))
    server = _section(values, "server")
    if server.get("client_certificate_authorities"):
        named = str(server["client_certificate_authorities"])
        server["client_certificate_authorities"] = str(base / named)
    if network.get("ca_file"):
        network["ca_file"] = str(base / str(network["ca_file"]))
    audit = _section(values, "audit")
    sinks = audit.get("sink", ())
    for table in [audit, *(it for it in sinks if isinstance(it, dict))]:
        for key in ("timestamp_roots", "path", "ca_file"):
            if table.get(key):
                table[key] = str(base / str(table[key]))


def _sentence(error: ValidationError) -> str:
    lines = []
    for problem in error.errors():
        where = ".".join(str(part) for part in problem["loc"])
        message = problem["msg"].removeprefix("Value error, ")
        got = problem.get("input")
        if problem["type"] == "extra_forbidden":
            message = "is not a setting; docs/configure.md lists them all"
        elif (
            problem["type"] == "string_pattern_mismatch" and "env|file" in problem["ctx"]["pattern"]
        ):
            # What stands there instead of a reference may be the secret itself.
            is_local = "vault" not in problem["ctx"]["pattern"]
            message = f"is not a secret reference; {LOCAL_HINT if is_local else HINT}"
        elif problem["type"] in _SHOWN and isinstance(got, (str, int, float)):
            message += f" (got {got!r})"
        lines.append(f"{where}: {message}" if where else message)
    return "; ".join(lines)
