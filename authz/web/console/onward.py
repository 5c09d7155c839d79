"""Tokens that MCP servers exchange for tokens of others, on behalf of the same person."""

from authz.admin import delegations, resources
from authz.errors import Invalid
from authz.oauth.delegations import MAX_DEPTH
from authz.policy.administration import Permission
from authz.web.console.tables import Form, FormField, Listing, Row, RowAct, listed
from authz.web.console.visit import Act, Answer, Done, Page, Sure, Visit

_DEPTHS = [str(it) for it in range(1, MAX_DEPTH + 1)]


def show_delegations(visit: Visit) -> Answer:
    """GET /console/delegations."""
    can_write = visit.may(Permission.TRUST_WRITE)
    rows = []
    for it in visit.read(delegations.list_):
        carries = [f"{there} ← {' '.join(here)}" for there, here in sorted(it.carries.items())]
        act = RowAct(visit.url("delegations/remove"), "Remove", {"id": it.id})
        cells = (it.from_server, it.to_server, carries, it.max_depth)
        rows.append(Row(it.client_id, cells, acts=[act] if can_write else [], status="active"))
    servers = [(it.identifier, it.identifier) for it in visit.read(resources.list_)]
    depths = [(it, it) for it in _DEPTHS]
    hint = "One a line: the scope there = the scopes here of which any carries it."
    form = Form(
        "add",
        "Let a client exchange tokens",
        visit.url("delegations/add"),
        [
            FormField("client_id", "Client", hint="It authenticates, and may use token exchange.", required=True),
            FormField("from_server", "Tokens for", "choice", choices=servers),
            FormField("to_server", "Are exchanged for tokens for", "choice", choices=servers),
            FormField("carries", "What is carried over", "area", hint),
            FormField("max_depth", "How often in a row", "choice", choices=depths, value=_DEPTHS[-1]),
        ],
        "Let it",
    )  # fmt: skip
    return listed(
        visit,
        Listing(
            "delegations",
            "Delegations",
            "MCP servers that call others on behalf of the same person, and what they carry over.",
            ("Client", "Status", "From", "To", "Carries", "Depth"),
            rows,
            (
                "No delegation yet",
                "Without one no token is exchanged for another server’s. Let a client do it below.",
            ),
            [form] if can_write and servers else [],
            by=("From", 0),
        ),
    )


def add_delegation(visit: Visit) -> Answer:
    """POST …/add."""
    depth = visit.given("max_depth")
    if depth not in _DEPTHS:
        raise Invalid("Choose how often in a row", field="max_depth")
    visit.change(
        delegations.add,
        client_id=visit.needed("client_id", "The client"),
        from_server=visit.given("from_server"),
        to_server=visit.given("to_server"),
        carries=_carries(visit),
        max_depth=int(depth),
    )
    return Done(visit.url("delegations"), "added")


def remove_delegation(visit: Visit) -> Answer:
    """POST …/remove."""
    found = visit.read(delegations.show, visit.given("id"))
    if not visit.is_sure:
        affected = [
            f"{found.client_id} exchanges no token for {found.from_server} any more.",
            f"Tokens for {found.to_server} that it got live on for minutes.",
        ]
        return Sure("Remove this delegation?", "Remove it", affected, visit.url("delegations"))
    visit.change(delegations.remove, found.id)
    return Done(visit.url("delegations"), "removed")


def _carries(visit: Visit) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in visit.needed("carries", "What is carried over").splitlines():
        there, mark, here = line.partition("=")
        if not mark or not there.strip() or not here.split():
            raise Invalid(f"Write it as SCOPE = SCOPE, not {line.strip()!r}", field="carries")
        found[there.strip()] = here.split()
    return found


PAGE = Page(
    "delegations",
    "Delegations",
    Permission.READ,
    show_delegations,
    (Act("add", add_delegation), Act("remove", remove_delegation)),
    section="Trust",
    done={"removed": "It is removed.", "added": "Tokens are exchanged from now on."},
)
