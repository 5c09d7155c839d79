"""The consent page's context: the facts first (hosts, scopes in words, risk), the client's own claims second."""

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.responses import Response

from authz.oauth.asking import Asking
from authz.oauth.authorization_details import ToolLimit, scopes_of, standing
from authz.oauth.authorize import AskConsent
from authz.policy import SENTENCES, Decision
from authz.policy.openid import RISK, SCOPES
from authz.policy.snapshot import Resource, Scope
from authz.urls import is_loopback_redirect, redirect_host
from authz.web.edge import Edge

READING = "read"
"""The answer that allows of what is ticked only what changes nothing."""
_RISKS = ("read", "write", "destructive", RISK)
_OPENID = {name: place for place, name in enumerate(SCOPES)}


@dataclass(frozen=True)
class ShownScope:
    """A scope as a template reads it."""

    name: str
    description: str
    risk: str
    tools: list[str]
    limits: list[tuple[str, list[tuple[str, str]]]]
    """Tools that may be called only with certain arguments: each with its conditions in words (RAR-04)."""
    is_new: bool
    already_granted: bool
    is_changed: bool
    """It means something else than when it was allowed before."""


def shown_scopes(
    resource: Resource,
    names: frozenset[str],
    *,
    already_granted: frozenset[str] = frozenset(),
    settled: frozenset[str] = frozenset(),
    changed: frozenset[str] = frozenset(),
    limits: Sequence[ToolLimit] = (),
) -> list[ShownScope]:
    """What the person may tick, in words, the harmless first."""
    shown = []
    for name in names:
        scope = _scope(resource, name)
        own = [limit for limit in limits if name in scopes_of([limit], resource)]
        shown.append(
            ShownScope(
                name=name,
                description=scope.description or name,
                risk=scope.risk,
                tools=list(scope.tools),
                limits=[(limit.tool, limit.conditions) for limit in own],
                is_new=bool(already_granted | settled) and name not in already_granted,
                already_granted=name in already_granted,
                is_changed=name in changed,
            )
        )
    return sorted(shown, key=lambda it: (_RISKS.index(it.risk), _OPENID.get(it.name, 0), it.name))


def shown_removals(decision: Decision) -> list[tuple[str, str]]:
    """What is not possible, and why."""
    return [(name, SENTENCES[reason]) for name, reason in sorted(decision.removed.items())]


def consent_page(edge: Edge, asking: Asking, step: AskConsent) -> Response:
    """What the person decides about (MCP-AS-47, MCP-AS-59, O21-25)."""
    client, tenant = asking.client, asking.configuration.tenant
    resource = asking.request.resource
    redirect = urlsplit(asking.request.redirect_uri)
    # This answer's way, whatever else the client registered: that is what a program here could take (MCP-AS-48).
    is_local = is_loopback_redirect(asking.request.redirect_uri)
    logo = (
        f"{tenant.path}/consent/logo?id={step.pending_id}"
        if client.logo_uri and client.host
        else None
    )
    return edge.pages.render(
        "consent/consent.html",
        tenant_name=tenant.name,
        page_title="Allow access",
        static=f"{edge.base_path}/static",
        support_id=None,
        action=f"{tenant.path}/consent",
        switch_user_action=f"{tenant.path}/consent/switch",
        consent_id=step.pending_id,
        client_name=client.name,
        client_host=client.host,
        client_id=client.id,
        client_verified=client.approved,
        self_registered=client.kind == "dynamic",
        redirect_host=redirect_host(asking.request.redirect_uri),
        loopback_warning=is_local,
        loopback_port=redirect.port if is_local else None,
        logo_url=logo,
        client_uri=client.client_uri,
        policy_uri=client.policy_uri,
        tos_uri=client.tos_uri,
        resource_name=asking.request.resource.name,
        resource_identifier=asking.request.resource.identifier,
        user_label=asking.signed_in.login,
        scopes=shown_scopes(
            resource,
            step.asked,
            already_granted=step.already_granted,
            settled=step.settled,
            changed=step.changed,
            limits=standing(asking.request.details, resource, step.decision.granted),
        ),
        settled=[(name, _scope(resource, name).description) for name in sorted(step.settled)],
        removed=shown_removals(step.decision),
        offline=asking.request.offline_access or client.may_use("refresh_token"),
    )


def reading(resource: Resource, chosen: frozenset[str]) -> frozenset[str]:
    """Of these, what only reads, or tells who somebody is."""
    asked = chosen & (resource.scopes.keys() | SCOPES.keys())
    return frozenset(it for it in asked if _scope(resource, it).risk in ("read", RISK))


def _scope(resource: Resource, name: str) -> Scope:
    """Of the MCP server, or OpenID's."""
    return resource.scopes.get(name) or SCOPES[name]
