"""Which pages are made from the code, and by what."""

from collections.abc import Callable, Mapping

from scripts.reference_parts import events, settings, tokens

PAGES: Mapping[str, Callable[[], str]] = {
    "configure.md": settings.page,
    "events.md": events.page,
    "events.schema.json": events.schema,
    "tokens.md": tokens.page,
}
