"""Clients, which of them are let in, and invitations for those that register themselves."""

from authz.admin import client_trust, client_view, clients, initial_tokens
from authz.admin.client_trust import RequestLine, RuleLine
from authz.admin.client_view import View
from authz.admin.clients import ClientDetails, ClientLine
from authz.admin.initial_tokens import TokenLine
from authz.admin.paging import Slice
from authz.web.api.kit import Change, Listing, Look, Route, Thing, Window, listed


def _clients(look: Look, part: Window) -> Slice[ClientLine]:
    return clients.page(
        look.tx,
        look.tenant_id,
        matching=part.matching,
        status=part.find("status"),
        kind=part.find("kind"),
        after=part.after,
        limit=part.limit,
    )


def _requests(look: Look, part: Window) -> Slice[RequestLine]:
    status = part.find("status")
    page = listed(
        lambda it: client_trust.requests(it.tx, it.tenant_id, status=status),
        *("created_at", "client_id"),
    )
    return page(look, part)


CLIENT = Thing(
    "/clients/{client}",
    "client",
    "One client with its rules; never a secret",
    lambda look: clients.show(look.tx, look.tenant_id, look.path["client"]),
    ClientDetails,
)
RULE = Thing(
    "/client-rules/{pattern}",
    "client_rule",
    "One line of the trust policy",
    lambda look: client_trust.show_rule(look.tx, look.tenant_id, look.path["pattern"]),
    RuleLine,
)
_OF_CLIENT = {"client": "client_id"}

ROUTES: tuple[Route, ...] = (
    Listing(
        "/clients",
        "clients",
        "Clients, by name",
        _clients,
        ClientLine,
        filters={"status": "active, known or blocked", "kind": "registered, cimd or dynamic"},
    ),
    Change(
        "POST",
        "/clients",
        "clients.add",
        "Register a client; a secret is shown this once",
        made=lambda it: (it.client.id,),
    ),
    CLIENT,
    Change(
        "POST",
        "/clients/{client}/rotate-secret",
        "clients.rotate_secret",
        "A new secret; the ones before stay good for `overlap` seconds",
        inputs=_OF_CLIENT,
    ),
    Change(
        "POST",
        "/clients/{client}/block",
        "clients.block",
        "Refuse it everywhere, and end what it holds",
        inputs=_OF_CLIENT,
        answer="revoked_grants",
    ),
    Change(
        "POST", "/clients/{client}/unblock", "clients.unblock", "Admit it again", inputs=_OF_CLIENT
    ),
    Change(
        "POST",
        "/clients/{client}/approve",
        "clients.approve",
        "Vouch for a client that registered itself",
        inputs=_OF_CLIENT,
    ),
    Thing(
        "/clients/{client}/review",
        "client_review",
        "What it says of itself, what of that is new, and what the trust rules say",
        lambda look: client_view.show(look.tx, look.tenant_id, look.path["client"], look.now),
        View,
        omit=frozenset({"extent"}),
    ),
    Change(
        "POST",
        "/clients/{client}/accept",
        "clients.accept",
        "Take this document of it as looked at",
        inputs=_OF_CLIENT,
    ),
    Change(
        "PUT",
        "/clients/{client}/registration",
        "clients.change_registration",
        "Register it anew; its secrets, bound and consents stay",
        inputs=_OF_CLIENT,
        thing=CLIENT,
    ),
    Change(
        "PUT",
        "/clients/{client}/ceiling",
        "clients.set_ceiling",
        "What it may ever get; null takes the bound away",
        inputs=_OF_CLIENT,
        thing=CLIENT,
    ),
    Change(
        "PUT",
        "/clients/{client}/groups",
        "clients.set_groups",
        "Limit it to people in these groups; null lets everybody use it",
        inputs=_OF_CLIENT,
        thing=CLIENT,
    ),
    Change(
        "PUT",
        "/clients/{client}/audience",
        "clients.set_audience",
        "Whether its assertions may name the token endpoint",
        inputs=_OF_CLIENT,
        thing=CLIENT,
    ),
    Change(
        "DELETE",
        "/clients/{client}",
        "clients.remove",
        "Forget it, and end what it holds",
        inputs=_OF_CLIENT,
        thing=CLIENT,
        answer="revoked_grants",
    ),
    Listing(
        "/client-requests",
        "client_requests",
        "Clients that people asked for, the oldest first",
        _requests,
        RequestLine,
        filters={"status": "open, approved or refused; all when absent"},
    ),
    Thing(
        "/client-requests/{client}",
        "client_request",
        "What somebody asked for",
        lambda look: client_trust.show_request(look.tx, look.tenant_id, look.path["client"]),
        RequestLine,
    ),
    Change(
        "POST",
        "/client-requests/{client}/approve",
        "client_trust.approve",
        "Admit exactly this client",
        inputs=_OF_CLIENT,
    ),
    Change(
        "POST",
        "/client-requests/{client}/refuse",
        "client_trust.refuse",
        "Leave it out",
        inputs=_OF_CLIENT,
    ),
    Listing(
        "/client-rules",
        "client_rules",
        "Which metadata documents are admitted",
        listed(lambda look: client_trust.rules(look.tx, look.tenant_id), "pattern"),
        RuleLine,
    ),
    Change(
        "POST",
        "/client-rules",
        "client_trust.set_rule",
        "Allow or deny what a pattern covers",
        made=lambda it: (it.pattern,),
    ),
    RULE,
    Change(
        "DELETE",
        "/client-rules/{pattern}",
        "client_trust.remove_rule",
        "Take a line away",
        inputs={"pattern": "pattern"},
        thing=RULE,
        answer="verdict",
    ),
    Listing(
        "/initial-tokens",
        "initial_tokens",
        "Invitations to register, the oldest first",
        listed(lambda look: initial_tokens.list_(look.tx, look.tenant_id), *("created_at", "id")),
        TokenLine,
    ),
    Change(
        "POST",
        "/initial-tokens",
        "initial_tokens.add",
        "A new invitation; the token is shown this once",
        made=lambda it: (it.line.id,),
    ),
    Thing(
        "/initial-tokens/{token}",
        "initial_token",
        "One invitation",
        lambda look: initial_tokens.show(look.tx, look.tenant_id, look.path["token"]),
        TokenLine,
    ),
    Change(
        "POST",
        "/initial-tokens/{token}/revoke",
        "initial_tokens.revoke",
        "No more registrations with it",
        inputs={"token": "token_id"},
    ),
)
