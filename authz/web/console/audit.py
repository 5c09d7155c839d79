"""The audit trail: search, one event in its place, a story from beginning to end, and whether the chain holds."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from authz.admin import audit, audit_event, audit_holds, trace
from authz.admin.audit import Page as Found
from authz.admin.audit import shortly_before
from authz.admin.trace_events import Entry
from authz.audit.verification import Verified
from authz.directory import users
from authz.errors import Invalid, NotFound
from authz.policy.administration import Permission
from authz.web.console import audit_keeping
from authz.web.console.visit import (
    MOST_EXPORTED,
    Act,
    Answer,
    Download,
    Page,
    Screen,
    Sheet,
    Visit,
    told,
)

HEADINGS = ("When", "What", "About", "By", "Client", "MCP server", "Reason", "Place")
ASKED = ("person", "actor", "client", "resource", "kind", "reason", "since", "until")
LOOK_BACK = timedelta(days=30)
"""How far a search goes that has no index to go by, unless it says from when: a trail may have millions of events."""
_AT_ONCE = 200


def show(visit: Visit) -> Answer:
    """GET /console/audit: newest first, what answers to all that is asked."""
    wrong: dict[str, str] = {}
    filters = _filters(visit, wrong)
    form = visit.asked("format")
    if form in ("csv", "json") and not wrong:
        entries, names = _all(visit, filters)
        if form == "json":
            text = "".join(json.dumps(_told(it, names)) + "\n" for it in entries)
            return Download("audit.jsonl", "application/x-ndjson", text)
        return Sheet("audit", HEADINGS, [_row(it, names) for it in entries])
    return _screen(visit, filters, wrong)


def verify(visit: Visit) -> Answer:
    """POST …/verify: the whole trail, where it is small enough to wait for."""
    size = visit.read(audit_event.size)
    if size > audit_event.MOST_AT_ONCE:
        raise Invalid(
            f"{size} events are too many to check while you wait; run `authz audit verify` on the server"
        )
    found = visit.look(lambda tx: audit.verify(tx, visit.operator, visit.tenant_id))
    return _screen(visit, _filters(visit, {}), {}, found)


def show_event(visit: Visit) -> Answer:
    """GET /console/audit/event?strand=…&position=…"""
    text = visit.asked("position")
    if not (text.isascii() and text.isdecimal() and len(text) < 19):
        raise NotFound("there is no such event in the trail")
    found = visit.read(audit_event.show, visit.asked("strand"), int(text))
    return Screen("audit_event.html", {"event": found})


def tell(visit: Visit) -> Answer:
    """GET /console/story?of=…: of a grant, a token, a trace or a person."""
    reference = visit.asked("of")
    story, wrong = None, dict[str, str]()
    if reference:
        try:
            story = visit.read(trace.tell, reference, visit.now)
        except NotFound as error:
            wrong["of"] = told(error)
    if story is not None and visit.asked("format") == "csv":
        return Sheet("story", HEADINGS, [_row(it, story.names) for it in story.entries])
    context = {"story": story, "wrong": wrong, "headings": HEADINGS, "how": _how}
    return Screen("story.html", context, 404 if wrong else 200)


def _screen(
    visit: Visit, filters: dict[str, Any], wrong: dict[str, str], verified: Verified | None = None
) -> Screen:
    page = Found([], {}, None)
    if not wrong:
        page = visit.read(audit.search, **filters, after=visit.asked("after") or None)
    return Screen(
        "audit.html",
        {
            "found": page,
            "wrong": wrong,
            "headings": HEADINGS,
            "kinds": audit_event.kinds(),
            "is_asked": any(visit.asked(it) for it in ASKED),
            "days": LOOK_BACK.days if _is_bounded(visit) else None,
            "size": visit.read(audit_event.size),
            "verified": verified,
            "retention": visit.read(audit_holds.retention),
        },
        400 if wrong else 200,
    )


def _filters(visit: Visit, wrong: dict[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {
        name: visit.asked(name) or None for name in ("client", "resource", "kind", "reason")
    }
    for name in ("since", "until"):
        text, found[name] = visit.asked(name), None
        try:
            found[name] = _moment(text) if text else None
        except (ValueError, OverflowError):
            wrong[name] = "Write it as 2026-07-28 or 2026-07-28T10:30, in UTC"
    for name in ("person", "actor"):
        found[name] = None
        if visit.asked(name):
            found[name] = _person(visit, name, wrong)
    if _is_bounded(visit):
        found["since"] = shortly_before(found["until"] or visit.now, LOOK_BACK)
    return found


def _is_bounded(visit: Visit) -> bool:
    """Whether only so far back is searched."""
    has_index = any(visit.asked(it) for it in ("person", "actor", "since"))
    return not has_index and any(visit.asked(it) for it in ("client", "resource", "kind", "reason"))


def _person(visit: Visit, name: str, wrong: dict[str, str]) -> str | None:
    text = visit.asked(name)
    try:
        row = visit.read(users.load, text)
    except NotFound:
        # Whoever acts need be nobody here: a job, a shell, a client.
        if name == "actor":
            return text
        wrong[name] = f"There is nobody called {text} here"
        return None
    return str(row.id)


def _moment(text: str) -> datetime:
    at = datetime.fromisoformat(text)
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


def _all(visit: Visit, filters: dict[str, Any]) -> tuple[Sequence[Entry], dict[str, str]]:
    entries: list[Entry] = []
    names: dict[str, str] = {}
    after: str | None = None
    while len(entries) < MOST_EXPORTED:
        page = visit.read(audit.search, **filters, after=after, limit=_AT_ONCE)
        entries += page.entries
        names.update(page.names)
        after = page.next
        if after is None:
            break
    return entries, names


def _row(it: Entry, names: Any) -> tuple[Any, ...]:
    return (
        it.at.isoformat(),
        it.kind,
        names.get(it.subject, it.subject),
        names.get(it.actor, it.actor),
        it.client,
        it.resource,
        it.detail.get("reason"),
        it.source,
    )


def _told(it: Entry, names: Any) -> dict[str, Any]:
    own = {**vars(it), "at": it.at.isoformat(), "detail": dict(it.detail)}
    logins = {id_: names[id_] for id_ in (it.subject, it.actor) if id_ in names}
    return {**own, "names": logins}


def _how(it: Entry) -> str:
    shown = ("tool", "method", "connection", "grant_type", "scopes", "error", "reason", "jti")
    values = [it.detail.get(name) for name in shown]
    return ", ".join(
        " ".join(map(str, value)) if isinstance(value, list) else str(value)
        for value in values
        if value not in (None, [])
    )


PAGE = Page(
    "audit",
    "Audit trail",
    Permission.AUDIT_READ,
    show,
    (Act("verify", verify), audit_keeping.ACT),
    section="Access",
    done=audit_keeping.DONE,
)
EVENT = Page("audit/event", "Event", Permission.AUDIT_READ, show_event, is_listed=False)
STORY = Page("story", "Story", Permission.AUDIT_READ, tell, section="Access")
