"""A tenant is an issuer: the default one is the base URL itself, every other one is `BASE/t/SLUG`.

Issuers come from configuration and never from a request header, so nothing a proxy or a stranger sends can move an
endpoint (META-03, ATK-40). Pure; the rows are `db.models.tenant`.
"""

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

DEFAULT_SLUG = "default"
REGISTRATION_MODES = ("off", "token", "open")
"""Who may register a client (RFC 7591): nobody, holders of an initial access token, or anybody."""
OFF, TWO_PERSON = "off", "two_person"
CHANGE_CONTROL_MODES = (OFF, TWO_PERSON)
"""Whether a change of policy takes a second person (features.md S17)."""
AT_ONCE, REVIEWED = "at_once", "reviewed"
SCOPE_CHANGES_MODES = (AT_ONCE, REVIEWED)
"""Whether a tool that is added to a scope counts at once, or when it was reviewed (features.md S12)."""
SLUG_PATTERN = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"


@dataclass(frozen=True)
class Tenant:
    """One tenant as the protocol sees it."""

    id: str
    slug: str
    name: str
    issuer: str
    enabled: bool
    version: int
    """`config_version` of the row this was made from."""
    client_trust: str
    registration: str
    """One of `REGISTRATION_MODES`."""
    change_control: str = OFF
    """One of `CHANGE_CONTROL_MODES`."""
    scope_changes: str = AT_ONCE
    """One of `SCOPE_CHANGES_MODES`."""

    @property
    def path(self) -> str:
        """The path of the issuer, without a trailing slash: where this tenant's endpoints are mounted."""
        return urlsplit(self.issuer).path

    @property
    def origin(self) -> str:
        """Scheme and authority of the issuer."""
        parts = urlsplit(self.issuer)
        return f"{parts.scheme}://{parts.netloc}"


def issuer_of(base: str, slug: str) -> str:
    """The issuer identifier of a tenant."""
    return base if slug == DEFAULT_SLUG else f"{base}/t/{slug}"


def is_slug(text: str) -> bool:
    """Lower-case letters, digits and inner hyphens, at most 63; `default` is taken."""
    return re.fullmatch(SLUG_PATTERN, text) is not None and text != DEFAULT_SLUG
