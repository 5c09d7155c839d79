"""A workload's token: what it says, held against a trust entry and its rules (WIF-01 to -05). Pure.

Every defect is an InvalidGrant with the one public sentence and a reason of its own. What the workload then gets is
`policy`.

Decisions:
- The token is proof of who asks and grant in one: nobody else is authenticated, and `client_id` of the access token is
  the workload like its `sub`, as for a client that acts for itself (RFC 9068 §2.2 demands one; the draft names none).
- A request may carry `client_id`, which some libraries cannot leave out; it is then the name of the rule, or the
  workload's id. It selects nothing.
- A token is told from others by its `jti`; where it has none (JWT-SVIDs), by all that was signed. Never by the
  signature: of one ECDSA signature anybody can make another.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from authz import entropy
from authz.clients.client import Client
from authz.errors import InvalidGrant
from authz.jose import LEEWAY, JwtError, Profile, time_claim
from authz.oauth.workload_rules import MAX_SUBJECT_CHARS, WorkloadRule
from authz.oauth.workload_trust import WorkloadTrust
from authz.policy import Subject
from authz.policy.snapshot import HeldRole, Policy

TYPS: frozenset[str | None] = frozenset({None, "jwt", "jose"})
"""What workload platforms write; SPIFFE allows `JOSE`. Anything else is another kind of token (CONF-05)."""
REFUSED = "the assertion is not valid"
"""The one public sentence, whatever is wrong."""
_OTHER_KINDS = ("events", "nonce")
"""Of security events and logout tokens, and of ID tokens about people, which may have the same `typ`."""
_MAX_JTI_CHARS = 256


@dataclass(frozen=True)
class Workload:
    """A verified token of a workload that a rule knows."""

    trust: WorkloadTrust
    rule: WorkloadRule
    subject: str
    """As its platform calls it."""
    mark: tuple[str, str]
    """What tells this token from others: which kind of name, and the name."""
    expires_at: datetime

    def __repr__(self) -> str:
        return f"Workload(trust={self.trust.slug!r}, rule={self.rule.name!r})"

    @property
    def id(self) -> str:
        """What this server calls it."""
        return self.trust.id_of(self.rule)

    def as_json(self) -> dict[str, str]:
        """For the trail: what this server calls it is derived from this, and says nothing to people."""
        return {"trust": self.trust.slug, "rule": self.rule.name, "asserted": self.subject}

    @property
    def replay_key(self) -> str:
        """Per trust entry and issuer, so equal `jti`s of two issuers are two."""
        return entropy.digest(
            "\x00".join(("workload", self.trust.issuer, self.trust.id, *self.mark))
        )

    @property
    def remembered_until(self) -> datetime:
        """Exactly as long as it would be accepted: the same constant on both sides."""
        return self.expires_at + LEEWAY * 2


def is_typ(header: Mapping[str, Any]) -> bool:
    """Whether the header is of a kind of token that workloads have."""
    typ = header.get("typ")
    if typ is not None and not isinstance(typ, str):
        return False
    return (None if typ is None else typ.lower().removeprefix("application/")) in TYPS


def profile_of(trust: WorkloadTrust, issuer: str) -> Profile:
    """What the JWT must look like; `issuer` is ours."""
    settings = trust.settings
    return Profile(
        typ=TYPS,
        algorithms=settings.algorithms,
        issuer=trust.issuer,
        audiences=frozenset(settings.audiences or {issuer}),
        max_lifetime=trust.max_lifetime,
        required=frozenset({"jti"}) if settings.is_single_use else frozenset(),
    )


def check(
    claims: Mapping[str, Any], trust: WorkloadTrust, *, signed: str, client_id: str | None
) -> Workload:
    """The claims of a JWT that satisfied `profile_of`; `signed` is what its signature covers.

    Raises InvalidGrant.
    """
    if any(name in claims for name in _OTHER_KINDS):
        raise _refusal("workload_other_kind")
    if len(claims["sub"]) > MAX_SUBJECT_CHARS:
        raise _refusal("jwt_sub")
    _moment(claims, "iat")
    expires_at = _moment(claims, "exp")
    rules = [rule for rule in trust.settings.rules if rule.matches(claims)]
    if not rules:
        raise _refusal("workload_unknown")
    if len(rules) > 1:
        raise _refusal("workload_ambiguous")
    found = Workload(
        trust=trust,
        rule=rules[0],
        subject=claims["sub"],
        mark=_mark(claims, signed),
        expires_at=expires_at,
    )
    if client_id is not None and client_id not in (found.rule.name, found.id):
        raise _refusal("workload_client_id")
    return found


def as_client(found: Workload, tenant_id: str) -> Client:
    """The workload in the place of a client: it has proven itself, and may do this one thing."""
    return Client(
        tenant_id=tenant_id,
        id=found.id,
        kind="workload",
        enabled=True,
        name=found.rule.name,
        redirect_uris=(),
        grant_types=frozenset(),
        auth_methods=frozenset(),
    )


def subject_of(
    workload_id: str, rule: WorkloadRule, policy: Policy, *, of: str | None = None
) -> Subject:
    """The workload of a rule as policy sees it; `of` is the trust entry, for explanations."""
    names = frozenset(rule.roles)
    entry = "" if of is None else f" of {of}"
    return Subject(
        id=workload_id,
        roles=tuple(HeldRole(it.id) for it in policy.roles.values() if it.name in names),
        scopes=frozenset(rule.scopes),
        scopes_from=f"rule {rule.name}{entry}",
    )


def _mark(claims: Mapping[str, Any], signed: str) -> tuple[str, str]:
    jti = claims.get("jti")
    if jti is None:
        return "signed", entropy.digest(signed)
    if not isinstance(jti, str) or not 1 <= len(jti) <= _MAX_JTI_CHARS or not jti.isprintable():
        raise _refusal("jwt_jti")
    return "jti", jti


def _moment(claims: Mapping[str, Any], name: str) -> datetime:
    try:
        value = time_claim(claims, name)
    except JwtError as error:
        raise _refusal(error.reason) from None
    return datetime.fromtimestamp(value, tz=UTC)


def _refusal(reason: str) -> InvalidGrant:
    return InvalidGrant(REFUSED, reason=reason)
