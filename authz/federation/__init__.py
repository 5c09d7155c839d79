"""Signing in through the identity provider a company already has.

Owns what an upstream provider must prove before anybody believes it: one connector per protocol, each behind the same
two questions, `start` and `finish`. Never decides whose account somebody is (`directory.linking`), what they may do
(`policy`), or what the browser sees next (`web.login`), and never hands on a token of the provider (MCP-AS-98).

    a kind of identity provider    federation/<name>.py    CONNECTORS

Decisions:
- Every connection has a redirect URI of its own, and what comes back is held against the attempt of that connection and
  that browser (BCPU-01, BCPU-02, ATK-02, ATK-17).
- Network, signatures and XML happen outside of any transaction.
"""
