"""The settings of this tenant, the tenants of the installation, and how it stands."""

from sqlalchemy.orm import Session

from authz.admin import installation, tenants
from authz.admin.operator import Operator, load_tenant
from authz.db import migrate
from authz.errors import Invalid
from authz.policy.administration import Permission
from authz.tenants import CHANGE_CONTROL_MODES, DEFAULT_SLUG, SCOPE_CHANGES_MODES
from authz.web.console import tables
from authz.web.console.visit import Act, Answer, Done, Page, Screen, Sheet, Sure, Visit

HEADINGS = ("Tenant", "Name", "Issuer", "Status", "Clients let in", "Self-registration")


def show(visit: Visit) -> Answer:
    """GET /console/settings."""
    services = visit.edge.services
    checks = installation.judge(
        engine="sqlite" if services.database.is_sqlite else "postgresql",
        revision=migrate.current(services.database),
        expected=migrate.head(),
        issuer=services.settings.server.issuer,
        development=services.settings.server.development,
    )
    return Screen("settings.html", {"tenant": visit.configuration.tenant, "checks": checks})


def rename(visit: Visit) -> Answer:
    """POST …/rename."""
    slug, name = visit.configuration.tenant.slug, visit.needed("name", "The name")

    def now(tx: Session) -> dict[str, str]:
        return {"name": load_tenant(tx, slug).name}

    visit.edit({"name": "Name"}, now, _rename, slug=slug, name=name)
    return Done(visit.url("settings"), "renamed")


def set_change_control(visit: Visit) -> Answer:
    """POST …/change-control: whether changes of policy take a second person."""
    mode = visit.given("mode")
    if mode not in CHANGE_CONTROL_MODES:
        raise Invalid("Choose how many people a change takes", field="mode")
    slug = visit.configuration.tenant.slug
    visit.perform("tenants.set_change_control", slug=slug, mode=mode)
    return Done(visit.url("settings"), "change-control")


def set_scope_changes(visit: Visit) -> Answer:
    """POST …/scope-changes: whether a tool that is added to a scope waits for a review."""
    mode = visit.given("mode")
    if mode not in SCOPE_CHANGES_MODES:
        raise Invalid("Choose whether they wait", field="mode")
    slug = visit.configuration.tenant.slug
    visit.perform("tenants.set_scope_changes", slug=slug, mode=mode)
    return Done(visit.url("settings"), "scope-changes")


def _rename(tx: Session, operator: Operator, _: str, *, slug: str, name: str) -> None:
    tenants.rename(tx, operator, slug=slug, name=name)


def list_tenants(visit: Visit) -> Answer:
    """GET /console/tenants: of the whole installation, at its default tenant alone."""
    wanted = visit.asked("q").lower()
    base = visit.edge.services.settings.server.issuer
    found = [
        it
        for it in visit.look(lambda tx: tenants.list_(tx, base))
        if wanted in f"{it.slug} {it.name} {it.issuer}".lower()
        and visit.asked("status") in ("", it.status)
    ]
    if visit.asked("format") == "csv":
        rows = [
            (it.slug, it.name, it.issuer, it.status, it.client_trust, it.registration)
            for it in found
        ]
        return Sheet("tenants", HEADINGS, rows)
    context = {"tenants": tables.page_of(visit, found), "headings": HEADINGS, "own": DEFAULT_SLUG}
    return Screen("tenants.html", context)


def create(visit: Visit) -> Answer:
    """POST …/create: a new issuer with keys of its own."""
    slug = visit.needed("slug", "The short name")
    visit.perform("tenants.create", slug=slug, name=visit.needed("name", "The name"))
    return Done(visit.url("tenants"), "created")


def set_status(visit: Visit) -> Answer:
    """POST …/status."""
    slug, status = visit.given("slug"), visit.given("status")
    if slug == DEFAULT_SLUG:
        raise Invalid("This tenant administers the others; it stays on", field="slug")
    if status == "disabled" and not visit.is_sure:
        affected = [
            f"Nobody reaches the issuer of {slug} any more: it answers as if it were not there.",
            "Every token of it ends at once. Its people, clients and policy stay.",
        ]
        return Sure(f"Switch the tenant {slug} off?", "Switch it off", affected, visit.url("tenants"))  # fmt: skip
    visit.perform("tenants.set_status", slug=slug, status=status)
    return Done(visit.url("tenants"), status)


PAGE = Page(
    "settings",
    "Settings",
    Permission.READ,
    show,
    (
        Act("rename", rename),
        Act("change-control", set_change_control),
        Act("scope-changes", set_scope_changes),
    ),
    section="System",
    done={
        "renamed": "That is the name from now on.",
        "scope-changes": "That is when tools that are added to scopes count from now on.",
        "change-control": "That is how policy is changed from now on.",
    },
)
TENANTS = Page(
    "tenants",
    "Tenants",
    Permission.TENANTS_WRITE,
    list_tenants,
    (Act("create", create), Act("status", set_status)),
    section="System",
    done={
        "created": "The tenant is there, with keys of its own. Give it an owner on the command line.",
        "disabled": "The tenant is switched off.",
        "active": "The tenant is switched on.",
    },
)
