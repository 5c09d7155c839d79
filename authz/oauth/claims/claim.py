"""What is said of a claim, and the claims that several kinds of tokens share."""

from collections.abc import Iterable
from dataclasses import dataclass

REQUIRED, SOMETIMES = True, False


@dataclass(frozen=True)
class Claim:
    """One member of a token."""

    name: str
    kind: str
    """Of its value."""
    meaning: str
    source: str
    """The clause that defines it; `-` for one of our own."""
    is_required: bool = REQUIRED
    """Whether it is always there, or has to be."""


@dataclass(frozen=True)
class TokenKind:
    """One kind of token."""

    title: str
    typ: str
    """Of its header; never that of another kind."""
    about: str
    claims: tuple[Claim, ...]


GRANT = Claim(
    "grant_id", "text", "The authorization it stands on, as the audit trail calls it.", "-"
)
ISS = Claim("iss", "URL", "This issuer.", "RFC 7519 §4.1.1")
IAT = Claim("iat", "seconds", "When it was made.", "RFC 7519 §4.1.6")
EXP = Claim("exp", "seconds", "From then on it is worth nothing.", "RFC 7519 §4.1.4")
SIGN_IN = (
    Claim("auth_time", "seconds", "When the person signed in.", "OIDC Core §2", SOMETIMES),
    Claim(
        "acr",
        "text",
        "How strongly they signed in, in this server's words.",
        "OIDC Core §2",
        SOMETIMES,
    ),
    Claim("amr", "list of texts", "By which methods they signed in.", "RFC 8176 §1", SOMETIMES),
)
DETAILS = Claim(
    "authorization_details",
    "list of objects",
    "Which calls of a tool are allowed, where the person allowed some alone.",
    "RFC 9396 §2",
    SOMETIMES,
)
PERSON = (
    Claim(
        "name",
        "text",
        "What the person is called; with the scope `profile`.",
        "OIDC Core §5.1",
        SOMETIMES,
    ),
    Claim(
        "preferred_username",
        "text",
        "Their login name; with the scope `profile`.",
        "OIDC Core §5.1",
        SOMETIMES,
    ),
    Claim(
        "email",
        "text",
        "Their login name, if it looks like an address; with the scope `email`.",
        "OIDC Core §5.1",
        SOMETIMES,
    ),
    Claim(
        "email_verified",
        "`false`",
        "Nobody has verified it here, and it says so.",
        "OIDC Core §5.1",
        SOMETIMES,
    ),
)


def names(claims: Iterable[Claim]) -> frozenset[str]:
    """Of these claims."""
    return frozenset(it.name for it in claims)
