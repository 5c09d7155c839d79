"""The settings of one connection: what an operator may say, and what the preset says where they do not."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from cryptography import x509
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails

from authz.errors import Invalid
from authz.federation.saml.certificates import as_pem, read_certificate
from authz.federation.saml_presets import PRESETS, SamlPreset
from authz.secretstores import HINT
from authz.sections import SecretReference
from authz.urls import LOOPBACK_HOSTS, UrlError, read_url

MAX_ENTITY_ID_CHARS = 1024
"""Metadata §2.2.1."""


def _is_one_line(text: str) -> str:
    if not text.isprintable() or text != text.strip():
        raise ValueError("has characters that nobody sees")
    return text


def _is_pem(text: str) -> str:
    return as_pem(read_certificate(text))


def _is_sign_on_url(text: str) -> str:
    try:
        parts = read_url("URL", text)
    except UrlError as error:
        raise ValueError(str(error)) from None
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.host in LOOPBACK_HOSTS):
        raise ValueError("is not an https URL")
    if parts.fragment is not None:
        raise ValueError("has a fragment")
    return text


Line = Annotated[str, Field(min_length=1, max_length=512), AfterValidator(_is_one_line)]
EntityId = Annotated[
    str, Field(min_length=1, max_length=MAX_ENTITY_ID_CHARS), AfterValidator(_is_one_line)
]
Pem = Annotated[str, AfterValidator(_is_pem)]
Url = Annotated[str, AfterValidator(_is_sign_on_url)]


class SamlSettings(BaseModel):
    """Of one connection. Unknown members are errors: a misspelt switch would be off."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    entity_id: EntityId
    """The identity provider's."""
    sso_url: Url
    """Where people are sent (HTTP-Redirect binding)."""
    certificates: Annotated[tuple[Pem, ...], Field(min_length=1, max_length=10)]
    """Its signing certificates: several while it changes them. No others are believed, whatever a message carries."""
    signed: Literal["assertion", "response"] = "assertion"
    """What has to carry a signature: the assertion, or the response around exactly one."""
    unsolicited: StrictBool = False
    """Whether people may come without having been sent there (SAML-06): anybody can sign a browser in like that."""
    name_id_format: Line | None = None
    """What is asked for. None: the identity provider's choice."""
    subject_attribute: Line | None = None
    """The attribute that is the key of a person, instead of the NameID."""
    email_attribute: Line | None = None
    name_attribute: Line | None = None
    methods_attribute: Line | None = None
    """Where it says how somebody signed in."""
    mfa_context: Line | None = None
    """The context class that stands for more than one factor over there (`urn:authz:acr:mfa` here)."""
    email_is_verified: StrictBool = False
    """Whether the organisation vouches for the addresses it sends: people cannot choose theirs."""
    signing_key: SecretReference | None = None
    """Our private key for requests, in PEM."""
    signing_certificate: Pem | None = None
    """Of that key, for the metadata."""
    decryption_keys: Annotated[tuple[SecretReference, ...], Field(max_length=3)] = ()
    """Our private keys for encrypted assertions: several while they change."""
    encryption_certificate: Pem | None = None
    """Of the newest of those, for the metadata."""
    metadata_url: Url | None = None
    metadata_certificate: Pem | None = None
    """With which its metadata has to be signed. None: the transport is what is believed."""

    @model_validator(mode="after")
    def _hangs_together(self) -> "SamlSettings":
        if (self.signing_key is None) != (self.signing_certificate is None):
            raise ValueError("signing_key and signing_certificate go together")
        if bool(self.decryption_keys) != (self.encryption_certificate is not None):
            raise ValueError("decryption_keys and encryption_certificate go together")
        if self.metadata_certificate is not None and self.metadata_url is None:
            raise ValueError("metadata_certificate goes with metadata_url")
        return self

    @property
    def trusted(self) -> list[x509.Certificate]:
        """The certificates, read."""
        return [read_certificate(pem) for pem in self.certificates]


def check(settings: Mapping[str, Any], preset: str) -> Mapping[str, Any]:
    """The settings as they will be stored. Raises Invalid naming the member."""
    known = find_preset(preset)
    defaults = {
        "name_id_format": known.name_id_format,
        "subject_attribute": known.subject,
        "email_attribute": known.email,
        "name_attribute": known.name,
        "methods_attribute": known.methods,
        "mfa_context": known.mfa_context,
    }
    return _validated({**defaults, **settings}).model_dump(mode="json")


def read(settings: Mapping[str, Any]) -> SamlSettings:
    """The settings as they were stored. Raises Invalid if another version of this server stored them."""
    return _validated(settings)


def find_preset(name: str) -> SamlPreset:
    """The preset of this name. Raises Invalid."""
    if name not in PRESETS:
        raise Invalid(f"preset {name!r} is not one of {', '.join(PRESETS)}")
    return PRESETS[name]


def _validated(settings: Mapping[str, Any]) -> SamlSettings:
    try:
        return SamlSettings.model_validate(settings)
    except ValidationError as error:
        problem = error.errors(include_input=False, include_url=False)[0]
        field = "".join(map(str, problem["loc"][:1]))
        raise Invalid(_sentence(problem), field=field) from None


def _sentence(problem: ErrorDetails) -> str:
    # Without the value: what stands where a reference belongs may be the secret itself.
    said = {
        "extra_forbidden": "is not a setting of SAML connections",
        "missing": "is missing",
        "string_pattern_mismatch": f"is not a secret reference; {HINT}",
    }.get(problem["type"], problem["msg"].removeprefix("Value error, "))
    where = ".".join(str(part) for part in problem["loc"])
    return f"{where} {said}" if where else said
