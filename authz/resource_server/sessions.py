"""Who opened which MCP session.

A session id is not a credential (MCP security considerations): each request is judged by its own token,
and a session answers only to the subject and client that opened it. Bounded; nothing is stored elsewhere.
"""

from collections import OrderedDict

from authz.resource_server.access_token import AccessToken
from authz.resource_server.errors import SessionNotFound

# As many as the official SDK holds open.
MAX_SESSIONS = 10_000

Owner = tuple[str, str]


class SessionOwners:
    """Session id -> subject and client. The session unused for longest is forgotten first."""

    def __init__(self, limit: int = MAX_SESSIONS) -> None:
        self._limit = limit
        self._owners: OrderedDict[str, Owner] = OrderedDict()

    def bind(self, session_id: str, token: AccessToken) -> None:
        """Record the opener of `session_id`; a session that has an owner keeps it."""
        self._owners.setdefault(session_id, _owner(token))
        if len(self._owners) > self._limit:
            self._owners.popitem(last=False)

    def require(self, session_id: str, token: AccessToken) -> None:
        """Raise SessionNotFound unless `token` belongs to the opener of `session_id`."""
        owner = self._owners.get(session_id)
        if owner is None:
            raise SessionNotFound("session_unknown")
        if owner != _owner(token):
            raise SessionNotFound("session_of_other_subject")
        self._owners.move_to_end(session_id)

    def forget(self, session_id: str) -> None:
        """Drop a session that its owner has ended."""
        self._owners.pop(session_id, None)


def _owner(token: AccessToken) -> Owner:
    return token.subject, token.client_id
