"""Reading an authorization request: client, return address, request, in this order.

Each decides how the next may fail: an unknown client is a page, a wrong request of a matched return address may travel.
"""

from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import datetime

from authz.clients import registered
from authz.clients.client import Client
from authz.clients.resolution import (
    ClientNotAdmitted,
    ClientRefused,
    FetchedClient,
    check_identifier,
    fetch,
    is_approved,
    is_at_hand,
    usable_row,
)
from authz.directory.sessions import SignedIn
from authz.errors import LoginRequired, OAuthError
from authz.oauth.asking import Asking, Needed
from authz.oauth.authorization_request import (
    SIGNED_IN_BY,
    STEP_UP,
    AuthorizationRequest,
    RedirectRefused,
    ReturnAddress,
    return_address,
    validate,
)
from authz.oauth.configuration import TenantConfiguration
from authz.oauth.facts import Pushed
from authz.oauth.params import Params
from authz.oauth.pushed import REQUEST_URI, find_pushed
from authz.oauth.step_up import needed_by, needs_sign_in
from authz.web.edge import Edge
from authz.web.forms import params_of


@dataclass(frozen=True)
class _Resolved:
    client: Client
    fetched: FetchedClient | None


class NeedsSignIn(Exception):
    """Nothing more can be said before the person signs in; `client` is known unless a document has to be fetched."""

    def __init__(
        self,
        client: Client | None,
        client_id: str,
        *,
        login_hint: str | None,
        needed: Needed,
        is_step_up: bool = False,
        is_silent: bool = False,
    ) -> None:
        super().__init__(client_id)
        self.client = client
        self.client_id = client_id
        self.login_hint = login_hint
        self.needed = needed
        self.is_step_up = is_step_up
        """They are signed in, and not as policy demands; they are asked about that once."""
        self.is_silent = is_silent
        """The client asked for an answer without a page."""


class SentBack(Exception):
    """An error for a return address that was matched."""

    def __init__(self, client: Client, address: ReturnAddress, error: OAuthError) -> None:
        super().__init__(error.code)
        self.client = client
        self.address = address
        self.error = error


def read_request(
    edge: Edge,
    configuration: TenantConfiguration,
    params: Params,
    query: str,
    signed_in: SignedIn | None,
    now: datetime,
) -> Asking:
    """Client, return address, request, in this order: each decides how the next may fail."""
    client_id = params.find("client_id")
    if client_id is None:
        raise ClientRefused("The link does not name a client.", reason="client_id_missing")
    pushed = _find_pushed(edge, configuration, client_id, params, now)
    link = params
    if pushed is not None:
        # Whatever else the link says came through a browser and does not count (RFC 9101 §5, PAR-05).
        params = params_of(pushed.query)
    resolved = _resolve(edge, configuration, client_id, params, signed_in)
    address = return_address(resolved.client, params, configuration.tenant.issuer)
    try:
        request = validate(
            resolved.client,
            params,
            address,
            configuration.policy,
            pushed=pushed is not None,
            push_required=edge.services.settings.clients.require_pushed_requests,
        )
        if pushed is not None:
            # Ours, and of the link: the client could not know it when it pushed.
            request = replace(
                request,
                signed_in_by=link.find(SIGNED_IN_BY),
                was_stepped_up=link.find(STEP_UP) is not None,
            )
        if (
            pushed is not None
            and signed_in is not None
            and signed_in.signed_in_at > pushed.created_at
        ):
            # The sign-in it asks for has happened; its own parameters cannot lose the wish for one.
            asked = request.prompt - {"login", "select_account"}
            request = replace(request, prompt=asked)
        _check_prompt(request, signed_in, now)
    except OAuthError as error:
        raise SentBack(resolved.client, address, error) from None
    if signed_in is None:
        raise NeedsSignIn(
            resolved.client, client_id, login_hint=request.login_hint, needed=needed_by(request)
        )
    return Asking(
        configuration=configuration,
        client=resolved.client,
        request=request,
        address=address,
        signed_in=signed_in,
        query=query,
        fetched=resolved.fetched,
        pushed=None if pushed is None else pushed.digest,
    )


def _find_pushed(
    edge: Edge,
    configuration: TenantConfiguration,
    client_id: str,
    params: Params,
    now: datetime,
) -> Pushed | None:
    """The request a reference of ours stands for; any other `request_uri` is left for `validate` to refuse."""
    request_uri = params.find("request_uri")
    if request_uri is None or not request_uri.startswith(REQUEST_URI):
        return None
    if not {"client_id", "request_uri"}.isdisjoint(params.repeated):
        raise RedirectRefused(
            "The link has a parameter twice.", reason="parameter_repeated", received=None
        )
    with edge.services.database.read() as tx:
        return find_pushed(tx, configuration.tenant.id, client_id, request_uri, now)


def _check_prompt(request: AuthorizationRequest, signed_in: SignedIn | None, now: datetime) -> None:
    needed = needs_sign_in(request, signed_in, now)
    if needed and "none" in request.prompt:
        raise LoginRequired("the person has to sign in", reason="login_required")


def _resolve(
    edge: Edge,
    configuration: TenantConfiguration,
    client_id: str,
    params: Params,
    signed_in: SignedIn | None,
) -> _Resolved:
    tenant = configuration.tenant
    stranger = NeedsSignIn(
        None,
        client_id,
        login_hint=params.find("login_hint"),
        needed=Needed(),
        is_silent="none" in (params.find("prompt") or "").split(),
    )
    with edge.services.database.read() as tx:
        row = registered.find(tx, tenant.id, client_id)
    if row is not None and row.kind != "cimd":
        return _Resolved(usable_row(row), None)
    if row is not None and row.status == "blocked":
        raise ClientRefused("An administrator has blocked this client.", reason="client_blocked")
    try:
        check_identifier(client_id, configuration.trust, edge.rules)
    except ClientNotAdmitted:
        if signed_in is None:
            raise stranger from None
        raise
    if signed_in is None:
        # Nothing is fetched for a stranger (CIMD-17, MCP-AS-46).
        raise stranger
    at_hand = is_at_hand(edge.services.documents, client_id)
    with nullcontext() if at_hand else edge.limits.fetching(tenant.id, signed_in.user_id):
        fetched = edge.services.network.run_blocking(
            fetch(
                edge.services.documents,
                client_id,
                tenant_id=tenant.id,
                rules=edge.rules,
                max_bytes=edge.services.settings.clients.document_max_bytes,
                approved=is_approved(configuration.trust, client_id),
            )
        )
    ceiling = None if row is None else row.scope_ceiling
    return _Resolved(replace(fetched.client, scope_ceiling=ceiling), fetched)
