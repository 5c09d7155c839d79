"""What a trust entry accepts, and what an assertion for a target says: told before anything is stored (pure).

The entry that is told is the one the operation would store: it was checked and completed by the operation itself, whose
transaction was given up.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from authz.admin.targets import TargetLine
from authz.admin.trust import TrustLine
from authz.oauth.assertion_subjects import SAML_NAME_ID
from authz.oauth.id_jag import TYP
from authz.oauth.targets import settings_of as settings_of_target
from authz.oauth.trust import KeySource, settings_of
from authz.oauth.workload_trust import settings_of as settings_of_workloads
from authz.web.console.members import claim_lines

Rows = list[tuple[str, str]]


@dataclass(frozen=True)
class Accepted:
    """A table of what has to stand where, and what an administrator should know besides."""

    title: str
    headings: tuple[str, str]
    rows: Sequence[tuple[str, str]]
    notes: Sequence[str]
    warnings: Sequence[str] = ()


def of_people(line: TrustLine, issuer: str) -> Accepted:
    """An ID-JAG that is redeemed here; `issuer` is ours."""
    settings = settings_of(line.settings)
    subject = (
        "sub_id: the SAML name" if settings.subject == SAML_NAME_ID else "as its subject says it"
    )
    rows: Rows = [
        ("typ", TYP),
        ("signed with", _keys(settings)),
        ("iss", line.issuer),
        ("aud", f"{issuer}, alone"),
        ("sub", f"somebody of {line.connection}, {subject}"),
        ("client_id", _client(settings.clients, public=settings.allow_public_cimd_clients)),
        ("tenant", _one_of(settings.tenants) if settings.tenants else "must not be there"),
        ("resource", _one_of(settings.resources) if settings.resources else "any MCP server of this tenant"),
        ("scope", _scopes(settings.scope_ceiling)),
        ("exp", f"{settings.max_lifetime_seconds} seconds after iat at most"),
        ("jti", _uses(settings.assertion_reuse)),
    ]  # fmt: skip
    notes = [
        "Anything else is refused, with one sentence for every defect and the reason in the audit trail.",
        "What a token then holds is decided by the roles of the person; the simulator predicts it.",
    ]
    return Accepted("An assertion it would accept", ("In the assertion", "Has to be"), rows, notes)


def of_workloads(line: TrustLine, issuer: str) -> Accepted:
    """A token of a platform that is exchanged here."""
    settings = settings_of_workloads(line.settings)
    rows: Rows = [
        ("signed with", _keys(settings)),
        ("iss", line.issuer),
        ("aud", _one_of(settings.audiences) if settings.audiences else f"{issuer}, alone"),
        ("exp", f"{settings.max_lifetime_seconds} seconds after iat at most"),
        ("jti", _uses(settings.assertion_reuse)),
    ]
    for rule in settings.rules:
        claims = [f"sub = {rule.subject}", *claim_lines(rule.claims)]
        gives = f"roles {_list(rule.roles)}" if rule.roles else _list(rule.scopes)
        rows.append(
            (f"rule {rule.name}", f"{' and '.join(claims)} gets {gives} at {_list(rule.resources)}")
        )
    notes = ["A token that no rule matches, or two rules, gets nothing."]
    if not settings.rules:
        notes = [
            "There is no rule yet, so no program gets anything: allow a workload once it is trusted."
        ]
    return Accepted(
        "A token it would accept",
        ("In the token", "Has to be"),
        rows,
        notes,
        [] if not settings.rules else line.warnings,
    )  # fmt: skip


def of_target(line: TargetLine, issuer: str) -> Accepted:
    """An ID-JAG that is issued here for somebody else's authorization server."""
    settings = settings_of_target(line.settings)
    named = len(settings.clients)
    clients = f"what the client is called there ({named} known)" if named else "of no client yet"
    if settings.allow_cimd_clients:
        clients += ", or its own where it publishes a document"
    servers = _one_of(line.servers) if line.servers else "none: register an MCP server of it first"
    rows: Rows = [
        ("typ", TYP),
        ("iss", issuer),
        ("aud", line.issuer),
        ("client_id", clients),
        ("resource", f"{servers}{', and it has to be asked for' if settings.resource_required else ''}"),
        ("scope", _scopes(settings.scope_ceiling)),
        ("email", "told" if settings.tells_email else "not told"),
        ("exp", f"{settings.lifetime_seconds} seconds after iat"),
    ]  # fmt: skip
    notes = [
        "Nothing of it is an access token of ours: the other server decides what it gives for it."
    ]
    return Accepted("An assertion it would be sent", ("In the assertion", "Is"), rows, notes)


def _keys(settings: KeySource) -> str:
    algorithms = _list(settings.algorithms)
    if settings.jwks is None:
        return f"{algorithms}, by a key published at {settings.jwks_uri}"
    names = _list(list(_names(settings.jwks)))
    return f"{algorithms}, by a pinned key: {names}"


def _names(jwks: Mapping[str, Any]) -> Iterator[str]:
    for key in jwks.get("keys", ()):
        yield f"{key.get('kid', 'without a name')} ({key.get('kty')})"


def _client(clients: Sequence[str], *, public: bool) -> str:
    who = _one_of(clients) if clients else "any client registered for this grant"
    return f"whoever presents it: {who}{', with a key or without' if public else ', by its key or secret'}"


def _scopes(ceiling: Sequence[str] | None) -> str:
    if ceiling is None:
        return "whatever the roles of the person give"
    return f"at most {_list(ceiling)}" if ceiling else "none at all"


def _uses(reuse: str) -> str:
    return "one that was not here before" if reuse == "deny" else "the same again until it runs out"


def _one_of(values: Sequence[str]) -> str:
    return values[0] if len(values) == 1 else f"one of {_list(values)}"


def _list(values: Sequence[str]) -> str:
    return ", ".join(values)
