"""`authz clients`: who may ask for tokens. The commands about trust are in `cli.client_trust`."""

from pathlib import Path
from typing import Annotated

import typer

from authz.admin import clients
from authz.admin.client_metadata import (
    DEFAULT_GRANT_TYPES,
    GRANT_TYPES,
    Registration,
)
from authz.cli import values
from authz.cli.client_tokens import tokens
from authz.cli.client_trust import register_trust_commands
from authz.cli.output import fields, table
from authz.cli.run import Result, Run, command, group
from authz.clients.authentication import AUTH_METHODS

app = group("Clients, trust rules and requests for clients.")
_Client = Annotated[str, typer.Argument(help="A client identifier.", metavar="CLIENT")]
_Ceiling = Annotated[
    list[str] | None,
    typer.Option("--scope", help="One scope; repeat for more.", metavar="SCOPE"),
]
_CertificateName = Annotated[
    str | None, typer.Option(help="For tls_client_auth: the one name in its certificate.")
]


@command(app, "list")
def list_(run: Run) -> Result:
    """All clients this tenant knows."""
    with run.read() as (tx, tenant_id):
        lines = clients.list_(tx, tenant_id)
    rows = [(c.name, c.kind, c.status, c.auth_method, c.id) for c in lines]
    headings = ("NAME", "KIND", "STATUS", "AUTHENTICATION", "CLIENT")
    return Result(lines, table(headings, rows, empty="No client; `authz clients add NAME`."))


@command(app, "add")
def add(
    run: Run,
    name: Annotated[str, typer.Argument(help="Shown to people who allow it.", metavar="NAME")],
    redirect_uri: Annotated[
        list[str] | None, typer.Option(help="Where responses go; repeat for more.", metavar="URL")
    ] = None,
    grant_type: Annotated[
        list[str] | None,
        typer.Option(
            help=f"One of {', '.join(GRANT_TYPES)}; repeat for more. The first two when absent.",
            metavar="TYPE",
        ),
    ] = None,
    auth: Annotated[
        str, typer.Option(help=f"At the token endpoint: {', '.join(AUTH_METHODS)}.")
    ] = "none",
    client_id: Annotated[
        str | None, typer.Option("--id", help="Choose the identifier yourself.", show_default=False)
    ] = None,
    jwks: Annotated[
        Path | None,
        typer.Option(help="Its public keys, a JWK Set file.", exists=True, dir_okay=False),
    ] = None,
    jwks_uri: Annotated[str | None, typer.Option(help="Where its public keys are.")] = None,
    client_uri: Annotated[str | None, typer.Option(help="Its web page.")] = None,
    tls_subject_dn: _CertificateName = None,
    tls_san_dns: _CertificateName = None,
    tls_san_uri: _CertificateName = None,
    tls_san_ip: _CertificateName = None,
    tls_san_email: _CertificateName = None,
    certificate_bound: Annotated[
        bool, typer.Option("--certificate-bound", help="Bind its tokens to its certificate.")
    ] = False,
    dpop_bound: Annotated[
        bool, typer.Option("--dpop-bound", help="Refuse it tokens without a DPoP proof.")
    ] = False,
    push_only: Annotated[
        bool, typer.Option("--push-only", help="It pushes its authorization requests (RFC 9126).")
    ] = False,
    fapi: Annotated[
        bool, typer.Option("--fapi", help="Hold it to the FAPI 2.0 Security Profile.")
    ] = False,
    token_endpoint_audience: Annotated[
        bool,
        typer.Option(
            "--token-endpoint-audience", help="Its assertions may name the token endpoint, for now."
        ),
    ] = False,
    ceiling: Annotated[
        list[str] | None,
        typer.Option(help="A scope it may ever get; repeat for more. None: no bound."),
    ] = None,
) -> Result:
    """Register a client. A secret, if it has one, is printed this once."""
    registration = Registration(
        name=name,
        redirect_uris=tuple(redirect_uri or ()),
        grant_types=tuple(grant_type or DEFAULT_GRANT_TYPES),
        auth_method=auth,
        jwks=None if jwks is None else values.json_object(jwks),
        jwks_uri=jwks_uri,
        client_uri=client_uri,
        certificate_name=_certificate_name(
            subject_dn=tls_subject_dn,
            san_dns=tls_san_dns,
            san_uri=tls_san_uri,
            san_ip=tls_san_ip,
            san_email=tls_san_email,
        ),
        certificate_bound=certificate_bound,
        dpop_bound=dpop_bound,
        push_only=push_only,
        fapi=fapi,
        token_endpoint_audience=token_endpoint_audience,
        private_schemes=run.settings.clients.private_redirect_schemes,
        development=run.settings.server.development,
    )
    with run.write() as (tx, operator, tenant_id):
        made = clients.add(
            tx,
            operator,
            tenant_id,
            registration,
            client_id=client_id,
            scope_ceiling=frozenset(ceiling) if ceiling else None,
        )
    return _with_secret(made, f"Added {made.client.name}; its client_id is {made.client.id}")


@command(app, "show")
def show(run: Run, client: _Client) -> Result:
    """One client with its metadata; secrets are not kept, so they cannot be shown."""
    with run.read() as (tx, tenant_id):
        found = clients.show(tx, tenant_id, client)
    pairs = [(key, value) for key, value in vars(found).items() if key != "metadata"]
    pairs += [(key, value) for key, value in found.metadata.items() if key != "client_name"]
    return Result(found, fields(pairs))


@command(app, "rotate-secret")
def rotate_secret(
    run: Run,
    client: _Client,
    overlap: Annotated[
        str, typer.Option(help="How long earlier secrets stay good: 24h, 30m, 0.")
    ] = "24h",
) -> Result:
    """Make a new secret, printed this once."""
    length = values.duration(overlap)
    with run.write() as (tx, operator, tenant_id):
        made = clients.rotate_secret(tx, operator, tenant_id, client, overlap=length)
    return _with_secret(made, f"Earlier secrets of {client} are good for {overlap} more.")


@command(app, "block", asks=True)
def block(run: Run, client: _Client) -> Result:
    """Refuse a client everywhere and revoke what it holds."""
    with run.write() as (tx, operator, tenant_id):
        revoked = clients.block(tx, operator, tenant_id, client)
    value = {"id": client, "status": "blocked", "revoked_grants": revoked}
    return Result(value, f"Blocked {client}: {revoked} grants revoked.")


@command(app, "unblock")
def unblock(run: Run, client: _Client) -> Result:
    """Admit a blocked client again."""
    with run.write() as (tx, operator, tenant_id):
        line = clients.unblock(tx, operator, tenant_id, client)
    return Result(line, f"{client} is {line.status}; people allow it anew.")


@command(app, "remove", asks=True)
def remove(run: Run, client: _Client) -> Result:
    """Forget a client and the consents for it, and revoke what it holds."""
    with run.write() as (tx, operator, tenant_id):
        revoked = clients.remove(tx, operator, tenant_id, client)
    value = {"id": client, "removed": True, "revoked_grants": revoked}
    return Result(value, f"Removed {client}: {revoked} grants revoked.")


@command(app, "ceiling")
def ceiling(
    run: Run,
    client: _Client,
    scope: _Ceiling = None,
    none: Annotated[bool, typer.Option("--none", help="Take the bound away.")] = False,
) -> Result:
    """Bound what a client may ever get, whatever a user's role says."""
    if bool(scope) == none:
        raise typer.BadParameter("name scopes with --scope, or take the bound away with --none")
    with run.write() as (tx, operator, tenant_id):
        found = clients.set_ceiling(
            tx, operator, tenant_id, client, None if none else frozenset(scope or ())
        )
    shown = "no bound" if none else " ".join(sorted(found.scope_ceiling or ()))
    return Result(found, f"The scope ceiling of {client}: {shown}.")


@command(app, "groups")
def groups(
    run: Run,
    client: _Client,
    group: Annotated[
        list[str] | None, typer.Option("--group", help="People in it may use the client; repeat.")
    ] = None,
    everybody: Annotated[bool, typer.Option("--everybody", help="Take the limit away.")] = False,
) -> Result:
    """Limit a client to groups of people. Nobody else gets anything through it."""
    if bool(group) == everybody:
        raise typer.BadParameter(
            "name groups with --group, or take the limit away with --everybody"
        )
    with run.write() as (tx, operator, tenant_id):
        found = clients.set_groups(
            tx, operator, tenant_id, client, None if everybody else frozenset(group or ())
        )
    who = "everybody" if found.groups is None else f"people in {', '.join(found.groups)}"
    return Result(found, f"{client} is for {who}, from the next token on.")


@command(app, "audience")
def audience(
    run: Run,
    client: _Client,
    token_endpoint: Annotated[
        bool,
        typer.Option(
            "--token-endpoint/--issuer", help="The token endpoint as well, or the issuer alone."
        ),
    ],
) -> Result:
    """Whom a client's assertions have to name; the token endpoint is for clients on their way to the issuer."""
    with run.write() as (tx, operator, tenant_id):
        found = clients.set_audience(tx, operator, tenant_id, client, token_endpoint=token_endpoint)
    named = "the issuer or the token endpoint" if token_endpoint else "the issuer"
    return Result(found, f"Assertions of {client} have to name {named}.")


def _certificate_name(**named: str | None) -> tuple[str, str] | None:
    given = [(f"tls_client_auth_{name}", value) for name, value in named.items() if value]
    if len(given) > 1:
        raise typer.BadParameter("a client is known by one name in its certificate")
    return given[0] if given else None


def _with_secret(made: clients.WithSecret, sentence: str) -> Result:
    value = {**vars(made.client), "client_secret": made.secret}
    if made.secret is None:
        return Result(value, sentence)
    text = f"{sentence}\nclient_secret: {made.secret}\nIt is not stored and not shown again."
    return Result(value, text)


register_trust_commands(app)
app.add_typer(tokens, name="tokens")
