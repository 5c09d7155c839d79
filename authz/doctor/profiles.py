"""What each client does before anybody signs in, as data.

A fact stands here only if it was read in the client's source or documents, or reported by its users. What a client is
not known to do differently it does as the specification says, so a trait is always a deviation.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum


class Trait(Enum):
    """How a client differs from the others."""

    IN_BROWSER = "is a web page, so that CORS decides what it may read"
    FROM_OUTSIDE = "calls from its vendor's machines, so that both servers must be on the internet"
    DOCUMENT_NEEDS_NONE = "uses its metadata document only if the method `none` is advertised"
    PKCE_IF_PRESENT = "looks for S256 only where the methods are listed"
    PKCE_UNCHECKED = "does not look for S256"
    OPENID_SCHEMA = "refuses an OpenID document without the members OpenID requires"
    EXACT_RESOURCE = "compares `resource` with the URL it was given"
    TRIES_EACH_SERVER = "tries each of `authorization_servers`, not the first alone"
    STOPS_AT_5XX = "ends discovery at an answer of 5xx"
    PASSES_502 = "goes on after a 502, and after no other 5xx"
    STOPS_AT_HTML = "ends discovery at an answer of 200 that is no JSON"
    ASKS_EVERY_SCOPE = "asks for every scope that the authorization server lists"
    ENTERPRISE = (
        "can present an ID-JAG of the company's identity provider, if its profile is advertised"
    )
    SCOPE_FROM_CHALLENGE = "takes its scopes from the challenge"
    ISSUER_NORMALISED = "parses issuers as URLs, which adds or removes a slash at the end"


@dataclass(frozen=True)
class ClientProfile:
    """One client."""

    title: str
    document: str | None
    """How it authenticates by its metadata document: `none`, `private_key_jwt`; None when it has no document."""
    registers: bool
    """It registers itself (RFC 7591) where there is an endpoint."""
    takes_given_id: bool
    """Its user can give it an identifier that was registered beforehand."""
    step_up: str
    """What it does with a 403 `insufficient_scope`, for people."""
    traits: frozenset[Trait] = frozenset()

    def has(self, trait: Trait) -> bool:
        """Whether it differs in this."""
        return trait in self.traits


CLIENTS: Mapping[str, ClientProfile] = {
    "claude-web": ClientProfile(
        "Claude (web, desktop)",
        document="none",
        registers=True,
        takes_given_id=True,
        step_up="by itself",
        traits=frozenset({Trait.FROM_OUTSIDE, Trait.DOCUMENT_NEEDS_NONE, Trait.ENTERPRISE}),
    ),
    "claude-code": ClientProfile(
        "Claude Code",
        document="none",
        registers=True,
        takes_given_id=True,
        step_up="after signing in again",
        traits=frozenset({Trait.DOCUMENT_NEEDS_NONE}),
    ),
    "vscode": ClientProfile(
        "VS Code",
        document="none",
        registers=True,
        takes_given_id=True,
        step_up="not known",
        traits=frozenset({Trait.EXACT_RESOURCE, Trait.ENTERPRISE}),
    ),
    "chatgpt": ClientProfile(
        "ChatGPT",
        document="private_key_jwt",
        registers=True,
        takes_given_id=True,
        step_up="from the challenge",
        traits=frozenset({Trait.FROM_OUTSIDE, Trait.TRIES_EACH_SERVER, Trait.SCOPE_FROM_CHALLENGE}),
    ),
    "codex": ClientProfile(
        "Codex",
        document="none",
        registers=True,
        takes_given_id=False,
        step_up="no",
        traits=frozenset({Trait.ASKS_EVERY_SCOPE}),
    ),
    "cursor": ClientProfile(
        "Cursor",
        document=None,
        registers=True,
        takes_given_id=True,
        step_up="not known",
    ),
    "inspector": ClientProfile(
        "MCP Inspector",
        document="none",
        registers=True,
        takes_given_id=True,
        step_up="not known",
        traits=frozenset(
            {
                Trait.IN_BROWSER,
                Trait.PKCE_IF_PRESENT,
                Trait.OPENID_SCHEMA,
                Trait.EXACT_RESOURCE,
                Trait.STOPS_AT_5XX,
                Trait.PASSES_502,
                Trait.STOPS_AT_HTML,
                Trait.ENTERPRISE,
                Trait.ISSUER_NORMALISED,
            }
        ),
    ),
    "opencode": ClientProfile(
        "opencode",
        document="none",
        registers=True,
        takes_given_id=True,
        step_up="not known",
        traits=frozenset({Trait.ISSUER_NORMALISED}),
    ),
    "gemini-cli": ClientProfile(
        "Gemini CLI",
        document=None,
        registers=True,
        takes_given_id=True,
        step_up="not known",
    ),
    "goose": ClientProfile(
        "Goose",
        document="none",
        registers=True,
        takes_given_id=False,
        step_up="not known",
    ),
    "python-sdk": ClientProfile(
        "Python SDK",
        document="none",
        registers=True,
        takes_given_id=True,
        step_up="by itself",
        traits=frozenset(
            {
                Trait.PKCE_UNCHECKED,
                Trait.STOPS_AT_5XX,
                Trait.ISSUER_NORMALISED,
                Trait.ENTERPRISE,
            }
        ),
    ),
    "typescript-sdk": ClientProfile(
        "TypeScript SDK",
        document="none",
        registers=True,
        takes_given_id=True,
        step_up="by itself",
        traits=frozenset(
            {
                Trait.PKCE_IF_PRESENT,
                Trait.OPENID_SCHEMA,
                Trait.EXACT_RESOURCE,
                Trait.STOPS_AT_5XX,
                Trait.PASSES_502,
                Trait.STOPS_AT_HTML,
                Trait.ENTERPRISE,
                Trait.ISSUER_NORMALISED,
            }
        ),
    ),
}
