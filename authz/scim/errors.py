"""Refusals, as RFC 7644 §3.12 spells them.

`detail` is for the administrator at the other end and quotes nothing but what they sent; `reason` is for logs and
tests.
"""

from typing import Any, ClassVar

ERROR_SCHEMA = "urn:ietf:params:scim:api:messages:2.0:Error"


class ScimError(Exception):
    """A request that is refused; nothing of it was done."""

    status: ClassVar[int] = 400
    scim_type: ClassVar[str | None] = None

    def __init__(self, detail: str, *, reason: str) -> None:
        super().__init__(f"{self.status}: {detail} [{reason}]")
        self.detail = detail
        self.reason = reason

    def body(self) -> dict[str, Any]:
        """What is sent."""
        told = {} if self.scim_type is None else {"scimType": self.scim_type}
        return {
            "schemas": [ERROR_SCHEMA],
            "status": str(self.status),
            **told,
            "detail": self.detail,
        }


class InvalidSyntax(ScimError):
    """The message is not what it should be."""

    scim_type = "invalidSyntax"


class InvalidValue(ScimError):
    """A value does not fit its attribute."""

    scim_type = "invalidValue"


class InvalidFilter(ScimError):
    """A filter that cannot be read, or that would look at every row."""

    scim_type = "invalidFilter"


class InvalidPath(ScimError):
    """A path that leads nowhere."""

    scim_type = "invalidPath"


class NoTarget(ScimError):
    """A path that selects nothing that could be changed."""

    scim_type = "noTarget"


class Mutability(ScimError):
    """What is asked for cannot be changed."""

    scim_type = "mutability"


class TooMany(ScimError):
    """More than is looked up at once."""

    scim_type = "tooMany"


class Forbidden(ScimError):
    """This client may not do this."""

    status = 403


class NotHere(ScimError):
    """There is no such thing, or not for this client."""

    status = 404


class WrongMethod(ScimError):
    """Nothing like this can be done here."""

    status = 405


class Uniqueness(ScimError):
    """Somebody else has the name."""

    status = 409
    scim_type = "uniqueness"


class Unresolved(ScimError):
    """A bulk operation names another one that was not done."""

    status = 409


class Outdated(ScimError):
    """The resource is not what the client thinks it is (`If-Match`)."""

    status = 412


class TooLarge(ScimError):
    """More than is read."""

    status = 413


class WrongMediaType(ScimError):
    """The body is not JSON."""

    status = 415


class NotBuilt(ScimError):
    """A part of the protocol that does not fit this server."""

    status = 501
