"""How an installation stands: what `authz serve` refuses to start with, what `authz doctor` tells, and what
`authz support-bundle` hands to whoever helps (`bundle`).

Owns the questions about the installation as a whole: clock, database, migrations, keys, secrets, settings, its own
address. Each answer is a `Check` with evidence and a way out. Nothing here changes anything, and what is asked of the
network is asked through `net`. Of one tenant, for a company: `admin.readiness`. Of MCP clients: `doctor`.

Decisions:
- Production mode is `server.development` switched off. There a weak setting is refused at the start, because nobody
  reads the warnings of a server that works (ATK-74); in development the same is only told.
- That the server reaches itself is a warning at the start: the proxy in front of it may start later.
"""

from authz.installation.checks import examine
from authz.installation.start import refuse_to_start, watching_address
from authz.installation.weaknesses import find_weaknesses

__all__ = ["examine", "find_weaknesses", "refuse_to_start", "watching_address"]
