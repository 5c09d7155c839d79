"""Watch the app's response: learn new session ids, filter lists of tools, let pages read it."""

from collections.abc import Callable

from authz.resource_server.challenge import CORS, Headers
from authz.resource_server.listing import Allows, EventFilter, filter_json
from authz.resource_server.request import Message, Send


class FilteringSend:
    """A `send` that passes on nothing about tools which `allows` refuses.

    `lists_tools` says that a JSON response has to be read; event streams are always read.
    `opened` is told the id of a session that the response opens.
    """

    def __init__(
        self,
        send: Send,
        *,
        allows: Allows,
        lists_tools: bool,
        opened: Callable[[str], None],
    ) -> None:
        self._send = send
        self._allows = allows
        self._lists_tools = lists_tools
        self._opened = opened
        self._events: EventFilter | None = None
        self._start: Message | None = None
        self._body = bytearray()
        self.status = 0

    async def __call__(self, message: Message) -> None:
        """Pass on one ASGI message."""
        if message["type"] == "http.response.start":
            await self._begin(message)
        elif message["type"] != "http.response.body":
            await self._send(message)
        elif self._start is not None:
            await self._collect(self._start, message)
        elif self._events is not None:
            more = message.get("more_body", False)
            body = self._events.feed(message.get("body", b""), last=not more)
            # An empty chunk is sent as well: it is how a server notices that its client left.
            await self._send({**message, "body": body})
        else:
            await self._send(message)

    async def _begin(self, message: Message) -> None:
        headers: Headers = list(message.get("headers", []))
        self.status = message["status"]
        names = {name.lower(): value for name, value in headers}
        if b"mcp-session-id" in names and self.status < 400:
            self._opened(names[b"mcp-session-id"].decode("latin-1"))
        if b"access-control-allow-origin" not in names:
            headers += CORS
        if names.get(b"content-encoding", b"identity") != b"identity":
            # Not asked for: Accept-Encoding never reached the app.
            raise RuntimeError("a compressed response cannot be filtered; compress in front")
        content_type = names.get(b"content-type", b"").split(b";")[0].strip().lower()
        if content_type == b"text/event-stream":
            self._events = EventFilter(self._allows)
        start = {**message, "headers": headers}
        if self._lists_tools and self._events is None:
            self._start = start
            return
        await self._send(start)

    async def _collect(self, start: Message, message: Message) -> None:
        self._body += message.get("body", b"")
        if message.get("more_body", False):
            return
        status = start["status"]
        try:
            body = filter_json(bytes(self._body), self._allows) if self._body else b""
        except ValueError:
            # Not JSON: nobody can say what it lists, so it is not passed on.
            body, status = b"", max(status, 500)
        headers = [(k, v) for k, v in start["headers"] if k.lower() != b"content-length"]
        headers.append((b"content-length", str(len(body)).encode()))
        await self._send({**start, "status": status, "headers": headers})
        await self._send({"type": "http.response.body", "body": body, "more_body": False})
