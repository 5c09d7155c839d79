"""Access reviews: what somebody has to answer for, and what ends where nobody does (S11)."""

from authz.admin import reviews
from authz.admin.paging import Slice
from authz.admin.reviews import ItemLine, ReviewLine
from authz.web.api.kit import Change, Listing, Look, Route, Thing, Window, listed


def _items(look: Look, part: Window) -> Slice[ItemLine]:
    decision = part.find("decision")
    asked = {} if decision is None else {"decisions": (decision,)}
    return reviews.page(
        look.tx,
        look.tenant_id,
        look.path["review"],
        after=part.after,
        limit=part.limit,
        **asked,
    )


_OF_ITEM = {"item": "item_id"}

ROUTES: tuple[Route, ...] = (
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
