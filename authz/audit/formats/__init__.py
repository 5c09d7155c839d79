"""How an event of the trail is told to other programs: one module and one line for each format.

Owns the texts, one line for each event. Never decides what is told or to whom, and never changes the trail.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from authz.audit.formats import cef, json_lines, ocsf
from authz.audit.formats.told import Told


@dataclass(frozen=True)
class Format:
    """A way of writing."""

    render: Callable[[Told], str]
    """One line, without its end."""
    media_type: str
    """Of many of them."""

    def line(self, event: Told) -> str:
        """As `render`, whatever somebody wrote over the event: one row must not keep the next ones from anybody."""
        try:
            return self.render(event)
        except RecursionError:
            # Just not too deep to be read, but to be written again.
            return self.render(Told(replace(event.stored, body="")))


FORMATS: Mapping[str, Format] = {
    "json": Format(json_lines.render, "application/x-ndjson"),
    "ocsf": Format(ocsf.render, "application/x-ndjson"),
    "cef": Format(cef.render, "text/plain; charset=utf-8"),
}
