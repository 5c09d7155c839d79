"""`clients`: registered clients, and bounds of those that came by themselves.

    clients:
      web:
        name: The web portal
        redirect_uris: [https://portal.example/callback]
        auth_method: private_key_jwt
        jwks_uri: https://portal.example/jwks.json
        ceiling: [tickets.read]
      https://editor.example/client.json: {ceiling: [tickets.read], groups: [Support]}

An entry with a `name` is a registered client: one that the directory does not have is removed. An entry without is one
that its own document or its own registration describes: the directory says only how far it may go, and says nothing of
those it does not name. Secrets are never in here; `authz clients rotate-secret` makes one.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from authz.policy.code.entries import Change, Each, Entry, Line, ScopeName, Shape, Url, in_order

_OF_OURS = ("ceiling", "groups", "blocked", "approved")


class ClientEntry(Entry):
    """One client."""

    name: Line | None = None
    """What people read. Only registered clients have one here."""
    redirect_uris: Annotated[tuple[Url, ...], Each] = ()
    """Where people are sent back to, exactly."""
    grant_types: Annotated[tuple[str, ...], Each] = ("authorization_code", "refresh_token")
    """What it may ask with."""
    auth_method: str = "none"
    """How it proves who it is: `none`, `client_secret_basic`, `private_key_jwt`, and what else the server knows."""
    jwks: dict[str, Any] | None = None
    """Its public keys."""
    jwks_uri: Url | None = None
    """Where its public keys are."""
    client_uri: Url | None = None
    """Its home page."""
    certificate_name: dict[str, str] | None = None
    """For `tls_client_auth`: which name in its certificate, and its value."""
    certificate_bound: bool = False
    """Its tokens are bound to its certificate."""
    dpop_bound: bool = False
    """Its tokens are bound to a key it proves with DPoP."""
    push_only: bool = False
    """It pushes its authorization requests."""
    fapi: bool = False
    """It is held to the FAPI 2.0 Security Profile."""
    token_endpoint_audience: bool = False
    """Its assertions may name the token endpoint."""
    ceiling: Annotated[tuple[ScopeName, ...], Each, AfterValidator(in_order)] | None = None
    """The most it ever gets, whatever a person's roles say; without it, no bound."""
    groups: Annotated[tuple[Line, ...], Each, AfterValidator(in_order)] | None = None
    """The groups of people it is limited to; without it, everybody may use it."""
    blocked: bool = False
    """Refused everywhere; what it held is revoked."""
    approved: Literal[True] | None = None
    """Of a client that registered itself: an operator vouches for it."""

    @model_validator(mode="after")
    def _is_one_or_the_other(self) -> "ClientEntry":
        if self.name is not None:
            if self.approved is not None:
                raise ValueError("`approved` is for clients that registered themselves")
            return self
        described = sorted(
            name
            for name, it in type(self).model_fields.items()
            if name not in _OF_OURS and getattr(self, name) != it.default
        )
        if described:
            raise ValueError(
                f"`{described[0]}` is for registered clients, which have a `name`; of others say {', '.join(_OF_OURS)}"
            )
        return self


def is_registered(entry: Mapping[str, Any]) -> bool:
    """Whether an operator registered it."""
    return entry["name"] is not None


def widens(change: Change) -> bool:
    """Who comes may act for people: a new client, a wider bound, another way back or another proof of who it is."""
    before, after = change.before, change.after
    if after is None:
        return False
    if before is None:
        return is_registered(after) and not after["blocked"]
    if any(change.differs(member) for member in after if member not in (*_OF_OURS, "name")):
        return True
    opened = (before["blocked"] and not after["blocked"]) or (after["approved"] is not None)
    return opened or any(
        not _is_within(after[member], before[member]) for member in ("ceiling", "groups")
    )


def _is_within(one: list[str] | None, other: list[str] | None) -> bool:
    return other is None or (one is not None and set(one) <= set(other))


SHAPE = Shape(dict[Annotated[str, Field(min_length=1, max_length=2048)], ClientEntry], widens)
