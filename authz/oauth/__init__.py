"""The protocol: what happens at /authorize and /token, without a web framework.

Owns the pipelines, the grants, the token lane's program and the documents derived from the registries. Never renders a
page, never parses HTTP, never opens a socket; callers hand in parsed parameters and get a value or an `OAuthError`.

The pipeline of /token (`token.TokenEndpoint`):

    parameters once each -> client -> grant -> prepare (network allowed) -> batch: facts, decide, rows, audit, commit
    -> sign -> answer

Invariants: an answer never leaves before its batch is durable; a refusal is an outcome and is committed with its
event; a grant sees only the parameters it declared and cannot skip a shared step, because it never performs one.

The authorization endpoint stores nothing for a stranger: before sign-in the request travels in the browser's own URL
and is validated anew afterwards. Decided so, instead of a stored pending request, because rows a stranger can make
are rows a stranger can make a million of.
"""
