"""The lab: is an authorization server, anybody's, right about identity assertions (ID-JAG, MCP EMA)?

Owns the scenarios, a fake identity provider with keys of its own, sample MCP servers, a client, and the report. It is
never a part of the server: it meets the one under test over sockets alone, and imports nothing that decides there,
since a mistake that both sides share is one that nobody finds.

    statement   one assertion, perfect until a scenario changes a member, a key or a signature
    defects     one row per thing that can be wrong with an assertion
    scenarios   GROUPS: everything that is tried; a new one is a small function or a row
    bench       what a scenario is handed: the target, the identity provider, a way to ask
    examination all of them in order, and the report

Decisions:
- A refusal counts only beside a good assertion that is accepted at the same moment: a server that refuses everything
  fails every scenario.
- What a server may leave out is `not offered`, with what led to that, never a failure.
- `must` is what the texts demand; `should` is what they recommend, or where they differ: falling short there is told
  and fails nothing.
- Whoever trusts the lab's identity provider lets everybody in who can read its folder: throw-away installations only.
"""
