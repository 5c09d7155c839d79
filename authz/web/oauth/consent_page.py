"""The consent page's context: the facts first (hosts, scopes in words, risk), the client's own claims second."""

from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.responses import Response

from authz.oauth.asking import Asking
from authz.oauth.authorize import AskConsent
from authz.policy import SENTENCES
from authz.urls import is_loopback_redirect, redirect_host
from authz.web.edge import Edge

_RISKS = ("read", "write", "destructive")


@dataclass(frozen=True)
class _Shown:
    name: str
    description: str
    risk: str
    tools: list[str]
    is_new: bool
    already_granted: bool


def consent_page(edge: Edge, asking: Asking, step: AskConsent) -> Response:
    """What the person decides about (MCP-AS-47, MCP-AS-59, O21-25)."""
    client, tenant = asking.client, asking.configuration.tenant
    scopes = []
    for name in sorted(step.decision.granted):
        scope = asking.request.resource.scopes[name]
        scopes.append(
            _Shown(
                name=name,
                description=scope.description or name,
                risk=scope.risk,
                tools=list(scope.tools),
                is_new=bool(step.already_granted) and name not in step.already_granted,
                already_granted=name in step.already_granted,
            )
        )
    scopes.sort(key=lambda scope: (_RISKS.index(scope.risk), scope.name))
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
        scopes=scopes,
        removed=[
            (name, SENTENCES[reason]) for name, reason in sorted(step.decision.removed.items())
        ],
        offline=asking.request.offline_access or client.may_use("refresh_token"),
    )
