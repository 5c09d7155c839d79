"""What pages about trusted issuers, workloads and targets have in common."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, Protocol, TypeVar

from sqlalchemy.orm import Session

from authz.admin import resources
from authz.errors import Invalid
from authz.tenants import is_slug
from authz.web.console import members, trust_members
from authz.web.console.accepted import Accepted
from authz.web.console.members import Member
from authz.web.console.tables import Form, FormField
from authz.web.console.visit import Act, Answer, Done, Sure, Visit

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
    """The short name of a new entry. Raises Invalid."""
    slug = visit.needed("slug", "The short name")
    if not is_slug(slug):
        raise Invalid(
            "Lower-case letters, digits and inner hyphens, at most 63, such as partner-idp",
            field="slug",
        )
    return slug


def choices_of_servers(visit: Visit) -> list[tuple[str, str]]:
    """MCP servers that tokens are issued for here."""
    found = visit.read(resources.list_)
    return [(it.identifier, it.identifier) for it in found if it.issued_by is None]


def previews(visit: Visit) -> bool:
    """Whether a form asks what it would make, and nothing is to be stored."""
    return visit.given("preview") == "yes"


class Entry(Protocol):
    """An issuer, a platform or a target, as its operations tell it."""

    @property
    def slug(self) -> str: ...
    @property
    def settings(self) -> Mapping[str, Any]: ...


E = TypeVar("E", bound=Entry)


@dataclass(frozen=True)
class Entries(Generic[E]):
    """One kind of entry, and the acts that every kind has."""

    page: str
    load: Callable[[Visit], E]
    """The one that the address names."""
    show: Callable[..., E]
    change: Callable[..., Any]
    set_status: Callable[..., Any]
    remove: Callable[..., Any]
    """Operations of `authz.admin` on one that is named by its slug."""
    asked: Callable[[Visit], list[Member]]
    accepts: Callable[[E, str], Accepted]
    ends: Callable[[E], list[str]]
    """What happens when it is switched off or forgotten."""
    doubt: str
    """Asked before it is switched off."""
    wonders: str
    """On the button that previews."""

    def address(self, visit: Visit, found: E) -> str:
        """Of its page."""
        return visit.url(f"{self.page}/{found.slug}")

    def settings_form(self, visit: Visit, found: E) -> Form:
        """What can be changed of it."""
        fields = members.fields_of(self.asked(visit), found.settings, is_kept=True)
        first, more = trust_members.split(fields)
        action = f"{self.address(visit, found)}/settings"
        title, button = "Change its settings", "Change"
        return Form("change", title, action, first, button, more=more, preview=self.wonders)

    def preview(self, visit: Visit, made: E) -> dict[str, Any]:
        """Shown above the form that asked."""
        return {"preview": self.accepted(visit, made), "is_preview": True}

    def accepted(self, visit: Visit, found: E) -> Accepted:
        """What it accepts, or is sent."""
        return self.accepts(found, visit.configuration.tenant.issuer)

    def acts(self, show_one: Callable[[Visit, dict[str, Any]], Answer]) -> tuple[Act, ...]:
        """POST …/settings, …/status and …/remove."""
        return (
            Act("settings", partial(self._change, show_one)),
            Act("status", self._set_status),
            Act("remove", self._remove),
        )

    def _change(self, show_one: Callable[[Visit, dict[str, Any]], Answer], visit: Visit) -> Answer:
        """A field that is empty goes back to its default."""
        found, asked = self.load(visit), self.asked(visit)
        given = members.read(asked, visit)

        def now(tx: Session) -> dict[str, str]:
            return members.shown(asked, self.show(tx, visit.tenant_id, found.slug).settings)

        with members.beside(asked):
            if previews(visit):
                made = visit.try_out(self.change, found.slug, given)
                return show_one(visit, self.preview(visit, made))
            visit.edit(members.labels_of(asked), now, self.change, found.slug, given)
        return Done(self.address(visit, found), "changed")

    def _set_status(self, visit: Visit) -> Answer:
        found, status = self.load(visit), visit.given("status")
        back = self.address(visit, found)
        if status == "disabled" and not visit.is_sure:
            return Sure(self.doubt.format(found.slug), "Switch it off", self.ends(found), back)
        visit.change(self.set_status, found.slug, status)
        return Done(back, status)

    def _remove(self, visit: Visit) -> Answer:
        found = self.load(visit)
        if not visit.is_sure:
            back = self.address(visit, found)
            return Sure(f"Forget {found.slug}?", "Forget it", self.ends(found), back)
        visit.change(self.remove, found.slug)
        return Done(visit.url(self.page), "removed")


def said(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Of a new entry: a setting that was left empty is not one."""
    return {name: value for name, value in settings.items() if value is not None}
