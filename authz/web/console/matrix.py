"""The matrix: which role holds which scope of one MCP server, changed by ticking and saved as one change."""

from dataclasses import replace

from authz.admin import role_changes, role_matrix, simulate
from authz.admin.role_matrix import Held, Matrix, Row
from authz.errors import Invalid
from authz.policy.administration import Permission
from authz.web.console.fields import spelled
from authz.web.console.visit import Act, Answer, Done, Page, Screen, Sheet, Visit

_MAX_ROWS = 200


def show(visit: Visit) -> Answer:
    """GET /console/matrix?server=ID: the first server, unless one is chosen."""
    servers = simulate.servers(visit.configuration)
    chosen = visit.asked("server") or visit.given("server") or (servers[0].id if servers else "")
    if not chosen:
        return Screen("matrix.html", {"servers": [], "matrix": None})
    policy, q = visit.configuration.policy, visit.asked("q")
    if visit.asked("format") == "csv":
        first = visit.read(role_matrix.matrix, policy, chosen, limit=1)
        rows = visit.gather(
            lambda tx, after, limit: (
                role_matrix.matrix(
                    tx, visit.tenant_id, policy, chosen, q=q, after=after, limit=limit
                ).rows
            )
        )
        return _sheet(first, rows)
    after = visit.asked("after") or None
    found = visit.read(role_matrix.matrix, policy, chosen, q=q, after=after)
    return Screen("matrix.html", {"servers": servers, "matrix": found})


def save(visit: Visit) -> Answer:
    """POST …/save: the rows that were changed; what somebody else changed in one meanwhile is not written over."""
    visit.operator.must_see(Permission.POLICY_WRITE)
    server = visit.needed("server", "The MCP server")
    ids = visit.all_given("row")
    if len(ids) > _MAX_ROWS:
        raise Invalid(f"{_MAX_ROWS} roles can be saved at once")
    wanted = {it: spelled(" ".join(visit.all_given(it)).split()) for it in ids}
    edited = {it: text for it, text in wanted.items() if text != visit.given(f"was_{it}")}
    if edited:
        held = visit.read(role_matrix.held, server, edited)
        # One text for each row, as the page about a clash has it.
        typed = replace(visit, form={**visit.form, **{it: [text] for it, text in edited.items()}})
        typed.edit(
            {it: f"The role {held[it].name}" for it in edited},
            lambda tx: _here(role_matrix.held(tx, visit.tenant_id, server, edited)),
            role_changes.set_matrix,
            server=server,
            roles={
                held[it].name: frozenset(text.split()) | held[it].undeclared
                for it, text in edited.items()
            },
        )
    return Done(visit.url("matrix", server=server, q=visit.asked("q")), "saved")


def _here(held: dict[str, Held]) -> dict[str, str]:
    return {id_: it.here for id_, it in held.items()}


def _sheet(matrix: Matrix, rows: list[Row]) -> Sheet:
    def told(row: Row) -> list[str]:
        return [
            "here" if it.is_here else "everywhere" if it.is_everywhere else it.through or ""
            for it in row.cells
        ]

    headings = ("Role", *(name for name, _ in matrix.scopes))
    return Sheet("matrix", headings, [(row.name, *told(row)) for row in rows])


PAGE = Page(
    "matrix",
    "Matrix",
    Permission.READ,
    show,
    (Act("save", save),),
    section="Policy",
    done={"saved": "Saved as one change. The next token and refresh obeys it."},
)
