"""What changes between two moments, scope by scope."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache

from authz.policy import Subject, decide
from authz.policy.reach.crowd import Crowd, Moment, admitted
from authz.policy.reach.spots import classes_of, connections_of, sign_ins_of, spot_of
from authz.policy.snapshot import Resource


@dataclass(frozen=True)
class Reached:
    """What changes at one scope of one server; masks of the crowd, and clients by id."""

    server: str
    scope: str
    gained: int = 0
    lost: int = 0
    eased: int = 0
    tightened: int = 0
    clients_gained: tuple[str, ...] = ()
    clients_lost: tuple[str, ...] = ()

    @property
    def shrinks(self) -> bool:
        """Whether anybody gets less than before."""
        return bool(self.lost or self.tightened or self.clients_lost)

    @property
    def grows(self) -> bool:
        """Whether anybody gets more than before."""
        return bool(self.gained or self.eased or self.clients_gained)


def compare(crowd: Crowd, before: Moment, after: Moment, now: datetime) -> list[Reached]:
    """Every scope at which something changes, by server and name."""
    found = []
    admissions = _admissions(crowd, before, after), _admissions(crowd, after, before)
    servers = {**before.policy.resources, **after.policy.resources}
    for id_ in sorted(servers):
        was, is_ = before.policy.resources.get(id_), after.policy.resources.get(id_)
        scopes = set[str]().union(*(it.scopes for it in (was, is_) if it is not None))
        machines = _machines(before, after, was, is_, frozenset(scopes), now)
        for scope in sorted(scopes):
            made = _at_scope(crowd, before, after, admissions, was, is_, scope, now)
            gained, lost = machines.get(scope, ((), ()))
            if any(made) or gained or lost:
                found.append(Reached(servers[id_].identifier, scope, *made, gained, lost))
    return sorted(found, key=lambda it: (it.server, it.scope))


def _admissions(crowd: Crowd, moment: Moment, other: Moment) -> Callable[[str], int]:
    """Whom each server is rolled out to under one policy, by its id; looked up where it matters, and once."""

    @cache
    def of(id_: str) -> int:
        # Who is in the percentage of a new server follows from an id that it has not got for good yet.
        is_new = id_ not in other.policy.resources
        return admitted(crowd, moment, moment.policy.resources[id_], is_new=is_new)

    return of


def _at_scope(
    crowd: Crowd,
    before: Moment,
    after: Moment,
    admissions: Sequence[Callable[[str], int]],
    was: Resource | None,
    is_: Resource | None,
    scope: str,
    now: datetime,
) -> tuple[int, int, int, int]:
    """Gained, lost, eased, tightened."""
    old, new = spot_of(before, was, scope), spot_of(after, is_, scope)
    mentioned = connections_of([*old.requirements, *new.requirements])
    if old.facts(mentioned) == new.facts(mentioned):
        return 0, 0, 0, 0
    sign_ins = sign_ins_of(old, new, mentioned, now)
    gained = lost = eased = tightened = 0
    for mask, were, are in classes_of(crowd, old, new, admissions):
        had, has = old.granted(were, sign_ins, now), new.granted(are, sign_ins, now)
        if has and not had:
            gained |= mask
        elif had and not has:
            lost |= mask
        else:
            eased |= mask if has - had else 0
            tightened |= mask if had - has else 0
    return gained, lost, eased, tightened


def _machines(
    before: Moment,
    after: Moment,
    was: Resource | None,
    is_: Resource | None,
    scopes: frozenset[str],
    now: datetime,
) -> dict[str, tuple[tuple[str, ...], tuple[str, ...]]]:
    """Clients that gained and that lost, by scope."""
    gained: dict[str, list[str]] = {}
    lost: dict[str, list[str]] = {}
    for client in sorted(before.machines.keys() | after.machines.keys()):
        had, has = _gets(before, was, client, scopes, now), _gets(after, is_, client, scopes, now)
        for scope in has - had:
            gained.setdefault(scope, []).append(client)
        for scope in had - has:
            lost.setdefault(scope, []).append(client)
    return {
        it: (tuple(gained.get(it, ())), tuple(lost.get(it, ())))
        for it in gained.keys() | lost.keys()
    }


def _gets(
    moment: Moment, resource: Resource | None, client: str, scopes: frozenset[str], now: datetime
) -> frozenset[str]:
    """What a client gets there for itself, as its grant decides it."""
    machine = moment.machines.get(client)
    if machine is None or not machine.may_act or resource is None:
        return frozenset()
    # What everybody holds says nothing of anybody.
    if resource.is_user_required or resource.is_builtin:
        return frozenset()
    return decide(
        moment.policy,
        Subject(client, roles=moment.policy.client_roles.get(client, ())),
        resource,
        client=client,
        requested=scopes,
        ceilings=machine.bounds(resource),
        now=now,
    ).granted
