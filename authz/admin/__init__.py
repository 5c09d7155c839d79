"""Operations on everything an operator manages: shared by the command line now, console and API later.

Each operation takes the open transaction, an `Operator` and plain values, validates, changes, bumps the configuration
version when policy or clients change, and records an audit event, in that order. Nothing here prints or parses HTTP.
"""
