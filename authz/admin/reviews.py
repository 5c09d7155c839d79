"""Access reviews: somebody answers for every scope of every role and for everybody who holds one, or it ends (S11).

Decisions:
- A campaign is about what there is when it begins. What comes later is for the next one.
- Nobody answering is an answer: what is open when the campaign is due is removed, each with an event of its own.
- The owner of an MCP server answers for scopes at that server; everything else takes whoever writes policy.
- Removing takes access away, so it takes no second person (`Operator.must_narrow`).
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from authz import entropy
from authz.admin.operator import Operator
from authz.admin.paging import DEFAULT_LIMIT, Slice, behind, check_limit, cursor_of, sliced
from authz.admin.roles import HOLDERS
from authz.db.lists import insert_all
from authz.db.models import Resource, Review, ReviewItem, Role, RoleBinding, RoleScope
from authz.errors import Conflict, Invalid, NotFound
from authz.policy.administration import Permission
from authz.policy.snapshot import ANY_RESOURCE

SCOPE, BINDING = "scope", "binding"
OPEN, KEPT, REMOVED, EXPIRED, GONE = "open", "kept", "removed", "expired", "gone"
MAX_TEXT_CHARS = 500
_AT_ONCE = 500


@dataclass(frozen=True)
class ReviewLine:
    """A campaign and how far it is."""

    id: str
    name: str
    started_by: str
    created_at: datetime
    due_at: datetime
    closed_at: datetime | None
    items: int
    open: int
    kept: int
    removed: int
    """By somebody, or because nobody answered."""


@dataclass(frozen=True)
class ItemLine:
    """One thing to answer for."""

    id: str
    review_id: str
    kind: str
    label: str
    owner: str
    """Of the server it is about, if it is about one."""
    resource_id: str | None
    decision: str
    decided_by: str | None
    decided_at: datetime | None
    note: str


def start(
    tx: Session,
    operator: Operator,
    tenant_id: str,
    *,
    name: str,
    due_at: datetime,
    server: str | None = None,
) -> ReviewLine:
    """Begin a campaign about all roles, or about what reaches one MCP server (by id)."""
    operator.must(Permission.POLICY_APPROVE)
    if due_at <= operator.now:
        raise Invalid(
            f"{due_at.isoformat()} is in the past; a review is due in the future", field="due_at"
        )
    row = Review(
        id=entropy.new_id("rev"),
        tenant_id=tenant_id,
        name=_text("name", name),
        started_by=operator.name,
        created_at=operator.now,
        due_at=due_at,
    )
    items = _items(tx, tenant_id, row.id, server)
    if not items:
        raise Conflict("there is nothing to review: no role holds a scope, and nobody holds a role")
    tx.add(row)
    tx.flush()
    insert_all(tx, ReviewItem, items)
    values = {"name": row.name, "items": len(items), "due_at": due_at.isoformat()}
    operator.changed(tx, tenant_id, "review.start", row.id, values)
    return _line(tx, row)


def keep(
    tx: Session, operator: Operator, tenant_id: str, item_id: str, *, note: str = ""
) -> ItemLine:
    """Answer for one thing: it is still needed."""
    item = _locked(tx, tenant_id, item_id)
    operator.must_narrow(Permission.POLICY_WRITE, resource_id=item.resource_id)
    _decide(tx, operator, item, KEPT, note)
    return _item(tx, item)


def remove(
    tx: Session, operator: Operator, tenant_id: str, item_id: str, *, note: str = ""
) -> ItemLine:
    """End one thing: the next token and refresh is without it."""
    item = _locked(tx, tenant_id, item_id)
    operator.must_narrow(Permission.POLICY_WRITE, resource_id=item.resource_id)
    _decide(tx, operator, item, REMOVED if _end(tx, item) else GONE, note)
    return _item(tx, item)


def expire_overdue(tx: Session, operator: Operator, tenant_id: str) -> int:
    """Remove what is still open in campaigns that are due; answers how many things."""
    items = tx.scalars(
        select(ReviewItem)
        .join(Review, Review.id == ReviewItem.review_id)
        .where(
            ReviewItem.tenant_id == tenant_id,
            ReviewItem.decision == OPEN,
            Review.due_at <= operator.now,
        )
        .order_by(ReviewItem.id)
        .limit(_AT_ONCE)
        .with_for_update(of=ReviewItem)
    ).all()
    for item in items:
        _decide(tx, operator, item, EXPIRED if _end(tx, item) else GONE, "")
    return len(items)


def list_(tx: Session, tenant_id: str) -> list[ReviewLine]:
    """All campaigns, the youngest first."""
    rows = tx.scalars(
        select(Review).where(Review.tenant_id == tenant_id).order_by(Review.created_at.desc())
    )
    return [_line(tx, row) for row in rows]


def show(tx: Session, tenant_id: str, review_id: str) -> ReviewLine:
    """Raises NotFound."""
    return _line(tx, _load(tx, tenant_id, review_id))


def page(
    tx: Session,
    tenant_id: str,
    review_id: str,
    *,
    decisions: Sequence[str] = (OPEN,),
    matching: str = "",
    after: str | None = None,
    limit: int = DEFAULT_LIMIT,
) -> Slice[ItemLine]:
    """What a campaign is about, by label; of it what has `matching` in its label."""
    check_limit(limit)
    _load(tx, tenant_id, review_id)
    rows = tx.scalars(
        select(ReviewItem)
        .where(
            ReviewItem.review_id == review_id,
            ReviewItem.decision.in_(decisions),
            func.lower(ReviewItem.label).contains(matching.lower(), autoescape=True),
            *behind(after, ReviewItem.label, ReviewItem.id),
        )
        .order_by(ReviewItem.label, ReviewItem.id)
        .limit(limit + 1)
    ).all()
    lines = [_item(tx, row) for row in rows]
    return sliced(lines, limit, [cursor_of(row.label, row.id) for row in rows])


def _items(
    tx: Session, tenant_id: str, review_id: str, server: str | None
) -> list[dict[str, object]]:
    urls = dict(
        tx.execute(
            select(Resource.id, Resource.identifier).where(Resource.tenant_id == tenant_id)
        ).all()
    )
    if server is not None and server not in urls:
        raise NotFound(
            f"there is no MCP server {server!r}; `authz resources list` shows them", field="server"
        )
    names = dict(tx.execute(select(Role.id, Role.name).where(Role.tenant_id == tenant_id)).all())
    common = {"tenant_id": tenant_id, "review_id": review_id, "decision": OPEN, "note": ""}
    found: list[dict[str, object]] = []
    reaching = set()
    for held in tx.scalars(select(RoleScope).where(RoleScope.tenant_id == tenant_id)):
        if server is not None and held.resource_id not in (server, ANY_RESOURCE):
            continue
        reaching.add(held.role_id)
        place = urls.get(held.resource_id, "every server")
        found.append(
            {
                **common,
                "id": entropy.new_id("rvi"),
                "kind": SCOPE,
                "role_id": held.role_id,
                "resource_id": held.resource_id,
                "scope": held.scope,
                "binding_id": None,
                "label": f"{names[held.role_id]}: {held.scope} at {place}",
            }
        )
    for kind, table, id_, column in HOLDERS:
        rows = tx.execute(
            select(RoleBinding.id, RoleBinding.role_id, column)
            .join(table, (id_ == RoleBinding.subject_id) & (table.tenant_id == tenant_id))
            .where(RoleBinding.tenant_id == tenant_id, RoleBinding.subject_kind == kind)
        )
        for binding_id, role_id, holder in rows:
            if server is not None and role_id not in reaching:
                continue
            found.append(
                {
                    **common,
                    "id": entropy.new_id("rvi"),
                    "kind": BINDING,
                    "role_id": role_id,
                    "resource_id": None,
                    "scope": None,
                    "binding_id": binding_id,
                    "label": f"{names[role_id]}: held by the {kind} {holder}",
                }
            )
    return found


def _end(tx: Session, item: ReviewItem) -> bool:
    """Whether there was anything left to end."""
    if item.kind == BINDING:
        gone = tx.execute(
            delete(RoleBinding)
            .where(
                RoleBinding.id == item.binding_id,
                RoleBinding.tenant_id == item.tenant_id,
            )
            .returning(RoleBinding.id)
        )
    else:
        gone = tx.execute(
            delete(RoleScope)
            .where(
                RoleScope.role_id == item.role_id,
                RoleScope.resource_id == item.resource_id,
                RoleScope.scope == item.scope,
                RoleScope.tenant_id == item.tenant_id,
            )
            .returning(RoleScope.scope)
        )
    return bool(gone.all())


def _decide(tx: Session, operator: Operator, item: ReviewItem, decision: str, note: str) -> None:
    item.decision, item.note = decision, _text("note", note) if note else ""
    item.decided_by, item.decided_at = operator.name, operator.now
    tx.flush()
    left = tx.scalars(
        select(func.count())
        .select_from(ReviewItem)
        .where(ReviewItem.review_id == item.review_id, ReviewItem.decision == OPEN)
    ).one()
    if not left:
        tx.get_one(Review, item.review_id).closed_at = operator.now
        tx.flush()
    values = {"review": item.review_id, "label": item.label}
    operator.changed(tx, item.tenant_id, f"review.{decision}", item.id, values)


def _load(tx: Session, tenant_id: str, review_id: str) -> Review:
    row = tx.get(Review, review_id)
    if row is None or row.tenant_id != tenant_id:
        raise NotFound(f"there is no review {review_id!r}; `authz reviews list` shows them")
    return row


def _locked(tx: Session, tenant_id: str, item_id: str) -> ReviewItem:
    row = tx.get(ReviewItem, item_id)
    if row is None or row.tenant_id != tenant_id:
        raise NotFound(f"there is no item {item_id!r}; `authz reviews show REVIEW` shows them")
    tx.refresh(row, with_for_update=True)
    if row.decision != OPEN:
        raise Conflict(f"somebody answered for this already: {row.decision}")
    return row


def _text(what: str, text: str) -> str:
    said = text.strip()
    if not 1 <= len(said) <= MAX_TEXT_CHARS or not said.isprintable():
        raise Invalid(f"the {what} has 1 to {MAX_TEXT_CHARS} printable characters", field=what)
    return said


def _line(tx: Session, row: Review) -> ReviewLine:
    counts = Counter(
        dict(
            tx.execute(
                select(ReviewItem.decision, func.count())
                .where(ReviewItem.review_id == row.id)
                .group_by(ReviewItem.decision)
            ).all()
        )
    )
    return ReviewLine(
        id=row.id,
        name=row.name,
        started_by=row.started_by,
        created_at=row.created_at,
        due_at=row.due_at,
        closed_at=row.closed_at,
        items=counts.total(),
        open=counts[OPEN],
        kept=counts[KEPT],
        removed=counts[REMOVED] + counts[EXPIRED] + counts[GONE],
    )


def _item(tx: Session, row: ReviewItem) -> ItemLine:
    server = None if row.resource_id is None else tx.get(Resource, row.resource_id)
    return ItemLine(
        id=row.id,
        review_id=row.review_id,
        kind=row.kind,
        label=row.label,
        owner="" if server is None else server.owner,
        resource_id=row.resource_id,
        decision=row.decision,
        decided_by=row.decided_by,
        decided_at=row.decided_at,
        note=row.note,
    )
