"""The token lane's program: facts, decisions, rows, audit, one commit.

Runs on either engine (`db.batch`). A batch reads the configuration version of every tenant in it; a tenant whose number
moved is read anew before anything is decided, and requests whose client was resolved under an older number go back
to be prepared again (`Stale`).
"""

from collections.abc import Awaitable, Callable, Generator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import structlog

from authz import entropy
from authz.audit import HEADS, INSERT_EVENTS, INSERT_HEADS, UPDATE_HEADS, chain, event_row
from authz.audit.chain import MAIN_STRAND, Head
from authz.audit.events import Event, StrandOpened, TokenRefused
from authz.clock import Clock
from authz.db.batch import FateUnknown, Phase
from authz.db.statements import Call, Row
from authz.errors import InvalidClient, OAuthError, SubjectUnlinked
from authz.oauth.authorization import Outcome
from authz.oauth.configuration import TenantConfiguration
from authz.oauth.configuration_queries import QUERIES, VERSIONS
from authz.oauth.configurations import Configurations
from authz.oauth.facts import FactKeys, Facts, Replay
from authz.oauth.rows import read_calls, read_facts, replays, write_calls
from authz.values import value

log = structlog.get_logger()


@value(frozen=True)
class Job:
    """A prepared request: what it needs to know, and the pure function that decides it."""

    configuration: TenantConfiguration
    keys: FactKeys
    decide: Callable[[Facts, datetime], Outcome]
    """Raises OAuthError for a refusal that changes nothing."""
    client_id: str
    grant_type: str | None = None
    """Of a token request, whose every verdict is an event."""
    is_reading: bool = False
    """It never changes anything: nothing has to be durable before it is answered."""
    refusal: Callable[[OAuthError], Event] | None = None
    """How the trail tells of a verdict against it, where more is known than the client."""
    trace: str | None = None
    """The trace the request belongs to; every event of its outcome names it (S14)."""
    is_trial: bool = False
    """It is decided as if it were presented now, and nothing comes of it: no row, no event, no single use spent."""
    is_signed_ahead: bool = False
    """Its answer was signed after a trial; it may turn out to be another one now (`Unsigned`)."""
    cure: Callable[[], Awaitable[None]] | None = None
    """Gives an unknown subject an account, where that is done at all; then the request is decided once more."""

    def as_trial(self) -> "Job":
        """The same, decided and forgotten: what would come of it?"""
        return replace(self, is_trial=True, is_reading=True, cure=None)

    @property
    def wanted(self) -> FactKeys:
        """What is read for it: asking whether something is presented for the first time is presenting it."""
        return replace(self.keys, replays=()) if self.is_trial else self.keys

    def with_replays(self, replays: tuple[Replay, ...]) -> "Job":
        """The same, if these, and no others, are presented for the first time."""
        if replays == self.keys.replays:
            return self
        # What is claimed is written.
        keys = replace(self.keys, replays=replays)
        return replace(self, keys=keys, is_reading=self.is_reading and not replays)


class Stale(Exception):
    """The configuration moved since the request was prepared: prepare it again.

    `claimed` are the replay keys that this request was the first to present: they are remembered by now, and must not
    count against the request's own second turn.
    """

    def __init__(self, claimed: frozenset[str]) -> None:
        super().__init__()
        self.claimed = claimed


class Unsigned(Exception):
    """The decision is another one than what was signed ahead; raised by a job's `decide`, and becomes `Stale`."""


class Unready(Stale):
    """The subject has no account yet: prepare the request again after its `Job.cure`."""


Result = tuple[Outcome, TenantConfiguration] | Exception


class TokenProgram:
    """One per worker of a lane: holds the heads of the audit strands that it alone writes."""

    def __init__(self, configurations: Configurations, clock: Clock) -> None:
        self._configurations = configurations
        self._clock = clock
        self._strand = entropy.new_id("lane")
        self._heads: dict[str, Head] = {}

    def __call__(self, jobs: Sequence[Job]) -> Generator[Phase, list[list[Row]], list[Result]]:
        """See `db.batch.Program`."""
        tenants = {job.configuration.tenant.id for job in jobs}
        reads = read_calls((job.configuration.tenant.id, job.wanted) for job in jobs)
        calls = [VERSIONS(tenants=tenants), *(call for call, _ in reads)]
        if all(job.is_reading for job in jobs):
            rows = yield Phase(calls, commit=True, is_reading=True)
            configurations = yield from self._current(dict(rows[0]))
            facts, now = read_facts(reads, rows[1:]), self._clock()
            return [_decide(job, configurations, facts, now) for job in jobs]
        unknown = sorted(tenants - self._heads.keys())
        strands = [MAIN_STRAND, self._strand]
        head_reads = [HEADS(tenants=unknown, strands=strands)] if unknown else []
        rows = yield Phase([*calls, *head_reads])
        configurations = yield from self._current(dict(rows[0]))
        facts = read_facts(reads, rows[1 : 1 + len(reads)])
        now = self._clock()
        results = [_decide(job, configurations, facts, now) for job in jobs]
        outcomes = [result for result in results if isinstance(result, tuple)]
        found = {(row[0], row[1]): Head(row[2], row[3]) for row in rows[-1]} if unknown else {}
        # Known again after a commit whose answer was lost: the strand goes on where the database says it is.
        self._heads.update(
            (t, found[t, self._strand]) for t in unknown if (t, self._strand) in found
        )
        opening = [tenant for tenant in unknown if tenant not in self._heads]
        mains = {tenant: head for (tenant, strand), head in found.items() if strand == MAIN_STRAND}
        trail = self._trail(outcomes, opening, mains, now)
        for tenant_id in trail.heads:
            self._heads.pop(tenant_id, None)  # until the commit is answered, nobody knows
        presented = ((it.configuration.tenant.id, r) for it in jobs for r in it.wanted.replays)
        writes = [
            *write_calls([outcome.changes for outcome, _ in outcomes]),
            *replays.forget(facts.unspent(presented)),
        ]
        try:
            yield Phase([*writes, *trail.calls], commit=True)
        except FateUnknown:
            yield from self._recognise(trail.heads)
        self._heads.update(trail.heads)
        return results

    def _recognise(self, heads: dict[str, Head]) -> Generator[Phase, list[list[Row]], None]:
        """Whether the batch whose COMMIT was not answered is durable: no other process writes this strand.

        A head that is not there may still come: the session that has it to commit may be on its way. So it is no proof
        of the contrary, and the batch is not run again. Raises FateUnknown.
        """
        if not heads:
            raise FateUnknown
        rows = yield Phase(
            [HEADS(tenants=sorted(heads), strands=[self._strand])], commit=True, is_reading=True
        )
        if {row[0]: Head(row[2], row[3]) for row in rows[0]} != heads:
            raise FateUnknown

    def _current(
        self, versions: dict[str, int]
    ) -> Generator[Phase, list[list[Row]], dict[str, TenantConfiguration]]:
        known = {id_: self._configurations.find_by_id(id_) for id_ in versions}
        moved = sorted(
            id_
            for id_, version in versions.items()
            if (it := known[id_]) is None or it.tenant.version != version
        )
        if moved:
            rows = yield Phase([query(tenants=moved) for query in QUERIES.values()])
            known.update(self._configurations.install(rows))
        return {id_: it for id_, it in known.items() if it is not None}

    def _trail(
        self,
        outcomes: Sequence[tuple[Outcome, TenantConfiguration]],
        opening: Sequence[str],
        mains: dict[str, Head],
        now: datetime,
    ) -> "_Trail":
        """Events of the batch in this process's strand of each tenant; a new strand is announced in `main`."""
        trail = _Trail({}, [], [], [])
        by_tenant: dict[str, tuple[TenantConfiguration, list[Event]]] = {}
        for outcome, configuration in outcomes:
            if outcome.events:
                entry = by_tenant.setdefault(configuration.tenant.id, (configuration, []))
                entry[1].extend(outcome.events)
        for tenant_id, (configuration, events) in sorted(by_tenant.items()):
            is_opening = tenant_id in opening
            if is_opening:
                opened = StrandOpened(strand=self._strand)
                trail.add(
                    configuration,
                    MAIN_STRAND,
                    mains.get(tenant_id, Head()),
                    [opened],
                    now,
                    is_new=tenant_id not in mains,
                )
            head = trail.add(
                configuration,
                self._strand,
                self._heads.get(tenant_id, Head()),
                events,
                now,
                is_new=is_opening,
            )
            trail.heads[tenant_id] = head
        return trail


@dataclass
class _Trail:
    heads: dict[str, Head]
    events: list[Row]
    new_heads: list[Row]
    moved_heads: list[Row]

    def add(
        self,
        configuration: TenantConfiguration,
        strand: str,
        before: Head,
        events: Sequence[Event],
        now: datetime,
        *,
        is_new: bool,
    ) -> Head:
        tenant_id = configuration.tenant.id
        links, head = chain.append(events, before, tenant_id=tenant_id, strand=strand, at=now)
        self.events += [event_row(tenant_id, strand, link) for link in links]
        mac = chain.head_mac(configuration.audit_key, tenant_id, strand, head)
        row = (tenant_id, strand, head.position, head.hash, mac)
        (self.new_heads if is_new else self.moved_heads).append(row)
        return head

    @property
    def calls(self) -> list[Call]:
        """The statements of the trail."""
        calls = []
        if self.events:
            calls.append(INSERT_EVENTS(self.events))
        if self.new_heads:
            calls.append(INSERT_HEADS(self.new_heads))
        if self.moved_heads:
            calls.append(UPDATE_HEADS(self.moved_heads))
        return calls


def _decide(
    job: Job, configurations: dict[str, TenantConfiguration], facts: Facts, now: datetime
) -> Result:
    """One request's result; whatever goes wrong in it stays in it."""
    configuration = configurations.get(job.configuration.tenant.id)
    if configuration is None or not configuration.tenant.enabled:
        return InvalidClient("the client is unknown", reason="tenant_disabled")
    if configuration.tenant.version != job.configuration.tenant.version:
        return Stale(_spent(job, facts))
    if job.is_trial:
        return _tried(job, configuration, facts, now)
    unclaimed = set(facts.claimed) if job.is_signed_ahead else None
    try:
        outcome = _decide_current(job, facts, now)
    except Unsigned:
        # Nothing came of it: it is decided, and signed, once more.
        facts.claimed = unclaimed or set()
        return Stale(_spent(job, facts))
    except Exception as error:
        log.exception("lane.decision_failed", grant_type=job.grant_type)
        return error
    if job.cure is not None and isinstance(outcome.answer, SubjectUnlinked):
        return Unready(frozenset(it.key for it in job.keys.replays if it.spent_by_refusal))
    facts.apply(outcome.changes)
    if job.trace is not None and outcome.events:
        traced = tuple(replace(event, trace=job.trace) for event in outcome.events)
        outcome = replace(outcome, events=traced)
    return outcome, configuration


def _tried(job: Job, configuration: TenantConfiguration, facts: Facts, now: datetime) -> Result:
    """What would come of it. The facts of the batch stay as they are."""
    own = replace(facts, claimed={it.key for it in job.keys.replays})
    try:
        return Outcome(_decide_current(job, own, now).answer), configuration
    except Exception as error:
        log.exception("lane.decision_failed", grant_type=job.grant_type)
        return error


def _spent(job: Job, facts: Facts) -> frozenset[str]:
    """What this request was the first to present, and stays used up."""
    own = (it for it in job.keys.replays if it.spent_by_refusal)
    return frozenset(it.key for it in own if facts.claim(it))


def _decide_current(job: Job, facts: Facts, now: datetime) -> Outcome:
    claimed: list[Replay] = []
    try:
        for replay in job.keys.replays:
            if replay.refusal is None:
                continue
            if not facts.claim(replay):
                raise replay.refusal
            claimed.append(replay)
        outcome = job.decide(facts, now)
    except OAuthError as error:
        outcome = Outcome(error)
    if isinstance(outcome.answer, OAuthError):
        for replay in claimed:
            if not replay.spent_by_refusal:
                facts.give_back(replay)
    if (
        job.grant_type is not None
        and isinstance(outcome.answer, OAuthError)
        and outcome.answer.is_verdict
        and not outcome.events
    ):
        return replace(outcome, events=(_refused(job, job.grant_type, outcome.answer),))
    return outcome


def _refused(job: Job, grant_type: str, error: OAuthError) -> Event:
    if job.refusal is not None:
        return job.refusal(error)
    return TokenRefused(
        client=job.client_id, grant_type=grant_type, error=error.code, reason=error.reason
    )
