"""`connections`: identity providers, by their short name. Secrets are references.

    connections:
      okta:
        preset: okta
        name: Okta
        provision: true
        settings: {issuer: https://corp.okta.com, client_id: 0oa1, client_secret: "env:OKTA_SECRET"}

What a setting may be is in docs/identity-providers; settings that are left out are those of the preset.
"""

from typing import Any, Literal

from authz.policy.code.entries import Change, Entry, Shape, Slug


class ConnectionEntry(Entry):
    """One identity provider."""

    kind: Literal["oidc", "saml"] = "oidc"
    """Its protocol; fixed once it is there."""
    preset: str = "generic"
    """The product at the other end; fixed once it is there."""
    name: str | None = None
    """On the button; without it, the short name."""
    enabled: bool = True
    """Whether people may come from there."""
    button: bool = True
    """Whether the sign-in page has a button for it."""
    provision: bool = False
    """Whether a person it vouches for gets an account at the first sign-in."""
    link_by_email: bool = False
    """Whether a first sign-in may take over the one unlinked account with its verified address."""
    settings: dict[str, Any]
    """What its protocol needs."""


def widens(change: Change) -> bool:
    """Who is believed lets people in: one more, one that is believed about other things, or one that does more."""
    before, after = change.before or {}, change.after
    if after is None or not after["enabled"]:
        return False
    more = any(after[it] and not before.get(it) for it in ("enabled", "provision", "link_by_email"))
    return more or change.differs("settings")


SHAPE = Shape(dict[Slug, ConnectionEntry], widens)
