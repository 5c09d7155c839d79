"""Changes of policy that take a second person, what a token would hold, and access reviews (L4, S11, S17)."""

from authz.admin import changes, reviews, versions
from authz.admin.changes import ChangeDetails, ChangeLine
from authz.admin.paging import Slice
from authz.admin.reviews import ItemLine, ReviewLine
from authz.admin.simulate import ANY_CLIENT, Question, Simulation, simulate
from authz.admin.versions import VersionDetails, VersionLine
from authz.errors import Invalid
from authz.web.api.addresses import number_of
from authz.web.api.kit import Change, Listing, Look, Route, Thing, Window, listed


def _items(look: Look, part: Window) -> Slice[ItemLine]:
    return reviews.page(
        look.tx,
        look.tenant_id,
        look.path["review"],
        decisions=(part.find("decision") or reviews.OPEN,),
        after=part.after,
        limit=part.limit,
    )


def _changes(look: Look, part: Window) -> Slice[ChangeLine]:
    status = part.find("status")
    statuses = changes.STATUSES if status is None else (status,)
    return changes.page(
        look.tx, look.tenant_id, statuses=statuses, after=part.after, limit=part.limit
    )


def _simulated(look: Look) -> Simulation:
    asked = look.query
    if "server" not in asked:
        raise Invalid("`server` is missing: which MCP server is it about, by id or URL?")
    question = Question(
        server=asked["server"],
        user=asked.get("user"),
        client=asked.get("client", ANY_CLIENT),
        scopes=frozenset(asked["scope"].split()) if "scope" in asked else None,
        connection=asked.get("connection"),
        acr=asked.get("acr"),
    )
    return simulate(look.tx, look.configuration, question, look.now)


def _versions(look: Look, part: Window) -> Slice[VersionLine]:
    return versions.page(look.tx, look.tenant_id, after=part.after, limit=part.limit)


_OF_CHANGE = {"change": "change_id"}
_OF_ITEM = {"item": "item_id"}

ROUTES: tuple[Route, ...] = (
    Thing(
        "/simulation",
        "simulation",
        "What somebody will get through a client at an MCP server, and why not the rest",
        _simulated,
        Simulation,
        asks={
            "server": "By id or URL",
            "user": "A login or id; the client on its own behalf when absent",
            "client": "By identifier; any when absent",
            "scope": "These alone, space between; all that the server declares when absent",
            "connection": "Where they sign in, by name, or local",
            "acr": "How they sign in",
        },
    ),
    Listing(
        "/changes",
        "changes",
        "Changes of policy that were asked for, the youngest first",
        _changes,
        ChangeLine,
        filters={"status": "open, scheduled, applied, refused, withdrawn or failed"},
        searches=False,
    ),
    Change(
        "POST",
        "/changes",
        "changes.propose",
        "Ask for a change of policy, with a reason",
        made=lambda it: (it.id,),
    ),
    Thing(
        "/changes/{change}",
        "change",
        "One change that was asked for, with who gains and who loses by it",
        lambda look: changes.show(look.tx, look.tenant_id, look.path["change"]),
        ChangeDetails,
    ),
    Change(
        "POST",
        "/changes/{change}/foresee",
        "changes.foresee",
        "Compute anew who gains and who loses by it",
        inputs=_OF_CHANGE,
    ),
    Change(
        "POST",
        "/changes/{change}/approve",
        "changes.approve",
        "Let it happen; never by whoever asked for it",
        inputs=_OF_CHANGE,
    ),
    Change(
        "POST",
        "/changes/{change}/refuse",
        "changes.refuse",
        "Stop it",
        inputs=_OF_CHANGE,
    ),
    Change(
        "POST",
        "/changes/{change}/withdraw",
        "changes.withdraw",
        "Take back what one asked for oneself",
        inputs=_OF_CHANGE,
    ),
    Listing(
        "/versions",
        "versions",
        "What policy was, the youngest first",
        _versions,
        VersionLine,
        searches=False,
    ),
    Thing(
        "/versions/{version}",
        "version",
        "One version, with its difference to the one before",
        lambda look: versions.show(
            look.tx, look.tenant_id, number_of("version", look.path["version"])
        ),
        VersionDetails,
    ),
    Change(
        "POST",
        "/versions/{version}/revert",
        "policy.revert",
        "Make policy what it was then, whole or not at all; answers what that changed",
        inputs={"version": "version"},
        answer="changes",
    ),
    Listing(
        "/reviews",
        "reviews",
        "Campaigns and how far they are",
        listed(lambda look: reviews.list_(look.tx, look.tenant_id), *("created_at", "id")),
        ReviewLine,
    ),
    Change(
        "POST",
        "/reviews",
        "reviews.start",
        "Begin a campaign about all roles, or about one MCP server",
        made=lambda it: (it.id,),
    ),
    Thing(
        "/reviews/{review}",
        "review",
        "One campaign",
        lambda look: reviews.show(look.tx, look.tenant_id, look.path["review"]),
        ReviewLine,
    ),
    Listing(
        "/reviews/{review}/items",
        "review_items",
        "What it is about; what is open when nothing else is asked for",
        _items,
        ItemLine,
        filters={"decision": "open, kept, removed or gone"},
        searches=False,
    ),
    Change(
        "POST",
        "/review-items/{item}/keep",
        "reviews.keep",
        "It is still needed",
        inputs=_OF_ITEM,
    ),
    Change(
        "POST",
        "/review-items/{item}/remove",
        "reviews.remove",
        "End it: the next token is without it",
        inputs=_OF_ITEM,
    ),
)
