"""Agents, as entries. Whether one sleeps is seen, not said; one that is not named is killed."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select

from authz.admin import agents
from authz.admin.agents import KILLED
from authz.admin.code.kind import Site
from authz.admin.code.spelling import servers_of, spelled
from authz.admin.workload_access import workloads_of
from authz.db.models import Agent, AgentClient, Resource, TrustedIssuer, User
from authz.directory.users import normal_login
from authz.policy.code.entries import Change, Entries, Json
from authz.policy.code.entries import spelled as spelled_moment


def current(site: Site) -> Entries:
    """All that were not killed."""
    urls = dict(
        site.tx.execute(
            select(Resource.id, Resource.identifier).where(Resource.tenant_id == site.tenant_id)
        ).all()
    )
    names = _workloads(site)
    held: dict[str, list[str]] = {}
    for agent_id, client_id in site.tx.execute(
        select(AgentClient.agent_id, AgentClient.client_id).where(
            AgentClient.tenant_id == site.tenant_id
        )
    ):
        held.setdefault(agent_id, []).append(names.get(client_id, client_id))
    rows = site.tx.execute(
        select(Agent, User.login)
        .join(User, User.id == Agent.owner_id)
        .where(Agent.tenant_id == site.tenant_id, Agent.status != KILLED)
    )
    return {
        row.slug: {
            "purpose": row.purpose,
            "owner": login,
            "servers": sorted(urls[it] for it in row.resources if it in urls),
            "clients": sorted(held.get(row.id, ())),
            "ceiling": None if row.scope_ceiling is None else sorted(row.scope_ceiling),
            "until": None if row.expires_at is None else spelled_moment(row.expires_at),
            "dormant_after_days": row.dormant_after_days,
        }
        for row, login in rows
    }


def wanted(site: Site, current: Entries) -> Entries | None:  # noqa: ARG001
    """With logins and servers as they are spelled here."""
    written = site.written.entries.get("agents")
    if written is None:
        return None
    servers = servers_of(site)
    return {
        slug: {
            **entry,
            "owner": normal_login(entry["owner"]),
            "servers": sorted({spelled(it, servers) for it in entry["servers"]}),
        }
        for slug, entry in written.items()
    }


def write(site: Site, changes: Sequence[Change]) -> None:
    """Add and change. A client goes from one agent to another within one plan: it is taken first."""
    for change in changes:
        if change.before is not None and change.after is not None:
            with site.at(change):
                for it in sorted(set(change.before["clients"]) - set(change.after["clients"])):
                    agents.take_client(site.tx, site.operator, site.tenant_id, change.name, it)
    for change in changes:
        if change.after is None:
            continue
        with site.at(change):
            if change.before is None:
                _add(site, change.name, change.after)
            else:
                _change(site, change, change.before, change.after)


def forget(site: Site, changes: Sequence[Change]) -> None:
    """For good, with what they hold."""
    for change in changes:
        if change.after is None:
            agents.kill(site.tx, site.operator, site.tenant_id, change.name)


def _add(site: Site, slug: str, entry: Json) -> None:
    agents.add(
        site.tx,
        site.operator,
        site.tenant_id,
        slug=slug,
        purpose=entry["purpose"],
        owner=entry["owner"],
        servers=entry["servers"],
        clients_=entry["clients"],
        scopes=None if entry["ceiling"] is None else frozenset(entry["ceiling"]),
        expires_at=_moment(entry["until"]),
        dormant_after_days=entry["dormant_after_days"],
    )


def _change(site: Site, change: Change, before: Json, after: Json) -> None:
    common = (site.tx, site.operator, site.tenant_id, change.name)
    for it in sorted(set(after["clients"]) - set(before["clients"])):
        agents.give_client(*common, it)
    if not change.differs(*(it for it in after if it != "clients")):
        return
    is_bounded = after["ceiling"] is not None
    agents.change(
        *common,
        purpose=after["purpose"] if change.differs("purpose") else None,
        owner=after["owner"] if change.differs("owner") else None,
        servers=after["servers"] if change.differs("servers") else None,
        scopes=frozenset(after["ceiling"]) if change.differs("ceiling") and is_bounded else None,
        any_scope=change.differs("ceiling") and not is_bounded,
        expires_at=_moment(after["until"]) if change.differs("until") else None,
        no_end=change.differs("until") and after["until"] is None,
        dormant_after_days=after["dormant_after_days"],
    )


def _workloads(site: Site) -> dict[str, str]:
    """What tokens call each workload -> its names here."""
    entries = site.tx.scalars(
        select(TrustedIssuer).where(TrustedIssuer.tenant_id == site.tenant_id)
    )
    return {
        id_: f"{entry.slug}/{rule}"
        for entry in entries
        for id_, rule in workloads_of(entry).items()
    }


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
