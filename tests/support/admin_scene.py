"""A tenant that has one of everything an administrator can see, and requests that are right for each route."""

import itertools
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from authz.admin import (
    admins,
    agents,
    audit_holds,
    changes,
    client_trust,
    clients,
    connections,
    credentials,
    delegations,
    domains,
    groups,
    initial_tokens,
    mappings,
    resources,
    reviews,
    roles,
    scim_tokens,
    signal_streams,
    targets,
    trust,
    versions,
    workload_trust,
)
from authz.admin.client_metadata import Registration
from authz.admin.scopes import NewScope
from authz.admin.signal_streams import NewStream
from authz.db.models import Client, ClientRequest, EventStream
from authz.directory.sessions import MARK_CHARS, open_session
from authz.entropy import digest
from authz.web.api.addresses import address
from authz.web.api.kit import Change, Route
from tests.support.client_keys import ClientKey
from tests.support.harness import Harness

EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
_numbers = itertools.count(1)


@dataclass
class Scene:
    """One of everything, under names that no other scene has."""

    harness: Harness
    mark: str = field(default_factory=lambda: f"s{next(_numbers)}")
    path: dict[str, str] = field(default_factory=dict)
    """Segment -> what it is here."""

    def __post_init__(self) -> None:
        self._people()
        self._clients()
        self._servers()
        self._federation()
        self._reviews()
        self._events()

    # -- what is there ------------------------------------------------------------------------------------

    def _people(self) -> None:
        harness, mark = self.harness, self.mark
        login = f"{mark}@corp.example"
        self.path["user"] = self.user_id = harness.add_user(login)
        group = harness.change(groups.add, name=f"{mark}-team")
        harness.change(groups.add_member, group=group.id, user=login)
        self.path["group"] = group.id
        with harness.server.database.write() as tx:
            cookie = open_session(
                tx,
                tenant_id=harness.tenant_id,
                user_id=self.user_id,
                amr=("pwd",),
                acr=None,
                lifetime=harness.server.settings.sessions.lifetime,
                now=harness.clock(),
            )
        self.path["session"] = digest(cookie)[:MARK_CHARS]
        harness.import_roles(
            f"roles: {{{mark}-role: [logs.read]}}\n"
            f"bindings: [{{role: {mark}-role, users: [{login}]}}]"
        )
        harness.change(roles.bind, role=f"{mark}-role", kind="user", holder="dev@example.com")
        harness.change(admins.grant, role="auditor", kind="user", holder=login)
        self.path |= {"role": f"{mark}-role", "kind": "user", "holder": self.user_id}
        answer = harness.redeem(harness.code())
        claims = harness.claims(answer.access_token)
        self.path |= {"grant": claims["grant_id"], "jti": claims["jti"]}

    def _clients(self) -> None:
        harness, mark = self.harness, self.mark
        self.client = self.registered("secret", "client_secret_basic", EXCHANGE)
        self.asked = f"https://{mark}.example/client.json"
        self.pattern = f"{mark}-denied.example"
        harness.change(client_trust.set_rule, pattern=self.pattern, verdict="deny")
        with harness.server.database.write() as tx:
            tx.add(
                ClientRequest(
                    tenant_id=harness.tenant_id,
                    client_id=self.asked,
                    user_id=self.user_id,
                    status="open",
                    created_at=harness.clock(),
                    decided_at=None,
                    decided_by=None,
                )
            )
        made = harness.change(initial_tokens.add, name=f"{mark} invites", uses=1, lifetime=None)
        self.invitation = made.line.id
        self.path |= {"client": self.client, "pattern": self.pattern}

    def _reviews(self) -> None:
        due = self.harness.clock() + timedelta(days=7)
        review = self.harness.change(reviews.start, name=self.mark, due_at=due)
        part = self.harness.change(lambda tx, _, tenant: reviews.page(tx, tenant, review.id))
        self.path["change"] = self.asked_for()
        held = self.harness.change(audit_holds.place, reason=self.mark, person=self.user_id)
        self.path["hold"] = held.id
        self.harness.change(versions.record)
        kept = self.harness.ask(versions.page).rows
        self.path["version"] = str(kept[0].version)
        self.path |= {"review": review.id, "item": part.rows[0].id}

    def _events(self) -> None:
        now, made = self.harness.clock(), f"stm_{self.mark}"
        with self.harness.server.database.write() as tx:
            tx.add(
                EventStream(
                    id=made,
                    tenant_id=self.harness.tenant_id,
                    client_id=self.client,
                    requested=[],
                    status="enabled",
                    position=0,
                    acknowledged=[],
                    removed=[],
                    verifications=[],
                    push_url="https://gateway.example/events",
                    push_authorization="env:AUTHZ_SECRET_GATEWAY",
                    failures=0,
                    created_at=now,
                    updated_at=now,
                )
            )
        self.path["events"] = made

    def registered(self, name: str, method: str, *grants: str) -> str:
        """Another client; answers its identifier."""
        registration = Registration(
            name=f"{self.mark} {name}",
            auth_method=method,
            grant_types=("client_credentials", *grants),
        )
        made = self.harness.change(clients.add, registration, client_id=f"{self.mark}-{name}")
        return str(made.client.id)

    def waiting(self, *, accepted: dict[str, Any] | None = None) -> str:
        """A client that registered itself, and nobody has looked at; answers its identifier."""
        client_id = self.registered(f"self{next(_numbers)}", "client_secret_basic")
        with self.harness.server.database.write() as tx:
            row = tx.get_one(Client, (self.harness.tenant_id, client_id))
            row.kind, row.status, row.accepted = "dynamic", "known", accepted
        return client_id

    def _servers(self) -> None:
        harness, mark = self.harness, self.mark
        self.urls = [f"https://{mark}.example/{name}" for name in ("one", "two")]
        scope = NewScope(name="logs.read", risk="read")
        self.servers = [
            harness.change(resources.add, identifier=it, name=mark, owner="team", scopes=[scope]).id
            for it in self.urls
        ]
        rule = harness.change(
            delegations.add,
            client_id=self.client,
            from_server=self.urls[0],
            to_server=self.urls[1],
            carries={"logs.read": ["logs.read"]},
        )
        harness.change(
            credentials.add, self.servers[0], name="saas", reference="env:AUTHZ_SECRET_SAAS"
        )
        agent = harness.change(
            agents.add,
            slug=f"{mark}-agent",
            purpose="Reads logs",
            owner=self.user_id,
            servers=[self.urls[0]],
            clients_=[self.registered("agents", "client_secret_basic")],
        )
        self.path |= {
            "server": self.servers[0],
            "scope": "logs.read",
            "delegation": rule.id,
            "credential": "saas",
            "agent": agent.slug,
        }

    def _federation(self) -> None:
        harness, mark = self.harness, self.mark
        self.jwks = ClientKey("ES256").jwks
        host = f"{mark}-idp.example"
        self.settings = {
            "issuer": f"https://{host}",
            "client_id": "authz",
            "client_secret": "env:AUTHZ_SECRET_IDP",
        }
        connection = harness.change(
            connections.add,
            harness.server.edge.connectors,
            slug=f"{mark}-corp",
            kind="oidc",
            preset="generic",
            name=mark,
            settings=self.settings,
            issuer=harness.issuer,
        )
        slug = connection.slug
        domain = harness.change(domains.add, name=f"{mark}.corp.example", connection=slug)
        mapping = harness.change(
            mappings.add, connection=slug, claim="groups", value=mark, role=self.path["role"]
        )
        token = harness.change(scim_tokens.add, name=mark, connection=slug, lifetime=None)
        self.scim_token = token.line.id
        stream = harness.change(
            signal_streams.add,
            NewStream(
                slug=f"{mark}-stream",
                connection=slug,
                issuer=f"https://{host}",
                jwks_uri=f"https://{host}/jwks",
                audience="authz",
            ),
            development=True,
        )
        entry = harness.change(
            trust.add,
            slug=f"{mark}-people",
            issuer=f"https://{mark}-people.example",
            settings={"jwks": self.jwks},
        )
        self.workloads = f"{mark}-work"
        harness.change(
            workload_trust.add,
            slug=self.workloads,
            issuer=f"https://{mark}-work.example",
            settings={"jwks": self.jwks},
        )
        harness.change(workload_trust.allow, self.workloads, self.rule("router"))
        target = harness.change(
            targets.add,
            slug=f"{mark}-target",
            issuer=f"https://{mark}-target.example",
            own_issuer=harness.issuer,
            settings={},
        )
        self.path |= {
            "connection": slug,
            "domain": domain.name,
            "mapping": mapping.id,
            "stream": stream.line.slug,
            "entry": entry.slug,
            "workload": "router",
            "target": target.slug,
            "slug": harness.slug,
        }

    def asked_for(self, author: str = "somebody") -> str:
        """A change that waits for its moment, of this author; answers its id."""
        harness = self.harness
        with harness.server.database.write() as tx:
            made = changes.propose(
                tx,
                replace(harness.server.operator(author), needs_second=True),
                harness.tenant_id,
                operation="roles.require",
                arguments={"role": self.path["role"], "required": {"max_age": 600}},
                reason="because",
            )
            return str(made.id)

    def rule(self, name: str) -> dict[str, Any]:
        """Of a workload."""
        return {
            "name": name,
            "subject": f"system:serviceaccount:agents:{name}",
            "scopes": ["logs.read"],
            "resources": [self.urls[0]],
        }

    # -- how it is asked for ------------------------------------------------------------------------------

    def way(self, route: Route, **instead: str) -> str:
        """The address of a route here."""
        own = {
            "/client-requests/{client}": {"client": self.asked},
            "/initial-tokens/{token}": {"token": self.invitation},
            "/scim-tokens/{token}": {"token": self.scim_token},
            "/trust/{entry}/workload-settings": {"entry": self.workloads},
            "/trust/{entry}/rules": {"entry": self.workloads},
            "/admins/{role}": {"role": "auditor"},
            "/agents/{agent}/clients": {"client": f"{self.mark}-agents"},
        }
        found = dict(self.path)
        for start, values in own.items():
            if route.path.startswith(start):
                found |= values
        found |= instead
        segments = route.path.strip("/").split("/")
        if route.path == "/simulation":
            return f"/simulation?server={self.servers[0]}&user={self.user_id}"
        return "/" + address(*(found[it[1:-1]] if it.startswith("{") else it for it in segments))

    def body(self, change: Change) -> Any:
        """What is right to send."""
        mark, path = f"{self.mark}-new", self.path
        bodies: dict[str, Any] = {
            "users.add": {"login": f"{mark}@corp.example", "name": "New"},
            "users.set_password": {"password": "correct horse battery"},
            "users.set_break_glass": {"allowed": True},
            "groups.add": {"name": mark},
            "groups.add_member": {"user": "sre@example.com"},
            "clients.add": {"name": mark, "redirect_uris": ["https://new.example/callback"]},
            "changes.propose": {
                "operation": "roles.require",
                "arguments": {"role": path["role"], "required": {"max_age": 600}},
                "reason": "because",
            },
            "reviews.start": {
                "name": mark,
                "due_at": (self.harness.clock() + timedelta(days=3)).isoformat(),
            },
            "clients.rotate_secret": {"overlap": 60},
            "clients.change_registration": {
                "name": mark,
                "auth_method": "client_secret_basic",
                "grant_types": ["client_credentials"],
            },
            "clients.accept": {"document_digest": "0" * 64},
            "clients.set_ceiling": {"scopes": ["logs.read"]},
            "clients.set_groups": {"groups": None},
            "clients.set_audience": {"token_endpoint": True},
            "client_trust.set_rule": {"pattern": f"{mark}.example", "verdict": "allow"},
            "initial_tokens.add": {"name": mark, "uses": 2, "lifetime": 3600},
            "agents.add": {
                "slug": mark,
                "purpose": "More",
                "owner": path["user"],
                "servers": [self.urls[0]],
            },
            "agents.change": {"dormant_after_days": 7},
            "agents.give_client": {"client_id": self.client},
            "delegations.add": {
                "client_id": self.client,
                "from_server": self.urls[1],
                "to_server": self.urls[0],
                "carries": {"logs.read": ["logs.read"]},
            },
            "resources.add": {"identifier": f"https://{mark}.example/mcp", "name": "New"},
            "resources.set_name": {"name": "Renamed"},
            "resources.set_identity": {"identity": "user_required"},
            "resources.set_status": {"status": "active"},
            "resources.set_owner": {"owner": "somebody"},
            "resources.set_client": {"client_id": self.client},
            "resources.set_status_list": {"wanted": True},
            "resources.set_rollout": {"state": "read_only"},
            "scopes.add": {"name": "logs.write", "risk": "write"},
            "credentials.add": {"name": mark, "reference": "env:AUTHZ_SECRET_OTHER"},
            "scopes.approve": {"contract": "0" * 64},
            "tenants.set_scope_changes": {"mode": "reviewed"},
            "scopes.edit": {"description": "Read logs"},
            "roles.add": {"name": mark, "scopes": ["logs.read"]},
            "roles.change": {"description": "Reads"},
            "roles.set_scopes": {"scopes": ["logs.read"]},
            "roles.set_matrix": {
                "server": path["server"],
                "roles": {path["role"]: ["logs.read"]},
            },
            "roles.require": {"max_age": 300},
            "roles.bind": {"kind": "user", "holder": "sre@example.com"},
            "roles.import": {"roles": {path["role"]: ["logs.read"]}},
            "mappings.add": {
                "connection": path["connection"],
                "claim": "groups",
                "value": mark,
                "group": path["group"],
            },
            "connections.add": {
                "slug": mark,
                "kind": "oidc",
                "preset": "generic",
                "name": "New",
                "settings": self.settings,
            },
            "connections.change": {"name": "Changed"},
            "connections.set_status": {"status": "disabled"},
            "domains.add": {
                "name": f"{mark}.corp.example",
                "connection": path["connection"],
            },
            "domains.set_mandatory": {"mandatory": False},
            "scim_tokens.add": {"name": mark, "connection": None, "lifetime": None},
            "signal_streams.add": {
                "slug": mark,
                "connection": path["connection"],
                "issuer": "https://other.example",
                "jwks_uri": "https://other.example/jwks",
                "audience": "authz",
            },
            "signal_streams.set_status": {"status": "disabled"},
            "trust.add": {
                "slug": f"{mark}-people",
                "issuer": f"https://{mark}.example",
                "settings": {"jwks": self.jwks},
            },
            "trust.change": {"resources": [self.urls[0]]},
            "trust.set_status": {"status": "disabled"},
            "workload_trust.add": {
                "slug": f"{mark}-work",
                "issuer": f"https://{mark}-work.example",
                "settings": {"jwks": self.jwks},
            },
            "workload_trust.change": {"rules": [self.rule("router")]},
            "workload_trust.allow": self.rule("other"),
            "targets.add": {"slug": mark, "issuer": f"https://{mark}.example", "settings": {}},
            "targets.change": {"clients": {}},
            "targets.set_status": {"status": "disabled"},
            "targets.map_client": {"there": "theirs"},
            "event_streams.push": {
                "url": "https://gateway.example/other",
                "authorization": "env:AUTHZ_SECRET_GATEWAY",
            },
            "audit_holds.place": {"reason": "inquiry", "person": path["user"]},
            "audit_holds.set_retention": {"days": 400},
            "keys.rotate": {"at_once": True},
            "admins.grant": {"role": "auditor", "kind": "user", "holder": path["user"]},
            "tenants.create": {"slug": mark, "name": "New"},
            "tenants.set_status": {"status": "disabled"},
            "tenants.rename": {"name": "Renamed"},
            "tenants.set_client_trust": {"mode": "allow_list"},
            "tenants.set_change_control": {"mode": "two_person"},
            "tenants.set_registration": {"mode": "open"},
        }
        return bodies.get(change.operation)
