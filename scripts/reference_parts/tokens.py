"""docs/tokens.md, from `authz.oauth.claims`."""

from collections.abc import Iterable

from authz.oauth.claims import INTROSPECTION_ANSWER, MADE, TAKEN, Claim

HEAD = """\
# Tokens

Every token that this server makes or takes, with each claim: its type, what it means, and the clause that defines it.
For whoever writes an MCP server, a client, a gateway or an identity provider against it.

- Every token is a compact JWS with `typ`, `alg` and `kid` in its header, signed with a key of `jwks_uri`. Refresh
  tokens and authorization codes are not JWTs: they are opaque, and nobody reads them.
- Look at `typ` first: it is what keeps one kind from being taken for another.
- Pass over claims you do not know. New ones come without notice; those that are here keep their meaning.
- Nothing in a token is for people to read: `authz explain JTI` says in words what one holds and why.

What ended before its time is told in other ways: [cut-off.md](cut-off.md). `authz.oauth.claims` is where these tables
are, and this page is made from them: `scripts/dev docs`.
"""

INTROSPECTION = """\
`/introspect` answers a client about its own tokens, and an MCP server's client about those for that server. For an
access token it is what follows, and then its claims as above; for a refresh token `active`, `iss`, `sub`, `client_id`,
`scope`, `exp` and `grant_id`, and `cnf` and `authorization_details` where there are any.
"""


def page() -> str:
    """The whole page."""
    parts = [HEAD, "## What this server makes\n"]
    for it in MADE:
        parts += [f"### {it.title}\n", f"`typ`: `{it.typ}`. {it.about}\n", _table(it.claims)]
    parts += [
        "## What introspection answers\n",
        INTROSPECTION,
        _table(INTROSPECTION_ANSWER),
        "Not active stands alone: neither why nor of whom is said.\n",
        "## What this server takes\n",
    ]
    for it in TAKEN:
        parts += [f"### {it.title}\n", f"`typ`: `{it.typ}`. {it.about}\n", _table(it.claims)]
    parts.append(
        "ID tokens and SAML assertions of identity providers have pages of their own:"
        " [identity-providers](identity-providers/README.md). Signed batches of outcomes: [outcomes.md](outcomes.md).\n"
    )
    return "\n".join(parts)


def _table(claims: Iterable[Claim]) -> str:
    lines = [("Claim", "Type", "Always", "Meaning", "Defined in"), ("---",) * 5]
    lines += [
        (f"`{it.name}`", it.kind, "yes" if it.is_required else "", it.meaning, it.source)
        for it in claims
    ]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
