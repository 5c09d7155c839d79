"""Every claim of the tokens that this server makes, and of those it takes, in words (pure).

Owns what is said of them; never writes, reads or judges one. A claim that is written or read anywhere takes its line
here: docs/tokens.md is made from these tables, and a test compares them with the functions that write and read.
"""

from authz.oauth.claims.claim import Claim, TokenKind, names
from authz.oauth.claims.made import ACCESS_TOKEN_CLAIMS, INTROSPECTION_ANSWER, MADE
from authz.oauth.claims.taken import TAKEN

__all__ = [
    "ACCESS_TOKEN_CLAIMS",
    "INTROSPECTION_ANSWER",
    "MADE",
    "TAKEN",
    "Claim",
    "TokenKind",
    "names",
]
