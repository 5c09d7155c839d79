"""Identity providers, domains, provisioning, and security events: received, and sent to MCP servers."""

from authz.admin import connections, domains, event_streams, scim_tokens, signal_streams
from authz.admin.connections import ConnectionDetails, ConnectionLine
from authz.admin.domains import DomainLine
from authz.admin.event_streams import EventStreamLine
from authz.admin.scim_tokens import TokenLine
from authz.admin.signal_streams import StreamLine
from authz.web.api.kit import Change, Listing, Route, Thing, listed

CONNECTION = Thing(
    "/connections/{connection}",
    "connection",
    "One identity provider; secrets are references",
    lambda look: connections.show(
        look.tx, look.tenant_id, look.path["connection"], look.tenant.issuer
    ),
    ConnectionDetails,
    omit=frozenset({"people"}),
)
DOMAIN = Thing(
    "/domains/{domain}",
    "domain",
    "One domain, with the record that proves it",
    lambda look: domains.show(look.tx, look.tenant_id, look.path["domain"]),
    DomainLine,
)
STREAM = Thing(
    "/signal-streams/{stream}",
    "signal_stream",
    "One stream",
    lambda look: signal_streams.show(look.tx, look.tenant_id, look.path["stream"]),
    StreamLine,
    omit=frozenset({"last_event_at"}),
)
_OF_CONNECTION, _OF_DOMAIN = {"connection": "slug"}, {"domain": "name"}
_OF_STREAM = {"stream": "slug"}
_OF_EVENTS = {"events": "stream_id"}

ROUTES: tuple[Route, ...] = (
    Listing(
        "/connections",
        "connections",
        "Identity providers, by name",
        listed(lambda look: connections.list_(look.tx, look.tenant_id), "slug"),
        ConnectionLine,
    ),
    Change(
        "POST",
        "/connections",
        "connections.add",
        "Connect an identity provider; answers what has to be entered there",
        made=lambda it: (it.slug,),
    ),
    CONNECTION,
    Change(
        "PATCH",
        "/connections/{connection}",
        "connections.change",
        "Change what is given; a null takes a setting out",
        inputs=_OF_CONNECTION,
        thing=CONNECTION,
    ),
    Change(
        "PUT",
        "/connections/{connection}/status",
        "connections.set_status",
        "Switch it off or on",
        inputs=_OF_CONNECTION,
        thing=CONNECTION,
    ),
    Change(
        "POST",
        "/connections/{connection}/renew",
        "connections.renew",
        "Take over what the provider publishes of itself",
        inputs=_OF_CONNECTION,
    ),
    Change(
        "DELETE",
        "/connections/{connection}",
        "connections.remove",
        "Forget it, its links, domains and mappings",
        inputs=_OF_CONNECTION,
        thing=CONNECTION,
    ),
    Listing(
        "/domains",
        "domains",
        "Whose people sign in through which connection",
        listed(lambda look: domains.list_(look.tx, look.tenant_id), "name"),
        DomainLine,
    ),
    Change("POST", "/domains", "domains.add", "Claim a domain", made=lambda it: (it.name,)),
    DOMAIN,
    Change(
        "POST",
        "/domains/{domain}/verify",
        "domains.verify",
        "Look for the record that proves it",
        inputs=_OF_DOMAIN,
    ),
    Change(
        "PUT",
        "/domains/{domain}/mandatory",
        "domains.set_mandatory",
        "Whether its people may sign in no other way",
        inputs=_OF_DOMAIN,
        thing=DOMAIN,
    ),
    Change(
        "DELETE",
        "/domains/{domain}",
        "domains.remove",
        "Let it go",
        inputs=_OF_DOMAIN,
        thing=DOMAIN,
    ),
    Listing(
        "/scim-tokens",
        "scim_tokens",
        "Tokens of provisioning clients, the oldest first",
        listed(lambda look: scim_tokens.list_(look.tx, look.tenant_id), *("created_at", "id")),
        TokenLine,
    ),
    Change(
        "POST",
        "/scim-tokens",
        "scim_tokens.add",
        "A new token, which is shown this once",
        made=lambda it: (it.line.id,),
    ),
    Thing(
        "/scim-tokens/{token}",
        "scim_token",
        "One token",
        lambda look: scim_tokens.show(look.tx, look.tenant_id, look.path["token"]),
        TokenLine,
        omit=frozenset({"last_used_at"}),
    ),
    Change(
        "POST",
        "/scim-tokens/{token}/revoke",
        "scim_tokens.revoke",
        "Nothing is provisioned with it any more",
        inputs={"token": "token_id"},
    ),
    Listing(
        "/signal-streams",
        "signal_streams",
        "Streams of security events that are received",
        listed(lambda look: signal_streams.list_(look.tx, look.tenant_id), "slug"),
        StreamLine,
    ),
    Change(
        "POST",
        "/signal-streams",
        "signal_streams.add",
        "Receive a stream; a token to push with is shown this once",
        made=lambda it: (it.line.slug,),
    ),
    STREAM,
    Change(
        "POST",
        "/signal-streams/{stream}/rotate-token",
        "signal_streams.rotate_token",
        "A new token to push with; the old one is good no longer",
        inputs=_OF_STREAM,
    ),
    Change(
        "PUT",
        "/signal-streams/{stream}/status",
        "signal_streams.set_status",
        "Switch it off or on",
        inputs=_OF_STREAM,
        thing=STREAM,
    ),
    Change(
        "DELETE",
        "/signal-streams/{stream}",
        "signal_streams.remove",
        "Forget it",
        inputs=_OF_STREAM,
        thing=STREAM,
    ),
    Listing(
        "/event-streams",
        "event_streams",
        "Streams of events that MCP servers have, by client; servers make them themselves",
        listed(lambda look: event_streams.list_(look.tx, look.tenant_id), *("client", "id")),
        EventStreamLine,
    ),
    Thing(
        "/event-streams/{events}",
        "event_stream",
        "One of them, and how far it is",
        lambda look: event_streams.show(look.tx, look.tenant_id, look.path["events"]),
        EventStreamLine,
    ),
    Change(
        "POST",
        "/event-streams/{events}/push",
        "event_streams.push",
        "Send its events to an address, with the secret behind a reference",
        inputs=_OF_EVENTS,
    ),
    Change(
        "POST",
        "/event-streams/{events}/poll",
        "event_streams.poll",
        "Have its client fetch them again",
        inputs=_OF_EVENTS,
    ),
    Change(
        "POST",
        "/event-streams/{events}/resume",
        "event_streams.resume",
        "Go on where it was paused",
        inputs=_OF_EVENTS,
    ),
)
