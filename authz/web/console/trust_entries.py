"""What pages about trusted issuers, workloads and targets have in common."""

from typing import Any

from authz.admin import resources
from authz.tenants import is_slug
from authz.web.console.accepted import Accepted
from authz.web.console.tables import FormField
from authz.web.console.visit import FieldError, Visit

STATUSES = (("active", "Active"), ("disabled", "Switched off"))
SLUG = FormField(
    "slug", "Short name", hint="It stands in addresses and never changes.", required=True
)
DONE = {
    "added": "It is trusted from now on, as far as its settings go.",
    "changed": "The change holds from the next assertion on.",
    "active": "It is believed again.",
    "disabled": "It is believed no longer.",
}


def needed_slug(visit: Visit) -> str:
    """The short name of a new entry. Raises FieldError."""
    slug = visit.needed("slug", "The short name")
    if not is_slug(slug):
        raise FieldError(
            "slug", "Lower-case letters, digits and inner hyphens, at most 63 of them, such as partner-idp"
        )  # fmt: skip
    return slug


def choices_of_servers(visit: Visit) -> list[tuple[str, str]]:
    """MCP servers that tokens are issued for here."""
    found = visit.read(resources.list_)
    return [(it.identifier, it.identifier) for it in found if it.issued_by is None]


def previews(visit: Visit) -> bool:
    """Whether a form asks what it would make, and nothing is to be stored."""
    return visit.given("preview") == "yes"


def previewed(found: Accepted) -> dict[str, Any]:
    """Shown above the form that asked."""
    return {"preview": found, "is_preview": True}
