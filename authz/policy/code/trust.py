"""`trust`: issuers whose assertions about people (ID-JAG) are redeemed for access tokens, by their short name.

    trust:
      okta:
        issuer: https://corp.okta.com
        connection: okta
        settings: {jwks_uri: https://corp.okta.com/oauth2/v1/keys, clients: [portal]}

What a setting may be is in docs/enterprise-managed-authorization.md. Issuers of workloads are not in here; `authz
trust` manages them.
"""

from typing import Any

from pydantic import model_validator

from authz.policy.code.entries import Change, Entry, Shape, Slug, Url


class TrustEntry(Entry):
    """One issuer."""

    issuer: Url
    """As in `iss`, letter by letter."""
    connection: Slug | None = None
    """Whose people it is about; without one, those of a connection of its own."""
    provision: bool = False
    """Without a connection: whether somebody it asserts for the first time gets an account."""
    enabled: bool = True
    """Whether it is believed."""
    settings: dict[str, Any]
    """How far it is believed."""

    @model_validator(mode="after")
    def _provisions_its_own(self) -> "TrustEntry":
        if self.provision and self.connection is not None:
            raise ValueError("`provision` is said of the connection, where there is one")
        return self


def widens(change: Change) -> bool:
    """Whatever is not its end may believe somebody more."""
    return change.after is not None and change.after["enabled"]


SHAPE = Shape(dict[Slug, TrustEntry], widens)
