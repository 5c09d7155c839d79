"""The SCIM 2.0 server: a company's directory says who works here, in which groups, and who has left (RFC 7643, 7644).

Owns what its clients may see and write of people and groups, and how that is spelled on the wire. Never talks HTTP,
never sees a password, and never decides what somebody may do: groups have roles, and `policy` reads those.

    a resource type    scim/<plural>.py    RESOURCES in `scim.endpoint`

Decisions:
- A client sees every person of its tenant but the break-glass accounts. A tenant is one company: its directory has to
  find the accounts that were there before it, or it would make second ones beside them and disable the wrong one.
- A client that belongs to a connection changes only people who are nobody's or that connection's; one of no connection
  changes everybody. Break-glass accounts are changed by nobody here: they are what is left when a directory is lost.
- Every row is looked up with its tenant, and only by our own id. What a client calls somebody (`externalId`) is text
  of its own, seen by it alone, and is never taken for an id of ours, however it looks (CVE-2025-41115).
- A password is not read. Some directories send one with every new account, so it is no error.
- `active: false` and DELETE end all access in their own transaction. A deleted person is gone for SCIM and for good:
  the row stays for the trail with its `sub`, and a later one of the same name is somebody else.
- `active: true` opens what the client closed, never what an operator closed.
- A group has the members its client says, beside those that other sources say. What an operator made can be filled,
  not renamed or removed. A change of membership narrows the next refresh; it cuts nothing.
- Filters become SQL over a few columns. What would have to look at every row is refused, unless the filter also names
  one resource by `id`, `userName` or `externalId`.
"""

PATH = "/scim/v2"
"""Below the issuer's path."""
