"""Clients that register themselves: whether they may, and the tokens that let them."""

from datetime import timedelta

from authz.admin import initial_tokens
from authz.errors import Invalid
from authz.policy.administration import Permission
from authz.tenants import REGISTRATION_MODES
from authz.web.console import tables
from authz.web.console.visit import Act, Answer, Done, Page, Screen, Sheet, Sure, Visit

HEADINGS = ("Name", "Registrations left", "Made", "Ends", "State")
STATES = ("active", "spent", "expired", "revoked")
_DAYS = ("1", "7", "30", "90", "0")


def show(visit: Visit) -> Answer:
    """GET /console/client-registration."""
    wanted, state = visit.asked("q").lower(), visit.asked("state")
    found = [
        it
        for it in visit.read(initial_tokens.list_)
        if wanted in it.name.lower() and state in ("", _state(visit, it))
    ]
    if visit.asked("format") == "csv":
        rows = [
            (it.name, it.remaining, it.created_at, it.expires_at, _state(visit, it)) for it in found
        ]
        return Sheet("initial-tokens", HEADINGS, rows)
    return Screen(
        "client_registration.html",
        {
            "tokens": tables.page_of(visit, [(it, _state(visit, it)) for it in found]),
            "headings": HEADINGS,
            "states": [(it, it) for it in STATES],
            "mode": visit.configuration.tenant.registration,
        },
    )


def add(visit: Visit) -> Answer:
    """POST …/add: the token is shown this once."""
    uses, days = visit.given("uses"), visit.given("days")
    if uses and not (uses.isascii() and uses.isdecimal() and len(uses) < 10):
        raise Invalid("Write how many as a number, or leave it empty", field="uses")
    if days not in _DAYS:
        raise Invalid("Choose how long it is good", field="days")
    made = visit.change(
        initial_tokens.add,
        name=visit.needed("name", "The name"),
        uses=int(uses) if uses else None,
        lifetime=timedelta(days=int(days)) if days != "0" else None,
    )
    return Screen(
        "secret.html",
        {
            "title": f"Initial access token {made.line.name}",
            "shown": [("Token", made.token)],
            "notes": ["Applications present it when they register, as a bearer token."],
            "back": visit.url("client-registration"),
        },
    )


def revoke(visit: Visit) -> Answer:
    """POST …/revoke."""
    if not visit.is_sure:
        affected = [
            "Nothing registers with this token any more.",
            "Clients that registered with it stay. Block them one by one.",
        ]
        return Sure("Revoke this token?", "Revoke it", affected, visit.url("client-registration"))
    visit.change(initial_tokens.revoke, visit.given("id"))
    return Done(visit.url("client-registration"), "revoked")


def set_mode(visit: Visit) -> Answer:
    """POST …/mode."""
    mode = visit.given("mode")
    if mode not in REGISTRATION_MODES:
        raise Invalid("Choose who may register a client", field="mode")
    visit.perform("tenants.set_registration", slug=visit.configuration.tenant.slug, mode=mode)
    return Done(visit.url("client-registration"), "mode")


def _state(visit: Visit, line: initial_tokens.TokenLine) -> str:
    if line.revoked_at is not None:
        return "revoked"
    if line.expires_at is not None and line.expires_at <= visit.now:
        return "expired"
    return "spent" if line.remaining == 0 else "active"


PAGE = Page(
    "client-registration",
    "Self-registration",
    Permission.READ,
    show,
    (Act("add", add), Act("revoke", revoke), Act("mode", set_mode)),
    section="Clients",
    done={
        "revoked": "The token is revoked.",
        "mode": "That is who may register a client from now on.",
    },
)
