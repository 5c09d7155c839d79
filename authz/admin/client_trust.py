"""Which metadata documents are admitted: trust rules, and the requests of people who want another one."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from authz.admin.client_metadata import check_pattern
from authz.admin.operator import Operator
from authz.admin.revocation import cut_off_clients
from authz.clients.trust import TrustPolicy, Verdict
from authz.db.models import Client, ClientRequest, ClientTrustRule, Tenant
from authz.errors import Conflict, Invalid, NotFound
from authz.policy.administration import Permission


@dataclass(frozen=True)
class RuleLine:
    """One line of the trust policy."""

    pattern: str
    verdict: str
    created_at: datetime


@dataclass(frozen=True)
class RequestLine:
    """A client somebody asked for."""

    client_id: str
    user_id: str
    status: str
    created_at: datetime
    decided_at: datetime | None
    decided_by: str | None


def set_rule(
    tx: Session, operator: Operator, tenant_id: str, *, pattern: str, verdict: str
) -> RuleLine:
    """Allow or deny what the pattern covers; a rule for the same pattern is replaced. Deny wins over allow."""
    operator.must(Permission.CLIENTS_WRITE)
    if verdict not in ("allow", "deny"):
        raise Invalid(f"verdict {verdict!r} is not allow or deny", field="verdict")
    before = trust_policy(tx, tenant_id)
    rule = _upsert(tx, operator, tenant_id, check_pattern(pattern), verdict)
    cut_off_fallen(tx, operator, tenant_id, before)
    operator.changed(tx, tenant_id, f"client_trust.{verdict}", pattern)
    return RuleLine(rule.pattern, rule.verdict, rule.created_at)


def remove_rule(tx: Session, operator: Operator, tenant_id: str, pattern: str) -> str:
    """Take a line away; answers what it said."""
    operator.must(Permission.CLIENTS_WRITE)
    rule = tx.get(ClientTrustRule, (tenant_id, pattern))
    if rule is None:
        raise NotFound(f"there is no rule for {pattern!r}; `authz clients rules` shows them")
    verdict, before = rule.verdict, trust_policy(tx, tenant_id)
    tx.delete(rule)
    tx.flush()
    cut_off_fallen(tx, operator, tenant_id, before)
    operator.changed(tx, tenant_id, "client_trust.remove", pattern, {"verdict": verdict})
    return verdict


def rules(tx: Session, tenant_id: str) -> list[RuleLine]:
    """All lines, by pattern."""
    rows = tx.scalars(
        select(ClientTrustRule)
        .where(ClientTrustRule.tenant_id == tenant_id)
        .order_by(ClientTrustRule.pattern)
    )
    return [RuleLine(row.pattern, row.verdict, row.created_at) for row in rows]


def show_rule(tx: Session, tenant_id: str, pattern: str) -> RuleLine:
    """One line. Raises NotFound."""
    row = tx.get(ClientTrustRule, (tenant_id, pattern))
    if row is None:
        raise NotFound(f"there is no rule for {pattern!r}; `authz clients rules` shows them")
    return RuleLine(row.pattern, row.verdict, row.created_at)


def show_request(tx: Session, tenant_id: str, client_id: str) -> RequestLine:
    """What somebody asked for. Raises NotFound."""
    return request_line(_load_request(tx, tenant_id, client_id))


def requests(tx: Session, tenant_id: str, *, status: str | None = "open") -> list[RequestLine]:
    """What people asked for, oldest first; `status=None` shows decided ones too."""
    query = select(ClientRequest).where(ClientRequest.tenant_id == tenant_id)
    if status is not None:
        query = query.where(ClientRequest.status == status)
    rows = tx.scalars(query.order_by(ClientRequest.created_at, ClientRequest.client_id))
    return [request_line(row) for row in rows]


def find_request(tx: Session, tenant_id: str, client_id: str) -> RequestLine | None:
    """What was asked for this client, if anything was."""
    row = tx.get(ClientRequest, (tenant_id, client_id))
    return None if row is None else request_line(row)


def request_line(row: ClientRequest) -> RequestLine:
    """Of a row."""
    return RequestLine(
        client_id=row.client_id,
        user_id=row.user_id,
        status=row.status,
        created_at=row.created_at,
        decided_at=row.decided_at,
        decided_by=row.decided_by,
    )


def approve(tx: Session, operator: Operator, tenant_id: str, client_id: str) -> RequestLine:
    """Admit the client: an allow rule for exactly this URL, nothing wider."""
    operator.must(Permission.CLIENTS_WRITE)
    row = _load_request(tx, tenant_id, client_id)
    if row.status == "approved":
        raise Conflict(f"the request for {client_id!r} is approved already")
    denied = frozenset(rule.pattern for rule in rules(tx, tenant_id) if rule.verdict == "deny")
    if TrustPolicy("open", deny=denied).judge(client_id) is Verdict.DENIED:
        raise Conflict(
            f"a deny rule covers {client_id!r}, and deny wins; `authz clients rules` shows it, "
            "`authz clients unlist PATTERN` takes it away"
        )
    _upsert(tx, operator, tenant_id, check_pattern(client_id), "allow")
    return _decide(tx, operator, row, "approved")


def refuse(tx: Session, operator: Operator, tenant_id: str, client_id: str) -> RequestLine:
    """Say no. The client stays unlisted; the person can be told by who runs this."""
    operator.must(Permission.CLIENTS_WRITE)
    row = _load_request(tx, tenant_id, client_id)
    if row.status == "approved":
        raise Conflict(
            f"the request for {client_id!r} was approved; `authz clients unlist` or `deny` ends that"
        )
    return _decide(tx, operator, row, "refused")


def trust_policy(tx: Session, tenant_id: str) -> TrustPolicy:
    """The policy as it is in this transaction."""
    mode = tx.scalars(select(Tenant.client_trust).where(Tenant.id == tenant_id)).one()
    found = rules(tx, tenant_id)
    return TrustPolicy(
        mode,
        allow=frozenset(it.pattern for it in found if it.verdict == "allow"),
        deny=frozenset(it.pattern for it in found if it.verdict == "deny"),
    )


def cut_off_fallen(tx: Session, operator: Operator, tenant_id: str, before: TrustPolicy) -> None:
    """End the access tokens of clients that were admitted before and are no longer."""
    after = trust_policy(tx, tenant_id)
    known = tx.scalars(
        select(Client.id).where(Client.tenant_id == tenant_id, Client.kind == "cimd")
    )
    fallen = [
        it
        for it in known
        if before.judge(it) is Verdict.ADMITTED and after.judge(it) is not Verdict.ADMITTED
    ]
    cut_off_clients(tx, operator, tenant_id, fallen)


def _decide(tx: Session, operator: Operator, row: ClientRequest, status: str) -> RequestLine:
    row.status, row.decided_at, row.decided_by = status, operator.now, operator.name
    tx.flush()
    operator.changed(
        tx,
        row.tenant_id,
        "client_request.decide",
        row.client_id,
        {"status": status},
        subject=row.user_id,
        client=row.client_id,
    )
    return request_line(row)


def _upsert(
    tx: Session, operator: Operator, tenant_id: str, pattern: str, verdict: str
) -> ClientTrustRule:
    rule = tx.get(ClientTrustRule, (tenant_id, pattern))
    if rule is None:
        rule = ClientTrustRule(
            tenant_id=tenant_id, pattern=pattern, verdict=verdict, created_at=operator.now
        )
        tx.add(rule)
    rule.verdict = verdict
    tx.flush()
    return rule


def _load_request(tx: Session, tenant_id: str, client_id: str) -> ClientRequest:
    row = tx.get(ClientRequest, (tenant_id, client_id))
    if row is None:
        raise NotFound(f"nobody asked for {client_id!r}; `authz clients requests` shows who asked")
    return row
