"""All sections together, and what has to fit between them."""

import re
from collections.abc import Iterator
from typing import Any

from pydantic import model_validator

from authz.secretstores import Setup
from authz.secretstores.sections import Aws, Azure, Gcp, Secrets, Vault
from authz.sections import Section, references_of
from authz.settings.budgets import LimitSettings
from authz.settings.clients import Clients, ConfiguredClient, Registration
from authz.settings.custody import AwsKms, AzureKv, GcpKms, Keys, Pkcs11, VaultTransit
from authz.settings.installation import Database, Logging, NetworkSettings, Server, Telemetry
from authz.settings.tokens import Sessions, Tokens
from authz.settings.trail import AuditSettings
from authz.urls import LOOPBACK_HOSTS, UrlError, check_issuer

_PASSWORD_IN_QUERY = re.compile(r"([?&](?:ssl)?password=)[^&]*", re.IGNORECASE)


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
