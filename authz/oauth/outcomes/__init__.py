"""What happened afterwards: MCP servers report what became of the calls that tokens of ours opened.

Owns the form of a batch, who may report on what, and the rows. Never sees arguments or results, never decides about
a token, and never believes a reporter about people: whose call it was is what our own record of the token says.

Decisions:
- The server authenticates as it does at introspection, with the client its operator named, and signs the batch with a
  key registered for that client. The first says who is calling now; the second stays true for as long as the batch is
  kept, and a batch can lie in a spool for days before it is sent.
- Rows of their own rather than events of the chain: an event for every tool call would make the trail's writers, for
  whom the token endpoint waits, do the work of all MCP servers together. The chain gets one event a batch, with the
  digest of the signed batch, which is kept: whoever changes, drops or adds an outcome is found by `authz audit verify`.
- A lane of its own: batches that wait for one commit share the next one, in a fixed number of statements.
- The same batch twice is one. The same name with other content is refused.
- An outcome about a token that is not on record for this server is kept and marked unverified: after a restored backup
  it is the only evidence there is, and a server that invents some is shown by it. It is never joined to a person.
- A reporter counts its batches and what it had to drop, so that what is missing is seen to be missing.
"""
