"""Storage mechanics: engines, tables, transactions. Knows rows, not OAuth.

Two lanes lead to the rows. The *plain lane* is `Database.read()` and `Database.write()`: an ordinary Session, in a
thread. The *token lane* (`batch`) decides many requests in one transaction.

Decisions:
- A transaction is an explicit block. Not a dependency with `yield`: FastAPI runs the code after it once the response
  has left, so a failing commit would still have delivered a token.
- A normal exit commits, an exception rolls back. A refusal that must be remembered (reuse of a refresh token) is a
  value, not an exception, inside the block.
- No network, no signing, no password hashing inside a write block; `authz.transactions` raises.
"""

from authz.db.engine import Database

__all__ = ["Database"]
