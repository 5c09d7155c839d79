"""Where private keys are made and stay."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from authz.sections import AnySeconds, Seconds, SecretReference, Section, StoreAddress


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
