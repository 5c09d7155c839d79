"""One person: what they may do and why, and everything that is done to an account."""

from authz.admin import grants, groups, person, sessions, simulate, users
from authz.admin.person import HeldBinding, Membership, PersonView
from authz.admin.simulate import Simulation
from authz.errors import Invalid
from authz.policy.administration import Permission
from authz.policy.contracts import RISKS
from authz.web.console.groups import leaving
from authz.web.console.tables import Part
from authz.web.console.visit import Act, Answer, Done, Page, Screen, Sure, Visit
from authz.web.console.words import counted


def show(visit: Visit) -> Answer:
    """GET /console/people/ID."""
    found = _found(visit)
    user_id = found.line.id
    may: list[Simulation] = visit.look(
        lambda tx: simulate.subject_at(tx, visit.configuration, user_id, visit.now)
    )
    sheet = (
        _MAY.sheet(visit, may)
        or _ROLES.sheet(visit, found.roles)
        or _GROUPS.sheet(visit, found.memberships)
    )
    if sheet is not None:
        return sheet
    return Screen(
        "person.html",
        {
            "person": found,
            "signed_in": may[0].signed_in if may else None,
            "may": _MAY.page(visit, may),
            "roles": _ROLES.page(visit, found.roles),
            "groups": _GROUPS.page(visit, found.memberships),
            "held": visit.read(grants.extent, visit.now, user_id=user_id).grants,
            "browsers": visit.read(sessions.count, visit.now, user_id),
        },
    )


def _sources(at: Simulation) -> list[str]:
    return list(dict.fromkeys(it.source for it in at.granted))


def _most(at: Simulation) -> str:
    """The riskiest that they may do there."""
    return max((it.risk for it in at.granted), key=RISKS.index)


_MAY: Part[Simulation] = Part(
    "access",
    ("MCP server", "Scopes", "Because of", "Not"),
    lambda it: (
        it.server,
        [one.scope for one in it.granted],
        ", ".join(_sources(it)),
        [one.scope for one in it.refused],
    ),
    lambda it: " ".join((it.server, *(one.scope for one in it.granted), *_sources(it))),
    {"most": _most},
    name="effective",
)
_ROLES: Part[HeldBinding] = Part(
    "roles",
    ("Role", "Through", "Until"),
    lambda it: (it.role, it.through, it.until),
    lambda it: f"{it.role} {it.through or ''}",
    {"held": lambda it: "through" if it.through else "directly"},
    name="roles",
)
_GROUPS: Part[Membership] = Part(
    "groups",
    ("Group", "Because"),
    lambda it: (it.group, ", ".join(it.sources)),
    lambda it: " ".join((it.group, *it.sources)),
    {"because": lambda it: "here" if it.is_local else "elsewhere"},
    name="groups",
)


def join(visit: Visit) -> Answer:
    """POST …/join: into a group."""
    visit.change(
        groups.add_member, group=visit.needed("group", "The group"), user=_found(visit).line.id
    )
    return _done(visit, "joined")


def leave(visit: Visit) -> Answer:
    """POST …/leave: out of a group that somebody here put them into."""
    group, user_id = visit.given("group"), _found(visit).line.id
    if not visit.is_sure:
        return leaving(visit, group, user_id, _address(visit))
    visit.change(groups.remove_member, group=group, user=user_id)
    return _done(visit, "left")


def set_password(visit: Visit) -> Answer:
    """POST …/password: and out of every browser."""
    password = visit.form.get("password", [""])[0]
    if not password:
        raise Invalid("The password is empty; fill it in", field="password")
    visit.perform("users.set_password", reference=_found(visit).line.id, password=password)
    return _done(visit, "password")


def break_glass(visit: Visit) -> Answer:
    """POST …/break-glass."""
    allowed = visit.given("allowed") == "yes"
    visit.change(users.set_break_glass, _found(visit).line.id, allowed=allowed)
    return _done(visit, "glass" if allowed else "no_glass")


def disable(visit: Visit) -> Answer:
    """POST …/disable: and end everything."""
    found = _found(visit)
    user_id, login = found.line.id, found.line.login
    if not visit.is_sure:
        extent = visit.read(grants.extent, visit.now, user_id=user_id)
        browsers = visit.read(sessions.count, visit.now, user_id)
        affected = [
            f"Ends {counted(extent.grants, 'grant')} of {login}, with every token of them.",
            f"Signs them out of {counted(browsers, 'browser')}.",
            "They cannot sign in until somebody enables the account. What ended stays ended.",
        ]
        return Sure(f"Disable {login}?", "Disable", affected, _address(visit))
    visit.change(users.disable, user_id)
    return _done(visit, "disabled")


def enable(visit: Visit) -> Answer:
    """POST …/enable."""
    visit.change(users.enable, _found(visit).line.id)
    return _done(visit, "enabled")


def _found(visit: Visit) -> PersonView:
    found: PersonView = visit.read(person.show, visit.path["id"])
    return found


def _address(visit: Visit) -> str:
    return visit.url(f"people/{visit.path['id']}")


def _done(visit: Visit, said: str) -> Done:
    return Done(_address(visit), said)


PAGE = Page(
    "people/{id}",
    "Person",
    Permission.READ,
    show,
    (
        Act("join", join, {"user": "group"}),
        Act("leave", leave),
        Act("password", set_password),
        Act("break-glass", break_glass),
        Act("disable", disable),
        Act("enable", enable),
    ),
    section="People",
    is_listed=False,
    done={
        "added": "The account is there. Groups and roles say what it may do.",
        "joined": "They are in the group. Their next token has what its roles hold.",
        "left": "They are out of the group. Their next token and refresh is without its roles.",
        "password": "The password is set, and they are signed out everywhere.",
        "glass": "They may sign in by password where their domain has to use its provider. Each time is recorded.",
        "no_glass": "They sign in like everybody else again.",
        "disabled": "The account is disabled, and everything it held ended.",
        "enabled": "The account is enabled.",
    },
)
