"""Signing keys: their life, and rotation that says what happens when."""

from datetime import datetime, timedelta

from authz.admin import keys
from authz.errors import Conflict, Invalid
from authz.jose import LEEWAY
from authz.keys import PURPOSES
from authz.policy.administration import Permission
from authz.web.console import tables
from authz.web.console.visit import Act, Answer, Done, Page, Screen, Sheet, Sure, Visit
from authz.web.console.words import lasting

HEADINGS = ("For", "Algorithm", "State", "Signs from", "Until", "Published until", "Where", "Key")
NAMES = {
    "access_token": "access tokens",
    "audit": "the audit trail",
    "id_token": "ID tokens",
    "id_jag": "identity assertions (ID-JAG)",
    "introspection": "answers about tokens",
}


def show(visit: Visit) -> Answer:
    """GET /console/keys."""
    wanted, state = visit.asked("q").lower(), visit.asked("state")
    found = visit.read(keys.list_, visit.now)
    shown = [
        it
        for it in found
        if wanted in f"{it.purpose} {NAMES.get(it.purpose, '')} {it.algorithm} {it.id}".lower()
        and state in ("", it.state)
    ]
    if visit.asked("format") == "csv":
        rows = [
            (
                *(it.purpose, it.algorithm, it.state, it.activate_at, it.retire_at, it.gone_at),
                *(it.backend, it.id),
            )
            for it in shown
        ]
        return Sheet("keys", HEADINGS, rows)
    settings = visit.edge.services.settings
    return Screen(
        "keys.html",
        {
            "keys": tables.page_of(visit, shown),
            "headings": HEADINGS,
            "names": NAMES,
            "version": _version(found),
            "kinds": [
                (f"{p} {a}", f"{NAMES.get(p, p)}, {a}") for p in PURPOSES for a in PURPOSES[p]
            ],
            "ahead": lasting(settings.keys.publish_ahead),
        },
    )


def rotate(visit: Visit) -> Answer:
    """POST …/rotate: a successor, published ahead of its first signature or signing at once."""
    purpose, _, algorithm = visit.given("kind").partition(" ")
    if algorithm not in PURPOSES.get(purpose, ()):
        raise Invalid("Choose which key is to be replaced", field="kind")
    when = visit.given("when")
    emergency, at_once = when == "emergency", when in ("now", "emergency")
    # Sent twice, by a reload or by two people at once, it would rotate twice.
    if visit.given("version") != _version(visit.read(keys.list_, visit.now)):
        raise Conflict("the keys changed meanwhile; nothing was rotated")
    if not visit.is_sure:
        affected = _expelled(visit) if emergency else _affected(visit, at_once=at_once)
        title = f"Rotate the {algorithm} key for {NAMES.get(purpose, purpose)}?"
        if emergency:
            title = f"Throw out the {algorithm} key for {NAMES.get(purpose, purpose)}?"
        return Sure(title, "Rotate it", affected, visit.url("keys"))
    visit.perform(
        "keys.rotate", purpose=purpose, algorithm=algorithm, at_once=at_once, emergency=emergency
    )
    return Done(visit.url("keys"), "expelled" if emergency else "rotated")


def _expelled(visit: Visit) -> list[str]:
    settings = visit.edge.services.settings
    lifetime = lasting(settings.tokens.access_token)
    return [
        "Every key of this kind leaves the published set now, signs nothing any more, and is wiped.",
        "A new key signs at once.",
        "What they signed is refused here at once, and by MCP servers as soon as they fetch the keys again.",
        f"Clients refresh and go on; who cannot refresh signs in again. Access tokens live {lifetime} at most.",
    ]


def _affected(visit: Visit, *, at_once: bool) -> list[str]:
    settings = visit.edge.services.settings
    ahead = timedelta(0) if at_once else settings.keys.publish_ahead
    signs = visit.now + ahead
    gone = signs + settings.tokens.access_token + LEEWAY
    first = (
        "The new key signs at once. Whoever cached the keys fetches them again."
        if at_once
        else f"The new key is published now and signs from {_at(signs)} on, so that everybody has seen it by then."
    )
    return [
        first,
        f"The key before it signs until {_at(signs)} and stays published until {_at(gone)}.",
        "Tokens that it signed stay good until they expire.",
    ]


def _at(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def _version(found: list[keys.KeyLine]) -> str:
    return str(len(found))


PAGE = Page(
    "keys",
    "Signing keys",
    Permission.READ,
    show,
    (Act("rotate", rotate),),
    section="System",
    done={
        "rotated": "The new key is made. The list says when it signs.",
        "expelled": "The keys before are out, and the new one signs.",
    },
)
