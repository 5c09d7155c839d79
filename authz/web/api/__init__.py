"""The admin API: JSON over the operations of `authz.admin`, for programs (L3; RFC 6750, 9110, 9449, 9457).

Owns addresses, representations, conditional requests and repeated requests. Never validates, permits or changes
anything by itself: a route names a function that reads, or an operation by its name (`admin.operations`), with the same
permission, validation and audit as the console and the CLI.

An area is a module whose `ROUTES` are rows; `registry.API` has one line for each. Permission, paging, entity tags,
errors and the OpenAPI document come along by themselves.

Decisions:
- Our own access tokens alone, in the header. No cookie is read, so no page of another site can use a person's session,
  and there is no CORS, so none can read an answer.
- What the bearer may do is decided anew in every transaction (`admin.bearer`): a role that ended ends here at once.
- Everything of another tenant is not found, never forbidden: its ids tell nothing.
- What is changed in place (PUT, PATCH, DELETE of one thing) takes the tag of what the caller saw. Who saw another
  gets what there is now, to merge; both happen in one transaction, one change of a tenant at a time.
- Verbs that end something (`/end`, `/block`, `/kill`) are POST without a condition: in an emergency nobody should have
  to read first.
- Addresses are matched as they came, segment by segment, so that a client whose identifier is a URL is one segment
  (percent-encoded).
"""
