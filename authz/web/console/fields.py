"""Fields of forms that are more than a text: moments, lists of names, what is required of a sign-in."""

from datetime import UTC, datetime, timedelta
from typing import Any

from authz.errors import Invalid
from authz.policy import requirements
from authz.policy.requirements import Requirement
from authz.web.console.visit import Visit

_DAY = timedelta(days=1)


def end(visit: Visit, name: str = "until") -> datetime | None:
    """A day, to its end in UTC; None for an empty field, which is no end. Raises Invalid."""
    text = visit.given(name)
    if not text:
        return None
    try:
        day = datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        raise Invalid("This is not a day; write it as 2026-12-31", field=name) from None
    return day + _DAY


def listed(text: str) -> frozenset[str]:
    """Names with spaces or lines between them."""
    return frozenset(text.split())


def spelled(names: object) -> str:
    """The same back."""
    return " ".join(sorted(names))  # type: ignore[call-overload]


def requirement(visit: Visit) -> Requirement:
    """From the fields `acr`, `max_age` (in minutes) and `connection`; empty ones demand nothing. Raises Invalid."""
    given: dict[str, Any] = {}
    for name in ("acr", "connection"):
        if values := visit.given(name).split():
            given[name] = values
    minutes = visit.given("max_age")
    if minutes:
        if not minutes.isdecimal() or len(minutes) > 6:
            raise Invalid("Give a whole number of minutes", field="max_age")
        given["max_age"] = int(minutes) * 60
    return requirements.parse(given) if given else Requirement()


def requirement_fields(required: Requirement | None) -> dict[str, str]:
    """What the same fields say of it."""
    if required is None:
        return {"acr": "", "max_age": "", "connection": ""}
    return {
        "acr": spelled(required.acr or ()),
        "max_age": "" if required.max_age is None else str(required.max_age // 60),
        "connection": spelled(required.connection or ()),
    }
