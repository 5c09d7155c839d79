"""Plans: what applying a directory changes, and what that does to everybody."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from authz.admin.code import KINDS, applied, facts
from authz.admin.code.facts import Counting, Population
from authz.admin.code.kind import Site
from authz.admin.code.roles import current_file
from authz.db.models import IssuedToken, Resource, Tenant
from authz.db.types import canonical_json
from authz.directory import users
from authz.errors import Conflict
from authz.policy.administration import Permission
from authz.policy.code import KINDS as SHAPES
from authz.policy.code import writing
from authz.policy.code.approval import Approval
from authz.policy.code.entries import Change, Entries, differences
from authz.policy.code.roles import widens as roles_widen
from authz.policy.reach import Crowd, Reached, compare
from authz.revocations.entries import RESOURCE, switch_off

WIDENS: Mapping[str, Callable[[Change], bool]] = {
    **{kind: shape.widens for kind, shape in SHAPES.items()},
    "roles": roles_widen,
}


class Unapproved(Conflict):
    """Access grows, and nobody approved just that."""


@dataclass(frozen=True)
class Effect:
    """What a directory did within a transaction, and all that is needed to say whom it concerns."""

    changes: tuple[Change, ...]
    crowd: Crowd = field(default=Crowd(()))
    reached: tuple[Reached, ...] = ()

    @cached_property
    def widening(self) -> tuple[Change, ...]:
        """Changes that let somebody or something in, whoever that will be."""
        return tuple(change for change in self.changes if WIDENS[change.kind](change))

    @property
    def narrowed(self) -> tuple[str, ...]:
        """Servers at which somebody gets less than before."""
        return tuple(sorted({it.server for it in self.reached if it.shrinks}))

    @property
    def grows(self) -> bool:
        """Whether somebody gets more than before, or may."""
        return bool(self.widening) or any(it.grows for it in self.reached)

    @cached_property
    def digest(self) -> str:
        """Of the changes, and of what grows by them: which scope of which server, for clients and values by name."""
        people = len(self.crowd.people)
        access = [
            {
                "server": it.server,
                "scope": it.scope,
                "people": bool((it.gained | it.eased) & ((1 << people) - 1)),
                "claims": self.crowd.names((it.gained | it.eased) >> people << people, None),
                "clients": list(it.clients_gained),
            }
            for it in self.reached
            if it.grows
        ]
        value = {"v": 1, "changes": [it.as_json() for it in self.changes], "access": access}
        return f"sha256:{hashlib.sha256(canonical_json(value).encode()).hexdigest()}"


@dataclass(frozen=True)
class Rehearsed:
    """What an applied directory left behind, before anybody is counted."""

    changes: tuple[Change, ...]
    people: Sequence[tuple[str, str]] = ()
    before: Population | None = None
    after: Population | None = None

    def effect(self, now: datetime) -> Effect:
        """Count. Slow for very many people, so a plan does it when its transaction is over."""
        if self.before is None or self.after is None:
            return Effect(self.changes)
        crowd = facts.crowd_of(self.people, (self.before, self.after))
        numbers = {id_: number for number, (id_, _) in enumerate(self.people)}
        counting = Counting(crowd, numbers)
        before, after = (counting.moment_of(it, now) for it in (self.before, self.after))
        return Effect(self.changes, crowd, tuple(compare(crowd, before, after, now)))


def drift(site: Site) -> tuple[Change, ...]:
    """In what the tenant differs from the directory. Raises Invalid naming the place."""
    site.operator.must(Permission.READ)
    return tuple(_changes(site))


def export(site: Site) -> dict[str, str]:
    """The tenant as the files of a directory, by name; applying them changes nothing."""
    site.operator.must(Permission.READ)
    entries = {kind: KINDS[kind].current(site) for kind in SHAPES}
    return writing.write(entries, current_file(site))


def rehearse(site: Site, *, base: str) -> Rehearsed:
    """Make the tenant as the directory says; the caller decides whether that stays.

    `base` is the installation's issuer. Raises AuthzError, after which nothing of it may be kept.
    """
    tx, operator, tenant_id = site.tx, site.operator, site.tenant_id
    operator.must(Permission.READ)
    # Two at once would each compare with what the other is about to replace.
    tx.execute(select(Tenant.id).where(Tenant.id == tenant_id).with_for_update())
    site.watch.at("comparing policy with the directory")
    changes = tuple(_changes(site))
    if not changes:
        return Rehearsed(changes)

    def population() -> Population:
        configuration = facts.configuration_of(tx, tenant_id, base, operator.envelope)
        return facts.read(tx, tenant_id, configuration, operator.now)

    site.watch.at("reading who holds what")
    people, before = facts.people(tx, tenant_id), population()
    site.watch.at(f"trying {len(changes)} changes")
    _write(site, changes)
    site.watch.at("reading who would hold what")
    return Rehearsed(changes, people, before, population())


def apply(
    site: Site,
    *,
    base: str,
    expected: str | None = None,
    approval: Approval | None = None,
    cut_now: bool = False,
) -> Effect:
    """The same, to stay: all of it or nothing. `expected` is the digest of the plan that is meant.

    Who lost something has it until their token ends, minutes later; with `cut_now` the access tokens for those servers
    end at once, and clients fetch narrower ones (L6).
    Raises Unapproved where access grows, and Conflict when it is another plan by now or when what came of it is not
    what was wanted.
    """
    tx, operator, tenant_id = site.tx, site.operator, site.tenant_id
    rehearsed = rehearse(site, base=base)
    site.watch.at(f"counting {len(rehearsed.people)} people")
    effect = rehearsed.effect(operator.now)
    if expected is not None and effect.digest != expected:
        raise Conflict(
            f"the plan is {effect.digest} now, not {expected}: something changed since; look at a new plan"
        )
    if not effect.changes:
        applied.note(site)
        return effect
    check_approval(effect, approval)
    for left in _changes(site):
        raise Conflict(f"{left.kind} {left.name} would still differ; nothing was changed")
    applied.note(site)
    cut = effect.narrowed if cut_now else ()
    if cut:
        ids = select(Resource.id).where(
            Resource.tenant_id == tenant_id, Resource.identifier.in_(cut)
        )
        which = IssuedToken.resource_id.in_(ids)
        switch_off(tx, tenant_id, RESOURCE, cut, which, operator.now)
    values = {
        "changes": len(effect.changes),
        "cut": list(cut),
        "gained": sum(it.grows for it in effect.reached),
        "lost": sum(it.shrinks for it in effect.reached),
        "approved_by": None if approval is None else _name(tx, tenant_id, approval.approved_by),
        "approved_at": None if approval is None else approval.approved_at.isoformat(),
    }
    operator.changed(tx, tenant_id, "policy.apply", effect.digest, values)
    return effect


def check_approval(effect: Effect, approval: Approval | None) -> None:
    """Raises Unapproved where access grows and the file approves another plan, or there is none."""
    if not effect.grows:
        return
    if approval is None:
        raise Unapproved(
            f"access grows, and nobody approved it: an approval file names the plan {effect.digest}"
        )
    if approval.plan != effect.digest:
        raise Unapproved(f"the approval is of {approval.plan}; this plan is {effect.digest}")


def _changes(site: Site) -> Iterator[Change]:
    for kind, module in KINDS.items():
        current = module.current(site)
        wanted: Entries | None = module.wanted(site, current)
        if wanted is not None:
            yield from differences(kind, current, wanted)


def _write(site: Site, changes: Sequence[Change]) -> None:
    by_kind: dict[str, list[Change]] = {}
    for change in changes:
        by_kind.setdefault(change.kind, []).append(change)
    for kind, module in KINDS.items():
        module.write(site, by_kind.get(kind, ()))
    for kind, module in reversed(list(KINDS.items())):
        module.forget(site, by_kind.get(kind, ()))


def _name(tx: Session, tenant_id: str, approved_by: str) -> str | None:
    """Their id; the trail holds no addresses, so of somebody unknown only what is none."""
    user = users.find_by_login(tx, tenant_id, users.normal_login(approved_by))
    if user is not None:
        return user.id
    return None if "@" in approved_by else approved_by


def as_value(effect: Effect, limit: int | None) -> dict[str, Any]:
    """For programs; the first so many names of each."""
    crowd = effect.crowd

    def told(mask: int) -> dict[str, Any]:
        return {"count": mask.bit_count(), "names": crowd.names(mask, limit)}

    return {
        "digest": effect.digest,
        "grows": effect.grows,
        "changes": [
            {**it.as_json(), "verb": it.verb, "widens": WIDENS[it.kind](it)}
            for it in effect.changes
        ],
        "access": [
            {
                "server": it.server,
                "scope": it.scope,
                "gained": told(it.gained),
                "lost": told(it.lost),
                "eased": told(it.eased),
                "tightened": told(it.tightened),
                "clients_gained": list(it.clients_gained),
                "clients_lost": list(it.clients_lost),
            }
            for it in effect.reached
        ],
    }
