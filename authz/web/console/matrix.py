"""The matrix: which role holds which scope of one MCP server, changed by ticking and saved as one change."""

from collections.abc import Mapping

from sqlalchemy.orm import Session

from authz.admin import role_changes, role_matrix, simulate
from authz.admin.operator import Operator
from authz.admin.role_matrix import Matrix, Row
from authz.errors import Invalid
from authz.policy.administration import Permission
from authz.web.console.fields import spelled
from authz.web.console.visit import Act, Answer, Clash, Clashed, Done, Page, Screen, Sheet, Visit

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
    visit.operator.must(Permission.POLICY_WRITE)
    server = visit.needed("server", "The MCP server")
    ids = visit.all_given("row")
    if len(ids) > _MAX_ROWS:
        raise Invalid(f"{_MAX_ROWS} roles can be saved at once")
    edited: dict[str, tuple[str, str]] = {}
    for id_ in ids:
        was = visit.given(f"was_{id_}")
        wanted = spelled(" ".join(visit.all_given(id_)).split())
        if wanted != was:
            edited[id_] = was, wanted
    if edited:
        visit.change(_save, server, edited)
    return Done(visit.url("matrix", server=server, q=visit.asked("q")), "saved")


def _save(
    tx: Session,
    operator: Operator,
    tenant_id: str,
    server: str,
    edited: Mapping[str, tuple[str, str]],
) -> None:
    held = role_matrix.held(tx, tenant_id, server, edited)
    clashes = [
        Clash(id_, f"The role {it.name}", was, it.here, wanted)
        for id_, (was, wanted) in edited.items()
        if (it := held[id_]).here != was
    ]
    if clashes:
        raise Clashed(clashes)
    roles = {
        held[id_].name: {*wanted.split(), *held[id_].undeclared}
        for id_, (_, wanted) in edited.items()
    }
    role_changes.set_matrix(
        tx,
        operator,
        tenant_id,
        server=server,
        roles={name: frozenset(scopes) for name, scopes in roles.items()},
    )


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
