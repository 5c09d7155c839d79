"""The revocation feed of a tenant: which access tokens are dead before they expire, for servers that verify offline.

Owns the entries, their numbers, and who waits for the next one. Never ends anything itself, never signs, and knows no
HTTP: whoever ends access writes the entry in the same transaction (`entries`), the readers' processes put entries in
order (`numbering`), and `hub` tells those who wait.

Decisions
- An entry names one grant (`grant_id`), one token (`jti`), or everything with a claim that was decided under an older
  `policy_version`. A person's leaving is one entry for each grant of theirs that has a live token, not one for the
  person with a moment: a moment cannot tell a token that another transaction minted an instant later from one of a
  sign-in an instant later, and the clocks of nodes differ. Grants without a live token, which are most of them, need no
  entry, so a department that leaves costs one insert of as many rows as there are live tokens.
- A switch (a client, connection, server or tenant that is off) is one entry. Tokens that are being minted meanwhile are
  told by the version they were decided under, which every token carries: a batch either saw the change, or its tokens
  have the older number. Only the digest of the name is told, because the entry goes to servers that may never have met
  that client.
- Entries have no number when they are written. Numbers given by writers would be seen in another order than they were
  given, so a reader could miss one for good; and a counter that writers share would make them wait for each other. The
  process of a reader numbers what is committed, under one lock of the tenant: an entry that commits later gets a higher
  number, always.
- An entry goes once no token it concerns can be alive. The head stays, so no number comes twice.
"""
