"""The tables of `authz.toml` about secrets and the stores they are in. Credentials are references here too."""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from authz.secretstores import STORES
from authz.sections import AnySeconds, LocalReference, Seconds, Section, StoreAddress

_ENDS_OF_NAMES = ("/", "_", "-", ".", "#")


class Secrets(Section):
    """How references are read, and which of them administrators may name."""

    strict: bool = False
    """No literal anywhere, and no `env:`: every child process and every dump of the environment has those, and they
    cannot be renewed without a restart."""
    cache: Annotated[Seconds, Field(le=timedelta(hours=1))] = timedelta(minutes=5)
    """How long a value from a remote store is used before it is read again: a rotated one is in use after this."""
    stale: Annotated[AnySeconds, Field(ge=timedelta(0), le=timedelta(days=1))] = timedelta(hours=1)
    """How long after it was read a value still serves while its store does not answer. A store that answers is
    believed: what it deleted or denies serves no longer."""
    timeout: Annotated[Seconds, Field(le=timedelta(seconds=30))] = timedelta(seconds=5)
    """Of one reading, signing in at the store included: a store that hangs is a store that is down."""
    allowed: tuple[str, ...] = ("env:AUTHZ_SECRET_",)
    """Beginnings of references that administrators of every tenant may name."""
    tenants: Mapping[str, tuple[str, ...]] = {}
    """The same for one tenant, by its slug."""

    @field_validator("allowed")
    @classmethod
    def _end_with_a_part(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for prefix in value:
            scheme, _, rest = prefix.partition(":")
            if scheme not in STORES or not rest:
                known = ", ".join(f"{name}:" for name in STORES)
                raise ValueError(f"{prefix!r} begins no reference; references begin with {known}")
            # `vault:team` would also allow `vault:team-b`.
            if not rest.endswith(_ENDS_OF_NAMES):
                raise ValueError(f"{prefix!r} ends within a name; end it with / _ - . or #")
        return value

    @field_validator("tenants")
    @classmethod
    def _each_ends_with_a_part(
        cls, value: Mapping[str, tuple[str, ...]]
    ) -> Mapping[str, tuple[str, ...]]:
        for prefixes in value.values():
            cls._end_with_a_part(prefixes)
        return value

    def allowed_to(self, slug: str) -> tuple[str, ...]:
        """What administrators of this tenant may refer to; nothing else."""
        prefixes = (*self.allowed, *self.tenants.get(slug, ()))
        return tuple(it for it in prefixes if not (self.strict and it.startswith("env:")))


class Vault(Section):
    """HashiCorp Vault or OpenBao: `vault:PATH#KEY`, and the keys of `vault-transit`."""

    address: StoreAddress
    """`https://HOST:PORT`, or `http` on loopback, where an agent is."""
    namespace: str | None = None
    """Of Vault Enterprise or HCP."""
    mount: str = "secret"
    """Of the KV engine, version 2."""
    auth: Literal["token", "kubernetes", "approle"] = "token"
    """How we sign in there."""
    auth_mount: str | None = None
    """Where that method is mounted; its own name if absent."""
    token: LocalReference | None = None
    """Read at every use, as a file that an agent renews."""
    role: str | None = None
    """Of the Kubernetes method."""
    jwt: LocalReference = "file:/var/run/secrets/kubernetes.io/serviceaccount/token"
    """What the pod proves itself with."""
    role_id: str | None = None
    """Of the AppRole method."""
    secret_id: LocalReference | None = None
    """Its other half."""
    ca_file: Path | None = None
    """Who issued its certificate, where that is none of the system's authorities."""

    def idle(self) -> frozenset[str]:
        """There are credentials for three ways in; one is used."""
        ways = {"token": "token", "jwt": "kubernetes", "secret_id": "approle"}
        return frozenset(name for name, way in ways.items() if way != self.auth)

    @field_validator("mount", "auth_mount")
    @classmethod
    def _is_a_path(cls, value: str | None) -> str | None:
        if value is not None and not all(
            part.replace("-", "").replace("_", "").isalnum() and part.isascii()
            for part in value.split("/")
        ):
            raise ValueError("write the path of the mount as secret or team/secret")
        return value

    @model_validator(mode="after")
    def _has_what_it_signs_in_with(self) -> "Vault":
        needed = {"token": ("token",), "kubernetes": ("role",), "approle": ("role_id", "secret_id")}
        for name in needed[self.auth]:
            if getattr(self, name) is None:
                raise ValueError(f"auth {self.auth!r} needs {name}")
        return self


class Aws(Section):
    """AWS Secrets Manager: `aws-sm:NAME#KEY`. Without keys here, AWS's own chain finds the machine's role."""

    region: str | None = None
    """Where the secrets are; what AWS's chain says if absent."""
    endpoint: StoreAddress | None = None
    """Instead of AWS's own, for example of a VPC."""
    access_key_id: str | None = None
    """Of a user, where the machine has no role."""
    secret_access_key: LocalReference | None = None
    """Its other half."""

    @model_validator(mode="after")
    def _has_both_or_none(self) -> "Aws":
        if (self.access_key_id is None) != (self.secret_access_key is None):
            raise ValueError("access_key_id and secret_access_key go together")
        return self


class Gcp(Section):
    """Google Cloud: `gcp-sm:NAME` of Secret Manager, and the keys of `gcp-kms`. Without credentials the metadata server
    is asked.
    """

    project: str
    """Of references that name none."""
    credentials: LocalReference | None = None
    """The JSON key of a service account."""
    endpoint: StoreAddress = "https://secretmanager.googleapis.com"
    """Secret Manager's, or a regional or private one."""
    token_uri: StoreAddress = "https://oauth2.googleapis.com/token"  # noqa: S105 -- an address
    """Where a service account gets its token."""
    metadata: StoreAddress | None = None
    """Where the metadata server is, if not at `metadata.google.internal`."""


class Azure(Section):
    """Azure Key Vault: `azure-kv:NAME`, and the keys of `azure-kv`. Without a client the machine's managed identity is
    used.
    """

    vault: StoreAddress
    """`https://NAME.vault.azure.net`."""
    tenant: str | None = None
    """Of Entra ID, where a client is used."""
    client_id: str | None = None
    """Of the application, or of a user-assigned managed identity."""
    client_secret: LocalReference | None = None
    """Of the application."""
    client_assertion: LocalReference | None = None
    """Instead of a secret: the federated token of a workload, as AKS writes it to a file."""
    authority: StoreAddress = "https://login.microsoftonline.com"
    """Where the application gets its token."""
    metadata: StoreAddress | None = None
    """Where the metadata service is, if not at its link-local address."""

    @model_validator(mode="after")
    def _is_one_client(self) -> "Azure":
        proofs = [it for it in (self.client_secret, self.client_assertion) if it is not None]
        if len(proofs) > 1:
            raise ValueError("client_secret and client_assertion are two ways; keep one")
        if proofs and (self.tenant is None or self.client_id is None):
            raise ValueError("a client has tenant and client_id")
        return self
