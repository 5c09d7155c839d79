"""Shared Signals, as a transmitter: MCP servers are told which sessions and tokens have ended (SSF-05).

Owns stream configuration, what is told to whom, and acknowledgement (OpenID SSF 1.0, CAEP, RFC 8935, RFC 8936). Never
decides that anything ends, and keeps no events: they are the entries of the revocation feed, read anew until they are
acknowledged.

Decisions
- A receiver is the client of an MCP server, as for the feed, and shows an access token that it got for itself for
  exactly this (`resource=ISSUER/ssf`, scopes `ssf.read` and `ssf.manage`). No person and no other client can get one.
- It is told of its own servers' tokens. What was switched off as a whole is no event about anybody, and is in the feed
  alone.
- Every subject is in every stream; a receiver may take one out and in again. The answer is the same for whoever it
  names, known here or not (subject probing), and about others than its own tokens' subjects nothing is told anyway.
- Fetched (RFC 8936), unless an operator says where to send it (RFC 8935): who fetches shows who it is, and no receiver
  can name an address that this server then calls.
- Sent one after the other, by whoever of the replicas holds the lease, and done when answered 202. What is not holds up
  those behind it, is sent again later and later, and at last pauses the stream: an event is never skipped in silence.
"""
