"""Request parameters: each one once, bounded, and an empty value is an absent one (O21-06)."""

from collections.abc import Iterable, Mapping

from authz.errors import InvalidRequest

MAX_PARAMETERS = 64
MAX_VALUE_CHARS = 8 * 1024
_MAX_LONG_CHARS = 16 * 1024
LONG_VALUES: Mapping[str, int] = {
    **dict.fromkeys(
        ("client_assertion", "assertion", "subject_token", "actor_token"), _MAX_LONG_CHARS
    ),
    "batch": 128 * 1024,  # of outcomes; only the endpoint that takes them reads a body as large
}


class Params:
    """Parameters of one request. Raises InvalidRequest when made from a repeated or oversized one."""

    def __init__(self, pairs: Iterable[tuple[str, str]]) -> None:
        self._values: dict[str, str] = {}
        self.repeated: set[str] = set()
        for count, (name, value) in enumerate(pairs):
            if count >= MAX_PARAMETERS:
                raise InvalidRequest("too many parameters", reason="parameters_too_many")
            if len(value) > LONG_VALUES.get(name, MAX_VALUE_CHARS):
                raise InvalidRequest("a parameter is too long", reason="parameter_too_long")
            if name in self._values:
                self.repeated.add(name)
            else:
                self._values[name] = value

    def refuse_repeated(self) -> None:
        """Raise InvalidRequest if any parameter came twice: frameworks differ in which one they keep (ATK-10)."""
        if self.repeated:
            raise InvalidRequest("a parameter is repeated", reason="parameter_repeated")

    def find(self, name: str) -> str | None:
        """The value; None when absent or empty."""
        return self._values.get(name) or None

    def require(self, name: str) -> str:
        """The value. Raises InvalidRequest naming the parameter."""
        value = self.find(name)
        if value is None:
            raise InvalidRequest(f"{name} is missing", reason=f"{name}_missing")
        return value

    def only(self, names: frozenset[str]) -> "Params":
        """A view of the declared parameters; everything else is ignored (RFC 6749 §3.2)."""
        return Params((name, value) for name, value in self._values.items() if name in names)

    def as_dict(self) -> Mapping[str, str]:
        """All of them."""
        return dict(self._values)
