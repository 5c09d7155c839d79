"""`domains`: whose people sign in through which connection, by domain.

    domains:
      corp.example: {connection: okta, mandatory: true}

Whether a domain is verified is no policy: a record in DNS proves it, to this installation alone. One that is not
verified yet leads nowhere, and cannot be mandatory.
"""

from typing import Annotated

from pydantic import Field

from authz.policy.code.entries import Change, Entry, Shape, Slug


class DomainEntry(Entry):
    """One domain."""

    connection: Slug
    """Whose people they are; fixed once it is there, because the proof is for it."""
    mandatory: bool = False
    """Whether they may sign in only through it. Takes a verified domain."""


def widens(change: Change) -> bool:
    """Whoever had to come through their company's sign-in need not any more."""
    was = change.before is not None and change.before["mandatory"]
    return was and (change.after is None or not change.after["mandatory"])


SHAPE = Shape(dict[Annotated[str, Field(min_length=1, max_length=253)], DomainEntry], widens)
