"""What `authz lab up` says: what to register at the server under test, and how that is done at ours."""

from authz.cli.lab_server import ENTRIES, ROLE, ROLES
from authz.cli.output import fields
from authz.lab.applications import READ, TOOLS, WITHHELD, WRITE
from authz.lab.bench import JWT_BEARER
from authz.lab.identity_provider import CUSTOMER, GROUP, KNOWN, Issuer
from authz.lab.laboratory import Laboratory

_USED_FOR = {
    Issuer.MAIN: "people who are new get an account",
    Issuer.MANY: f"optional: has many customers, of which tenant {CUSTOMER} is ours",
    Issuer.CLOSED: f"optional: only {KNOWN} has an account, nobody else gets one",
}


def told(lab: Laboratory, issuer: str, *, port: int) -> str:
    """All of it."""
    parts = (
        _addresses(lab, issuer),
        _to_register(lab),
        _our_commands(lab),
        _next(lab, issuer, port),
    )
    return "\n\n".join(parts)


def _addresses(lab: Laboratory, issuer: str) -> str:
    return fields(
        [
            ("server under test", issuer),
            ("identity provider", lab.idp.url),
            ("its keys", lab.idp.jwks_uri),
            ("its keys, to pin", lab.idp.jwks_file),
            ("the client's keys", lab.idp.client_jwks_uri),
            ("MCP servers", (lab.resource, lab.other_resource)),
        ]
    )


def _to_register(lab: Laboratory) -> str:
    issuers = [f"     {lab.idp.issuer(which)}  {words}" for which, words in _USED_FOR.items()]
    lines = [
        "Register at the server under test:",
        f"  1. The MCP server {lab.resource} with the scopes {', '.join(TOOLS.values())}.",
        f"     Optional: a second one, {lab.other_resource}, with the same scopes.",
        f"  2. A confidential client for the grant type {JWT_BEARER}.",
        "     Optional: a second one; one without that grant type; a public one with it.",
        "  3. Issuers of assertions, with the keys above:",
        *issuers,
        f"  4. Whoever has {GROUP} in the claim `groups` gets {READ} and {WRITE}, never {WITHHELD}.",
    ]
    return "\n".join(lines)


def _our_commands(lab: Laboratory) -> str:
    scopes = [f'--scope "{scope},tool={tool}"' for tool, scope in TOOLS.items()]
    lines = [f"authz resources add {it} --no-read {' '.join(scopes)}" for it in _servers(lab)]
    lines += [
        f"authz clients add Lab --id {name} --auth client_secret_basic --grant-type {JWT_BEARER}"
        for name in ("lab-client", "lab-other")
    ]
    lines.append(f"authz roles import roles.yaml   # with this role in it: {_role()}")
    for slug, which in ENTRIES.items():
        # Its one person would have to be linked first; without it one scenario is not offered.
        if which is Issuer.CLOSED:
            continue
        pin = f" --set 'tenants=[\"{CUSTOMER}\"]'" if which is Issuer.MANY else ""
        issuer, keys = lab.idp.issuer(which), lab.idp.jwks_uri
        lines += [
            f"authz trust add {slug} --issuer {issuer} --jwks-uri {keys} --provision{pin}",
            f"authz mappings add {slug} groups {GROUP} --role {ROLE}",
        ]
    return "\n".join(
        [
            "At a server of ours (development = true, as all of this is on loopback):",
            *(f"  {it}" for it in lines),
        ]
    )


def _next(lab: Laboratory, issuer: str, port: int) -> str:
    lines = [
        "Then, elsewhere, with the client's secret in a file:",
        f"  authz lab run --issuer {issuer} --client-id lab-client --client-secret-from file:SECRET \\",
        f"      --folder {lab.idp.folder.resolve()} --port {port}",
        "Ctrl-C ends this; keys and addresses stay what they are.",
    ]
    return "\n".join(lines)


def _servers(lab: Laboratory) -> tuple[str, str]:
    return lab.resource, lab.other_resource


def _role() -> str:
    return ROLES.splitlines()[1].strip()
