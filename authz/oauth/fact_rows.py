"""How facts are read and written: the token lane's statements, each over the whole batch.

The number of statements depends on what kinds of requests a batch holds, never on how many.
"""

from collections.abc import Iterable, Sequence
from dataclasses import fields, replace

from sqlalchemy import Select, and_, literal, null, select, union_all

from authz.db.models import (
    AuthorizationCode,
    Consent,
    GroupMember,
    IssuedToken,
    ReplayKey,
    RoleBinding,
    TokenFamily,
    User,
)
from authz.db.statements import AnyOf, Call, Insert, InsertOnce, Query, Row, Update
from authz.db.types import UTCDateTime
from authz.oauth.facts import Changes, Code, FactKeys, Facts, Family, Token
from authz.policy.snapshot import HeldRole

_FAMILY_COLUMNS = (
    TokenFamily.id,
    TokenFamily.tenant_id,
    TokenFamily.client_id,
    TokenFamily.user_id,
    TokenFamily.resource_id,
    TokenFamily.scopes,
    TokenFamily.refreshable,
    TokenFamily.salt,
    TokenFamily.generation,
    TokenFamily.rotated_at,
    TokenFamily.auth_time,
    TokenFamily.acr,
    TokenFamily.amr,
    TokenFamily.confirmation,
    TokenFamily.authorization_details,
    TokenFamily.created_at,
    TokenFamily.idle_expires_at,
    TokenFamily.expires_at,
    TokenFamily.revoked_at,
    TokenFamily.revoked_because,
)

_AMR = [it.name for it in fields(Family)].index("amr")

FAMILIES = Query(
    select(*_FAMILY_COLUMNS, User.status, Consent.scopes, Consent.revoked_at)
    .join_from(
        TokenFamily,
        User,
        and_(User.id == TokenFamily.user_id, User.tenant_id == TokenFamily.tenant_id),
        isouter=True,
    )
    .join(
        Consent,
        and_(
            Consent.tenant_id == TokenFamily.tenant_id,
            Consent.user_id == TokenFamily.user_id,
            Consent.client_id == TokenFamily.client_id,
            Consent.resource_id == TokenFamily.resource_id,
        ),
        isouter=True,
    )
    .where(AnyOf(TokenFamily.id, "families"))
    .order_by(TokenFamily.id)
    .with_for_update(of=TokenFamily)
)

# A replayed code must be able to revoke the family it made, so those families are read and locked too.
FAMILIES_OF_CODES = Query(
    select(*_FAMILY_COLUMNS, literal("active"), null().label("scopes"), null().label("revoked"))
    .where(
        TokenFamily.id.in_(
            select(AuthorizationCode.family_id).where(AnyOf(AuthorizationCode.digest, "codes"))
        )
    )
    .order_by(TokenFamily.id)
    .with_for_update(of=TokenFamily)
)

CODES = Query(
    select(
        AuthorizationCode.digest,
        AuthorizationCode.tenant_id,
        AuthorizationCode.client_id,
        AuthorizationCode.user_id,
        AuthorizationCode.resource_id,
        AuthorizationCode.redirect_uri,
        AuthorizationCode.code_challenge,
        AuthorizationCode.scopes,
        AuthorizationCode.requested,
        AuthorizationCode.offline_access,
        AuthorizationCode.openid,
        AuthorizationCode.nonce,
        AuthorizationCode.authorization_details,
        AuthorizationCode.dpop_jkt,
        AuthorizationCode.auth_time,
        AuthorizationCode.acr,
        AuthorizationCode.amr,
        AuthorizationCode.expires_at,
        AuthorizationCode.spent_at,
        AuthorizationCode.family_id,
        User.status,
        Consent.scopes,
        Consent.revoked_at,
    )
    .join_from(
        AuthorizationCode,
        User,
        and_(User.id == AuthorizationCode.user_id, User.tenant_id == AuthorizationCode.tenant_id),
        isouter=True,
    )
    .join(
        Consent,
        and_(
            Consent.tenant_id == AuthorizationCode.tenant_id,
            Consent.user_id == AuthorizationCode.user_id,
            Consent.client_id == AuthorizationCode.client_id,
            Consent.resource_id == AuthorizationCode.resource_id,
        ),
        isouter=True,
    )
    .where(AnyOf(AuthorizationCode.digest, "codes"))
    .order_by(AuthorizationCode.digest)
    .with_for_update(of=AuthorizationCode)
)


def _roles_query(users: Select[str]) -> Query:
    direct = select(
        literal("role"), RoleBinding.subject_id, RoleBinding.role_id, RoleBinding.expires_at
    ).where(
        RoleBinding.subject_kind == "user",
        RoleBinding.subject_id.in_(users),
    )
    through_groups = select(
        literal("group"),
        GroupMember.user_id,
        GroupMember.group_id,
        literal(None, UTCDateTime),
    ).where(GroupMember.user_id.in_(users))
    return Query(union_all(direct, through_groups))


_USERS_OF_FAMILIES = select(TokenFamily.user_id).where(AnyOf(TokenFamily.id, "families"))
_USERS_OF_CODES = select(AuthorizationCode.user_id).where(AnyOf(AuthorizationCode.digest, "codes"))
ROLES_OF_FAMILIES = _roles_query(_USERS_OF_FAMILIES)
ROLES_OF_CODES = _roles_query(_USERS_OF_CODES)

CLAIM_REPLAYS = InsertOnce(ReplayKey.__table__, "key")  # type: ignore[arg-type]
SPEND_CODES = Update(
    AuthorizationCode.__table__,  # type: ignore[arg-type]
    keys=["digest"],
    assign=["spent_at", "family_id"],
)
UPDATE_FAMILIES = Update(
    TokenFamily.__table__,  # type: ignore[arg-type]
    keys=["id"],
    assign=["generation", "rotated_at", "idle_expires_at", "revoked_at", "revoked_because"],
)
INSERT_FAMILIES = Insert(TokenFamily.__table__)  # type: ignore[arg-type]
INSERT_TOKENS = Insert(IssuedToken.__table__)  # type: ignore[arg-type]


def read_calls(keys: Iterable[tuple[str, FactKeys]]) -> list[Call]:
    """The statements that read all facts; `keys` are pairs of tenant id and what its request needs."""
    wanted = list(keys)
    codes = {code for _, k in wanted for code in k.codes}
    families = {family for _, k in wanted for family in k.families}
    replays = {(tenant, r.key): r.expires_at for tenant, k in wanted for r in k.replays}
    calls = []
    if replays:
        rows = [(tenant, key, until) for (tenant, key), until in sorted(replays.items())]
        calls.append(CLAIM_REPLAYS(rows))
    if families:
        calls += [FAMILIES(families=families), ROLES_OF_FAMILIES(families=families)]
    if codes:
        calls += [
            CODES(codes=codes),
            FAMILIES_OF_CODES(codes=codes),
            ROLES_OF_CODES(codes=codes),
        ]
    return calls


def read_facts(calls: Sequence[Call], rows: Sequence[list[Row]]) -> Facts:
    """Facts from the answers of `read_calls`."""
    facts = Facts()
    held: dict[str, list[HeldRole]] = {}
    member: dict[str, set[str]] = {}
    for call, answer in zip(calls, rows, strict=True):
        statement = call.statement
        if statement is CLAIM_REPLAYS:
            facts.claimed = {key for (key,) in answer}
        elif statement is FAMILIES or statement is FAMILIES_OF_CODES:
            for row in answer:
                facts.families.setdefault(row[0], _family(row))
        elif statement is CODES:
            facts.codes = {row[0]: _code(row) for row in answer}
        else:
            for kind, user_id, id_, expires_at in answer:
                if kind == "role":
                    held.setdefault(user_id, []).append(HeldRole(id_, expires_at))
                else:
                    member.setdefault(user_id, set()).add(id_)
    facts.roles = {user: tuple(dict.fromkeys(roles)) for user, roles in held.items()}
    facts.groups = {user: frozenset(groups) for user, groups in member.items()}
    return facts


def write_calls(changes: Sequence[Changes]) -> list[Call]:
    """The statements that apply all changes of a batch; the last value of a fact wins."""
    codes = {code.digest: code for c in changes for code in c.codes}
    new = {family.id for c in changes for family in c.new_families}
    latest = {f.id: f for c in changes for f in (*c.new_families, *c.families)}
    tokens = [token for c in changes for token in c.tokens]
    calls = []
    if codes:
        calls.append(
            SPEND_CODES(
                [(code.digest, code.spent_at, code.family_id) for _, code in sorted(codes.items())]
            )
        )
    if changed := [f for id_, f in sorted(latest.items()) if id_ not in new]:
        calls.append(
            UPDATE_FAMILIES(
                [
                    (
                        f.id,
                        f.generation,
                        f.rotated_at,
                        f.idle_expires_at,
                        f.revoked_at,
                        f.revoked_because,
                    )
                    for f in changed
                ]
            )
        )
    if new:
        calls.append(INSERT_FAMILIES([_family_row(latest[id_]) for id_ in sorted(new)]))
    if tokens:
        calls.append(INSERT_TOKENS([_token_row(token) for token in tokens]))
    return calls


def _family(row: Row) -> Family:
    *columns, status, consented, revoked_at = row
    columns[_AMR] = tuple(columns[_AMR])
    columns += [status == "active", consented if revoked_at is None else None]
    return Family(*columns)


def _code(row: Row) -> Code:
    *columns, status, consented, revoked_at = row
    code = Code(*columns)
    return replace(
        code,
        amr=tuple(code.amr),
        offline_access=bool(code.offline_access),
        subject_enabled=status == "active",
        consent_stands=consented is not None and revoked_at is None,
    )


def _family_row(f: Family) -> Row:
    return (
        f.id,
        f.tenant_id,
        f.client_id,
        f.user_id,
        f.resource_id,
        f.scopes,
        f.refreshable,
        f.salt,
        f.generation,
        f.rotated_at,
        f.auth_time,
        f.acr,
        list(f.amr),
        f.confirmation,
        f.authorization_details,
        f.created_at,
        f.idle_expires_at,
        f.expires_at,
        f.revoked_at,
        f.revoked_because,
    )


def _token_row(t: Token) -> Row:
    return (
        t.jti,
        t.tenant_id,
        t.family_id,
        t.client_id,
        t.subject,
        t.resource_id,
        t.scopes,
        t.decision,
        t.issued_at,
        t.expires_at,
        None,
    )
