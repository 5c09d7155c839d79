"""The registry of the console: one line for each page, in the order of the navigation."""

from collections.abc import Sequence
from dataclasses import dataclass

from authz.web.console import (
    administrators,
    agent,
    agents,
    audit,
    audit_sinks,
    changes,
    client,
    client_registration,
    client_requests,
    client_rules,
    clients,
    connections,
    cut_off,
    explain,
    grants,
    groups,
    keys,
    legal_holds,
    mappings,
    matrix,
    onward,
    overview,
    people,
    person,
    provisioning,
    readiness,
    reviews,
    role,
    roles,
    servers,
    sessions,
    settings,
    simulator,
    targets,
    trusted,
    trusted_workloads,
    versions,
)
from authz.web.console.visit import Page, Visit

PAGES: Sequence[Page] = (
    overview.PAGE,
    servers.PAGE,
    servers.ONE,
    roles.PAGE,
    role.PAGE,
    matrix.PAGE,
    mappings.PAGE,
    simulator.PAGE,
    explain.PAGE,
    changes.PAGE,
    changes.ONE,
    versions.PAGE,
    versions.ONE,
    reviews.PAGE,
    reviews.ONE,
    people.PAGE,
    person.PAGE,
    groups.PAGE,
    groups.ONE,
    administrators.PAGE,
    clients.PAGE,
    client.PAGE,
    agents.PAGE,
    agent.PAGE,
    client_requests.PAGE,
    client_rules.PAGE,
    client_registration.PAGE,
    grants.PAGE,
    sessions.PAGE,
    cut_off.PAGE,
    cut_off.CLOCK,
    audit.PAGE,
    audit.EVENT,
    audit.STORY,
    legal_holds.PAGE,
    audit_sinks.PAGE,
    connections.PAGE,
    connections.NEW,
    connections.ONE,
    provisioning.DOMAINS,
    provisioning.TOKENS,
    provisioning.STREAMS,
    trusted.PAGE,
    trusted.ONE,
    trusted_workloads.PAGE,
    trusted_workloads.ONE,
    targets.PAGE,
    targets.ONE,
    onward.PAGE,
    readiness.PAGE,
    keys.PAGE,
    settings.PAGE,
    settings.TENANTS,
)

SECTIONS = ("", "Policy", "People", "Clients", "Access", "Trust", "System")
"""Of the navigation, in order; the first has no heading."""


@dataclass(frozen=True)
class Section:
    """A part of the navigation."""

    title: str
    pages: Sequence[Page]


def navigation(visit: Visit) -> list[Section]:
    """What this administrator may see."""
    found = [
        Section(title, [it for it in PAGES if it.section == title and _is_entry(it, visit)])
        for title in SECTIONS
    ]
    return [it for it in found if it.pages]


def _is_entry(page: Page, visit: Visit) -> bool:
    return page.is_listed and visit.may(page.permission)
